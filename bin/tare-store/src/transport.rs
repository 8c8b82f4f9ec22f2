//! Where images are, in skopeo's words (containers-transports(5)).

use std::path::PathBuf;
use std::str::FromStr;

use image::Reference;

/// A place that has an image, or gets one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `docker://NAME`
    Registry(Reference),
    /// `oci:DIR[:NAME]`
    Layout(PathBuf, Option<String>),
    /// `oci-archive:FILE[:NAME]`
    OciArchive(PathBuf, Option<String>),
    /// `docker-archive:FILE[:NAME]`
    DockerArchive(PathBuf, Option<String>),
    /// `dir:DIR`
    Directory(PathBuf),
    /// Without any word in front: in the store.
    Store(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let file = |rest: &str| {
            let (path, name) = match rest.split_once(':') {
                Some((path, name)) => (path, Some(name.to_owned())),
                None => (rest, None),
            };
            match path.is_empty() {
                true => Err(format!("{text} names no file")),
                false => Ok((PathBuf::from(path), name.filter(|name| !name.is_empty()))),
            }
        };
        if let Some(name) = text.strip_prefix("docker://") {
            return name
                .parse()
                .map(Self::Registry)
                .map_err(|it: image::ReferenceError| it.to_string());
        }
        match text.split_once(':') {
            Some(("oci", rest)) => file(rest).map(|(path, name)| Self::Layout(path, name)),
            Some(("oci-archive", rest)) => {
                file(rest).map(|(path, name)| Self::OciArchive(path, name))
            }
            Some(("docker-archive", rest)) => {
                file(rest).map(|(path, name)| Self::DockerArchive(path, name))
            }
            Some(("dir", rest)) if !rest.is_empty() => Ok(Self::Directory(rest.into())),
            Some((
                other @ ("containers-storage" | "docker-daemon" | "ostree" | "sif" | "tarball"),
                _,
            )) => Err(format!(
                "{other}: is not supported; save the image with its own tool, and load it with: tare-store load"
            )),
            _ => Ok(Self::Store(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        let name = |text: &str| Some(text.to_owned());
        for (text, want) in [
            ("docker://a/b:1", Place::Registry("a/b:1".parse().unwrap())),
            ("oci:dir/x:a:1", Place::Layout("dir/x".into(), name("a:1"))),
            ("oci:/x", Place::Layout("/x".into(), None)),
            ("oci-archive:x.tar:", Place::OciArchive("x.tar".into(), None)),
            ("docker-archive:x.tar:a:1", Place::DockerArchive("x.tar".into(), name("a:1"))),
            ("dir:x:y", Place::Directory("x:y".into())),
            ("app:1", Place::Store("app:1".to_owned())),
            ("host:5000/app", Place::Store("host:5000/app".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in ["docker://A", "oci:", "containers-storage:x", "docker-daemon:x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
