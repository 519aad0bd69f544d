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
        let &[a, b, c, d, e, f, g, h, b'T', i, j, k, l, m, n, b'Z'] = text.as_bytes() else { return None };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
        };
        let (year, month, day) = (number(&[a, b, c, d])?, number(&[e, f])?, number(&[g, h])?);
        let (hour, minute, second) = (number(&[i, j])?, number(&[k, l])?, number(&[m, n])?);
        let is_time = hour < 24 && minute < 60 && second < 60;
        let days = days_until(year, month, day).filter(|_| is_time)?;
        let time = Timestamp::from_second(((days * 24 + hour) * 60 + minute) * 60 + second).ok()?;
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

/// Days from 1970 to a day of the Gregorian calendar. `None`: there is no such day.
fn days_until(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of one and the lengths of months go by fives.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_read_as_the_calendar_has_it(second in -62_167_219_200_i64..253_402_207_200) {
            let time = Timestamp::from_second(second).expect("a time");
            prop_assert_eq!(AmzTime::parse(AmzTime::of(time).as_str()).map(|read| read.timestamp()), Some(time));
        }

        #[test]
        fn what_is_no_time_is_none(text in "[0-9]{8}T[0-9]{6}Z") {
            let (date, time) = text.split_at(8);
            let written = format!("{}-{}-{}T{}:{}:{}Z", &date[..4], &date[4..6], &date[6..], &time[1..3], &time[3..5],
                &time[5..7]);
            let expected: Option<Timestamp> = written.parse().ok().filter(|_| &time[5..7] != "60");
            prop_assert_eq!(AmzTime::parse(&text).map(|read| read.timestamp()), expected);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let time = AmzTime::parse("20261124T150102Z").expect("a time");
        assert_eq!((time.date(), time.timestamp().as_second()), ("20261124", 1_795_532_462));
        assert_eq!(AmzTime::of(time.timestamp()), time);
        for text in [
            "",
            "20261124",
            "20261124T150102",
            "2026-11-24T15:01:02Z",
            "20261324T150102Z",
            "20261124T1501é2",
            "20260229T000000Z",
            "20261124T240000Z",
            "20261124T235960Z",
        ] {
            assert_eq!(AmzTime::parse(text), None, "{text}");
        }
    }
}
