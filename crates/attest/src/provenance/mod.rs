//! Provenance: how an image came about (<https://slsa.dev/spec/v1.1/provenance>, and its version 0.2).
//!
//! The fields are those of BuildKit, whose build types are named, so that readers of its provenance read
//! this (docs/attestations/slsa-definitions.md in its repository). Two things are ours: the steps stand
//! in `buildConfig.steps`, as instructions, in place of BuildKit's `llbDefinition`; and the builder's
//! version is told.
//!
//! `mode=min` keeps back what a user may not want to show to everybody: the values of build arguments and
//! labels, the names of secrets and agents, the Dockerfile, the steps. No mode shows a secret's value: it
//! does not come here.

mod v02;
mod v1;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::DateTime;
use serde::Serialize;

use crate::Subject;
use crate::statement::{self, Version as StatementVersion};

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What does no harm.
    Min,
    /// All that is known, but for secrets.
    #[default]
    Max,
}

/// The form of the predicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// SLSA provenance v0.2.
    V02,
    /// SLSA provenance v1.
    #[default]
    V1,
}

impl Version {
    /// What an in-toto statement calls it.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::V02 => "https://slsa.dev/provenance/v0.2",
            Self::V1 => "https://slsa.dev/provenance/v1",
        }
    }
}

/// How a build came about.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// How much of it is told.
    pub mode: Mode,
    /// A URI for who has built; empty where nobody says.
    pub builder_id: String,
    /// The builder's programs, with their versions.
    pub builder_version: BTreeMap<String, String>,
    /// The platform that the builder runs on.
    pub builder_platform: String,
    /// Where the Dockerfile comes from.
    pub source: Source,
    /// The build's options, by the names that BuildKit's frontend has for them: `target`,
    /// `build-arg:NAME`, `label:NAME`.
    pub arguments: BTreeMap<String, String>,
    /// What comes from the user's own machine: `context`, `dockerfile`.
    pub locals: Vec<String>,
    /// Secrets that the build may have seen.
    pub secrets: Vec<Needed>,
    /// SSH agents that it may have used.
    pub agents: Vec<Needed>,
    /// Images, repositories and files of the network that it was built from.
    pub materials: Vec<Material>,
    /// What was done.
    pub steps: Vec<Step>,
    /// The Dockerfile's bytes.
    pub dockerfile: Vec<u8>,
    /// The build's own name.
    pub invocation: String,
    /// When it began.
    pub started: DateTime,
    /// When it ended.
    pub finished: DateTime,
    /// Whether the user says that it gives the same bytes each time.
    pub reproducible: bool,
    /// Whether no command of it had a network.
    pub hermetic: bool,
}

/// Where a build's configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The context, where it is not local.
    pub material: Option<Material>,
    /// The Dockerfile in it.
    pub path: String,
}

/// Something that was used, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Material {
    /// What it is called: a package URL, or where it is fetched from.
    pub uri: String,
    /// Its digests by algorithm, in hexadecimal.
    pub digest: BTreeMap<String, String>,
}

impl Material {
    /// Something with one digest.
    pub fn new(uri: String, algorithm: &str, hex: String) -> Self {
        Self { uri, digest: BTreeMap::from([(algorithm.to_owned(), hex)]) }
    }
}

/// Something that steps ask for by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Needed {
    /// Its name.
    pub id: String,
    /// Whether they can do without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// One instruction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The stage that it is in; empty for the only one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// What was done, variables expanded.
    pub instruction: String,
    /// Its first and last line in the Dockerfile, from 1.
    pub lines: (usize, usize),
}

impl Provenance {
    /// The JSON of the statement that tells it of these subjects.
    pub fn statement(&self, version: Version, subjects: &[Subject]) -> Vec<u8> {
        let kind = version.predicate_type();
        match version {
            Version::V1 => {
                statement::json(StatementVersion::V1, kind, v1::predicate(self), subjects)
            }
            Version::V02 => {
                statement::json(StatementVersion::V01, kind, v02::predicate(self), subjects)
            }
        }
    }

    fn is_max(&self) -> bool {
        self.mode == Mode::Max
    }

    /// Whether all that went in is among the materials.
    fn knows_its_materials(&self) -> bool {
        self.locals.is_empty()
    }
}

/// What was asked for: both versions have it in one form.
#[derive(Serialize)]
struct Request<'a> {
    frontend: &'static str,
    args: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'a Needed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<&'a Needed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locals: Vec<Local<'a>>,
}

#[derive(Serialize)]
struct Local<'a> {
    name: &'a str,
}

impl<'a> Request<'a> {
    fn of(it: &'a Provenance) -> Self {
        let shown = |name: &str| {
            it.is_max() || !["build-arg:", "label:"].iter().any(|kind| name.starts_with(kind))
        };
        let needed =
            |all: &'a [Needed]| if it.is_max() { all.iter().collect() } else { Vec::new() };
        let args = it.arguments.iter().filter(|(name, _)| shown(name));
        Self {
            frontend: "dockerfile.v0",
            args: args.map(|(name, value)| (&**name, &**value)).collect(),
            secrets: needed(&it.secrets),
            ssh: needed(&it.agents),
            locals: it.locals.iter().map(|name| Local { name }).collect(),
        }
    }
}

/// The steps, for `mode=max`.
#[derive(Serialize)]
struct BuildConfig<'a> {
    steps: &'a [Step],
}

impl<'a> BuildConfig<'a> {
    fn of(it: &'a Provenance) -> Option<Self> {
        it.is_max().then_some(Self { steps: &it.steps })
    }
}

/// What BuildKit tells besides what the specification has: the Dockerfile itself.
#[derive(Default, Serialize)]
struct Extra {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Sources>,
}

#[derive(Serialize)]
struct Sources {
    infos: [SourceInfo; 1],
}

#[derive(Serialize)]
struct SourceInfo {
    filename: String,
    language: &'static str,
    /// In base64.
    data: String,
}

impl Extra {
    fn of(it: &Provenance) -> Self {
        let info = || SourceInfo {
            filename: it.source.path.clone(),
            language: "Dockerfile",
            data: BASE64_STANDARD.encode(&it.dockerfile),
        };
        Self { source: it.is_max().then(|| Sources { infos: [info()] }) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn provenance(mode: Mode) -> Provenance {
        let pairs = [("build-arg:A", "1"), ("label:l", "x"), ("target", "t")];
        Provenance {
            mode,
            builder_platform: "linux/amd64".to_owned(),
            source: Source { material: None, path: "Dockerfile".to_owned() },
            arguments: pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            locals: vec!["context".to_owned(), "dockerfile".to_owned()],
            secrets: vec![Needed { id: "token".to_owned(), optional: true }],
            materials: vec![Material::new("pkg:docker/a@1".to_owned(), "sha256", "00".to_owned())],
            steps: vec![Step {
                stage: String::new(),
                instruction: "RUN x".to_owned(),
                lines: (2, 2),
            }],
            dockerfile: b"FROM a".to_vec(),
            invocation: "name".to_owned(),
            ..Provenance::default()
        }
    }

    fn read(provenance: &Provenance, version: Version) -> Value {
        let subject = Subject::new("", &image::Digest::of("x"));
        serde_json::from_slice(&provenance.statement(version, &[subject])).unwrap()
    }

    #[test]
    fn version_1_whole() {
        let value = read(&provenance(Mode::Max), Version::V1);
        let want = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{"name": "_", "digest": {"sha256": image::Digest::of("x").hex()}}],
            "predicate": {
                "buildDefinition": {
                    "buildType": v1::BUILD_TYPE,
                    "externalParameters": {
                        "configSource": {"path": "Dockerfile"},
                        "request": {
                            "frontend": "dockerfile.v0",
                            "args": {"build-arg:A": "1", "label:l": "x", "target": "t"},
                            "secrets": [{"id": "token", "optional": true}],
                            "locals": [{"name": "context"}, {"name": "dockerfile"}],
                        },
                    },
                    "internalParameters": {
                        "builderPlatform": "linux/amd64",
                        "buildConfig": {"steps": [{"instruction": "RUN x", "lines": [2, 2]}]},
                    },
                    "resolvedDependencies": [{"uri": "pkg:docker/a@1", "digest": {"sha256": "00"}}],
                },
                "runDetails": {
                    "builder": {"id": ""},
                    "metadata": {
                        "invocationId": "name",
                        "startedOn": "1970-01-01T00:00:00Z",
                        "finishedOn": "1970-01-01T00:00:00Z",
                        "buildkit_hermetic": false,
                        "buildkit_completeness": {"request": true, "resolvedDependencies": false},
                        "buildkit_reproducible": false,
                        "buildkit_metadata": {"source": {"infos": [
                            {"filename": "Dockerfile", "language": "Dockerfile", "data": "RlJPTSBh"},
                        ]}},
                    },
                },
            },
        });
        assert_eq!(value, want);
    }

    #[test]
    fn the_lesser_mode_keeps_values_back() {
        for version in [Version::V1, Version::V02] {
            let text = read(&provenance(Mode::Min), version).to_string();
            for hidden in ["build-arg", "label", "token", "RlJPTSBh", "RUN"] {
                assert!(!text.contains(hidden), "{hidden} in {text}");
            }
            assert!(text.contains(r#""target":"t""#) && text.contains("pkg:docker/a@1"));
        }
    }

    #[test]
    fn version_0_2_has_its_own_names() {
        let mut provenance = provenance(Mode::Max);
        provenance.source.material =
            Some(Material::new("https://h/r.git".into(), "sha1", "ab".into()));
        provenance.locals.clear();
        let value = read(&provenance, Version::V02);
        assert_eq!(value["_type"], "https://in-toto.io/Statement/v0.1");
        let predicate = &value["predicate"];
        assert_eq!(predicate["buildType"], "https://mobyproject.org/buildkit@v1");
        assert_eq!(
            predicate["invocation"]["configSource"],
            json!({"uri": "https://h/r.git", "digest": {"sha1": "ab"}, "entryPoint": "Dockerfile"})
        );
        assert_eq!(predicate["metadata"]["buildInvocationID"], "name");
        assert_eq!(
            predicate["metadata"]["completeness"],
            json!({"parameters": true, "environment": true, "materials": true})
        );
        assert_eq!(predicate["materials"][0]["uri"], "pkg:docker/a@1");
    }
}
