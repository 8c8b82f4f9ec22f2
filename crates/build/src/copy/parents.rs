//! `COPY --parents`: a source keeps its directories below the pivot `/./`, or below the root.
//!
//! As in BuildKit the pattern behind the pivot is one of `.dockerignore`'s kind: `**` is any number of
//! directories, and what is in a directory that matches is copied with it. So links behind the pivot are
//! copied and never followed. The pivot is a pattern as every other source.

use dockerfile::IgnorePatterns;
use tree::LayerPath;

use super::Piece;
use super::gather::{compile, expand, missing};
use crate::Error;
use crate::source::{Item, ItemKind, Source};

/// What a source names, with its directories.
pub(super) fn with_parents(written: &str, source: &Source<'_>) -> Result<Vec<Piece>, Error> {
    let (pivot, pattern) = written.split_once("/./").unwrap_or(("", written));
    let pivot = compile(pivot)?;
    let mut pieces = Vec::new();
    for top in expand(&pivot, source)? {
        let Some(top) = source.find(&top)?.filter(|found| found.directory) else {
            return Err(missing(written, &top, source));
        };
        let whole = [top.path.as_bytes(), b"/", pattern.as_bytes()].concat();
        let glob = compile(&String::from_utf8_lossy(&whole))?;
        match glob.literal() {
            Some(_) => {
                for path in expand(&glob, source)? {
                    pieces.push(named(&top.path, &path, (written, pattern), source)?);
                }
            }
            None => pieces.push(piece(&top.path, matching(&top.path, pattern, source)?)),
        }
    }
    Ok(pieces)
}

fn piece(top: &LayerPath, items: Vec<Item>) -> Piece {
    Piece { top: top.clone(), ..Piece::directory(Vec::new(), items) }
}

/// One path, which is found without a walk unless it is or goes through a link.
fn named(
    top: &LayerPath,
    path: &LayerPath,
    (written, pattern): (&str, &str),
    source: &Source<'_>,
) -> Result<Piece, Error> {
    if source.find(path)?.is_some_and(|found| found.path == *path) {
        return below_parents(top, path, written, source);
    }
    let items = matching(top, pattern, source)?;
    match items.is_empty() {
        true => Err(missing(written, path, source)),
        false => Ok(piece(top, items)),
    }
}

/// All below `top` that the pattern matches, and the directories on the way.
fn matching(top: &LayerPath, pattern: &str, source: &Source<'_>) -> Result<Vec<Item>, Error> {
    let clean: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let pattern = clean.join("/");
    let matcher = IgnorePatterns::of([&pattern])
        .map_err(|source| Error::Ignore { file: "--parents".to_owned(), source })?;
    let mut items = Vec::new();
    // Directories that do not match, and are kept where something below them does.
    let mut open: Vec<Item> = Vec::new();
    for item in source.walk(top)? {
        open.retain(|folder| item.path.starts_with(&folder.path));
        if item.path.is_root() || !matcher.matches(item.path.as_bytes()) {
            if matches!(item.kind, ItemKind::Directory) {
                open.push(item);
            }
            continue;
        }
        items.append(&mut open);
        items.push(item);
    }
    Ok(items)
}

fn below_parents(
    top: &LayerPath,
    path: &LayerPath,
    written: &str,
    source: &Source<'_>,
) -> Result<Piece, Error> {
    let Some(found) = source.find(path)? else { return Err(missing(written, path, source)) };
    let mut items = Vec::new();
    let mut at = top.clone();
    let mut inside = LayerPath::root();
    items.push(source.folder(&at, &inside)?);
    let below = path.as_bytes()[top.as_bytes().len()..].split(|&b| b == b'/');
    let names: Vec<&[u8]> = below.filter(|name| !name.is_empty()).collect();
    for (index, name) in names.iter().enumerate() {
        at = at.join(name).map_err(|error| Error::path(&at, error))?;
        inside = inside.join(name).map_err(|error| Error::path(&inside, error))?;
        if index + 1 < names.len() {
            items.push(source.folder(&at, &inside)?);
        }
    }
    for mut item in source.walk(&found.path)? {
        item.path = inside.join(item.path.as_bytes()).map_err(|e| Error::path(&inside, e))?;
        if let ItemKind::HardLink(to) = &mut item.kind {
            *to = inside.join(to.as_bytes()).map_err(|error| Error::path(&inside, error))?;
        }
        items.push(item);
    }
    Ok(piece(top, items))
}
