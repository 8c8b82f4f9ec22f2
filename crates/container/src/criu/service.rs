//! A criu process that serves one request: `criu swrk <descriptor>`, spoken to over a socket that keeps
//! message boundaries.
//!
//! criu opens the descriptors that a request names through our `/proc/<pid>/fd`, so they must stay
//! open until it has answered. When our end closes early, criu undoes a dump and lets the processes go
//! on.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown, socketpair,
};

use super::request::{self, Feature, Kind, Response};
use super::wire::Message;
use crate::error::{Doing, Error, Result};

/// The longest answer that is taken, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The running criu.
pub(crate) struct Service {
    socket: Option<OwnedFd>,
    process: Child,
}

impl Service {
    /// Starts criu. Its standard streams are ours when `streams`, so that restored processes can
    /// inherit them; the descriptors of `passed` keep their numbers.
    pub(crate) fn start(program: &Path, streams: bool, passed: &[OwnedFd]) -> Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .doing(|| "make a socket pair".into())?;
        for kept in passed.iter().chain([&theirs]) {
            fcntl_setfd(kept, FdFlags::empty()).doing(|| "pass a descriptor to criu".into())?;
        }
        let mut command = Command::new(program);
        command.arg("swrk").arg(theirs.as_raw_fd().to_string());
        if !streams {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        let process = command.spawn().map_err(|error| cannot_start(program, &error));
        for kept in passed {
            fcntl_setfd(kept, FdFlags::CLOEXEC).doing(|| "keep a descriptor".into())?;
        }
        Ok(Self { socket: Some(ours), process: process? })
    }

    /// criu's process number.
    pub(crate) fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Sends a request and answers criu's notifications by `notified`, until criu is done. A
    /// notification that fails makes criu give up; its error is returned.
    pub(crate) fn converse(
        &mut self,
        request: &Message,
        mut notified: impl FnMut(&Response, Option<OwnedFd>) -> Result<()>,
    ) -> Result<Response> {
        self.send(request)?;
        let mut failed = None;
        loop {
            let heard = self.receive();
            let (response, descriptor) = match (heard, failed.take()) {
                (Err(_), Some(error)) => return Err(error),
                (heard, kept) => {
                    failed = kept;
                    heard?
                }
            };
            if !response.success {
                return Err(failed.unwrap_or_else(|| failure(&response)));
            }
            if response.kind != Kind::Notify as u64 {
                return failed.map_or(Ok(response), Err);
            }
            let done = notified(&response, descriptor);
            self.send(&request::answer(done.is_ok()))?;
            failed = failed.or(done.err());
        }
    }

    /// Waits until criu has ended. After a pre-dump its exit code means nothing: it would have waited
    /// for more.
    pub(crate) fn finish(mut self, check: bool) -> Result<()> {
        if let Some(socket) = &self.socket {
            let _ = shutdown(socket, Shutdown::Write);
        }
        let status = self.process.wait().doing(|| "wait for criu".into())?;
        self.socket = None;
        if check && !status.success() {
            return Err(Error::Criu(format!("criu failed: {status}")));
        }
        Ok(())
    }

    fn socket(&self) -> Result<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd).ok_or_else(|| Error::Criu("criu has ended".into()))
    }

    fn send(&self, message: &Message) -> Result<()> {
        let parts = [IoSlice::new(message.bytes())];
        let mut nothing = SendAncillaryBuffer::default();
        match sendmsg(self.socket()?, &parts, &mut nothing, SendFlags::NOSIGNAL) {
            // The next `receive` tells why it is gone.
            Ok(_) | Err(Errno::PIPE) => Ok(()),
            Err(error) => Err(error).doing(|| "speak to criu".into()),
        }
    }

    fn receive(&self) -> Result<(Response, Option<OwnedFd>)> {
        let mut bytes = vec![0; MAX_ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(self.socket()?, &mut parts, &mut ancillary, flags) {
                Ok(received) => break received.bytes,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => break 0,
                Err(error) => return Err(error).doing(|| "hear from criu".into()),
            }
        };
        if length == 0 {
            return Err(Error::Criu("criu ended without an answer".into()));
        }
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let response = Response::parse(&bytes[..length])
            .ok_or_else(|| Error::Criu("criu's answer is malformed".into()))?;
        Ok((response, descriptor))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.socket = None;
        let _ = self.process.wait();
    }
}

fn cannot_start(program: &Path, error: &std::io::Error) -> Error {
    let program = program.display();
    Error::Criu(match error.kind() {
        ErrorKind::NotFound => {
            format!("criu not found ({program}): checkpoint and restore need it installed")
        }
        _ => format!("start criu ({program}): {error}"),
    })
}

fn failure(response: &Response) -> Error {
    let mut text =
        format!("criu failed: type {} errno {}", Kind::name(response.kind), response.errno);
    let harmless = |message: &&String| message.contains("rlimit: Can't setup");
    if let Some(message) = response.message.as_ref().filter(|message| !harmless(message)) {
        text = format!("{text}: {message}");
    }
    if !rustix::process::geteuid().is_root() {
        text.push_str(" (criu needs root)");
    }
    Error::Criu(text)
}

/// criu's version, 31701 for 3.17.1; an error when it is older than `minimum`, which `purpose` needs.
pub(crate) fn version(program: &Path, minimum: u32, purpose: &str) -> Result<u32> {
    let mut service = Service::start(program, false, &[])?;
    let answer = service.converse(&request::request(Kind::Version, None), |_, _| Ok(()));
    let version = answer.map(|answer| answer.version);
    let version = version.map_err(|error| Error::Criu(format!("ask criu's version: {error}")))?;
    require(version, minimum, purpose)?;
    Ok(version)
}

/// An error when a version is older than what is needed.
pub(crate) fn require(version: u32, minimum: u32, purpose: &str) -> Result<()> {
    if version >= minimum {
        return Ok(());
    }
    let text =
        |version: u32| format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100);
    let (is, needed) = (text(version), text(minimum));
    Err(Error::Criu(format!("criu {is} is too old: {purpose} needs {needed} or newer")))
}

/// An error when criu on this kernel lacks a feature.
pub(crate) fn check_feature(program: &Path, feature: Feature, flag: &str) -> Result<()> {
    let mut service = Service::start(program, false, &[])?;
    let answer = service.converse(&request::feature_check(feature), |_, _| Ok(()))?;
    if answer.features.contains(&(feature as u32)) {
        return Ok(());
    }
    Err(Error::Criu(format!("{flag}: criu is missing features on this kernel: {feature:?}")))
}
