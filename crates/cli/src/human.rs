//! Numbers as people read them: docker's formats for sizes and ages.

use std::time::{Duration, SystemTime};

/// A size in bytes with three digits and decimal units, as docker prints it: `12.3MB`, `1.05GB`.
pub fn bytes(size: u64) -> String {
    scaled(size, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// A size in bytes with three digits and binary units: `12.3MiB`. Memory limits are meant so.
pub fn bytes_iec(size: u64) -> String {
    scaled(size, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A size as people write it: `20MB`, `1.5 GiB`, `4096`. A unit with an `i` is a power of 1,024, one without
/// of 1,000.
///
/// # Errors
/// The text is no number with a unit of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => Some(1u64),
        unit => unit.get(..1).and_then(|letter| "kmgtpe".find(letter)).and_then(|power| {
            let power = power as u32 + 1;
            match &unit[1..] {
                "" => Some(1000u64.pow(power)),
                "i" => Some(1024u64.pow(power)),
                _ => None,
            }
        }),
    };
    let size =
        number.parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor as f64);
    match size {
        Some(size) if size < u64::MAX as f64 => Ok(size as u64),
        _ => Err("it is no size, such as 20MB or 1GiB".to_owned()),
    }
}

/// How long ago `then` was: `2 hours ago`, `About a minute ago`. A time to come is `Less than a second ago`.
pub fn age(then: SystemTime) -> String {
    let passed = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", rough(passed))
}

/// The time that an action took: `0.3s`, `12.0s`, `3m04s`, `2h05m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A time as RFC 3339 has it, in UTC, with as many digits of the second as are needed.
pub fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MIN).to_string()
}

/// As [`rfc3339`], always with nine digits of the second, as logs have it.
pub fn rfc3339_nanos(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MIN);
    format!("{time:.9}")
}

/// A point in time as docker's `--since` takes it: RFC 3339 (`2026-01-31T10:20:30Z`, a date alone),
/// seconds since the epoch, or a duration before now (`10m`, `1h30m`).
///
/// # Errors
/// Where it is none of these.
pub fn parse_time(text: &str) -> Result<SystemTime, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && let Ok(since) = Duration::try_from_secs_f64(seconds)
    {
        return Ok(SystemTime::UNIX_EPOCH + since);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.into());
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>()
        && let Ok(time) = time.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(time.timestamp().into());
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|span| SystemTime::now().checked_sub(span.unsigned_abs()))
        .ok_or_else(|| {
            format!(
                "invalid time `{text}`: want RFC 3339, seconds since 1970, or a span such as 10m"
            )
        })
}

fn scaled(size: u64, base: f64, units: &[&str]) -> String {
    let mut value = size as f64;
    if value < base {
        // Most files: without a detour through fractions.
        return format!("{size}{}", units[0]);
    }
    value /= base;
    let mut unit = 1;
    // 999.5 would be printed as 1000 of a unit: it is 1 of the next.
    while value >= base - 0.5 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", three_digits(value), units[unit])
}

/// Three significant digits at most, without zeros at the end.
fn three_digits(value: f64) -> String {
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn rough(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    let days = hours / 24;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{days} days"),
        () if hours < 24 * 60 => format!("{} weeks", days / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", days / 30),
        () => format!("{} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, want) in [
            ("0", 0),
            ("4096", 4096),
            ("20MB", 20_000_000),
            ("20 mb", 20_000_000),
            ("1.5KiB", 1536),
            ("2Gi", 2 << 30),
            ("3k", 3000),
        ] {
            assert_eq!(parse_bytes(text), Ok(want), "{text}");
        }
        for text in ["", "MB", "1x", "1iB", "-1", "1.2.3", "99999EB", "1\u{b5}B"] {
            parse_bytes(text).expect_err(text);
        }
    }

    #[test]
    fn sizes_are_as_docker_prints_them() {
        for (size, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.23kB"),
            (12_345_678, "12.3MB"),
            (123_456_789, "123MB"),
            (999_600, "1MB"),
            (1_050_000_000, "1.05GB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(bytes_iec(256 << 20), "256MiB");
        assert_eq!(bytes_iec(6 << 20), "6MiB");
    }

    #[test]
    fn ages_are_as_docker_prints_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (300, "5 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (47 * 3600, "47 hours"),
            (72 * 3600, "3 days"),
            (20 * 86400, "2 weeks"),
            (100 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn durations_grow_coarser() {
        assert_eq!(duration(Duration::from_millis(340)), "0.3s");
        assert_eq!(duration(Duration::from_secs(184)), "3m04s");
        assert_eq!(duration(Duration::from_secs(7500)), "2h05m");
    }

    #[test]
    fn times_are_understood_as_docker_does() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for text in ["1700000000", "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00"] {
            assert_eq!(parse_time(text), Ok(time), "{text}");
        }
        assert_eq!(parse_time("2023-11-14T22:13:20"), Ok(time));
        let passed = SystemTime::now().duration_since(parse_time("1h30m").unwrap()).unwrap();
        assert!((5390..5460).contains(&passed.as_secs()));
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn times_are_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.5Z");
        assert_eq!(rfc3339_nanos(time), "2023-11-14T22:13:20.500000000Z");
    }
}
