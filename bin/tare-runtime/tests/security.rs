//! Attacks that a runtime must withstand, each by what it would reach, not by how it is stopped. An
//! attack is a program or an image of its own; the comment at each tells what it sees where it
//! succeeds.

#[path = "support/mod.rs"]
mod support;

#[path = "security/descriptors.rs"]
mod descriptors;
#[path = "security/documents.rs"]
mod documents;
#[path = "security/exchange.rs"]
mod exchange;
#[path = "security/image.rs"]
mod image;
#[path = "security/paths.rs"]
mod paths;
#[path = "security/program_file.rs"]
mod program_file;
#[path = "security/race.rs"]
mod race;
#[path = "security/stopped.rs"]
mod stopped;
#[path = "security/tracer.rs"]
mod tracer;

use std::os::unix::fs::symlink;

use serde_json::json;
use support::Bundle;

/// A bundle in which the host's Python runs `script`, for what a shell cannot do.
fn python(script: &str) -> Bundle {
    let bundle = Bundle::new(&["/usr/bin/python3", "-c", script]);
    let root = bundle.rootfs();
    std::fs::create_dir(root.join("usr")).expect("make a directory");
    for name in ["lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("link it");
    }
    bundle.with(|config| {
        let usr = json!({"destination": "/usr", "source": "/usr", "options": ["bind", "ro"]});
        config["mounts"].as_array_mut().expect("a list").push(usr);
    })
}

/// All capabilities that could help an attacker who is root in the container.
fn capable(bundle: Bundle, names: &[&str]) -> Bundle {
    bundle.with(|config| {
        for set in ["bounding", "effective", "permitted"] {
            let list = config["process"]["capabilities"][set].as_array_mut().expect("a list");
            list.extend(names.iter().map(|name| json!(name)));
        }
    })
}
