//! One connection: hyper speaks HTTP, and beside it a watch ends connections that stand still.
//!
//! hyper's own header timeout sets a timer for each request. Here requests only count (see [`Pulse`]), and one timer
//! per connection looks at the counts now and then:
//!
//! ```text
//! start --header_timeout--> no request yet?                    cut
//!       --idle_timeout----> nothing begun or ended since the
//!                           last look, and none at work?       retire: finish politely, cut header_timeout later
//! ```

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};

use super::{
    ClientCertificates, Handler, Peer,
    beating::counted,
    endless::ended,
    gate::{Gate, Phase},
};
use crate::limits::{Limits, within};

/// Requests at once on one HTTP/2 connection; the bound that RFC 9113, section 6.5.2, asks servers not to go below.
const STREAMS: u32 = 100;

/// What all connections of one listener share.
pub(super) struct Connections<S> {
    http: Builder<TokioExecutor>,
    service: S,
    limits: Limits,
    gate: Arc<Gate>,
    /// Whether they are TLS.
    secure: bool,
}

impl<S: Handler> Connections<S> {
    pub(super) fn new(service: S, limits: Limits, gate: Arc<Gate>, secure: bool) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        // The watch below does what hyper's timeout would, without a timer per request.
        http.http1().header_read_timeout(None).max_buf_size(limits.max_header_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
        Self { http, service, limits, gate, secure }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }
}

/// Counts of one connection's requests.
#[derive(Debug)]
struct Pulse {
    /// Requests that a handler has and has not answered.
    at_work: AtomicUsize,
    /// Grows with each request that begins or ends, and with each part of a long answer.
    beats: Arc<AtomicU64>,
    /// For answers that do not end by themselves.
    gate: Arc<Gate>,
}

impl Pulse {
    fn new(gate: &Arc<Gate>) -> Self {
        Self { at_work: AtomicUsize::default(), beats: Arc::default(), gate: Arc::clone(gate) }
    }
}

/// A request at work, from its head to its answer; dropped early when the client is gone.
struct AtWork(Arc<Pulse>);

impl AtWork {
    fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.at_work.fetch_add(1, Ordering::Relaxed);
        pulse.beats.fetch_add(1, Ordering::Relaxed);
        Self(pulse.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection to its end.
pub(super) async fn serve_connection<I, S>(
    io: I,
    peer: SocketAddr,
    certificates: Option<ClientCertificates>,
    connections: &Connections<S>,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Handler,
{
    let pulse = Arc::new(Pulse::new(&connections.gate));
    let limit = connections.limits.request_timeout;
    let service = service_fn(|request: Request<Incoming>| {
        let at_work = AtWork::begin(&pulse);
        let mut request = request.map(Body::new);
        if connections.secure {
            request.extensions_mut().insert(super::Secure);
        }
        request.extensions_mut().insert(Peer(peer));
        if let Some(certificates) = &certificates {
            request.extensions_mut().insert(certificates.clone());
        }
        let answer = connections.service.clone().call(request);
        async move {
            let answered = within(limit, answer).await.unwrap_or_else(|| Ok(took_too_long(limit)));
            let answered = answered.map(|answer| counted(ended(answer, &at_work.0.gate), || at_work.0.beats.clone()));
            drop(at_work);
            answered
        }
    });
    let mut conn = pin!(connections.http.serve_connection(TokioIo::new(io), service));
    let mut watch = Watch::new(&connections.limits, &connections.gate, &pulse);
    loop {
        let event = poll_fn(|cx| match conn.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Event::Ended(ended.err())),
            Poll::Pending => watch.poll(cx),
        });
        match event.await {
            Event::Finish => conn.as_mut().graceful_shutdown(),
            Event::Cut(why) => return tracing::debug!(%peer, "connection cut: {why}"),
            Event::Ended(None) => return,
            Event::Ended(Some(error)) => return tracing::debug!(%peer, "connection: {error}"),
        }
    }
}

fn took_too_long(limit: Duration) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("the request was not answered within {limit:?}; try again\n")));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// What is to happen to a connection.
enum Event {
    /// It ended by itself, or by an error of its own.
    Ended(Option<Box<dyn std::error::Error + Send + Sync>>),
    /// Finish what is at work, say goodbye.
    Finish,
    /// Close it now.
    Cut(&'static str),
}

/// How far the watch trusts a connection.
enum Trust {
    /// It has not sent a request yet.
    Fresh,
    /// It had so many beats at the last look.
    Steady(u64),
    /// It was told to finish.
    Retiring,
}

/// Looks at the pulse now and then, and at the gate when its bell rings.
struct Watch<'a> {
    limits: &'a Limits,
    gate: &'a Gate,
    pulse: &'a Pulse,
    seen: Phase,
    trust: Trust,
    timer: Pin<Box<Sleep>>,
    moved_on: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    /// Whom timer and bell wake. As long as that is the one who polls, they need not be polled again.
    armed: Option<Waker>,
}

impl<'a> Watch<'a> {
    fn new(limits: &'a Limits, gate: &'a Gate, pulse: &'a Pulse) -> Self {
        Self {
            limits,
            gate,
            pulse,
            seen: Phase::Serving,
            trust: Trust::Fresh,
            timer: Box::pin(sleep(limits.header_timeout)),
            moved_on: Box::pin(gate.left(Phase::Serving)),
            armed: None,
        }
    }

    /// Runs each time the connection is polled, so several times per request: two loads, mostly.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let phase = self.gate.phase();
            if phase > self.seen {
                return Poll::Ready(self.follow(phase));
            }
            if !self.timer.is_elapsed() && self.armed.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if self.timer.as_mut().poll(cx).is_ready() {
                self.armed = None;
                if let Some(event) = self.look() {
                    return Poll::Ready(event);
                }
            } else if self.moved_on.as_mut().poll(cx).is_pending() {
                self.armed = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    fn follow(&mut self, phase: Phase) -> Event {
        self.seen = phase;
        self.moved_on = Box::pin(self.gate.left(phase));
        self.armed = None;
        match phase {
            Phase::Serving | Phase::Draining => Event::Finish,
            Phase::Cutting => Event::Cut("the server is stopping"),
        }
    }

    fn look(&mut self) -> Option<Event> {
        let beats = self.pulse.beats.load(Ordering::Relaxed);
        let busy = self.pulse.at_work.load(Ordering::Relaxed) > 0;
        match self.trust {
            Trust::Fresh if beats == 0 => return Some(Event::Cut("no request head in time")),
            Trust::Steady(last) if last == beats && !busy => {
                self.trust = Trust::Retiring;
                self.look_again_in(self.limits.header_timeout);
                return Some(Event::Finish);
            }
            Trust::Retiring if !busy => return Some(Event::Cut("it stood still")),
            Trust::Retiring => self.look_again_in(self.limits.header_timeout),
            Trust::Fresh | Trust::Steady(_) => {
                self.trust = Trust::Steady(beats);
                self.look_again_in(self.limits.idle_timeout);
            }
        }
        None
    }

    fn look_again_in(&mut self, pause: Duration) {
        self.timer.as_mut().reset(Instant::now() + pause);
    }
}
