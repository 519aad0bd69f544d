//! Writes JSON objects in one pass into a byte buffer, leaving out what is empty, as Vault's audit format does.

use std::{cell::Cell, ops::Range};

use jiff::Timestamp;

use super::hash::HashText;

/// An object being written. Call [`Object::close`] when it has all its members.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        let start = out.len();
        Self { out, start }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Starts a member; what is appended to the buffer next is its value. `name` needs no escapes.
    pub(super) fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// How much of the buffer is written.
    pub(super) fn position(&self) -> usize {
        self.out.len()
    }

    /// Writes members again that stand in the buffer already, with the comma before them.
    pub(super) fn repeat(&mut self, members: Range<usize>) {
        self.out.extend_from_within(members);
    }

    pub(super) fn object(&mut self, name: &'static str) -> Object<'_> {
        Object::open(self.member(name))
    }

    /// Nothing when empty.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            append_text(self.member(name), value);
        }
    }

    /// Nothing when empty.
    pub(super) fn texts(&mut self, name: &'static str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let out = self.member(name);
        for (index, value) in values.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            append_text(out, value);
        }
        out.push(b']');
    }

    /// Nothing when empty.
    pub(super) fn map<'a>(&mut self, name: &'static str, members: impl IntoIterator<Item = (&'a String, &'a String)>) {
        let mut members = members.into_iter().peekable();
        if members.peek().is_none() {
            return;
        }
        let out = self.member(name);
        for (index, (key, value)) in members.enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            append_text(out, key);
            out.push(b':');
            append_text(out, value);
        }
        out.push(b'}');
    }

    /// Nothing when absent.
    pub(super) fn hash(&mut self, name: &'static str, hash: Option<&HashText>) {
        if let Some(hash) = hash {
            append_hash(self.member(name), hash);
        }
    }

    /// Nothing when zero.
    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        if value != 0 {
            append_plain(self.member(name), format_args!("{value}"));
        }
    }

    /// Whether or not it is true.
    pub(super) fn bool(&mut self, name: &'static str, value: bool) {
        self.member(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// RFC 3339, UTC, with as many digits of the second as it has.
    pub(super) fn time(&mut self, name: &'static str, time: Timestamp) {
        let out = self.member(name);
        out.push(b'"');
        append_time(out, time);
        out.push(b'"');
    }

    /// Something whose printed form needs no escapes: an address.
    pub(super) fn display(&mut self, name: &'static str, value: impl std::fmt::Display) {
        let out = self.member(name);
        out.push(b'"');
        append_plain(out, format_args!("{value}"));
        out.push(b'"');
    }
}

/// `2026-01-02T03:04:05`, the second that was printed last.
const SECOND_LEN: usize = 19;

thread_local! {
    /// Most entries are of the same second as the one before; printing a date costs as much as hashing a value.
    static LAST: Cell<Option<(i64, [u8; SECOND_LEN])>> = const { Cell::new(None) };
}

/// As [`Timestamp`]'s own printing has it.
fn append_time(out: &mut Vec<u8>, time: Timestamp) {
    let (second, nanos) = (time.as_second(), time.subsec_nanosecond());
    let known = LAST.get().filter(|(known, _)| *known == second && nanos >= 0);
    let Some(printed) = known.map(|(_, printed)| printed).or_else(|| print_second(second)).filter(|_| nanos >= 0)
    else {
        return append_plain(out, format_args!("{time}"));
    };
    out.extend_from_slice(&printed);
    if nanos > 0 {
        let start = out.len();
        append_plain(out, format_args!(".{nanos:09}"));
        while out.len() > start && out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// Prints a second without its zone and keeps it; `None` where it has not the usual length, before the year 0 or so.
fn print_second(second: i64) -> Option<[u8; SECOND_LEN]> {
    let text = Timestamp::from_second(second).ok()?.to_string();
    let printed: [u8; SECOND_LEN] = text.strip_suffix('Z')?.as_bytes().try_into().ok()?;
    LAST.set(Some((second, printed)));
    Some(printed)
}

pub(super) fn append_hash(out: &mut Vec<u8>, hash: &HashText) {
    out.push(b'"');
    out.extend_from_slice(hash.as_bytes());
    out.push(b'"');
}

/// Appends `text` as a JSON string (RFC 8259, section 7). Line feeds are escaped: an entry stays on its line.
pub(super) fn append_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let special = |byte: u8| matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f);
    // Without an early end, so that many bytes are looked at in one instruction: hardly any text has such a byte.
    if !bytes.iter().fold(false, |found, byte| found | special(*byte)) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut copied = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if !special(*byte) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..index]);
        copied = index + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => append_plain(out, format_args!("\\u{control:04x}")),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

fn append_plain(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes every byte; there is no error to pass on.
    let _ = std::io::Write::write_fmt(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_reads_back_and_stays_on_one_line(text in any::<String>()) {
            let mut out = Vec::new();
            append_text(&mut out, &text);
            prop_assert!(!out.contains(&b'\n'));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        }
    }

    proptest! {
        #[test]
        fn a_time_is_printed_as_ever(seconds in -100_000_000_000_i64..200_000_000_000, nanos in 0..3, digits in 0_u32..10) {
            let nanos = nanos * 123_456_789 / 10_i32.pow(9 - digits.min(9)) * 10_i32.pow(9 - digits.min(9));
            let time = Timestamp::new(seconds, nanos).expect("in range");
            for time in [time, time, Timestamp::new(seconds + 1, nanos).expect("in range")] {
                let mut out = Vec::new();
                append_time(&mut out, time);
                prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), time.to_string());
            }
        }
    }

    #[test]
    fn controls_quotes_and_backslashes_are_escaped() {
        let mut out = Vec::new();
        append_text(&mut out, "a\"b\\c\n\0\u{1b}[31m\u{1f}\u{7f}é");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), r#""a\"b\\c\n\u0000\u001b[31m\u001f\u007fé""#);
    }

    #[test]
    fn empty_members_are_left_out() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.text("a", "");
        object.texts("b", &[]);
        object.number("c", 0);
        object.hash("d", None);
        object.map("e", []);
        object.bool("f", false);
        object.number("g", 7);
        object.close();
        assert_eq!(String::from_utf8(out).expect("UTF-8"), r#"{"f":false,"g":7}"#);
    }
}
