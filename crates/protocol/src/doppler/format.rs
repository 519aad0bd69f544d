//! The formats of a download: names and values as one text.
//!
//! ```text
//! json, dotnet-json   {"NAME":"value",…}     one line
//! yaml                NAME: "value"          the value as JSON has it, which YAML reads alike
//! env                 NAME="value"           \ and " escaped, line breaks as they are
//! docker, env-no-quotes   NAME=value         a line break in a value is written \n, so that a line stays a line
//! ```
//!
//! Names are sorted; lines are joined by single line breaks, and none stands at the end.

use keyturn_core::secret::{SecretBytes, SecretStr};

use super::transformer::Transformer;

/// How a download is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// One JSON object, with names as .NET configures by them.
    DotnetJson,
    /// A file of quoted values.
    Env,
    /// YAML.
    Yaml,
    /// What `docker --env-file` reads.
    Docker,
    /// A file of values as they are.
    EnvNoQuotes,
}

impl Format {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("json", Self::Json),
        ("dotnet-json", Self::DotnetJson),
        ("env", Self::Env),
        ("yaml", Self::Yaml),
        ("docker", Self::Docker),
        ("env-no-quotes", Self::EnvNoQuotes),
    ];

    /// The format of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// The media type. Text is never called JSON: clients would read it as an object.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::DotnetJson => "application/json; charset=utf-8",
            Self::Yaml => "text/yaml; charset=utf-8",
            Self::Env | Self::Docker | Self::EnvNoQuotes => "text/plain; charset=utf-8",
        }
    }

    /// The transformer that goes with it if the client names none.
    #[must_use]
    pub fn transformer(self) -> Option<Transformer> {
        matches!(self, Self::DotnetJson).then_some(Transformer::Dotnet)
    }

    /// Writes names and values, which come sorted, into one buffer that does not grow.
    #[must_use]
    pub fn render<N: AsRef<str>>(self, secrets: &[(N, SecretStr<'_>)]) -> SecretBytes {
        let room = |(name, value): &(N, SecretStr<'_>)| name.as_ref().len() * 2 + self.room(value.expose_secret()) + 8;
        let room = secrets.iter().map(room).sum();
        let mut text = SecretBytes::new(Vec::with_capacity(room));
        let out = text.expose_secret_mut();
        match self {
            Self::Json | Self::DotnetJson => json(secrets, out),
            Self::Env => lines(secrets, out, |name, value, out| {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"=\"");
                replace(value, out, |char| match char {
                    b'\\' => Some(b"\\\\"),
                    b'"' => Some(b"\\\""),
                    _ => None,
                });
                out.push(b'"');
            }),
            Self::Docker | Self::EnvNoQuotes => lines(secrets, out, |name, value, out| {
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                replace(value, out, |char| match char {
                    b'\n' => Some(b"\\n"),
                    b'\r' => Some(b"\\r"),
                    _ => None,
                });
            }),
            Self::Yaml => lines(secrets, out, |name, value, out| {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b": ");
                yaml_text(value, out);
            }),
        }
        text
    }

    /// The bytes that a value takes at the most.
    fn room(self, value: &str) -> usize {
        let grown = match self {
            Self::Env => count(value, |byte| byte == b'\\' || byte == b'"'),
            Self::Docker | Self::EnvNoQuotes => count(value, |byte| byte == b'\n' || byte == b'\r'),
            Self::Json | Self::DotnetJson if is_plain(value) => 0,
            Self::Json | Self::DotnetJson => 5 * count(value, is_escaped),
            // What YAML does not take as it is may be two bytes that become six.
            Self::Yaml => 5 * count(value, |byte| is_escaped(byte) || matches!(byte, 0x7f | 0xc2 | 0xe2 | 0xef)),
        };
        value.len() + grown
    }
}

/// How many bytes of a text are of a kind.
fn count(text: &str, kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().filter(|byte| kind(*byte)).count()
}

/// Whether JSON takes a text as it is. It looks at all bytes, which is many at once.
fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |found, byte| found | is_escaped(byte))
}

/// Whether JSON does not take a byte as it is.
fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'\\') | (byte == b'"')
}

/// Text as JSON quotes it.
fn quoted(text: &str, out: &mut Vec<u8>) {
    if !is_plain(text) {
        // Writing text to memory cannot fail.
        _ = serde_json::to_writer(out, text);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn json<N: AsRef<str>>(secrets: &[(N, SecretStr<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, value)) in secrets.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quoted(name.as_ref(), out);
        out.push(b':');
        quoted(value.expose_secret(), out);
    }
    out.push(b'}');
}

fn lines<N: AsRef<str>>(secrets: &[(N, SecretStr<'_>)], out: &mut Vec<u8>, line: impl Fn(&str, &str, &mut Vec<u8>)) {
    for (index, (name, value)) in secrets.iter().enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        line(name.as_ref(), value.expose_secret(), out);
    }
}

/// Copies text, with some of its characters replaced.
fn replace(text: &str, out: &mut Vec<u8>, with: impl Fn(u8) -> Option<&'static [u8]>) {
    for byte in text.bytes() {
        match with(byte) {
            Some(other) => out.extend_from_slice(other),
            None => out.push(byte),
        }
    }
}

/// Text as JSON quotes it, and with what YAML reads as a line break or refuses escaped as well.
fn yaml_text(text: &str, out: &mut Vec<u8>) {
    let special = |char: char| {
        matches!(char, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    if !text.contains(special) {
        _ = serde_json::to_writer(out, text);
        return;
    }
    out.push(b'"');
    let mut buffer = [0; 4];
    for char in text.chars() {
        let encoded = char.encode_utf8(&mut buffer);
        if special(char) {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
        } else if char.is_ascii() {
            match char {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                control if control < ' ' => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
                }
                _ => out.extend_from_slice(encoded.as_bytes()),
            }
        } else {
            out.extend_from_slice(encoded.as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::doppler::env_file;

    fn rendered(format: Format, pairs: &[(&str, &str)]) -> String {
        let sorted: BTreeMap<&str, &str> = pairs.iter().copied().collect();
        let secrets: Vec<_> = sorted.into_iter().map(|(name, value)| (name, SecretStr::new(value))).collect();
        String::from_utf8(format.render(&secrets).expose_secret().to_vec()).expect("text")
    }

    const HARD: [(&str, &str); 5] = [
        ("QUOTES", "a \"b\" \\c"),
        ("LINES", "one\ntwo\r\n"),
        ("EMPTY", ""),
        ("UNICODE", "ü🔑"),
        ("DOLLAR", "$X #y 'z'"),
    ];

    #[test]
    fn json_is_compact_and_sorted() {
        assert_eq!(
            rendered(Format::Json, &HARD),
            "{\"DOLLAR\":\"$X #y 'z'\",\"EMPTY\":\"\",\"LINES\":\"one\\ntwo\\r\\n\",\
             \"QUOTES\":\"a \\\"b\\\" \\\\c\",\"UNICODE\":\"ü🔑\"}"
        );
        assert_eq!(rendered(Format::Json, &[]), "{}");
        assert_eq!(rendered(Format::DotnetJson, &[("Smtp:UserName", "x")]), "{\"Smtp:UserName\":\"x\"}");
    }

    #[test]
    fn env_escapes_quotes_and_keeps_line_breaks() {
        assert_eq!(
            rendered(Format::Env, &HARD),
            "DOLLAR=\"$X #y 'z'\"\nEMPTY=\"\"\nLINES=\"one\ntwo\r\n\"\nQUOTES=\"a \\\"b\\\" \\\\c\"\nUNICODE=\"ü🔑\""
        );
        assert_eq!(rendered(Format::Env, &[]), "");
    }

    #[test]
    fn a_line_stays_a_line_without_quotes() {
        for format in [Format::Docker, Format::EnvNoQuotes] {
            assert_eq!(
                rendered(format, &HARD),
                "DOLLAR=$X #y 'z'\nEMPTY=\nLINES=one\\ntwo\\r\\n\nQUOTES=a \"b\" \\c\nUNICODE=ü🔑"
            );
        }
    }

    #[test]
    fn yaml_quotes_all_and_escapes_what_it_cannot_hold() {
        assert_eq!(
            rendered(Format::Yaml, &[("A", "yes"), ("B", "x: \"y\"\n"), ("C", "\u{85}\u{2028}\u{1}\t🔑"), ("D", "")]),
            "A: \"yes\"\nB: \"x: \\\"y\\\"\\n\"\nC: \"\\u0085\\u2028\\u0001\\u0009🔑\"\nD: \"\""
        );
    }

    #[test]
    fn each_format_has_one_name() {
        for (name, format) in Format::ALL {
            assert_eq!((Format::named(name), format.name()), (Some(format), name));
        }
        assert_eq!(Format::named("JSON"), None);
    }

    fn any_secrets() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,8}", "(?s).{0,24}|[\\\\\"'`$#\n\r =]{0,12}", 0..6)
    }

    proptest! {
        #[test]
        fn what_env_and_json_write_reads_as_it_was(values in any_secrets()) {
            let held: Vec<_> = values.iter().map(|(name, value)| (name, SecretStr::new(value))).collect();
            let env = Format::Env.render(&held);
            let read = env_file::parse(std::str::from_utf8(env.expose_secret()).expect("text")).expect("readable");
            let read: BTreeMap<_, _> =
                read.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect();
            prop_assert_eq!(&read, &values);
            let json = Format::Json.render(&held);
            let read: BTreeMap<String, String> = serde_json::from_slice(json.expose_secret()).expect("JSON");
            prop_assert_eq!(&read, &values);
        }

        #[test]
        fn no_buffer_grows_and_no_value_adds_a_line(values in any_secrets()) {
            let held: Vec<_> = values.iter().map(|(name, value)| (name, SecretStr::new(value))).collect();
            for (_, format) in Format::ALL {
                let room: usize =
                    held.iter().map(|(name, value)| name.len() * 2 + format.room(value.expose_secret()) + 8).sum();
                let text = format.render(&held);
                prop_assert!(text.len() <= room.max(2), "{} bytes in {room}", text.len());
                if matches!(format, Format::Docker | Format::EnvNoQuotes | Format::Yaml) {
                    let lines = text.expose_secret().split(|byte| *byte == b'\n').count();
                    prop_assert_eq!(lines, held.len().max(1));
                }
            }
        }
    }
}
