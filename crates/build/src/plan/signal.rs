//! What `STOPSIGNAL` may name: signal(7), the way docker reads it.

const NAMES: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Whether this is a number, or a name with or without `SIG`, in any case: `9`, `SIGTERM`, `rtmin+3`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number != 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_real_time(name)
}

/// The name of a signal that was probably meant.
pub(super) fn near(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    dockerfile::nearest(name, &NAMES).map(|name| format!("SIG{name}"))
}

fn is_real_time(name: &str) -> bool {
    let offset = |base| name.strip_prefix(base).map(|rest| rest.parse::<u8>());
    match (name, offset("RTMIN+"), offset("RTMAX-")) {
        ("RTMIN" | "RTMAX", ..) => true,
        (_, Some(Ok(offset)), _) => (1..=15).contains(&offset),
        (_, _, Some(Ok(offset))) => (1..=14).contains(&offset),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_reads_them() {
        for good in ["9", "37", "SIGTERM", "TERM", "sigquit", "RTMIN", "SIGRTMIN+3", "rtmax-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "SIG", "NOPE", "SIGSIGTERM", "RTMIN+", "RTMIN+16", "RTMAX-15", "T ERM"]
        {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
