//! The course of a drill: sees the application well, asks for the rotation, follows it, sees the application well again.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::beat::Stage;
use super::checks::{self, Verdict};
use super::events::{Attempt, Event, Threads};
use super::probe::Probe;
use super::record::{Record, Stop};
use super::status::{self, Status};
use super::timeline::Timeline;
use super::{After, seconds};
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// What a drill may take beyond the least overlap, unless it is said.
const SPARE: Duration = Duration::from_secs(300);

/// How it is to go.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) probes: Arc<[Probe]>,
    pub(super) interval: Duration,
    pub(super) before: u64,
    pub(super) after: After,
    pub(super) timeout: Option<Duration>,
}

/// A drill under way.
#[derive(Debug)]
pub(super) struct Course<'a> {
    plan: &'a Plan,
    threads: Threads,
    events: Receiver<Event>,
    record: &'a mut Record,
    timeline: &'a mut Timeline,
    /// Said last of where the rotation is.
    told: String,
    unreachable: bool,
    /// Whether the probes have succeeded often enough at the look before.
    ready: bool,
    over: bool,
}

impl<'a> Course<'a> {
    /// One that has not begun.
    pub(super) fn new(plan: &'a Plan, client: Arc<Client>, record: &'a mut Record, timeline: &'a mut Timeline) -> Self {
        let (threads, events) = Threads::new(client, &record.path);
        Self {
            plan,
            threads,
            events,
            record,
            timeline,
            told: String::new(),
            unreachable: false,
            ready: false,
            over: false,
        }
    }

    /// Carries it out until there is nothing more to see.
    pub(super) fn run(&mut self, first: Status) -> Result<(), Failure> {
        let timeout = self.bound(&first)?;
        self.introduce(&first)?;
        self.record.look(first.clone());
        self.record.first = Some(first);
        self.threads.probe(&self.plan.probes, self.plan.interval);
        self.threads.watch();
        while !self.over {
            let left = timeout.saturating_sub(self.timeline.now());
            let event = match self.events.recv_timeout(left) {
                Ok(event) if !left.is_zero() => event,
                Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.stop(Stop::TimedOut(timeout));
                    break;
                }
            };
            self.take(event)?;
            self.over |= self.is_done();
            let (attempts, failures) = self.record.totals();
            let stage = self.threads.beat.stage().name();
            output::live(&format!("{} {stage}: {attempts} probes, {failures} failed", seconds(self.timeline.now())));
        }
        output::live("");
        Ok(())
    }

    /// How long it may take; less than the least overlap could show nothing.
    fn bound(&self, first: &Status) -> Result<Duration, Failure> {
        let least = if first.overlaps() { Duration::from_secs(first.overlap_min) } else { Duration::ZERO };
        match self.plan.timeout {
            None => Ok(least + SPARE),
            Some(timeout) if timeout > least => Ok(timeout),
            Some(timeout) => Err(Failure::Usage(format!(
                "--timeout {} ends before the least overlap, {}, does: give more, or set a shorter one with `keyturn \
                 rotation create {} --overlap-min`",
                seconds(timeout),
                seconds(least),
                self.record.path
            ))),
        }
    }

    fn introduce(&mut self, first: &Status) -> Result<(), Failure> {
        let sessions = match first.in_use.sessions.as_slice() {
            [] => String::new(),
            sessions => format!("; {}", status::sessions(sessions.iter())),
        };
        let (path, credential) = (&self.record.path, first.in_use.credential());
        self.timeline.say(format!("{path}: {}, {credential} is current{sessions}", first.progress.strategy))?;
        if !first.in_use.unknown.is_empty() {
            let why = &first.in_use.unknown;
            self.timeline.say(format!("whether it reconnects is judged by who reads the new version: {why}"))?;
        }
        let labels: Vec<&str> = self.plan.probes.iter().map(|probe| probe.label.as_str()).collect();
        self.timeline.say(format!("probing {} every {}", labels.join(", "), seconds(self.plan.interval)))
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Probed(attempt) => self.probed(&attempt),
            Event::Looked(Ok(status)) => self.look(*status),
            Event::Looked(Err(error)) => self.missed(error),
            Event::Begun(Ok(id)) => {
                self.record.id = Some(id);
                Ok(())
            }
            Event::Begun(Err(error)) => {
                // Who was refused has begun nothing; whoever heard no answer cannot know.
                self.record.asked = !error.is_refusal();
                Err(error.into())
            }
            Event::Interrupted => {
                self.stop(Stop::Interrupted);
                Ok(())
            }
        }
    }

    fn probed(&mut self, attempt: &Attempt) -> Result<(), Failure> {
        if let Some(line) = self.record.count(attempt, self.timeline.now()) {
            self.timeline.say(line)?;
        }
        if self.record.asked {
            return Ok(());
        }
        if attempt.result.is_err() {
            self.stop(Stop::Unhealthy);
        }
        Ok(())
    }

    /// Asks for the rotation once the probes have succeeded, at a look after that: it shows the sessions that they have
    /// made the application open.
    fn begin(&mut self) -> Result<(), Failure> {
        let made = self.record.attempts(Stage::Before);
        if self.record.asked || !std::mem::replace(&mut self.ready, made >= self.plan.before) {
            return Ok(());
        }
        self.timeline.say(format!("{made} probes before the rotation: none failed; asking for it"))?;
        self.record.asked = true;
        self.enter(Stage::During);
        self.threads.begin();
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        self.record.marks[stage as usize] = Some(self.timeline.now());
        self.threads.beat.enter(stage);
    }

    fn stop(&mut self, stop: Stop) {
        self.record.stop = stop;
        self.over = true;
    }

    /// The rotation goes on without being looked at.
    fn missed(&mut self, error: ClientError) -> Result<(), Failure> {
        if error.exit() != Exit::Unreachable {
            return Err(error.into());
        }
        if !std::mem::replace(&mut self.unreachable, true) {
            self.timeline.say(format!("the rotation cannot be looked at: {error}"))?;
        }
        Ok(())
    }

    fn look(&mut self, status: Status) -> Result<(), Failure> {
        self.unreachable = false;
        let arrived = self.record.arrived.len();
        let had_sessions = self.record.had_sessions;
        self.follow(&status)?;
        let here = (!status.in_use.sessions.is_empty()).then(|| status::sessions(status.in_use.sessions.iter()));
        self.record.look(status);
        if let Some(line) = here.filter(|_| !had_sessions && !self.record.asked) {
            self.timeline.say(line)?;
        }
        self.begin()?;
        if arrived == 0 && !self.record.arrived.is_empty() {
            self.timeline.say(status::sessions(self.record.arrived.values()))?;
        }
        Ok(())
    }

    fn follow(&mut self, status: &Status) -> Result<(), Failure> {
        let Some(id) = self.record.id.clone().filter(|_| self.record.ended.is_none()) else { return Ok(()) };
        if let Some(promoted) = status.ended(&id) {
            self.record.ended = Some(promoted);
            self.record.promoted |= promoted;
            self.enter(Stage::After);
            let line = match (promoted, status.overlaps()) {
                (false, _) => status.progress.reason(),
                (true, true) => format!("the rotation is over: {} is all that is good", status.in_use.credential()),
                (true, false) => format!("the rotation is over: {} is current", status.in_use.credential()),
            };
            return self.timeline.say(line);
        }
        if !status.progress.is_run(&id) {
            return Ok(());
        }
        if status.progress.is_promoted() && !self.record.promoted {
            self.record.promoted = true;
            self.enter(Stage::Overlap);
        }
        let line = status.progress.line();
        if line != self.told {
            self.told.clone_from(&line);
            self.timeline.say(line)?;
        }
        Ok(())
    }

    /// Whether all was seen: the end of the rotation, the application on the new credential, and enough probes after.
    fn is_done(&self) -> bool {
        let Some(promoted) = self.record.ended else { return false };
        let made = self.record.attempts(Stage::After);
        let began = self.record.marks[Stage::After as usize].unwrap_or_default();
        let enough = match self.plan.after {
            After::Count(count) => made >= count,
            After::For(time) => made > 0 && self.timeline.now() >= began + time,
        };
        let seen = || self.record.looks_after > 1 && matches!(checks::reconnected(self.record), Verdict::Passed(_));
        enough && (!promoted || seen())
    }
}
