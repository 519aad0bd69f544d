//! Durations as Vault's clients write them: seconds as a number or text (`3600`, `"3600"`), or Go-style with units
//! (`"1h30m"`, `"45s"`, `"1.5h"`), plus `d` for days.

/// Text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write seconds (3600) or a number with a unit (90s, 30m, 12h, 7d)")]
pub struct DurationError {
    /// The text as given, cut to 64 characters.
    pub text: String,
}

/// Parses `text` to whole seconds; fractions of a second are cut off.
///
/// # Errors
/// When the text is negative, has an unknown unit, or does not fit.
pub fn parse_seconds(text: &str) -> Result<u64, DurationError> {
    let bad = || DurationError { text: text.chars().take(64).collect() };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(0);
    }
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return Ok(seconds);
    }
    let mut rest = trimmed;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(bad()),
        };
        total += number * scale;
        rest = tail;
    }
    // 2^53 seconds are 285 million years; above it the sum is no longer exact.
    if total.is_finite() && total < 9_007_199_254_740_992.0 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just above; never negative"
        )]
        Ok(total as u64)
    } else {
        Err(bad())
    }
}

/// Writes seconds as Go's `time.Duration` prints them: `0s`, `45s`, `1m30s`, `768h0m0s`.
#[must_use]
pub fn format_go(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        for (text, seconds) in [
            ("", 0),
            ("3600", 3600),
            ("768h", 2_764_800),
            ("1h30m", 5400),
            ("1.5h", 5400),
            ("1d", 86400),
            ("1500ms", 1),
        ] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["-1", "-1h", "1x", "h", "1h30", "1e3s", "..", "99999999999999999999h"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn go_prints_hours_minutes_seconds() {
        assert_eq!(format_go(0), "0s");
        assert_eq!(format_go(90), "1m30s");
        assert_eq!(format_go(2_764_800), "768h0m0s");
    }
}
