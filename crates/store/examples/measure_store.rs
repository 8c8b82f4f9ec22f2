//! Measures the store: `measure_store DIRECTORY [LAYER.tar.gz]`. Numbers go to standard output.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program, run by hand")]

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use image::manifest;
use image::{DiffId, Digest, media_type};
use store::Store;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let directory = Path::new(&arguments[1]);
    let store = Store::open(directory).unwrap();
    small_things(&store, directory);
    one_gigabyte(&store);
    if let Some(layer) = arguments.get(2) {
        unpack(&store, layer);
    }
}

fn time<T>(what: &str, times: u32, mut work: impl FnMut() -> T) -> T {
    let start = Instant::now();
    let mut result = work();
    for _ in 1..times {
        result = work();
    }
    println!("{what}: {:?}", start.elapsed() / times);
    result
}

fn small_things(store: &Store, directory: &Path) {
    time("open", 1000, || Store::open(directory).unwrap());
    store.cache_put("key", &[1; 500], &[Digest::of("x")]).unwrap();
    time("cache_get", 1000, || store.cache_get("key").unwrap().unwrap());
    let mut number = 0;
    time("cache_put", 1000, || {
        number += 1;
        store.cache_put(&format!("{number}"), &[1; 500], &[Digest::of("x")]).unwrap();
    });
    time("put_blob", 200, || {
        number += 1;
        store.put_blob(media_type::CONFIG, format!("{number}").as_bytes()).unwrap()
    });
    let blob = store.put_blob(media_type::CONFIG, b"{}").unwrap();
    time("put_blob, again", 1000, || store.put_blob(media_type::CONFIG, b"{}").unwrap());
    time("tag", 200, || store.tag(&"app:1".parse().unwrap(), &blob).unwrap());
    time("resolve", 1000, || store.resolve("app:1").unwrap().unwrap());
    time("read_blob", 1000, || store.read_blob(&blob).unwrap());
    let tar = vec![0; 10240];
    time("import_layer, empty", 100, || store.import_layer(&tar[..]).unwrap());
}

fn one_gigabyte(store: &Store) {
    let piece: Vec<u8> =
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    time("hash 1 MiB in memory", 1024, || Digest::of(&piece));
    time("write 1 GiB", 1, || {
        let mut writer = store.blob_writer().unwrap();
        for number in 0..1024_u32 {
            writer.write_all(&number.to_le_bytes()).unwrap();
            writer.write_all(&piece[4..]).unwrap();
        }
        let start = Instant::now();
        let blob = writer.finish().unwrap();
        println!("  of it finish {:?}", start.elapsed());
        blob
    });
}

fn unpack(store: &Store, path: &str) {
    let bytes = std::fs::read(path).unwrap();
    let mut tar = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
    let start = Instant::now();
    std::io::Read::read_to_end(&mut decoder, &mut tar).unwrap();
    println!("inflate alone: {:?} for {} bytes", start.elapsed(), tar.len());
    let diff_id = DiffId::new(Digest::of(&tar));
    drop(tar);
    let blob = store.put_blob(media_type::LAYER_GZIP, &bytes).unwrap();
    drop(bytes);
    let layer = time("layer from gzip", 1, || store.layer(&blob, &diff_id).unwrap());
    time("layer again", 1000, || store.layer(&blob, &diff_id).unwrap());
    let changeset = time("changeset", 1, || layer.changeset().unwrap());
    println!("{} entries", changeset.len());
    let plain = manifest::descriptor(media_type::LAYER, *diff_id.digest(), layer.size);
    std::fs::rename(&layer.tar, store.blob_path(diff_id.digest())).unwrap();
    time("layer from an uncompressed blob", 1, || store.layer(&plain, &diff_id).unwrap());
}
