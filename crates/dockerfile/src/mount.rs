//! `RUN --mount=type=…,key=value,…` (Dockerfile reference, "RUN --mount").

use std::fmt;

use crate::suggest::nearest;

mod values;

pub(crate) use values::boolean;
pub use values::split_fields as fields;
use values::{bytes, kind, number, sharing, split_fields};

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];
const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const MODES: [&str; 3] = ["shared", "private", "locked"];

/// The options of one `--mount` as written: variables may stand in every value but that of `from`.
/// [`MountOptions::resolve`] turns them into a [`Mount`] once they are expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Lower-case keys and their values, in order; `None` for a key alone.
    pub fields: Vec<(String, Option<String>)>,
}

/// A mount for a `RUN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// `type`
    pub kind: MountKind,
    /// `from`: a stage, an image or a named context; the build context by default.
    pub from: Option<String>,
    /// `source`: a path in `from`, or a secret's id.
    pub source: Option<String>,
    /// `target`: where it is seen. Without it a secret is at `/run/secrets/<id>`.
    pub target: Option<String>,
    /// `readonly`/`readwrite`; bind, secret and ssh are read-only by default.
    pub read_only: bool,
    /// `id` of a cache, a secret or an ssh agent.
    pub id: Option<String>,
    /// `sharing` of a cache.
    pub sharing: Sharing,
    /// `required`, of secret and ssh: fail where it is not given.
    pub required: bool,
    /// `size` of a tmpfs in bytes.
    pub size: Option<u64>,
    /// `env` of a secret: the variable that holds it. Without a target there is no file then.
    pub env: Option<String>,
    /// `mode`: permission bits.
    pub mode: Option<u32>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
}

/// The type of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the Dockerfile")]
pub enum MountKind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// How concurrent users share a cache mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All write at once.
    #[default]
    Shared,
    /// Each concurrent writer gets its own.
    Private,
    /// One after the other.
    Locked,
}

/// What is wrong with a `--mount`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is told by its message")]
pub enum MountError {
    #[error("a quote is not closed or stands inside a field: {text:?}")]
    Quotes { text: String },
    #[error("it is empty")]
    Empty,
    #[error("unknown key {key:?}")]
    UnknownKey { key: String, suggestion: Option<String> },
    #[error("{key:?} needs a value: {key}=VALUE")]
    NoValue { key: String },
    #[error("unsupported {key} {value:?}")]
    Unsupported { key: String, value: String, suggestion: Option<String> },
    #[error("invalid value {value:?} for {key}: want {want}")]
    Invalid { key: String, value: String, want: &'static str },
    #[error("{key} is not allowed for a {kind} mount")]
    NotAllowed { key: &'static str, kind: MountKind },
    #[error("from cannot hold a variable; name a stage with FROM … AS and use that name")]
    VariableInFrom,
    #[error("a {kind} mount needs a target")]
    NoTarget { kind: MountKind },
    #[error("a secret mount needs an id, a source or a target")]
    NoSecret,
    #[error("a secret mount has an id or a source, not both")]
    TwoSecrets,
}

impl MountError {
    pub(crate) fn suggestion(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { suggestion, .. } | Self::Unsupported { suggestion, .. } => {
                suggestion.as_deref()
            }
            _ => None,
        }
    }

    /// What to try where no name is near.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "a mount is TYPE and TARGET: --mount=type=cache,target=/root/.cache".into(),
            Self::UnknownKey { suggestion: None, .. } => format!("the keys are {}", KEYS.join(", ")),
            Self::Unsupported { key, suggestion: None, .. } if key == "type" => {
                format!("the types are {}", TYPES.join(", "))
            }
            Self::Unsupported { suggestion: None, .. } => format!("it is one of {}", MODES.join(", ")),
            Self::Quotes { .. } => {
                "quotes stand around a whole field: \"target=/a,b\"; none are needed without a comma"
                    .into()
            }
            _ => return None,
        })
    }

    /// The piece of the option that is wrong.
    pub(crate) fn at_fault(&self) -> Option<String> {
        Some(match self {
            Self::UnknownKey { key, .. } | Self::NoValue { key } => key.clone(),
            Self::Unsupported { key, value, .. } | Self::Invalid { key, value, .. } => {
                format!("{key}={value}")
            }
            Self::NotAllowed { key, .. } => (*key).to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for MountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        })
    }
}

impl MountOptions {
    /// Splits a flag's value, comma-separated with `"` as quotes (RFC 4180), and checks what can be
    /// checked before variables are known.
    pub(crate) fn read(text: &str) -> Result<Self, MountError> {
        if text.is_empty() {
            return Err(MountError::Empty);
        }
        let fields = split_fields(text)?.into_iter().map(key_and_value);
        let options = Self { fields: fields.collect() };
        let variable = |value: &Option<String>| value.as_deref().is_some_and(|v| v.contains('$'));
        if options.fields.iter().any(|(key, value)| key == "from" && variable(value)) {
            return Err(MountError::VariableInFrom);
        }
        if !options.fields.iter().any(|(_, value)| variable(value)) {
            options.resolve()?;
        }
        Ok(options)
    }

    /// The mount that the options, already expanded, describe.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong form, or keys that do not go with the type.
    pub fn resolve(&self) -> Result<Mount, MountError> {
        let mut mount = Mount::default();
        let mut seen = Seen::default();
        for (key, value) in &self.fields {
            seen.set(&mut mount, key, value.as_deref())?;
        }
        mount.read_only =
            seen.read_only.unwrap_or(!matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs));
        seen.check(&mount)?;
        Ok(mount)
    }
}

fn key_and_value(field: String) -> (String, Option<String>) {
    match field.split_once('=') {
        Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
        None => (field.to_lowercase(), None),
    }
}

/// What was given explicitly, which decides defaults and what is allowed.
#[derive(Default)]
struct Seen {
    read_only: Option<bool>,
    sharing: bool,
    required: bool,
}

impl Seen {
    fn set(&mut self, mount: &mut Mount, key: &str, value: Option<&str>) -> Result<(), MountError> {
        let Some(value) = value else { return self.set_alone(mount, key) };
        let text = || Some(value.to_owned());
        match key {
            "type" => mount.kind = kind(value)?,
            "from" => mount.from = text(),
            "source" | "src" => mount.source = text(),
            "target" | "dst" | "destination" => mount.target = text(),
            "id" => mount.id = text(),
            "env" => mount.env = text(),
            "readonly" | "ro" => self.read_only = Some(boolean(key, value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, value)?),
            "required" => (mount.required, self.required) = (boolean(key, value)?, true),
            "sharing" => (mount.sharing, self.sharing) = (sharing(value)?, true),
            "size" => mount.size = Some(bytes(key, value)?),
            "mode" => mount.mode = Some(number(key, value, 8)?),
            "uid" => mount.uid = Some(number(key, value, 10)?),
            "gid" => mount.gid = Some(number(key, value, 10)?),
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    fn set_alone(&mut self, mount: &mut Mount, key: &str) -> Result<(), MountError> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => (mount.required, self.required) = (true, true),
            key if KEYS.contains(&key) => return Err(MountError::NoValue { key: key.to_owned() }),
            key => return Err(unknown(key)),
        }
        Ok(())
    }

    fn check(&self, mount: &Mount) -> Result<(), MountError> {
        use MountKind::{Bind, Cache, Secret, Ssh, Tmpfs};
        let kind = mount.kind;
        let refuse = |given: bool, key: &'static str, kinds: &[MountKind]| match given
            && kinds.contains(&kind)
        {
            true => Err(MountError::NotAllowed { key, kind }),
            false => Ok(()),
        };
        refuse(mount.mode.is_some(), "mode", &[Bind, Tmpfs])?;
        refuse(mount.uid.is_some(), "uid", &[Bind, Tmpfs])?;
        refuse(mount.gid.is_some(), "gid", &[Bind, Tmpfs])?;
        refuse(mount.size.is_some(), "size", &[Bind, Cache, Secret, Ssh])?;
        refuse(self.required, "required", &[Bind, Cache, Tmpfs])?;
        refuse(self.sharing, "sharing", &[Bind, Tmpfs, Secret, Ssh])?;
        refuse(mount.from.is_some(), "from", &[Secret])?;
        refuse(mount.source.is_some(), "source", &[Ssh])?;
        names(mount)
    }
}

/// Whether the mount says what to mount, and where.
fn names(mount: &Mount) -> Result<(), MountError> {
    match (mount.kind, &mount.target, &mount.source, &mount.id) {
        (MountKind::Secret, _, Some(_), Some(_)) => Err(MountError::TwoSecrets),
        (MountKind::Secret, None, None, None) => Err(MountError::NoSecret),
        (MountKind::Secret | MountKind::Ssh, ..) => Ok(()),
        (kind, None, ..) => Err(MountError::NoTarget { kind }),
        _ => Ok(()),
    }
}

fn unknown(key: &str) -> MountError {
    let suggestion = nearest(key, &KEYS).map(str::to_owned);
    MountError::UnknownKey { key: key.to_owned(), suggestion }
}
