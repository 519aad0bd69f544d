//! Times as SigV4 writes them: `20261124T150102Z`.

use keyturn_core::clock::Timestamp;

/// A time of signing, to the second, with the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmzTime {
    text: String,
    time: Timestamp,
}

impl AmzTime {
    /// Reads a time. `None`: it is written in another way, or there is no such time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |range: std::ops::Range<usize>| {
            text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let fits = text.len() == 16 && text.get(8..9) == Some("T") && text.ends_with('Z');
        let (date, time) = (digits(0..8)?, digits(9..15)?);
        let written =
            format!("{}-{}-{}T{}:{}:{}Z", &date[..4], &date[4..6], &date[6..], &time[..2], &time[2..4], &time[4..]);
        let time = written.parse().ok().filter(|_| fits)?;
        Some(Self { text: text.to_owned(), time })
    }

    /// A time as it is written.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
        Self { text: time.to_string().replace(['-', ':'], ""), time }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The day: `20261124`.
    #[must_use]
    pub fn date(&self) -> &str {
        self.text.get(..8).unwrap_or_default()
    }

    /// The time itself.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let time = AmzTime::parse("20261124T150102Z").expect("a time");
        assert_eq!((time.date(), time.timestamp().as_second()), ("20261124", 1_795_532_462));
        assert_eq!(AmzTime::of(time.timestamp()), time);
        for text in ["", "20261124", "20261124T150102", "2026-11-24T15:01:02Z", "20261324T150102Z", "20261124T1501é2"]
        {
            assert_eq!(AmzTime::parse(text), None, "{text}");
        }
    }
}
