//! A server that answers from a script and remembers what it was asked, and a way to run the binary against it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it arrived; header names in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    /// `GET /v1/…`
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Wrap = dyn Fn(TcpStream) -> Box<dyn Stream> + Send + Sync;

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Answers each `METHOD target` with a status and a body; what is not in the script gets a 404. A test that expects a
/// request and did not script it therefore fails on the exit code.
pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Responder {
    pub(crate) fn new(script: &[(&str, u16, &str)]) -> Self {
        Self::wrapped(script, Box::new(|stream| Box::new(stream)))
    }

    /// With a layer between TCP and HTTP, such as TLS.
    pub(crate) fn wrapped(script: &[(&str, u16, &str)], wrap: Box<Wrap>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script: BTreeMap<String, (u16, String)> =
            script.iter().map(|(line, status, body)| ((*line).to_owned(), (*status, (*body).to_owned()))).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        // Ends with the test's process; each connection carries one request.
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that does not trust the certificate hangs up: the next may do better.
                let Some(mut stream) = stream.ok().map(&wrap) else { continue };
                let Some(request) = receive(&mut stream) else { continue };
                let (status, body) =
                    script.get(&request.line()).cloned().unwrap_or((404, r#"{"errors":[]}"#.to_owned()));
                log.lock().unwrap().push(request);
                answer(&mut stream, status, &body);
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The one request that is not the question which mount serves a path.
    pub(crate) fn only(&self) -> Request {
        let mut requests = self.seen();
        requests.retain(|request| !request.target.starts_with("/v1/sys/internal/ui/mounts/"));
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }
}

fn receive(stream: &mut Box<dyn Stream>) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body: String::from_utf8(body).unwrap() })
}

fn answer(stream: &mut Box<dyn Stream>, status: u16, body: &str) {
    let location = if status == 307 { "Location: http://127.0.0.2:1/v1/elsewhere\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{location}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A client that has gone away shows in its own exit code.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .and_then(|()| stream.flush());
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `keyturn` with nothing in its environment but a home, and `variables`.
pub(crate) fn keyturn(home: &Path, variables: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyturn"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verb that does not read its input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
