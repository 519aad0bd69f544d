//! `sys/storage/snapshot`, also as `sys/storage/raft/snapshot`, which clients know: the whole store as one file, sealed
//! as it is stored; and `…-force`, which restores one that another store made.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;
use keyturn_core::snapshot::SnapshotStream;
use tokio::sync::mpsc;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};
use crate::spool;

/// Parts that wait for a slow client: the writer is never further ahead.
const AHEAD: usize = 1;

/// The longest part that is handed on at once: a slow client must show signs of life while it takes one.
const PART: usize = 64 << 10;

pub(in super::super) async fn take(call: Call<'_>) -> Outcome {
    Ok(Reply::stream(send(call.core.snapshot(call.permit).await?)))
}

pub(in super::super) async fn restore(call: Call<'_>) -> Outcome {
    receive(call, false).await
}

pub(in super::super) async fn force_restore(call: Call<'_>) -> Outcome {
    receive(call, true).await
}

/// Reads the snapshot to the disk, and restores it if it is whole and of this store, or forced.
async fn receive(call: Call<'_>, force: bool) -> Outcome {
    let body = call.parsed.upload.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let body = body.ok_or_else(|| Failure::bad_request("send the snapshot as the request's body"))?;
    let file = spool::receive(body).await.map_err(|error| Failure::new(error.status(), error.to_string()))?;
    call.node.restore(call.permit, Box::new(file), force).await?;
    Ok(Reply::empty())
}

/// A body that draws the snapshot as its client takes it.
fn send(mut snapshot: Box<dyn SnapshotStream>) -> Body {
    let (parts, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        loop {
            let mut page = match snapshot.next().await {
                Ok(None) => return,
                Ok(Some(page)) => Bytes::from(page),
                // The client finds that the end is missing, as does whoever would restore it.
                Err(error) => {
                    tracing::error!(%error, "a snapshot broke off");
                    _ = parts.send(Err(io::Error::other("the snapshot broke off"))).await;
                    return;
                }
            };
            while !page.is_empty() {
                let part = page.split_to(PART.min(page.len()));
                // A client that went away wants no more.
                if parts.send(Ok(part)).await.is_err() {
                    return;
                }
            }
        }
    });
    Body::new(Parts(receiver))
}

struct Parts(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data)))
    }
}
