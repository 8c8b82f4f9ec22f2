//! Signals by name and number, and as a descriptor to wait on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use crate::error::{Doing, Error, Result};
use crate::{kernel_file, syscalls};

/// A signal of signal(7), `TERM`, `SIGTERM` or `15`, and `RTMIN+n`; 0 only asks whether there is a
/// process (kill(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

/// The first real-time signal as users' programs count: glibc keeps two of the kernel's for itself, and the
/// C library that we are linked with may keep three.
const REAL_TIME_MIN: i32 = 34;
const REAL_TIME_MAX: i32 = 64;

const NAMES: [(&str, i32); 33] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

impl Signal {
    /// SIGTERM.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// SIGKILL.
    pub const KILL: Self = Self(libc::SIGKILL);

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::UnknownSignal(text.to_owned());
        if text.is_empty() {
            // As runc has it: a word left empty is one left out.
            return Ok(Self::TERM);
        }
        if let Ok(number) = text.parse() {
            return if (0..=64).contains(&number) { Ok(Self(number)) } else { Err(unknown()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let real_time = |base: i32, offset: &str, sign: i32| {
            let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().ok()? };
            let number = base + sign * offset;
            (REAL_TIME_MIN..=REAL_TIME_MAX).contains(&number).then_some(Self(number))
        };
        if let Some(rest) = name.strip_prefix("RTMIN") {
            return real_time(REAL_TIME_MIN, rest.trim_start_matches('+'), 1).ok_or_else(unknown);
        }
        if let Some(rest) = name.strip_prefix("RTMAX") {
            return real_time(REAL_TIME_MAX, rest.trim_start_matches('-'), -1).ok_or_else(unknown);
        }
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, number)| Self(number))
            .ok_or_else(unknown)
    }
}

/// All signals, held back from the process and read from a descriptor instead. They stay held back when
/// it is dropped: what remains to be done then shall not be cut short either.
pub(crate) struct SignalQueue {
    fd: OwnedFd,
    /// What was held back before, as the kernel's set.
    before: u64,
    /// Taken from the descriptor, and not yet dealt with.
    held: RefCell<VecDeque<i32>>,
}

impl SignalQueue {
    /// From now on no signal interrupts or ends this process, but for those that nobody can hold.
    pub(crate) fn open() -> Result<Self> {
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
        let all = faults.iter().fold(u64::MAX, |set, signal| set & !(1 << (signal - 1)));
        let before = syscalls::hold_signals(libc::SIG_BLOCK, all);
        let fd = syscalls::signalfd(all).doing(|| "wait for signals".into())?;
        Ok(Self { fd, before, held: RefCell::default() })
    }

    /// In a child process: lets through what the caller's caller let through.
    pub(crate) fn let_through(&self) {
        syscalls::hold_signals(libc::SIG_SETMASK, self.before);
    }

    /// The next signal that has arrived.
    pub(crate) fn next(&self) -> Option<i32> {
        let held = self.held.borrow_mut().pop_front();
        held.or_else(|| self.read())
    }

    /// A signal that has arrived and asks us to end; others are kept for [`Self::next`].
    pub(crate) fn end_wanted(&self) -> Option<i32> {
        let ends =
            |signal| matches!(signal, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM);
        while let Some(signal) = self.read() {
            if ends(signal) {
                return Some(signal);
            }
            self.held.borrow_mut().push_back(signal);
        }
        None
    }

    fn read(&self) -> Option<i32> {
        // SAFETY: signalfd_siginfo is plain data, filled by the kernel up to its size.
        unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let read = libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size);
            (read == size as isize).then_some(info.ssi_signo as i32)
        }
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Has the signals that ask a process to end do so. The first process of a pid namespace is spared by
/// the kernel what it did not ask for (pid_namespaces(7)); execve(2) takes this back.
pub(crate) fn end_when_asked() {
    extern "C" fn end(signal: libc::c_int) {
        syscalls::exit_now(128 + signal);
    }
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: the handler makes one system call. Who ignored a signal before goes on to do so.
        unsafe {
            if libc::signal(signal, end as extern "C" fn(libc::c_int) as usize) == libc::SIG_IGN {
                libc::signal(signal, libc::SIG_IGN);
            }
        }
    }
}

/// Gives SIGPIPE its default action back, which Rust's start-up code took: who only prints ends quietly
/// when nobody reads any more.
pub fn end_by_broken_pipes() {
    // SAFETY: sets a default action.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Gives the signals that our caller ignores their default action back: execve(2) would have the
/// container's program ignore them too, and without SIGCHLD no child's end would ever be told.
pub(crate) fn heed_what_the_caller_ignores() {
    let stat = kernel_file::read("/proc/self/stat").unwrap_or_default();
    let ignored = ignored(&stat);
    for signal in (1..32).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        // Rust's start-up code ignores it, for us.
        if signal != libc::SIGPIPE {
            // SAFETY: sets a default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// The set of signals below 32 that are ignored, a bit each from the first (proc_pid_stat(5), field 33).
fn ignored(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    fields.split_whitespace().nth(30).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Gives SIGPIPE its default action back, which execve would not.
pub(crate) fn restore_pipe_signal() {
    end_by_broken_pipes();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever C library is linked: glibc's function would leave two out, musl's three.
    #[test]
    fn all_real_time_signals_are_held_back() {
        let queue = SignalQueue::open().unwrap();
        let held = syscalls::hold_signals(libc::SIG_BLOCK, 0);
        queue.let_through();
        assert_eq!(held >> 31, u64::MAX >> 31);
    }

    #[test]
    fn reads_what_is_ignored() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9 10 11 12 13 14 15 16 17 0 0 16384 65538 0 0 0";
        assert_eq!(ignored(stat), 16384);
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn reads_names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("15", 15),
            ("RTMIN+1", 35),
            ("RTMAX-2", 62),
            ("64", 64),
            ("0", 0),
            ("", 15),
        ] {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        for text in ["65", "-1", "NOPE", "SIGRTMIN+99", "SIG"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
    }
}
