//! Sizes and durations as people write them.

use std::time::Duration;

use keyturn_core::duration::parse_seconds;

const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `"64MiB"`, `"64 MiB"`, `"1024"`: whole numbers, binary units.
pub(super) fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (number, scale) = UNITS
        .iter()
        .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| (number.trim_end(), *scale)))
        .unwrap_or((text, 1));
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    number.parse::<usize>().ok()?.checked_mul(scale)
}

/// A size in the largest unit that leaves a whole number.
pub(super) fn show_size(bytes: usize) -> String {
    let (unit, scale) =
        UNITS.iter().find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale)).unwrap_or(&UNITS[3]);
    format!("{}{unit}", bytes / scale)
}

/// `"90s"`, `"5m"`, `"1h30m"`, `"90"`: whole seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    parse_seconds(text).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("512KiB", 512 << 10), ("7B", 7), ("1024", 1024)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "64MB", "64mib", "-1", "+1", "1.5GiB", "99999999999999999999", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_as_it_could_have_been_written() {
        for text in ["64MiB", "1GiB", "1537KiB", "1023B"] {
            assert_eq!(size(text).map(show_size).as_deref(), Some(text));
        }
    }
}
