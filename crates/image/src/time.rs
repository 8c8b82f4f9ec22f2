//! Times as image configurations have them: RFC 3339, in UTC.

use std::fmt;
use std::str::FromStr;

/// A moment in UTC. Its text is what Go writes: `2024-05-01T12:00:00Z`, with a fraction of a second
/// only where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DateTime {
    seconds: i64,
    nanoseconds: u32,
}

/// Why text is not a [`DateTime`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time as RFC 3339 writes it")]
pub struct DateTimeError(String);

const DAY: i64 = 86_400;

impl DateTime {
    /// The moment `seconds` after 1970-01-01 00:00 UTC, and `nanoseconds` more, which wrap at one
    /// second.
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds: nanoseconds % 1_000_000_000 }
    }

    /// Whole seconds since 1970-01-01 00:00 UTC.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds on top of [`DateTime::seconds`].
    pub fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }
}

impl From<std::time::SystemTime> for DateTime {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self::new(after.as_secs().cast_signed(), after.subsec_nanos()),
            Err(before) => Self::new(-before.duration().as_secs().cast_signed(), 0),
        }
    }
}

/// Year, month and day of a day number. The calendar is shifted to start in March, so that the leap
/// day comes last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day number of a date; [`civil`] backwards.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.seconds.div_euclid(DAY));
        let time = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanoseconds != 0 {
            let digits = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for DateTime {
    type Err = DateTimeError;

    fn from_str(text: &str) -> Result<Self, DateTimeError> {
        parse(text).ok_or_else(|| DateTimeError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<DateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let (fraction, zone) = split_fraction(rest);
    let in_range =
        (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second <= 60;
    if !in_range || civil(days(year, month, day)) != (year, month, day) {
        return None;
    }
    let local = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some(DateTime::new(local - offset(zone)?, nanoseconds(fraction)?))
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut number = |width: usize| {
        let part = parts.next().filter(|part| part.len() == width)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let numbers = [number(widths[0])?, number(widths[1])?, number(widths[2])?];
    parts.next().is_none().then_some(numbers)
}

fn split_fraction(text: &str) -> (&str, &str) {
    match text.strip_prefix('.') {
        None => ("0", text),
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
    }
}

fn nanoseconds(fraction: &str) -> Option<u32> {
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    (!fraction.is_empty()).then(|| digits.parse().ok())?
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_714_564_800, 120_000_000, "2024-05-01T12:00:00.12Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
        ] {
            let moment = DateTime::new(seconds, nanoseconds);
            assert_eq!(moment.to_string(), text);
            assert_eq!(text.parse::<DateTime>().unwrap(), moment);
        }
    }

    #[test]
    fn zones_and_refusals() {
        let parsed: DateTime = "2024-05-01T14:00:00.5+02:00".parse().unwrap();
        assert_eq!(parsed, DateTime::new(1_714_564_800, 500_000_000));
        for text in [
            "",
            "2024-05-01",
            "2024-02-30T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-05-01T00:00:00",
            "2024-05-01T24:00:00Z",
            "2024-05-01T00:00:00.Z",
            "2024-05-01T00:00:00+0200",
            "é024-05-01T00:00:00Z",
        ] {
            text.parse::<DateTime>().expect_err(text);
        }
    }

    proptest! {
        #[test]
        fn text_round_trip(seconds in -60_000_000_000_i64..250_000_000_000, nanoseconds in 0_u32..1_000_000_000) {
            let moment = DateTime::new(seconds, nanoseconds);
            prop_assert_eq!(moment.to_string().parse::<DateTime>().unwrap(), moment);
        }
    }
}
