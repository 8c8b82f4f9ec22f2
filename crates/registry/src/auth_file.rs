//! Putting a login into the file where docker, podman and this program look for it, and taking it out.
//!
//! The file is rewritten as a whole, readable by its owner alone; what else is in it stays. It is
//! complete or as it was.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::credentials::{CredentialsError, parse, plain_key};

/// Puts a login for a registry into the file, in place of the one that it had.
///
/// # Errors
/// The file cannot be read, understood or written; or it leaves the registry's logins to a helper.
pub fn save_login(
    path: &Path,
    registry: &str,
    user: &str,
    password: &str,
) -> Result<(), CredentialsError> {
    let mut file = read(path)?;
    let helper = file.get("credHelpers").and_then(|helpers| helpers.get(registry));
    if let Some(helper) = helper.and_then(Value::as_str).filter(|helper| !helper.is_empty()) {
        let (registry, helper) = (registry.to_owned(), helper.to_owned());
        return Err(CredentialsError::Helper { registry, helper, path: path.to_owned() });
    }
    let auths = file.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    if !auths.is_object() {
        *auths = Value::Object(Map::new());
    }
    let auth = STANDARD.encode(format!("{user}:{password}"));
    auths[registry] = json!({ "auth": auth });
    write(path, &file)
}

/// Takes the login for a registry out of the file, or all of them; `false` where it had none.
///
/// # Errors
/// As [`save_login`].
pub fn remove_login(path: &Path, registry: Option<&str>) -> Result<bool, CredentialsError> {
    let mut file = read(path)?;
    let Some(auths) = file.get_mut("auths").and_then(Value::as_object_mut) else {
        return Ok(false);
    };
    let before = auths.len();
    auths.retain(|key, _| registry.is_some_and(|registry| !is_of(key, registry)));
    if auths.len() == before {
        return Ok(false);
    }
    write(path, &file).map(|()| true)
}

/// Whether a key of the file is of this registry itself, not of one of its repositories.
fn is_of(key: &str, registry: &str) -> bool {
    let plain = plain_key(key);
    plain == registry || (registry == "docker.io" && plain == "index.docker.io")
}

fn read(path: &Path) -> Result<Map<String, Value>, CredentialsError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Map::new());
        }
        Err(source) => return Err(CredentialsError::Read { path: path.to_owned(), source }),
    };
    // What would not be understood afterwards is not touched.
    parse(&text, path)?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

fn write(path: &Path, file: &Map<String, Value>) -> Result<(), CredentialsError> {
    let failed = |source| CredentialsError::Write { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(file).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    // Where the name is a link, what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let temporary = temporary(&path);
    let written = private(&temporary)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| {
        // It must not stay: it has a password in it.
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::Credentials;

    #[test]
    fn a_login_is_kept_and_forgotten_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("containers/auth.json");
        save_login(&path, "a.io", "user", "p:w").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let with = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"b.io/x":{"auth":"dTpw"}},"other":1}"#;
        fs::write(&path, with).unwrap();
        save_login(&path, "a.io", "user", "p:w").unwrap();
        let known = Credentials::read([&path]).unwrap();
        assert!(known.secret("a.io", "x").unwrap().is_some());
        assert!(known.secret("docker.io", "x").unwrap().is_some());
        assert!(fs::read_to_string(&path).unwrap().contains("\"other\": 1"));

        assert!(remove_login(&path, Some("docker.io")).unwrap());
        assert!(!remove_login(&path, Some("b.io")).unwrap());
        assert!(remove_login(&path, Some("a.io")).unwrap());
        let known = Credentials::read([&path]).unwrap();
        assert!(known.secret("a.io", "x").unwrap().is_none());
        assert!(known.secret("b.io", "x").unwrap().is_some());
        assert!(remove_login(&path, None).unwrap());
        assert!(!remove_login(&directory.path().join("none"), None).unwrap());
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1);
    }

    #[test]
    fn what_is_damaged_or_left_to_a_helper_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        for text in ["{", r#"{"credHelpers":{"a.io":"pass"}}"#] {
            fs::write(&path, text).unwrap();
            let error = save_login(&path, "a.io", "user", "hunter2").unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
