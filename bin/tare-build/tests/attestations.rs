//! What is said of an image beside it: how it was built, what it consists of, and where that stands.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod server;

use std::fs;
use std::process::{Command, Stdio};

use machine::{BASE, Machine, Said, files_of};
use serde_json::{Value, json};
use server::{Page, Server};

const SLSA: &str = "https://slsa.dev/provenance/v1";
const SPDX: &str = "https://spdx.dev/Document";
const EPOCH: &str = "SOURCE_DATE_EPOCH=1000000000";

/// A layout or a store, read as anybody would.
struct Layout<'a>(&'a Machine, &'a str);

impl Layout<'_> {
    fn bytes(&self, digest: &str) -> Vec<u8> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        fs::read(self.0.path(self.1).join("blobs/sha256").join(hex)).unwrap()
    }

    fn json(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.bytes(digest)).unwrap()
    }

    /// The image's manifest, and what its attestation manifest has of a predicate.
    fn attested(&self, index: &str, predicate: &str) -> (String, Value) {
        let index = self.json(index);
        let [image, beside] = &index["manifests"].as_array().unwrap()[..] else {
            panic!("{index}")
        };
        let digest = text(&image["digest"]);
        assert_eq!(beside["platform"], json!({"os": "unknown", "architecture": "unknown"}));
        assert_eq!(
            beside["annotations"],
            json!({"vnd.docker.reference.type": "attestation-manifest",
                   "vnd.docker.reference.digest": digest})
        );
        let manifest = self.json(&text(&beside["digest"]));
        let layers = manifest["layers"].as_array().unwrap();
        let config = self.json(&text(&manifest["config"]["digest"]));
        let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        assert_eq!(json!(digests), config["rootfs"]["diff_ids"]);
        let wanted =
            |layer: &&Value| layer["annotations"]["in-toto.io/predicate-type"] == predicate;
        let layer = layers.iter().find(wanted).unwrap_or_else(|| panic!("{manifest}"));
        assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
        let statement = self.json(&text(&layer["digest"]));
        assert_eq!(statement["predicateType"], predicate);
        let hex = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
        assert_eq!(format!("sha256:{hex}"), digest, "it speaks of the image beside it");
        (digest, statement)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn machine() -> Machine {
    let machine = Machine::new();
    machine.file("f", "content\n");
    machine
}

#[test]
fn without_a_word_nothing_is_said() {
    let machine = machine();
    let dockerfile = format!("FROM {BASE}\nCOPY f /\n");
    let plain = machine.built(&dockerfile, &[]);
    assert!(machine.manifest(&plain)["layers"].is_array());
    let flags = ["--provenance=false", "--sbom=false", "--attest=type=sbom,disabled=true"];
    assert_eq!(machine.built(&dockerfile, &flags), plain);
}

#[test]
fn provenance_says_what_went_in_and_keeps_secrets() {
    let machine = machine();
    fs::write(machine.path("token"), "very secret").unwrap();
    let server = Server::start();
    server.put("/file", Page::of("from the web"));
    let url = format!("http://127.0.0.1:{}/file", server.port);
    let dockerfile = format!(
        "FROM {BASE} AS base\nARG WORD\nADD {url} /\n\
         RUN --mount=type=secret,id=token,required --network=none test -s /run/secrets/token\n\
         FROM base AS app\nCOPY f /\n"
    );
    let flags = ["-t", "me/app:1", "--build-arg", "WORD=said", "--label", "a=b", "--target", "app"];
    let more = ["--secret", "id=token,src=token", "--provenance=mode=max,builder-id=https://ci/1"];
    let index = machine.built(&dockerfile, &[&flags[..], &more].concat());
    let (image, statement) = Layout(&machine, "store").attested(&index, SLSA);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert!(
        text(&statement["subject"][0]["name"]).starts_with("pkg:docker/me/app@1?platform=linux%2F")
    );
    let definition = &statement["predicate"]["buildDefinition"];
    let request = &definition["externalParameters"]["request"];
    let args = json!({"build-arg:WORD": "said", "label:a": "b", "target": "app"});
    assert_eq!(request["args"], args);
    assert_eq!(request["secrets"], json!([{"id": "token"}]));
    assert_eq!(request["locals"], json!([{"name": "context"}, {"name": "dockerfile"}]));
    let used = definition["resolvedDependencies"].as_array().unwrap();
    assert!(text(&used[0]["uri"]).starts_with("pkg:docker/busybox@base?"));
    let digest = sha256("from the web");
    assert_eq!(used[1], json!({"uri": url, "digest": {"sha256": digest}}));
    let steps = definition["internalParameters"]["buildConfig"]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["instruction"], "COPY f /");
    let run = &statement["predicate"]["runDetails"];
    assert_eq!(run["builder"]["id"], "https://ci/1");
    assert_eq!(run["metadata"]["buildkit_hermetic"], true);
    let all = fs::read_dir(machine.path("store/blobs/sha256")).unwrap();
    let texts = all.map(|entry| fs::read(entry.unwrap().path()).unwrap());
    assert!(!texts.into_iter().any(|bytes| bytes.windows(11).any(|it| it == b"very secret")));
    // The image itself is what it is without.
    let plain = [&flags[..], &["--secret", "id=token,src=token"]].concat();
    assert_eq!(machine.built(&dockerfile, &plain), image);
}

fn sha256(of: &str) -> String {
    image::Digest::of(of).hex()
}

#[test]
fn the_lesser_mode_and_the_older_version() {
    let machine = machine();
    let dockerfile = format!("FROM {BASE}\nARG WORD\nRUN echo $WORD > /word\n");
    let flags = ["--build-arg", "WORD=unsaid", "--provenance=mode=min,version=v0.2"];
    let index = machine.built(&dockerfile, &flags);
    let layout = Layout(&machine, "store");
    let (_, statement) = layout.attested(&index, "https://slsa.dev/provenance/v0.2");
    assert!(!statement.to_string().contains("unsaid"), "{statement}");
    let predicate = &statement["predicate"];
    assert_eq!(predicate["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"], false);
    assert_eq!(predicate["metadata"]["completeness"]["parameters"], false);
    assert_eq!(predicate["invocation"]["configSource"]["entryPoint"], "Dockerfile");
}

#[test]
fn with_an_epoch_all_is_the_same_each_time() {
    let flags = ["-t", "app", "--sbom=true", "--provenance=true", "--build-arg", EPOCH];
    let dockerfile = "FROM scratch\nCOPY f /\nARG SOURCE_DATE_EPOCH\n";
    let build = |more: &[&str]| {
        let machine = machine();
        let index = machine.built(dockerfile, &flags);
        let again = machine.built(dockerfile, &[&flags[..], more].concat());
        let (_, statement) = Layout(&machine, "store").attested(&index, SLSA);
        let metadata = &statement["predicate"]["runDetails"]["metadata"];
        assert_eq!(metadata["startedOn"], "2001-09-09T01:46:40Z");
        assert_eq!(metadata["finishedOn"], metadata["startedOn"]);
        [index, again]
    };
    let [first, second] = build(&[]);
    assert_eq!(build(&[]), [first.clone(), second.clone()]);
    assert_eq!(second, first);
    // That it was not to be taken from the cache is said.
    assert_ne!(build(&["--no-cache"])[1], first);
}

#[test]
fn packages_are_found_where_managers_write_of_them() {
    let machine = machine();
    let status = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1+b1\n\
                  Maintainer: M <m@debian.org>\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
    machine.file("rootfs/var/lib/dpkg/status", status);
    machine.file("rootfs/usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    machine
        .file("rootfs/app/node_modules/left/package.json", r#"{"name":"left","version":"1.3.0"}"#);
    let python = "rootfs/usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA";
    machine.file(python, "Name: six\nVersion: 1.16.0\nLicense: MIT\n\nName: no\n");
    machine.file("rootfs/gone/node_modules/x/package.json", r#"{"name":"x","version":"1"}"#);
    let dockerfile = format!("FROM {BASE}\nCOPY rootfs /\nRUN rm -r /gone\n");
    let index = machine.built(&dockerfile, &["--sbom", "true", "-t", "app"]);
    let (image, statement) = Layout(&machine, "store").attested(&index, SPDX);
    let document = &statement["predicate"];
    let packages = document["packages"].as_array().unwrap();
    let purl = |it: &Value| it["externalRefs"][0]["referenceLocator"].as_str().map(str::to_owned);
    let purls: Vec<String> = packages.iter().filter_map(purl).collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/bash@5.2-1%2Bb1?arch=amd64&distro=debian-12",
            "pkg:npm/left@1.3.0",
            "pkg:pypi/six@1.16.0",
        ]
    );
    assert_eq!(packages[0]["versionInfo"], machine.manifest(&image)["config"]["digest"]);
    assert_eq!(packages[3]["licenseDeclared"], "MIT");
    assert_eq!(packages[1]["sourceInfo"], "from DPKG DB: /var/lib/dpkg/status");
}

#[test]
fn statements_follow_the_image_that_is_compressed() {
    let machine = machine();
    let dockerfile = format!("FROM {BASE}\nCOPY f /\n");
    let output = "type=oci,dest=out,tar=false";
    let flags = ["-t", "app", "--provenance=true", "--sbom=true", "-o", output, "--load"];
    let index = machine.built(&dockerfile, &flags);
    let (plain, _) = Layout(&machine, "store").attested(&index, SLSA);
    let layout = Layout(&machine, "out");
    let top: Value =
        serde_json::from_slice(&fs::read(machine.path("out/index.json")).unwrap()).unwrap();
    let index = text(&top["manifests"][0]["digest"]);
    let (compressed, _) = layout.attested(&index, SLSA);
    assert_ne!(compressed, plain);
    assert_eq!(layout.attested(&index, SPDX).0, compressed);
    // Whoever wants an image gets the image.
    let sh = |script: &str| {
        let output =
            Command::new("sh").args(["-euc", script]).current_dir(machine.path("")).output();
        let said = Said::new(&output.unwrap());
        assert_eq!(said.code, Some(0), "{script}\n{}", said.err);
        said.out
    };
    let inspected: Value = serde_json::from_str(&sh("skopeo inspect oci:out:latest")).unwrap();
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 2);
    let run = machine.command("tare-store").args(["inspect", "app"]).stdin(Stdio::null()).output();
    assert!(run.unwrap().status.success());
}

#[test]
fn beside_files_statements_are_files() {
    let machine = machine();
    let flags = ["--sbom=true", "--provenance=true", "--build-arg", EPOCH, "-o", "out"];
    machine.built(
        "FROM scratch\nCOPY f /\n",
        &[&flags[..], &["--metadata-file", "meta.json"]].concat(),
    );
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(machine.path("out").join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("provenance.json")["predicateType"], SLSA);
    assert_eq!(read("sbom.spdx.json")["predicate"]["spdxVersion"], "SPDX-2.3");
    let meta: Value =
        serde_json::from_slice(&fs::read(machine.path("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["buildx.build.provenance"], read("provenance.json")["predicate"]);
    let said = machine.build(
        "FROM scratch\nCOPY f /\n",
        &["--provenance=true,inline-only=true", "--sbom=true", "-o", "type=tar,dest=out.tar"],
    );
    assert_eq!(said.code, Some(2), "{}", said.err);
    machine.built(
        "FROM scratch\nCOPY f /\n",
        &["--provenance=inline-only=true", "--sbom=true", "-o", "type=tar,dest=out.tar"],
    );
    let files = files_of(&fs::read(machine.path("out.tar")).unwrap());
    let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, [".", "f", "sbom.spdx.json"]);
}

#[test]
fn a_docker_archive_has_the_image_alone() {
    let machine = machine();
    machine.built(
        "FROM scratch\nCOPY f /\n",
        &["-t", "app", "--provenance=true", "-o", "type=docker,dest=app.tar"],
    );
    let files = files_of(&fs::read(machine.path("app.tar")).unwrap());
    let list = files.iter().find(|file| file.path == "manifest.json").unwrap();
    let list: Value = serde_json::from_slice(&list.content).unwrap();
    assert_eq!(list[0]["Layers"].as_array().unwrap().len(), 1);
}
