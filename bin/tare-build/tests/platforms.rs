//! Builds for other platforms, and for several.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::path::Path;
use std::process::Command;

use machine::{Machine, Said};
use serde_json::{Value, json};

const BOTH: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

/// The manifests of an index, by their platforms.
fn images(machine: &Machine, index: &str) -> Vec<(String, String)> {
    let index = machine.manifest(index);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let entry = |entry: &Value| {
        let platform = &entry["platform"];
        let word = |name: &str| platform[name].as_str().map(str::to_owned);
        let parts: Vec<String> =
            ["os", "architecture", "variant"].iter().filter_map(|name| word(name)).collect();
        (parts.join("/"), entry["digest"].as_str().unwrap().to_owned())
    };
    index["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn several_give_an_index() {
    let machine = Machine::new();
    let dockerfile = "\
FROM --platform=$BUILDPLATFORM busybox:base AS build
RUN touch /once
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM
RUN echo $TARGETPLATFORM $TARGETOS $TARGETARCH:$TARGETVARIANT >/target; echo $BUILDPLATFORM >>/target
FROM scratch
COPY --from=build /target /
";
    let said = machine.build(
        dockerfile,
        &["--platform", "linux/amd64,linux/aarch64", "--platform=linux/arm/v6", "-t", "app"],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    let host = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let images = images(&machine, said.out.trim_end());
    let platforms: Vec<&str> = images.iter().map(|(platform, _)| platform.as_str()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "linux/arm/v6"]);
    for ((platform, digest), (arch, variant)) in
        images.iter().zip([("amd64", ""), ("arm64", ""), ("arm", "v6")])
    {
        let layers = machine.layers(digest);
        let files = machine::files_of(&machine.blob(&layers[0]));
        let text = String::from_utf8(files[0].content.clone()).unwrap();
        assert_eq!(text, format!("{platform} linux {arch}:{variant}\n{host}\n"));
        assert_eq!(machine.config(digest)["architecture"], *arch);
    }
    assert!(
        said.err.contains(&format!("[{host}->arm64 build 2/3] RUN touch /once")),
        "{}",
        said.err
    );
    let names = machine.names();
    assert!(names.iter().any(|name| name.ends_with("app:latest")), "{names:?}");
    let inspect = machine.command("tare-store").args(["inspect", "app"]).output().unwrap();
    machine::assert_ok(&inspect);
    assert_eq!(
        machine.build(dockerfile, &BOTH).err.lines().filter(|l| l.ends_with(" DONE")).count(),
        0
    );
}

#[test]
fn one_platform_twice_is_one_image() {
    let machine = Machine::new();
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\n";
    let one =
        machine.built(dockerfile, &["--platform", "linux/arm64,linux/aarch64,linux/arm64/v8"]);
    assert_eq!(machine.config(&one)["architecture"], "arm64");
    let index = machine.built(dockerfile, &["--build-arg", "BUILDKIT_MULTI_PLATFORM=1"]);
    assert_eq!(images(&machine, &index).len(), 1);
    let wrong = machine.build(dockerfile, &["--platform", "linux/amd64,nonsense"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
}

#[test]
fn a_base_may_be_such_an_index() {
    let machine = Machine::new();
    let dockerfile = "FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY Dockerfile /\n";
    machine.built(dockerfile, &[&BOTH[..], &["-t", "both"]].concat());
    for arch in ["amd64", "arm64"] {
        let image = machine
            .built("FROM both\nLABEL arch=$ARCH\n", &["--platform", &format!("linux/{arch}")]);
        let config = machine.config(&image);
        assert_eq!(config["config"]["Labels"], json!({ "arch": arch }));
        assert_eq!(config["architecture"], arch);
    }
    let dockerfile = "FROM --platform=linux/arm64 both\nLABEL arch=$ARCH\n";
    let image = machine.built(dockerfile, &[]);
    assert_eq!(machine.config(&image)["config"]["Labels"], json!({ "arch": "arm64" }));
}

#[test]
fn a_failure_for_one_is_a_failure_for_all() {
    let machine = Machine::new();
    let dockerfile = "\
FROM --platform=$BUILDPLATFORM busybox:base
ARG TARGETARCH
RUN test $TARGETARCH = amd64 || exit 7; sleep 60
";
    let said = machine.build(dockerfile, &[&BOTH[..], &["-t", "app"]].concat());
    said.refused(&["Dockerfile:3", "exit code 7"]);
    assert_eq!(machine.names().len(), 1);
    machine.assert_clean();
}

/// An emulator that this test registers, where there is none, and takes away again.
struct Emulator {
    name: Option<&'static str>,
    /// Whether the kernel's folder of them was mounted for the test.
    mounted: bool,
}

const ARM64: &str = r":tare-test-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F";

const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

impl Emulator {
    fn register() -> Self {
        let folder = Path::new(REGISTERED);
        let mounted = !folder.join("register").exists();
        if mounted {
            let mut mount = Command::new("mount");
            mount.args(["-t", "binfmt_misc", "binfmt_misc"]).arg(folder);
            assert!(mount.status().unwrap().success(), "binfmt_misc cannot be mounted");
        }
        if folder.join("qemu-aarch64").exists() {
            return Self { name: None, mounted };
        }
        fs::write(folder.join("register"), ARM64).expect("qemu-user-static is installed");
        Self { name: Some("tare-test-aarch64"), mounted }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            let _ = fs::write(Path::new(REGISTERED).join(name), "-1");
        }
        if self.mounted {
            let _ = Command::new("umount").arg(REGISTERED).status();
        }
    }
}

/// A program for arm64 that makes the directory /made, says so, and ends.
fn program() -> Vec<u8> {
    const AT: u64 = 0x40_0000;
    const HEADERS: usize = 64 + 56;
    let code: [u32; 13] = [
        0x9280_0c60, // mov x0, #AT_FDCWD
        0x1000_0181, // adr x1, path (48 bytes on)
        0xd280_3da2, // mov x2, #0755
        0xd280_0448, // mov x8, #mkdirat
        0xd400_0001, // svc #0
        0xd280_0020, // mov x0, #1
        0x1000_0121, // adr x1, message (36 bytes on)
        0xd280_0142, // mov x2, #10
        0xd280_0808, // mov x8, #write
        0xd400_0001, // svc #0
        0xd280_0000, // mov x0, #0
        0xd280_0ba8, // mov x8, #exit
        0xd400_0001, // svc #0
    ];
    // The path is at 52 bytes, behind the code, and the message at 60.
    let mut text: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    text.extend_from_slice(b"made\0\0\0\0from arm64");
    let size = (HEADERS + text.len()) as u64;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    let two = |n: u16| n.to_le_bytes().to_vec();
    let four = |n: u32| n.to_le_bytes().to_vec();
    let eight = |n: u64| n.to_le_bytes().to_vec();
    for field in [
        two(2),
        two(183),
        four(1),
        eight(AT + HEADERS as u64),
        eight(64),
        eight(0),
        four(0),
        two(64),
        two(56),
        two(1),
        two(0),
        two(0),
        two(0),
        // The one segment: all of it, to be read and executed.
        four(1),
        four(5),
        eight(0),
        eight(AT),
        eight(AT),
        eight(size),
        eight(size),
        eight(0x1000),
    ] {
        elf.extend(field);
    }
    assert_eq!(elf.len(), HEADERS);
    elf.extend(text);
    elf
}

#[test]
fn commands_of_another_machine_run_by_an_emulator() {
    use std::os::unix::fs::PermissionsExt as _;
    if cfg!(target_arch = "aarch64") {
        return;
    }
    let _emulator = Emulator::register();
    let machine = Machine::new();
    let path = machine.file("program", program());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let dockerfile = "FROM scratch\nCOPY program /\nRUN [\"/program\"]\n";
    let said = machine.build(dockerfile, &["--platform", "linux/arm64", "--progress", "plain"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("from arm64"), "{}", said.err);
    let layers = machine.layers(said.out.trim_end());
    let made = machine::files_of(&machine.blob(layers.last().unwrap()));
    assert!(made.iter().any(|file| file.path == "made" && file.mode == 0o755), "{made:?}");
}

#[test]
fn without_an_emulator_the_error_says_what_to_install() {
    let machine = Machine::new();
    let foreign = "linux/loong64";
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\nRUN true\n";
    let said: Said = machine.build(dockerfile, &["--platform", &format!("linux/amd64,{foreign}")]);
    said.refused(&["Dockerfile:3", foreign, "binfmt_misc", "qemu-user-static"]);
    machine.assert_clean();
}
