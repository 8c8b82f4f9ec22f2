//! Logins: passwords at docker-registry, tokens at a token server of our own.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry::{Credentials, Options};
use tempfile::TempDir;

use crate::docker_registry::{PASSWORD, Registry, Setup};
use crate::fixture::{Layout, options, pull, text};
use crate::liar::{Image, Liar, Request, reply};

/// base64 of `tester:hunter2`, and of `tester:wrong`.
const RIGHT: &str = "dGVzdGVyOmh1bnRlcjI=";
const WRONG: &str = "dGVzdGVyOndyb25n";

/// Options with the credentials in this file, for the registry at `port`.
fn logged_in(port: u16, auth: &str) -> Options {
    let (_directory, path) = auth_file(&format!(r#"{{"auths":{{"127.0.0.1:{port}":{auth}}}}}"#));
    Options { credentials: Credentials::read([path]).unwrap(), ..options() }
}

fn auth_file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auth.json");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn a_password_opens_docker_registry_and_a_wrong_one_does_not() {
    let registry = Registry::start(Setup { login: true, ..Setup::default() });
    let (source, image) = Layout::with_image("linux/amd64", &[5000]);
    registry.push(source.path(), "private/app:1", &[]);
    let name = registry.name("private/app:1");

    let store = Layout::new();
    let right = logged_in(registry.port, &format!(r#"{{"auth":"{RIGHT}"}}"#));
    let pulled = pull(&store, &name, &right).unwrap();
    assert_eq!(pulled.manifest.digest(), image.digest());
    store.check(1);

    let store = Layout::new();
    let error = pull(&store, &name, &options()).unwrap_err();
    assert!(text(&error).contains("asks for a login"), "{}", text(&error));
    assert!(error.hint().unwrap().contains("tare-store login 127.0.0.1"), "{:?}", error.hint());

    let wrong = logged_in(registry.port, &format!(r#"{{"auth":"{WRONG}"}}"#));
    let error = pull(&store, &name, &wrong).unwrap_err();
    let text = text(&error);
    assert!(text.contains("the login as tester is refused"), "{text}");
    assert!(!text.contains(WRONG) && !text.contains(PASSWORD), "{text}");
    store.check(0);
}

#[test]
fn a_helper_that_keeps_the_secret_is_named() {
    let registry = Registry::start(Setup { login: true, ..Setup::default() });
    let (_directory, path) =
        auth_file(&format!(r#"{{"credHelpers":{{"127.0.0.1:{}":"no-such"}}}}"#, registry.port));
    let helped = Options { credentials: Credentials::read([path]).unwrap(), ..options() };
    let error = text(&pull(&Layout::new(), &registry.name("a"), &helped).unwrap_err());
    assert!(error.contains("docker-credential-no-such"), "{error}");
}

/// A registry that wants a token, and its token server, which gives `token-1`, `token-2`, … to whom
/// `knows` says. Tokens before `valid` are refused.
fn token_registry(
    valid: usize,
    knows: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> (Liar, Image) {
    let (image, given) = (Image::new(1000), AtomicUsize::new(0));
    let liar = Liar::serving(image.clone(), move |request, stream| {
        if request.path.starts_with("/token") {
            give_token(request, stream, &given, &knows);
            return true;
        }
        if !request.path.starts_with("/v2/a/") {
            return false;
        }
        let header = request.header("authorization").unwrap_or_default();
        let number = header.strip_prefix("Bearer token-").and_then(|n| n.parse().ok());
        let refused = number.is_none_or(|number: usize| number < valid);
        if refused {
            let host = request.header("host").unwrap();
            let challenge = format!(
                r#"Bearer realm="http://{host}/token?x=1",service="the registry",scope="repository:a:pull""#
            );
            let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#;
            reply(stream, "401 Unauthorized", &[("WWW-Authenticate", &challenge)], body);
        }
        refused
    });
    (liar, image)
}

fn give_token(
    request: &Request,
    stream: &mut TcpStream,
    given: &AtomicUsize,
    knows: &impl Fn(&Request) -> bool,
) {
    if !knows(request) {
        return reply(stream, "401 Unauthorized", &[], br#"{"details":"incorrect password"}"#);
    }
    let number = given.fetch_add(1, Ordering::SeqCst) + 1;
    let body = format!(r#"{{"token":"token-{number}","expires_in":60}}"#);
    reply(stream, "200 OK", &[("Content-Type", "application/json")], body.as_bytes());
}

#[test]
fn an_anonymous_token_is_fetched_once_and_used_throughout() {
    let (liar, image) = token_registry(1, |request| request.header("authorization").is_none());
    let store = Layout::new();
    let pulled = pull(&store, &liar.name("a:1"), &options()).unwrap();
    assert_eq!(pulled.manifest.digest().to_string(), Image::digest(&image.manifest));
    store.check(1);
    let asked: Vec<String> = {
        let requests = liar.requests.lock().unwrap();
        requests.iter().map(|r| r.path.clone()).filter(|path| path.starts_with("/token")).collect()
    };
    assert_eq!(asked.len(), 1, "{asked:?}");
    for part in ["x=1", "service=the", "scope=repository"] {
        assert!(asked[0].contains(part), "{asked:?}");
    }
}

#[test]
fn a_token_is_fetched_with_the_password() {
    let right = format!("Basic {RIGHT}");
    let (liar, _) =
        token_registry(1, move |request| request.header("authorization") == Some(&right));
    let login = logged_in(liar.port, &format!(r#"{{"auth":"{RIGHT}"}}"#));
    pull(&Layout::new(), &liar.name("a:1"), &login).unwrap();
    let login = logged_in(liar.port, &format!(r#"{{"auth":"{WRONG}"}}"#));
    let error = text(&pull(&Layout::new(), &liar.name("a:1"), &login).unwrap_err());
    assert!(error.contains("the login as tester is refused: incorrect password"), "{error}");
}

#[test]
fn an_identity_token_is_traded_for_an_access_token() {
    let (liar, _) = token_registry(1, |request| {
        let fields: Vec<&str> = request.body.split('&').collect();
        fields.contains(&"grant_type=refresh_token") && fields.contains(&"refresh_token=refresh")
    });
    let login = logged_in(liar.port, r#"{"identitytoken":"refresh"}"#);
    pull(&Layout::new(), &liar.name("a:1"), &login).unwrap();
}

#[test]
fn a_registry_token_is_used_as_it_is() {
    let (liar, _) = token_registry(7, |_| false);
    pull(
        &Layout::new(),
        &liar.name("a:1"),
        &logged_in(liar.port, r#"{"registrytoken":"token-7"}"#),
    )
    .unwrap();
    assert_eq!(liar.count("/token"), 0);
}

#[test]
fn tokens_that_are_never_good_enough_end_in_an_error() {
    let (liar, _) = token_registry(1000, |_| true);
    let store = Layout::new();
    let error = pull(&store, &liar.name("a:1"), &options()).unwrap_err();
    assert!(text(&error).contains("asks for a login: who are you"), "{}", text(&error));
    assert!(liar.count("/token") <= 2 && liar.count("/manifests/") <= 4);
    store.check(0);
}

#[test]
fn an_expired_token_is_replaced() {
    // The first token serves the manifest; the blobs want the next.
    let (image, given) = (Image::new(1000), AtomicUsize::new(0));
    let liar = Liar::serving(image, move |request, stream| {
        if request.path.starts_with("/token") {
            give_token(request, stream, &given, &|_: &Request| true);
            return true;
        }
        let wants =
            if request.path.contains("/blobs/") { "Bearer token-2" } else { "Bearer token-1" };
        let refused = request.path != "/v2/" && request.header("authorization") != Some(wants);
        if refused {
            let realm =
                format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
            reply(stream, "401 Unauthorized", &[("WWW-Authenticate", &realm)], b"");
        }
        refused
    });
    let store = Layout::new();
    pull(&store, &liar.name("a:1"), &options()).unwrap();
    assert_eq!(liar.count("/token"), 2);
    store.check(1);
}

#[test]
fn a_token_server_that_makes_no_sense_is_named() {
    for (challenge, answer, want) in [
        (r#"Bearer realm="http://HOST/token""#, "<html>", "not the JSON of a token"),
        (r#"Bearer realm="http://HOST/token""#, "{}", "there is no token"),
        (r#"Bearer realm="http://HOST/missing""#, "{}", "404 Not Found"),
        (r#"Bearer realm="ftp://HOST/token""#, "{}", "ftp://"),
        ("Negotiate", "{}", "not supported: \"Negotiate\""),
        ("", "{}", "names no way to log in"),
    ] {
        let liar = Liar::serving(Image::new(10), move |request, stream| {
            let host = request.header("host").unwrap();
            match request.path.as_str() {
                "/token?scope=repository%3Aa%3Apull" => {
                    reply(stream, "200 OK", &[], answer.as_bytes())
                }
                path if path.contains("/manifests/") => {
                    let header = challenge.replace("HOST", host);
                    reply(stream, "401 Unauthorized", &[("WWW-Authenticate", &header)], b"");
                }
                _ => return false,
            }
            true
        });
        let error = text(&pull(&Layout::new(), &liar.name("a:1"), &options()).unwrap_err());
        assert!(error.contains(want), "{challenge}: {error}");
    }
}

#[test]
fn no_password_follows_a_redirect_to_another_host() {
    let stranger = Liar::start(|_, stream| reply(stream, "404 Not Found", &[], b""));
    let port = stranger.port;
    let image = Image::new(1000);
    let served = image.clone();
    let liar = Liar::serving(image, move |request, stream| {
        if request.path == "/v2/" {
            return false;
        }
        if request.header("authorization").is_none() {
            reply(stream, "401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
            return true;
        }
        let lies = served.is_layer(request);
        if lies {
            let to = format!("http://localhost:{port}/elsewhere");
            reply(stream, "307 Temporary Redirect", &[("Location", &to)], b"");
        }
        lies
    });
    let login = logged_in(liar.port, &format!(r#"{{"auth":"{RIGHT}"}}"#));
    pull(&Layout::new(), &liar.name("a:1"), &login).unwrap_err();
    assert_eq!(stranger.headers("/elsewhere", "authorization"), [None]);
}
