//! Names and ARNs of secrets: `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX`, where six random letters and
//! digits make a secret another than one that had the name before.

use keyturn_protocol::aws::secretsmanager::ErrorCode;

use super::error::failure;
use crate::aws::{failure::Failure, settings::AwsSettings};

/// Letters and digits at the end of an ARN.
const SUFFIX: usize = 6;

/// A secret as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretId {
    /// Its name.
    pub(super) name: String,
    /// The end of its ARN, if the client gave a whole one.
    pub(super) suffix: Option<String>,
    /// The region and the mount that stands for it and the account in the ARN, if it was one.
    pub(super) place: Option<(String, String)>,
}

/// Reads what a client gave: a name, an ARN, or an ARN without its last seven characters.
///
/// # Errors
/// When it is an ARN of something else; as if it were not there, because it is not here.
pub(super) fn parse(text: &str, settings: &AwsSettings) -> Result<SecretId, Failure> {
    if !text.starts_with("arn:") {
        return Ok(SecretId { name: text.to_owned(), suffix: None, place: None });
    }
    let elsewhere =
        || failure(ErrorCode::ResourceNotFoundException, "Secrets Manager can't find the specified secret.");
    let mut parts = text.splitn(7, ':').skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (partition, service, region, account, kind, rest) = (part(), part(), part(), part(), part(), part());
    if !partition.starts_with("aws") || service != "secretsmanager" || kind != "secret" || rest.is_empty() {
        return Err(failure(ErrorCode::ValidationException, INVALID_NAME));
    }
    let mount = settings.mount_at(account, region).ok_or_else(elsewhere)?;
    let (name, suffix) = match split_suffix(rest) {
        Some((name, suffix)) => (name, Some(suffix.to_owned())),
        None => (rest, None),
    };
    Ok(SecretId { name: name.to_owned(), suffix, place: Some((region.to_owned(), mount.to_owned())) })
}

/// A name and what looks like the end of an ARN. Because of it, a secret whose name ends so cannot be found by an ARN
/// without its end, as with AWS.
fn split_suffix(text: &str) -> Option<(&str, &str)> {
    let at = text.len().checked_sub(SUFFIX + 1)?;
    let (name, suffix) = text.split_at_checked(at)?;
    let suffix = suffix.strip_prefix('-')?;
    (!name.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some((name, suffix))
}

/// The ARN of a secret, in the account that has its mount.
pub(super) fn arn(account: &str, region: &str, name: &str, suffix: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}")
}

/// What AWS says of a name that it does not take.
pub(super) const INVALID_NAME: &str = "Invalid name. Must be a valid name containing alphanumeric characters, or any of \
                                       the following: -/_+=.@!";

/// Whether AWS takes it for a name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/_+=.@!".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Option<String>), String> {
        parse(text, &AwsSettings::default()).map(|id| (id.name, id.suffix)).map_err(|failure| failure.text())
    }

    #[test]
    fn a_secret_is_named_in_three_ways() {
        let arn = |rest: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{rest}");
        let whole = |name: &str, suffix: &str| Ok((name.to_owned(), Some(suffix.to_owned())));
        assert_eq!(read("prod/db"), Ok(("prod/db".to_owned(), None)));
        assert_eq!(read("prod/db-a1b2c3"), Ok(("prod/db-a1b2c3".to_owned(), None)));
        assert_eq!(read(&arn("prod/db-a1b2c3")), whole("prod/db", "a1b2c3"));
        assert_eq!(read(&arn("prod/db-a1b2c3-XyZ123")), whole("prod/db-a1b2c3", "XyZ123"));
        for partial in ["prod/db", "prod/db-a1b2", "prod/db-a1b2c3-", "-a1b2c3"] {
            assert_eq!(read(&arn(partial)), Ok((partial.to_owned(), None)), "{partial}");
        }
    }

    #[test]
    fn arns_of_elsewhere_are_not_here() {
        for text in [
            "arn:aws:secretsmanager:eu-west-1:000000000000:secret:a-a1b2c3",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-a1b2c3",
        ] {
            assert!(read(text).expect_err("elsewhere").contains("can't find"), "{text}");
        }
        for text in
            ["arn:aws:s3:us-east-1:000000000000:secret:a", "arn:aws:secretsmanager:us-east-1:000000000000:secret:"]
        {
            assert!(read(text).expect_err("no secret").contains("Invalid name"), "{text}");
        }
    }
}
