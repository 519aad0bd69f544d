//! Copies JSON text with every string value replaced by its keyed hash: `{"user":"ada","port":5432}` becomes
//! `{"user":"hmac-sha256:…","port":5432}`.
//!
//! Member names, numbers, booleans and nulls are copied as written (a number keeps every digit), white space is
//! dropped. The walk works on the text itself and builds no tree: a value is read where it lies in the caller's
//! buffer. Only a value with escapes is copied, into a scratch buffer that is wiped, because what is hashed is the
//! decoded value: however a client spells it, it has one hash.

use zeroize::Zeroizing;

use super::{hash::Hasher, json::append_hash};

/// How deeply arrays and objects may be nested in audited data.
pub const MAX_DEPTH: usize = 256;

/// Data that cannot be recorded. Nothing of it is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// The text is not JSON (RFC 8259) in UTF-8.
    #[error("the data is not well-formed JSON at byte {at}; send a JSON object in UTF-8")]
    NotJson {
        /// Offset of the first byte that does not fit.
        at: usize,
    },
    /// The text is nested beyond [`MAX_DEPTH`].
    #[error("the data is nested more than {MAX_DEPTH} deep; flatten it")]
    TooDeep,
}

/// Appends `input`, redacted, to `out`. After an error `out` holds a useless part, which has no string value in it.
/// Values that stand directly under a name of `clear`, at whatever depth, are copied as they are.
pub(super) fn redact(input: &[u8], clear: &[String], hasher: &Hasher, out: &mut Vec<u8>) -> Result<(), RedactError> {
    if let Err(error) = std::str::from_utf8(input) {
        return Err(RedactError::NotJson { at: error.valid_up_to() });
    }
    let mut walk = Walk { input, at: 0, clear, in_clear: false, hasher, out, scratch: Zeroizing::default() };
    walk.value(MAX_DEPTH)?;
    walk.skip_space();
    if walk.at < input.len() { Err(walk.misfit()) } else { Ok(()) }
}

struct Walk<'a> {
    input: &'a [u8],
    at: usize,
    clear: &'a [String],
    /// Whether the member at hand is one of those named in `clear`.
    in_clear: bool,
    hasher: &'a Hasher,
    out: &'a mut Vec<u8>,
    scratch: Zeroizing<Vec<u8>>,
}

/// A string as it lies between its quotes.
struct RawString<'a> {
    inner: &'a [u8],
    escaped: bool,
}

impl<'a> Walk<'a> {
    fn value(&mut self, room: usize) -> Result<(), RedactError> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string_value(),
            Some(b'{') => self.container(room, b'}', |walk, room| {
                let outer = walk.in_clear;
                walk.in_clear = walk.name()?;
                let done = walk.value(room);
                walk.in_clear = outer;
                done
            }),
            Some(b'[') => self.container(room, b']', Self::value),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.misfit()),
        }
    }

    /// An object or an array: `item` one after the other, separated by commas, up to the byte `close`.
    fn container(
        &mut self,
        room: usize,
        close: u8,
        item: impl Fn(&mut Self, usize) -> Result<(), RedactError>,
    ) -> Result<(), RedactError> {
        let room = room.checked_sub(1).ok_or(RedactError::TooDeep)?;
        self.copy(1);
        self.skip_space();
        if self.peek() == Some(close) {
            self.copy(1);
            return Ok(());
        }
        loop {
            item(self, room)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.copy(1),
                Some(byte) if byte == close => {
                    self.copy(1);
                    return Ok(());
                }
                _ => return Err(self.misfit()),
            }
        }
    }

    /// A member's name, copied as it is spelled, and its colon. Says whether the member may be read by all.
    fn name(&mut self) -> Result<bool, RedactError> {
        self.skip_space();
        let start = self.at;
        let name = self.string()?;
        // A name with escapes is none of those that an operator wrote down: its value stays hashed.
        let in_clear = !name.escaped && self.clear.iter().any(|clear| clear.as_bytes() == name.inner);
        self.out.extend_from_slice(&self.input[start..self.at]);
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.misfit());
        }
        self.copy(1);
        Ok(in_clear)
    }

    fn string_value(&mut self) -> Result<(), RedactError> {
        let start = self.at;
        let RawString { inner, escaped } = self.string()?;
        if self.in_clear {
            self.out.extend_from_slice(&self.input[start..self.at]);
            return Ok(());
        }
        let hash = if escaped {
            self.scratch.clear();
            // Decoding never lengthens, so the buffer does not move and leave an unwiped copy behind.
            if self.scratch.capacity() < inner.len() {
                self.scratch = Zeroizing::new(Vec::with_capacity(inner.len()));
            }
            unescape(inner, &mut self.scratch);
            self.hasher.hash(&self.scratch)
        } else {
            self.hasher.hash(inner)
        };
        append_hash(self.out, &hash);
        Ok(())
    }

    /// Passes over a string and checks it: no bare control characters, no unknown escapes.
    fn string(&mut self) -> Result<RawString<'a>, RedactError> {
        if self.peek() != Some(b'"') {
            return Err(self.misfit());
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.input[self.at..];
            let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            self.at += if rest[..end].iter().fold(false, |found, byte| found | (*byte < 0x20)) {
                rest.iter().position(|byte| *byte < 0x20).unwrap_or(end)
            } else {
                end
            };
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.misfit()),
            }
        }
        let inner = &self.input[start..self.at];
        self.at += 1;
        Ok(RawString { inner, escaped })
    }

    fn escape(&mut self) -> Result<(), RedactError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.misfit());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.misfit()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), RedactError> {
        let start = self.at;
        self.skip_one_of(b"-");
        // No other digit may follow a leading zero.
        if !self.skip_one_of(b"0") {
            self.digits()?;
        }
        if self.skip_one_of(b".") {
            self.digits()?;
        }
        if self.skip_one_of(b"eE") {
            self.skip_one_of(b"+-");
            self.digits()?;
        }
        self.out.extend_from_slice(&self.input[start..self.at]);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), RedactError> {
        if !self.skip_one_of(b"0123456789") {
            return Err(self.misfit());
        }
        while self.skip_one_of(b"0123456789") {}
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), RedactError> {
        if !self.input[self.at..].starts_with(word) {
            return Err(self.misfit());
        }
        self.copy(word.len());
        Ok(())
    }

    fn copy(&mut self, length: usize) {
        self.out.extend_from_slice(&self.input[self.at..self.at + length]);
        self.at += length;
    }

    fn skip_space(&mut self) {
        while self.skip_one_of(b" \t\r\n") {}
    }

    fn skip_one_of(&mut self, bytes: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| bytes.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn misfit(&self) -> RedactError {
        RedactError::NotJson { at: self.at }
    }
}

/// Decodes the inside of a string that [`Walk::string`] has checked.
fn unescape(mut inner: &[u8], out: &mut Vec<u8>) {
    while let Some(backslash) = inner.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&inner[..backslash]);
        let escape = &inner[backslash + 1..];
        let (decoded, length) = match escape.first() {
            Some(b'u') => unicode(&escape[1..]),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(itself) => (char::from(*itself), 1),
            None => return,
        };
        out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
        inner = &escape[length..];
    }
    out.extend_from_slice(inner);
}

/// The character of `\uXXXX`, or of two of them that are a surrogate pair, and the length without the first
/// backslash. Half a pair is U+FFFD, as Vault reads it.
fn unicode(digits: &[u8]) -> (char, usize) {
    let first = code_unit(digits);
    if (0xd800..0xdc00).contains(&first)
        && let Some(rest) = digits.get(4..).and_then(|rest| rest.strip_prefix(b"\\u"))
        && let second @ 0xdc00..0xe000 = code_unit(rest)
    {
        let pair = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}

fn code_unit(digits: &[u8]) -> u32 {
    digits.iter().take(4).fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
}

#[cfg(test)]
mod tests;
