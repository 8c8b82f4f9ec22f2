//! The serving process: one thread, one poll(2).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use containerd_shim_protos::ttrpc::Request;
use containerd_shim_protos::ttrpc::proto::{MESSAGE_TYPE_REQUEST, MessageHeader};
use rustix::event::{PollFd, PollFlags, Timespec};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::arguments::Arguments;
use crate::bootstrap::EVENTS_ADDRESS;
use crate::events::Publisher;
use crate::reaper::Reaper;
use crate::task::{Caller, Tasks};
use crate::wire::{Connection, Frame, Refusal, Reply, decode, encode_reply};

/// The task service's names: containerd 1.x's, and 2.x's for the same messages.
const SERVICES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// The sandbox service, of containerd 2.x.
const SANDBOX: &str = "containerd.runtime.sandbox.v1.Sandbox";

/// A shim that has no container and to which nobody is connected ends after this time: containerd died
/// between starting it and using it, or before it could say goodbye.
const LONELY: Duration = Duration::from_secs(60);

/// At the end, the last events get so long to be taken.
const FAREWELL: Duration = Duration::from_secs(2);

/// Everything that the loop waits for.
struct Server {
    listener: UnixListener,
    reaper: Reaper,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    tasks: Tasks,
    lonely_since: Option<Instant>,
}

/// Serves on the listening socket that is this process's stdin, until containerd says that it is enough.
pub(crate) fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    arguments.check()?;
    crate::log::set_debug(arguments.debug);
    // Its own session: a signal for the process group of who started it is not meant for it.
    let _ = rustix::process::setsid();
    ignore_requests_to_end()?;
    let events = std::env::var(EVENTS_ADDRESS)
        .with_context(|| format!("{EVENTS_ADDRESS} is not set: start a shim with `start`"))?;
    let publisher = Publisher::new(&events, &arguments.namespace);
    let mut server = Server {
        listener: inherited_listener()?,
        reaper: Reaper::new()?,
        connections: BTreeMap::new(),
        next_connection: 0,
        tasks: Tasks::new(&arguments.namespace, publisher),
        lonely_since: Some(Instant::now()),
    };
    let ended = server.run();
    let _ = std::fs::remove_file(arguments.socket.trim_start_matches("unix://"));
    ended.inspect_err(|error| crate::log::error(&format!("{error:#}")))
}

/// Its containers depend on it: only containerd ends it, as it does its own shims. The handlers do nothing,
/// and unlike an ignored signal they are not passed on to programs that it starts.
fn ignore_requests_to_end() -> anyhow::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::default()).context("handle signals")?;
    }
    Ok(())
}

/// Takes the socket from stdin, which becomes empty.
fn inherited_listener() -> anyhow::Result<UnixListener> {
    let listener = rustix::io::dup(rustix::stdio::stdin()).context("take the socket on stdin")?;
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::CLOEXEC).context("keep the socket")?;
    let null =
        std::fs::OpenOptions::new().read(true).open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("close stdin")?;
    let listener = UnixListener::from(listener);
    listener.local_addr().context("stdin is no listening socket: start a shim with `start`")?;
    listener.set_nonblocking(true).context("make the socket non-blocking")?;
    Ok(listener)
}

impl Server {
    fn run(&mut self) -> anyhow::Result<()> {
        let mut leave_at = None;
        loop {
            self.wait(leave_at)?;
            self.accept();
            self.receive();
            self.tasks.reaped(self.reaper.reap());
            self.tasks.turn();
            self.answer();
            if self.is_finished() {
                let until = *leave_at.get_or_insert_with(|| Instant::now() + FAREWELL);
                let sent =
                    self.connections.values().all(|it| !it.interest().contains(PollFlags::OUT));
                let quiet = self.tasks.is_quiet() && self.tasks.events.is_idle();
                if (quiet && sent) || Instant::now() > until {
                    return Ok(());
                }
            }
        }
    }

    fn wait(&self, leave_at: Option<Instant>) -> anyhow::Result<()> {
        let lonely = self.lonely_since.map(|since| since + LONELY);
        let due = [self.tasks.due(), leave_at, lonely].into_iter().flatten().min();
        let timeout = due.map(|due| {
            let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        let mut descriptors: Vec<PollFd<'_>> = self
            .interests()
            .into_iter()
            .map(|(descriptor, flags)| PollFd::from_borrowed_fd(descriptor, flags))
            .collect();
        match rustix::event::poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("wait for something to happen"),
        }
    }

    fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let own = [(self.listener.as_fd(), PollFlags::IN), (self.reaper.as_fd(), PollFlags::IN)];
        let connections = self.connections.values().map(|it| (it.as_fd(), it.interest()));
        own.into_iter().chain(connections).chain(self.tasks.interests()).collect()
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept().and_then(|(stream, _)| Connection::new(stream)) {
                Ok(connection) => {
                    self.connections.insert(self.next_connection, connection);
                    self.next_connection += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return crate::log::error(&format!("accept a connection: {error}")),
            }
        }
    }

    fn receive(&mut self) {
        let mut frames = Vec::new();
        self.connections.retain(|number, connection| {
            let received = connection.flush().and_then(|()| connection.receive());
            match received {
                Ok(received) => frames.extend(received.into_iter().map(|frame| (*number, frame))),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return false,
                Err(error) => {
                    crate::log::error(&format!("a connection fails: {error}"));
                    return false;
                }
            }
            true
        });
        for (connection, frame) in frames {
            self.call(connection, frame);
        }
    }

    fn call(&mut self, connection: u64, frame: Frame) {
        if frame.header.type_ != MESSAGE_TYPE_REQUEST {
            return;
        }
        let caller = Caller { connection, stream: frame.header.stream_id };
        match decode::<Request>(&frame.payload) {
            Ok(request) if SERVICES.contains(&request.service.as_str()) => {
                self.tasks.call(&request.method, &request.payload, caller);
            }
            Ok(request) if request.service == SANDBOX => {
                self.tasks.call_sandbox(&request.method, &request.payload, caller);
            }
            Ok(request) => {
                let what = format!("the service {}", request.service);
                self.tasks.answers.push((caller, Err(Refusal::unimplemented(&what))));
            }
            Err(refusal) => self.tasks.answers.push((caller, Err(refusal))),
        }
    }

    /// Sends the answers that are ready. One whose caller has gone is nobody's any more.
    fn answer(&mut self) {
        for (caller, reply) in std::mem::take(&mut self.tasks.answers) {
            if let Some(connection) = self.connections.get_mut(&caller.connection)
                && let Err(error) = send(connection, caller.stream, reply)
            {
                crate::log::debug(&format!("answer: {error}"));
                self.connections.remove(&caller.connection);
            }
        }
    }

    /// Whether it was told to end, or nobody needs it.
    fn is_finished(&mut self) -> bool {
        let lonely = self.connections.is_empty() && self.tasks.is_empty();
        let since = if lonely { self.lonely_since.or(Some(Instant::now())) } else { None };
        self.lonely_since = since;
        self.tasks.told_to_end || since.is_some_and(|since| since.elapsed() >= LONELY)
    }
}

fn send(connection: &mut Connection, stream: u32, reply: Reply) -> std::io::Result<()> {
    let payload = encode_reply(reply);
    let length = u32::try_from(payload.len()).map_err(std::io::Error::other)?;
    connection.send(MessageHeader::new_response(stream, length), &payload)
}
