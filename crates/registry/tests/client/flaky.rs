//! What fails for the moment is tried again, from where it broke off, and not for ever.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use registry::{Error, Options, Timeouts};

use crate::fixture::{Layout, Recorder, options, pull, reference, text};
use crate::liar::{Image, Liar, Request, head, reply};

const SIZE: usize = 3_000_000;

/// Tells the first requests for the layer from the later ones.
fn layer_requests(image: &Image) -> impl Fn(&Request) -> Option<usize> + use<> {
    let (image, count) = (image.clone(), AtomicUsize::new(0));
    move |request| image.is_layer(request).then(|| count.fetch_add(1, Ordering::SeqCst))
}

fn range_start(request: &Request) -> Option<usize> {
    request.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Serves an image; `lie(n, request, stream, layer)` answers the n-th request for the layer by
/// returning true.
fn flaky(
    lie: impl Fn(usize, &Request, &mut TcpStream, &[u8]) -> bool + Send + Sync + 'static,
) -> (Liar, Image) {
    let image = Image::new(SIZE);
    let (number, layer) = (layer_requests(&image), image.layer.clone());
    let liar = Liar::serving(image.clone(), move |request, stream| {
        number(request).is_some_and(|number| lie(number, request, stream, &layer))
    });
    (liar, image)
}

fn drop_in_the_middle(stream: &mut TcpStream, layer: &[u8]) -> bool {
    head(stream, "200 OK", &[], layer.len());
    let _ = stream.write_all(&layer[..SIZE / 2]);
    true
}

fn arrives(liar: &Liar, image: &Image, options: &Options) {
    let store = Layout::new();
    let pulled = pull(&store, &liar.name("a:1"), options).map_err(|error| text(&error)).unwrap();
    assert_eq!(pulled.manifest.digest().to_string(), Image::digest(&image.manifest));
    store.check(1);
}

#[test]
fn a_dropped_transfer_goes_on_where_it_broke_off() {
    let (liar, image) = flaky(|number, request, stream, layer| {
        if number == 0 {
            return drop_in_the_middle(stream, layer);
        }
        let start = range_start(request).expect("a range");
        let range = format!("bytes {start}-{}/{SIZE}", SIZE - 1);
        reply(stream, "206 Partial Content", &[("Content-Range", &range)], &layer[start..]);
        true
    });
    arrives(&liar, &image, &options());
    let ranges = liar.headers("/blobs/", "range");
    let asked: Vec<&str> = ranges.iter().flatten().map(String::as_str).collect();
    assert_eq!(asked.len(), 1, "{ranges:?}");
    let start: usize = asked[0].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!(start > 0 && start <= SIZE / 2, "{start}");
}

#[test]
fn a_transfer_from_elsewhere_goes_on_there() {
    let image = Image::new(SIZE);
    let (served, count) = (image.clone(), AtomicUsize::new(0));
    let liar = Liar::serving(image.clone(), move |request, stream| {
        if served.is_layer(request) {
            reply(stream, "307 Temporary Redirect", &[("Location", "/elsewhere?signed=1")], b"");
            return true;
        }
        if request.path != "/elsewhere?signed=1" {
            return false;
        }
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            return drop_in_the_middle(stream, &served.layer);
        }
        let start = range_start(request).expect("a range");
        let range = format!("bytes {start}-{}/{SIZE}", SIZE - 1);
        reply(stream, "206 Partial Content", &[("Content-Range", &range)], &served.layer[start..]);
        true
    });
    arrives(&liar, &image, &options());
    assert_eq!(liar.count("/elsewhere"), 2);
}

#[test]
fn a_registry_that_knows_no_ranges_is_listened_to_from_the_start() {
    let (liar, image) =
        flaky(|number, _, stream, layer| number == 0 && drop_in_the_middle(stream, layer));
    arrives(&liar, &image, &options());
}

#[test]
fn another_range_than_asked_for_is_not_taken() {
    let (liar, image) = flaky(|number, request, stream, layer| match number {
        0 => drop_in_the_middle(stream, layer),
        _ if request.header("range").is_some() => {
            let range = format!("bytes 0-{}/{SIZE}", SIZE - 1);
            reply(stream, "206 Partial Content", &[("Content-Range", &range)], layer);
            true
        }
        _ => false,
    });
    arrives(&liar, &image, &options());
}

#[test]
fn what_was_put_together_wrongly_is_fetched_again() {
    let (liar, image) = flaky(|number, request, stream, layer| match number {
        0 => {
            head(stream, "200 OK", &[], layer.len());
            let _ = stream.write_all(&vec![7; SIZE / 2]);
            true
        }
        1 => {
            let start = range_start(request).expect("a range");
            let range = format!("bytes {start}-{}/{SIZE}", SIZE - 1);
            reply(stream, "206 Partial Content", &[("Content-Range", &range)], &layer[start..]);
            true
        }
        _ => false,
    });
    arrives(&liar, &image, &options());
}

#[test]
fn overload_is_waited_out_and_reported() {
    for status in ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"]
    {
        let image = Image::new(100);
        let count = AtomicUsize::new(0);
        let liar = Liar::serving(image.clone(), move |request, stream| {
            let lies =
                request.path.contains("/manifests/") && count.fetch_add(1, Ordering::SeqCst) < 2;
            if lies {
                reply(stream, status, &[], b"");
            }
            lies
        });
        let (store, recorder) = (Layout::new(), Recorder::default());
        let name = reference(&liar.name("a:1"));
        registry::pull(&store.store, &name, &options(), &recorder, &AtomicBool::new(false))
            .unwrap();
        assert_eq!((liar.count("/manifests/"), recorder.count("Retry")), (3, 2), "{status}");
    }
}

#[test]
fn retry_after_is_obeyed() {
    let image = Image::new(100);
    let count = AtomicUsize::new(0);
    let liar = Liar::serving(image, move |request, stream| {
        let lies =
            request.path.contains("/manifests/") && count.fetch_add(1, Ordering::SeqCst) == 0;
        if lies {
            reply(stream, "429 Too Many Requests", &[("Retry-After", "1")], b"");
        }
        lies
    });
    let started = Instant::now();
    pull(&Layout::new(), &liar.name("a:1"), &options()).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn patience_ends() {
    let liar = Liar::serving(Image::new(100), |request, stream| {
        let lies = request.path.contains("/blobs/");
        if lies {
            reply(stream, "502 Bad Gateway", &[], br#"{"errors":[{"code":"X","message":"down"}]}"#);
        }
        lies
    });
    let store = Layout::new();
    let error = pull(&store, &liar.name("a:1"), &options()).unwrap_err();
    assert!(text(&error).contains("502 Bad Gateway: down (X)"), "{}", text(&error));
    assert_eq!(liar.count("/blobs/"), 3);
    store.check(0);
}

#[test]
fn a_transfer_that_always_breaks_off_ends() {
    let (liar, _) = flaky(|_, _, stream, layer| {
        head(stream, "200 OK", &[], layer.len());
        let _ = stream.write_all(&layer[..1000]);
        true
    });
    let store = Layout::new();
    let error = pull(&store, &liar.name("a:1"), &options()).unwrap_err();
    assert!(
        text(&error).contains("the transfer stopped after 1000 of 3000000 bytes"),
        "{}",
        text(&error)
    );
    store.check(0);
}

/// Times out soon.
fn hasty() -> Options {
    let short = Duration::from_millis(300);
    Options {
        timeouts: Timeouts { response: short, stall: short, ..options().timeouts },
        ..options()
    }
}

/// Sends a byte now and then, for longer than a test takes.
fn drip(stream: &mut TcpStream) {
    while stream.write_all(b"x").is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn silence_and_trickles_are_not_waited_for() {
    type Slow = fn(&mut TcpStream);
    let cases: [(&str, Slow); 5] = [
        ("/blobs/", |stream| {
            head(stream, "200 OK", &[], SIZE);
            thread::sleep(Duration::from_secs(20));
        }),
        ("/blobs/", |stream| {
            head(stream, "200 OK", &[], SIZE);
            drip(stream);
        }),
        ("/manifests/", |stream| {
            head(stream, "200 OK", &[("Content-Type", "application/json")], SIZE);
            drip(stream);
        }),
        ("/manifests/", |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ");
            drip(stream);
        }),
        ("/manifests/", |_| thread::sleep(Duration::from_secs(20))),
    ];
    for (part, slow) in cases {
        let image = Image { layer: vec![0; SIZE], ..Image::new(SIZE) };
        let liar = Liar::serving(image, move |request, stream| {
            let lies = request.path.contains(part);
            if lies {
                slow(stream);
            }
            lies
        });
        let (store, started) = (Layout::new(), Instant::now());
        pull(&store, &liar.name("a:1"), &hasty()).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{part} {:?}", started.elapsed());
        store.check(0);
    }
}

#[test]
fn an_interrupt_ends_it_at_once() {
    let image = Image::new(SIZE);
    let served = image.clone();
    let liar = Liar::serving(image, move |request, stream| {
        let lies = served.is_layer(request);
        if lies {
            head(stream, "200 OK", &[], SIZE);
            let _ = stream.write_all(&served.layer[..SIZE / 2]);
            thread::sleep(Duration::from_secs(20));
        }
        lies
    });
    let (store, interrupt) = (Layout::new(), AtomicBool::new(false));
    let patient = Options { timeouts: Timeouts::default(), ..options() };
    let name = reference(&liar.name("a:1"));
    let is_there = |part: &str| liar.count(part) >= 2;
    let mut asked = None;
    let error = thread::scope(|scope| {
        let pull = scope
            .spawn(|| registry::pull(&store.store, &name, &patient, &(), &interrupt).unwrap_err());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_there("/blobs/") && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        asked = Some(Instant::now());
        interrupt.store(true, Ordering::SeqCst);
        pull.join().unwrap()
    });
    assert!(asked.unwrap().elapsed() < Duration::from_secs(3));
    assert!(matches!(error, Error::Interrupted), "{}", text(&error));
    store.check(0);
}
