//! Signals by name and number.

use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// Those that are passed on to a container.
pub(crate) const FORWARDED: [i32; 8] =
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT];

/// The terminal has another size.
pub(crate) const RESIZED: i32 = SIGWINCH;

/// The number of a signal given as `9`, `KILL`, `SIGKILL`, `RTMIN+3`, in any case: signal(7) on Linux.
pub(crate) fn parse(text: &str) -> Result<i32, String> {
    let unknown = || format!("unknown signal `{text}`");
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(name) {
        return Ok(number);
    }
    let aliased = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        name => name,
    };
    NAMES.iter().find(|(known, _)| *known == aliased).map(|(_, number)| *number).ok_or_else(unknown)
}

fn real_time(name: &str) -> Option<i32> {
    // The C library keeps 32 and 33 for itself.
    let (first, last) = (34, 64);
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => first,
        (_, Some("")) => last,
        (Some(rest), _) => first + rest.strip_prefix('+')?.parse::<i32>().ok()?,
        (_, Some(rest)) => last - rest.strip_prefix('-')?.parse::<i32>().ok()?,
        (None, None) => return None,
    };
    (first..=last).contains(&number).then_some(number)
}

const NAMES: [(&str, i32); 31] = [
    ("HUP", SIGHUP),
    ("INT", SIGINT),
    ("QUIT", SIGQUIT),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", SIGABRT),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", SIGUSR1),
    ("SEGV", 11),
    ("USR2", SIGUSR2),
    ("PIPE", 13),
    ("ALRM", SIGALRM),
    ("TERM", SIGTERM),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", SIGCONT),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", SIGWINCH),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("SIGIOT", 6),
        ] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["", "0", "65", "-1", "SIG", "NOPE", "RTMIN+99", "RTMAX+1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
