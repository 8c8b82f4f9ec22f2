//! Paths of a Dockerfile made absolute, by their text alone.

/// `path` from the working directory, without `.` and `..`; `/` at least.
pub(super) fn absolute(working_dir: &str, path: &str) -> String {
    let joined = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{working_dir}/{path}"),
    };
    let mut clean: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    format!("/{}", clean.join("/"))
}

/// As [`absolute`], and what must be a directory ends with a slash: `x/`, `.`, `..`, nothing.
pub(super) fn destination(working_dir: &str, path: &str) -> String {
    let directory =
        matches!(path, "" | "." | "..") || ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let absolute = absolute(working_dir, path);
    if directory && absolute != "/" { absolute + "/" } else { absolute }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_joins() {
        for (working_dir, path, want) in [
            ("", "", "/"),
            ("/app", "", "/app"),
            ("/app", "x/../y", "/app/y"),
            ("/app", "/x/", "/x"),
            ("/app", "../../..", "/"),
        ] {
            assert_eq!(absolute(working_dir, path), want, "{working_dir} {path}");
        }
        for (working_dir, path, want) in [
            ("/app", ".", "/app/"),
            ("/app", "./", "/app/"),
            ("/app", "x", "/app/x"),
            ("/app", "x/", "/app/x/"),
            ("/app", "..", "/"),
            ("", "/", "/"),
        ] {
            assert_eq!(destination(working_dir, path), want, "{working_dir} {path}");
        }
    }
}
