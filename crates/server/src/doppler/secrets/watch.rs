//! `GET configs/config/secrets/watch`: a stream of server-sent events that says when the config changes.
//!
//! ```text
//! event: message
//! data: {"type":"connected"}            then, as it happens, "secrets.update" and "ping"
//! ```
//!
//! The command line takes what one read of its socket gives for one event, of these two lines and nothing else. So
//! events go out one at a time, with a pause between them that lets each be a packet of its own.
//!
//! A stream holds neither the open store nor a token good: it looks at both whenever something stirs, and at each ping.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;
use keyturn_core::{
    config_values::{Look, Watch},
    core::Core,
    policy::Operation,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::failure;
use crate::doppler::{Outcome, call::Call, error::Failure, reply::Reply};

/// Streams at once.
const MAX_STREAMS: usize = 1024;
/// Between two events, so that no read takes both.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the store is still open.
const TICK: Duration = Duration::from_secs(1);
/// Between two pings, at the most.
const PING: Duration = Duration::from_secs(15);

const CONNECTED: &str = "event: message\ndata: {\"type\":\"connected\"}\n\n";
const PINGED: &str = "event: message\ndata: {\"type\":\"ping\"}\n\n";
const UPDATED: &str = "event: message\ndata: {\"type\":\"secrets.update\"}\n\n";

/// How many streams there may be.
pub(in crate::doppler) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

pub(in crate::doppler) async fn watch(call: &Call) -> Outcome {
    let target = call.target()?;
    let slot = Arc::clone(&call.doppler.streams.0).try_acquire_owned().map_err(|_| {
        let text = format!("{MAX_STREAMS} streams are open, the most that this server keeps: try again later");
        Failure::new(hyper::StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    call.through(Operation::Read, &call.config_path("data", &target), |permit| async {
        let token = call.known()?.token().clone();
        let watch = call.core.watch_config(permit, token).await.map_err(|error| failure(error.into()))?;
        // A connection that is silent for as long as its limit says would be closed.
        let ping = PING.min(call.doppler.limits.idle_timeout / 3);
        let (events, stream) = mpsc::channel(1);
        let following = Following { watch, core: Arc::downgrade(&call.core), events, ping, _slot: slot };
        tokio::spawn(following.run());
        Ok(Reply::stream("text/event-stream", Body::new(Events(stream))))
    })
    .await
}

/// One stream.
struct Following {
    watch: Watch,
    core: Weak<Core>,
    events: mpsc::Sender<Bytes>,
    ping: Duration,
    _slot: OwnedSemaphorePermit,
}

impl Following {
    async fn run(mut self) {
        let mut tick = interval(TICK.min(self.ping));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged = Instant::now();
        if !self.send(CONNECTED).await {
            return;
        }
        loop {
            let event = tokio::select! {
                () = self.events.closed() => return,
                stirred = self.watch.stirred() => match stirred {
                    true => self.look().await,
                    false => return,
                },
                _ = tick.tick() => {
                    if self.core.strong_count() == 0 {
                        return;
                    }
                    if pinged.elapsed() < self.ping {
                        continue;
                    }
                    pinged = Instant::now();
                    match self.look().await {
                        Some("") => Some(PINGED),
                        other => other,
                    }
                }
            };
            match event {
                None => return,
                Some("") => {}
                Some(event) => {
                    if !self.send(event).await {
                        return;
                    }
                }
            }
        }
    }

    /// What there is to tell: nothing, an event, or (`None`) that it is over.
    async fn look(&mut self) -> Option<&'static str> {
        let core = self.core.upgrade()?;
        match self.watch.look(&core).await {
            Ok(Look::Same) => Some(""),
            Ok(Look::Changed) => Some(UPDATED),
            Ok(Look::Over) => None,
            Err(error) => {
                tracing::warn!(%error, "a stream of changes ends");
                None
            }
        }
    }

    /// Whether the client is still there.
    async fn send(&self, event: &'static str) -> bool {
        let sent = self.events.send(Bytes::from_static(event.as_bytes())).await.is_ok();
        sleep(PAUSE).await;
        sent
    }
}

/// The stream's body.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
