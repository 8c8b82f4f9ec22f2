//! Times each step from a layer's tar to its index: `measure_erofs [TAR]`. Without a tar it makes a layer
//! of 20,000 small files in memory, and times that as well.

#![allow(clippy::print_stdout, reason = "it is run by hand, for its output")]

use std::error::Error;
use std::fs::File;
use std::time::{Duration, Instant};

use tree::{Changeset, LayerPath, LayerWriter, Metadata, Timestamp, Tree};

const FILES: usize = 20_000;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let (changeset, size) = match std::env::args_os().nth(1) {
        Some(tar) => read(tar)?,
        None => write()?,
    };
    println!("{} entries, {size} bytes of tar", changeset.len());
    let toc = timed("encode", || changeset.encode());
    println!("{} bytes of table of contents", toc.len());
    timed("decode", || Changeset::decode(&toc).map(|changeset| changeset.len()))?;
    let tree = timed("fold", || Tree::fold([&changeset]))?;
    timed("walk", || tree.walk().count());
    let index = timed("index", || erofs::index(&tree, &[size]))?;
    println!("{} nodes, {} bytes of index", tree.len(), index.len());
    Ok(())
}

fn read(tar: std::ffi::OsString) -> Result<(Changeset, u64), Box<dyn Error>> {
    let size = File::open(&tar)?.metadata()?.len();
    let changeset = timed("read", || Changeset::read_tar(File::open(&tar).expect("it was there")))?;
    Ok((changeset, size))
}

fn write() -> Result<(Changeset, u64), Box<dyn Error>> {
    let metadata = Metadata {
        mode: 0o644,
        mtime: Timestamp { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
        ..Metadata::default()
    };
    let paths: Vec<_> = (0..FILES)
        .map(|number| LayerPath::new(format!("app/node_modules/{}/file{number}.js", number / 50)))
        .collect::<Result<_, _>>()?;
    let content = [b'x'; 1000];
    let (size, changeset) = timed("write", || {
        let mut writer = LayerWriter::new(Vec::with_capacity(64 << 20));
        for path in &paths {
            writer.append_file(path, &metadata, content.len() as u64, &content[..])?;
        }
        writer.finish().map(|(tar, changeset)| (tar.len() as u64, changeset))
    })?;
    Ok((changeset, size))
}

/// The fastest and the median of some rounds.
fn timed<T>(what: &str, mut step: impl FnMut() -> T) -> T {
    let mut times = Vec::new();
    loop {
        let start = Instant::now();
        let result = step();
        times.push(start.elapsed());
        if times.len() == ROUNDS {
            times.sort();
            let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
            let (best, median) = (milliseconds(times[0]), milliseconds(times[ROUNDS / 2]));
            println!("{what:8} {best:8.2} ms, median {median:8.2} ms");
            return result;
        }
    }
}
