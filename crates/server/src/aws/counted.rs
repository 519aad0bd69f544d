//! What is counted of the AWS APIs: each operation that is offered, and one for all else.

use keyturn_protocol::aws::secretsmanager::Operation;

use super::AwsService;
use crate::tally::{Counted, Tally};

/// The actions of STS that are offered, by their place behind Secrets Manager's operations.
const ACTIONS: [&str; 3] = ["GetCallerIdentity", "GetSessionToken", "AssumeRoleWithWebIdentity"];

/// A tally of all operations: one of no service's, those of Secrets Manager, STS's.
pub(super) fn tally() -> Tally {
    let of = |service: AwsService| move |operation| Counted { service: service.name(), operation };
    let unknown = [AwsService::SecretsManager, AwsService::Sts].map(|service| of(service)("unknown"));
    let secrets = Operation::ALL.iter().map(|operation| operation.name()).map(of(AwsService::SecretsManager));
    Tally::new(unknown.into_iter().chain(secrets).chain(ACTIONS.map(of(AwsService::Sts))).collect())
}

/// The place of a request's operation in the tally.
pub(super) fn place(service: AwsService, operation: Option<Operation>, action: Option<&str>) -> usize {
    let known = 2 + Operation::ALL.len();
    match service {
        AwsService::SecretsManager => operation.map_or(0, |operation| 2 + operation as usize),
        AwsService::Sts => ACTIONS.iter().position(|known| Some(*known) == action).map_or(1, |index| known + index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    #[test]
    fn each_operation_has_its_place() {
        let name = |service, operation, action| {
            let tally = tally();
            tally.begin().answered(place(service, operation, action), StatusCode::OK);
            let counted = tally.rows()[0].counted;
            format!("{} {}", counted.service, counted.operation)
        };
        for operation in Operation::ALL {
            let told = name(AwsService::SecretsManager, Some(*operation), None);
            assert_eq!(told, format!("secretsmanager {}", operation.name()));
        }
        for action in ACTIONS {
            assert_eq!(name(AwsService::Sts, None, Some(action)), format!("sts {action}"));
        }
        assert_eq!(name(AwsService::Sts, None, Some("AssumeRole")), "sts unknown");
        assert_eq!(name(AwsService::SecretsManager, None, None), "secretsmanager unknown");
    }
}
