//! The same inputs give the same digest: in another place, at another time, on another number of cores.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use machine::{Machine, Said};

/// Nothing is taken from outside: the programs are in the context.
const DOCKERFILE: &str = "\
# syntax=docker/dockerfile:1
FROM scratch AS made
ARG SOURCE_DATE_EPOCH
COPY busybox /bin/busybox
WORKDIR /work
COPY . /src
RUN [\"/bin/busybox\", \"sh\", \"-c\", \"for i in 1 2 3 4; do echo $i > /work/$i; done\"]
RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo $SOURCE_DATE_EPOCH > /epoch\"]
FROM scratch
COPY --from=made /bin /bin
COPY --link --from=made /work /epoch /out/
COPY --chown=1:2 src/ /src/
RUN [\"/bin/busybox\", \"ln\", \"-s\", \"busybox\", \"/bin/sh\"]
LABEL made=twice
";

/// A machine whose files are so many days old.
fn machine(days: u64) -> Machine {
    let machine = Machine::empty();
    fs::copy("/bin/busybox", machine.path("ctx/busybox")).expect("busybox-static is installed");
    machine.file("Dockerfile", DOCKERFILE);
    for number in 0..20 {
        let path = machine.file(&format!("src/{number}"), number.to_string());
        age(path, days);
    }
    for path in ["src", "busybox", "Dockerfile"] {
        age(machine.path("ctx").join(path), days);
    }
    machine
}

/// Younger than the epoch that is given, so that it counts.
fn age(path: PathBuf, days: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs((15_000 + days) * 86_400);
    File::open(path).unwrap().set_modified(time).unwrap();
}

fn build(machine: &Machine, cores: &str, by_argument: bool) -> String {
    let program = machine.command("tare-build");
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program.get_program()).arg("ctx");
    command.current_dir(machine.path("")).env("TARE_STORE", machine.path("store"));
    match by_argument {
        true => command.args(["--build-arg", "SOURCE_DATE_EPOCH=1000000000"]),
        false => command.env("SOURCE_DATE_EPOCH", "1000000000"),
    };
    let said = Said::new(&command.stdin(Stdio::null()).output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out
}

#[test]
fn in_another_place_at_another_time_on_fewer_cores() {
    let one = machine(1);
    let first = build(&one, "0", true);
    let two = machine(99);
    assert_eq!(build(&two, "0-63", true), first);
    // Again without the cache: what was built is not only remembered.
    fs::remove_dir_all(two.path("store/tare/build")).unwrap();
    assert_eq!(build(&two, "0", true), first);
    let config = one.config(first.trim());
    assert_eq!(config["created"], "2001-09-09T01:46:40Z");
    let youngest =
        one.layers(first.trim()).iter().flat_map(|layer| one.layer(layer)).map(|it| it.mtime).max();
    assert!(youngest <= Some(1_000_000_000), "{youngest:?}");
}

/// What is made is not younger than the epoch, in whatever form it leaves. The base's layers are as they
/// were, as with BuildKit: whoever has them need not get them again.
#[test]
fn no_time_is_later_than_the_epoch_but_those_of_the_base() {
    let machine = Machine::new();
    let base = machine.layers(&machine.built("FROM busybox:base\n", &[]));
    machine.file("f", "x");
    let dockerfile = "FROM busybox:base\nCOPY f /\nRUN echo > /made\n";
    let epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
    let output = |kind: &str| format!("type={kind},rewrite-timestamp=true");
    let (image, tar) = (output("image"), output("tar,dest=out.tar"));
    let local = output("local,dest=out");
    let image = machine.built(dockerfile, &[&epoch[..], &["-o", &image]].concat());
    assert_eq!(machine.layers(&image)[..base.len()], base);
    let youngest = machine.files(&image).iter().map(|it| it.mtime).max();
    assert!(youngest <= Some(1_000_000_000), "{youngest:?}");
    // Nothing was made, and the base is younger.
    let alone = machine.built("FROM busybox:base\n", &epoch);
    assert_eq!(machine.config(&alone)["created"], "2001-09-09T01:46:40Z");
    machine.built(dockerfile, &[&epoch[..], &["-o", &local]].concat());
    for name in ["f", "made", "bin/busybox", "bin"] {
        let modified = fs::metadata(machine.path("out").join(name)).unwrap().modified().unwrap();
        assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000), "{name}");
    }
    machine.built(dockerfile, &[&epoch[..], &["-o", &tar]].concat());
    let files = machine::files_of(&fs::read(machine.path("out.tar")).unwrap());
    assert!(files.iter().all(|file| file.mtime == 1_000_000_000));
    let said = machine.build(dockerfile, &["-o", "type=image,rewrite-timestamp=true"]);
    assert!(said.err.contains("SOURCE_DATE_EPOCH is not set"), "{}", said.err);
}

/// As with buildx, the variable of the environment is the build argument that is not given.
#[test]
fn by_the_environment_as_by_an_argument() {
    let one = machine(1);
    let first = build(&one, "0", true);
    assert_eq!(build(&one, "0", false), first);
}
