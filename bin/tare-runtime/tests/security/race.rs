//! A volume shared with another container, in which that one exchanges directories and links while
//! mounts are made below them.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::support::{Bundle, NOTHING};

/// How long a race lasts; `TARE_RACE_SECONDS` for more than a glance.
#[allow(clippy::disallowed_methods, reason = "a test is told by its caller how long to race")]
fn duration() -> Duration {
    let wanted = std::env::var("TARE_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(wanted.unwrap_or(3))
}

/// CVE-2021-30465, CVE-2024-45310. A runtime that resolves a path first and mounts by its text later
/// makes `made` and mounts below `outside`, the host's directory that the link leads to.
#[test]
fn exchanged_links_lead_nowhere() {
    let bundle = Bundle::new(&["true"]);
    let outside = bundle.directory.path().join("outside");
    let volume = bundle.directory.path().join("volume");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(volume.join("a")).unwrap();
    symlink(&outside, volume.join("b")).unwrap();
    let bundle = bundle.with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/volume", "source": volume, "options": ["bind"]}));
        mounts.push(json!({"destination": "/volume/a/made", "type": "tmpfs", "source": "tmpfs"}));
        let file =
            json!({"destination": "/volume/a/file", "source": "/etc/passwd", "options": ["bind"]});
        mounts.push(file);
    });
    let stop = AtomicBool::new(false);
    let (mut started, mut runs, mut escaped) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (a, b) = (volume.join("a"), volume.join("b"));
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
            }
        });
        let end = Instant::now() + duration();
        while Instant::now() < end || runs <= 20 {
            runs += 1;
            started += i32::from(bundle.run().status.success());
            escaped += fs::read_dir(&outside).unwrap().count();
            // What an earlier run made would spare the next the making.
            for name in ["a", "b"] {
                let _ = fs::remove_dir(volume.join(name).join("made"));
                let _ = fs::remove_file(volume.join(name).join("file"));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(runs > 20 && started > 0, "{started} of {runs} started");
    assert_eq!(escaped, 0, "made outside, in {runs} runs");
    assert_eq!(bundle.leftovers(), NOTHING);
}
