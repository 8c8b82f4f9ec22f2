//! The table in ARCHITECTURE.md, held against what cargo says of the workspace.
//!
//! The test reads the document: a new arrow between packages needs a change of the document first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Crates that only the named packages may use; `bin/` stands for all programs.
const FENCED: &[(&str, &[&str])] = &[
    ("clap", &["bin/", "crates/cli"]),
    ("anyhow", &["bin/", "crates/cli"]),
    ("tar", &["crates/tree", "crates/archive"]),
];

/// Where `unsafe` may be lifted.
const UNSAFE: &[&str] = &["crates/rootfs", "crates/container"];

/// What the table grants one package.
#[derive(Default)]
struct Grant {
    ours: BTreeSet<String>,
    alone: BTreeSet<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("conformance/ has a parent").to_owned()
}

/// The table between the `house` marks: folder to grant.
fn grants(document: &str) -> BTreeMap<String, Grant> {
    let table = document
        .split_once("<!-- house -->")
        .and_then(|(_, rest)| rest.split_once("<!-- /house -->"))
        .expect("ARCHITECTURE.md has a table between its house marks")
        .0;
    table.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

fn row(line: &str) -> (String, Grant) {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [folder, _, ours, alone] = cells[..] else { panic!("four cells in {line:?}") };
    let words = |cell: &str| {
        cell.split(',')
            .map(|word| word.trim().trim_matches('`').to_owned())
            .filter(|word| !word.is_empty() && word != "–")
            .collect()
    };
    (folder.trim_matches('`').to_owned(), Grant { ours: words(ours), alone: words(alone) })
}

/// Folder (`crates/tree`) to package, as cargo sees the workspace.
fn packages() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata answers");
    let folder = |package: &Package| {
        let directory = package.manifest_path.parent().expect("a manifest has a folder");
        directory.strip_prefix(&metadata.workspace_root).expect("inside the workspace").to_string()
    };
    metadata.packages.iter().map(|package| (folder(package), package.clone())).collect()
}

/// What a package needs to be built, not to be tested.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|it| it.kind == DependencyKind::Normal);
    normal.map(|it| it.name.clone()).collect()
}

/// All violations of `grants` by `packages`, in words.
fn violations(
    grants: &BTreeMap<String, Grant>,
    packages: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let names: BTreeSet<&str> = packages.keys().map(|it| name(it)).collect();
    let mut found = Vec::new();
    for folder in grants.keys().filter(|it| !packages.contains_key(*it)) {
        found.push(format!("{folder} stands in the table and not in the workspace"));
    }
    for (folder, uses) in packages {
        let Some(grant) = grants.get(folder) else {
            found.push(format!("{folder} is not in the table"));
            continue;
        };
        for used in uses {
            if names.contains(used.as_str()) && !grant.ours.contains(used) {
                found.push(format!("{folder} uses {used}, which the table does not grant"));
            }
            for (owner, other) in grants {
                if owner != folder && other.alone.contains(used) {
                    found.push(format!("{folder} uses {used}, which only {owner} may"));
                }
            }
            for (_, allowed) in FENCED.iter().filter(|(fenced, _)| fenced == used) {
                if !allowed.iter().any(|prefix| folder.starts_with(prefix)) {
                    found.push(format!("{folder} uses {used}, which only {allowed:?} may"));
                }
            }
        }
        for unused in grant.ours.iter().filter(|it| !uses.contains(*it)) {
            found.push(format!("the table grants {folder} {unused}, which it does not use"));
        }
    }
    found
}

fn name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

#[test]
fn packages_use_only_what_the_table_grants() {
    let document = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let uses = packages().iter().map(|(folder, it)| (folder.clone(), dependencies(it))).collect();
    let found = violations(&grants(&document), &uses);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The judge is judged: each kind of violation is found.
#[test]
fn each_violation_is_found() {
    let grants = grants(
        "<!-- house -->\n\
         | `crates/a` | – | – | `tar` |\n\
         | `crates/b` | – | a | |\n\
         | `crates/gone` | – | – | |\n\
         <!-- /house -->",
    );
    let uses = |list: &[&str]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let packages = BTreeMap::from([
        ("crates/a".to_owned(), uses(&["b", "tar", "clap"])),
        ("crates/b".to_owned(), uses(&["tar"])),
        ("crates/new".to_owned(), uses(&[])),
    ]);
    assert_eq!(
        violations(&grants, &packages),
        [
            "crates/gone stands in the table and not in the workspace",
            "crates/a uses b, which the table does not grant",
            "crates/a uses clap, which only [\"bin/\", \"crates/cli\"] may",
            "crates/a uses tar, which only [\"crates/tree\", \"crates/archive\"] may",
            "crates/b uses tar, which only crates/a may",
            "crates/b uses tar, which only [\"crates/tree\", \"crates/archive\"] may",
            "the table grants crates/b a, which it does not use",
            "crates/new is not in the table",
        ]
    );
}

#[test]
fn every_package_takes_the_workspace_lints() {
    for folder in packages().keys() {
        let manifest = workspace().join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{folder}: no workspace lints");
    }
}

#[test]
fn unsafe_code_stays_behind_its_fence() {
    for (folder, package) in packages() {
        let lifted = sources(package.manifest_path.parent().unwrap().as_std_path())
            .filter(|path| std::fs::read_to_string(path).unwrap().contains("allow(unsafe_code)"))
            .collect::<Vec<_>>();
        let allowed = UNSAFE.contains(&folder.as_str());
        assert!(allowed || lifted.is_empty(), "{folder} lifts the ban on unsafe code: {lifted:?}");
    }
}

/// All Rust sources of a package's `src`.
fn sources(package: &Path) -> impl Iterator<Item = PathBuf> {
    let mut pending = vec![package.join("src")];
    let mut files = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).expect("a source folder can be read") {
            let path = entry.expect("a folder entry can be read").path();
            match path.is_dir() {
                true => pending.push(path),
                false if path.extension().is_some_and(|it| it == "rs") => files.push(path),
                false => {}
            }
        }
    }
    files.into_iter()
}
