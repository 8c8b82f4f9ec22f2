//! Checks beside BuildKit's own. A folder under `tests/checks` per case: `Dockerfile`, perhaps `args` and
//! `dockerignore`; `buildkit` is what `docker buildx build --call=check` says (see
//! `scripts/golden_checks.py`), `ours` what we say, errors with their excerpts. The two agree on every
//! finding, its lines and its words, and on whether and where the file is refused; where they do not, a
//! file `difference` says why.
//!
//! A new case is a new folder: run the script and the test, read what it wrote, and copy it to `ours`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use build::plan::{self, Bases, Examined, Network, Request, Settings};
use build::{Error, check_options};
use dockerfile::IgnorePatterns;
use dockerfile::lint::{Finding, Options};
use image::ImageConfig;

/// The images that the script makes for BuildKit.
struct Known;

impl Bases for Known {
    fn config(&mut self, request: &Request) -> Result<ImageConfig, Error> {
        let config = match request.name.as_str() {
            "lint-env" => r#"{"Env":["LINT_LANG=C","LINT_HOME=/h"],"WorkingDir":"/h"}"#,
            "lint-shell" => r#"{"Shell":["/bin/bash","-c"]}"#,
            "lint-onbuild" => r#"{"OnBuild":["ENV x $NOPE","CMD run"]}"#,
            "lint-s390x" => "{}",
            name => return Err(Error::NoImage { name: name.to_owned(), pull: None }),
        };
        let architecture = if request.name == "lint-s390x" { "s390x" } else { "amd64" };
        let text = format!(
            r#"{{"architecture":"{architecture}","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        Ok(serde_json::from_str(&text).unwrap())
    }
}

/// What is said of a case: a line for each finding, and the error.
struct Outcome {
    findings: Vec<String>,
    error: Option<(String, String)>,
}

impl Outcome {
    fn text(&self) -> String {
        let findings: String = self.findings.iter().map(|it| format!("{it}\n")).collect();
        match &self.error {
            Some((_, error)) => findings + error,
            None => findings,
        }
    }
}

#[test]
fn every_case_is_as_expected_and_as_buildkit_has_it() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let wrong: Vec<String> = folders.iter().flat_map(|folder| complaints(folder)).collect();
    assert!(folders.len() > 200, "{} cases found", folders.len());
    assert!(wrong.is_empty(), "{} complaints:\n\n{}", wrong.len(), wrong.join("\n"));
}

fn complaints(folder: &Path) -> Vec<String> {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let outcome = outcome(folder);
    let mut complaints = Vec::new();
    if read("ours").unwrap_or_default() != outcome.text() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checks").join(name);
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("ours"), outcome.text()).unwrap();
        complaints.push(format!("{name}: see {}\n{}", kept.display(), outcome.text()));
    }
    let theirs = read("buildkit").unwrap();
    match (agree(&theirs, &outcome), read("difference")) {
        (true, None) | (false, Some(_)) => {}
        (true, Some(_)) => complaints.push(format!("{name}: there is no difference any more")),
        (false, None) => {
            complaints.push(format!("{name}: BuildKit says\n{theirs}we say\n{}", outcome.text()))
        }
    }
    complaints
}

/// Whether both find the same, and refuse the file at the same place or neither does. BuildKit does not
/// give each of its errors a place, and their words are its own.
fn agree(theirs: &str, ours: &Outcome) -> bool {
    let (errors, findings): (Vec<&str>, Vec<&str>) =
        theirs.lines().partition(|line| line.starts_with("error "));
    let place = errors.first().and_then(|error| error["error ".len()..].split_once(':'));
    let same_place = match (place, &ours.error) {
        (None, None) => true,
        (Some((place, _)), Some((own, _))) => place.is_empty() || place == own,
        _ => false,
    };
    same_place && findings == ours.findings
}

fn outcome(folder: &Path) -> Outcome {
    let text = fs::read(folder.join("Dockerfile")).unwrap();
    let ignore = fs::read(folder.join("dockerignore")).unwrap_or_default();
    let settings = settings(folder, IgnorePatterns::parse(&ignore).unwrap());
    let dockerfile = match dockerfile::parse(&text, "Dockerfile") {
        Ok(dockerfile) => dockerfile,
        Err(error) => {
            let rules = check_options(error.directives(), error.file(), &settings.build_args);
            return Outcome::new(error.findings(), rules, Some(error.clone().into()));
        }
    };
    let rules = check_options(&dockerfile.directives, &dockerfile.source, &settings.build_args);
    let Examined { plan, findings } = plan::examine(&dockerfile, &settings, &mut Known);
    Outcome::new(&findings, rules, plan.err())
}

impl Outcome {
    fn new(all: &[Finding], rules: Result<Options, Error>, error: Option<Error>) -> Self {
        let rules = match rules {
            Ok(rules) => rules,
            Err(error) => return Self { findings: Vec::new(), error: Some(shown(&error)) },
        };
        let counted = rules.filter(all.to_vec());
        let error = error.or_else(|| build::refuse(&rules, &counted).err());
        let mut lines: Vec<_> = counted
            .iter()
            .map(|it| (it.lines.start, format!("{} {}: {}", it.lines, it.rule.name, it.detail)))
            .collect();
        lines.sort_by(|(a, a_text), (b, b_text)| {
            let after_place = |text: &str| text.split_once(' ').map(|(_, it)| it.to_owned());
            a.cmp(b).then_with(|| after_place(a_text).cmp(&after_place(b_text)))
        });
        let findings = lines.into_iter().map(|(_, line)| line).collect();
        Self { findings, error: error.as_ref().map(shown) }
    }
}

/// An error's line, and the error with its excerpt.
fn shown(error: &Error) -> (String, String) {
    let (place, excerpt) = match error {
        Error::Dockerfile(error) => (error.lines().start.to_string(), error.excerpt()),
        Error::Instruction { lines, excerpt, .. } => (lines.start.to_string(), excerpt.clone()),
        _ => (String::new(), String::new()),
    };
    (place, format!("error: {error}\n{excerpt}"))
}

fn settings(folder: &Path, ignored: IgnorePatterns) -> Settings {
    let args = fs::read_to_string(folder.join("args")).unwrap_or_default();
    let args: Vec<&str> = args.lines().collect();
    let mut build_args = BTreeMap::new();
    for pair in args.windows(2).filter(|pair| pair[0] == "--build-arg") {
        let (name, value) = pair[1].split_once('=').unwrap();
        build_args.insert(name.to_owned(), value.to_owned());
    }
    let target = args.iter().find_map(|arg| arg.strip_prefix("--target="));
    Settings {
        contexts: build::plan::NamedContexts::default(),
        build_args,
        target: target.map(str::to_owned),
        platform: None,
        host: "linux/amd64".parse().unwrap(),
        network: Network::Host,
        labels: Vec::new(),
        allow: Default::default(),
        ignored,
        check: true,
    }
}
