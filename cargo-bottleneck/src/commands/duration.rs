//! Times as people write them: `500ms`, `30s`, `2m`, or a number of seconds. Pure text.

use std::time::Duration;

const UNITS: [(&str, f64); 7] =
    [("", 1.0), ("ms", 1e-3), ("s", 1.0), ("sec", 1.0), ("m", 60.0), ("min", 60.0), ("h", 3600.0)];

/// What can be written, for messages.
pub const FORMS: &str = "write 500ms, 30s, 2m, 1h, or a number of seconds";

/// Reads a time that is longer than nothing.
///
/// # Errors
/// If it is none, with the reason and what to write.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let Some(&(_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is no unit of time; {FORMS}"));
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` has no number; {FORMS}"))?;
    of_seconds(number * seconds)
}

/// A time of so many seconds, longer than nothing.
///
/// # Errors
/// If it is not, or no clock can show it.
pub fn of_seconds(seconds: f64) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err(format!("it must be longer than nothing; {FORMS}")),
        Err(_) => {
            Err(format!("it is longer than any clock can show, or less than nothing; {FORMS}"))
        }
    }
}

/// The shortest way to write it: `500 ms`, `30 s`, `2 min`.
pub fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let is_whole = |unit: f64| seconds % unit == 0.0;
    if seconds >= 3600.0 && is_whole(3600.0) {
        format!("{} h", seconds / 3600.0)
    } else if seconds >= 60.0 && is_whole(60.0) {
        format!("{} min", seconds / 60.0)
    } else if seconds < 1.0 {
        // Rounded: 0.1 s is 100 ms, whatever a float makes of it.
        format!("{} ms", (seconds * 1e6).round() / 1e3)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms, again) in [
            ("30s", 30_000, "30 s"),
            ("500ms", 500, "500 ms"),
            ("2m", 120_000, "2 min"),
            ("1.5 min", 90_000, "90 s"),
            ("1h", 3_600_000, "1 h"),
            ("7", 7_000, "7 s"),
            ("0.1", 100, "100 ms"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            assert_eq!(shown(duration), again);
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_to_write() {
        for text in
            ["", "s", "-3s", "3 parsecs", "0", "0ms", "1.2.3", "9e99", "99999999999999999999h"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains(FORMS), "{text}: {error}");
        }
    }
}
