//! What the table in README.md says of tare-runtime still holds, and what it says of its peers.

use std::collections::BTreeMap;
use std::path::Path;

use conformance::oci_suite::{Suite, Verdict};
use conformance::program;

/// Where scripts/conformance keeps what it has built.
const CACHE: &str = "/var/tmp/tare-conformance";

/// Each program's verdicts as the table has them: peers first, tare-runtime last.
fn table() -> BTreeMap<String, Vec<String>> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).expect("the table is read");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (program, cells) = row.split_once("` | ").expect("a row has cells");
        (program.to_owned(), cells.trim_end_matches(" |").split(" | ").map(str::to_owned).collect())
    })
    .collect()
}

/// Programs that a peer passes and tare-runtime does not: what they ask for is no conformance. Each is
/// explained in `oci-suite/reasons`.
const NOT_WANTED: [&str; 3] = ["linux_mount_label", "linux_process_apparmor_profile", "start"];

#[test]
fn what_a_peer_passes_we_pass() {
    for (program, verdicts) in table() {
        let (ours, peers) = verdicts.split_last().unwrap();
        if peers.iter().any(|verdict| verdict == "passed") && ours != "passed" {
            assert!(NOT_WANTED.contains(&program.as_str()), "{program}: {verdicts:?}");
        }
    }
}

#[test]
fn what_we_pass_we_pass_still() {
    let suite = Suite::build(Path::new(CACHE)).expect("the suite is built");
    let mut wanted: Vec<String> = table()
        .into_iter()
        .filter(|(_, verdicts)| verdicts.last().is_some_and(|ours| ours == "passed"))
        .map(|(program, _)| program)
        .collect();
    assert!(wanted.len() > 30, "the table is there: {wanted:?}");
    // The longest first, so that nobody waits for them alone at the end.
    wanted.sort_by_key(|program| !["kill", "linux_cgroups_cpus"].contains(&program.as_str()));
    let ran = suite.run_all(&wanted, &program("tare-runtime"), 6).unwrap();
    let failed: Vec<_> = ran.iter().filter(|(_, ran)| ran.verdict != Verdict::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(ran.len(), wanted.len());
}
