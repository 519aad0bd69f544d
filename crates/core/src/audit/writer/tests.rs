use std::sync::Condvar;

use super::*;
use crate::audit::{Link, Walk};

/// Keeps what it is given, one write at a time as long as its gate is shut.
#[derive(Default)]
struct Gated {
    writes: Mutex<Vec<Vec<u8>>>,
    open: Mutex<bool>,
    opened: Condvar,
    broken: AtomicBool,
    waits: bool,
    threads: Mutex<Vec<std::thread::ThreadId>>,
}

impl Gated {
    fn set_open(&self, open: bool) {
        *lock(&self.open) = open;
        self.opened.notify_all();
    }

    fn writes(&self) -> Vec<Vec<u8>> {
        lock(&self.writes).clone()
    }
}

impl Device for Gated {
    fn write(&self, line: &[u8]) -> Result<(), DeviceError> {
        lock(&self.threads).push(std::thread::current().id());
        lock(&self.writes).push(line.to_vec());
        let open = self.opened.wait_while(lock(&self.open), |open| !*open);
        drop(open.unwrap_or_else(PoisonError::into_inner));
        if self.broken.load(Ordering::SeqCst) { Err(DeviceError("no space left on device".into())) } else { Ok(()) }
    }

    fn reopen(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn waits(&self) -> bool {
        self.waits
    }

    fn largest(&self) -> usize {
        if self.waits { 256 } else { usize::MAX }
    }
}

fn writer(device: &Arc<Gated>) -> Arc<Writer> {
    let chained = Chained::begin(&Key256::new([7; 32]), Random::default(), None).expect("randomness");
    Arc::new(Writer::new("file/", Arc::clone(device) as Arc<dyn Device>, Some(chained)))
}

fn line(number: usize) -> Vec<u8> {
    format!("{{\"n\":{number}}}\n").into_bytes()
}

/// Submits one line, which the shut gate holds up, and then others; opens the gate.
fn burst(device: &Arc<Gated>, writer: &Arc<Writer>, others: usize) -> Vec<Submitted> {
    device.set_open(false);
    let before = device.writes().len();
    let first = {
        let writer = Arc::clone(writer);
        std::thread::spawn(move || writer.submit(line(0)))
    };
    while device.writes().len() == before {
        std::thread::yield_now();
    }
    let mut submitted: Vec<_> = (1..=others).map(|number| writer.submit(line(number))).collect();
    assert!(submitted.iter().all(|one| matches!(one, Submitted::Waiting(_))), "nobody waits for the device");
    device.set_open(true);
    submitted.insert(0, first.join().expect("thread"));
    submitted
}

fn outcomes(submitted: Vec<Submitted>) -> Vec<bool> {
    let outcome = |one| match one {
        Submitted::Done(taken) => taken,
        Submitted::Waiting(written) => written.blocking_recv().expect("an outcome"),
    };
    submitted.into_iter().map(outcome).collect()
}

#[test]
fn what_comes_while_the_device_is_busy_is_written_at_once_and_in_order() {
    let device = Arc::new(Gated::default());
    let writer = writer(&device);
    assert_eq!(outcomes(burst(&device, &writer, 5)), [true; 6]);
    let writes = device.writes();
    assert_eq!(writes.len(), 2, "one for the first, one for all the others");
    let mut walk = Walk::default();
    let lines: Vec<_> = writes.concat().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for (number, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        let claim = walk.line(line).expect("in place").expect("a claim");
        assert!(writer.key().expect("a chain").holds(&claim), "{number}");
        assert!(line.starts_with(format!("{{\"n\":{number},").as_bytes()));
    }
    assert_eq!(writer.head().expect("entries").entries, 6);
}

#[test]
fn a_failed_write_is_told_to_all_whose_lines_were_in_it() {
    let device = Arc::new(Gated::default());
    let writer = writer(&device);
    device.broken.store(true, Ordering::SeqCst);
    assert_eq!(outcomes(burst(&device, &writer, 3)), [false; 4]);
    assert_eq!(writer.head(), None, "nothing is known to be in the log");
    device.broken.store(false, Ordering::SeqCst);
    assert!(outcomes(vec![writer.submit(line(9))])[0]);
    let last = device.writes().pop().expect("a write");
    let (link, _) = Link::of_line(last.strip_suffix(b"\n").expect("a line")).expect("a link");
    assert_eq!((link.number, link.after), (1, None), "a new segment");
}

#[test]
fn who_goes_away_is_recorded_all_the_same() {
    let device = Arc::new(Gated::default());
    let writer = writer(&device);
    let mut submitted = burst(&device, &writer, 2);
    submitted.truncate(1);
    assert_eq!(outcomes(submitted), [true]);
    assert_eq!(writer.head().expect("entries").entries, 3);
}

#[tokio::test]
async fn a_device_that_waits_holds_up_neither_the_thread_nor_who_asks_for_the_head() {
    let device = Arc::new(Gated { waits: true, ..Gated::default() });
    let writer = writer(&device);
    device.set_open(true);
    writer.probe(line(0)).await.expect("taken");
    device.set_open(false);
    // This runtime has one thread: a write on it would never end.
    let submitted: Vec<_> = (1..=3).map(|number| writer.submit(line(number))).collect();
    while device.writes().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(writer.head().expect("the probe").entries, 1);
    device.set_open(true);
    for one in submitted {
        let Submitted::Waiting(written) = one else { panic!("written by who brought it") };
        assert!(written.await.expect("an outcome"));
    }
    assert_eq!(writer.head().expect("entries").entries, 4);
    assert!(!lock(&device.threads).contains(&std::thread::current().id()));
}

#[tokio::test]
async fn an_entry_that_is_too_large_fails_alone() {
    let device = Arc::new(Gated { waits: true, ..Gated::default() });
    device.set_open(true);
    let writer = writer(&device);
    let large = format!("{{\"n\":\"{}\"}}\n", "x".repeat(256 - LONGEST_LINK)).into_bytes();
    assert!(matches!(writer.submit(large), Submitted::Done(false)));
    let Submitted::Waiting(written) = writer.submit(line(1)) else { panic!("written by who brought it") };
    assert!(written.await.expect("an outcome"));
    assert_eq!(device.writes().len(), 1);
}

#[test]
fn a_link_is_never_longer_than_told() {
    let head = Head { segment: "ffffffff".into(), entries: u64::MAX, mac: [0xff; 32] };
    let mut text = Vec::new();
    chain::append_link(&mut text, &head, Some(("ffffffff", u64::MAX)));
    assert_eq!(r#","chain":""#.len() + text.len() + r#""}"#.len(), LONGEST_LINK);
}
