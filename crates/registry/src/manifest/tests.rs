use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn manifest_json(media_type: &str, config: &str, layer: &str) -> String {
    let own = if media_type.is_empty() {
        String::new()
    } else {
        format!(r#""mediaType":"{media_type}","#)
    };
    format!(
        r#"{{"schemaVersion":2,{own}"config":{{"mediaType":"{config}","digest":"{DIGEST}","size":2}},
            "layers":[{{"mediaType":"{layer}","digest":"{DIGEST}","size":3}}]}}"#
    )
}

fn oci() -> String {
    manifest_json("", media_type::CONFIG, media_type::LAYER_GZIP)
}

fn index_json(entries: &[(&str, Option<&str>)]) -> String {
    let entry = |(media_type, platform): &(&str, Option<&str>)| {
        let platform = platform.map_or_else(String::new, |platform| {
            let mut parts = platform.split('/');
            let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
            let variant = parts.next().map(|v| format!(r#","variant":"{v}""#)).unwrap_or_default();
            format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"{variant}}}"#)
        });
        format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":2{platform}}}"#)
    };
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))
}

#[test]
fn media_types_are_settled() {
    let docker = manifest_json(
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_CONFIG,
        media_type::DOCKER_LAYER_GZIP,
    );
    let index = index_json(&[]);
    for (text, content_type, want) in [
        (oci(), Some(media_type::MANIFEST), media_type::MANIFEST),
        (oci(), None, media_type::MANIFEST),
        (oci(), Some("application/json; charset=utf-8"), media_type::MANIFEST),
        (docker.clone(), Some(media_type::DOCKER_MANIFEST), media_type::DOCKER_MANIFEST),
        (docker, Some("application/octet-stream"), media_type::DOCKER_MANIFEST),
        (index.clone(), None, media_type::INDEX),
        (index, Some(media_type::DOCKER_INDEX), media_type::DOCKER_INDEX),
    ] {
        let (found, document) = parse(text.as_bytes(), content_type).unwrap();
        assert_eq!(found, want, "{content_type:?} {text}");
        assert_eq!(matches!(document, Document::Index(_)), media_type::is_index(want));
    }
}

#[test]
fn what_is_no_manifest_is_refused_with_the_reason() {
    let both = oci().replacen('{', r#"{"manifests":[],"#, 1);
    let claims_index = manifest_json(media_type::INDEX, media_type::CONFIG, media_type::LAYER);
    for (text, content_type, want) in [
        ("<html>".to_owned(), Some("text/html; charset=utf-8"), "text/html"),
        ("<html>".to_owned(), None, "bad JSON"),
        (String::new(), None, "bad JSON"),
        ("[]".to_owned(), None, "bad JSON"),
        ("{}".to_owned(), None, "neither manifests nor layers"),
        (both, None, "an index and of a manifest"),
        (claims_index, None, "not what its type"),
        (oci(), Some(media_type::INDEX), "not what its type"),
        (
            manifest_json(media_type::MANIFEST, media_type::CONFIG, media_type::LAYER),
            Some(media_type::DOCKER_MANIFEST),
            "but was sent as",
        ),
        (manifest_json("application/x", "a", "b"), None, "of type application/x"),
        (r#"{"schemaVersion":2,"layers":[{}]}"#.to_owned(), None, "bad JSON"),
    ] {
        let error = parse(text.as_bytes(), content_type).unwrap_err();
        assert!(matches!(error, Failure::NotManifest(_)), "{error}");
        assert!(error.to_string().contains(want), "{error} / {want}");
    }
}

#[test]
fn schema_1_is_refused_by_header_and_by_content() {
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (text, content_type) in
        [("{}", Some(signed)), (r#"{"schemaVersion":1,"fsLayers":[]}"#, Some("application/json"))]
    {
        let error = parse(text.as_bytes(), content_type).unwrap_err();
        assert!(matches!(error, Failure::Schema1), "{error}");
    }
}

#[test]
fn the_best_platform_is_chosen() {
    let entries = [
        (media_type::MANIFEST, Some("unknown/unknown")),
        (media_type::MANIFEST, Some("linux/arm/v6")),
        (media_type::MANIFEST, Some("linux/arm/v7")),
        (media_type::MANIFEST, Some("windows/amd64")),
        (media_type::DOCKER_MANIFEST, Some("linux/amd64")),
        ("application/vnd.example+json", Some("linux/s390x")),
    ];
    let (_, Document::Index(index)) = parse(index_json(&entries).as_bytes(), None).unwrap() else {
        panic!("no index");
    };
    let chosen = |wanted: &str| {
        let entry = choose(&index, &wanted.parse().unwrap())?;
        Ok::<_, Failure>(index.manifests().iter().position(|other| other == entry).unwrap())
    };
    assert_eq!(chosen("linux/amd64").unwrap(), 4);
    assert_eq!(chosen("linux/arm/v7").unwrap(), 2);
    assert_eq!(chosen("linux/arm/v6").unwrap(), 1);
    let error = chosen("linux/s390x").unwrap_err().to_string();
    assert!(
        error.contains("no image for linux/s390x, only for linux/arm/v6, linux/arm"),
        "{error}"
    );
    assert!(!error.contains("unknown/unknown"), "{error}");
}

#[test]
fn an_entry_without_platform_is_the_last_resort() {
    let entries = [(media_type::MANIFEST, None), (media_type::MANIFEST, Some("linux/arm64"))];
    let (_, Document::Index(index)) = parse(index_json(&entries).as_bytes(), None).unwrap() else {
        panic!("no index");
    };
    let amd64 = choose(&index, &"linux/amd64".parse().unwrap()).unwrap();
    assert_eq!(amd64, &index.manifests()[0]);
    let arm64 = choose(&index, &"linux/arm64".parse().unwrap()).unwrap();
    assert_eq!(arm64, &index.manifests()[1]);
}

#[test]
fn only_images_pass() {
    let check = |config: &str, layer: &str| {
        let text = manifest_json("", config, layer);
        let (_, Document::Manifest(manifest)) = parse(text.as_bytes(), None).unwrap() else {
            panic!("no manifest");
        };
        check_image(&manifest)
    };
    check(media_type::CONFIG, media_type::LAYER_ZSTD).unwrap();
    check(media_type::DOCKER_CONFIG, media_type::DOCKER_LAYER_GZIP).unwrap();
    for (config, layer, want) in [
        ("application/vnd.cncf.helm.config.v1+json", media_type::LAYER, "helm.config"),
        (media_type::CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "layer 1"),
    ] {
        let error = check(config, layer).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
