//! A server, access keys, requests that can be altered after they are signed, and their answers.

use std::sync::Arc;

use keyturn_core::{
    access_key::{CreateAccessKey, CredentialScope, IssuedAccessKey, SigningKey},
    clock::SignedDuration,
    core::Core,
    door::{Answer as Concluded, Ask, Credential, Permit},
    policy::Operation,
    secret::SecretString,
    storage::Storage as _,
};
use keyturn_protocol::aws::sigv4::{AmzTime, CanonicalRequest, SignedHeaders, Signer, Signing, hash};
use keyturn_testing::TestServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) const REGION: &str = "eu-west-1";
const TARGET: &str = "secretsmanager.NoSuchOperation";

pub(crate) struct Fixture {
    pub(crate) server: TestServer,
    pub(crate) core: Arc<Core>,
}

/// A request, as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let headers = vec![("host".to_owned(), "keyturn.test".to_owned())];
        Self { method: method.to_owned(), path: path.to_owned(), query: String::new(), headers, body: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// Alters the value of a header.
    pub(crate) fn alter(mut self, name: &str, alter: impl FnOnce(&str) -> String) -> Self {
        let (_, value) = self.headers.iter_mut().find(|(known, _)| known == name).expect("the header");
        *value = alter(value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }
}

/// A form of the query protocol.
pub(crate) fn form(body: &str) -> Request {
    Request::new("POST", "/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8").body(body)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The error's code, in either protocol.
    pub(crate) fn code(&self) -> &str {
        let between = |start: &str, end: &str| {
            let (_, rest) = self.body.split_once(start)?;
            rest.split_once(end).map(|(code, _)| code)
        };
        between("<Code>", "</Code>").or_else(|| between("\"__type\":\"", "\"")).unwrap_or("no error")
    }
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let server = TestServer::start().await.expect("a server");
        let core = server.store.core().expect("open");
        Self { server, core }
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.server.store.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub(crate) fn audited(&self) -> Vec<String> {
        self.server.store.audit.lines()
    }

    /// How many records of access keys there are.
    pub(crate) async fn records(&self) -> usize {
        self.server.store.storage.keys(b"access-key/", None, 1000).await.expect("keys").len()
    }

    /// A permit as root.
    pub(crate) async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.permit_of(self.server.root_token(), operation, path).await
    }

    pub(crate) async fn permit_of(&self, token: &SecretString, operation: Operation, path: &str) -> Permit {
        let ask = Ask { credential: Some(Credential::Token(token)), ..Ask::new("test", operation, path) };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Concluded::default()).await.expect("recorded");
        admitted.expect("may")
    }

    pub(crate) async fn key(&self, name: &str, ttl: u64) -> IssuedAccessKey {
        let policies = vec!["default".to_owned()];
        self.make(CreateAccessKey { name: name.to_owned(), policies, ttl, ..CreateAccessKey::default() }).await
    }

    pub(crate) async fn make(&self, ask: CreateAccessKey) -> IssuedAccessKey {
        let permit = self.permit(Operation::Update, "sys/aws-keys").await;
        self.core.access_keys().create(permit, ask).await.expect("a key")
    }

    pub(crate) fn signer(&self, key: &IssuedAccessKey, service: &str) -> Signer {
        Signer {
            access_key_id: key.id.clone(),
            secret_access_key: key.secret.clone(),
            session_token: None,
            region: REGION.to_owned(),
            service: service.to_owned(),
        }
    }

    /// Signs all headers of a request, now.
    pub(crate) fn sign(&self, key: &IssuedAccessKey, service: &str, request: Request) -> Request {
        self.sign_by(&self.signer(key, service), request)
    }

    pub(crate) fn sign_by(&self, signer: &Signer, mut request: Request) -> Request {
        let what = Signing {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            body: request.body.as_bytes(),
            time: self.core.now(),
        };
        signer.sign(&what, &mut request.headers).expect("signed");
        request
    }

    /// A good request to Secrets Manager.
    pub(crate) fn secrets_manager(&self, key: &IssuedAccessKey) -> Request {
        let request = Request::new("POST", "/").header("x-amz-target", TARGET).body("{}");
        self.sign(key, "secretsmanager", request.header("content-type", "application/x-amz-json-1.1"))
    }

    /// A good request to STS.
    pub(crate) fn sts(&self, key: &IssuedAccessKey) -> Request {
        self.sign(key, "sts", form("Action=GetCallerIdentity&Version=2011-06-15"))
    }

    /// A URL that says who `key` is, for some seconds.
    pub(crate) fn presigned(&self, key: &IssuedAccessKey, expires: u64) -> Request {
        let time = AmzTime::of(self.core.now());
        let text = format!("{}/{}/{REGION}/sts/aws4_request", key.id, time.date());
        let scope = CredentialScope::parse(&text).expect("a scope");
        let query = format!(
            "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}\
             &X-Amz-Date={}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host",
            text.replace('/', "%2F"),
            time.as_str()
        );
        let request = Request::new("GET", "/").query(&query);
        let canonical = CanonicalRequest {
            method: "GET",
            path: "/",
            query: &query,
            headers: request.headers.as_slice(),
            signed: SignedHeaders::parse("host").expect("names"),
            body_hash: &hash(b""),
        };
        let string = canonical.string_to_sign(time.as_str(), scope.without_key()).expect("canonical");
        let signature = SigningKey::derive(&key.secret, &scope).sign(string.as_bytes());
        request.query(&format!("{query}&X-Amz-Signature={}", hex::encode(signature)))
    }

    /// Sends the very bytes and reads the answer.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        let address = self.server.address().replace("http://", "");
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let mark = if request.query.is_empty() { "" } else { "?" };
        let mut text = format!("{} {}{mark}{} HTTP/1.1\r\n", request.method, request.path, request.query);
        for (name, value) in &request.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{}", request.body.len(), request.body));
        // A server that refuses a large body may close before it has read all of it.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, body: body.to_owned() }
    }
}
