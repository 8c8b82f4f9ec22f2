//! Where images go: `--output` and its relatives, read back by skopeo and tar.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tare-store/tests/docker_registry/mod.rs"]
mod docker_registry;
mod machine;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use docker_registry::Registry;
use machine::{Machine, Said, files_of};
use serde_json::Value;

const DOCKERFILE: &str =
    "FROM busybox:base\nCOPY --chmod=640 --chown=7:8 file /data/\nRUN ln -s file /data/made\n";
const SCRATCH: &str = "FROM scratch\nCOPY --chmod=640 --chown=7:8 file /data/\n";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.file("file", "content\n");
    machine
}

/// A shell script in the machine's folder.
fn sh(machine: &Machine, script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).current_dir(machine.path("")).output();
    let said = Said::new(&output.unwrap());
    assert_eq!(said.code, Some(0), "{script}\n{}{}", said.out, said.err);
    said.out.trim_end().to_owned()
}

fn metadata(machine: &Machine) -> Value {
    serde_json::from_slice(&fs::read(machine.path("meta.json")).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn an_oci_archive_is_what_skopeo_says_and_the_store_stays_as_it_was() {
    let machine = machine();
    let names = machine.names();
    machine.built(
        DOCKERFILE,
        &["-t", "team/app:1", "-o", "type=oci,dest=app.tar", "--metadata-file", "meta.json"],
    );
    assert_eq!(machine.names(), names);
    let raw = sh(&machine, "skopeo inspect --raw oci-archive:app.tar:1");
    let found: Value = serde_json::from_str(&raw).unwrap();
    for layer in found["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], image::media_type::LAYER_GZIP);
    }
    let meta = metadata(&machine);
    let digest = sh(&machine, "skopeo inspect --raw oci-archive:app.tar:1 | sha256sum | cut -c-64");
    assert_eq!(text(&meta, "containerimage.digest"), format!("sha256:{digest}"));
    assert_eq!(meta["containerimage.descriptor"]["digest"], meta["containerimage.digest"]);
    assert_eq!(meta["containerimage.config.digest"], found["config"]["digest"]);
    assert_eq!(text(&meta, "image.name"), "docker.io/team/app:1");
    // Nothing of it is listed, and gc takes what no build record holds.
    assert!(machine.command("tare-store").arg("gc").output().unwrap().status.success());
    sh(&machine, "skopeo copy -q oci-archive:app.tar:1 dir:whole");
}

#[test]
fn archives_layouts_and_compressions() {
    let machine = machine();
    machine.built(
        SCRATCH,
        &[
            "-t",
            "app:2",
            "-o",
            "type=docker,dest=docker.tar",
            "-o",
            "type=oci,dest=layout,tar=false,compression=zstd,compression-level=5",
            "-o",
            "type=oci,dest=plain.tar,compression=uncompressed",
        ],
    );
    sh(&machine, "skopeo copy -q docker-archive:docker.tar:app:2 dir:from-docker");
    sh(&machine, "skopeo copy -q --preserve-digests oci:layout:2 dir:from-layout");
    let kind = |name: &str| {
        let manifest = fs::read(machine.path(name).join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["layers"][0]["mediaType"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind("from-layout"), image::media_type::LAYER_ZSTD);
    let raw = sh(&machine, "skopeo inspect --raw oci-archive:plain.tar:2");
    assert!(raw.contains(&format!("{:?}", image::media_type::LAYER)), "{raw}");
    // A second image into the same layout is one more.
    machine.built(
        &format!("{SCRATCH}ENV A=1\n"),
        &["-o", "type=oci,dest=layout,tar=false,name=other:3"],
    );
    sh(&machine, "skopeo inspect --raw oci:layout:2; skopeo inspect --raw oci:layout:3");
}

#[test]
fn a_tar_has_the_tree_and_goes_to_standard_output() {
    let machine = machine();
    machine.file("Dockerfile", DOCKERFILE);
    let output = machine.command("tare-build").args(["-q", "-o", "-", "ctx"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = files_of(&output.stdout);
    let file = files.iter().find(|it| it.path == "data/file").unwrap();
    assert_eq!((file.mode, file.owner, &file.content[..]), (0o640, (7, 8), &b"content\n"[..]));
    let link = files.iter().find(|it| it.path == "data/made").unwrap();
    assert_eq!(link.link.as_deref(), Some("file"));
    assert!(files.iter().any(|it| it.path == "bin/busybox"));
    assert_eq!(machine.names().len(), 1);
}

#[test]
fn times_in_a_tar_are_no_later_than_the_epoch() {
    let machine = machine();
    machine.built(
        SCRATCH,
        &[
            "--build-arg",
            "SOURCE_DATE_EPOCH=86400",
            "-o",
            "type=tar,dest=x.tar,rewrite-timestamp=true",
        ],
    );
    let files = files_of(&fs::read(machine.path("x.tar")).unwrap());
    assert!(files.iter().all(|it| it.mtime <= 86400), "{files:?}");
}

#[test]
fn a_directory_gets_the_users_files_and_keeps_its_own() {
    let machine = machine();
    fs::create_dir(machine.path("out")).unwrap();
    fs::write(machine.path("out/own"), "mine").unwrap();
    for _ in 0..2 {
        machine.built(SCRATCH, &["-o", "out"]);
    }
    // The directory got the mode of what was copied into it, too.
    fs::set_permissions(machine.path("out/data"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_to_string(machine.path("out/data/file")).unwrap(), "content\n");
    let file = fs::metadata(machine.path("out/data/file")).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o7777), (rustix::process::geteuid().as_raw(), 0o640));
    assert_eq!(fs::read_to_string(machine.path("out/own")).unwrap(), "mine");
}

#[test]
fn each_platform_has_a_directory_of_its_own() {
    let machine = machine();
    let both = "linux/amd64,linux/arm64";
    machine.built(
        "FROM scratch\nARG TARGETARCH\nCOPY file /$TARGETARCH\n",
        &[
            "--platform",
            both,
            "-o",
            "out",
            "-o",
            "type=tar,dest=x.tar",
            "-o",
            "type=oci,dest=all.tar",
            "-t",
            "a:1",
        ],
    );
    assert_eq!(fs::read_to_string(machine.path("out/linux_arm64/arm64")).unwrap(), "content\n");
    let listed = sh(&machine, "tar -tf x.tar");
    assert!(
        listed.contains("linux_amd64/amd64") && listed.contains("linux_arm64/arm64"),
        "{listed}"
    );
    let raw: Value =
        serde_json::from_str(&sh(&machine, "skopeo inspect --raw oci-archive:all.tar:1")).unwrap();
    assert_eq!(raw["manifests"].as_array().unwrap().len(), 2);
    let refused = machine.build(SCRATCH, &["--platform", both, "-o", "type=docker,dest=x.tar"]);
    refused.refused(&["type=docker has no room for an image for several platforms", "type=oci"]);
}

#[test]
fn push_sends_every_name_and_the_metadata_tells_the_digest_there() {
    let (machine, registry) = (machine(), Registry::start());
    let names = [registry.name("a:1"), registry.name("b:2")];
    let local = machine.built(
        DOCKERFILE,
        &["-t", &names[0], "-t", &names[1], "--push", "--metadata-file", "meta.json"],
    );
    let meta = metadata(&machine);
    for name in &names {
        let digest = sh(
            &machine,
            &format!(
                "skopeo inspect --raw --tls-verify=false docker://{name} | sha256sum | cut -c-64"
            ),
        );
        assert_eq!(text(&meta, "containerimage.digest"), format!("sha256:{digest}"));
    }
    assert_ne!(text(&meta, "containerimage.digest"), local);
    assert_eq!(text(&meta, "image.name"), names.join(","));
    assert!(machine.names().contains(&names[0]));

    let plain = format!("type=image,push=true,name={},compression=zstd", registry.name("z:1"));
    machine.built(SCRATCH, &["-o", &plain]);
    let raw = sh(
        &machine,
        &format!("skopeo inspect --raw --tls-verify=false docker://{}", registry.name("z:1")),
    );
    assert!(raw.contains("+zstd"), "{raw}");
}

#[test]
fn what_is_pushed_by_digest_has_no_tag() {
    let (machine, registry) = (machine(), Registry::start());
    let output = format!(
        "type=image,push-by-digest=true,name-canonical=true,push=true,name={}",
        registry.name("parts/amd64")
    );
    machine.built(SCRATCH, &["-o", &output, "--metadata-file", "meta.json"]);
    let digest = text(&metadata(&machine), "containerimage.digest").to_owned();
    let name = registry.name("parts/amd64");
    sh(&machine, &format!("skopeo inspect --raw --tls-verify=false docker://{name}@{digest}"));
    let tags =
        sh(&machine, &format!("curl -s http://{}", name.replacen('/', "/v2/", 1) + "/tags/list"));
    assert!(!tags.contains("latest"), "{tags}");
}

#[test]
fn a_push_that_is_refused_is_an_error_and_the_image_stays() {
    let machine = machine();
    let said = machine.build(SCRATCH, &["-t", "127.0.0.1:1/app:1", "--push"]);
    said.refused(&["cannot push 127.0.0.1:1/app:1", "tare-store: error: cannot push sha256:"]);
    assert!(machine.names().contains(&"127.0.0.1:1/app:1".to_owned()));
    let nameless = machine.build(SCRATCH, &["--push"]);
    assert_eq!(nameless.code, Some(2));
    assert!(nameless.err.contains("a name is needed to push"), "{}", nameless.err);
}

#[test]
fn load_keeps_it_in_the_store_beside_other_outputs() {
    let machine = machine();
    machine.built(SCRATCH, &["-t", "app:1", "-o", "type=oci,dest=x.tar"]);
    assert_eq!(machine.names().len(), 1);
    machine.built(SCRATCH, &["-t", "app:1", "-o", "type=oci,dest=x.tar", "--load"]);
    assert_eq!(machine.names().len(), 2);
    machine.built(SCRATCH, &["-t", "app:2", "-o", "type=cacheonly"]);
    assert_eq!(machine.names().len(), 2);
}

#[test]
fn annotations_stand_where_they_are_meant() {
    let machine = machine();
    let digest = machine.built(
        SCRATCH,
        &[
            "--annotation",
            "title=x",
            "--annotation",
            "manifest-descriptor:seen=y",
            "-t",
            "app:1",
            "-o",
            "type=oci,dest=x.tar,annotation.more=z",
            "--load",
        ],
    );
    let manifest = machine.manifest(&digest);
    assert_eq!(manifest["annotations"], serde_json::json!({"title": "x", "more": "z"}));
    let index: Value = serde_json::from_str(&sh(&machine, "tar -xOf x.tar index.json")).unwrap();
    assert_eq!(index["manifests"][0]["annotations"]["seen"], "y");

    let both = [
        "--platform",
        "linux/amd64,linux/arm64",
        "--annotation",
        "index:all=1",
        "--annotation",
        "manifest[linux/arm64]:arm=1",
        "--annotation",
        "manifest-descriptor:d=1",
    ];
    let index = machine.manifest(&machine.built(SCRATCH, &both));
    assert_eq!(index["annotations"]["all"], "1");
    let arm: Vec<bool> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["annotations"]["d"], "1");
            machine.manifest(entry["digest"].as_str().unwrap())["annotations"]["arm"] == "1"
        })
        .collect();
    assert_eq!(arm, [false, true]);
    let single = machine.build(SCRATCH, &["--annotation", "index:a=1"]);
    assert_eq!(single.code, Some(2));
    assert!(single.err.contains("the annotation a is for an index"), "{}", single.err);
}

#[test]
fn a_destination_that_cannot_be_written_leaves_nothing() {
    let machine = machine();
    for output in [
        "type=oci,dest=/nowhere/x.tar",
        "type=tar,dest=/nowhere/x.tar",
        "type=oci,dest=/dev/full",
        "type=local,dest=/dev/null/x",
    ] {
        let said = machine.build(SCRATCH, &["-o", output]);
        said.refused(&["cannot write"]);
    }
    let unknown = machine.build(SCRATCH, &["-o", "type=odd"]);
    assert_eq!(unknown.code, Some(2));
    machine.assert_clean();
}
