//! The memory that the runtime takes for itself while it makes a container.
//!
//! Most of it is the program's own text. The kernel maps sixteen pages or more around each one that runs,
//! and they stay mapped, though a start goes through its parts once: the C library's beginning, the command
//! line, the configuration, the cgroups, the first process's birth and its company. Between two parts
//! everything is given back, so that the peak is that of the largest part instead of their sum. What runs
//! on is mapped again out of the page cache, by some thirty page faults.

use crate::syscalls;

/// Gives back the program's text and constants, as far as they are mapped. Nothing is lost: who needs
/// them maps them again, for some microseconds.
pub(crate) fn end_part() {
    // A refusal, as of pages that are locked in memory, costs memory only.
    let _ = syscalls::unmap_text();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of the program's file that are mapped.
    fn mapped() -> u64 {
        let status = crate::kernel_file::read("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    #[test]
    fn a_part_that_ended_is_mapped_no_more() {
        crate::spec::check_configuration(br#"{"ociVersion":"1.0.0","process":{}}"#).unwrap_err();
        let before = mapped();
        end_part();
        let after = mapped();
        assert!(after < before, "{after} of {before} KiB");
    }
}
