//! The packages of an image, from its layers: nothing is unpacked, nothing mounted.

use std::io::Read as _;
use std::sync::PoisonError;
use std::time::SystemTime;

use attest::Subject;
use attest::sbom::{Book, Described, PREDICATE_TYPE, Scan};
use image::Digest;
use tree::LayerPath;

use super::{TOOL, told};
use crate::Error;
use crate::solve::Solver;
use crate::source::{File, ItemKind, Layers};

/// No file that tells of packages is read beyond this, in bytes: Debian's with all its packages installed.
const MAX_BOOK: u64 = 256 << 20;

/// The statement of what the image consists of.
pub(super) fn statement(
    solver: &Solver<'_>,
    id: &Digest,
    subjects: &[Subject],
) -> Result<Vec<u8>, Error> {
    let target = solver.built(solver.plan.stages.len() - 1)?;
    let mut files = target.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let scan = scan(solver, &files.source("the image", solver.store)?)?;
    for path in scan.unread() {
        let said = format!("the SBOM lacks the packages of rpm: /{path} is not read");
        solver.warn(said);
    }
    let name = solver.options.tags.first().map(ToString::to_string).unwrap_or_default();
    let (program, version) = TOOL;
    let document = scan.document(&Described {
        name: &name,
        id: *id,
        tool: &format!("{program}-{version}"),
        created: told(SystemTime::now(), solver.options),
    });
    attest::statement(PREDICATE_TYPE, &document, subjects)
        .map_err(|_| Error::internal("an SPDX document is no JSON"))
}

fn scan(solver: &Solver<'_>, files: &Layers) -> Result<Scan, Error> {
    let mut scan = Scan::default();
    for item in files.walk(&LayerPath::root())? {
        let Some(book) = Book::of(item.path.as_bytes()) else { continue };
        solver.check()?;
        let path = item.path.to_string().trim_start_matches('/').to_owned();
        if let ItemKind::File(file) = &item.kind {
            scan.add(book, &path, &read(files, file, &path)?);
        }
    }
    Ok(scan)
}

fn read(files: &Layers, file: &File, path: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let reading = crate::source::Source::Layers(files).open(file)?;
    reading
        .take(MAX_BOOK)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", path, error))?;
    Ok(bytes)
}
