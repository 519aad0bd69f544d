//! One connection to a collector: where it leads, how it is made, and how entries leave on it, all before a deadline.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send, socket_with,
        sockopt,
    },
};

/// The largest payload of a UDP datagram over IPv4.
const LARGEST_UDP: usize = 65_507;
/// What Linux keeps for itself of the send buffer that a Unix datagram must fit in.
const UNIX_DATAGRAM_OVERHEAD: usize = 32;
/// How long TCP waits for a collector's host to confirm what was sent, before it counts as gone.
const UNCONFIRMED: Duration = Duration::from_secs(10);
/// Reads of what a collector says, before each write: nothing is expected, and none of it is kept.
const MOST_READS: usize = 16;

/// When a write must be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// What is left; never nothing.
    fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`, looked up whenever a connection is made.
    Tcp(String),
    /// `host:port`, looked up as well.
    Udp(String),
    /// A Unix socket of the first of these types that it has.
    Unix(PathBuf, &'static [SocketType]),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Udp(address) => write!(f, "udp {address}"),
            Self::Unix(path, _) => write!(f, "{}", path.display()),
        }
    }
}

impl Address {
    /// The most bytes of one message. A Unix datagram must fit in the send buffer that the system gives.
    pub(super) fn largest(&self) -> usize {
        match self {
            Self::Tcp(_) => usize::MAX,
            Self::Udp(_) => LARGEST_UDP,
            Self::Unix(_, types) if !types.contains(&SocketType::DGRAM) => usize::MAX,
            Self::Unix(..) => {
                let buffer = unix_socket(SocketType::DGRAM).and_then(sockopt::socket_send_buffer_size);
                buffer.map_or(LARGEST_UDP, |bytes| bytes.saturating_sub(UNIX_DATAGRAM_OVERHEAD))
            }
        }
    }

    pub(super) fn connect(&self, deadline: Deadline) -> io::Result<Connection> {
        match self {
            Self::Tcp(address) => each(resolve(address, deadline)?, deadline, connect_tcp),
            Self::Udp(address) => each(resolve(address, deadline)?, deadline, |address, _| connect_udp(address)),
            Self::Unix(path, types) => {
                let address = SocketAddrUnix::new(path)?;
                let mut failed = io::Error::from(Errno::PROTOTYPE);
                for kind in *types {
                    match connect_unix(&address, *kind, deadline) {
                        Ok(connection) => return Ok(connection),
                        Err(error) => failed = error,
                    }
                    if !is(&failed, Errno::PROTOTYPE) {
                        break;
                    }
                }
                Err(failed)
            }
        }
    }
}

fn is(error: &io::Error, number: Errno) -> bool {
    error.raw_os_error() == Some(number.raw_os_error())
}

/// Looks a name up on a thread of its own, as the system's resolver knows no deadline.
fn resolve(address: &str, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (tell, told) = mpsc::sync_channel(1);
    let name = address.to_owned();
    thread::Builder::new().name("keyturn-resolve".to_owned()).spawn(move || {
        // Whoever has stopped waiting does not want to know.
        _ = tell.send(name.to_socket_addrs().map(Vec::from_iter));
    })?;
    told.recv_timeout(deadline.left()?)
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time"))?
}

/// Tries one address after the other, each for its part of the time.
fn each(
    addresses: Vec<SocketAddr>,
    deadline: Deadline,
    connect: impl Fn(SocketAddr, Duration) -> io::Result<Connection>,
) -> io::Result<Connection> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut parts = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        match connect(address, deadline.left()?.div_f64(f64::from(parts))) {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error,
        }
        parts -= 1;
    }
    Err(failed)
}

fn connect_tcp(address: SocketAddr, timeout: Duration) -> io::Result<Connection> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_nodelay(true)?;
    // Without this, what is sent to a host that vanished counts as taken for a quarter of an hour.
    let unconfirmed = u32::try_from(UNCONFIRMED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(&stream, unconfirmed)?;
    Ok(Connection { socket: stream.into(), kind: Kind::Stream })
}

fn connect_udp(address: SocketAddr) -> io::Result<Connection> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(address)?;
    Ok(Connection { socket: socket.into(), kind: Kind::Datagram })
}

fn unix_socket(kind: SocketType) -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

fn connect_unix(address: &SocketAddrUnix, kind: SocketType, deadline: Deadline) -> io::Result<Connection> {
    let socket = unix_socket(kind)?;
    // A listener that accepts nobody holds a connection up for as long as a write may take.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(deadline.left()?))?;
    connect(&socket, address).map_err(|error| match error {
        Errno::AGAIN => io::ErrorKind::TimedOut.into(),
        error => io::Error::from(error),
    })?;
    Ok(Connection { socket, kind: if kind == SocketType::STREAM { Kind::Stream } else { Kind::Datagram } })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Datagram,
}

/// A socket that is connected.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    kind: Kind,
}

/// A write that failed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: io::Error,
    /// Whether some of it is gone, so that it cannot be written once more.
    pub(super) started: bool,
    /// Whether the last line that is gone is a part of one.
    pub(super) torn: bool,
    /// Whether the connection can be used again.
    pub(super) usable: bool,
}

impl Connection {
    /// Whether the collector is still there, as far as it can be known without writing. One that has closed its side
    /// counts as gone: what is written to it would be lost unseen.
    pub(super) fn is_alive(&self) -> bool {
        if self.kind == Kind::Datagram {
            return true;
        }
        let mut heard = [0; 1024];
        for _ in 0..MOST_READS {
            match recv(&self.socket, &mut heard[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return error == Errno::AGAIN,
            }
        }
        true
    }

    /// Sends lines that end in line feeds, which datagrams go without unless `line_feeds`.
    pub(super) fn send(&self, lines: &[u8], line_feeds: bool, deadline: Deadline) -> Result<(), Broken> {
        match self.kind {
            Kind::Stream => self.send_stream(lines, deadline),
            Kind::Datagram => self.send_datagrams(lines, line_feeds, deadline),
        }
    }

    fn send_stream(&self, bytes: &[u8], deadline: Deadline) -> Result<(), Broken> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send_some(&bytes[sent..], deadline) {
                Ok(more) => sent += more,
                Err(error) => {
                    let usable = sent == 0 && error.kind() == io::ErrorKind::TimedOut;
                    let torn = sent > 0 && bytes[sent - 1] != b'\n';
                    return Err(Broken { error, started: sent > 0, torn, usable });
                }
            }
        }
        Ok(())
    }

    /// One datagram for each line. That nobody listened to an earlier one is told with a later one: then that fails, as
    /// nobody is known to listen, but leaves all the same, so that the next can tell.
    fn send_datagrams(&self, lines: &[u8], line_feeds: bool, deadline: Deadline) -> Result<(), Broken> {
        let earlier = self.refused();
        let mut started = false;
        for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != b"\n") {
            let message = if line_feeds { line } else { line.strip_suffix(b"\n").unwrap_or(line) };
            self.send_some(message, deadline).map_err(|error| {
                let usable = error.kind() == io::ErrorKind::TimedOut || is(&error, Errno::MSGSIZE);
                Broken { error, started, torn: false, usable }
            })?;
            started = true;
        }
        let refused = earlier.or_else(|| self.refused());
        refused.map_or(Ok(()), |error| Err(Broken { error, started, torn: false, usable: true }))
    }

    fn refused(&self) -> Option<io::Error> {
        sockopt::socket_error(&self.socket).ok()?.err().map(io::Error::from)
    }

    /// Sends as much as there is room for, after waiting for some.
    fn send_some(&self, bytes: &[u8], deadline: Deadline) -> io::Result<usize> {
        loop {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_for_room(deadline)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait_for_room(&self, deadline: Deadline) -> io::Result<()> {
        let left = Timespec::try_from(deadline.left()?).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&left)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
