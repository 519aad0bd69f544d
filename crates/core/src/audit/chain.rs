//! The chain through a device's log: each entry carries a keyed hash over itself and the one before it, so that a line
//! that was altered, removed, moved or cut off shows, even to whoever may write the file.
//!
//! An entry's last member is its link:
//!
//! ```text
//! "chain":"<segment>.<number>.<mac>"                          entry <number> of the segment, counted from 1
//! "chain":"<segment>.1.<mac>.<segment before>.<entries>"      the first of a segment that goes on after another
//!
//! <segment>   8 hex digits, drawn when a device is opened and after each write that failed
//! <mac>       32 bytes in base64url without padding
//! mac n     = HMAC-SHA256(key, 0x01 ‖ mac n-1 ‖ SHA-256(the entry without its link and line feed))
//! mac 0     = HMAC-SHA256(key, 0x00 ‖ segment ‖ segment before ‖ its entries, u64 BE ‖ its mac at that number)
//!             the segment before, its entries and its mac are zeros for the first segment of all
//! ```
//!
//! The key is the device's own, derived from the root key. How far a chain has come ([`Head`]) is written to the store
//! once a second while it grows and when the store is sealed; the next segment names it. So the end of a log cannot be cut off
//! unseen either, but for what a crash leaves unrecorded: a second of entries.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    barrier::Mac,
    random::{Random, RandomError},
    secret::Key256,
};

/// What stands between an entry and its link.
const MEMBER: &[u8] = b",\"chain\":\"";
/// What ends a linked entry.
const END: &[u8] = b"\"}";
const SEGMENT_LEN: usize = 8;
const MAC_TEXT_LEN: usize = 43;
/// The most bytes that a link makes an entry longer by: two segments, two numbers of 20 digits, a hash and what parts them.
pub(super) const LONGEST_LINK: usize =
    MEMBER.len() + END.len() + 2 * SEGMENT_LEN + 2 * 20 + MAC_TEXT_LEN + "....".len();

/// The digest of an entry without its link and line feed.
pub type Digest = [u8; 32];

/// How far a chain has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The segment at hand: 8 hex digits.
    pub segment: String,
    /// Entries in the segment.
    pub entries: u64,
    /// The last one's hash.
    pub mac: Mac,
}

/// One device's chain as it grows.
pub(super) struct Chain {
    key: ChainKey,
    head: Head,
    /// The head that the segment at hand goes on after, until its first entry has told so.
    before: Option<Head>,
    random: Random,
}

impl Chain {
    /// A new segment after `before`, or the first of all.
    pub(super) fn begin(key: ChainKey, random: Random, before: Option<Head>) -> Result<Self, RandomError> {
        let head = key.open(&random, before.as_ref())?;
        Ok(Self { key, head, before, random })
    }

    /// Appends `lines`, which end in line feeds, to `out`, each with its link. Unless [`Self::keep`] follows, nothing
    /// has happened.
    pub(super) fn link(&self, lines: &[u8], digests: &[Digest], out: &mut Vec<u8>) -> Head {
        let mut head = self.head.clone();
        for (entry, digest) in entries(lines).zip(digests) {
            head.mac = self.key.next(&head.mac, digest);
            head.entries += 1;
            out.extend_from_slice(entry.strip_suffix(b"}").unwrap_or(entry));
            out.extend_from_slice(MEMBER);
            let before = self.before.as_ref().filter(|_| head.entries == 1);
            append_link(out, &head, before.map(|before| (before.segment.as_str(), before.entries)));
            out.extend_from_slice(END);
            out.push(b'\n');
        }
        head
    }

    /// Goes on from `head`: its entries are in the log.
    pub(super) fn keep(&mut self, head: Head) {
        self.head = head;
        self.before = None;
    }

    /// Goes on in a new segment after a write that failed: some of its entries may be in the log all the same.
    pub(super) fn break_off(&mut self) -> Result<(), RandomError> {
        let before = if self.head.entries > 0 { Some(self.head.clone()) } else { self.before.clone() };
        self.head = self.key.open(&self.random, before.as_ref())?;
        self.before = before;
        Ok(())
    }

    /// How far it has come; `None`: the segment at hand has no entry yet.
    pub(super) fn head(&self) -> Option<&Head> {
        (self.head.entries > 0).then_some(&self.head)
    }
}

/// The digests of lines that end in line feeds.
pub(super) fn digests(lines: &[u8]) -> impl Iterator<Item = Digest> {
    entries(lines).map(digest_of)
}

/// The entries in lines that end in line feeds, without those. A search byte by byte costs more than the digests.
fn entries(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', lines).map(move |end| {
        let entry = &lines[start..end];
        start = end + 1;
        entry
    })
}

fn digest_of(entry: &[u8]) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest::digest(&digest::SHA256, entry).as_ref());
    bytes
}

pub(super) fn append_link(out: &mut Vec<u8>, head: &Head, before: Option<(&str, u64)>) {
    // A vector takes every byte; there is no error to pass on.
    let mut write = |text: std::fmt::Arguments<'_>| _ = std::io::Write::write_fmt(out, text);
    write(format_args!("{}.{}.", head.segment, head.entries));
    let mut text = [0; MAC_TEXT_LEN];
    if URL_SAFE_NO_PAD.encode_slice(head.mac, &mut text).is_ok() {
        out.extend_from_slice(&text);
    }
    if let Some((segment, entries)) = before {
        _ = std::io::Write::write_fmt(out, format_args!(".{segment}.{entries}"));
    }
}

/// The key of a device's chain.
#[derive(Clone)]
pub(super) struct ChainKey(hmac::Key);

impl ChainKey {
    pub(super) fn new(key: &Key256) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret()))
    }

    /// The head of a segment without entries.
    fn open(&self, random: &Random, before: Option<&Head>) -> Result<Head, RandomError> {
        let segment = hex::encode(random.bytes::<{ SEGMENT_LEN / 2 }>()?);
        let mac = self.first(&segment, before);
        Ok(Head { segment, entries: 0, mac })
    }

    fn first(&self, segment: &str, before: Option<&Head>) -> Mac {
        let none = Head { segment: String::from("00000000"), entries: 0, mac: Mac::default() };
        let before = before.unwrap_or(&none);
        self.sign(&[&[0], segment.as_bytes(), before.segment.as_bytes(), &before.entries.to_be_bytes(), &before.mac])
    }

    fn next(&self, before: &Mac, digest: &Digest) -> Mac {
        self.sign(&[&[1], before, digest])
    }

    fn sign(&self, parts: &[&[u8]]) -> Mac {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut mac = Mac::default();
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether `claim` holds under this key.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        let before = match &claim.link.after {
            Some((segment, entries)) => {
                let head = Head { segment: segment.clone(), entries: *entries, mac: claim.before };
                self.first(&claim.link.segment, Some(&head))
            }
            None if claim.link.number == 1 => self.first(&claim.link.segment, None),
            None => claim.before,
        };
        verify_slices_are_equal(&self.next(&before, &claim.digest), &claim.link.mac).is_ok()
    }
}

/// An entry's link, as it stands in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The entry's segment.
    pub segment: String,
    /// The entry's place in it, from 1.
    pub number: u64,
    /// Its hash.
    pub mac: Mac,
    /// The segment before this one and its entries, on the first entry of a segment.
    pub after: Option<(String, u64)>,
}

impl Link {
    /// Reads a link's text; `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let segment = segment(parts.next()?)?;
        let number = parts.next()?.parse().ok().filter(|number| *number > 0)?;
        let mac = mac_of(parts.next()?)?;
        let after = match parts.next() {
            None => None,
            Some(before) => Some((self::segment(before)?, parts.next()?.parse().ok()?)),
        };
        let fits = parts.next().is_none() && (after.is_none() || number == 1);
        fits.then_some(Self { segment, number, mac, after })
    }

    /// Takes a log's line, without its line feed, apart: its link, and the digest of the rest. `None`: it has no link.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Option<(Self, Digest)> {
        let rest = line.strip_suffix(END)?;
        let at = rest.windows(MEMBER.len()).rposition(|window| window == MEMBER)?;
        let link = Self::parse(std::str::from_utf8(&rest[at + MEMBER.len()..]).ok()?)?;
        let mut entry = rest[..at].to_vec();
        entry.push(b'}');
        Some((link, digest_of(&entry)))
    }
}

fn segment(text: &str) -> Option<String> {
    let fits = text.len() == SEGMENT_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_owned())
}

fn mac_of(text: &str) -> Option<Mac> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// What a verifier asks about an entry: does this link follow from the digest and the hash before it?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The entry's link.
    pub link: Link,
    /// The entry's digest.
    pub digest: Digest,
    /// The hash of the entry before it, or of the head that it says its segment goes on after; zeros if there is none.
    pub before: Mac,
}

impl Claim {
    /// One line of text: the link, the digest and the hash before, separated by spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut link = Vec::new();
        let head = Head { segment: self.link.segment.clone(), entries: self.link.number, mac: self.link.mac };
        append_link(&mut link, &head, self.link.after.as_ref().map(|(segment, entries)| (segment.as_str(), *entries)));
        let encode = |bytes: &[u8; 32]| URL_SAFE_NO_PAD.encode(bytes);
        format!("{} {} {}", String::from_utf8_lossy(&link), encode(&self.digest), encode(&self.before))
    }

    /// Reads what [`Self::to_text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let claim =
            Self { link: Link::parse(parts.next()?)?, digest: mac_of(parts.next()?)?, before: mac_of(parts.next()?)? };
        parts.next().is_none().then_some(claim)
    }
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The line is no entry of this device, or the torn half of one.
    #[error("is no entry with a link: it was put there, or is the rest of one")]
    Foreign,
    /// Entries are missing before this one.
    #[error("follows entry {after} of segment {segment}: what lies between is missing")]
    Gap {
        /// The segment that the last entry before is of.
        segment: String,
        /// That entry's number.
        after: u64,
    },
    /// The entry's place is before that of an earlier line.
    #[error("is out of order: it is a copy, or was moved")]
    Order,
    /// The segment before this one is not there, or not whole.
    #[error("goes on after entry {entries} of segment {segment}, which is not there")]
    Missing {
        /// The segment before.
        segment: String,
        /// How many entries of it there must be.
        entries: u64,
    },
    /// A first segment begins where others are.
    #[error("begins a new chain, though there was one before")]
    Restart,
    /// The entry's hash does not fit.
    #[error("was altered, or the entry before it")]
    Altered,
}

/// Follows a log from line to line and finds what the links alone tell. Whether the hashes are true is for whoever has
/// the key: [`Self::line`] gives the claim to ask about.
#[derive(Debug, Default)]
pub struct Walk {
    last: Option<Link>,
    /// The segments met so far: each begins once.
    met: BTreeSet<String>,
    /// Hashes that later segments refer to, collected on the way: wanted ones are entered beforehand.
    wanted: BTreeMap<(String, u64), Option<Mac>>,
}

impl Walk {
    /// A walk that is going to meet entries which refer to these heads: segment and number of entries.
    #[must_use]
    pub fn wanting(heads: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self { wanted: heads.into_iter().map(|head| (head, None)).collect(), ..Self::default() }
    }

    /// Whether an entry that was wanted has been met.
    #[must_use]
    pub fn has_met(&self, segment: &str, number: u64) -> bool {
        self.wanted.get(&(segment.to_owned(), number)).is_some_and(Option::is_some)
    }

    /// Takes the next line: what is wrong with its place, and the claim to ask about. The first line of all has no
    /// claim unless it begins the chain: what it follows is not at hand.
    ///
    /// # Errors
    /// What is wrong with the line's place.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Claim>, Fault> {
        let (link, digest) = Link::of_line(line).ok_or(Fault::Foreign)?;
        let before = self.before(&link);
        let key = (link.segment.clone(), link.number);
        if let Some(wanted) = self.wanted.get_mut(&key) {
            *wanted = Some(link.mac);
        }
        self.met.insert(link.segment.clone());
        self.last = Some(link.clone());
        Ok(before?.map(|before| Claim { link, digest, before }))
    }

    fn before(&self, link: &Link) -> Result<Option<Mac>, Fault> {
        let Some(last) = &self.last else {
            return Ok((link.number == 1 && link.after.is_none()).then(Mac::default));
        };
        match &link.after {
            Some(_) if self.met.contains(&link.segment) => Err(Fault::Order),
            Some((segment, entries)) => match self.wanted.get(&(segment.clone(), *entries)) {
                Some(Some(mac)) => Ok(Some(*mac)),
                _ => Err(Fault::Missing { segment: segment.clone(), entries: *entries }),
            },
            None if link.number == 1 => Err(Fault::Restart),
            None if link.segment != last.segment || link.number > last.number + 1 => {
                Err(Fault::Gap { segment: last.segment.clone(), after: last.number })
            }
            None if link.number <= last.number => Err(Fault::Order),
            None => Ok(Some(last.mac)),
        }
    }
}

#[cfg(test)]
mod tests;
