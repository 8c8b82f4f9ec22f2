//! A client's connection, plain or encrypted.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Take, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a TLS handshake begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// What is encrypted at a time, of a file.
const PIECE: usize = 64 * 1024;

/// The two kinds.
pub(super) enum Connection {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection {
    /// Speaks TLS where there is a configuration for it.
    ///
    /// # Errors
    /// The client began with something else: [`ErrorKind::InvalidData`]; or the connection broke.
    pub(super) fn open(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let mut first = [0];
        if stream.peek(&mut first)? == 1 && first[0] != HANDSHAKE {
            return Err(ErrorKind::InvalidData.into());
        }
        let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        Ok(Self::Encrypted(Box::new(StreamOwned::new(session, stream))))
    }

    /// Sends a part of a file: without a detour where nothing is encrypted.
    pub(super) fn send_file(&mut self, file: &mut Take<File>) -> io::Result<u64> {
        match self {
            Self::Plain(stream) => io::copy(file, stream),
            Self::Encrypted(stream) => {
                io::copy(&mut BufReader::with_capacity(PIECE, file), stream.as_mut())
            }
        }
    }

    /// Says that nothing more comes, where that is said.
    pub(super) fn end(&mut self) {
        if let Self::Encrypted(stream) = self {
            stream.conn.send_close_notify();
            // The client may have gone.
            let _ = stream.flush();
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}
