//! The store as a registry: the distribution API over HTTP, with or without TLS (distribution-spec,
//! "Endpoints").
//!
//! ```text
//! request ─▶ route  which of the API's ends, in which repository     pure
//!         ─▶ manifests, blobs, uploads, lists ─▶ the store
//!         ◀─ reply  status, headers, and what is sent
//! ```
//!
//! A repository is what the store calls an image without its tag, in the short form: `app` for
//! `docker.io/library/app`, `quay.io/x/y`; and what is called by this server's own host, as clients that
//! push here name it. All repositories have the same blobs. Without a file of logins nobody is asked who
//! they are: then the server is for this machine, or for a network that is trusted.
//!
//! What comes in is not trusted: names are parsed, bodies are bounded, blobs are verified before they
//! have a name. What a client leaves half-sent is dropped after an hour, or when the server ends.

mod blobs;
mod connection;
mod http;
mod lists;
mod logins;
mod manifests;
mod reply;
mod route;
mod uploads;

use std::io::{self, BufReader, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use store::Store;

use crate::pem::{self, Pair, Unusable};
use connection::Connection;
use http::Request;
use logins::Logins;
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
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// `HOST:PORT`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot use the certificate in {}: {reason}", path.display())]
    Certificate {
        /// The file of the certificate or of its key.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The logins cannot be used.
    #[error("cannot use the logins in {}: {reason}", path.display())]
    Logins {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Who may do what, and how they are spoken to. The default lets everybody do everything, in plain HTTP.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Nothing can be pushed or removed.
    pub read_only: bool,
    /// A certificate and its key, in PEM: TLS alone is spoken.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Users and passwords, as `htpasswd -B` writes them: others get nothing.
    pub logins: Option<PathBuf>,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    read_only: bool,
    tls: Option<Arc<ServerConfig>>,
    logins: Option<Logins>,
}

impl Server {
    /// Listens on `address`, `HOST:PORT`; port 0 takes any. Files are read once, here.
    ///
    /// # Errors
    /// The address cannot be had; a file cannot be used.
    pub fn listen(address: &str, access: &Access) -> Result<Self, ServeError> {
        let tls = access.certificate.as_ref().map(|(chain, key)| encryption(chain, key));
        let (tls, logins) = (tls.transpose()?, access.logins.as_deref().map(logins).transpose()?);
        let failed = |source| ServeError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, read_only: access.read_only, tls, logins })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is set. `log` hears of each request: its method, path and status.
    pub fn run(&self, store: &Store, stop: &AtomicBool, log: &(dyn Fn(&str, &str, u16) + Sync)) {
        let (uploads, clients) = (Uploads::default(), Clients::default());
        let place = Place { store, uploads: &uploads, server: self };
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

fn encryption(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, ServeError> {
    let pair = Pair::read(chain, key)
        .map_err(|Unusable { path, reason }| ServeError::Certificate { path, reason })?;
    let builder = ServerConfig::builder_with_provider(pem::provider());
    let config = builder
        .with_safe_default_protocol_versions()
        .and_then(|it| it.with_no_client_auth().with_single_cert(pair.chain, pair.key));
    let mut config = config.map_err(|error| {
        let (path, reason) = (chain.to_owned(), error.to_string());
        ServeError::Certificate { path, reason }
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn logins(path: &Path) -> Result<Logins, ServeError> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let logins = text.and_then(|text| Logins::parse(&text));
    logins.map_err(|reason| ServeError::Logins { path: path.to_owned(), reason })
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
    server: &'a Server,
}

impl Place<'_> {
    /// Answers the requests of one connection.
    fn serve(&self, stream: TcpStream, log: &(dyn Fn(&str, &str, u16) + Sync)) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let copy = stream.try_clone()?;
        let stream = match Connection::open(stream, self.server.tls.as_ref()) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return mistaken("this server speaks TLS").send(
                    &mut Connection::Plain(copy),
                    false,
                    false,
                );
            }
            opened => opened?,
        };
        let mut stream = BufReader::with_capacity(128 * 1024, stream);
        while self.answer(&mut stream, log)? {}
        stream.get_mut().end();
        Ok(())
    }

    /// Answers one request; `true` where another may follow.
    fn answer(
        &self,
        stream: &mut BufReader<Connection>,
        log: &(dyn Fn(&str, &str, u16) + Sync),
    ) -> io::Result<bool> {
        let mut request = match Request::read(stream) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let reply = mistaken("this server speaks plain HTTP");
                return reply.send(stream.get_mut(), false, false).map(|()| false);
            }
            Err(error) => return Err(error),
        };
        let (method, url) = (request.method.clone(), request.url.clone());
        let reply = match self.admits(&request) {
            true => self.reply(&method, &url, &mut request),
            false => Reply::unauthorized(),
        };
        log(&method, &url, reply.status());
        let again = request.finish();
        reply.send(stream.get_mut(), method == "HEAD", again)?;
        Ok(again)
    }

    fn admits(&self, request: &Request<'_>) -> bool {
        let logins = self.server.logins.as_ref();
        logins.is_none_or(|logins| logins.admit(request.header("Authorization")))
    }

    fn reply(&self, method: &str, url: &str, request: &mut Request<'_>) -> Reply {
        let route = match Route::parse(url) {
            Ok(route) => route,
            Err(reply) => return reply,
        };
        let changes = !matches!(method, "GET" | "HEAD");
        if changes && self.server.read_only {
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
            ("DELETE", Target::Blob(digest)) => self.delete_blob(digest),
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

/// To who speaks otherwise than this server.
fn mistaken(text: &str) -> Reply {
    Reply::refusal(400, "UNSUPPORTED", text)
}
