use std::{
    io::{BufRead, BufReader, Read},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixListener},
    sync::mpsc,
    thread,
};

use super::*;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

fn device(pairs: &[(&str, &str)]) -> Result<SocketDevice, DeviceError> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    SocketDevice::new(&pairs.collect())
}

fn error_of(written: Result<(), DeviceError>) -> String {
    written.expect_err("a failure").to_string()
}

/// A collector over TCP, whose connections are accepted by a thread, and a device for it.
struct Collector {
    address: String,
    accepted: mpsc::Receiver<TcpStream>,
}

impl Collector {
    fn start() -> (Self, SocketDevice) {
        Self::start_with(&[])
    }

    fn start_with(more: &[(&str, &str)]) -> (Self, SocketDevice) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let (tell, accepted) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("stream");
                stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
                if tell.send(stream).is_err() {
                    return;
                }
            }
        });
        let device = device(&[&[("address", address.as_str())], more].concat()).expect("device");
        (Self { address, accepted }, device)
    }

    fn accept(&self) -> TcpStream {
        self.accepted.recv_timeout(PATIENCE).expect("a connection")
    }

    /// Ends the listener: it is told by the next connection that nobody wants it.
    fn stop(self) {
        let Self { address, accepted } = self;
        drop(accepted);
        while TcpStream::connect(&address).is_ok() {
            thread::yield_now();
        }
    }
}

fn line_of(stream: &TcpStream) -> String {
    let mut line = String::new();
    // One byte at a time: what follows stays in the stream.
    while !line.ends_with('\n') {
        let mut byte = [0];
        (&mut &*stream).read_exact(&mut byte).expect("a byte");
        line.push(char::from(byte[0]));
    }
    line
}

/// Larger than what a stream's buffers hold.
fn large() -> Vec<u8> {
    let mut line = vec![b'x'; 32 << 20];
    line.push(b'\n');
    line
}

#[test]
fn entries_go_over_one_connection_as_lines() {
    let (collector, device) = Collector::start();
    device.write(b"{\"a\":1}\n").expect("write");
    device.write(b"{\"b\":2}\n{\"c\":3}\n").expect("write");
    let stream = collector.accept();
    assert_eq!([line_of(&stream), line_of(&stream), line_of(&stream)], ["{\"a\":1}\n", "{\"b\":2}\n", "{\"c\":3}\n"]);
    assert!(collector.accepted.try_recv().is_err(), "one connection");
}

#[test]
fn names_are_looked_up() {
    let (collector, _) = Collector::start();
    let port = collector.address.rsplit_once(':').expect("port").1;
    let device = device(&[("address", &format!("localhost:{port}"))]).expect("device");
    device.write(b"1\n").expect("write");
    assert_eq!(line_of(&collector.accept()), "1\n");
}

#[test]
fn what_a_collector_says_is_passed_over() {
    let (collector, device) = Collector::start();
    device.write(b"1\n").expect("write");
    let stream = collector.accept();
    for number in 2..5 {
        std::io::Write::write_all(&mut &stream, b"welcome\n").expect("write");
        device.write(format!("{number}\n").as_bytes()).expect("write");
    }
    assert_eq!([(); 4].map(|()| line_of(&stream)), ["1\n", "2\n", "3\n", "4\n"]);
}

#[test]
fn a_closed_connection_is_replaced_before_anything_is_lost_on_it() {
    let (collector, device) = Collector::start();
    device.write(b"1\n").expect("write");
    let first = collector.accept();
    assert_eq!(line_of(&first), "1\n");
    drop(first);
    device.write(b"2\n").expect("write");
    assert_eq!(line_of(&collector.accept()), "2\n");
}

#[test]
fn a_collector_that_is_gone_is_told_by_its_address_and_found_again() {
    let (collector, device) = Collector::start();
    device.write(b"1\n").expect("write");
    drop(collector.accept());
    let address = collector.address.clone();
    collector.stop();
    for _ in 0..2 {
        let error = error_of(device.write(b"2\n"));
        assert!(error.contains(&format!("tcp {address} cannot be reached")), "{error}");
    }
    let again = TcpListener::bind(&address).expect("bind");
    device.write(b"3\n").expect("write");
    assert_eq!(line_of(&again.accept().expect("the device has connected").0), "3\n");
}

#[test]
fn a_collector_that_stops_reading_fails_the_write_and_its_torn_line_swallows_no_other() {
    let (collector, device) = Collector::start_with(&[("write_timeout", "300ms")]);
    device.write(b"1\n").expect("write");
    let first = collector.accept();
    let error = error_of(device.write(&large()));
    assert!(error.contains("cannot be written within 300ms"), "{error}");
    device.write(b"2\n").expect("write");
    let second = collector.accept();
    // The torn line ends with its connection; the next connection begins with a line feed, for who joins them.
    let mut reader = BufReader::new(first);
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).expect("read");
    assert_eq!(line, b"1\n");
    line.clear();
    assert!(reader.read_until(b'\n', &mut line).is_ok_and(|_| line.iter().all(|byte| *byte == b'x')));
    assert_eq!([line_of(&second), line_of(&second)], ["\n", "2\n"]);
    device.write(b"3\n").expect("write");
    assert_eq!(line_of(&second), "3\n");
}

#[test]
fn a_collector_that_dies_in_the_middle_of_a_line_fails_the_write_and_not_the_next() {
    let (collector, device) = Collector::start();
    let dying = thread::spawn(move || {
        let stream = collector.accept();
        let mut some = vec![0; 1 << 20];
        (&mut &stream).read_exact(&mut some).expect("a part of it");
        drop(stream);
        collector
    });
    let error = error_of(device.write(&large()));
    assert!(error.contains("cannot be written: "), "{error}");
    let collector = dying.join().expect("thread");
    device.write(b"2\n").expect("write");
    let stream = collector.accept();
    assert_eq!([line_of(&stream), line_of(&stream)], ["\n", "2\n"]);
}

#[test]
fn while_a_collector_reads_nothing_nothing_is_taken() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("audit.sock").display().to_string();
    let _listener = UnixListener::bind(&path).expect("bind");
    let options = [("address", path.as_str()), ("socket_type", "unix"), ("write_timeout", "20ms")];
    let device = device(&options).expect("device");
    // Whole lines that fill the buffers, until one does not go in; the rest of that is torn.
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    while device.write(&line).is_ok() {}
    assert!(error_of(device.write(&large())).contains("within 20ms"));
}

#[test]
fn a_listener_that_accepts_nobody_is_not_waited_for_longer_than_told() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("audit.sock").display().to_string();
    let _listener = UnixListener::bind(&path).expect("bind");
    let options = [("address", path.as_str()), ("socket_type", "unix"), ("write_timeout", "50ms")];
    let mut devices = Vec::new();
    let error = loop {
        let device = device(&options).expect("device");
        if let Err(error) = device.write(b"1\n") {
            break error.to_string();
        }
        devices.push(device);
    };
    assert!(error.contains("cannot be reached within 50ms"), "{error}");
}

#[test]
fn datagrams_hold_one_entry_each() {
    let collector = UdpSocket::bind("127.0.0.1:0").expect("bind");
    collector.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let address = collector.local_addr().expect("address").to_string();
    let device = device(&[("address", &address), ("socket_type", "udp")]).expect("device");
    device.write(b"{\"a\":1}\n{\"b\":2}\n").expect("write");
    let mut heard = [0; 64];
    for expected in ["{\"a\":1}\n", "{\"b\":2}\n"] {
        let length = collector.recv(&mut heard).expect("a datagram");
        assert_eq!(&heard[..length], expected.as_bytes());
    }
    assert!(device.write(&[vec![b'x'; 65_507], b"\n".to_vec()].concat()).is_err(), "it is not cut");
    assert_eq!(device.largest(), 65_507);
    drop(collector);
    for _ in 0..3 {
        assert!(error_of(device.write(b"3\n")).contains("refused"), "nobody listens");
    }
    let again = UdpSocket::bind(&address).expect("bind");
    again.set_read_timeout(Some(PATIENCE)).expect("timeout");
    // The refusals of before may still be told once.
    if device.write(b"4\n").is_err() {
        device.write(b"4\n").expect("write");
    }
    let length = again.recv(&mut heard).expect("a datagram");
    assert_eq!(&heard[..length], b"4\n");
}

#[test]
fn unix_sockets_of_both_types() {
    let directory = tempfile::tempdir().expect("directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let listener = UnixListener::bind(path("stream")).expect("bind");
    let stream = device(&[("address", &path("stream")), ("socket_type", "unix")]).expect("device");
    stream.write(b"1\n").expect("write");
    let (accepted, _) = listener.accept().expect("the device has connected");
    let mut line = String::new();
    BufReader::new(accepted).read_line(&mut line).expect("line");
    assert_eq!(line, "1\n");

    let collector = UnixDatagram::bind(path("datagram")).expect("bind");
    collector.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let options = [("address", &*path("datagram")), ("socket_type", "unixgram"), ("write_timeout", "50ms")];
    let datagrams = device(&options).expect("device");
    datagrams.write(b"1\n").expect("write");
    let mut heard = [0; 64];
    assert_eq!(collector.recv(&mut heard).expect("a datagram"), 2);
    // A collector that reads nothing: its queue is full some time.
    let error = loop {
        if let Err(error) = datagrams.write(b"2\n") {
            break error.to_string();
        }
    };
    assert!(error.contains("within 50ms"), "{error}");
    assert_eq!(collector.recv(&mut heard).expect("a datagram"), 2);
    datagrams.write(b"3\n").expect("there is room again");
}

#[test]
fn reopening_connects_anew() {
    let (collector, device) = Collector::start();
    device.write(b"1\n").expect("write");
    let first = collector.accept();
    device.reopen().expect("reopen");
    device.write(b"2\n").expect("write");
    assert_eq!(line_of(&collector.accept()), "2\n");
    assert_eq!(std::io::read_to_string(first).expect("closed"), "1\n");
}

#[test]
fn bad_options_are_told_by_name() {
    for (pairs, name) in [
        (&[][..], "address"),
        (&[("address", "")], "address"),
        (&[("address", "localhost")], "address"),
        (&[("address", ":9090")], "address"),
        (&[("address", "localhost:0")], "address"),
        (&[("address", "localhost:70000")], "address"),
        (&[("address", "/tmp/audit.sock")], "address"),
        (&[("address", "audit.sock"), ("socket_type", "unix")], "address"),
        (&[("address", "localhost:1"), ("socket_type", "ip")], "socket_type"),
        (&[("address", "localhost:1"), ("write_timeout", "0")], "write_timeout"),
        (&[("address", "localhost:1"), ("write_timeout", "61s")], "write_timeout"),
        (&[("address", "localhost:1"), ("write_timeout", "soon")], "write_timeout"),
    ] {
        let error = device(pairs).expect_err("refused").to_string();
        assert!(error.contains(name), "{pairs:?}: {error}");
    }
    for text in ["2", "2s", "500ms", "1m", ""] {
        assert!(device(&[("address", "localhost:1"), ("write_timeout", text)]).is_ok(), "{text}");
    }
}
