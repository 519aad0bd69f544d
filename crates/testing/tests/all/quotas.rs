//! Rate limits through the door: windows end when the clock says so, refusals are recorded if that is wanted.

use std::net::SocketAddr;

use keyturn_core::{
    door::{Answer, Ask, Credential},
    policy::Operation,
    quota::{QuotaConfig, Standing, WriteQuota},
    secret::SecretBytes,
};
use keyturn_testing::TestNode;

fn remote() -> Option<SocketAddr> {
    "203.0.113.7:4000".parse().ok()
}

/// A permit for one operation of the root token.
macro_rules! permitted {
    ($store:expr, $core:expr, $operation:expr, $path:expr, |$permit:ident| $work:expr) => {{
        let ask = Ask {
            credential: Some(Credential::Token(&$store.root_token)),
            remote: remote(),
            ..Ask::new("id", $operation, $path)
        };
        let (exchange, admitted) = $core.admit(ask).await;
        let $permit = admitted.expect("root may do everything");
        let outcome = $work;
        exchange.conclude(Answer::default()).await.expect("recorded");
        outcome
    }};
}

type Taken = Result<Option<Standing>, Box<dyn std::error::Error>>;

async fn take(store: &TestNode, path: &str, from: &str) -> Taken {
    Ok(store.core()?.rate_limit(path, Some(from.parse()?), &SecretBytes::default()).await?)
}

#[tokio::test]
async fn a_window_ends_when_the_clock_says_so() {
    let store = TestNode::start().await.expect("node");
    let core = store.core().expect("open");
    assert_eq!(take(&store, "secret/data/a", "203.0.113.7").await.expect("store"), None);
    let quota = WriteQuota { path: "secret".into(), rate: 1.0, interval: 60, ..WriteQuota::default() };
    permitted!(store, core, Operation::Update, "sys/quotas/rate-limit/q", |permit| {
        core.quotas().write(permit, "q", quota).await.expect("written")
    });
    let allowed = async |path, from| take(&store, path, from).await.expect("store").map(|standing| standing.allowed);
    assert_eq!(allowed("secret/data/a", "203.0.113.7").await, Some(true));
    assert_eq!(allowed("secret/data/b", "203.0.113.7").await, Some(false));
    // The same host by its address in IPv6, and another host.
    assert_eq!(allowed("secret/data/b", "::ffff:203.0.113.7").await, Some(false));
    assert_eq!(allowed("secret/data/b", "203.0.113.8").await, Some(true));
    assert_eq!(allowed("sys/mounts", "203.0.113.7").await, None);
    store.clock.advance(keyturn_core::clock::SignedDuration::from_secs(59));
    let refused = take(&store, "secret/data/a", "203.0.113.7").await.expect("store");
    assert_eq!(refused.map(|standing| standing.retry_after), Some(1));
    store.clock.advance(keyturn_core::clock::SignedDuration::from_secs(1));
    assert_eq!(allowed("secret/data/a", "203.0.113.7").await, Some(true));
    // A caller in this process has no address and is not limited.
    assert!(core.rate_limit("secret/data/a", None, &SecretBytes::default()).await.expect("store").is_none());
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_reason() {
    let store = TestNode::start().await.expect("node");
    let core = store.core().expect("open");
    let config = QuotaConfig { audit_logging: true, ..QuotaConfig::default() };
    permitted!(store, core, Operation::Update, "sys/quotas/config", |permit| {
        core.quotas().configure(permit, config).await.expect("configured")
    });
    let data = SecretBytes::new(br#"{"password":"hunter2"}"#.to_vec());
    let ask = Ask {
        credential: Some(Credential::Token(&store.root_token)),
        remote: remote(),
        data: &data,
        ..Ask::new("refused-request", Operation::Update, "secret/data/a")
    };
    core.turn_away(ask, "over the limit").await.expect("recorded");
    let lines = store.audit.lines();
    let mine: Vec<_> = lines.iter().filter(|line| line.contains("refused-request")).collect();
    assert!(!mine.is_empty() && mine.iter().all(|line| line.contains("over the limit")), "{lines:?}");
    assert!(mine.iter().all(|line| !line.contains("hunter2") && !line.contains(store.root_token.expose_secret())));
}
