//! Names of images in archives, which each tool writes its own way.

use std::collections::HashMap;

use image::Reference;
use image::manifest::REF_NAME;

/// The full name, as containerd and docker write it.
pub(crate) const CONTAINERD: &str = "io.containerd.image.name";

/// The name that an entry of an index gives its image; `None` where it is no full name. A bare word
/// says nothing of a repository: it is a tag of one that the archive does not name.
pub(crate) fn of_entry(annotations: &HashMap<String, String>) -> Option<Reference> {
    let containerd = annotations.get(CONTAINERD).and_then(|name| name.parse().ok());
    let full = |name: &&String| name.contains(['/', ':']);
    containerd.or_else(|| annotations.get(REF_NAME).filter(full)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_tools_write_them() {
        let name = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            of_entry(&pairs.collect()).map(|name| name.familiar())
        };
        for (pairs, want) in [
            // docker save, buildx.
            (&[(CONTAINERD, "docker.io/library/app:1"), (REF_NAME, "1")][..], Some("app:1")),
            // podman save.
            (&[(REF_NAME, "localhost/app:latest")], Some("localhost/app:latest")),
            // skopeo copy … oci-archive:FILE:app:2, and without a name.
            (&[(REF_NAME, "app:2")], Some("app:2")),
            (&[(REF_NAME, "latest")], None),
            (&[(REF_NAME, "Not/A Name")], None),
            (&[], None),
        ] {
            assert_eq!(name(pairs).as_deref(), want, "{pairs:?}");
        }
    }
}
