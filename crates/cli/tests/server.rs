//! The built binary as a server: `dev` and `server`, over real sockets, stopped by real signals.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// A running `keyturn`, killed when a test fails.
struct Process(Child);

impl Process {
    fn start(args: &[&str]) -> Self {
        let mut command = keyturn(args);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("keyturn"))
    }

    fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().expect("stdout"))
    }

    /// Sends `signal` and waits for the end; gives what was logged.
    fn stop(mut self, signal: Signal) -> String {
        kill_process(Pid::from_child(&self.0), signal).expect("signal");
        let mut log = String::new();
        self.0.stderr.take().expect("stderr").read_to_string(&mut log).expect("log");
        assert!(self.0.wait().expect("wait").success(), "{log}");
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
    }
}

fn keyturn(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyturn"));
    command.args(args).env_remove("KEYTURN_DEV_ROOT_TOKEN");
    command
}

fn run(args: &[&str]) -> Output {
    keyturn(args).output().expect("keyturn")
}

/// What `dev` printed: its address and the whole text, which ends with an empty line after the examples.
fn banner(process: &mut Process) -> (String, String) {
    let mut text = String::new();
    for line in process.stdout().lines() {
        let line = line.expect("stdout");
        text.push_str(&line);
        text.push('\n');
        if line.contains("python3") {
            break;
        }
    }
    let start = text.find("http://").unwrap_or_else(|| panic!("no address: {text}")) + "http://".len();
    let address = text[start..].split([',', ' ']).next().expect("an address").to_owned();
    (address, text)
}

/// The body of `GET path`.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn dev_is_unsealed_tells_its_address_and_stops_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(&["dev", "--listen", "127.0.0.1:0", "--root-token", "root"]);
        let (address, text) = banner(&mut process);
        assert!(text.contains("VAULT_TOKEN=root") && text.contains("in memory"), "{text}");
        assert!(get(&address, "/v1/sys/seal-status").contains("\"sealed\":false"));
        let log = process.stop(signal);
        assert!(log.contains("stopped") && !log.contains("VAULT_TOKEN"), "{log}");
    }
}

#[test]
fn dev_comes_back_with_the_store_of_its_directory() {
    let parent = tempfile::tempdir().expect("directory");
    let data = parent.path().join("data");
    let args = ["dev", "--listen", "127.0.0.1:0", "--data", text(&data)];
    let mut first = Process::start(&args);
    let (_, said) = banner(&mut first);
    let key = data.join("unseal.key");
    assert!(said.contains(text(&key)) && said.contains("mode 0600"), "{said}");
    assert_eq!(fs::metadata(&key).expect("key").permissions().mode() & 0o777, 0o600);
    first.stop(Signal::TERM);

    let mut second = Process::start(&args);
    let (address, said) = banner(&mut second);
    assert!(said.contains("Back with the secrets"), "{said}");
    let status = get(&address, "/v1/sys/seal-status");
    assert!(status.contains("\"sealed\":false") && status.contains("\"static\""), "{status}");
    second.stop(Signal::TERM);

    fs::remove_file(&key).expect("remove");
    let refused = run(&args);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("put the key file back"));
}

#[test]
fn dev_refuses_an_address_that_others_reach() {
    let refused = run(&["dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loopback"));
}

#[test]
fn server_starts_sealed_logs_its_address_and_drains() {
    let directory = tempfile::tempdir().expect("directory");
    let config = directory.path().join("keyturn.toml");
    let audit = directory.path().join("audit.log");
    fs::write(
        &config,
        "[storage]\ntype = \"embedded\"\npath = \"store\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[audit.device]]\ntype = \"file\"\npath = \"audit.log\"\n",
    )
    .expect("write");
    let mut process = Process::start(&["server", "--config", text(&config)]);
    let mut log = BufReader::new(process.0.stderr.take().expect("stderr")).lines();
    let address = log.by_ref().find_map(|line| Some(line.expect("log").split_once("http://")?.1.to_owned()));
    let address = address.expect("an address in the log");
    assert!(get(&address, "/v1/sys/seal-status").contains("\"sealed\":true"));
    assert!(audit.exists() && directory.path().join("store").exists());

    let id = Pid::from_child(&process.0);
    fs::rename(&audit, directory.path().join("audit.log.1")).expect("rotate");
    kill_process(id, Signal::HUP).expect("signal");
    assert!(log.by_ref().any(|line| line.is_ok_and(|line| line.contains("reloaded the audit devices"))));
    assert!(audit.exists(), "the audit file was not opened anew");
    kill_process(id, Signal::TERM).expect("signal");
    assert!(log.any(|line| line.is_ok_and(|line| line.contains("stopped"))));
    assert!(process.0.wait().expect("wait").success());
}

#[test]
fn check_tells_every_problem_and_starts_nothing() {
    let directory = tempfile::tempdir().expect("directory");
    let config = directory.path().join("keyturn.toml");
    fs::write(&config, "[storage]\ntype = \"embedded\"\npath = \"store\"\n").expect("write");
    let good = run(&["server", "--config", text(&config), "--check"]);
    assert!(good.status.success(), "{good:?}");
    assert!(!directory.path().join("store").exists());

    fs::write(&config, "[storage]\ntype = \"memory\"\n[limits]\njson_depth = 1\n[log]\nlvl = 1\n").expect("write");
    let bad = run(&["server", "--config", text(&config), "--check"]);
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(2), "{said}");
    assert!(said.contains("keyturn.toml:4:14: limits.json_depth is 1"), "{said}");
    assert!(said.contains("keyturn.toml:6:1: unknown key `lvl` in [log]; allowed: level, format"), "{said}");
}
