//! registries.conf: mirrors are asked first, other places in the place of the name, blocked ones not at all.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use registry::{Options, Registries, Remote};
use tempfile::TempDir;

use crate::fixture::{Layout, Recorder, options, pull, reference, text};
use crate::liar::{Image, Liar, head, reply};

const SIZE: usize = 3_000_000;

/// Options with this registries.conf.
fn with_conf(conf: &str) -> Options {
    let directory = TempDir::new().unwrap();
    let path: PathBuf = directory.path().join("registries.conf");
    std::fs::write(&path, conf).unwrap();
    Options { registries: Registries::read([path]).unwrap(), ..options() }
}

/// `prefix` with these mirrors, by their ports.
fn mirrored(prefix: &str, ports: &[u16]) -> Options {
    let mut conf = format!("[[registry]]\nprefix = \"{prefix}\"\n");
    for port in ports {
        conf += &format!("[[registry.mirror]]\nlocation = \"127.0.0.1:{port}/copy\"\n");
    }
    with_conf(&conf)
}

fn honest(image: &Image) -> Liar {
    Liar::serving(image.clone(), |_, _| false)
}

#[test]
fn a_mirror_that_has_it_is_enough() {
    let image = Image::new(100);
    let (mirror, registry) = (honest(&image), honest(&image));
    let store = Layout::new();
    let name = registry.name("team/app:1");
    let options = mirrored(&registry.name("team"), &[mirror.port]);
    pull(&store, &name, &options).unwrap();
    assert_eq!(mirror.count("/v2/copy/app/"), 3);
    assert_eq!(registry.count("/"), 0);
    assert!(store.named(&name).is_some());
    store.check(1);
}

#[test]
fn what_mirrors_lack_the_registry_gives() {
    let image = Image::new(100);
    let registry = honest(&image);
    let empty = Liar::start(|_, stream| reply(stream, "404 Not Found", &[], b""));
    let sick = Liar::start(|_, stream| reply(stream, "503 Service Unavailable", &[], b""));
    let options = mirrored(&registry.name("team"), &[1, empty.port, sick.port]);
    let (store, heard) = (Layout::new(), Recorder::default());
    let name = reference(&registry.name("team/app:1"));
    registry::pull(&store.store, &name, &options, &heard, &AtomicBool::new(false)).unwrap();
    assert_eq!((heard.count("Mirror"), registry.count("/v2/team/app/")), (3, 3));
    store.check(1);
}

#[test]
fn a_layer_that_a_mirror_spoils_comes_from_the_registry() {
    let image = Image::new(SIZE);
    let (broken, registry) = (image.clone(), honest(&image));
    let mirror = Liar::serving(image.clone(), move |request, stream| {
        let lies = broken.is_layer(request);
        if lies {
            head(stream, "200 OK", &[], SIZE);
            let _ = stream.write_all(&vec![7; SIZE]);
        }
        lies
    });
    let store = Layout::new();
    let options = mirrored(&registry.name("app"), &[mirror.port]);
    pull(&store, &registry.name("app:1"), &options).map_err(|error| text(&error)).unwrap();
    // The configuration came from the mirror, and is not asked for again.
    assert_eq!(registry.count("/blobs/"), 1);
    store.check(1);
}

#[test]
fn another_location_takes_the_place_of_the_name() {
    let image = Image::new(100);
    let registry = honest(&image);
    let conf = format!(
        "[[registry]]\nprefix = \"*.example.com\"\nblocked = true\n\
         [[registry]]\nprefix = \"registry.example.org\"\nlocation = \"127.0.0.1:{}/there\"\ninsecure = true",
        registry.port
    );
    let options = with_conf(&conf);
    let store = Layout::new();
    pull(&store, "registry.example.org/app:1", &options).unwrap();
    assert_eq!(registry.count("/v2/there/app/"), 3);
    assert!(store.named("registry.example.org/app:1").is_some());

    let error = text(&pull(&store, "a.example.com/app", &options).unwrap_err());
    assert!(error.contains("a.example.com/app:latest is blocked"), "{error}");
    let (blocked, never) = (reference("a.example.com/app"), AtomicBool::new(false));
    for error in [
        Remote::new(&blocked, &options, &never).tags().map(drop).unwrap_err(),
        Remote::new(&blocked, &options, &never).delete().map(drop).unwrap_err(),
    ] {
        assert!(text(&error).contains("is blocked"), "{}", text(&error));
    }
    assert!(!never.load(Ordering::Relaxed));
}
