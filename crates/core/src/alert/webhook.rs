//! Messages to receivers, as Standard Webhooks sign them (<https://www.standardwebhooks.com>): the signature covers the
//! message's id, the time of the attempt and the body.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::config::AlertWebhook;
use crate::{
    clock::Timestamp,
    outbound::{Body, Credential, Request},
    outbox::{Addresses, Delivery},
    secret::{SecretBytes, SecretString},
    storage::BoxFuture,
    store::StoreError,
};

/// What the messages of alerts are called in the outbox.
pub(super) const CHANNEL: &str = "alert";

/// Seconds before each further attempt; from then on the last of them.
const PAUSES: [u64; 8] = [1, 2, 5, 10, 30, 120, 600, 3600];

/// Attempts after which a message is given up: three days.
const MOST_ATTEMPTS: u32 = 79;

/// The shortest key that messages are signed with, in bytes.
pub const MIN_SECRET: usize = 24;

/// The key in a secret: what follows `whsec_` is base64, anything else is the key as it is. `None`: it is none, or too
/// short.
#[must_use]
pub fn signing_key(secret: &SecretString) -> Option<SecretBytes> {
    let text = secret.expose_secret();
    let key = match text.strip_prefix("whsec_") {
        Some(encoded) => SecretBytes::new(STANDARD.decode(encoded).ok()?),
        None => SecretBytes::new(text.as_bytes().to_vec()),
    };
    (key.expose_secret().len() >= MIN_SECRET).then_some(key)
}

/// Knows where the messages of alerts go: what is not configured any more is dropped.
pub(super) struct Receivers {
    pub(super) webhooks: Vec<AlertWebhook>,
    pub(super) clock: std::sync::Arc<dyn crate::clock::Clock>,
}

impl Addresses for Receivers {
    fn address<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Option<Request>, StoreError>> {
        let found = self.webhooks.iter().find(|webhook| webhook.name == delivery.target);
        let request = found.and_then(|webhook| request(webhook, delivery, self.clock.now()));
        Box::pin(async move { Ok(request) })
    }

    fn pause(&self, attempts: u32) -> Option<u64> {
        let index = usize::try_from(attempts).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
        PAUSES.get(index).copied().filter(|_| attempts < MOST_ATTEMPTS)
    }
}

fn request(webhook: &AlertWebhook, delivery: &Delivery, now: Timestamp) -> Option<Request> {
    let key = signing_key(&webhook.secret)?;
    let signed = format!("{}.{}.{}", delivery.id, now.as_second(), delivery.body);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret()), signed.as_bytes());
    Some(Request {
        url: webhook.url.clone(),
        ca_pem: webhook.ca_pem.clone(),
        credential: Credential::None,
        headers: vec![
            ("webhook-id".to_owned(), delivery.id.clone()),
            ("webhook-timestamp".to_owned(), now.as_second().to_string()),
            ("webhook-signature".to_owned(), format!("v1,{}", STANDARD.encode(signature))),
        ],
        body: Some(Body::Json(SecretBytes::new(delivery.body.clone().into_bytes()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Severity;

    #[test]
    fn the_signature_is_the_one_of_the_standard() {
        // The example of the specification.
        let webhook = AlertWebhook {
            name: "ops".into(),
            url: "https://ops.example/".into(),
            ca_pem: String::new(),
            secret: SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            severity: Severity::Info,
            conditions: Vec::new(),
            resolved: true,
        };
        let delivery = Delivery {
            channel: CHANNEL.into(),
            target: "ops".into(),
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            body: "{\"test\": 2432232314}".into(),
            attempts: 0,
            created: Timestamp::UNIX_EPOCH,
        };
        let now = Timestamp::from_second(1_614_265_330).expect("a time");
        let request = request(&webhook, &delivery, now).expect("a request");
        let signature = request.headers.iter().find(|(name, _)| name == "webhook-signature").expect("signed");
        assert_eq!(signature.1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_not_too_short() {
        for short in ["", "secret", "whsec_", "whsec_not base64, whatever its length is", "whsec_c2hvcnQ="] {
            assert!(signing_key(&SecretString::from(short)).is_none(), "{short}");
        }
        assert!(signing_key(&SecretString::from("a text of twenty-four ch")).is_some());
    }

    #[test]
    fn a_message_is_tried_for_three_days() {
        let clock = std::sync::Arc::new(crate::clock::SystemClock);
        let receivers = Receivers { webhooks: Vec::new(), clock };
        let all: Vec<u64> = (0..).map_while(|attempts| receivers.pause(attempts)).collect();
        assert!(all.iter().sum::<u64>() >= 71 * 3600 && all.iter().is_sorted(), "{all:?}");
    }
}
