//! What the sources of a copy name.

use std::sync::Arc;

use dockerfile::{Glob, IgnorePatterns};
use tree::{LayerPath, Metadata};

use crate::Error;
use crate::plan::Copy;
use crate::source::{File, Item, ItemKind, Origin, Source};

/// One source, or one match of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The last component of what the instruction names, for a destination that is a directory.
    pub(crate) name: Vec<u8>,
    /// Whether the contents of a directory are copied. The first item is then the directory itself.
    pub(crate) directory: bool,
    /// What is copied, with paths relative to the source.
    pub(crate) items: Vec<Item>,
}

/// Finds everything that `copy` names in `source`.
pub(crate) fn gather(copy: &Copy, source: &Source<'_>) -> Result<Vec<Piece>, Error> {
    let exclude = exclusions(copy)?;
    let mut pieces = Vec::new();
    for written in &copy.sources {
        let mut found = match copy.parents {
            true => with_parents(written, source)?,
            false => matches(written, source)?,
        };
        for piece in &mut found {
            leave_out(piece, &exclude);
        }
        pieces.append(&mut found);
    }
    pieces.extend(copy.inline.iter().map(|(name, text)| inline(name, text)));
    Ok(pieces)
}

fn exclusions(copy: &Copy) -> Result<IgnorePatterns, Error> {
    IgnorePatterns::parse(copy.exclude.join("\n").as_bytes())
        .map_err(|source| Error::Ignore { file: "--exclude".to_owned(), source })
}

fn leave_out(piece: &mut Piece, exclude: &IgnorePatterns) {
    if !exclude.is_empty() {
        piece.items.retain(|item| item.path.is_root() || !exclude.matches(item.path.as_bytes()));
    }
}

fn inline(name: &str, text: &str) -> Piece {
    let origin = Origin::Text(text.into());
    let file = File { size: text.len() as u64, digest: Arc::default(), origin };
    let metadata = Metadata { mode: 0o644, ..Metadata::default() };
    let item = Item { path: LayerPath::root(), metadata, kind: ItemKind::File(file) };
    Piece { name: name.as_bytes().to_vec(), directory: false, items: vec![item] }
}

/// The pieces that a source path, perhaps a pattern, names. A pattern may name nothing.
fn matches(written: &str, source: &Source<'_>) -> Result<Vec<Piece>, Error> {
    let glob = compile(written)?;
    let literal = glob.literal();
    let mut pieces = Vec::new();
    for path in expand(&glob, source)? {
        match piece(&path, source)? {
            Some(piece) => pieces.push(piece),
            None if literal.is_some() => return Err(missing(written, &path, source)),
            // A link that leads nowhere matched a pattern.
            None => return Err(missing(&path.to_string(), &path, source)),
        }
    }
    Ok(pieces)
}

fn compile(written: &str) -> Result<Glob, Error> {
    Glob::new(written).map_err(|error| Error::MissingSource {
        path: written.to_owned(),
        place: "any context".to_owned(),
        hint: Some(error.to_string()),
    })
}

fn piece(path: &LayerPath, source: &Source<'_>) -> Result<Option<Piece>, Error> {
    let Some(found) = source.find(path)? else { return Ok(None) };
    let name = path.name().unwrap_or_default().to_vec();
    let items = source.walk(&found.path)?;
    Ok(Some(Piece { name, directory: found.directory, items }))
}

/// The paths that a glob names: one where it has no wildcards, whether it is there or not.
fn expand(glob: &Glob, source: &Source<'_>) -> Result<Vec<LayerPath>, Error> {
    let components = glob.components();
    let fixed = components.iter().take_while(|component| component.literal().is_some()).count();
    let mut base = LayerPath::root();
    for component in &components[..fixed] {
        let name = component.literal().unwrap_or_default();
        base = base.join(name).map_err(|error| Error::path(&base, error))?;
    }
    if fixed == components.len() {
        return Ok(vec![base]);
    }
    let Some(folder) = source.find(&base)?.filter(|found| found.directory) else {
        return Ok(Vec::new());
    };
    let mut paths = vec![(folder.path, true)];
    for component in &components[fixed..] {
        let mut next = Vec::new();
        for (path, _) in paths.into_iter().filter(|(_, directory)| *directory) {
            for (name, directory) in source.list(&path)? {
                if component.matches(&name) {
                    let below = path.join(&name).map_err(|error| Error::path(&path, error))?;
                    next.push((below, directory));
                }
            }
        }
        paths = next;
    }
    Ok(paths.into_iter().map(|(path, _)| path).collect())
}

/// `COPY --parents`: a source keeps its directories below the pivot `/./`, or below the root.
fn with_parents(written: &str, source: &Source<'_>) -> Result<Vec<Piece>, Error> {
    let (pivot, pattern) = written.split_once("/./").unwrap_or(("", written));
    let pivot = compile(pivot)?;
    let mut pieces = Vec::new();
    for top in expand(&pivot, source)? {
        let Some(top) = source.find(&top)?.filter(|found| found.directory) else {
            return Err(missing(written, &top, source));
        };
        let whole = [top.path.as_bytes(), b"/", pattern.as_bytes()].concat();
        let glob = compile(&String::from_utf8_lossy(&whole))?;
        for path in expand(&glob, source)? {
            pieces.push(below_parents(&top.path, &path, written, source)?);
        }
    }
    Ok(pieces)
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
    Ok(Piece { name: Vec::new(), directory: true, items })
}

fn missing(written: &str, path: &LayerPath, source: &Source<'_>) -> Error {
    let outside = written.split('/').any(|part| part == "..");
    let hint = match (source.hides(path), source, outside) {
        (true, ..) => Some("it is there, but .dockerignore leaves it out".to_owned()),
        (false, Source::Directory(_), true) => {
            Some("paths cannot lead out of the build context: build from a higher directory".into())
        }
        (false, Source::Directory(_), false) => {
            Some("paths are relative to the build context, not to the Dockerfile".to_owned())
        }
        _ => None,
    };
    Error::MissingSource { path: written.to_owned(), place: source.place(), hint }
}
