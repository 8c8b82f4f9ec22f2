//! Staying with a process until it ends: signals go to it, its terminal is relayed, orphans that came
//! to us are buried, its status comes back.
//!
//! What is waited for is the process's pidfd, which stays readable once it has ended: unlike a SIGCHLD
//! it cannot be missed.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::birth::Child;
use crate::error::{Doing, Result};
use crate::notify::Ear;
use crate::relay::Relay;
use crate::signals::SignalQueue;
use crate::syscalls;

/// Waits for the end of `child`, and passes on meanwhile that it is ready, where there is an `ear` for
/// that. Returns its exit code, or 128 and the signal that killed it.
pub(crate) fn stay(
    child: &Child,
    master: Option<OwnedFd>,
    ear: Option<&Ear>,
    signals: &SignalQueue,
) -> Result<i32> {
    let mut relay = master.map(Relay::new).transpose()?;
    forward(child, relay.as_ref(), signals);
    loop {
        let ended = wait(child, relay.as_mut(), ear, signals)?;
        if let Some(ear) = ear {
            ear.pass_on(None);
        }
        forward(child, relay.as_ref(), signals);
        if let Some(status) = bury(child.pid)? {
            if let Some(relay) = relay {
                relay.finish();
            }
            return Ok(code(status));
        }
        if ended {
            // Who traces the process, as criu or a debugger does, hears of its end before us.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn forward(child: &Child, relay: Option<&Relay>, signals: &SignalQueue) {
    while let Some(signal) = signals.next() {
        match (signal, relay) {
            (libc::SIGCHLD, _) => {}
            (libc::SIGWINCH, Some(relay)) => relay.resize(),
            // Not for the container: about our own streams, or about nothing.
            (libc::SIGPIPE | libc::SIGURG | libc::SIGWINCH, _) => {}
            (signal, _) => drop(syscalls::kill(child.pid.as_raw_nonzero().get(), signal)),
        }
    }
}

/// Sleeps until something happens; true when the process has ended.
fn wait(
    child: &Child,
    relay: Option<&mut Relay>,
    ear: Option<&Ear>,
    signals: &SignalQueue,
) -> Result<bool> {
    let watch = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut watched = vec![watch(child.pidfd.as_fd()), watch(signals.as_fd())];
    let interest = relay.as_ref().map(|relay| relay.interest());
    let streams = interest.into_iter().flatten();
    watched.extend(streams.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
    watched.extend(ear.map(|ear| watch(ear.as_fd())));
    match poll(&mut watched, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).doing(|| "wait for the container".into()),
    }
    let happened: Vec<_> = watched.iter().map(PollFd::revents).collect();
    drop(watched);
    if let Some(relay) = relay {
        relay.work(happened[2], happened[3]);
    }
    Ok(!happened[0].is_empty())
}

/// Waits for every child that has ended; the status of `pid` when it is among them.
fn bury(pid: Pid) -> Result<Option<WaitStatus>> {
    let mut found = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == pid => found = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(found),
            Err(error) => return Err(error).doing(|| "wait for the container".into()),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}
