//! A real registry on a free loopback port, gone with its guard.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(unreachable_pub, missing_docs, reason = "a module of test programs")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The registry, while it runs.
pub struct Registry {
    running: Child,
    pub port: u16,
    directory: tempfile::TempDir,
}

/// The login that a registry with one knows: `htpasswd -B` of `tester` and `hunter2`.
const HTPASSWD: &str = "tester:$2b$04$oKt8uQ.bWD2nOzuFJnmWq./jH8E2Eocfff7r.xDsclpOTdu9FtAGC\n";

impl Registry {
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// One that asks for the login of `tester`, whose password is `hunter2`.
    pub fn with_login() -> Self {
        Self::start_with(true)
    }

    fn start_with(login: bool) -> Self {
        // Another process may take the port between choosing and using it.
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let (config, data) = (directory.path().join("config.yml"), directory.path().display());
            let mut text = format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  delete:\n    enabled: true\n  \
                 filesystem:\n    rootdirectory: {data}/data\nhttp:\n  addr: 127.0.0.1:{port}\n"
            );
            if login {
                std::fs::write(directory.path().join("htpasswd"), HTPASSWD).unwrap();
                text +=
                    &format!("auth:\n  htpasswd:\n    realm: test\n    path: {data}/htpasswd\n");
            }
            std::fs::write(&config, text).unwrap();
            let mut command = Command::new("docker-registry");
            command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            let running = command.spawn().expect("docker-registry is installed");
            let mut registry = Self { running, port, directory };
            if registry.answers() {
                return registry;
            }
        }
        panic!("docker-registry does not start");
    }

    /// The name of an image in it.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    fn answers(&mut self) -> bool {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && self.running.try_wait().unwrap().is_none() {
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}
