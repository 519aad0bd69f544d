use std::collections::HashMap;

use super::*;

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:prod/db-a1b2c3";
const ANN: &str = "arn:aws:iam::000000000000:user/ann";

fn asked(action: &str, principal: &str) -> Asked {
    let values =
        [("aws:sourceip", "10.1.2.3"), ("aws:principalarn", principal), ("aws:currenttime", "2026-01-01T00:00:00Z")];
    Asked {
        action: format!("secretsmanager:{action}"),
        resource: SECRET.to_owned(),
        principal: principal.to_owned(),
        account: "000000000000".to_owned(),
        values: values.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<HashMap<_, _>>(),
    }
}

fn policy(statement: &str) -> Policy {
    Policy::read(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)).expect("a policy")
}

fn deny(principal: &str, rest: &str) -> Policy {
    policy(&format!(
        r#"{{"Effect":"Deny","Principal":{principal},"Action":"secretsmanager:Get*","Resource":"*"{rest}}}"#
    ))
}

#[test]
fn a_deny_denies_what_it_is_about() {
    let everybody = deny("\"*\"", "");
    assert_eq!(everybody.decide(&asked("GetSecretValue", ANN)), Effect::Deny);
    assert_eq!(everybody.decide(&asked("DescribeSecret", ANN)), Effect::Nothing);
    for (principal, effect) in [
        (r#"{"AWS":"arn:aws:iam::000000000000:user/ann"}"#, Effect::Deny),
        (r#"{"AWS":["000000000000"]}"#, Effect::Deny),
        (r#"{"AWS":"arn:aws:iam::000000000000:root"}"#, Effect::Deny),
        (r#"{"AWS":"arn:aws:iam::000000000000:user/bob"}"#, Effect::Nothing),
        (r#"{"Service":"lambda.amazonaws.com"}"#, Effect::Nothing),
    ] {
        assert_eq!(deny(principal, "").decide(&asked("GetSecretValue", ANN)), effect, "{principal}");
    }
}

#[test]
fn a_session_is_its_role() {
    let role = deny(r#"{"AWS":"arn:aws:iam::000000000000:role/deploy"}"#, "");
    let session = "arn:aws:sts::000000000000:assumed-role/deploy/job-1";
    assert_eq!(role.decide(&asked("GetSecretValue", session)), Effect::Deny);
    assert_eq!(
        role.decide(&asked("GetSecretValue", "arn:aws:sts::000000000000:assumed-role/other/x")),
        Effect::Nothing
    );
}

#[test]
fn what_is_not_named_is_what_not_is_about() {
    let all_but_ann = policy(&format!(
        r#"{{"Effect":"Deny","NotPrincipal":{{"AWS":"{ANN}"}},"NotAction":"secretsmanager:DescribeSecret","Resource":"{SECRET}"}}"#
    ));
    assert_eq!(all_but_ann.decide(&asked("GetSecretValue", ANN)), Effect::Nothing);
    assert_eq!(all_but_ann.decide(&asked("GetSecretValue", "someone")), Effect::Deny);
    assert_eq!(all_but_ann.decide(&asked("DescribeSecret", "someone")), Effect::Nothing);
}

#[test]
fn conditions_must_all_hold() {
    for (condition, effect) in [
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, Effect::Deny),
        (r#"{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","::1"]}}"#, Effect::Nothing),
        (
            r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"StringEquals":{"aws:PrincipalArn":"nobody"}}"#,
            Effect::Nothing,
        ),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a*"}}"#, Effect::Deny),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2025-12-31T23:59:59Z"}}"#, Effect::Deny),
        (r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#, Effect::Nothing),
        (r#"{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}"#, Effect::Deny),
        (r#"{"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}"#, Effect::Deny),
        (r#"{"Null":{"aws:SourceVpce":"true"}}"#, Effect::Deny),
        (r#"{"Null":{"aws:SourceIp":true}}"#, Effect::Nothing),
    ] {
        let policy = deny("\"*\"", &format!(",\"Condition\":{condition}"));
        assert_eq!(policy.decide(&asked("GetSecretValue", ANN)), effect, "{condition}");
    }
}

#[test]
fn a_deny_outweighs_an_allow() {
    let both = policy(
        r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},
           {"Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*"}"#,
    );
    assert_eq!(both.decide(&asked("DeleteSecret", ANN)), Effect::Deny);
    assert_eq!(both.decide(&asked("GetSecretValue", ANN)), Effect::Allow);
}

#[test]
fn what_lets_everybody_in_is_public() {
    let allow = |principal: &str, condition: &str| {
        policy(&format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"*","Resource":"*"{condition}}}"#))
            .is_public()
    };
    assert!(allow("\"*\"", ""));
    assert!(allow(r#"{"AWS":"*"}"#, ""));
    assert!(allow("\"*\"", r#","Condition":{"StringLike":{"aws:PrincipalArn":"*"}}"#));
    assert!(allow("\"*\"", r#","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#));
    assert!(allow("\"*\"", r#","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}"#));
    assert!(!allow("\"*\"", r#","Condition":{"StringEquals":{"aws:PrincipalAccount":"000000000000"}}"#));
    assert!(!allow(r#"{"AWS":"000000000000"}"#, ""));
    assert!(!deny("\"*\"", "").is_public());
}

#[test]
fn what_is_no_policy_is_refused_with_the_place() {
    let statement = |text: &str| Policy::read(&format!(r#"{{"Statement":[{text}]}}"#)).expect_err("malformed").0;
    for (text, told) in [
        ("{}", "Effect"),
        (r#"{"Effect":"Maybe"}"#, "Effect"),
        (r#"{"Effect":"Deny","Principal":"*","Resource":"*"}"#, "Action"),
        (r#"{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"*"}"#, "s3:GetObject"),
        (r#"{"Effect":"Deny","Principal":"ann","Action":"*","Resource":"*"}"#, "Principal"),
        (r#"{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:user/*"},"Action":"*","Resource":"*"}"#, "principal"),
        (r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"here"}"#, "ARN"),
        (r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"Sounds":{}}}"#, "Sounds"),
        (
            r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"x"}}}"#,
            "SourceIp",
        ),
        (r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","When":1}"#, "When"),
    ] {
        let message = statement(text);
        assert!(message.starts_with("Statement 1: ") && message.contains(told), "{message}");
    }
    for text in
        ["", "[]", "{}", r#"{"Statement":[]}"#, r#"{"Version":"2020-01-01","Statement":{}}"#, r#"{"Statements":[]}"#]
    {
        assert!(Policy::read(text).is_err(), "{text}");
    }
}
