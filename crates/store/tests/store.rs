//! A store's ordinary life: blobs, layers, names, images, garbage.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::io::{Read, Write};

use fixture::{Fixture, gzip, tar_of, zstd};
use image::manifest::{self, Descriptor};
use image::{DiffId, Digest, Platform, media_type};
use store::{Error, Store};

#[test]
fn opening_makes_a_layout_and_opens_it_again() {
    let fixture = Fixture::new();
    let layout = std::fs::read_to_string(fixture.path("oci-layout")).unwrap();
    assert!(layout.contains(r#""imageLayoutVersion":"1.0.0""#), "{layout}");
    assert!(fixture.path("blobs/sha256").is_dir());
    assert!(fixture.path("tare/lock").is_file());
    let again = Store::open(fixture.store.root()).unwrap();
    assert_eq!(again.references().unwrap(), vec![]);
}

#[test]
fn opening_refuses_what_is_something_else() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::NotALayout(_)), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was added");

    let old = tempfile::tempdir().unwrap();
    std::fs::write(old.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    let error = Store::open(old.path()).unwrap_err();
    assert!(matches!(error, Error::LayoutVersion { .. }), "{error}");
}

#[test]
fn an_interrupted_start_is_finished() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
    std::fs::create_dir_all(directory.path().join("tare/tmp")).unwrap();
    Store::open(directory.path()).unwrap();
    assert!(directory.path().join("index.json").is_file());
}

#[test]
fn blobs_of_all_sizes_come_back() {
    let fixture = Fixture::new();
    for size in [0, 1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        let mut writer = fixture.store.blob_writer().unwrap();
        for piece in bytes.chunks(100_001) {
            writer.write_all(piece).unwrap();
        }
        let blob = writer.finish().unwrap();
        assert_eq!((blob.digest, blob.size), (Digest::of(&bytes), bytes.len() as u64));
        let descriptor = manifest::descriptor(media_type::LAYER, blob.digest, blob.size);
        let mut back = Vec::new();
        fixture.store.open_blob(&descriptor).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{size} bytes");
        assert!(fixture.store.read_blob(&descriptor).unwrap() == bytes);
    }
    fixture.assert_no_temporary_files();
}

#[test]
fn zeros_become_holes_and_count_in_the_digest() {
    use std::os::unix::fs::MetadataExt;
    use tree::LayerSink;
    let fixture = Fixture::new();
    let mut writer = fixture.store.blob_writer().unwrap();
    writer.write_all(b"start").unwrap();
    writer.write_zeros(8 << 20).unwrap();
    writer.write_all(b"middle").unwrap();
    writer.write_zeros(8 << 20).unwrap();
    let blob = writer.finish().unwrap();
    let mut want = b"start".to_vec();
    want.resize(5 + (8 << 20), 0);
    want.extend(b"middle");
    want.resize(11 + (16 << 20), 0);
    assert_eq!((blob.digest, blob.size), (Digest::of(&want), want.len() as u64));
    let path = fixture.store.blob_path(&blob.digest);
    assert!(std::fs::read(&path).unwrap() == want);
    assert!(path.metadata().unwrap().blocks() * 512 < 1 << 20, "the file has holes");
}

#[test]
fn a_dropped_or_unexpected_blob_leaves_nothing() {
    let fixture = Fixture::new();
    let mut writer = fixture.store.blob_writer().unwrap();
    writer.write_all(&[1; 300_000]).unwrap();
    drop(writer);
    let mut writer = fixture.store.blob_writer().unwrap();
    writer.write_all(b"other").unwrap();
    let want = manifest::descriptor(media_type::LAYER, Digest::of(b"this"), 4);
    let error = writer.finish_verified(&want).unwrap_err();
    assert!(matches!(error, Error::Unexpected { size: 5, .. }), "{error}");
    assert_eq!(fixture.names("blobs/sha256"), Vec::<String>::new());
    fixture.assert_no_temporary_files();
}

#[test]
fn corrupt_blobs_are_told_apart() {
    let fixture = Fixture::new();
    let descriptor = fixture.store.put_blob(media_type::CONFIG, b"{\"a\":1}").unwrap();
    let path = fixture.store.blob_path(&Digest::of(b"{\"a\":1}"));
    std::fs::write(&path, b"{\"a\":2}").unwrap();
    let error = fixture.store.read_blob(&descriptor).unwrap_err();
    let Error::Corrupt { want, got, path: named } = &error else { panic!("{error}") };
    assert_eq!((*want, *got), (Digest::of(b"{\"a\":1}"), Digest::of(b"{\"a\":2}")));
    assert_eq!(named, &path);
    let mut bytes = Vec::new();
    let error = fixture.store.open_blob(&descriptor).unwrap().read_to_end(&mut bytes).unwrap_err();
    assert!(error.to_string().contains("corrupt"), "{error}");

    std::fs::write(&path, b"{}").unwrap();
    let error = fixture.store.read_blob(&descriptor).unwrap_err();
    assert!(matches!(error, Error::Size { want: 7, got: 2, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = fixture.store.read_blob(&descriptor).unwrap_err();
    assert!(matches!(error, Error::MissingBlob { .. }), "{error}");

    fixture.store.put_blob(media_type::CONFIG, b"{\"a\":1}").unwrap();
    assert_eq!(fixture.store.read_blob(&descriptor).unwrap(), b"{\"a\":1}");
}

#[test]
fn layers_of_every_compression_unpack_to_the_same_tar() {
    let tar = tar_of(&[("etc/passwd", b"root"), ("usr/bin/big", &[7; 600_000])]);
    let diff_id = DiffId::new(Digest::of(&tar));
    let half = tar.len() / 2;
    let members = [gzip(&tar[..half]), gzip(&tar[half..])].concat();
    let frames = [zstd(&tar[..half]), zstd(&tar[half..])].concat();
    for (media_type, bytes) in [
        (media_type::LAYER, tar.clone()),
        (media_type::LAYER_GZIP, gzip(&tar)),
        (media_type::LAYER_GZIP, members),
        (media_type::LAYER_ZSTD, zstd(&tar)),
        (media_type::LAYER_ZSTD, frames),
        (media_type::DOCKER_LAYER_GZIP, gzip(&tar)),
        // Labelled wrongly, as docker takes it too.
        (media_type::LAYER_GZIP, zstd(&tar)),
        (media_type::LAYER_GZIP, tar.clone()),
    ] {
        let fixture = Fixture::new();
        let blob = fixture.store.put_blob(media_type, &bytes).unwrap();
        assert_eq!(fixture.store.layer_tar(&diff_id), None);
        let layer = fixture.store.layer(&blob, &diff_id).unwrap();
        assert!(std::fs::read(&layer.tar).unwrap() == tar, "{media_type}");
        assert_eq!(layer.changeset().unwrap().len(), 2);
        assert_eq!(fixture.store.layer_tar(&diff_id), Some((layer.tar.clone(), layer.size)));
        assert_eq!(fixture.store.layer(&blob, &diff_id).unwrap(), layer, "the second time");
        fixture.assert_no_temporary_files();
    }
}

#[test]
fn an_uncompressed_blob_and_its_layer_are_one_file() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new();
    let tar = tar_of(&[("a", b"b")]);
    let blob = fixture.store.put_blob(media_type::LAYER, &tar).unwrap();
    let digest = Digest::of(&tar);
    let layer = fixture.store.layer(&blob, &DiffId::new(digest)).unwrap();
    let inode = |path| std::fs::metadata::<std::path::PathBuf>(path).unwrap().ino();
    assert_eq!(inode(layer.tar), inode(fixture.store.blob_path(&digest)));
}

#[test]
fn a_bad_layer_is_refused_with_its_cause() {
    let tar = tar_of(&[("a", &[3; 100_000])]);
    let diff_id = DiffId::new(Digest::of(&tar));
    let other = DiffId::new(Digest::of(b"other"));
    let fixture = Fixture::new();
    let kept = |fixture: &Fixture| fixture.names("tare/layers");

    // The bytes on disk changed: the digest is the cause, whatever the decompressor says.
    let blob = fixture.store.put_blob(media_type::LAYER_GZIP, &gzip(&tar)).unwrap();
    let path = fixture.store.blob_path(&manifest::digest(&blob).unwrap());
    for at in [0, 60, gzip(&tar).len() - 2] {
        let mut bytes = gzip(&tar);
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let error = fixture.store.layer(&blob, &diff_id).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "byte {at}: {error}");
    }
    // A time in gzip's head changes nothing in the tar, whose own digest is what counts.
    let mut bytes = gzip(&tar);
    bytes[5] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let layer = fixture.store.layer(&blob, &diff_id).unwrap();
    assert!(std::fs::read(&layer.tar).unwrap() == tar);
    for path in [layer.tar.with_extension("toc"), layer.tar] {
        std::fs::remove_file(path).unwrap();
    }

    std::fs::write(&path, gzip(&tar)).unwrap();
    let error = fixture.store.layer(&blob, &other).unwrap_err();
    assert!(matches!(&error, Error::DiffId { got, .. } if *got == diff_id), "{error}");

    let mut cut = gzip(&tar);
    cut.truncate(cut.len() - 20);
    let blob = fixture.store.put_blob(media_type::LAYER_GZIP, &cut).unwrap();
    let error = fixture.store.layer(&blob, &diff_id).unwrap_err();
    assert!(matches!(error, Error::Decompress { .. }), "{error}");

    let blob = fixture.store.put_blob(media_type::LAYER_ZSTD, &zstd(&tar[..1000])).unwrap();
    let error = fixture.store.layer(&blob, &DiffId::new(Digest::of(&tar[..1000]))).unwrap_err();
    assert!(matches!(error, Error::Tar { .. }), "{error}");

    let blob = fixture.store.put_blob(media_type::CONFIG, b"{}").unwrap();
    let error = fixture.store.layer(&blob, &diff_id).unwrap_err();
    assert!(matches!(error, Error::MediaType { .. }), "{error}");
    assert_eq!(kept(&fixture), Vec::<String>::new());
    fixture.assert_no_temporary_files();
}

#[test]
fn a_decompression_bomb_is_stopped() {
    let Fixture { store, directory } = Fixture::new();
    let store = store.with_max_layer(1 << 20);
    let bomb = gzip(&vec![0; 64 << 20]);
    let blob = store.put_blob(media_type::LAYER_GZIP, &bomb).unwrap();
    let error = store.layer(&blob, &DiffId::new(Digest::of(b""))).unwrap_err();
    assert!(matches!(error, Error::TooLarge { max, .. } if max == 1 << 20), "{error}");
    let fixture = Fixture { store, directory };
    assert_eq!(fixture.names("tare/layers"), Vec::<String>::new());
    fixture.assert_no_temporary_files();
}

#[test]
fn a_damaged_table_of_contents_is_made_again() {
    let fixture = Fixture::new();
    let tar = tar_of(&[("a", b"b"), ("c", b"d")]);
    let (blob, diff_id, changeset) = fixture.store.import_layer(&tar[..]).unwrap();
    let toc = fixture.path(&format!("tare/layers/{}.toc", diff_id.hex()));
    for damage in [&b""[..], b"tare-toc rubbish"] {
        std::fs::write(&toc, damage).unwrap();
        let layer = fixture.store.layer(&blob, &diff_id).unwrap();
        assert_eq!(layer.changeset().unwrap(), changeset);
        fixture.store.layer(&blob, &diff_id).unwrap();
        assert!(std::fs::metadata(&toc).unwrap().len() > damage.len() as u64);
    }
}

#[test]
fn cache_records_come_back_whole_or_not_at_all() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.cache_get("key").unwrap(), None);
    fixture.store.cache_put("key", b"line\nline", &[]).unwrap();
    fixture.store.cache_put("key2/../x", b"", &[]).unwrap();
    assert_eq!(fixture.store.cache_get("key").unwrap().unwrap(), b"line\nline");
    assert_eq!(fixture.store.cache_get("key2/../x").unwrap().unwrap(), b"");
    let path = fixture.path(&format!("tare/build/records/{}", Digest::of("key").hex()));
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 5, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(fixture.store.cache_get("key").unwrap(), None, "{length} bytes");
    }
}

#[test]
fn doing_it_again_writes_nothing() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new();
    let image = named(&fixture, "app", b"content");
    named(&fixture, "other", b"content");
    fixture.store.cache_put("key", b"value", &[]).unwrap();
    let config = fixture.store.put_blob(media_type::CONFIG, b"{}").unwrap();
    let record = format!("tare/build/records/{}", Digest::of("key").hex());
    let blob = fixture.store.blob_path(&manifest::digest(&config).unwrap());
    let files = [fixture.path("index.json"), fixture.path(&record), blob];
    let inodes = || files.clone().map(|path| std::fs::metadata(path).unwrap().ino());
    let before = inodes();
    fixture.store.tag(&"app".parse().unwrap(), &image).unwrap();
    fixture.store.cache_put("key", b"value", &[]).unwrap();
    fixture.store.put_blob(media_type::CONFIG, b"{}").unwrap();
    assert_eq!(inodes(), before);
    fixture.store.cache_put("key", b"other", &[]).unwrap();
    assert_eq!(fixture.store.cache_get("key").unwrap().unwrap(), b"other");
}

fn named(fixture: &Fixture, name: &str, content: &[u8]) -> Descriptor {
    let image = fixture.image(content, "linux/amd64");
    fixture.store.tag(&name.parse().unwrap(), &image).unwrap();
    image
}

#[test]
fn names_are_given_moved_and_taken() {
    let fixture = Fixture::new();
    let first = named(&fixture, "app", b"first");
    let second = named(&fixture, "app:v2", b"second");
    let find =
        |name: &str| fixture.store.resolve(name).unwrap().map(|(_, found)| found.digest().clone());
    assert_eq!(find("app").as_ref(), Some(first.digest()));
    assert_eq!(find("docker.io/library/app:v2").as_ref(), Some(second.digest()));
    assert_eq!(find("other"), None);
    fixture.store.tag(&"app".parse().unwrap(), &second).unwrap();
    assert_eq!(find("app").as_ref(), Some(second.digest()));
    assert_eq!(fixture.store.references().unwrap().len(), 2);
    assert_eq!(
        fixture.store.untag("app").unwrap().map(|gone| gone.digest().clone()),
        Some(second.digest().clone())
    );
    assert_eq!((find("app"), find("app:v2").is_some()), (None, true));
    assert_eq!(fixture.store.untag("app").unwrap(), None);
    let missing = manifest::descriptor(media_type::MANIFEST, Digest::of(b"gone"), 4);
    let error = fixture.store.tag(&"x".parse().unwrap(), &missing).unwrap_err();
    assert!(matches!(error, Error::MissingBlob { .. }), "{error}");
}

#[test]
fn a_short_name_finds_the_one_image_of_another_registry() {
    let fixture = Fixture::new();
    let image = fixture.image(b"content", "linux/amd64");
    let tag = |name: &str| fixture.store.tag(&name.parse().unwrap(), &image).unwrap();
    tag("quay.io/team/app:1");
    let name = |word: &str| fixture.store.resolve(word).unwrap().map(|(name, _)| name);
    assert_eq!(name("team/app:1").as_deref(), Some("quay.io/team/app:1"));
    for other in ["team/app", "app:1", "other.io/team/app:1"] {
        assert_eq!(name(other), None, "{other}");
    }
    tag("other.io/team/app:1");
    assert_eq!(name("team/app:1"), None, "two may be meant");
    tag("team/app:1");
    assert_eq!(name("team/app:1").as_deref(), Some("docker.io/team/app:1"));
}

#[test]
fn ids_and_their_prefixes_resolve() {
    let fixture = Fixture::new();
    let image = fixture.image(b"content", "linux/amd64");
    fixture.store.keep(&image).unwrap();
    fixture.store.keep(&image).unwrap();
    assert_eq!(fixture.store.references().unwrap().len(), 1);
    let digest = manifest::digest(&image).unwrap();
    let config = fixture.store.image(&image, &Platform::host()).unwrap().config_digest;
    for id in [digest, config] {
        for text in [id.to_string(), id.hex(), id.hex()[..12].to_owned(), id.hex()[..6].to_owned()]
        {
            let (name, found) = fixture.store.resolve(&text).unwrap().expect(&text);
            assert_eq!((name, &found), (digest.to_string(), &image), "{text}");
        }
        assert_eq!(fixture.store.resolve(&id.hex()[..5]).unwrap(), None, "five digits");
    }
    assert_eq!(fixture.store.resolve(&Digest::of(b"no").to_string()).unwrap(), None);
    fixture.store.tag(&"app".parse().unwrap(), &image).unwrap();
    assert_eq!(fixture.store.references().unwrap().len(), 1, "the unnamed entry got the name");
    let pinned = format!("app@{digest}");
    assert_eq!(fixture.store.resolve(&pinned).unwrap().unwrap().1.digest(), image.digest());
    assert_eq!(fixture.store.resolve(&format!("other@{digest}")).unwrap(), None);
}

#[test]
fn an_ambiguous_prefix_is_an_error() {
    let fixture = Fixture::new();
    let entry = |last: char| {
        let digest = format!("sha256:{}{last}", "ab".repeat(31) + "c");
        serde_json::json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 2})
    };
    fixture.write_index(
        &serde_json::json!({"schemaVersion": 2, "manifests": [entry('1'), entry('2')]}),
    );
    let error = fixture.store.resolve("abababab").unwrap_err();
    assert!(matches!(&error, Error::Ambiguous { matches, .. } if matches.len() == 2), "{error}");
}

#[test]
fn what_other_tools_wrote_survives() {
    let fixture = Fixture::new();
    let image = fixture.image(b"content", "linux/amd64");
    let mut entry = serde_json::to_value(&image).unwrap();
    entry["annotations"] =
        serde_json::json!({"org.opencontainers.image.ref.name": "theirs", "x": "y"});
    entry["future"] = serde_json::json!([1, 2]);
    let odd = serde_json::json!({"mediaType": "a/b", "digest": "md5:no", "size": -1});
    let index = serde_json::json!({
        "schemaVersion": 2, "annotations": {"k": "v"}, "manifests": [entry, odd, odd, entry]
    });
    fixture.write_index(&index);
    fixture.store.tag(&"mine".parse().unwrap(), &image).unwrap();
    let now = fixture.read_index();
    assert_eq!(now["annotations"], index["annotations"]);
    for entry in index["manifests"].as_array().unwrap() {
        assert!(now["manifests"].as_array().unwrap().contains(entry), "{entry}");
    }
    assert_eq!(now["manifests"].as_array().unwrap().len(), 5);
    assert_eq!(fixture.store.resolve("theirs").unwrap().unwrap().0, "theirs");
    fixture.store.tag(&"theirs".parse().unwrap(), &image).unwrap();
    let (name, _) = fixture.store.resolve("theirs").unwrap().unwrap();
    assert_eq!(name, "docker.io/library/theirs:latest", "the same name, written in full");
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let fixture = Fixture::new();
    let amd64 = fixture.image(b"amd64", "linux/amd64");
    let arm = fixture.image(b"arm", "linux/arm64");
    let inner = fixture.index(&[&arm]);
    let outer = fixture.index(&[&amd64, &inner]);
    let image = |platform: &str| fixture.store.image(&outer, &platform.parse().unwrap());
    assert_eq!(image("linux/arm64/v8").unwrap().manifest_descriptor, arm);
    let got = image("linux/amd64").unwrap();
    assert_eq!((got.layers().len(), got.chain_id()), (1, got.config.chain_id()));
    let error = image("linux/s390x").unwrap_err();
    assert!(
        matches!(&error, Error::NoPlatform { available, .. } if available.len() == 2),
        "{error}"
    );
    // A manifest is for its own platform, which matters to whoever names one.
    let (manifest, other) = (&amd64, "linux/arm64".parse().unwrap());
    fixture.store.image(manifest, &other).unwrap();
    fixture.store.image_for(manifest, &"linux/amd64".parse().unwrap()).unwrap();
    let error = fixture.store.image_for(manifest, &other).unwrap_err();
    assert!(matches!(&error, Error::NoPlatform { .. }), "{error}");
}
