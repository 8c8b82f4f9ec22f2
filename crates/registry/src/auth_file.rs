//! Putting a login into the file where docker, podman and this program look for it, and taking it out.
//!
//! The file is rewritten as a whole, readable by its owner alone; what else is in it stays. It is
//! complete or as it was.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::credentials::{CredentialsError, parse, plain_key};
use crate::files::read_optional;
use crate::helper;

/// Who keeps a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// The file.
    File,
    /// A helper program, which the file names: `docker-credential-` and this.
    Helper(String),
}

/// Puts a login for a registry into the file, in place of the one that it had; or has the helper keep it
/// to which the file leaves this registry's logins.
///
/// # Errors
/// The file cannot be read, understood or written; the helper fails.
pub fn save_login(
    path: &Path,
    registry: &str,
    user: &str,
    password: &str,
) -> Result<Keeper, CredentialsError> {
    let mut file = read(path)?;
    let helper = helper_of(&file, registry);
    let login = match &helper {
        // Docker leaves an empty entry, too, so that its list of logins is whole.
        Some(name) => {
            helper::store(name, helper::server(registry), user, password)?;
            json!({})
        }
        None => json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }),
    };
    let auths = file.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    if !auths.is_object() {
        *auths = Value::Object(Map::new());
    }
    auths[registry] = login;
    write(path, &file)?;
    Ok(helper.map_or(Keeper::File, Keeper::Helper))
}

/// Takes the login for a registry out of the file and away from its helper, or all that the file tells of;
/// `false` where there was none.
///
/// # Errors
/// As [`save_login`].
pub fn remove_login(path: &Path, registry: Option<&str>) -> Result<bool, CredentialsError> {
    let mut file = read(path)?;
    let mut gone = false;
    for registry in registry.map_or_else(|| named(&file), |it| vec![it.to_owned()]) {
        if let Some(name) = helper_of(&file, &registry) {
            gone |= helper::erase(&name, helper::server(&registry))?;
        }
    }
    let Some(auths) = file.get_mut("auths").and_then(Value::as_object_mut) else {
        return Ok(gone);
    };
    let before = auths.len();
    auths.retain(|key, _| registry.is_some_and(|registry| !is_of(key, registry)));
    if auths.len() == before {
        return Ok(gone);
    }
    write(path, &file).map(|()| true)
}

/// The helper to which a file leaves this registry's logins.
fn helper_of(file: &Map<String, Value>, registry: &str) -> Option<String> {
    let own = file.get("credHelpers").and_then(Value::as_object).into_iter().flatten();
    let own = own.filter(|(key, _)| is_of(key, registry)).map(|(_, name)| name);
    let mut names = own.chain(file.get("credsStore")).filter_map(Value::as_str);
    names.find(|name| !name.is_empty()).map(str::to_owned)
}

/// The registries that a file names.
fn named(file: &Map<String, Value>) -> Vec<String> {
    let keys = ["auths", "credHelpers"].into_iter().filter_map(|name| file.get(name)?.as_object());
    keys.flat_map(|entries| entries.keys()).map(|key| plain_key(key)).collect()
}

/// Whether a key of the file is of this registry itself, not of one of its repositories.
fn is_of(key: &str, registry: &str) -> bool {
    let plain = plain_key(key);
    plain == registry || (registry == "docker.io" && plain == "index.docker.io")
}

fn read(path: &Path) -> Result<Map<String, Value>, CredentialsError> {
    let unreadable = |source| CredentialsError::Read { path: path.to_owned(), source };
    let Some(text) = read_optional(path).map_err(unreadable)? else { return Ok(Map::new()) };
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
