//! Real servers for tests, started by the script that the black-box tests use as well.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "for tests; each of them uses a part"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use keyturn_core::target::{Access, PasswordAuthentication, Target, TargetKind, Targets, Tls};
use keyturn_targets::Engines;
use serde_json::Value;

/// A server of a test's own, or of a file of tests. It ends with this process, however that ends.
pub struct Server {
    child: Child,
    input: Mutex<ChildStdin>,
    output: Mutex<BufReader<std::process::ChildStdout>>,
    about: Value,
    pid: AtomicU64,
    kind: TargetKind,
}

impl Server {
    pub fn start(kind: TargetKind) -> Self {
        Self::start_with(kind, &[])
    }

    pub fn start_with(kind: TargetKind, options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/databases.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(["run", kind.name()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let input = Mutex::new(child.stdin.take().unwrap());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let about = description(&mut output);
        let pid = AtomicU64::new(pid_in(&about));
        Self { child, input, output: Mutex::new(output), about, pid, kind }
    }

    pub fn text(&self, name: &str) -> &str {
        self.about[name].as_str().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.about["port"].as_u64().unwrap().try_into().unwrap()
    }

    pub fn directory(&self) -> PathBuf {
        PathBuf::from(self.text("directory"))
    }

    pub fn restart(&self) {
        self.input.lock().unwrap().write_all(b"restart\n").unwrap();
        let about = description(&mut *self.output.lock().unwrap());
        self.pid.store(pid_in(&about), Ordering::Relaxed);
    }

    /// Stops or continues the server, with its processes for connections.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.load(Ordering::Relaxed);
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all = children.split_whitespace().map(str::to_owned).chain([pid.to_string()]);
        // One that ended in between is no concern.
        let _ = Command::new("kill").arg(format!("-{name}")).args(all).stderr(Stdio::null()).status().unwrap();
    }

    /// How the administrator reaches it.
    pub fn access(&self) -> Access {
        let port = self.port();
        let url = match self.kind {
            TargetKind::Postgresql => {
                format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable")
            }
            TargetKind::Mysql => format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{port})/"),
            TargetKind::Redis => format!("redis://127.0.0.1:{port}"),
        };
        Access {
            kind: self.kind,
            url: url.into(),
            username: self.text("user").to_owned(),
            password: self.text("password").into(),
            tls: Tls::default(),
            max_open_connections: 0,
            max_idle_connections: 0,
            max_connection_lifetime: 0,
            timeout: 20,
            password_authentication: PasswordAuthentication::Password,
        }
    }

    pub fn target(&self) -> Arc<dyn Target> {
        Engines.open(self.access()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("CONT");
        let _ = self.input.lock().unwrap().write_all(b"stop\n");
        let _ = self.child.wait();
    }
}

fn pid_in(about: &Value) -> u64 {
    about["pid"].as_u64().unwrap()
}

fn description(output: &mut impl BufRead) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("the database does not start; see above, or run ./test once"))
}
