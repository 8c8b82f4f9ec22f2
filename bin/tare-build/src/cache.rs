//! `--cache-from` and `--cache-to`, as buildx takes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use build::{CachePlace, CacheSource, CacheTarget};
use image::media_type::Compression;
use store::{LayerForm, Recipe};

/// What a layout calls a cache that has no other name.
const TAG: &str = "latest";

/// `type=local,src=DIR[,tag=|,digest=]`, `type=registry,ref=NAME`, or `NAME`
pub(crate) fn source(text: &str) -> Result<CacheSource, String> {
    let mut fields = Fields::parse(text)?;
    let source = match &*fields.kind {
        "local" => CacheSource::Layout {
            path: PathBuf::from(fields.required("src")?),
            tag: fields.take("tag"),
            digest: fields.take("digest"),
        },
        _ => CacheSource::Registry { name: fields.required("ref")? },
    };
    fields.end()?;
    Ok(source)
}

/// `type=local,dest=DIR[,tag=]`, `type=registry,ref=NAME`, `type=inline`, or `NAME`; each with `mode=`,
/// `compression=`, `compression-level=`, `ignore-error=`
pub(crate) fn target(text: &str) -> Result<CacheTarget, String> {
    let mut fields = Fields::parse(text)?;
    let to = match &*fields.kind {
        "local" => CachePlace::Layout {
            path: PathBuf::from(fields.required("dest")?),
            tag: fields.take("tag").unwrap_or_else(|| TAG.to_owned()),
        },
        "inline" => CachePlace::Inline,
        _ => CachePlace::Registry { name: fields.required("ref")? },
    };
    let all = match fields.take("mode").as_deref() {
        None | Some("min") => false,
        Some("max") if to == CachePlace::Inline => {
            return Err("an inline cache has the layers of the image alone: mode=min".to_owned());
        }
        Some("max") => true,
        Some(other) => return Err(format!("mode is min or max, not {other:?}")),
    };
    let form = fields.form()?;
    let ignore_error = fields.flag("ignore-error")?.unwrap_or(false);
    // What buildx asks for is what there is.
    for name in ["oci-mediatypes", "image-manifest"] {
        if fields.flag(name)? == Some(false) {
            return Err(format!("a cache is an OCI image: {name} cannot be false"));
        }
    }
    fields.end()?;
    Ok(CacheTarget { to, all, form, ignore_error })
}

/// `KEY=VALUE,…` with a type.
struct Fields {
    kind: String,
    values: BTreeMap<String, String>,
}

impl Fields {
    /// What has no `=` is the name of an image.
    fn parse(text: &str) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        if !text.contains('=') {
            values.insert("ref".to_owned(), text.to_owned());
            return Ok(Self { kind: "registry".to_owned(), values });
        }
        for field in dockerfile::fields(text).map_err(|error| error.to_string())? {
            let Some((key, value)) = field.split_once('=') else {
                return Err(format!("{field:?} is not KEY=VALUE"));
            };
            values.insert(key.to_ascii_lowercase(), value.to_owned());
        }
        let kind =
            values.remove("type").ok_or("a cache needs a type: local, registry or inline")?;
        match kind.as_str() {
            "local" | "registry" | "inline" => Ok(Self { kind, values }),
            other => Err(format!("type is local, registry or inline, not {other:?}")),
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    fn required(&mut self, name: &str) -> Result<String, String> {
        let value = self.take(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("type={} needs {name}=", self.kind))
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(format!("{name} is true or false, not {other:?}")),
        }
    }

    fn form(&mut self) -> Result<Option<LayerForm>, String> {
        let compression = match self.take("compression").as_deref() {
            None => None,
            Some("gzip") => Some(Compression::Gzip),
            Some("zstd") => Some(Compression::Zstd),
            Some("uncompressed") => Some(Compression::None),
            Some(other) => {
                return Err(format!("compression is gzip, zstd or uncompressed, not {other:?}"));
            }
        };
        let level = self.take("compression-level").map(|text| {
            u8::from_str(&text).map_err(|_| format!("{text:?} is no level of compression"))
        });
        let level = level.transpose()?;
        let force = self.flag("force-compression")?.unwrap_or(false);
        let Some(compression) = compression else {
            let unused = level.map(|_| "compression-level needs compression=gzip or zstd");
            return unused.map_or(Ok(None), |why| Err(why.to_owned()));
        };
        let recipe = Recipe::new(compression, level).map_err(|error| error.to_string())?;
        let all = force || compression == Compression::None;
        Ok(Some(if all { LayerForm::All(recipe) } else { LayerForm::Compressed(recipe) }))
    }

    /// Nothing may be left that nobody has understood.
    fn end(&self) -> Result<(), String> {
        match self.values.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("a cache of type={} has no {name}=", self.kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_buildx_writes_them() {
        let registry = |name: &str| CacheSource::Registry { name: name.to_owned() };
        let layout = |tag: Option<&str>| CacheSource::Layout {
            path: "/c".into(),
            tag: tag.map(str::to_owned),
            digest: None,
        };
        for (text, want) in [
            ("user/app:cache", registry("user/app:cache")),
            ("type=registry,ref=a/b", registry("a/b")),
            ("type=local,src=/c", layout(None)),
            ("type=local,src=/c,tag=x", layout(Some("x"))),
        ] {
            assert_eq!(source(text).unwrap(), want, "{text}");
        }
        let target = |text: &str| super::target(text).unwrap();
        assert_eq!(target("type=inline").to, CachePlace::Inline);
        let local = target("type=local,dest=/c,mode=max,compression=zstd,compression-level=9");
        let zstd = Recipe::new(Compression::Zstd, Some(9)).unwrap();
        assert_eq!((local.all, local.form), (true, Some(LayerForm::Compressed(zstd))));
        assert!(target("type=registry,ref=a,ignore-error=true").ignore_error);
    }

    #[test]
    fn nothing_is_ignored() {
        for (text, said) in [
            ("type=gha", "type is local, registry or inline"),
            ("src=/c", "needs a type"),
            ("type=local", "needs src="),
            ("type=local,src=/c,x=y", "has no x="),
            ("type=registry,ref=a,tag=b", "has no tag="),
        ] {
            assert!(source(text).unwrap_err().contains(said), "{text}");
        }
        for (text, said) in [
            ("type=local,dest=/c,mode=all", "min or max"),
            ("type=inline,mode=max", "mode=min"),
            ("type=local,dest=/c,compression=xz", "gzip, zstd or uncompressed"),
            ("type=local,dest=/c,compression-level=3", "needs compression="),
            ("type=registry,ref=a,image-manifest=false", "cannot be false"),
        ] {
            assert!(target(text).unwrap_err().contains(said), "{text}");
        }
    }
}
