//! A real registry on a free loopback port, gone with its guard.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A password, and its hash as `htpasswd -B` makes it.
pub(crate) const PASSWORD: &str = "hunter2";
const HTPASSWD: &str = "tester:$2b$04$oKt8uQ.bWD2nOzuFJnmWq./jH8E2Eocfff7r.xDsclpOTdu9FtAGC\n";

/// How the registry is reached.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup {
    pub(crate) tls: bool,
    pub(crate) login: bool,
    /// Whether clients need a certificate, with TLS.
    pub(crate) client_certificates: bool,
}

/// The registry, while it runs.
pub(crate) struct Registry {
    _running: Running,
    pub(crate) port: u16,
    setup: Setup,
    directory: TempDir,
}

impl Registry {
    pub(crate) fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if setup.tls {
            make_certificate(directory.path());
        }
        std::fs::write(directory.path().join("htpasswd"), HTPASSWD).unwrap();
        // Another process may take the port between choosing and using it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = directory.path().join("config.yml");
            std::fs::write(&config, yaml(directory.path(), port, setup)).unwrap();
            let child = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry is installed");
            let mut running = Running(child);
            if running.answers(port) {
                return Self { _running: running, port, setup, directory };
            }
        }
        panic!("docker-registry does not start");
    }

    /// The name of an image in it.
    pub(crate) fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// Copies an image into it with skopeo.
    pub(crate) fn push(&self, layout: &Path, image: &str, flags: &[&str]) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--dest-tls-verify=false"]).args(flags);
        if self.setup.login {
            skopeo.arg(format!("--dest-creds=tester:{PASSWORD}"));
        }
        let source = format!("oci:{}", layout.display());
        let target = format!("docker://{}", self.name(image));
        let output = skopeo.args([source, target]).output().expect("skopeo is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The certificate of the authority that vouches for it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A folder like certs.d that has its authority, and a certificate for its clients.
    pub(crate) fn certs_d(&self) -> PathBuf {
        let certs_d = self.directory.path().join("certs.d");
        let own = certs_d.join(format!("127.0.0.1:{}", self.port));
        std::fs::create_dir_all(&own).unwrap();
        for (from, to) in
            [("ca.pem", "ca.crt"), ("client.cert", "client.cert"), ("client.key", "client.key")]
        {
            std::fs::copy(self.directory.path().join(from), own.join(to)).unwrap();
        }
        certs_d
    }

    /// The file in its storage that holds a blob.
    pub(crate) fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.directory.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

/// The process, killed with its guard.
struct Running(Child);

impl Running {
    fn answers(&mut self, port: u16) -> bool {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.0.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn yaml(directory: &Path, port: u16, setup: Setup) -> String {
    let directory = directory.display();
    let mut text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  delete:\n    enabled: true\n  filesystem:\n    rootdirectory: {directory}/data\n\
         http:\n  addr: 127.0.0.1:{port}\n"
    );
    if setup.tls {
        text += &format!(
            "  tls:\n    certificate: {directory}/server.pem\n    key: {directory}/server.key\n"
        );
    }
    if setup.client_certificates {
        text += &format!("    clientcas:\n      - {directory}/ca.pem\n");
    }
    if setup.login {
        text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {directory}/htpasswd\n");
    }
    text
}

/// An authority of our own, and a certificate for 127.0.0.1 that it signs.
fn make_certificate(directory: &Path) {
    let script = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -subj '/CN=Test authority' -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
            -subj /CN=127.0.0.1 -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile server.ext -out server.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
            -subj /CN=client -keyout client.key -out client.csr
        printf 'basicConstraints=CA:FALSE\\n' > client.ext
        openssl x509 -req -in client.csr -extfile client.ext -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -out client.cert";
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
