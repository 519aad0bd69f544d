use std::{os::unix::net::UnixDatagram, time::Duration};

use super::*;

const ENTRY: &[u8] = b"{\"time\":\"2026-01-02T03:04:05.678Z\",\"type\":\"request\"}\n";

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A daemon that listens in a directory of its own, and a device for it with these further options.
fn daemon(more: &[(&str, &str)]) -> (tempfile::TempDir, UnixDatagram, SyslogDevice) {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("log");
    let daemon = UnixDatagram::bind(&path).expect("bind");
    daemon.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    let mut options = options(more);
    options.insert("address".to_owned(), path.display().to_string());
    (directory, daemon, SyslogDevice::new(&options).expect("device"))
}

fn heard(daemon: &UnixDatagram) -> String {
    let mut buffer = vec![0; 1 << 20];
    let length = daemon.recv(&mut buffer).expect("a message");
    String::from_utf8(buffer[..length].to_vec()).expect("text")
}

#[test]
fn each_entry_is_a_message_of_its_own_with_priority_time_and_tag() {
    let (_directory, daemon, device) = daemon(&[]);
    device.write(&[ENTRY, ENTRY].concat()).expect("write");
    let pid = std::process::id();
    let expected =
        format!("<38>Jan  2 03:04:05 vault[{pid}]: {{\"time\":\"2026-01-02T03:04:05.678Z\",\"type\":\"request\"}}");
    assert_eq!([heard(&daemon), heard(&daemon)], [expected.clone(), expected]);
}

#[test]
fn facility_and_tag_are_the_operators() {
    let (_directory, daemon, device) = daemon(&[("facility", "local7"), ("tag", "keyturn-prod")]);
    device.write(b"{\"no\":\"time\"}\n").expect("write");
    let pid = std::process::id();
    assert_eq!(heard(&daemon), format!("<190>keyturn-prod[{pid}]: {{\"no\":\"time\"}}"));
}

#[test]
fn the_defaults_are_vaults_and_bad_options_are_told_by_name() {
    assert!(SyslogDevice::new(&options(&[])).is_ok());
    for (name, value) in [
        ("facility", "LOCAL8"),
        ("facility", "AUDIT"),
        ("tag", "a b"),
        ("tag", "a{"),
        ("tag", "a\nb"),
        ("tag", "0123456789012345678901234567890123456789"),
        ("address", "log"),
        ("write_timeout", "never"),
    ] {
        let error = SyslogDevice::new(&options(&[(name, value)])).expect_err(value).to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn the_largest_entry_leaves_whole_and_nothing_larger_is_cut() {
    let (_directory, daemon, device) = daemon(&[]);
    let entry = |length: usize| {
        let (start, end) = ("{\"time\":\"2026-01-02T03:04:05.678Z\",\"x\":\"", "\"}\n");
        format!("{start}{}{end}", "x".repeat(length - start.len() - end.len())).into_bytes()
    };
    device.write(&entry(device.largest())).expect("the largest");
    assert!(heard(&daemon).ends_with("x\"}"));
    let error = device.write(&entry(device.largest() + 64)).expect_err("larger").to_string();
    assert!(error.contains("log cannot be written"), "{error}");
    device.write(ENTRY).expect("goes on");
    assert!(heard(&daemon).ends_with("\"request\"}"), "the larger one was not sent");
}

#[test]
fn a_daemon_that_comes_back_is_found_again() {
    let (directory, daemon, device) = daemon(&[]);
    device.write(ENTRY).expect("write");
    drop(daemon);
    assert!(device.write(ENTRY).is_err(), "nobody listens");
    let path = directory.path().join("log");
    std::fs::remove_file(&path).expect("remove");
    assert!(device.write(ENTRY).is_err(), "there is no socket");
    let again = UnixDatagram::bind(&path).expect("bind");
    again.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    device.write(ENTRY).expect("write");
    assert!(heard(&again).starts_with("<38>"));
}

#[test]
fn a_daemon_that_takes_streams_gets_lines() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("log");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    let device = SyslogDevice::new(&options(&[("address", &path.display().to_string())])).expect("device");
    device.write(&[ENTRY, ENTRY].concat()).expect("write");
    let (stream, _) = listener.accept().expect("the device has connected");
    drop(device);
    let text = std::io::read_to_string(stream).expect("text");
    assert_eq!(text.lines().filter(|line| line.starts_with("<38>Jan  2 03:04:05 vault[")).count(), 2, "{text}");
}
