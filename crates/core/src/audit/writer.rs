//! How entries of many requests get to one device: in order, linked, and without anybody waiting idly for a turn.
//!
//! ```text
//! submit -> nobody writes:  write at once, then what others brought meanwhile, all of it by one write
//!        -> somebody writes: leave the lines with them and go on with other requests until they are written
//! ```
//!
//! What is for a device that waits for a collector is always left: to a thread that serves no requests.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::{runtime::Handle, sync::oneshot, task::spawn_blocking};

use super::{
    chain::{self, Chain, ChainKey, Digest, Head, LONGEST_LINK},
    device::{Device, DeviceError},
};
use crate::{
    random::{Random, RandomError},
    secret::Key256,
};

/// The most bytes of a buffer that is kept for the next entry.
const MOST_KEPT: usize = 64 << 10;

/// How many times whoever writes goes on with what others brought, before a task of its own takes that over.
const TURNS: usize = 8;

/// A chain that a device's entries are linked by.
pub(crate) struct Chained {
    key: ChainKey,
    chain: Chain,
}

impl Chained {
    /// Links entries under `key`, in a new segment after `before`.
    pub(crate) fn begin(key: &Key256, random: Random, before: Option<Head>) -> Result<Self, RandomError> {
        let key = ChainKey::new(key);
        Ok(Self { chain: Chain::begin(key.clone(), random, before)?, key })
    }
}

/// Entries, each with its line feed, and their digests where a chain wants them.
struct Lines {
    text: Vec<u8>,
    digests: Vec<Digest>,
}

/// What was brought while somebody wrote.
struct Waiting {
    lines: Lines,
    written: oneshot::Sender<bool>,
}

#[derive(Default)]
struct Queue {
    writing: bool,
    waiting: Vec<Waiting>,
}

/// The way to one device.
pub(crate) struct Writer {
    path: String,
    device: Arc<dyn Device>,
    key: Option<ChainKey>,
    queue: Mutex<Queue>,
    /// Locked by whoever set `writing`, as long as they write.
    linked: Mutex<Vec<u8>>,
    /// Locked for a moment, never during a write: whoever asks for the head does not wait for a collector.
    chain: Mutex<Option<Chain>>,
    /// Whether the last write failed, so that a dead device is logged once and not with every request.
    failing: AtomicBool,
}

/// What became of lines that were submitted.
pub(super) enum Submitted {
    /// Whether the device took them.
    Done(bool),
    /// Somebody else is writing them.
    Waiting(oneshot::Receiver<bool>),
}

impl Writer {
    /// The way to `device`, which is enabled at `path`; its entries are linked if there is a chain.
    pub(crate) fn new(path: &str, device: Arc<dyn Device>, chained: Option<Chained>) -> Self {
        let (key, chain) = chained.map_or((None, None), |chained| (Some(chained.key), Some(chained.chain)));
        Self {
            path: path.to_owned(),
            device,
            key,
            queue: Mutex::default(),
            linked: Mutex::default(),
            chain: Mutex::new(chain),
            failing: AtomicBool::new(false),
        }
    }

    /// Writes a first entry, before anybody else does, and says why that fails.
    pub(crate) async fn probe(self: &Arc<Self>, text: Vec<u8>) -> Result<(), DeviceError> {
        let digests = chain::digests(&text).collect();
        let lines = Lines { text, digests };
        if !self.device.waits() {
            return self.write(&lines);
        }
        let this = Arc::clone(self);
        let written = spawn_blocking(move || this.write(&lines)).await;
        written.unwrap_or_else(|_| Err(DeviceError("the server is being stopped".to_owned())))
    }

    /// The key of the chain, if there is one.
    pub(super) fn key(&self) -> Option<&ChainKey> {
        self.key.as_ref()
    }

    /// How far the chain has come.
    pub(super) fn head(&self) -> Option<Head> {
        lock(&self.chain).as_ref()?.head().cloned()
    }

    /// Opens the device's file anew.
    pub(super) fn reopen(&self) -> Result<(), DeviceError> {
        self.device.reopen()
    }

    /// Writes `text`, one entry or several with their line feeds, or has it written.
    pub(super) fn submit(self: &Arc<Self>, text: Vec<u8>) -> Submitted {
        if !self.fits(&text) {
            return Submitted::Done(false);
        }
        // What takes long, hashing the lines, is done before others are kept out.
        let digests = if self.key.is_some() { chain::digests(&text).collect() } else { Vec::new() };
        let lines = Lines { text, digests };
        let waits = self.device.waits();
        {
            let mut queue = lock(&self.queue);
            if queue.writing || waits {
                let (written, receiver) = oneshot::channel();
                queue.waiting.push(Waiting { lines, written });
                if !std::mem::replace(&mut queue.writing, true) {
                    drop(queue);
                    self.hand_over();
                }
                return Submitted::Waiting(receiver);
            }
            queue.writing = true;
        }
        let taken = self.write(&lines).is_ok();
        self.drain(TURNS);
        Submitted::Done(taken)
    }

    /// Whether the device takes entries of this size. One that it does not fails alone, and not with others' entries.
    fn fits(&self, text: &[u8]) -> bool {
        let largest = self.device.largest();
        if largest == usize::MAX {
            return true;
        }
        let room = if self.key.is_some() { largest.saturating_sub(LONGEST_LINK) } else { largest };
        let longest = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or_default();
        if longest > room {
            let device = &self.path;
            tracing::error!(%device, bytes = longest, most = room, "an entry is larger than the audit device takes");
        }
        longest <= room
    }

    /// Has what is waiting written by a thread that may wait.
    fn hand_over(self: &Arc<Self>) {
        match Handle::try_current() {
            Ok(runtime) => {
                let this = Arc::clone(self);
                runtime.spawn_blocking(move || this.drain(usize::MAX));
            }
            Err(_) => self.drain(usize::MAX),
        }
    }

    /// Writes what others have brought, until nobody has; after `turns` writes a task of its own goes on.
    fn drain(self: &Arc<Self>, turns: usize) {
        for turn in 1_usize.. {
            let waiting = {
                let mut queue = lock(&self.queue);
                if queue.waiting.is_empty() {
                    queue.writing = false;
                    return;
                }
                if turn > turns
                    && let Ok(runtime) = Handle::try_current()
                {
                    drop(queue);
                    let this = Arc::clone(self);
                    runtime.spawn(async move { this.drain(TURNS) });
                    return;
                }
                std::mem::take(&mut queue.waiting)
            };
            self.write_all(waiting);
        }
    }

    fn write_all(&self, waiting: Vec<Waiting>) {
        let mut all = Lines { text: Vec::new(), digests: Vec::new() };
        let mut senders = Vec::with_capacity(waiting.len());
        for Waiting { lines, written } in waiting {
            if all.text.is_empty() {
                all = lines;
            } else {
                all.text.extend_from_slice(&lines.text);
                all.digests.extend_from_slice(&lines.digests);
            }
            senders.push(written);
        }
        let taken = self.write(&all).is_ok();
        for written in senders {
            // Whoever has gone away does not want to know.
            _ = written.send(taken);
        }
    }

    fn write(&self, lines: &Lines) -> Result<(), DeviceError> {
        let written = self.write_linked(lines);
        if self.failing.load(Ordering::Relaxed) != written.is_err() {
            self.log_turn(written.as_ref().err());
        }
        written
    }

    /// Logs that the device began to fail, or that it records again: once.
    #[cold]
    fn log_turn(&self, error: Option<&DeviceError>) {
        self.failing.store(error.is_some(), Ordering::Relaxed);
        let device = &self.path;
        match error {
            Some(error) => tracing::error!(%device, %error, "audit device does not record"),
            None => tracing::info!(%device, "audit device records again"),
        }
    }
    fn write_linked(&self, lines: &Lines) -> Result<(), DeviceError> {
        let mut linked = lock(&self.linked);
        linked.clear();
        linked.shrink_to(MOST_KEPT);
        let head = lock(&self.chain).as_ref().map(|chain| chain.link(&lines.text, &lines.digests, &mut linked));
        let written = self.device.write(if head.is_some() { &linked } else { &lines.text });
        if let (Some(head), Some(chain)) = (head, &mut *lock(&self.chain)) {
            match &written {
                Ok(()) => chain.keep(head),
                Err(_) => chain.break_off().map_err(|error| DeviceError(error.to_string()))?,
            }
        }
        written
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
