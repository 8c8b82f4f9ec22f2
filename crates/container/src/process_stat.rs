//! Whether a process still is the one that it was: its number and its start time together name it.

use crate::kernel_file;

/// What `/proc/<pid>/stat` says (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// One letter: `Z` and `X` are dead.
    pub(crate) state: u8,
    /// Clock ticks since boot.
    pub(crate) start_time: u64,
}

impl ProcessStat {
    /// None when there is no such process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        parse(kernel_file::read(format!("/proc/{pid}/stat")).ok()?.as_bytes())
    }

    /// Dead, though perhaps not yet waited for.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// The name stands in parentheses and may itself contain parentheses and spaces.
fn parse(stat: &[u8]) -> Option<ProcessStat> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(ProcessStat { state, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_name_with_parentheses() {
        let stat = b"7 (a) R ) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9\n";
        assert_eq!(parse(stat), Some(ProcessStat { state: b'S', start_time: 4711 }));
        assert_eq!(parse(b"7 (a"), None);
    }
}
