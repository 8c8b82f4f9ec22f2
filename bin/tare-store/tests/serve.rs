//! The store as a registry: for skopeo, podman, curl and ourselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use support::{World, sh};

/// `tare-store serve` on any port, interrupted with its guard.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(world: &World, flags: &[&str]) -> Self {
        let words = [&["serve", "-q", "--listen", "127.0.0.1:0"], flags].concat();
        let mut child = world.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim_end().to_owned() }
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// Ends it as Ctrl-C does; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of a request by curl.
fn status(world: &World, words: &str) -> String {
    sh(world, &format!("curl -s -o body -w '%{{http_code}}' {words}"))
}

#[test]
fn others_pull_what_is_in_the_store() {
    let world = World::with_image();
    let serving = Serving::start(&world, &[]);
    let name = serving.name("box:latest");
    let raw = world.run(&["inspect", "--raw", "box"]).out;
    let seen = sh(&world, &format!("skopeo inspect --raw --tls-verify=false docker://{name}"));
    assert_eq!(seen, raw.trim_end());
    sh(
        &world,
        &format!(
            "skopeo copy -q --src-tls-verify=false docker://{name} dir:whole
             podman --root podman/root --runroot podman/run --storage-driver vfs pull -q --tls-verify=false {name}"
        ),
    );
    assert_eq!(world.ok(&["list-tags", &serving.name("box")]), "latest");
    let other = World::new();
    let pulled = other.ok(&["pull", "-q", &name]);
    assert_eq!(pulled, image::Digest::of(&raw).to_string());
    assert_eq!(serving.interrupt(), Some(0));
}

#[test]
fn others_push_into_the_store() {
    let (world, source) = (World::new(), World::with_image());
    let serving = Serving::start(&world, &[]);
    sh(
        &source,
        &format!(
            "skopeo copy -q --dest-tls-verify=false oci:store:docker.io/library/box:latest docker://{}",
            serving.name("team/box:1")
        ),
    );
    let digest = source.ok(&["push", "-q", "box", &serving.name("mine:2")]);
    // Pushed again, nothing is sent; and it is mounted, not sent, into another repository.
    assert_eq!(source.ok(&["push", "-q", "box", &serving.name("other/mine:2")]), digest);
    let listed = world.ok(&["ls"]);
    for name in ["team/box", "mine", "other/mine"] {
        assert!(listed.contains(name), "{listed}");
    }
    let files = sh(
        &world,
        &format!(
            "{} --store store export -q mine:2 | tar -xOf - etc/motd",
            env!("CARGO_BIN_EXE_tare-store")
        ),
    );
    assert_eq!(files, "welcome");
    assert_eq!(world.ok(&["delete", &serving.name("mine:2")]), digest);
    let listed = world.ok(&["ls"]);
    assert!(!listed.lines().any(|line| line.starts_with("mine ")), "{listed}");
    assert!(listed.contains("other/mine"), "{listed}");
}

#[test]
fn parts_ranges_and_uploads() {
    let world = World::new();
    let serving = Serving::start(&world, &[]);
    let base = format!("http://{}/v2/a", serving.address);
    let digest = image::Digest::of("0123456789");
    let script = format!(
        "place=http://{}$(curl -s -i -X POST {base}/blobs/uploads/ | tr -d '\\r' | sed -n 's/^Location: //p')
         curl -s -o /dev/null -w '%{{http_code}} ' -X PATCH -H 'Content-Range: 0-4' --data-binary 01234 $place
         curl -s -o /dev/null -w '%{{http_code}} ' -X PATCH -H 'Content-Range: 7-8' --data-binary 78 $place
         curl -s -i $place | tr -d '\\r' | grep ^Range:
         curl -s -o /dev/null -w '%{{http_code}} ' -X PATCH --data-binary 56789 $place
         curl -s -o /dev/null -w '%{{http_code}}' -X PUT \"$place?digest={digest}\"",
        serving.address
    );
    assert_eq!(sh(&world, &script), "202 416 Range: 0-4\n202 201");
    let blob = format!("{base}/blobs/{digest}");
    assert_eq!(
        sh(&world, &format!("curl -s {blob}; curl -s -r 2-4 {blob}; curl -s -r -2 {blob}")),
        "012345678923489"
    );
    assert_eq!(status(&world, &format!("-r 2-4 {blob}")), "206");
    assert_eq!(status(&world, &format!("-r 10- {blob}")), "416");
    assert!(sh(&world, &format!("curl -sI {blob} | tr -d '\\r'")).contains("Content-Length: 10"));
    let whole = format!("-X POST --data-binary 0123456789 '{base}/blobs/uploads/?digest={digest}'");
    assert_eq!(status(&world, &whole), "201");
    let wrong = image::Digest::of("x");
    let whole = format!("-X POST --data-binary 0123456789 '{base}/blobs/uploads/?digest={wrong}'");
    assert_eq!(status(&world, &whole), "400");
    assert!(sh(&world, "cat body").contains("DIGEST_INVALID"));
    assert_eq!(
        status(&world, &format!("-X PUT '{base}/blobs/uploads/none?digest={digest}'")),
        "404"
    );
    let left = std::fs::read_dir(world.path("store/tare/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn bad_requests_are_refused_in_the_apis_words() {
    let world = World::with_image();
    let serving = Serving::start(&world, &[]);
    let base = format!("http://{}/v2", serving.address);
    let absent = image::Digest::of("absent");
    let manifest = world.json(&["inspect", "--manifest", "box"]);
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    for (words, code, text) in [
        (format!("{base}/box/manifests/none"), "404", "MANIFEST_UNKNOWN"),
        (format!("{base}/none/tags/list"), "404", "NAME_UNKNOWN"),
        (format!("{base}/box/blobs/{absent}"), "404", "BLOB_UNKNOWN"),
        (format!("--path-as-is {base}/../../etc/tags/list"), "400", "NAME_INVALID"),
        (format!("{base}/box/blobs/sha256:../../../etc"), "404", "UNSUPPORTED"),
        (format!("-X PUT -d '{{' {base}/box/manifests/1"), "400", "MANIFEST_INVALID"),
        (format!("-X DELETE {base}/box/blobs/{absent}"), "404", "BLOB_UNKNOWN"),
        (format!("-X DELETE {base}/box/blobs/{layer}"), "405", "UNSUPPORTED"),
        (format!("-X DELETE {base}/box/manifests/none"), "404", "MANIFEST_UNKNOWN"),
        (
            format!(
                "-X PUT -d '{{\"schemaVersion\":2,\"config\":{{\"mediaType\":\"a/b\",\"digest\":\"{absent}\",\"size\":1}},\"layers\":[]}}' {base}/box/manifests/1"
            ),
            "400",
            "MANIFEST_BLOB_UNKNOWN",
        ),
    ] {
        let words = words
            .replace("-d ", "-H 'Content-Type: application/vnd.oci.image.manifest.v1+json' -d ");
        assert_eq!(status(&world, &words), code, "{words}");
        assert!(sh(&world, "cat body").contains(text), "{words}: {}", sh(&world, "cat body"));
    }
    assert_eq!(sh(&world, &format!("curl -s {base}/_catalog")), r#"{"repositories":["box"]}"#);
}

#[test]
fn a_server_that_only_gives_takes_nothing() {
    let world = World::with_image();
    let serving = Serving::start(&world, &["--read-only"]);
    let refused = world.run(&["push", "-q", "box", &serving.name("new:1")]);
    assert!(refused.err.contains("started with --read-only"), "{}", refused.err);
    let taken = world.run(&["serve", "--listen", &serving.address]);
    assert!(taken.err.contains("cannot listen on 127.0.0.1:"), "{}", taken.err);
    assert_eq!(taken.code, 1);
}

#[test]
fn artifacts_are_found_by_what_they_are_about() {
    let world = World::with_image();
    let serving = Serving::start(&world, &[]);
    let base = format!("http://{}/v2/box", serving.address);
    let about = image::Digest::of(world.run(&["inspect", "--raw", "box"]).out);
    let empty = image::Digest::of("{}");
    let artifact = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a/b","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{empty}","size":2}},"layers":[],"subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{about}","size":1}}}}"#
    );
    let digest = image::Digest::of(&artifact);
    std::fs::write(world.path("artifact"), &artifact).unwrap();
    assert_eq!(
        status(
            &world,
            &format!("-X POST --data-binary '{{}}' '{base}/blobs/uploads/?digest={empty}'")
        ),
        "201"
    );
    let put = format!(
        "-X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary @artifact {base}/manifests/{digest}"
    );
    assert_eq!(status(&world, &put), "201");
    let listed = world.ok(&["referrers", &serving.name("box:latest")]);
    assert!(listed.contains(&digest.to_string()) && listed.contains("a/b"), "{listed}");
    let none = world.ok(&["referrers", "--artifact-type", "c/d", &serving.name("box:latest")]);
    assert!(!none.contains("sha256:"), "{none}");
    // gc keeps it, though it has no name.
    drop(serving);
    assert_eq!(world.run(&["gc"]).code, 0);
    assert!(world.path("store/blobs/sha256").join(digest.hex()).exists());
}

/// A server's certificate for 127.0.0.1 and its key, and the logins of one user, in the world's directory.
fn make_identity(world: &World) {
    std::fs::write(
        world.path("logins"),
        "tester:$2b$04$oKt8uQ.bWD2nOzuFJnmWq./jH8E2Eocfff7r.xDsclpOTdu9FtAGC\n",
    )
    .unwrap();
    sh(
        world,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj '/CN=Test authority' -keyout ca.key -out ca.pem 2>/dev/null
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -subj /CN=127.0.0.1 -keyout server.key -out server.csr 2>/dev/null
         printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > server.ext
         openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile server.ext -out server.pem 2>/dev/null",
    );
}

#[test]
fn over_tls_to_who_has_a_login() {
    let world = World::with_image();
    make_identity(&world);
    let file = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let (certificate, key, logins) = (file("server.pem"), file("server.key"), file("logins"));
    let serving = Serving::start(
        &world,
        &["--tls-cert", &certificate, "--tls-key", &key, "--htpasswd", &logins],
    );
    let base = format!("https://{}/v2/", serving.address);
    assert_eq!(status(&world, &format!("--cacert ca.pem {base}")), "401");
    assert!(sh(&world, "cat body").contains("UNAUTHORIZED"));
    assert_eq!(status(&world, &format!("--cacert ca.pem -u tester:hunter2 {base}")), "200");
    assert_eq!(status(&world, &format!("--cacert ca.pem -u tester:hunter3 {base}")), "401");
    assert_eq!(status(&world, &format!("http://{}/v2/", serving.address)), "400");
    assert!(sh(&world, "cat body").contains("this server speaks TLS"));

    // Ourselves, with the authority where podman looks for it, and a login.
    let certs_d = world.path(&format!(".config/containers/certs.d/{}", serving.address));
    std::fs::create_dir_all(&certs_d).unwrap();
    std::fs::copy(world.path("ca.pem"), certs_d.join("ca.crt")).unwrap();
    let name = serving.name("copy:1");
    sh(
        &world,
        &format!(
            "export HOME=$PWD XDG_RUNTIME_DIR=$PWD/run
             ! tare-store push -q box {name} 2>refused
             printf hunter2 | tare-store login -u tester --password-stdin {address} 2>/dev/null
             tare-store push -q box {name} && tare-store pull -q {name}
             skopeo copy -q --src-cert-dir {certs} --src-creds tester:hunter2 docker://{name} dir:copied",
            address = serving.address,
            certs = certs_d.display(),
        ),
    );
    assert!(sh(&world, "cat refused").contains("asks for a login"));
    assert!(world.path("copied/manifest.json").exists());
    assert_eq!(serving.interrupt(), Some(0));
}

#[test]
fn what_a_server_cannot_be_made_of_is_named() {
    let world = World::new();
    make_identity(&world);
    let serve = |flags: &[&str]| {
        let words = [&["serve", "-q", "--listen", "127.0.0.1:0"], flags].concat();
        let mut command = world.command(&words);
        support::said(command.current_dir(world.path("")).output().unwrap())
    };
    for (flags, want) in [
        (&["--tls-cert", "server.pem"][..], "--tls-key"),
        (&["--tls-cert", "server.pem", "--tls-key", "ca.key"], "certificate in server.pem"),
        (&["--tls-cert", "none.pem", "--tls-key", "server.key"], "none.pem"),
        (&["--tls-cert", "server.pem", "--tls-key", "server.ext"], "no private key"),
        (&["--htpasswd", "server.ext"], "line 1 is not USER:HASH"),
        (&["--htpasswd", "none"], "cannot use the logins in none"),
    ] {
        let said = serve(flags);
        assert!(said.code != 0 && said.err.contains(want), "{flags:?}: {}", said.err);
    }
}
