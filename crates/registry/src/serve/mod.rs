//! The store as a registry: the distribution API over plain HTTP (distribution-spec, "Endpoints").
//!
//! ```text
//! request ─▶ route  which of the API's ends, in which repository     pure
//!         ─▶ manifests, blobs, uploads, lists ─▶ the store
//!         ◀─ reply  status, headers, and what is sent
//! ```
//!
//! A repository is what the store calls an image without its tag, in the short form: `app` for
//! `docker.io/library/app`, `quay.io/x/y`; and what is called by this server's own host, as clients that
//! push here name it. Nobody is asked who they are: the server is for this machine, or for a network that
//! is trusted.
//!
//! What comes in is not trusted: names are parsed, bodies are bounded, blobs are verified before they
//! have a name. What a client leaves half-sent is dropped after an hour, or when the server ends.

mod blobs;
mod http;
mod lists;
mod manifests;
mod reply;
mod route;
mod uploads;

use std::io::{self, BufReader, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use store::Store;

use http::Request;
use reply::Reply;
use route::{Route, Target};
use uploads::Uploads;

/// How many clients are served at a time; others wait.
const MAX_CLIENTS: usize = 64;
/// How long a client may keep silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the wish to end is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ServeError {
    address: String,
    source: io::Error,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    read_only: bool,
}

impl Server {
    /// Listens on `address`, `HOST:PORT`; port 0 takes any. With `read_only` nothing can be pushed or
    /// removed.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn listen(address: &str, read_only: bool) -> Result<Self, ServeError> {
        let failed = |source| ServeError { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, read_only })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is set. `log` hears of each request: its method, path and status.
    pub fn run(&self, store: &Store, stop: &AtomicBool, log: &(dyn Fn(&str, &str, u16) + Sync)) {
        let (uploads, clients) = (Uploads::default(), Clients::default());
        let place = Place { store, uploads: &uploads, read_only: self.read_only };
        thread::scope(|scope| {
            scope.spawn(|| self.watch(stop, &clients));
            for stream in self.listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // One that could not be accepted has gone already.
                let Ok(stream) = stream else { continue };
                let guest = clients.admit(&stream);
                let place = &place;
                scope.spawn(move || {
                    // A client that breaks off gets no answer, and misses none.
                    let _ = place.serve(stream, log);
                    drop(guest);
                });
            }
        });
    }

    /// Ends all connections when it is time, and wakes who waits for the next one.
    fn watch(&self, stop: &AtomicBool, clients: &Clients) {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        clients.end();
        let _ = TcpStream::connect(self.address);
    }
}

/// The connections that are open.
#[derive(Default)]
struct Clients {
    open: Mutex<Vec<(u64, TcpStream)>>,
    gone: Condvar,
}

/// A client's place among them, until it is dropped.
struct Guest<'a> {
    clients: &'a Clients,
    number: u64,
}

impl Clients {
    /// Waits for a place.
    fn admit(&self, stream: &TcpStream) -> Guest<'_> {
        let mut open = self.lock();
        while open.len() >= MAX_CLIENTS {
            open = self.gone.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        let number = open.last().map_or(0, |(last, _)| last + 1);
        // Without a second handle it ends by its own patience.
        open.extend(stream.try_clone().map(|stream| (number, stream)));
        Guest { clients: self, number }
    }

    fn end(&self) {
        for (_, stream) in self.lock().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, TcpStream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.clients.lock().retain(|(number, _)| *number != self.number);
        self.clients.gone.notify_one();
    }
}

/// What requests are answered from.
struct Place<'a> {
    store: &'a Store,
    uploads: &'a Uploads,
    read_only: bool,
}

impl Place<'_> {
    /// Answers the requests of one connection.
    fn serve(&self, stream: TcpStream, log: &(dyn Fn(&str, &str, u16) + Sync)) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut stream = BufReader::with_capacity(128 * 1024, stream);
        loop {
            let mut request = match Request::read(&mut stream) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    let reply = Reply::refusal(400, "UNSUPPORTED", "this server speaks plain HTTP");
                    return reply.send(&mut out, false, false);
                }
                Err(error) => return Err(error),
            };
            let (method, url) = (request.method.clone(), request.url.clone());
            let reply = self.reply(&method, &url, &mut request);
            log(&method, &url, reply.status());
            let again = request.finish();
            reply.send(&mut out, method == "HEAD", again)?;
            if !again {
                return Ok(());
            }
        }
    }

    fn reply(&self, method: &str, url: &str, request: &mut Request<'_>) -> Reply {
        let route = match Route::parse(url) {
            Ok(route) => route,
            Err(reply) => return reply,
        };
        let changes = !matches!(method, "GET" | "HEAD");
        if changes && self.read_only {
            return Reply::unsupported("this server only gives: it was started with --read-only");
        }
        let done = match (method, &route.target) {
            ("GET" | "HEAD", Target::Base) => Ok(Reply::json(200, &serde_json::json!({}))),
            ("GET", Target::Catalog) => self.catalog(&route, request),
            ("GET", Target::Tags) => self.tags(&route, request),
            ("GET", Target::Referrers(digest)) => self.referrers(&route, digest),
            ("GET" | "HEAD", Target::Manifest(name)) => self.manifest(&route, name, request),
            ("PUT", Target::Manifest(name)) => self.put_manifest(&route, name, request),
            ("DELETE", Target::Manifest(name)) => self.delete_manifest(&route, name, request),
            ("GET" | "HEAD", Target::Blob(digest)) => self.blob(digest, request),
            ("POST", Target::Uploads) => self.begin(&route, request),
            ("PATCH", Target::Upload(id)) => self.append(&route, id, request),
            ("PUT", Target::Upload(id)) => self.end(&route, id, request),
            ("GET", Target::Upload(id)) => self.progress(&route, id),
            ("DELETE", Target::Upload(id)) => self.cancel(id),
            _ => Ok(Reply::unsupported("this is not done here")),
        };
        done.unwrap_or_else(|error| Reply::failed(&error))
    }
}
