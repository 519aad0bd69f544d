//! Service accounts, as tokens name them: those of pods below `kubernetes.io`, older ones flat.

use serde_json::Value;

use super::KubernetesError;
use crate::login::jose::Claims;

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    /// The secret that an older token comes from.
    pub(super) secret: String,
}

impl Account {
    /// Whom the claims name.
    ///
    /// # Errors
    /// When they name nobody.
    pub(super) fn of(claims: &Claims) -> Result<Self, KubernetesError> {
        let flat = |name: &str| text(claims.get(&format!("kubernetes.io/serviceaccount/{name}")));
        let account = match claims.get("kubernetes.io") {
            Some(bound) => Self {
                name: text(bound.pointer("/serviceaccount/name")),
                namespace: text(bound.get("namespace")),
                uid: text(bound.pointer("/serviceaccount/uid")),
                secret: String::new(),
            },
            None => Self {
                name: flat("service-account.name"),
                namespace: flat("namespace"),
                uid: flat("service-account.uid"),
                secret: flat("secret.name"),
            },
        };
        let missing = |what: &str| Err(KubernetesError::Refused(format!("could not parse {what} from claims")));
        match (account.name.is_empty(), account.namespace.is_empty(), account.uid.is_empty()) {
            (true, ..) => missing("name"),
            (_, true, _) => missing("namespace"),
            (.., true) => missing("UID"),
            _ => Ok(account),
        }
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(claims: &Value) -> Result<Account, KubernetesError> {
        Account::of(claims.as_object().expect("an object"))
    }

    #[test]
    fn both_forms_are_read() {
        let bound = account(&json!({"kubernetes.io": {
            "namespace": "dev", "pod": {"name": "p"}, "serviceaccount": {"name": "app", "uid": "u"}}}));
        let flat = account(&json!({
            "kubernetes.io/serviceaccount/namespace": "dev",
            "kubernetes.io/serviceaccount/secret.name": "app-token-x",
            "kubernetes.io/serviceaccount/service-account.name": "app",
            "kubernetes.io/serviceaccount/service-account.uid": "u"}));
        let (bound, flat) = (bound.expect("an account"), flat.expect("an account"));
        assert_eq!((&bound.name, &bound.namespace, &bound.uid), (&flat.name, &flat.namespace, &flat.uid));
        assert_eq!((bound.secret.as_str(), flat.secret.as_str()), ("", "app-token-x"));
    }

    #[test]
    fn nobody_is_refused() {
        for claims in [
            json!({}),
            json!({"kubernetes.io": "x"}),
            json!({"kubernetes.io": {"namespace": "dev", "serviceaccount": {"name": "app"}}}),
            json!({"kubernetes.io": {"serviceaccount": {"name": "app", "uid": "u"}}}),
            json!({"kubernetes.io": {"namespace": "dev", "serviceaccount": {"name": 5, "uid": "u"}}}),
        ] {
            assert!(account(&claims).is_err(), "{claims}");
        }
    }
}
