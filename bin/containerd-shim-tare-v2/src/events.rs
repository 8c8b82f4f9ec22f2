//! Events, published to containerd: one after the other, in order, again after a failure.
//!
//! containerd takes them on a ttrpc socket. While it is away, for a restart, they wait here, up to a
//! bound; it asks about the containers itself when it is back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::ttrpc::{Code, MessageHeader, Response};
use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::wire::{self, Connection};

const SERVICE: &str = "containerd.services.events.ttrpc.v1.Events";

/// So many wait at most; the oldest go first.
const WAITING_MAX: usize = 4096;

/// So often an event is offered that containerd refuses.
const ATTEMPTS: u32 = 5;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// What an event is about, and the name of its message. The name is known here, because asking the
/// message for it builds descriptors of everything: 1.5 MiB in each shim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    path: &'static str,
    message: &'static str,
}

impl Topic {
    pub(crate) const CREATE: Self = Self { path: "/tasks/create", message: "TaskCreate" };
    pub(crate) const START: Self = Self { path: "/tasks/start", message: "TaskStart" };
    pub(crate) const EXEC_ADDED: Self =
        Self { path: "/tasks/exec-added", message: "TaskExecAdded" };
    pub(crate) const EXEC_STARTED: Self =
        Self { path: "/tasks/exec-started", message: "TaskExecStarted" };
    pub(crate) const PAUSED: Self = Self { path: "/tasks/paused", message: "TaskPaused" };
    pub(crate) const RESUMED: Self = Self { path: "/tasks/resumed", message: "TaskResumed" };
    pub(crate) const CHECKPOINTED: Self =
        Self { path: "/tasks/checkpointed", message: "TaskCheckpointed" };
    pub(crate) const OOM: Self = Self { path: "/tasks/oom", message: "TaskOOM" };
    pub(crate) const EXIT: Self = Self { path: "/tasks/exit", message: "TaskExit" };
    pub(crate) const DELETE: Self = Self { path: "/tasks/delete", message: "TaskDelete" };
}

/// The way to containerd, and the events that wait for it.
#[derive(Debug)]
pub(crate) struct Publisher {
    address: String,
    namespace: String,
    waiting: VecDeque<Vec<u8>>,
    connection: Option<Connection>,
    /// The stream of the first waiting event, while it is under way.
    under_way: Option<u32>,
    next_stream: u32,
    refused: u32,
    not_before: Option<Instant>,
}

impl Publisher {
    /// A publisher for a namespace's events. It connects when there is something to say.
    pub(crate) fn new(address: &str, namespace: &str) -> Self {
        Self {
            address: address.strip_prefix("unix://").unwrap_or(address).to_owned(),
            namespace: namespace.to_owned(),
            waiting: VecDeque::new(),
            connection: None,
            under_way: None,
            next_stream: 1,
            refused: 0,
            not_before: None,
        }
    }

    /// Queues an event.
    pub(crate) fn publish(&mut self, topic: Topic, event: &impl Message) {
        let mut any = Any::new();
        any.type_url = format!("containerd.events.{}", topic.message);
        any.value = wire::encode(event);
        let mut envelope = Envelope::new();
        envelope.timestamp = Some(SystemTime::now().into()).into();
        envelope.namespace.clone_from(&self.namespace);
        envelope.topic = topic.path.to_owned();
        envelope.event = Some(any).into();
        let mut request = ForwardRequest::new();
        request.envelope = Some(envelope).into();
        if self.waiting.len() == WAITING_MAX {
            // The one under way may arrive all the same; its answer must not be taken for another's.
            self.waiting.pop_front();
            self.hang_up("too many events wait");
        }
        self.waiting.push_back(wire::encode_request(SERVICE, "Forward", wire::encode(&request)));
    }

    /// Whether all have been taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When to call [`Publisher::turn`] at the latest, if something is to be done again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.waiting.is_empty() && self.under_way.is_none())
    }

    /// What to poll for, and where.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.connection.as_ref().map(|it| (it.as_fd(), it.interest()))
    }

    /// Reads answers and sends the next event, without waiting.
    pub(crate) fn turn(&mut self) {
        if let Err(error) = self.receive() {
            self.hang_up(&error.to_string());
        }
        let waits = self.not_before.is_some_and(|until| Instant::now() < until);
        if self.under_way.is_some() || self.waiting.is_empty() || waits {
            return;
        }
        self.not_before = None;
        if let Err(error) = self.send() {
            self.hang_up(&error.to_string());
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.flush()?;
        for frame in connection.receive()? {
            if self.under_way != Some(frame.header.stream_id) {
                continue;
            }
            self.under_way = None;
            let response: Response = wire::decode(&frame.payload)
                .map_err(|refusal| io::Error::other(refusal.message))?;
            self.answered(response.status().code() == Code::OK, response.status().message());
        }
        Ok(())
    }

    fn answered(&mut self, taken: bool, why: &str) {
        self.refused = if taken { 0 } else { self.refused + 1 };
        if taken || self.refused == ATTEMPTS {
            self.waiting.pop_front();
            self.refused = 0;
        } else {
            self.not_before = Some(Instant::now() + PAUSE);
        }
        if !taken {
            crate::log::error(&format!("containerd refuses an event: {why}"));
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.connection.is_none() {
            self.connection = Some(Connection::new(connect(&self.address)?)?);
            self.next_stream = 1;
        }
        let (Some(connection), Some(event)) = (&mut self.connection, self.waiting.front()) else {
            return Ok(());
        };
        let stream = self.next_stream;
        let length = u32::try_from(event.len()).map_err(io::Error::other)?;
        connection.send(MessageHeader::new_request(stream, length), event)?;
        // A client's streams have odd numbers.
        self.next_stream = stream.wrapping_add(2);
        self.under_way = Some(stream);
        Ok(())
    }

    /// Begins anew, after a pause. An idle connection that containerd closes is none of our business.
    fn hang_up(&mut self, why: &str) {
        if !self.waiting.is_empty() {
            crate::log::debug(&format!("the connection for events: {why}"));
            self.not_before = Some(Instant::now() + PAUSE);
        }
        self.connection = None;
        self.under_way = None;
    }
}

/// Connects without waiting for a containerd that does not accept.
fn connect(path: &str) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use containerd_shim_protos::events::task::TaskExit;
    use containerd_shim_protos::ttrpc::Request;

    use super::*;
    use crate::wire::{Refusal, decode, encode_reply};

    fn exit(id: &str) -> TaskExit {
        let mut event = TaskExit::new();
        event.container_id = id.to_owned();
        event
    }

    /// Takes one event as containerd would; its container's id.
    fn take(publisher: &mut Publisher, server: &mut Connection, reply: wire::Reply) -> String {
        let frame = loop {
            publisher.turn();
            if let Some(frame) = server.receive().unwrap().pop() {
                break frame;
            }
        };
        let request: Request = decode(&frame.payload).unwrap();
        let forward: ForwardRequest = decode(&request.payload).unwrap();
        let any = &forward.envelope.event;
        assert_eq!(any.type_url, "containerd.events.TaskExit");
        let payload = encode_reply(reply);
        let header = MessageHeader::new_response(frame.header.stream_id, payload.len() as u32);
        server.send(header, &payload).unwrap();
        publisher.turn();
        decode::<TaskExit>(&any.value).unwrap().container_id
    }

    #[test]
    fn events_arrive_in_order_and_survive_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("socket");
        let mut publisher = Publisher::new(path.to_str().unwrap(), "test");
        publisher.publish(Topic::EXIT, &exit("one"));
        publisher.turn();
        assert!(publisher.due().is_some(), "nobody listens yet");

        let listener = UnixListener::bind(&path).unwrap();
        publisher.publish(Topic::EXIT, &exit("two"));
        publisher.not_before = None;
        publisher.turn();
        let mut server = Connection::new(listener.accept().unwrap().0).unwrap();
        assert_eq!(take(&mut publisher, &mut server, Ok(Vec::new())), "one");
        drop(server);
        publisher.turn();
        publisher.not_before = None;
        publisher.turn();
        let mut server = Connection::new(listener.accept().unwrap().0).unwrap();
        assert_eq!(take(&mut publisher, &mut server, Err(Refusal::state("no"))), "two");
        publisher.not_before = None;
        assert_eq!(take(&mut publisher, &mut server, Ok(Vec::new())), "two");
        assert!(publisher.is_idle());
    }
}
