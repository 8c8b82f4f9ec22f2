//! A connection to a message bus, as far as systemd's manager needs it: one thread, one call at a time,
//! and the signal that tells a job's end.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use super::value::{Value, pad, put_signature};

/// Where the system's bus listens.
pub(super) const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket";
/// How long an answer, or a job, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest message taken (the specification's limit is 128 MiB; systemd's are far smaller).
const LARGEST: usize = 1 << 24;

/// A message that arrived.
#[derive(Debug, Default)]
struct Message {
    kind: u8,
    reply_to: u32,
    member: String,
    error: String,
    body: Vec<u8>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    /// The peer's answer: the error's name and its text.
    Refused(String, String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "{}", crate::error::reason(error)),
            Self::Refused(name, text) if text.is_empty() => write!(formatter, "{name}"),
            Self::Refused(_, text) => write!(formatter, "{text}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Jobs that ended: path and result.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to an address of the form `unix:path=…` or `unix:abstract=…`, several split by `;`.
    pub(super) fn connect(address: &str) -> Result<Self, Failure> {
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "no unix address of a bus");
        for one in address.split(';') {
            match open(one) {
                Ok(stream) => return Self::greet(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }

    /// D-Bus specification, "Authentication Protocol": EXTERNAL, by the socket's credentials.
    fn greet(mut stream: UnixStream) -> Result<Self, Failure> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") && answer.len() < 512 {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        if !answer.starts_with(b"OK") {
            let text = String::from_utf8_lossy(&answer).trim().to_owned();
            return Err(Failure::Refused("authentication".into(), format!("the bus says {text}")));
        }
        stream.write_all(b"BEGIN\r\n")?;
        let mut bus = Self { stream, serial: 0, ended: Vec::new() };
        let place = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"];
        bus.call(place, "Hello", &[])?;
        Ok(bus)
    }

    /// Calls a method of `[destination, path, interface]`; the answer's body.
    pub(super) fn call(
        &mut self,
        place: [&str; 3],
        member: &str,
        arguments: &[Value],
    ) -> Result<Vec<u8>, Failure> {
        self.serial += 1;
        let serial = self.serial;
        self.stream.write_all(&encode(serial, place, member, arguments))?;
        loop {
            let message = self.receive()?;
            match message.kind {
                2 if message.reply_to == serial => return Ok(message.body),
                3 if message.reply_to == serial => {
                    let text = Reader::new(&message.body).text().unwrap_or_default();
                    return Err(Failure::Refused(message.error, text));
                }
                _ => self.note(&message),
            }
        }
    }

    /// Waits until a job of systemd's ends; its result, `done` when it is well.
    pub(super) fn job_result(&mut self, job: &str) -> Result<String, Failure> {
        loop {
            if let Some(at) = self.ended.iter().position(|(path, _)| path == job) {
                return Ok(self.ended.swap_remove(at).1);
            }
            let message = self.receive()?;
            self.note(&message);
        }
    }

    /// `JobRemoved(id, path, unit, result)`.
    fn note(&mut self, message: &Message) {
        if message.kind != 4 || message.member != "JobRemoved" {
            return;
        }
        let mut body = Reader::new(&message.body);
        let parts = body.number().and_then(|_| Some((body.text()?, body.text()?, body.text()?)));
        self.ended.extend(parts.map(|(job, _, result)| (job, result)));
    }

    fn receive(&mut self) -> Result<Message, Failure> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (body, fields) = (number(4) as usize, number(12) as usize);
        let padded = fields.next_multiple_of(8);
        if head[0] != b'l' || body > LARGEST || fields > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a message of D-Bus").into());
        }
        let mut rest = vec![0; padded + body];
        self.stream.read_exact(&mut rest)?;
        let mut message =
            Message { kind: head[1], body: rest.split_off(padded), ..Message::default() };
        read_fields(&rest[..fields], &mut message);
        Ok(message)
    }
}

fn open(address: &str) -> io::Result<UnixStream> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "no unix address of a bus");
    let keys = address.strip_prefix("unix:").ok_or_else(refused)?;
    for (key, value) in keys.split(',').filter_map(|key| key.split_once('=')) {
        match key {
            "path" => return UnixStream::connect(value),
            "abstract" => {
                return UnixStream::connect_addr(&SocketAddr::from_abstract_name(value)?);
            }
            _ => {}
        }
    }
    Err(refused())
}

fn encode(serial: u32, place: [&str; 3], member: &str, arguments: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    arguments.iter().for_each(|argument| argument.put(&mut body));
    let mut out = vec![b'l', 1, 0, 1];
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend([0; 4]);
    let mut field = |code: u8, signature: &str, text: &str| {
        pad(&mut out, 8);
        out.push(code);
        put_signature(&mut out, signature);
        match signature {
            "g" => put_signature(&mut out, text),
            _ => Value::text(text).put(&mut out),
        }
    };
    let [destination, path, interface] = place;
    field(1, "o", path);
    field(2, "s", interface);
    field(3, "s", member);
    field(6, "s", destination);
    if !arguments.is_empty() {
        field(8, "g", &arguments.iter().map(Value::signature).collect::<String>());
    }
    let fields = (out.len() - 16) as u32;
    out[12..16].copy_from_slice(&fields.to_le_bytes());
    pad(&mut out, 8);
    out.extend(body);
    out
}

fn read_fields(bytes: &[u8], message: &mut Message) {
    let mut reader = Reader::new(bytes);
    while let Some(code) = reader.field() {
        let Some(signature) = reader.signature() else { return };
        match signature.as_str() {
            "u" => {
                let number = reader.number().unwrap_or_default();
                if code == 5 {
                    message.reply_to = number;
                }
            }
            "g" => drop(reader.signature()),
            _ => {
                let text = reader.text().unwrap_or_default();
                match code {
                    3 => message.member = text,
                    4 => message.error = text,
                    _ => {}
                }
            }
        }
    }
}

/// Reads the few types that answers have.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    /// The code of the next header field.
    fn field(&mut self) -> Option<u8> {
        self.at = self.at.next_multiple_of(8);
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.at = self.at.next_multiple_of(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A string or an object's path.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        self.take(1).map(|_| text)
    }

    pub(super) fn signature(&mut self) -> Option<String> {
        let length = self.take(1)?[0] as usize;
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        self.take(1).map(|_| text)
    }
}
