//! The distribution-spec's list of what a registry does (spec.md, "Conformance" and "Requirements"), asked
//! over plain HTTP of our own server, and of docker-registry, so that the questions are known to be right.
//!
//! Where docker-registry 2.8 answers otherwise the check says why, and the test fails when that is no longer
//! so. Our own server passes all checks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod discovery;
#[path = "../client/docker_registry.rs"]
#[allow(dead_code, reason = "the client's tests use all of it")]
mod docker_registry;
mod errors;
mod http;
mod management;
mod pull;
mod push;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use docker_registry::{Registry, Setup};
use http::Peer;
use registry::{Access, Server};
use store::Store;

/// One question, which panics where the answer is wrong.
struct Check {
    name: &'static str,
    ask: fn(&Peer),
    /// Why docker-registry answers otherwise.
    differs: Option<&'static str>,
}

/// A check that both pass.
const fn both(name: &'static str, ask: fn(&Peer)) -> Check {
    Check { name, ask, differs: None }
}

/// A check that docker-registry does not pass.
const fn ours(name: &'static str, ask: fn(&Peer), reason: &'static str) -> Check {
    Check { name, ask, differs: Some(reason) }
}

fn checks() -> impl Iterator<Item = Check> {
    let lists = [pull::CHECKS, push::CHECKS, discovery::CHECKS, management::CHECKS, errors::CHECKS];
    lists.into_iter().flatten().map(|it| Check { name: it.name, ask: it.ask, differs: it.differs })
}

/// The names of the checks that fail.
fn failing(peer: &Peer, wanted: impl Fn(&Check) -> bool) -> Vec<&'static str> {
    let asked = checks().filter(wanted);
    let fails = |check: &Check| catch_unwind(AssertUnwindSafe(|| (check.ask)(peer))).is_err();
    asked.filter(fails).map(|check| check.name).collect()
}

#[test]
fn our_server_passes_every_check() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let server = Server::listen("127.0.0.1:0", &Access::default()).unwrap();
    let (peer, stop) = (Peer::new(server.address().port()), AtomicBool::new(false));
    let failing = std::thread::scope(|scope| {
        scope.spawn(|| server.run(&store, &stop, &|_, _, _| {}));
        let failing = failing(&peer, |_| true);
        stop.store(true, Ordering::Relaxed);
        failing
    });
    assert_eq!(failing, [""; 0]);
    let left = std::fs::read_dir(directory.path().join("tare/tmp")).unwrap().count();
    assert_eq!(left, 0, "uploads end with the server");
}

#[test]
fn docker_registry_passes_them_but_for_known_differences() {
    let registry = Registry::start(Setup::default());
    let peer = Peer::new(registry.port);
    assert_eq!(failing(&peer, |check| check.differs.is_none()), [""; 0]);
    let differing: Vec<_> =
        checks().filter(|check| check.differs.is_some()).map(|check| check.name).collect();
    assert_eq!(failing(&peer, |check| check.differs.is_some()), differing);
}
