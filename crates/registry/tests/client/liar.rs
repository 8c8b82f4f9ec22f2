//! A registry that does what a test wants, on a loopback port.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use image::{Descriptor, media_type};

use crate::fixture;

/// A request, as far as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

type Handler = dyn Fn(&Request, &mut TcpStream) + Send + Sync;

/// The registry. Its threads end with the test's process; its connections with their requests.
pub(crate) struct Liar {
    pub(crate) port: u16,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

impl Liar {
    /// Answers with `handler`, which closes the connection by returning.
    pub(crate) fn start(
        handler: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, handler): (_, Arc<Handler>) = (requests.clone(), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, handler) = (seen.clone(), handler.clone());
                thread::spawn(move || serve(stream.unwrap(), &seen, &*handler));
            }
        });
        Self { port, requests }
    }

    /// Serves an image honestly, but for the requests that `lie` answers by returning true.
    pub(crate) fn serving(
        image: Image,
        lie: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request, stream| {
            if !lie(request, stream) {
                image.answer(request, stream);
            }
        })
    }

    pub(crate) fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// How many requests there were for a path that contains this.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.path.contains(part)).count()
    }

    /// The values of a header in the requests for paths that contain this.
    pub(crate) fn headers(&self, part: &str, name: &str) -> Vec<Option<String>> {
        let requests = self.requests.lock().unwrap();
        let found = requests.iter().filter(|request| request.path.contains(part));
        found.map(|request| request.header(name).map(str::to_owned)).collect()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) {
    // A TLS handshake is no request: it ends the connection.
    if let Some(request) = read_request(&stream) {
        seen.lock().unwrap().push(request.clone());
        handler(&request, &mut stream);
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let method = line.split(' ').next()?.to_owned();
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((key, value)) => headers.push((key.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request { method, path, headers, body: String::new() };
    let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut reader, &mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

/// Sends a whole answer. The client may have gone: that is the test's to see.
pub(crate) fn reply(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    head(stream, status, headers, body.len());
    let _ = stream.write_all(body);
}

/// Sends the head of an answer that announces `length` bytes.
pub(crate) fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], length: usize) {
    let mut head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (key, value) in headers {
        head += &format!("{key}: {value}\r\n");
    }
    let _ = stream.write_all((head + "\r\n").as_bytes());
}

/// Sends chunks of zeros until the client has enough.
pub(crate) fn endless(stream: &mut TcpStream, content_type: &str) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut sent = stream.write_all(head.as_bytes());
    let chunk = [b"10000\r\n".as_slice(), &[0; 0x10000], b"\r\n"].concat();
    while sent.is_ok() {
        sent = stream.write_all(&chunk);
    }
}

/// An image of one layer, to be served.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Image {
    pub(crate) fn new(size: usize) -> Self {
        let layer = fixture::noise(size);
        let blob = fixture::describe(media_type::LAYER_GZIP, &layer);
        let config = fixture::config("linux/amd64", std::slice::from_ref(&blob));
        Self { manifest: manifest(&config, &blob), layer, config }
    }

    pub(crate) fn digest(bytes: &[u8]) -> String {
        image::Digest::of(bytes).to_string()
    }

    /// Whether this is a request for the layer.
    pub(crate) fn is_layer(&self, request: &Request) -> bool {
        request.path.ends_with(&Self::digest(&self.layer))
    }

    fn answer(&self, request: &Request, stream: &mut TcpStream) {
        let path = &request.path;
        if path == "/v2/" {
            reply(stream, "200 OK", &[], b"{}");
        } else if path.contains("/manifests/") {
            reply(stream, "200 OK", &[("Content-Type", media_type::MANIFEST)], &self.manifest);
        } else if let Some(blob) =
            [&self.layer, &self.config].into_iter().find(|blob| path.ends_with(&Self::digest(blob)))
        {
            reply(stream, "200 OK", &[("Content-Type", "application/octet-stream")], blob);
        } else {
            reply(stream, "404 Not Found", &[], b"");
        }
    }
}

/// A manifest for a configuration and one layer.
pub(crate) fn manifest(config: &[u8], layer: &Descriptor) -> Vec<u8> {
    let config = fixture::describe(media_type::CONFIG, config);
    image::manifest::to_json(&image::manifest::manifest(config, vec![layer.clone()]))
}
