//! What the commands print that look inside images.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{Said, World, sh};

/// Makes a docker archive of four layers, each entry a tuple: path, kind, content or target, mode.
const LAYERS: &str = r#"
import hashlib, io, json, tarfile

LAYERS = [
    [("usr/", None, 0o755), ("usr/bin/", None, 0o755), ("bin", "->usr/bin", 0o777),
     ("usr/bin/tool", "one\n", 0o755), ("etc/", None, 0o755), ("etc/conf", "a = 1\n", 0o644),
     ("old/", None, 0o755), ("old/a", "x" * 1000, 0o644), ("old/b", "=>old/a", 0o644)],
    [("etc/conf", "a = 2\n", 0o644), ("opt/", None, 0o755), ("opt/line\nbreak", "", 0o644)],
    [("old/.wh.a", "", 0o644), ("etc/conf", "a = 2\n", 0o600)],
    [(".wh.opt", "", 0o644), ("usr/bin/tool", "two!\n", 0o4755)],
]

def layer(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content, mode in entries:
            info = tarfile.TarInfo(path.rstrip("/"))
            info.mode, info.mtime, data = mode, 1600000000, None
            if content is None:
                info.type = tarfile.DIRTYPE
            elif content.startswith("->"):
                info.type, info.linkname = tarfile.SYMTYPE, content[2:]
            elif content.startswith("=>"):
                info.type, info.linkname = tarfile.LNKTYPE, content[2:]
            else:
                data = io.BytesIO(content.encode())
                info.size = len(content)
            tar.addfile(info, data)
    return out.getvalue()

def archive(name, layers, config):
    blobs = [layer(entries) for entries in layers]
    diff_ids = ["sha256:" + hashlib.sha256(blob).hexdigest() for blob in blobs]
    history = [{"created_by": f"step {n}"} for n in range(1, len(blobs) + 1)]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": config, "history": history,
                         "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    files = {f"{n}.tar": blob for n, blob in enumerate(blobs)}
    manifest = [{"Config": "config.json", "RepoTags": [name + ":latest"], "Layers": list(files)}]
    files.update({"config.json": config, "manifest.json": json.dumps(manifest).encode()})
    with tarfile.open(name + ".tar", "w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

archive("four", LAYERS, {"Env": ["A=1"], "Labels": {"x": "1"}})
archive("two", LAYERS[:2], {"Env": ["A=1"]})
# The same files, but all in one layer, with another time.
archive("flat", [[("usr/", None, 0o755), ("usr/bin/", None, 0o755), ("bin", "->usr/bin", 0o777),
    ("usr/bin/tool", "two!\n", 0o4755), ("etc/", None, 0o755), ("etc/conf", "a = 2\n", 0o600),
    ("old/", None, 0o755), ("old/b", "x" * 999 + "y", 0o644)]], {"Env": ["A=1"], "Labels": {"x": "1"}})
"#;

fn world() -> World {
    let world = World::new();
    std::fs::write(world.path("layers.py"), LAYERS).unwrap();
    sh(&world, "python3 layers.py; for it in four two flat; do tare-store load -qi $it.tar; done");
    world
}

/// Standard output of a command that succeeds, and its last message.
fn shown(world: &World, args: &[&str]) -> String {
    let said = world.run(args);
    assert_eq!(said.code, 0, "{args:?}: {}", said.err);
    said.out
}

fn refused(world: &World, args: &[&str], words: &str) {
    let said = world.run(args);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{args:?}");
    assert!(said.err.contains(words), "{args:?}: {}", said.err);
}

#[test]
fn a_tree_has_sizes_links_and_names_that_no_terminal_obeys() {
    let world = world();
    let want = "\
drwxr-xr-x       0:0   1.01kB  /
lrwxrwxrwx       0:0           ├── bin -> usr/bin
drwxr-xr-x       0:0       6B  ├── etc
-rw-------       0:0       6B  │   └── conf
drwxr-xr-x       0:0     1kB  ├── old
-rw-r--r--       0:0     1kB  │   └── b
drwxr-xr-x       0:0       5B  └── usr
drwxr-xr-x       0:0       5B      └── bin
-rwsr-xr-x       0:0       5B          └── tool
";
    let want = want.replace("     1kB", "      1kB");
    assert_eq!(shown(&world, &["tree", "four"]), want);
    let two = shown(&world, &["tree", "-L", "1", "two", "opt"]);
    let line = "-rw-r--r--       0:0       0B  └── line\\nbreak\n";
    assert_eq!(two, format!("drwxr-xr-x       0:0       0B  /opt\n{line}"));
    let json = world.json(&["tree", "--json", "four", "/usr/bin"]);
    let tool = json!({
        "path": "/usr/bin/tool", "type": "file", "mode": "4755", "uid": 0, "gid": 0, "size": 5,
        "mtime": "2020-09-13T12:26:40Z", "layer": 4
    });
    assert_eq!(json[1], tool);
    refused(&world, &["tree", "four", "/opt"], "there is no /opt in four");
}

#[test]
fn a_layers_tree_has_its_changes() {
    let world = world();
    let want = "  drwxr-xr-x       0:0       5B  /
D drwxr-xr-x       0:0       0B  ├── opt
D -rw-r--r--       0:0       0B  │   └── line\\nbreak
  drwxr-xr-x       0:0       5B  └── usr
  drwxr-xr-x       0:0       5B      └── bin
C -rwsr-xr-x       0:0       5B          └── tool
";
    assert_eq!(shown(&world, &["tree", "--layer", "4", "four"]), want);
    let steps = world.json(&["history", "--json", "four"]);
    let diff_id = steps[0]["DiffId"].as_str().unwrap();
    assert_eq!(shown(&world, &["tree", "--layer", &diff_id[7..17], "four"]), want);
    for layer in ["0", "5", "xyz", "", "sha256:"] {
        refused(&world, &["tree", "--layer", layer, "four"], "layer");
    }
}

#[test]
fn the_bytes_of_files_come_from_any_layer() {
    let world = world();
    assert_eq!(shown(&world, &["cat", "four", "/bin/tool", "etc/conf"]), "two!\na = 2\n");
    assert_eq!(shown(&world, &["cat", "-l", "1", "four", "/etc/../etc/conf"]), "a = 1\n");
    assert_eq!(shown(&world, &["cat", "four", "old/b"]), "x".repeat(1000));
    refused(&world, &["cat", "four", "/old/a"], "\"/old/a\" does not exist");
    refused(&world, &["cat", "four", "/etc"], "/etc is a directory, not a file");
    refused(&world, &["cat", "four", "/etc/conf/x"], "not a directory");
    refused(&world, &["cat", "none", "/etc"], "no such image");
}

#[test]
fn holes_are_zeros() {
    let world = World::new();
    let script = r"
        mkdir root; truncate -s 1M root/hole; printf end >>root/hole; printf start | dd of=root/hole conv=notrunc status=none
        tar -C root --sparse -cf hole.tar .; tare-store import -q hole.tar hole; tare-store cat hole /hole >got; cmp got root/hole
    ";
    sh(&world, script);
}

#[test]
fn each_file_has_its_layer() {
    let world = world();
    let want =
        "  -            - /usr/\n  -            - /usr/bin/\n  4            5 /usr/bin/tool\n";
    assert_eq!(shown(&world, &["files", "four", "usr"]), want);
    let deeds = world.json(&["which-layer", "--json", "four", "/etc/conf"]);
    let deed = |deed: &serde_json::Value| {
        json!([deed["layer"], deed["change"], deed["created_by"], deed["file"]["mode"]])
    };
    let deeds: Vec<_> = deeds.as_array().unwrap().iter().map(deed).collect();
    let want = json!([
        [1, "added", "step 1", "0644"],
        [2, "modified", "step 2", "0644"],
        [3, "modified", "step 3", "0600"]
    ]);
    assert_eq!(json!(deeds), want);
    let gone = world.json(&["which-layer", "--json", "four", "/opt"]);
    assert_eq!((gone[1]["layer"].as_u64(), gone[1]["change"].as_str()), (Some(4), Some("removed")));
    // Through a link, and a file with two names that lost one.
    let Said { out, err, .. } = world.run(&["which-layer", "four", "/bin/tool"]);
    assert_eq!((out.lines().count(), err.as_str()), (3, "/bin/tool is /usr/bin/tool\n"));
    refused(&world, &["which-layer", "four", "/never"], "no layer of four has /never");
}

#[test]
fn differences_are_of_bytes_and_fields() {
    let world = world();
    let want = "\
config.Labels.x: \"1\" => -
A            /opt
A            /opt/line\\nbreak
A      +1kB  /old/a
C            /etc/conf (mode)
C       -1B  /usr/bin/tool (content, mode)
";
    let mut want: Vec<&str> = want.lines().collect();
    want.sort_by_key(|line| line.split_whitespace().rev().find(|it| it.starts_with('/')));
    let got = shown(&world, &["diff", "four", "two"]);
    let mut got: Vec<&str> = got.lines().collect();
    got.sort_by_key(|line| line.split_whitespace().rev().find(|it| it.starts_with('/')));
    assert_eq!(got, want);
    // Which layer has the bytes does not matter; a byte of 1,000 does.
    let flat = shown(&world, &["diff", "--files", "four", "flat"]);
    assert_eq!(flat, "C            /old/b (content)\n");
    let config = shown(&world, &["diff", "--config", "four", "two"]);
    assert_eq!(config, "config.Labels.x: \"1\" => -\n");
    let json = world.json(&["diff", "--json", "--files", "two", "four"]);
    assert_eq!(json["common_layers"], 2);
    assert_eq!(json["config"], json!([]));
    assert_eq!(json["files"][0]["aspects"], json!(["mode"]));
    assert_eq!(world.run(&["diff", "--exit-code", "two", "two"]).code, 0);
    assert_eq!(world.run(&["diff", "--exit-code", "two", "four"]).code, 1);
}

#[test]
fn the_figures_are_dives() {
    let world = world();
    // By hand: etc/conf three times 6 bytes, usr/bin/tool 4 and 5, old/a 1,000 and gone; opt as a whole has
    // no bytes, and what is in it comes once.
    let document = world.json(&["analyze", "--json", "four"]);
    let image = &document["image"];
    assert_eq!(image["sizeBytes"], 1000 + 18 + 9);
    assert_eq!(image["inefficientBytes"], 1000 + 18 + 9);
    let least = (6 + 4) as f64;
    assert_eq!(image["efficiencyScore"].as_f64().unwrap(), least / 1027.0);
    let want = json!([
        {"count": 2, "sizeBytes": 1000, "file": "/old/a"},
        {"count": 3, "sizeBytes": 18, "file": "/etc/conf"},
        {"count": 2, "sizeBytes": 9, "file": "/usr/bin/tool"}
    ]);
    assert_eq!(image["fileReference"], want);
    let layers = document["layer"].as_array().unwrap();
    assert_eq!(layers.len(), 4);
    assert_eq!(layers[3]["command"], "step 4");
    assert_eq!(layers[3]["fileList"][0]["path"], ".wh.opt");
}

#[test]
fn limits_are_kept_or_the_exit_code_is_1() {
    let world = world();
    assert_eq!(world.run(&["analyze", "two"]).code, 0);
    let failed = world.run(&["analyze", "--ci", "four"]);
    assert_eq!(failed.code, 1);
    let words = "FAIL lowest efficiency: 0.0097, at least 0.9\nFAIL highest user wasted percent: 60.4118, at most 0.1\n";
    assert_eq!(failed.err, words);
    let kept = world.run(&["analyze", "--highest-wasted-bytes", "2kB", "four"]);
    assert_eq!(
        (kept.code, kept.err.as_str()),
        (0, "PASS highest wasted bytes: 1027, at most 2000\n")
    );
    assert_eq!(world.run(&["analyze", "--lowestEfficiency", "0.001", "four"]).code, 0);
    assert_eq!(world.run(&["analyze", "--lowest-efficiency", "2", "four"]).code, 2);
}

/// The explorer in a terminal of 80 columns and 24 rows, which tmux is.
struct Screen<'a> {
    world: &'a World,
}

impl<'a> Screen<'a> {
    fn new(world: &'a World, image: &str) -> Self {
        let screen = Self { world };
        let command = format!("tare-store explore {image}; echo exit $?; sleep 100");
        screen.tmux(&format!("-f /dev/null new-session -d -x 80 -y 24 '{command}'"));
        screen
    }

    fn tmux(&self, command: &str) -> String {
        sh(self.world, &format!("tmux -S ./tmux {command}"))
    }

    /// Presses keys, in tmux's names, and waits for the screen to have all of `words` and none of `not`.
    fn shows(&self, keys: &str, words: &[&str], not: &[&str]) {
        if !keys.is_empty() {
            self.tmux(&format!("send-keys {keys}"));
        }
        let mut screen = String::new();
        for _ in 0..200 {
            screen = self.tmux("capture-pane -p");
            if words.iter().all(|it| screen.contains(it))
                && !not.iter().any(|it| screen.contains(it))
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{keys}: {words:?}, not {not:?}:\n{screen}");
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("tmux")
            .arg("-S")
            .arg(self.world.path("tmux"))
            .arg("kill-server")
            .status();
    }
}

#[test]
fn the_explorer_goes_through_layers_and_files() {
    let world = world();
    let screen = Screen::new(&world, "four");
    screen.shows(
        "",
        &["  4      5B  step 4", "Files with this layer", "D      0B  ├── opt/", "q quit"],
        &[],
    );
    screen.shows(
        "Up",
        &["3 of 4: 2 entries, 6B", "C      6B  │   └── conf", "D     1kB  │   ├── a"],
        &["D      0B"],
    );
    screen.shows("c", &["Changes of this layer", "── conf"], &["── tool"]);
    screen.shows("c Tab Z", &["├── etc/ (+1)"], &["── conf"]);
    screen.shows("/ conf", &["/conf", "── conf"], &["── old"]);
    screen.shows("Enter Down Enter", &[" /etc/conf ", "a = 2"], &["Layers"]);
    screen.shows("q", &["Layers", "filter \"conf\""], &["a = 2"]);
    // Alone: with a key right after it, a terminal takes it for Alt.
    screen.shows("Escape", &["── usr"], &["filter \""]);
    screen.shows("Z p", &["-rw-------       0:0      6B"], &[]);
    screen.shows("d m u", &["without C D same", "nothing to show: c, a"], &["── conf"]);
    screen.shows("Tab Enter", &["/old/a"], &[]);
    screen.shows("'?'", &[" Keys ", "collapse or expand all"], &[]);
    screen.shows("x q", &["exit 0"], &["Layers"]);
}

#[test]
fn the_explorer_gives_the_terminal_back_when_it_is_stopped() {
    let world = world();
    let screen = Screen::new(&world, "four");
    screen.shows("", &["Layers"], &[]);
    screen.tmux("send-keys C-c");
    screen.shows("", &["exit 0"], &["Layers"]);
    refused(&world, &["explore", "four"], "needs a terminal");
}
