//! A web server on the loopback interface: each path has an answer, and requests are remembered.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server says at a path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Ends the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Sends the body again and again, without its length.
    pub(crate) endless: bool,
}

/// A request: `GET /path`, and its headers in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
}

/// The server. Its threads end with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    pages: Mutex<HashMap<String, Page>>,
    requests: Mutex<Vec<Request>>,
}

impl Page {
    pub(crate) fn of(body: impl AsRef<[u8]>) -> Self {
        Self { status: 200, body: body.as_ref().to_vec(), ..Self::default() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn put(&self, path: &str, page: Page) {
        self.state.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.state.requests.lock().unwrap())
    }
}

impl State {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let request = read(&mut reader)?;
            let path = request.line.split(' ').nth(1)?.to_owned();
            let page = self.pages.lock().unwrap().get(&path).cloned();
            self.requests.lock().unwrap().push(request.clone());
            answer(&stream, &request, page.unwrap_or_else(|| Page::status(404)))?;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, headers })
}

fn answer(mut stream: &TcpStream, request: &Request, page: Page) -> Option<()> {
    let of_page = |name: &str| {
        page.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    };
    let asked = |name: &str| request.headers.get(name);
    let tag = of_page("etag").filter(|tag| asked("if-none-match") == Some(tag));
    let time = of_page("last-modified").filter(|time| asked("if-modified-since") == Some(time));
    let known = tag.is_some() || time.is_some();
    let status = if known { 304 } else { page.status };
    let mut head = format!("HTTP/1.1 {status} Word\r\n");
    page.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let body = if known { &[][..] } else { &page.body };
    if page.endless {
        head += "connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        while stream.write_all(body).is_ok() {}
        return None;
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    let sent = page.cut.unwrap_or(body.len());
    stream.write_all(&body[..sent]).ok()?;
    page.cut.is_none().then_some(())
}
