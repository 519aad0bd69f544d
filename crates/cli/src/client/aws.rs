//! Requests to a JSON service of AWS, or to what speaks like one: signed, and sent to the root.

use keyturn_core::clock::{Clock as _, SystemClock};
use keyturn_core::secret::SecretBytes;
use keyturn_protocol::aws::secretsmanager::CONTENT_TYPE;
use keyturn_protocol::aws::sigv4::{Signer, Signing, TARGET_HEADER};
use ureq::http::{HeaderValue, Method, Request, StatusCode};

use super::{Client, ClientError, MAX_ANSWER};

impl Client {
    /// `POST` of a JSON body to an operation, `service.Name`; the answer is the caller's to judge.
    pub(crate) fn post_signed(
        &self,
        signer: &Signer,
        operation: &str,
        body: &SecretBytes,
    ) -> Result<(StatusCode, SecretBytes), ClientError> {
        let (url, host, path) = self.address.root();
        let mut headers = [("host", host), ("content-type", CONTENT_TYPE), (TARGET_HEADER, operation)]
            .map(|(n, v)| (n.into(), v.into()))
            .to_vec();
        let what = Signing { method: "POST", path, query: "", body: body.expose_secret(), time: SystemClock.now() };
        signer.sign(&what, &mut headers).map_err(|_| ClientError::Transport {
            address: self.address.clone(),
            reason: "the request cannot be signed: check the access key's id and the region".to_owned(),
        })?;
        let mut answer = self.send_signed(url, headers, body).map_err(|error| self.failed(error))?;
        let status = answer.status();
        if status.is_redirection() {
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let location = location.unwrap_or("another server").to_owned();
            return Err(ClientError::Redirected { address: self.address.clone(), location });
        }
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        Ok((status, SecretBytes::new(text.map_err(|error| self.failed(error))?)))
    }

    fn send_signed(
        &self,
        url: String,
        headers: Vec<(String, String)>,
        body: &SecretBytes,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = Request::builder().method(Method::POST).uri(url);
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(&value).map_err(ureq::http::Error::from)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        self.agent.run(request.body(body.expose_secret())?)
    }

    /// Whether what is sent can be read on its way to another machine.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        !self.address.is_tls() && !self.address.is_loopback()
    }
}
