//! Images at rest: import, ls, inspect, history, tag, rm, gc.

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{Said, World, said};

fn failed(err: &str) -> Said {
    Said { code: 1, out: String::new(), err: err.to_owned() }
}

#[test]
fn plain_gzip_and_zstd_give_the_same_layer() {
    let world = World::new();
    let tar = world.path("image.tar");
    for (program, ending) in [("gzip", "gz"), ("zstd", "zst")] {
        let packed = fs::File::create(world.path(&format!("image.tar.{ending}"))).unwrap();
        let status = Command::new(program).arg("-c").arg(&tar).stdout(packed).status();
        assert!(status.unwrap_or_else(|error| panic!("{program}: {error}")).success());
    }
    let layer = |name: &str| world.json(&["inspect", name])["RootFS"]["Layers"].clone();
    for (file, name) in [("image.tar", "plain"), ("image.tar.gz", "gz"), ("image.tar.zst", "zst")] {
        world.ok(&["import", "-q", world.path(file).to_str().unwrap(), name]);
        assert_eq!(layer(name), layer("plain"), "{file}");
    }
}

#[test]
fn standard_input_is_imported_and_the_digest_printed() {
    let world = World::new();
    let mut import = world
        .command(&["import", "-", "piped"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let tar = fs::read(world.path("image.tar")).unwrap();
    import.stdin.take().unwrap().write_all(&tar).unwrap();
    let done = said(import.wait_with_output().unwrap());
    assert_eq!((done.code, done.out.len()), (0, "sha256:".len() + 64 + 1));
    assert!(done.err.starts_with("imported piped:latest: "), "{}", done.err);
    assert_eq!(world.json(&["inspect", "piped"])["Digest"], done.out.trim());
}

#[test]
fn the_same_tar_at_the_same_time_is_the_same_image() {
    let (one, two) = (World::new(), World::new());
    fs::copy(one.path("image.tar"), two.path("image.tar")).unwrap();
    let import = |world: &World| {
        let tar = fs::File::open(world.path("image.tar")).unwrap();
        said(world.command(&["import", "-q", "-", "box"]).stdin(tar).output().unwrap()).out
    };
    assert_eq!(import(&one), import(&two));
}

#[test]
fn changes_platform_and_message_are_in_the_configuration() {
    let world = World::new();
    let tar = world.path("image.tar");
    world.ok(&[
        "import",
        "-q",
        "--platform",
        "linux/arm64",
        "-m",
        "from afar",
        "-c",
        "ENV A=1",
        "-c",
        "ENTRYPOINT [\"sh\"]",
        "-c",
        "EXPOSE 80",
        tar.to_str().unwrap(),
        "x",
    ]);
    let image = world.json(&["inspect", "--config", "x"]);
    assert_eq!(image["architecture"], "arm64");
    assert_eq!(image["created"], "2023-11-14T22:13:20Z");
    assert_eq!(image["history"][0]["comment"], "from afar");
    let config = &image["config"];
    assert_eq!(config["Env"], serde_json::json!(["A=1"]));
    assert_eq!(config["Entrypoint"], serde_json::json!(["sh"]));
    assert_eq!(config["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
}

#[test]
fn bad_input_is_one_error_and_leaves_nothing() {
    let world = World::new();
    let tar = world.path("image.tar");
    let tar = tar.to_str().unwrap();
    let garbage = world.path("garbage");
    fs::write(&garbage, vec![b'x'; 4096]).unwrap();
    let short = world.path("short");
    fs::write(&short, &fs::read(tar).unwrap()[..100_000]).unwrap();
    let gone = world.path("gone");
    // Cut between two files: the end marker is all that is missing.
    let marked = world.path("marked");
    fs::write(&marked, &fs::read(tar).unwrap()[..1024]).unwrap();
    let empty = world.path("empty");
    fs::write(&empty, "").unwrap();
    for file in [&garbage, &short, &marked, &empty, &gone, &world.path("image")] {
        let import = world.run(&["import", "-q", file.to_str().unwrap(), "x"]);
        let start = format!(
            "tare-store: error: cannot import {} as x:latest\n  caused by: ",
            file.display()
        );
        assert!(import.code == 1 && import.err.starts_with(&start), "{import:?}");
    }
    let change = world.run(&["import", "-q", "-c", "RUN true", tar, "x"]);
    assert!(
        change.code == 1 && change.err.contains("RUN changes more than the configuration"),
        "{change:?}"
    );
    let claim = format!("x@sha256:{}", "0".repeat(64));
    for name in ["Not A Name", &claim] {
        assert_eq!(world.run(&["import", "-q", tar, name]).code, 2);
        assert_eq!(world.run(&["tag", "box", name]).code, 2);
    }
    assert_eq!(world.blobs(), 0);
    assert_eq!(world.json(&["ls", "--json"]), serde_json::json!([]));
    assert_eq!(fs::read_dir(world.path("store/tare/tmp")).map_or(0, Iterator::count), 0);
}

#[test]
fn an_interrupted_import_leaves_nothing() {
    let world = World::new();
    let mut import = world
        .command(&["import", "-q", "-", "x"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let tar = fs::read(world.path("image.tar")).unwrap();
    let mut stdin = import.stdin.take().unwrap();
    // More than a pipe holds: the program reads, so its handlers are in place.
    stdin.write_all(&tar[..512 << 10]).unwrap();
    let pid = rustix::process::Pid::from_child(&import);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let done = said(import.wait_with_output().unwrap());
    drop(stdin);
    assert_eq!(done.code, 1);
    assert!(done.err.ends_with("caused by: interrupted\n"), "{}", done.err);
    assert_eq!(world.blobs(), 0);
    assert_eq!(fs::read_dir(world.path("store/tare/tmp")).map_or(0, Iterator::count), 0);
}

#[test]
fn ls_shows_names_ids_and_sizes() {
    let world = World::with_image();
    world.ok(&["tag", "box", "example.com/team/app:v1"]);
    let rows = world.json(&["ls", "--json"]);
    assert_eq!(rows[0]["Name"], "docker.io/library/box:latest");
    assert_eq!(
        (&rows[1]["Repository"], &rows[1]["Tag"]),
        (&"example.com/team/app".into(), &"v1".into())
    );
    assert_eq!(rows[0]["Size"], fs::metadata(world.path("image.tar")).unwrap().len());
    assert_eq!(rows[0]["Id"], rows[1]["Id"]);
    let table = world.ok(&["ls"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("REPOSITORY "), "{table}");
    assert!(lines[1].starts_with("box ") && lines[1].contains(" years ago "), "{table}");
    let id = rows[0]["Id"].as_str().unwrap();
    assert_eq!(world.ok(&["ls", "-q", "box"]), id["sha256:".len()..][..12]);
    assert_eq!(world.ok(&["ls", "-q", "nothing"]), "");
    assert!(world.ok(&["ls", "--digests"]).contains(rows[0]["Digest"].as_str().unwrap()));
}

#[test]
fn inspect_shows_every_part() {
    let world = World::with_image();
    let digest = world.json(&["inspect", "box"])["Digest"].as_str().unwrap().to_owned();
    let raw = world.run(&["inspect", "--raw", "box"]).out;
    let sum =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.as_ref().unwrap().write_all(raw.as_bytes()).unwrap();
    let sum = said(sum.wait_with_output().unwrap()).out;
    assert_eq!(digest["sha256:".len()..], sum[..64]);
    let manifest = world.json(&["inspect", "--manifest", "box"]);
    assert_eq!(manifest, serde_json::from_str::<serde_json::Value>(&raw).unwrap());
    let config = world.json(&["inspect", "--config", "box"]);
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["sh"]));
    let by_id = world.json(&["inspect", &digest["sha256:".len()..][..12]]);
    assert_eq!(by_id["Digest"], digest.as_str());
    let history = world.ok(&["inspect", "--history", "box"]);
    assert_eq!(history, world.ok(&["history", "box"]));
    assert!(history.lines().nth(1).unwrap().contains("import "), "{history}");
    let steps = world.json(&["history", "--json", "box"]);
    assert_eq!(steps[0]["Size"], fs::metadata(world.path("image.tar")).unwrap().len());
}

#[test]
fn an_unknown_image_is_an_error_with_a_suggestion() {
    let world = World::with_image();
    let want = failed("tare-store: error: no such image: boxx\n  hint: did you mean box?\n");
    for command in
        [&["inspect", "boxx"][..], &["history", "boxx"], &["tag", "boxx", "y"], &["rm", "boxx"]]
    {
        assert_eq!(world.run(command), want, "{command:?}");
    }
    let other = world.run(&["inspect", "debian"]);
    let err = "tare-store: error: no such image: debian\n  hint: tare-store ls shows the images that there are\n";
    assert_eq!(other, failed(err));
}

#[test]
fn rm_by_name_takes_the_name_and_by_id_all_with_force() {
    let world = World::with_image();
    world.ok(&["tag", "box", "two"]);
    let id = world.ok(&["ls", "-q", "box"]);
    let refused = world.run(&["rm", &id]);
    let err = format!(
        "tare-store: error: image {id} has several names: box:latest, two:latest\n  hint: remove them one by one, or all with --force\n"
    );
    assert_eq!(refused, failed(&err));
    assert_eq!(world.ok(&["rm", "two"]), "two:latest");
    world.ok(&["tag", "box", "two"]);
    assert_eq!(world.ok(&["rm", "--force", &id]), "box:latest\ntwo:latest");
    assert_eq!(world.json(&["ls", "--json"]), serde_json::json!([]));
    world.ok(&["rm", "--force", "nothing"]);
}

#[test]
fn of_several_names_none_goes_if_one_is_unknown() {
    let world = World::with_image();
    assert_eq!(world.run(&["rm", "box", "nothing"]).code, 1);
    assert_eq!(world.ok(&["ls", "-q"]).lines().count(), 1);
}

#[test]
fn gc_frees_what_has_no_name_and_says_how_much() {
    let world = World::with_image();
    assert_eq!(world.ok(&["gc"]), "freed 0B: nothing to remove");
    world.ok(&["rm", "box"]);
    let before = world.blobs();
    let dry = world.json(&["gc", "--dry-run", "--json"]);
    assert_eq!(world.blobs(), before);
    assert!(dry["FreedBytes"].as_u64().unwrap() > 500_000, "{dry}");
    let freed = world.ok(&["gc"]);
    assert!(freed.starts_with("freed ") && freed.contains("3 blobs"), "{freed}");
    assert_eq!(world.blobs(), 0);
}

#[test]
fn other_tools_read_the_store() {
    let world = World::with_image();
    let store = format!("oci:{}:docker.io/library/box:latest", world.path("store").display());
    let skopeo =
        Command::new("skopeo").args(["inspect", &store]).output().expect("skopeo is installed");
    assert!(skopeo.status.success(), "{}", String::from_utf8_lossy(&skopeo.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&skopeo.stdout).unwrap();
    assert_eq!(seen["Digest"], world.json(&["inspect", "box"])["Digest"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::with_image();
    for _ in 0..3 {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = said(world.command(&["inspect", "box"]).stdout(writer).output().unwrap());
        assert_eq!((done.code, done.err.as_str()), (0, ""));
    }
}

#[test]
fn mistakes_have_exit_code_2() {
    let world = World::new();
    assert_eq!(world.run(&["ls", "--bad"]).code, 2);
    assert_eq!(world.run(&["rm"]).code, 2);
    assert_eq!(world.run(&[]).code, 2);
}

#[test]
fn info_tells_what_there_is() {
    let world = World::with_image();
    let info = world.json(&["info", "--json"]);
    assert_eq!(
        (&info["images"], &info["store"]),
        (&1.into(), &world.path("store").to_str().unwrap().into())
    );
    assert!(info["image_bytes"].as_u64().unwrap() > 500_000, "{info}");
    assert!(["erofs", "directory"].contains(&info["driver"].as_str().unwrap()), "{info}");
    assert!(world.ok(&["info"]).contains("Driver:  "));
}
