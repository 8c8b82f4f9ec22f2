//! `--secret`: what it names, read before the build starts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use build::SecretValue;

use crate::arguments::environment;

/// The largest secret, in bytes: BuildKit's limit.
const MAX_SIZE: u64 = 500 << 10;

/// `id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFlag {
    id: String,
    source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Env(String),
    /// The variable of the secret's name if there is one, else the file.
    Id,
}

impl FromStr for SecretFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut id, mut file, mut env, mut is_env) = (None, None, None, false);
        for field in dockerfile::fields(text).map_err(|error| error.to_string())? {
            let Some((key, value)) = field.split_once('=') else {
                return Err(format!("{field:?} is not KEY=VALUE"));
            };
            match (key.to_ascii_lowercase().as_str(), value) {
                ("id", value) => id = Some(value.to_owned()),
                ("src" | "source", value) => file = Some(value.to_owned()),
                ("env", value) => env = Some(value.to_owned()),
                ("type", "file") => is_env = false,
                ("type", "env") => is_env = true,
                ("type", other) => return Err(format!("type is file or env, not {other:?}")),
                (key, _) => return Err(format!("unknown key {key:?}: want id, src, env or type")),
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or("a secret needs a name: id=NAME")?;
        if is_env && env.is_none() {
            env = file.take();
        }
        let source = match (env, file) {
            (Some(name), _) => Source::Env(name),
            (None, Some(path)) => Source::File(path.into()),
            (None, None) => Source::Id,
        };
        Ok(Self { id, source })
    }
}

/// The secrets by id, their contents read.
pub(crate) fn given(flags: &[SecretFlag]) -> anyhow::Result<BTreeMap<String, SecretValue>> {
    let read = |flag: &SecretFlag| {
        let bytes = flag.read().with_context(|| format!("cannot read the secret {}", flag.id))?;
        Ok((flag.id.clone(), SecretValue::new(bytes)))
    };
    flags.iter().map(read).collect()
}

impl SecretFlag {
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        match &self.source {
            Source::File(path) => read_file(path),
            // As with buildx.
            Source::Env(name) => Ok(environment(name).map_or_else(
                || {
                    cli::warn(format_args!("secret {} is empty: {name} is not set", self.id));
                    Vec::new()
                },
                String::into_bytes,
            )),
            Source::Id => match environment(&self.id) {
                Some(value) => Ok(value.into_bytes()),
                None => read_file(&PathBuf::from(&self.id)),
            },
        }
    }
}

fn read_file(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let file = File::open(path).with_context(name)?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).with_context(name)?;
    if bytes.len() as u64 > MAX_SIZE {
        bail!("{} is larger than a secret may be, {MAX_SIZE} bytes", name());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_buildx_takes_them() {
        let flag = |id: &str, source| Ok(SecretFlag { id: id.to_owned(), source });
        let env = |name: &str| Source::Env(name.to_owned());
        for (text, want) in [
            ("id=a", flag("a", Source::Id)),
            ("id=a,src=/b", flag("a", Source::File("/b".into()))),
            ("ID=a,Source=/b", flag("a", Source::File("/b".into()))),
            ("id=a,\"src=/b,c\"", flag("a", Source::File("/b,c".into()))),
            ("id=a,env=B", flag("a", env("B"))),
            ("type=env,id=a,src=B", flag("a", env("B"))),
            ("type=file,id=a,src=b", flag("a", Source::File("b".into()))),
            ("id=a,env=B,src=/c", flag("a", env("B"))),
        ] {
            assert_eq!(text.parse::<SecretFlag>(), want, "{text}");
        }
        for wrong in ["", "a", "src=/a", "id=", "id=a,type=x", "id=a,mode=0400", "\"id=a"] {
            wrong.parse::<SecretFlag>().expect_err(wrong);
        }
    }
}
