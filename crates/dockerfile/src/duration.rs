//! Durations as Go writes them (`1m30s`, `1.5h`), which is how HEALTHCHECK takes them.

use std::time::Duration;

/// Reads a Go duration; the reason where it is none. A negative one is refused.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err("it is not a duration such as 30s or 1m30s".to_owned());
    }
    let nanoseconds = sum(rest)?;
    match negative && nanoseconds > 0 {
        true => Err("it is negative".to_owned()),
        false => Ok(Duration::from_nanos(nanoseconds)),
    }
}

/// Adds up number-and-unit pairs, in nanoseconds.
fn sum(mut rest: &str) -> Result<u64, String> {
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        total = total.checked_add(term(number, unit)?).ok_or("it is too long")?;
        rest = tail;
    }
    match i64::try_from(total) {
        Ok(_) => Ok(total),
        Err(_) => Err("it is too long".to_owned()),
    }
}

fn term(number: &str, unit: &str) -> Result<u64, String> {
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err("a unit is missing: ns, us, ms, s, m or h".to_owned()),
        _ => return Err(format!("unknown unit {unit:?}: it is ns, us, ms, s, m or h")),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let valid = (!whole.is_empty() || !fraction.is_empty()) && !fraction.contains('.');
    let whole = if whole.is_empty() { Ok(0) } else { whole.parse::<u64>() };
    let whole = whole.ok().filter(|_| valid).ok_or_else(|| format!("{number:?} is no number"))?;
    let whole = whole.checked_mul(scale).ok_or("it is too long")?;
    whole.checked_add(part(fraction, scale)).ok_or_else(|| "it is too long".to_owned())
}

/// The value of the decimals `fraction` in units of `scale`, rounded down.
fn part(fraction: &str, scale: u64) -> u64 {
    let mut unit = scale;
    let mut value = 0;
    for digit in fraction.bytes() {
        value += unit * u64::from(digit - b'0') / 10;
        unit /= 10;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("30s", 30_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("3µs", 3_000),
            ("3μs", 3_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "+",
            "-1s",
            "3",
            "s",
            ".s",
            "1.2.3s",
            "1d",
            "3000000h",
            "9999999999999999999999s",
            "1 s",
            "1sm",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
