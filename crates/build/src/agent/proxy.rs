//! A socket that passes requests on to an agent.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};

use super::filter;
use crate::plan::Access;

/// How many connections a command may have at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 64;

/// A socket in a directory. Dropped, nobody answers there any more.
pub(crate) struct Proxy {
    /// Closed, it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Makes the socket `name` in `folder`, and answers there for the agent that listens at `agent`.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        access: Access,
        agent: &Path,
    ) -> io::Result<Self> {
        // By the directory's descriptor: a socket's address has room for 107 bytes only.
        let directory = File::open(folder)?;
        let address = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        let listener = UnixListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let path = folder.join(name);
        chown(&path, Some(access.uid), Some(access.gid))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(access.mode & 0o777))?;
        let (stopped, stop) = io::pipe()?;
        let agent = agent.to_owned();
        let thread = std::thread::spawn(move || serve(&listener, &stopped, &agent));
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes connections until the other end of `stopped` is closed.
fn serve(listener: &UnixListener, stopped: &PipeReader, agent: &Path) {
    let connections = Arc::new(());
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !ready[1].revents().is_empty() => return,
            Ok(_) => {}
        }
        let Ok((client, _)) = listener.accept() else { continue };
        if Arc::strong_count(&connections) <= MAX_CONNECTIONS {
            let (agent, counted) = (agent.to_owned(), connections.clone());
            std::thread::spawn(move || {
                // Whoever asked sees a connection that ends: that is how agents say no.
                let _ = connect(client, &agent);
                drop(counted);
            });
        }
    }
}

fn connect(client: UnixStream, agent: &Path) -> io::Result<()> {
    client.set_nonblocking(false)?;
    filter::pass(&client, &UnixStream::connect(agent)?)
}
