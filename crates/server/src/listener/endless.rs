//! A body that would never end by itself: it ends when the server begins to stop, so that its connection can.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::{
    Response,
    body::{Frame, SizeHint},
};

use super::gate::{Gate, Phase};

/// Says of an answer that its body goes on until somebody ends it. Set as an extension of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endless;

/// Ends an endless answer's body once the gate is left.
pub(super) fn ended(answer: Response<Body>, gate: &Arc<Gate>) -> Response<Body> {
    if answer.extensions().get::<Endless>().is_none() {
        return answer;
    }
    let gate = Arc::clone(gate);
    let left: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { gate.left(Phase::Serving).await });
    let left = Some(left);
    answer.map(|body| Body::new(Ending { body, left }))
}

struct Ending {
    body: Body,
    /// `None` once it is over.
    left: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl hyper::body::Body for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(left) = &mut self.left else { return Poll::Ready(None) };
        if left.as_mut().poll(cx).is_ready() {
            self.left = None;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
