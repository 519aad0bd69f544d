//! A body that takes long: each part that its client takes counts as a sign of life of the connection, which would pass
//! for one that stands still otherwise.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::{
    Response,
    body::{Frame, SizeHint},
};

/// Has the parts of an answer counted in `beats`, unless the answer is there as a whole.
pub(super) fn counted(answer: Response<Body>, beats: impl FnOnce() -> Arc<AtomicU64>) -> Response<Body> {
    if hyper::body::Body::size_hint(answer.body()).exact().is_some() {
        return answer;
    }
    let beats = beats();
    answer.map(|body| Body::new(Beating { body, beats }))
}

struct Beating {
    body: Body,
    beats: Arc<AtomicU64>,
}

impl hyper::body::Body for Beating {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.beats.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
