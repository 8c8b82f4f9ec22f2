//! HTTP/1.1, as much of it as the API's clients speak (RFC 9112): requests with bodies of a known length
//! or in chunks, `Expect: 100-continue`, and connections that are used again.
//!
//! A client that begins otherwise is answered at once: many try TLS first, and would wait.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use super::connection::Connection;

/// The largest head of a request, in bytes.
const MAX_HEAD: u64 = 64 * 1024;
/// So much of a body that nobody wanted is read, so that the connection can be used again.
const MAX_DRAINED: u64 = 1024 * 1024;

/// A request whose body is still to be read.
pub(super) struct Request<'a> {
    pub(super) method: String,
    pub(super) url: String,
    headers: Vec<(String, String)>,
    body: Body<'a>,
    again: bool,
}

/// The body, as it comes.
struct Body<'a> {
    stream: &'a mut BufReader<Connection>,
    length: Length,
    /// Whether the client waits for a word before it sends the body.
    waiting: bool,
}

/// How much of a body is to come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Length {
    Known(u64),
    /// What is left of a chunk.
    Chunk(u64),
    /// A chunk's size comes next, after the end of one or as the first.
    Size {
        first: bool,
    },
    End,
}

impl<'a> Request<'a> {
    /// The next request on a connection; `None` at its end.
    ///
    /// # Errors
    /// The connection broke, or what comes is no request: [`ErrorKind::InvalidData`].
    pub(super) fn read(stream: &'a mut BufReader<Connection>) -> io::Result<Option<Self>> {
        match stream.fill_buf()?.first() {
            None => return Ok(None),
            Some(first) if !first.is_ascii_uppercase() => return Err(malformed()),
            Some(_) => {}
        }
        let mut head = stream.by_ref().take(MAX_HEAD);
        let first = line(&mut head)?;
        let mut words = first.split(' ');
        let (Some(method), Some(url), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let mut headers = Vec::new();
        loop {
            let line = line(&mut head)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let (method, url) = (method.to_owned(), url.to_owned());
        let length = length(&headers)?;
        let is =
            |name, value| find(&headers, name).is_some_and(|it| it.eq_ignore_ascii_case(value));
        let again = version == "HTTP/1.1" && !is("connection", "close");
        let waiting = is("expect", "100-continue");
        let body = Body { stream, length, waiting };
        Ok(Some(Self { method, url, headers, body, again }))
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body.
    pub(super) fn body(&mut self) -> &mut impl Read {
        &mut self.body
    }

    /// Reads what was left of the body; `true` where another request may follow.
    pub(super) fn finish(mut self) -> bool {
        if !self.again || (self.body.waiting && self.body.length != Length::End) {
            return false;
        }
        let drained = io::copy(&mut self.body.by_ref().take(MAX_DRAINED), &mut io::sink());
        drained.is_ok() && self.body.length == Length::End
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.length != Length::End && std::mem::take(&mut self.waiting) {
            self.stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if let Length::Size { first } = self.length {
            self.length = chunk(self.stream, first)?;
        }
        let (Length::Known(left) | Length::Chunk(left)) = self.length else { return Ok(0) };
        let limit = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.stream.read(&mut buffer[..limit])?;
        if count == 0 && limit > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let left = left - count as u64;
        self.length = match self.length {
            Length::Known(_) if left == 0 => Length::End,
            Length::Known(_) => Length::Known(left),
            _ if left == 0 => Length::Size { first: false },
            _ => Length::Chunk(left),
        };
        Ok(count)
    }
}

/// The size of the next chunk, after the end of the last one's line (RFC 9112, section 7.1).
fn chunk(stream: &mut impl BufRead, first: bool) -> io::Result<Length> {
    let mut head = stream.take(MAX_HEAD);
    if !first && !line(&mut head)?.is_empty() {
        return Err(malformed());
    }
    let size = line(&mut head)?;
    let size = size.split(';').next().unwrap_or_default().trim();
    match u64::from_str_radix(size, 16).map_err(|_| malformed())? {
        0 => {
            while !line(&mut head)?.is_empty() {}
            Ok(Length::End)
        }
        size => Ok(Length::Chunk(size)),
    }
}

/// How long the body is. A request that says it in two ways is refused: others may read it otherwise.
fn length(headers: &[(String, String)]) -> io::Result<Length> {
    let known = find(headers, "content-length");
    match (find(headers, "transfer-encoding"), known) {
        (None, None) => Ok(Length::End),
        (None, Some(known)) => match known.parse().map_err(|_| malformed())? {
            0 => Ok(Length::End),
            known => Ok(Length::Known(known)),
        },
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
            Ok(Length::Size { first: true })
        }
        _ => Err(malformed()),
    }
}

fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// A line of a head, without its end.
fn line(head: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    head.read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.strip_suffix('\r').unwrap_or(line).to_owned()),
        None => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "this is no HTTP request")
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// What is read of requests that were sent on one connection: method, URL, body.
    fn requests(sent: &[u8]) -> Vec<Result<(String, String, String), ErrorKind>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(sent).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut stream = BufReader::new(Connection::Plain(listener.accept().unwrap().0));
        let mut found = Vec::new();
        loop {
            match Request::read(&mut stream) {
                Ok(None) => return found,
                Err(error) => {
                    found.push(Err(error.kind()));
                    return found;
                }
                Ok(Some(mut request)) => {
                    let mut body = String::new();
                    let read = request.body().read_to_string(&mut body);
                    let (method, url) = (request.method.clone(), request.url.clone());
                    found.push(read.map(|_| (method, url, body)).map_err(|error| error.kind()));
                    if !request.finish() {
                        return found;
                    }
                }
            }
        }
    }

    fn ok(method: &str, url: &str, body: &str) -> Result<(String, String, String), ErrorKind> {
        Ok((method.to_owned(), url.to_owned(), body.to_owned()))
    }

    #[test]
    fn bodies_of_all_kinds_on_one_connection() {
        let sent = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n\
            PUT /b HTTP/1.1\r\ncontent-length: 3\r\n\r\none\
            PATCH /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n2;x=y\r\n!!\r\n0\r\nT: x\r\n\r\n\
            GET /d HTTP/1.1\r\nConnection: close\r\n\r\nGET /e HTTP/1.1\r\n\r\n";
        let want = [
            ok("GET", "/a", ""),
            ok("PUT", "/b", "one"),
            ok("PATCH", "/c", "two!!"),
            ok("GET", "/d", ""),
        ];
        assert_eq!(requests(sent), want);
    }

    #[test]
    fn what_is_no_request_is_told_at_once() {
        for sent in [
            &b"\x16\x03\x01\x02\x00\x01\x00"[..],
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x",
        ] {
            let text = String::from_utf8_lossy(sent);
            assert_eq!(requests(sent), [Err(ErrorKind::InvalidData)], "{text}");
        }
        let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 100_000]].concat();
        assert_eq!(requests(&long), [Err(ErrorKind::InvalidData)]);
        let short = b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc";
        assert_eq!(requests(short), [Err(ErrorKind::UnexpectedEof)]);
        let broken = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert_eq!(requests(broken), [Err(ErrorKind::InvalidData)]);
    }
}
