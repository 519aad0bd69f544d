use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::Value;

use super::*;
use crate::{
    audit::{AuthRecord, Device, DeviceError},
    secret::SecretString,
};

/// Keeps what it is given, or refuses it.
#[derive(Default)]
struct Recorder {
    lines: Mutex<Vec<String>>,
    broken: AtomicBool,
    reopened: AtomicUsize,
}

impl Recorder {
    fn broken() -> Arc<Self> {
        Arc::new(Self { broken: AtomicBool::new(true), ..Self::default() })
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lock").clone()
    }

    fn result(&self) -> Result<(), DeviceError> {
        if self.broken.load(Ordering::Relaxed) { Err(DeviceError("no space left on device".into())) } else { Ok(()) }
    }
}

impl Device for Recorder {
    fn write(&self, line: &[u8]) -> Result<(), DeviceError> {
        self.result()?;
        self.lines.lock().expect("lock").push(String::from_utf8(line.to_vec()).expect("UTF-8"));
        Ok(())
    }

    fn reopen(&self) -> Result<(), DeviceError> {
        self.reopened.fetch_add(1, Ordering::Relaxed);
        self.result()
    }
}

fn info(path: &str) -> DeviceInfo {
    DeviceInfo { path: path.into(), kind: "file".into(), ..DeviceInfo::default() }
}

/// A broker with these devices at `0/`, `1/` …, each with a salt of its own.
fn broker(devices: &[&Arc<Recorder>]) -> Broker {
    let broker = Broker::new();
    for (salt, device) in (0..).zip(devices) {
        let device: Arc<Recorder> = Arc::clone(device);
        let writer = Arc::new(Writer::new(&format!("{salt}/"), device, None));
        broker.add(info(&salt.to_string()), writer, &Key256::new([salt; 32])).expect("added");
    }
    broker
}

/// What comes of a recording.
fn done(recording: Result<Recording, AuditFailure>) -> Result<(), AuditFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(recording?.done())
}

/// Keeps the text of every event of its thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            text.push_str(&format!(" {field}={value:?}"));
        });
        self.0.lock().expect("lock").push(text);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn without_a_device_everything_counts_as_recorded() {
    let broker = Broker::new();
    let not_json = RequestRecord { data: Some(b"]"), ..RequestRecord::default() };
    assert_eq!(done(broker.record_request(&not_json)), Ok(()));
    assert_eq!(done(broker.record_response(&not_json, &ResponseRecord::default())), Ok(()));
}

#[test]
fn each_device_gets_each_entry_under_its_own_salt() {
    let (one, two) = (Arc::default(), Arc::default());
    let broker = broker(&[&one, &two]);
    let token = SecretString::from("canary");
    let request =
        RequestRecord { client_token: Some(&token), auth: Some(AuthRecord::default()), ..RequestRecord::default() };
    done(broker.record_request(&request)).expect("recorded");
    done(broker.record_response(&request, &ResponseRecord::default())).expect("recorded");

    for (path, device) in [("0", one), ("1", two)] {
        let entries: Vec<Value> = device.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let hash = broker.hash_for(path, "canary").expect("device");
        assert_eq!(entries.len(), 2);
        assert_eq!((&entries[0]["type"], &entries[1]["type"]), (&"request".into(), &"response".into()));
        assert!(entries.iter().all(|entry| entry["auth"]["client_token"] == *hash));
    }
    assert_ne!(broker.hash_for("0", "canary"), broker.hash_for("1", "canary"));
}

#[test]
fn one_device_that_records_is_enough() {
    let good = Arc::default();
    for order in [[&Recorder::broken(), &good], [&good, &Recorder::broken()]] {
        assert_eq!(done(broker(&order).record_request(&RequestRecord::default())), Ok(()));
    }
    assert_eq!(good.lines().len(), 2);
}

#[test]
fn no_device_that_records_is_a_failure_until_one_does() {
    let (one, two) = (Recorder::broken(), Recorder::broken());
    let broker = broker(&[&one, &two]);
    let record = || done(broker.record_response(&RequestRecord::default(), &ResponseRecord::default()));
    assert_eq!(record(), Err(AuditFailure::NoDevice { devices: 2 }));
    assert_eq!(done(broker.record_request(&RequestRecord::default())), Err(AuditFailure::NoDevice { devices: 2 }));

    two.broken.store(false, Ordering::Relaxed);
    assert_eq!(record(), Ok(()));
    assert_eq!(two.lines().len(), 1);
}

#[test]
fn a_failing_device_is_logged_once_and_so_is_its_recovery() {
    let device = Recorder::broken();
    let broker = broker(&[&device]);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let request = RequestRecord { path: "canary-path", ..RequestRecord::default() };
        for broken in [true, true, false, false, true] {
            device.broken.store(broken, Ordering::Relaxed);
            assert_eq!(done(broker.record_request(&request)).is_err(), broken);
        }
    });
    let [failed, recovered] = [
        "ERROR message=audit device does not record device=0/ error=audit device could not write: no space left on device",
        "INFO message=audit device records again device=0/",
    ];
    assert_eq!(*log.0.lock().expect("lock"), [failed, recovered, failed]);
}

#[test]
fn data_that_cannot_be_recorded_is_a_failure_and_is_not_written() {
    let device = Arc::default();
    let request = RequestRecord { data: Some(b"{\"a\":hunter2}"), ..RequestRecord::default() };
    let failure = done(broker(&[&device]).record_request(&request)).expect_err("failure");
    assert_eq!(failure, AuditFailure::Data(RedactError::NotJson { at: 5 }));
    assert!(!failure.to_string().contains("hunter2"));
    assert!(device.lines().is_empty());
}

#[test]
fn devices_come_and_go_by_path() {
    let broker = Broker::new();
    let add = |path: &str| {
        let writer = Arc::new(Writer::new(path, Arc::new(Recorder::default()), None));
        broker.add(info(path), writer, &Key256::new([7; 32]))
    };
    let in_use = |taken: &str| Err(AddDeviceError::PathInUse { taken: taken.into() });
    assert_eq!(add("prod/file"), Ok(()));
    assert_eq!(add("/stdout/"), Ok(()));
    assert_eq!(add("prod/file/"), in_use("prod/file/"));
    assert_eq!(add("prod"), in_use("prod/file/"));
    assert_eq!(add("prod/file/more"), in_use("prod/file/"));
    assert_eq!(add("prod/files"), Ok(()));
    assert_eq!(add("/"), Err(AddDeviceError::NoPath));

    let paths = || broker.list().into_iter().map(|info| info.path).collect::<Vec<_>>();
    assert_eq!(paths(), ["prod/file/", "prod/files/", "stdout/"]);
    assert!(broker.hash_for("stdout/", "x").is_some_and(|hash| hash.starts_with("hmac-sha256:")));

    assert!(broker.remove("stdout"));
    assert!(!broker.remove("stdout"));
    assert!(!broker.remove(""));
    assert_eq!(broker.hash_for("stdout", "x"), None);
    assert_eq!(paths(), ["prod/file/", "prod/files/"]);
}

#[test]
fn a_removed_device_gets_nothing_more() {
    let (kept, removed) = (Arc::default(), Arc::default());
    let broker = broker(&[&kept, &removed]);
    assert!(broker.remove("1/"));
    done(broker.record_request(&RequestRecord::default())).expect("recorded");
    assert_eq!((kept.lines().len(), removed.lines().len()), (1, 0));
}

#[test]
fn all_devices_are_reopened_also_after_one_that_cannot() {
    let (broken, good) = (Recorder::broken(), Arc::default());
    broker(&[&broken, &good]).reopen_all();
    for device in [broken, good] {
        assert_eq!(device.reopened.load(Ordering::Relaxed), 1);
    }
}
