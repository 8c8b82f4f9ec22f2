//! Keys, pinned: when one of these changes, every cache in the world is cold. Whoever changes what a
//! step does raises the version in its definition, and then its value here.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use dockerfile::Sharing;
use image::{ChainId, DiffId, Digest, Platform, Ulimit};
use tree::{LayerPath, Metadata};

use super::*;
use crate::copy::Piece;
use crate::options::{BuildOptions, Host};
use crate::plan::{Access, Agent, Copy, CopySource, From, Mount, MountKind, Network, Run, Secret};
use crate::source::{File, Item, ItemKind, Origin};

/// Each kind of step, and each thing that a key may hold.
#[test]
fn examples() {
    let got: Vec<String> =
        examples_of_keys().into_iter().map(|(name, key)| format!("{name:<24} {key}\n")).collect();
    let want = include_str!("pinned.txt");
    assert_eq!(got.concat(), want);
}

fn examples_of_keys() -> Vec<(&'static str, Key)> {
    let base = image(&ChainId::of(&[DiffId::from(Digest::of("layer"))]));
    let mut keys = vec![("scratch", scratch()), ("image", base)];
    keys.extend(runs(base));
    keys.extend(copies(base));
    keys.push(("workdir", workdir("/srv", "", base, None).key()));
    keys.push(("workdir owner epoch", workdir("/srv", "app", base, Some(1)).key()));
    keys.push(("link", link(base, scratch())));
    keys.push(("cache mount", cache_mount("id", None, None)));
    let access = Access { mode: 0o700, uid: 1, gid: 2 };
    keys.push(("cache mount from", cache_mount("id", Some(base), Some(access))));
    keys
}

fn runs(parent: Key) -> Vec<(&'static str, Key)> {
    let key = |step: &Run, build: &BuildOptions| {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let mounted = vec![Some(scratch()); step.mounts.len()];
        run(step, &Surroundings { parent, platform: &platform, mounted: &mounted, build }).key()
    };
    let plain = Run {
        args: ["/bin/sh", "-c", "make"].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin".to_owned()],
        working_dir: "/".to_owned(),
        hostname: "buildkitsandbox".to_owned(),
        ..Run::default()
    };
    let changed = Run {
        user: "app".to_owned(),
        network: Network::None,
        insecure: true,
        script: Some(("EOF".to_owned(), "#!/bin/sh\n".to_owned())),
        ..plain.clone()
    };
    let mounted = Run { mounts: mounts(), secrets: secrets(), agents: agents(), ..plain.clone() };
    let build = BuildOptions::default();
    let surrounded = BuildOptions {
        hosts: vec![Host { name: "a".to_owned(), address: [1, 2, 3, 4].into() }],
        ulimits: vec![Ulimit { name: "nofile".to_owned(), soft: 1, hard: 2 }],
        shm_size: Some(1 << 20),
        cgroup_parent: Some(PathBuf::from("/builds")),
        source_date_epoch: Some(1),
        ..BuildOptions::default()
    };
    vec![
        ("run", key(&plain, &build)),
        ("run user network script", key(&changed, &build)),
        ("run mounts", key(&mounted, &build)),
        ("run surroundings", key(&plain, &surrounded)),
    ]
}

fn mounts() -> Vec<Mount> {
    let bind = MountKind::Bind { from: From::Context, source: "/".to_owned() };
    let cache = MountKind::Cache {
        id: "go".to_owned(),
        sharing: Sharing::Locked,
        from: None,
        source: "/".to_owned(),
        access: None,
    };
    let mount =
        |target: &str, kind, read_only| Mount { target: target.to_owned(), kind, read_only };
    vec![
        mount("/in", bind, true),
        mount("/cache", cache, false),
        mount("/tmp", MountKind::Tmpfs { size: Some(1 << 20) }, false),
    ]
}

fn secrets() -> Vec<Secret> {
    let access = Access { mode: 0o400, uid: 0, gid: 0 };
    let (id, required) = ("npm".to_owned(), true);
    let (target, env) = (Some("/run/secrets/npm".to_owned()), Some("NPM".to_owned()));
    vec![Secret { id, target, env, access, required }]
}

fn agents() -> Vec<Agent> {
    let access = Access { mode: 0o600, uid: 0, gid: 0 };
    let (id, target) = ("default".to_owned(), "/run/agent".to_owned());
    vec![Agent { id, target, access, required: false }]
}

fn copies(parent: Key) -> Vec<(&'static str, Key)> {
    let plain = Copy {
        from: From::Context,
        sources: vec![CopySource::Path("src".to_owned())],
        inline: Vec::new(),
        destination: "/src".to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        unpack: false,
    };
    let changed = Copy {
        chown: Some("1:2".to_owned()),
        chmod: Some("0755".parse().unwrap()),
        link: true,
        parents: true,
        exclude: vec!["*.o".to_owned()],
        unpack: true,
        inline: vec![("EOF".to_owned(), "text".to_owned())],
        ..plain.clone()
    };
    let pieces = pieces();
    let contents = content(&pieces).unwrap();
    let definition = copy(&plain, Some(parent), None);
    vec![
        ("shape", of_shape(definition.clone(), shape(&pieces))),
        ("content", contents),
        ("copy", of_content(definition.clone(), contents).key()),
        ("copy options", of_content(copy(&changed, None, Some(1)), contents).key()),
        ("copy from a stage", of_files(definition.clone(), &changed, parent)),
    ]
}

fn pieces() -> Vec<Piece> {
    let file = File {
        size: 1,
        digest: Arc::new(OnceLock::from([7; 32])),
        origin: Origin::Text("x".into()),
    };
    let item = |path: &str, kind| {
        let path = LayerPath::new(path).unwrap();
        Item { path, metadata: Metadata { mode: 0o644, ..Metadata::default() }, kind }
    };
    let items = vec![
        item("", ItemKind::Directory),
        item("a", ItemKind::File(file)),
        item("b", ItemKind::Symlink(b"a".to_vec())),
        item("c", ItemKind::HardLink(LayerPath::new("a").unwrap())),
    ];
    vec![Piece::directory(b"src".to_vec(), items)]
}
