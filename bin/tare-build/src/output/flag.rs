//! `--output`: buildx's syntax.

use std::path::PathBuf;
use std::str::FromStr;

use archive::Format;
use build::Annotation;
use image::Reference;
use image::media_type::Compression;
use store::{LayerForm, Recipe};

use crate::annotation::target;

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutputFlag {
    pub(super) kind: Kind,
    names: Vec<Reference>,
    annotations: Vec<Annotation>,
    pub(super) compressing: Compressing,
    /// `rewrite-timestamp=true`: no file that was made is younger than SOURCE_DATE_EPOCH. So it is in any
    /// case, once there is one; as with BuildKit the base image's layers stay as they are.
    pub(super) rewrite_times: bool,
}

/// What kind of output.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// In the store, and from there perhaps to its registries.
    Image(Pushing),
    /// An image as a file or directory.
    Archive(ImageFile),
    /// The files: as a tar, or in a directory. With several platforms, each in a directory of its own.
    Files { dest: PathBuf, tar: bool, split: bool },
    /// Nowhere.
    CacheOnly,
}

/// Whether and how an image goes to the registries of its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pushing {
    pub(super) wanted: bool,
    /// The certificate is not checked.
    pub(super) insecure: bool,
    /// It gets no tag there.
    pub(super) by_digest: bool,
}

/// `type=oci`, `type=docker`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ImageFile {
    pub(super) format: Format,
    pub(super) dest: PathBuf,
    /// A tar, or with `tar=false` a layout.
    pub(super) tar: bool,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Compressing {
    pub(super) compression: Option<Compression>,
    pub(super) level: Option<u8>,
    /// Those of the base image, too.
    pub(super) force: bool,
}

impl Compressing {
    /// What becomes of the layers on the way out: by gzip without a word, as buildx does it.
    pub(super) fn form(&self) -> Result<LayerForm, String> {
        let compression = self.compression.unwrap_or(Compression::Gzip);
        let recipe = Recipe::new(compression, self.level).map_err(|error| error.to_string())?;
        Ok(if self.force { LayerForm::All(recipe) } else { LayerForm::Compressed(recipe) })
    }
}

impl OutputFlag {
    /// The image in the store.
    pub(super) fn image(push: bool) -> Self {
        Self::new(Kind::Image(Pushing { wanted: push, ..Pushing::default() }))
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            names: Vec::new(),
            annotations: Vec::new(),
            compressing: Compressing::default(),
            rewrite_times: false,
        }
    }

    pub(super) fn own_names(&self) -> &[Reference] {
        &self.names
    }

    pub(crate) fn annotations(&self) -> &[Annotation] {
        &self.annotations
    }
}

impl FromStr for OutputFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::new(Kind::Files { dest: "-".into(), tar: true, split: true }));
        }
        if !text.contains('=') {
            return Ok(Self::new(Kind::Files { dest: text.into(), tar: false, split: true }));
        }
        let mut attributes = Attributes::default();
        for field in fields(text)? {
            attributes.take(&field)?;
        }
        attributes.output()
    }
}

/// The fields of a line of CSV: one that has commas stands in quotes, which are doubled inside.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            char => field.push(char),
        }
    }
    if quoted {
        return Err("a quotation mark is missing".to_owned());
    }
    fields.push(field);
    Ok(fields)
}

/// What an output says of itself.
#[derive(Default)]
struct Attributes {
    kind: Option<String>,
    dest: Option<PathBuf>,
    names: Vec<Reference>,
    annotations: Vec<Annotation>,
    compressing: Compressing,
    push: Option<bool>,
    insecure: bool,
    by_digest: bool,
    tar: Option<bool>,
    split: Option<bool>,
    rewrite_times: bool,
}

impl Attributes {
    fn take(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = field.split_once('=').ok_or(format!("{field}: expected KEY=VALUE"))?;
        match key.trim().to_lowercase().as_str() {
            "type" => self.kind = Some(value.to_owned()),
            "dest" => self.dest = Some(value.into()),
            "name" => {
                for name in value.split(',').filter(|name| !name.is_empty()) {
                    let parsed = name.parse::<Reference>();
                    self.names.push(parsed.map_err(|error| format!("{name}: {error}"))?);
                }
            }
            "push" => self.push = Some(boolean(key, value)?),
            "push-by-digest" => self.by_digest = boolean(key, value)?,
            "registry.insecure" => self.insecure = boolean(key, value)?,
            "compression" => self.compressing.compression = Some(compression(value)?),
            "compression-level" => {
                let level = value.parse().map_err(|_| format!("{value} is no level"))?;
                self.compressing.level = Some(level);
            }
            "force-compression" => self.compressing.force = boolean(key, value)?,
            "tar" => self.tar = Some(boolean(key, value)?),
            "platform-split" => self.split = Some(boolean(key, value)?),
            "rewrite-timestamp" => self.rewrite_times = boolean(key, value)?,
            // Images are OCI's, and an image that has a name is found by that and its digest, too.
            "name-canonical" | "oci-mediatypes" | "store" | "unpack" => {
                needless(key, boolean(key, value)?)?;
            }
            _ => self.annotation(key, value)?,
        }
        Ok(())
    }

    /// `annotation.KEY`, `annotation-index.KEY`, `annotation-manifest[PLATFORM].KEY`
    fn annotation(&mut self, key: &str, value: &str) -> Result<(), String> {
        let unknown = || format!("unknown attribute {key}");
        let rest = key.strip_prefix("annotation").ok_or_else(unknown)?;
        let (word, name) = match rest.strip_prefix('-') {
            None => ("manifest", rest.strip_prefix('.').ok_or_else(unknown)?),
            // A platform may have a dot in it, a target has none.
            Some(rest) => match rest.find("].") {
                Some(end) => (&rest[..=end], &rest[end + 2..]),
                None => rest.split_once('.').ok_or_else(unknown)?,
            },
        };
        let (on, platform) = target(word)?;
        let (name, value) = (name.to_owned(), value.to_owned());
        self.annotations.push(Annotation { on, platform, name, value });
        Ok(())
    }

    fn output(self) -> Result<OutputFlag, String> {
        self.compressing.form()?;
        let kind = self.kind.as_deref().ok_or("expected type=TYPE")?;
        let kind = match kind {
            "image" | "registry" => {
                let wanted = self.push.unwrap_or(kind == "registry");
                let Self { insecure, by_digest, .. } = self;
                self.untagged()?;
                Kind::Image(Pushing { wanted, insecure, by_digest })
            }
            // In place of docker's own store there is ours.
            "docker" if self.dest.is_none() => Kind::Image(Pushing::default()),
            "docker" => self.archive(Format::Docker)?,
            "oci" => self.archive(Format::Oci)?,
            "tar" => self.files(true, self.dest.clone().unwrap_or_else(|| "-".into())),
            "local" => {
                let dest = self.dest.clone().filter(|dest| dest.as_os_str() != "-");
                self.files(false, dest.ok_or("type=local needs dest=DIR")?)
            }
            "cacheonly" => Kind::CacheOnly,
            other => {
                return Err(format!(
                    "unknown type {other}: known are oci, docker, tar, local, image, registry and cacheonly"
                ));
            }
        };
        let Self { names, annotations, compressing, rewrite_times, .. } = self;
        Ok(OutputFlag { kind, names, annotations, compressing, rewrite_times })
    }

    /// What goes without a tag cannot have asked for one.
    fn untagged(&self) -> Result<(), String> {
        let has_tag = |name: &&Reference| name.tag().is_some_and(|tag| tag != "latest");
        match self.names.iter().find(has_tag).filter(|_| self.by_digest) {
            Some(name) => Err(format!("{} has a tag, and push-by-digest=true", name.familiar())),
            None => Ok(()),
        }
    }

    fn archive(&self, format: Format) -> Result<Kind, String> {
        let (dest, tar) =
            (self.dest.clone().unwrap_or_else(|| "-".into()), self.tar.unwrap_or(true));
        match tar || dest.as_os_str() != "-" {
            true => Ok(Kind::Archive(ImageFile { format, dest, tar })),
            false => Err("tar=false needs dest=DIR".to_owned()),
        }
    }

    fn files(&self, tar: bool, dest: PathBuf) -> Kind {
        Kind::Files { dest, tar, split: self.split.unwrap_or(true) }
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    let truth = if value.is_empty() { Some(true) } else { dockerfile::truth(value) };
    truth.ok_or_else(|| format!("{key}={value} is neither true nor false"))
}

/// Attributes that ask for what is done in any case, or for what has no meaning here.
fn needless(key: &str, value: bool) -> Result<(), String> {
    match (key, value) {
        ("oci-mediatypes", false) => {
            Err("oci-mediatypes=false is not supported: images are OCI's".to_owned())
        }
        ("store", false) => {
            Err("store=false is not supported: what is pushed is in the store".to_owned())
        }
        _ => Ok(()),
    }
}

fn compression(name: &str) -> Result<Compression, String> {
    match name {
        "uncompressed" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(format!("unknown compression {name}: known are gzip, zstd and uncompressed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        text.parse::<OutputFlag>().unwrap().kind
    }

    #[test]
    fn buildx_words() {
        let image =
            |wanted, insecure, by_digest| Kind::Image(Pushing { wanted, insecure, by_digest });
        let files = |dest: &str, tar| Kind::Files { dest: dest.into(), tar, split: true };
        let archive =
            |format, dest: &str, tar| Kind::Archive(ImageFile { format, dest: dest.into(), tar });
        for (text, want) in [
            ("out", files("out", false)),
            ("-", files("-", true)),
            ("type=local,dest=a/b", files("a/b", false)),
            ("type=tar", files("-", true)),
            ("type=tar,dest=x.tar", files("x.tar", true)),
            ("type=oci,dest=x.tar", archive(Format::Oci, "x.tar", true)),
            ("type=oci", archive(Format::Oci, "-", true)),
            ("type=docker,dest=d,tar=false", archive(Format::Docker, "d", false)),
            ("type=docker", image(false, false, false)),
            ("type=image,push=true", image(true, false, false)),
            (
                "type=image,push-by-digest=true,name-canonical=true,push=true,name=a.io/b",
                image(true, false, true),
            ),
            ("type=registry,registry.insecure=1", image(true, true, false)),
            ("type=cacheonly", Kind::CacheOnly),
        ] {
            assert_eq!(kind(text), want, "{text}");
        }
    }

    #[test]
    fn names_may_be_several_in_quotes() {
        let output: OutputFlag =
            "type=image,\"name=a:1,b:2\",annotation-manifest[linux/arm64].x.y=z,compression=zstd,compression-level=9"
                .parse()
                .unwrap();
        let names: Vec<_> = output.own_names().iter().map(Reference::familiar).collect();
        assert_eq!(names, ["a:1", "b:2"]);
        assert_eq!(output.annotations()[0].name, "x.y");
        assert_eq!(output.annotations()[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
        let recipe = Recipe::new(Compression::Zstd, Some(9)).unwrap();
        assert_eq!(output.compressing.form(), Ok(LayerForm::Compressed(recipe)));
    }

    #[test]
    fn what_is_unknown_or_makes_no_sense_is_refused() {
        for (text, want) in [
            ("type=odd", "unknown type odd"),
            ("dest=x", "expected type="),
            ("type=local", "needs dest=DIR"),
            ("type=oci,tar=false", "needs dest=DIR"),
            ("type=oci,what=1", "unknown attribute what"),
            ("type=oci,compression=estargz", "unknown compression estargz"),
            ("type=oci,compression=gzip,compression-level=22", "gzip has the compression levels"),
            ("type=image,push-by-digest=1,name=a.io/b:1", "a.io/b:1 has a tag"),
            ("type=image,push=maybe", "neither true nor false"),
            ("type=image,oci-mediatypes=false", "images are OCI's"),
            ("type=oci,\"name=a", "quotation mark"),
            ("type=oci,annotation-layer.x=y", "layer cannot have annotations"),
            ("type=oci,name=A", "A: "),
        ] {
            let error = text.parse::<OutputFlag>().unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
