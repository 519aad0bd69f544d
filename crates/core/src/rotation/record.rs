//! The record of a rotation: what was asked for, and how far it has come.
//!
//! ```text
//! kv/<uuid>/rotation/<name>                     Rotation, in MessagePack
//! database/<uuid>/rotation/<name>               the same, of a static role
//! secret-rotation/due/<seconds>/<uuid>/<name>   that something is to be done with it by then; no content. Of a static
//!                                               role, `static/` stands before the uuid
//! ```
//!
//! Every change is a commit conditional on the record's revision, and moves the note of when it is due along with it.
//! The phases, and what may follow what:
//!
//! ```text
//! Idle -> Creating -> Setting -> Testing -> Promoting -> Overlap -> Revoking -> Idle
//!            \___________\__________\___________\-> Undoing -> Idle, with what failed
//! ```

use serde::{Deserialize, Serialize};

use crate::{
    clock::{self, SignedDuration, Timestamp, nanos},
    kv::{PENDING, Secret, VersionState},
    schedule::Schedule,
};

/// How the credential is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Two principals, members of one role, take turns.
    Alternating,
    /// One principal, which for a time has two passwords.
    DualCredential,
    /// One principal and one password: between the target's change and the secret's there is a gap.
    InPlace,
    /// Somebody else's endpoint does it, in four steps.
    Hook,
    /// A random value that no target knows.
    Generated,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 5] = [Self::Alternating, Self::DualCredential, Self::InPlace, Self::Hook, Self::Generated];

    /// The name on the wire and the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alternating => "alternating",
            Self::DualCredential => "dual-credential",
            Self::InPlace => "in-place",
            Self::Hook => "hook",
            Self::Generated => "generated",
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Whether a target's principals are changed.
    #[must_use]
    pub fn has_target(self) -> bool {
        matches!(self, Self::Alternating | Self::DualCredential | Self::InPlace)
    }

    /// Whether the credential before stays good next to the new one until it is revoked.
    #[must_use]
    pub fn overlaps(self) -> bool {
        matches!(self, Self::Alternating | Self::DualCredential)
    }
}

/// What is done when the overlap has lasted its longest and somebody still holds the credential before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AtMax {
    /// Both are kept, and it is said who holds on.
    #[default]
    Wait,
    /// It is revoked all the same.
    Revoke,
}

/// Somebody else's endpoint, or program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// An absolute `https` or `http` URL; empty: a command.
    pub url: String,
    /// The certificates that the server's must lead back to, in PEM; empty: the system's.
    pub ca_pem: String,
    /// How the hook knows the secret: its ARN, or `mount/name`.
    pub secret_id: String,
    /// Instead of a URL, the name of a command in the server's configuration; empty: none.
    #[serde(default)]
    pub command: String,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How.
    pub strategy: Strategy,
    /// The name of the connection to where the credential is valid; empty for strategies without.
    pub target: String,
    /// The role that principals are made members of.
    pub owner_role: String,
    /// The principals: two for `alternating`, one for the others that have a target.
    pub users: Vec<String>,
    /// When ([`Schedule`]); empty: only when somebody asks.
    pub schedule: String,
    /// The time zone of a cron expression; empty: UTC.
    pub zone: String,
    /// Seconds after a scheduled time within which a rotation may begin; 0: whenever it can.
    pub window: u64,
    /// Seconds by which a scheduled time is put off at random, at the most.
    pub jitter: u64,
    /// Seconds for which both credentials are good at least.
    pub overlap_min: u64,
    /// Seconds after which those who hold on are told of, or left behind.
    pub overlap_max: u64,
    /// Which of the two.
    pub at_max: AtMax,
    /// Seconds after its last read from which on a consumer is taken to be gone.
    pub look_back: u64,
    /// The password policy; empty: 32 letters and digits.
    pub password_policy: String,
    /// The field that holds the name.
    pub username_field: String,
    /// The field that holds the password, or the generated value.
    pub password_field: String,
    /// For `hook`.
    pub hook: Option<Hook>,
    /// What gives a static role's user another password, in place; empty: the engine's way.
    #[serde(default)]
    pub statements: Vec<String>,
}

/// A version of the secret and the principal that it logs in as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The version's number; 0: none yet.
    pub version: u64,
    /// The principal; empty for strategies without a target.
    pub username: String,
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The id of the pending version, which names the run.
    pub id: String,
    /// When it began.
    #[serde(with = "nanos")]
    pub began: Timestamp,
    /// When the new version became current.
    #[serde(with = "nanos::option")]
    pub promoted: Option<Timestamp>,
    /// The credential that comes.
    pub new: Credential,
    /// The one that was current when it began; `None`: there was none that the target knows.
    pub old: Option<Credential>,
    /// The secret's current version when it began; 0: none.
    pub base: u64,
    /// Whether the principal that comes was missing when it began.
    pub made: bool,
    /// Whether the outcome is only to be tested and taken back.
    pub rehearsal: bool,
    /// How often the present step has failed.
    pub attempts: u32,
    /// Why, the last time; empty: it has not.
    pub reason: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing is under way.
    #[default]
    Idle,
    /// A pending version is to be written.
    Creating,
    /// The target is to take the new credential.
    Setting,
    /// It is to be tried.
    Testing,
    /// It is to become current.
    Promoting,
    /// Both are good, until it is shown that nobody needs the one before.
    Overlap,
    /// The one before is to be revoked.
    Revoking,
    /// What was begun is to be taken back.
    Undoing,
}

impl Phase {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Creating => "creating",
            Self::Setting => "setting",
            Self::Testing => "testing",
            Self::Promoting => "promoting",
            Self::Overlap => "overlap",
            Self::Revoking => "revoking",
            Self::Undoing => "undoing",
        }
    }

    /// Whether the new credential is current already: from here on it only goes forward.
    #[must_use]
    pub fn is_promoted(self) -> bool {
        matches!(self, Self::Overlap | Self::Revoking)
    }
}

/// Why a rotation did not come about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    #[serde(with = "nanos")]
    pub at: Timestamp,
    /// In which step.
    pub phase: Phase,
    /// What was wrong; no secret.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// A rotation that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The id of the version that is to come.
    pub id: String,
    /// Whether the outcome is only to be tested and taken back.
    pub rehearsal: bool,
}

/// How the last run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// When.
    #[serde(with = "nanos")]
    pub at: Timestamp,
    /// Whether its version became current.
    pub promoted: bool,
}

/// Who works on it, and until when nobody else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// A random name.
    pub owner: String,
    /// When it ends by itself.
    #[serde(with = "nanos")]
    pub until: Timestamp,
}

/// A rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// What is asked for.
    pub settings: Settings,
    /// When it was set up.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// What is under way.
    pub run: Option<Run>,
    /// Nothing new is begun, and nothing is revoked.
    pub paused: bool,
    /// When the next rotation is to begin; `None`: when somebody asks.
    #[serde(with = "nanos::option")]
    pub next: Option<Timestamp>,
    /// When somebody is to look at it again.
    #[serde(with = "nanos::option")]
    pub wake: Option<Timestamp>,
    /// When a new version last became current.
    #[serde(with = "nanos::option")]
    pub rotated: Option<Timestamp>,
    /// What somebody asked for and is yet to begin.
    pub asked: Option<Asked>,
    /// How the last run ended.
    pub ended: Option<Ended>,
    /// Who works on it.
    pub claim: Option<Claim>,
    /// Why the last one did not come about; `None`: it did.
    pub failure: Option<Failure>,
    /// How many came about.
    pub count: u64,
    /// Of a static role, how many failed since the last one that came about: it is tried again at once.
    #[serde(default)]
    pub retries: u32,
}

impl Rotation {
    /// A rotation that has not begun.
    #[must_use]
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        Self {
            settings,
            created: now,
            phase: Phase::Idle,
            run: None,
            paused: false,
            next: None,
            wake: None,
            rotated: None,
            asked: None,
            ended: None,
            claim: None,
            failure: None,
            count: 0,
            retries: 0,
        }
    }

    /// When it was last begun, or set up.
    fn last(&self) -> Timestamp {
        self.run.as_ref().map_or_else(|| self.rotated.unwrap_or(self.created), |run| run.began)
    }

    /// Works out when the next rotation is to begin, now that this one is over; `shift` seconds are the jitter.
    pub(super) fn plan_next(&mut self, now: Timestamp, shift: u64) {
        let schedule = Schedule::parse(&self.settings.schedule, &self.settings.zone);
        let next = schedule.ok().and_then(|schedule| schedule.next_after(self.last(), now));
        self.next = next.map(|at| clock::after(at, shift));
    }

    /// The same, now that the window of the time that was due is over: of a cron expression it may be a time that has
    /// passed, if its window is open still.
    pub(super) fn plan_missed(&mut self, now: Timestamp, shift: u64) {
        let has_interval = Schedule::parse(&self.settings.schedule, "").is_ok_and(|one| one.interval().is_some());
        let window = SignedDuration::from_secs(i64::try_from(self.settings.window).unwrap_or(i64::MAX));
        let from = if has_interval { now } else { now.checked_sub(window).unwrap_or(now) };
        self.plan_next(from, shift);
    }

    /// Whether the scheduled rotation may begin at `now`, or is to wait for its next time since its window is over.
    pub(super) fn is_in_window(&self, now: Timestamp) -> bool {
        let settings = &self.settings;
        let end = |next| clock::after(next, settings.window);
        settings.window == 0 || self.next.is_none_or(|next| now < end(next))
    }

    /// Nothing new is to begin, and nothing to be revoked.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        if self.phase == Phase::Idle && self.asked.is_none() {
            self.wake = None;
        }
    }

    /// Whether it does not simply wait for its time, so that alerts look at it.
    pub(super) fn is_watched(&self) -> bool {
        self.phase != Phase::Idle || self.failure.is_some() || self.paused
    }

    /// The id of the version that a failed rotation by a hook may have left, filled and pending.
    pub(super) fn left_behind(&self) -> Option<&str> {
        let ended = self.ended.as_ref().filter(|ended| !ended.promoted)?;
        (self.settings.strategy == Strategy::Hook && self.failure.is_some()).then_some(ended.id.as_str())
    }

    /// The same, if the secret still has it so. Whoever takes its label away, or destroys it, has it forgotten.
    pub(super) fn left_in(&self, secret: &Secret, now: Timestamp) -> Option<String> {
        let version = secret.by_id(self.left_behind()?)?;
        let waits = version.has(PENDING) && !version.empty && version.state(now) == VersionState::Live;
        (waits && version.number != secret.current()).then(|| version.id.clone())
    }

    /// The state in a word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Idle if self.asked.is_some() => "starting",
            Phase::Idle if self.failure.is_some() => "failed",
            phase => phase.name(),
        }
    }
}
