//! One probe: a request to the application, or a command. What it says is thrown away; it may hold secrets.

use std::fmt;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use ureq::Agent;
use ureq::http::{Response, Uri};

use super::beat::Beat;
use crate::client::{TlsError, Trust, is_loopback};

/// Between two looks at a command that runs.
const PAUSE: Duration = Duration::from_millis(10);
/// Bytes of a command's standard error that are shown, if they are asked for.
const MAX_SHOWN: usize = 2048;
/// How long the standard error of a command that has ended is waited for: a process that it left may hold it open.
const SHOWN_WITHIN: Duration = Duration::from_millis(500);
/// Characters of the URL that a redirect names.
const MAX_LOCATION: usize = 120;

/// Text that is no probe's URL. It is not repeated: it may hold a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    /// It does not parse, has no host or another scheme.
    #[error("--probe takes a URL like http://127.0.0.1:8080/health")]
    NotAUrl,
    /// `user:password@`.
    #[error("--probe takes no user or password in the URL: use --probe-cmd with a command that reads them")]
    Credentials,
}

/// What is tried again and again.
#[derive(Debug)]
pub(super) struct Probe {
    /// How reports name it: a URL without its query, a command by its number; neither may tell a secret.
    pub(super) label: String,
    what: What,
    timeout: Duration,
}

#[derive(Debug)]
enum What {
    Url { agent: Agent, url: String },
    Command { line: String, shows_output: bool },
}

/// A try that was no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// Why; no word of the application's.
    pub(super) reason: String,
    /// The beginning of what a command wrote to standard error, if that is to be shown.
    pub(super) output: Option<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.output.as_deref() {
            None | Some("") => Ok(()),
            Some(output) => write!(f, ": {output}"),
        }
    }
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self { reason, output: None }
    }
}

impl Probe {
    /// A request; each over a connection of its own.
    pub(super) fn url(text: &str, trust: &Trust, timeout: Duration) -> Result<Self, ProbeError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::NotAUrl)?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(UrlError::NotAUrl)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(UrlError::Credentials.into());
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .timeout_global(Some(timeout))
            .user_agent(concat!("keyturn-drill/", env!("CARGO_PKG_VERSION")));
        if is_loopback(host) {
            config = config.proxy(None);
        }
        let scheme = uri.scheme_str().unwrap_or_default();
        match scheme {
            "http" => {}
            "https" => config = config.tls_config(trust.config(None)?),
            _ => return Err(UrlError::NotAUrl.into()),
        }
        let label = format!("{scheme}://{authority}{}", uri.path());
        let what = What::Url { agent: config.build().new_agent(), url: text.to_owned() };
        Ok(Self { label, what, timeout })
    }

    /// A command for the shell.
    pub(super) fn command(number: usize, line: &str, timeout: Duration, shows_output: bool) -> Self {
        let what = What::Command { line: line.to_owned(), shows_output };
        Self { label: format!("command {number}"), what, timeout }
    }

    /// Whether what it runs has to be ended before the drill may.
    pub(super) const fn is_command(&self) -> bool {
        matches!(self.what, What::Command { .. })
    }

    /// Tries once, within its time.
    pub(super) fn once(&self, beat: &Beat) -> Result<(), Failed> {
        match &self.what {
            What::Url { agent, url } => match agent.get(url).header("Connection", "close").call() {
                Ok(answer) => judge(&answer),
                Err(error) => Err(self.unanswered(&error).into()),
            },
            What::Command { line, shows_output } => self.run(line, *shows_output, beat),
        }
    }

    fn unanswered(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("no answer within {}", super::seconds(self.timeout)),
            ureq::Error::HostNotFound => "the host is unknown".to_owned(),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                "nothing listens there".to_owned()
            }
            other => format!("no answer: {other}"),
        }
    }

    fn run(&self, line: &str, shows_output: bool, beat: &Beat) -> Result<(), Failed> {
        let mut command = Command::new("sh");
        // A group of its own: Ctrl-C is for the drill, and what the command starts ends with it.
        command.arg("-c").arg(line).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command.stderr(if shows_output { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|error| format!("the shell does not start: {error}"))?;
        let output = child.stderr.take().map(collect);
        let outcome = self.wait(&mut child, beat);
        let failed = match outcome {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => described(status),
            Err(reason) => reason,
        };
        let output = output.and_then(|output| output.recv_timeout(SHOWN_WITHIN).ok());
        Err(Failed { reason: failed, output })
    }

    fn wait(&self, child: &mut Child, beat: &Beat) -> Result<ExitStatus, String> {
        let began = Instant::now();
        let reason = loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if beat.is_over() => break "the drill ended".to_owned(),
                Ok(None) if began.elapsed() >= self.timeout => {
                    break format!("no exit within {}", super::seconds(self.timeout));
                }
                Ok(None) => thread::sleep(PAUSE),
                Err(error) => break format!("its exit is not known: {error}"),
            }
        };
        // Gone already, or refused: there is nothing else to try.
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        let _ = child.wait();
        Err(reason)
    }
}

/// Why there is no such probe.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn judge(answer: &Response<ureq::Body>) -> Result<(), Failed> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    if !status.is_redirection() {
        return Err(format!("status {}", status.as_u16()).into());
    }
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or("elsewhere");
    let bare = location.split(['?', '#']).next().unwrap_or_default();
    let bare: String = bare.chars().take(MAX_LOCATION).collect();
    Err(format!("status {}, a redirect to {bare}: probe the URL that answers itself", status.as_u16()).into())
}

fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended without an exit code".to_owned(),
    }
}

/// Keeps the beginning of what is written, and reads the rest so that nobody waits to write it.
fn collect(mut stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut part) {
            let room = MAX_SHOWN.saturating_sub(kept.len()).min(read);
            kept.extend_from_slice(&part[..room]);
        }
        // Whoever asked may have gone.
        let _ = sender.send(String::from_utf8_lossy(&kept).trim().to_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn outcome(line: &str, timeout: Duration, shows: bool) -> Result<(), String> {
        let probe = Probe::command(1, line, timeout, shows);
        probe.once(&Beat::default()).map_err(|failed| failed.to_string())
    }

    #[test]
    fn a_command_is_judged_by_its_exit_alone() {
        assert_eq!(outcome("exit 0", TIMEOUT, false), Ok(()));
        assert_eq!(outcome("echo canary; echo canary >&2; exit 3", TIMEOUT, false), Err("exit code 3".to_owned()));
        assert_eq!(outcome("kill -9 $$", TIMEOUT, false), Err("ended by signal 9".to_owned()));
    }

    #[test]
    fn its_complaints_are_shown_if_asked_and_cut_short() {
        let told = outcome("echo out; echo why >&2; exit 1", TIMEOUT, true);
        assert_eq!(told, Err("exit code 1: why".to_owned()));
        let long = outcome("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", TIMEOUT, true).unwrap_err();
        assert_eq!(long.len(), "exit code 1: ".len() + MAX_SHOWN);
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let told = outcome("sleep 600 & sleep 600", Duration::from_millis(50), true);
        assert_eq!(told, Err("no exit within 50ms".to_owned()));
    }

    #[test]
    fn a_label_tells_no_query() {
        let trust = Trust::System { preferred: None };
        let probe = |text: &str| Probe::url(text, &trust, TIMEOUT);
        assert_eq!(probe("http://localhost:1/health?key=canary").unwrap().label, "http://localhost:1/health");
        for bad in ["", "/health", "localhost", "ftp://localhost/", "http://"] {
            assert!(matches!(probe(bad), Err(ProbeError::Url(UrlError::NotAUrl))), "{bad}");
        }
        let error = probe("http://u:canary@localhost/").unwrap_err();
        assert!(matches!(error, ProbeError::Url(UrlError::Credentials)) && !error.to_string().contains("canary"));
    }

    #[test]
    fn only_success_is_a_success() {
        let answer = |status: u16, location: &str| {
            let answer = Response::builder().status(status).header("location", location);
            judge(&answer.body(ureq::Body::builder().data("canary")).unwrap()).map_err(|failed| failed.to_string())
        };
        assert_eq!(answer(204, ""), Ok(()));
        assert_eq!(answer(503, ""), Err("status 503".to_owned()));
        let told = answer(302, "https://sso.example/login?state=canary").unwrap_err();
        assert!(told.contains("status 302, a redirect to https://sso.example/login:"), "{told}");
    }
}
