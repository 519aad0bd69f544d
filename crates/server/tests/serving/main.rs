//! Listeners over real sockets: what they bound, how they stop, how they speak TLS.
//!
//! Timeouts are set short where a test waits for one to strike; what is asserted is that it strikes, never when.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod drain;
mod limits;
mod tls;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::StatusCode, routing::any};
use bytes::Bytes;
use hyper::body::Frame;
use keyturn_server::{
    limits::{Limits, read_body},
    listener::{Peer, serve},
    shutdown::{ShutdownTrigger, channel},
    tls::TlsSource,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};

/// Short enough to wait for, long enough for a loaded machine to do its part in.
const SHORT: Duration = Duration::from_millis(100);

/// How long a test waits for what must happen before it gives up; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The output of `work`, which must come.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it never happened")
}

/// What handlers of the test server share with the test.
pub(crate) struct Shared {
    limits: Limits,
    /// Told who asks, as each request arrives at `/held`.
    arrived: mpsc::UnboundedSender<SocketAddr>,
    /// Lets one request at `/held` go on.
    release: Notify,
    /// Ends the answers of `/endless`.
    enough: AtomicBool,
}

/// A server on a free port of the loopback address.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) arrivals: mpsc::UnboundedReceiver<SocketAddr>,
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: Limits, tls: Option<Arc<TlsSource>>) -> Self {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            limits: limits.clone(),
            arrived,
            release: Notify::new(),
            enough: AtomicBool::new(false),
        });
        let router = Router::new()
            .route("/body", any(count_body))
            .route("/endless", any(endless))
            .route("/held", any(held))
            .route("/peer", any(peer))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (trigger, shutdown) = channel();
        let task = tokio::spawn(serve(listener, tls, router, limits, shutdown));
        Self { address, shared, arrivals, trigger, task }
    }

    pub(crate) fn release(&self) {
        self.shared.release.notify_one();
    }

    /// Waits until a request has come to `/held`.
    pub(crate) async fn arrival(&mut self) -> SocketAddr {
        soon(self.arrivals.recv()).await.expect("an arrival")
    }

    /// Waits until the server has returned.
    pub(crate) async fn returned(&mut self) {
        soon(&mut self.task).await.expect("no panic");
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client(TcpStream::connect(self.address).await.expect("connect"))
    }
}

async fn count_body(State(shared): State<Arc<Shared>>, body: Body) -> (StatusCode, String) {
    match read_body(body, &shared.limits).await {
        Ok(body) => (StatusCode::OK, body.len().to_string()),
        Err(error) => (error.status(), error.to_string()),
    }
}

async fn held(State(shared): State<Arc<Shared>>, axum::Extension(Peer(peer)): axum::Extension<Peer>) -> &'static str {
    let _ = shared.arrived.send(peer);
    shared.release.notified().await;
    "released"
}

async fn endless(State(shared): State<Arc<Shared>>) -> Body {
    Body::new(Endless { shared, ready: false })
}

/// Parts without end. Before each it waits for its turn, as one does whose parts come from elsewhere.
struct Endless {
    shared: Arc<Shared>,
    ready: bool,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let over = self.shared.enough.load(Ordering::SeqCst);
        Poll::Ready((!over).then(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])))))
    }
}

async fn peer(axum::Extension(Peer(peer)): axum::Extension<Peer>) -> String {
    peer.to_string()
}

/// The other end: writes bytes as they are, reads one answer with a `content-length` at a time.
pub(crate) struct Client<S>(pub(crate) S);

impl<S: AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("send");
    }

    pub(crate) async fn get(&mut self, path: &str) -> (u16, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        self.answer().await
    }

    /// Status and body of the next answer.
    pub(crate) async fn answer(&mut self) -> (u16, String) {
        let (head, body) = soon(self.head_and_body()).await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("status");
        (status, body)
    }

    /// Head, in lower case, and body of the next answer.
    pub(crate) async fn head_and_body(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("an answer's head"));
        }
        let head = String::from_utf8(head).expect("text").to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("content-length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).await.expect("an answer's body");
        (head, String::from_utf8(body).expect("text"))
    }

    /// Waits until the server has closed, and gives what it sent before. A reset is a close too.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }
}
