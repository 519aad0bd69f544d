//! What one client may take of this server: connections, header and body sizes, and time.
//!
//! [`Limits`] is plain data with safe defaults; each field's bounds stand beside it as a constant, so that the
//! configuration file, its documentation and the tests name the same numbers.

use std::{future::Future, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    StatusCode,
    body::{Body, SizeHint},
};
use keyturn_core::secret::SecretBytes;

/// How much room is made before the first byte of a body has arrived: a `Content-Length` is a claim, not a fact.
const FIRST_ALLOCATION: usize = 16 * 1024;

/// The limits of one listener and of the requests that come through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; more wait in the kernel's queue until one ends. Default 4096.
    pub max_connections: usize,
    /// The longest a TLS handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// The longest from the connection's start to its first complete request head. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may stand still with no request at work: idle between requests, sending a head
    /// slowly, or not taking an answer. It is checked at this interval, so closing may take up to twice as long.
    /// Default 75 s.
    pub idle_timeout: Duration,
    /// The longest a whole request body may take to arrive. Default 30 s.
    pub body_timeout: Duration,
    /// The longest a handler may work on one request, its body included. Default 90 s.
    pub request_timeout: Duration,
    /// How long requests at work may go on once shutdown has begun. Default 20 s.
    pub drain_timeout: Duration,
    /// The largest request body, in bytes. Default 32 MiB.
    pub max_body_bytes: usize,
    /// The largest request head (request line and headers), in bytes. Default 64 KiB. HTTP/1 heads are bounded to
    /// 100 headers besides.
    pub max_header_bytes: usize,
    /// How deep objects and arrays of a JSON body may nest. Default 64.
    pub json_depth: usize,
}

impl Limits {
    /// Bounds of [`Limits::max_connections`].
    pub const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
    /// Bounds of every duration here, where it is configured.
    pub const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
    /// Bounds of [`Limits::max_body_bytes`]: 1 KiB to 1 GiB.
    pub const BODY_BYTES: RangeInclusive<usize> = 1024..=1024 * 1024 * 1024;
    /// Bounds of [`Limits::max_header_bytes`]: 8 KiB (the least hyper can work with) to 1 MiB.
    pub const HEADER_BYTES: RangeInclusive<usize> = 8 * 1024..=1024 * 1024;
    /// Bounds of [`Limits::json_depth`]; 127 is where `serde_json` stops by itself.
    pub const JSON_DEPTH: RangeInclusive<usize> = 8..=127;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(90),
            drain_timeout: Duration::from_secs(20),
            max_body_bytes: 32 * 1024 * 1024,
            max_header_bytes: 64 * 1024,
            json_depth: 64,
        }
    }
}

/// A request body that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than allowed.
    #[error("the request body is larger than the {limit} bytes that this server accepts")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the request body did not arrive whole within {limit:?}")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The client went away, or its framing is broken.
    #[error("the request body ended before it was complete: {0}")]
    Broken(String),
}

impl BodyError {
    /// The status that says it: 413, 408 or 400 (RFC 9110, section 15.5).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads `body` whole, bounded in size and time, into a buffer that is wiped when dropped.
///
/// # Errors
/// [`BodyError`]; its `status()` is what the client should be told.
pub async fn read_body<B>(body: B, limits: &Limits) -> Result<SecretBytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    if body.is_end_stream() {
        return Ok(SecretBytes::default());
    }
    let claimed = claimed_size(&body.size_hint(), limits.max_body_bytes)?;
    let too_slow = BodyError::TooSlow { limit: limits.body_timeout };
    within(limits.body_timeout, collect(body, claimed, limits.max_body_bytes)).await.ok_or(too_slow)?
}

/// What the body says about its size: refused right away when that is too much.
fn claimed_size(hint: &SizeHint, limit: usize) -> Result<usize, BodyError> {
    let claimed = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
    if claimed > limit { Err(BodyError::TooLarge { limit }) } else { Ok(claimed) }
}

async fn collect<B>(mut body: B, claimed: usize, limit: usize) -> Result<SecretBytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut whole = SecretBytes::new(Vec::with_capacity(claimed.min(FIRST_ALLOCATION)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if chunk.len() > limit - whole.len() {
            return Err(BodyError::TooLarge { limit });
        }
        append(&mut whole, &chunk);
    }
    Ok(whole)
}

/// Appends `chunk`. `Vec` would leave the old buffer behind unwiped when it grows, so growing is done here.
fn append(whole: &mut SecretBytes, chunk: &[u8]) {
    let needed = whole.len() + chunk.len();
    if needed > whole.expose_secret_mut().capacity() {
        let mut larger = Vec::with_capacity(needed.next_power_of_two());
        larger.extend_from_slice(whole.expose_secret());
        *whole = SecretBytes::new(larger);
    }
    whole.expose_secret_mut().extend_from_slice(chunk);
}

/// Awaits `work` for at most `limit`. A timer is made only if the work is not ready at its first poll, so that an
/// answer from memory pays for none.
pub(crate) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    match std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx))).await {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => tokio::time::timeout(limit, work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use hyper::body::Frame;
    use std::{convert::Infallible, pin::Pin, task::Poll};

    fn limits(max_body_bytes: usize) -> Limits {
        Limits { max_body_bytes, body_timeout: Duration::from_millis(100), ..Limits::default() }
    }

    /// A body of chunks that says nothing about its size.
    struct Chunks(Vec<&'static [u8]>, bool);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop() {
                Some(chunk) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(chunk))))),
                None if self.1 => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_whole() {
        let body = read_body(Full::new(Bytes::from_static(b"12345678")), &limits(8)).await.expect("body");
        assert_eq!(body.expose_secret(), b"12345678");
        let body = read_body(Chunks(vec![b"78", b"3456", b"12"], false), &limits(8)).await.expect("body");
        assert_eq!(body.expose_secret(), b"12345678");
    }

    #[tokio::test]
    async fn one_byte_more_is_refused_whether_announced_or_not() {
        let refused = Err(BodyError::TooLarge { limit: 7 });
        let announced = read_body(Full::new(Bytes::from_static(b"12345678")), &limits(7)).await;
        assert_eq!(announced.map(|_| ()), refused.clone().map(|(): ()| ()));
        let chunked = read_body(Chunks(vec![b"5678", b"1234"], false), &limits(7)).await;
        assert_eq!(chunked.map(|_| ()), refused);
    }

    #[tokio::test]
    async fn a_body_that_stops_arriving_is_too_slow() {
        let error = read_body(Chunks(vec![b"1234"], true), &limits(8)).await.map(|_| ()).expect_err("slow");
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        let limits = Limits::default();
        assert!(Limits::CONNECTIONS.contains(&limits.max_connections));
        assert!(Limits::BODY_BYTES.contains(&limits.max_body_bytes));
        assert!(Limits::HEADER_BYTES.contains(&limits.max_header_bytes));
        assert!(Limits::JSON_DEPTH.contains(&limits.json_depth));
        for timeout in [limits.handshake_timeout, limits.header_timeout, limits.idle_timeout, limits.body_timeout] {
            assert!(Limits::TIMEOUT.contains(&timeout));
        }
        for timeout in [limits.request_timeout, limits.drain_timeout] {
            assert!(Limits::TIMEOUT.contains(&timeout));
        }
    }
}
