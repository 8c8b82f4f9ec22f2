//! Reasons, for people and as JSON.

use std::fmt;

use serde::Serialize;

/// Why a step was done. Displays as one line: `src/main.rs changed; build argument V is 2, was 1`.
///
/// ```json
/// {"step": "[build 2/3] COPY src/ /src", "stage": "build", "line": 4, "instruction": "COPY src/ /src",
///  "why": "src/main.rs changed",
///  "reasons": [{"kind": "file", "path": "src/main.rs", "change": "changed"}]}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The step as progress shows it.
    pub step: String,
    /// Its stage; empty where there is one only.
    pub stage: String,
    /// The line of the instruction.
    pub line: usize,
    /// The instruction, variables expanded.
    pub instruction: String,
    /// The reasons in one line.
    pub why: String,
    /// Each by itself.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// `--no-cache` was given.
    NoCache,
    /// `--no-cache-filter` names the stage.
    NoCacheFilter {
        /// The stage.
        stage: String,
    },
    /// No earlier build has done this step, or one that is like it.
    New,
    /// It was done before, and its result was collected, or its layer lost.
    Collected,
    /// The step before it gives another result than then.
    Follows {
        /// That step, or stage.
        step: String,
    },
    /// The stage starts from another image.
    Base {
        /// The image's name; `scratch` for none.
        image: String,
        /// The digest of its manifest.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// The name that the earlier build had; nothing for `scratch`.
        #[serde(rename = "was-image", skip_serializing_if = "Option::is_none")]
        was_image: Option<String>,
        /// Its digest then.
        #[serde(rename = "was-digest", skip_serializing_if = "Option::is_none")]
        was_digest: Option<String>,
    },
    /// A build argument has another value, or came or went.
    BuildArgument(Variable),
    /// A variable of the environment has another value, or came or went.
    Environment(Variable),
    /// The instruction itself.
    Instruction {
        /// What it was.
        was: String,
    },
    /// Something else that the step depends on.
    Setting {
        /// What: `user`, `platform`.
        name: String,
        /// Its value, where it can be shown.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<String>,
        /// Its value then.
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<String>,
    },
    /// A `--mount`.
    Mount {
        /// `type=secret,id=x`, or where it is seen: `/src`.
        mount: String,
        /// How it differs.
        change: Change,
    },
    /// A file that is copied, or seen by a mount.
    File {
        /// Its path in what it is copied from.
        path: String,
        /// How it differs.
        #[serde(flatten)]
        change: Change,
    },
    /// Further files than those named.
    MoreFiles {
        /// How many.
        count: usize,
    },
    /// What is copied differs in no file: it comes by other names.
    Sources,
}

/// A variable. A value that may be a secret is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; nothing where it is not set, or not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// Its value then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Whether its values are kept to themselves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// How something differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content, or its link's target.
    Changed,
    /// It is of another kind: a directory, a link.
    Kind,
    /// Its permissions.
    Mode {
        /// In octal.
        now: String,
        /// Then.
        was: String,
    },
    /// Its owner.
    Owner {
        /// `UID:GID`
        now: String,
        /// Then.
        was: String,
    },
    /// Its extended attributes.
    Attributes,
}

/// So many files a line names.
const NAMED: usize = 3;

impl Explanation {
    /// The reasons in one line.
    pub(crate) fn line(reasons: &[Reason]) -> String {
        let (files, others): (Vec<&Reason>, Vec<&Reason>) = reasons
            .iter()
            .partition(|reason| matches!(reason, Reason::File { .. } | Reason::MoreFiles { .. }));
        let mut words: Vec<String> = others.iter().map(ToString::to_string).collect();
        if !files.is_empty() {
            words.insert(0, file_words(&files));
        }
        words.join("; ")
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.why)
    }
}

fn file_words(files: &[&Reason]) -> String {
    let named: Vec<String> = files.iter().take(NAMED).map(ToString::to_string).collect();
    let rest: usize = files
        .iter()
        .skip(NAMED)
        .map(|reason| if let Reason::MoreFiles { count } = reason { *count } else { 1 })
        .sum();
    match rest {
        0 => named.join(", "),
        rest => format!("{} and {rest} more", named.join(", ")),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCache => f.write_str("--no-cache was given"),
            Self::NoCacheFilter { stage } => write!(f, "--no-cache-filter names {stage}"),
            Self::New => f.write_str("no earlier build had this step"),
            Self::Collected => f.write_str("its result is no longer in the cache"),
            Self::Follows { step } => write!(f, "follows {step}"),
            Self::Base { image, digest, was_image, was_digest } => match was_image {
                Some(was) if was == image => write!(
                    f,
                    "the base {image} is now {}, was {}",
                    short(digest.as_deref()),
                    short(was_digest.as_deref()),
                ),
                Some(was) => write!(f, "the base is now {image}, was {was}"),
                None => write!(f, "the base is now {image}, was scratch"),
            },
            Self::BuildArgument(variable) => write!(f, "build argument {variable}"),
            Self::Environment(variable) => write!(f, "variable {variable}"),
            Self::Instruction { was } => write!(f, "the instruction was {was}"),
            Self::Setting { name, now, was } => setting(f, name, now.as_deref(), was.as_deref()),
            Self::Mount { mount, change } => write!(f, "the mount {mount} {change}"),
            Self::File { path, change } => write!(f, "{path} {change}"),
            Self::MoreFiles { count } => write!(f, "{count} more files differ"),
            Self::Sources => f.write_str("what is copied goes by other names"),
        }
    }
}

fn setting(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    now: Option<&str>,
    was: Option<&str>,
) -> fmt::Result {
    match (now, was) {
        (Some(now), Some(was)) => write!(f, "{name} is now {now}, was {was}"),
        (Some(now), None) => write!(f, "{name} is now {now}"),
        (None, Some(was)) => write!(f, "{name} is no longer {was}"),
        (None, None) => write!(f, "{name} changed"),
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, now, was, hidden } = self;
        match (now, was) {
            _ if *hidden => write!(f, "{name} changed"),
            (Some(now), Some(was)) => write!(f, "{name} is now {now:?}, was {was:?}"),
            (Some(now), None) => write!(f, "{name} is now {now:?}, was not set"),
            (None, Some(was)) => write!(f, "{name} is no longer set, was {was:?}"),
            (None, None) => write!(f, "{name} changed"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("added"),
            Self::Removed => f.write_str("removed"),
            Self::Changed => f.write_str("changed"),
            Self::Kind => f.write_str("is of another kind"),
            Self::Mode { now, was } => write!(f, "has mode {now}, had {was}"),
            Self::Owner { now, was } => write!(f, "belongs to {now}, did to {was}"),
            Self::Attributes => f.write_str("has other extended attributes"),
        }
    }
}

/// Enough of a digest to tell it from others.
fn short(digest: Option<&str>) -> &str {
    let digest = digest.unwrap_or("another");
    digest.get(.."sha256:".len() + 12).unwrap_or(digest)
}
