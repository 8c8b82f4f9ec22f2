//! What the sources of a copy name.

use std::sync::{Arc, OnceLock};

use dockerfile::{Glob, IgnorePatterns};
use tree::{LayerPath, Metadata, Timestamp};

use super::parents::with_parents;
use super::{Place, Sources};
use crate::Error;
use crate::fetch::Fetched;
use crate::plan::{Copy, CopySource, HttpSource};
use crate::source::{File, Item, ItemKind, Origin, Source};

/// One source, or one match of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Where the source is, in what is copied from: items are below it.
    pub(crate) top: LayerPath,
    /// The last component of what the instruction names, for a destination that is a directory.
    pub(crate) name: Vec<u8>,
    /// Whether the contents of a directory are copied. The first item is then the directory itself.
    pub(crate) directory: bool,
    /// What is copied, with paths relative to the source.
    pub(crate) items: Vec<Item>,
    /// Where the items are read from.
    pub(crate) place: Place,
    /// Whether an archive is unpacked.
    pub(crate) unpack: bool,
}

/// What was fetched for one source.
pub(crate) enum Obtained {
    File(Fetched),
    Tree(Place),
}

/// Finds everything that `copy` names. `obtained` has what was fetched, in the order of the sources
/// that are.
pub(crate) fn gather(
    copy: &Copy,
    sources: &Sources<'_>,
    obtained: Vec<Obtained>,
) -> Result<Vec<Piece>, Error> {
    let exclude = exclusions(copy)?;
    let mut obtained = obtained.into_iter();
    let mut next = || obtained.next().ok_or_else(|| Error::internal("a source was not fetched"));
    let mut pieces = Vec::new();
    for source in &copy.sources {
        let mut found = match source {
            CopySource::Path(written) => local(copy, written, sources.main())?,
            CopySource::Http(http) => vec![fetched(http, next()?)?],
            CopySource::Git(_) => vec![tree(sources, next()?)?],
        };
        for piece in &mut found {
            leave_out(piece, &exclude);
        }
        pieces.append(&mut found);
    }
    pieces.extend(copy.inline.iter().map(|(name, text)| inline(name, text)));
    Ok(pieces)
}

fn local(copy: &Copy, written: &str, source: &Source<'_>) -> Result<Vec<Piece>, Error> {
    let mut found = match copy.parents {
        true => with_parents(written, source)?,
        false => matches(written, source)?,
    };
    found.iter_mut().for_each(|piece| piece.unpack = copy.unpack);
    Ok(found)
}

/// BuildKit gives a resource to root alone, with the time that the server says.
fn fetched(http: &HttpSource, obtained: Obtained) -> Result<Piece, Error> {
    let Obtained::File(Fetched { path, digest, size, last_modified }) = obtained else {
        return Err(Error::internal("a resource was fetched as a tree"));
    };
    let digest = Arc::new(OnceLock::from(*digest.as_bytes()));
    let file = File { size, digest, origin: Origin::Blob(path.into()) };
    let mtime = Timestamp { seconds: last_modified.unwrap_or(0), nanoseconds: 0 };
    let metadata = Metadata { mode: 0o600, mtime, ..Metadata::default() };
    let item = Item { path: LayerPath::root(), metadata, kind: ItemKind::File(file) };
    let name = http.what.name.as_bytes().to_vec();
    Ok(Piece { unpack: http.unpack, ..Piece::file(name, item) })
}

fn tree(sources: &Sources<'_>, obtained: Obtained) -> Result<Piece, Error> {
    let Obtained::Tree(place) = obtained else {
        return Err(Error::internal("a tree was fetched as a resource"));
    };
    let items = sources.at(place)?.walk(&LayerPath::root())?;
    Ok(Piece { place, ..Piece::directory(Vec::new(), items) })
}

impl Piece {
    fn file(name: Vec<u8>, item: Item) -> Self {
        Self { directory: false, ..Self::directory(name, vec![item]) }
    }

    /// The contents of a directory, which comes first in `items`.
    pub(crate) fn directory(name: Vec<u8>, items: Vec<Item>) -> Self {
        let (top, place) = (LayerPath::root(), Place::Main);
        Self { top, name, directory: true, items, place, unpack: false }
    }
}

fn exclusions(copy: &Copy) -> Result<IgnorePatterns, Error> {
    IgnorePatterns::of(&copy.exclude)
        .map_err(|source| Error::Ignore { file: "--exclude".to_owned(), source })
}

fn leave_out(piece: &mut Piece, exclude: &IgnorePatterns) {
    if exclude.is_empty() {
        return;
    }
    // From the end: a directory stays for what an exception keeps in it.
    let mut kept: Vec<Item> = Vec::with_capacity(piece.items.len());
    for item in piece.items.drain(..).rev() {
        let folder = matches!(item.kind, ItemKind::Directory);
        let needed = || kept.last().is_some_and(|next| next.path.starts_with(&item.path));
        if item.path.is_root() || !exclude.matches(item.path.as_bytes()) || (folder && needed()) {
            kept.push(item);
        }
    }
    kept.reverse();
    piece.items = kept;
}

fn inline(name: &str, text: &str) -> Piece {
    let origin = Origin::Text(text.into());
    let file = File { size: text.len() as u64, digest: Arc::default(), origin };
    let metadata = Metadata { mode: 0o644, ..Metadata::default() };
    let item = Item { path: LayerPath::root(), metadata, kind: ItemKind::File(file) };
    Piece::file(name.as_bytes().to_vec(), item)
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

pub(super) fn compile(written: &str) -> Result<Glob, Error> {
    Glob::new(written).map_err(Error::Pattern)
}

fn piece(path: &LayerPath, source: &Source<'_>) -> Result<Option<Piece>, Error> {
    let Some(found) = source.find(path)? else { return Ok(None) };
    let name = path.name().unwrap_or_default().to_vec();
    let items = source.walk(&found.path)?;
    let (top, directory) = (found.path, found.directory);
    Ok(Some(Piece { top, directory, ..Piece::directory(name, items) }))
}

/// The paths that a glob names: one where it has no wildcards, whether it is there or not.
pub(super) fn expand(glob: &Glob, source: &Source<'_>) -> Result<Vec<LayerPath>, Error> {
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

pub(super) fn missing(written: &str, path: &LayerPath, source: &Source<'_>) -> Error {
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
    let hint = if outside || source.hides(path) { hint } else { near(path, source).or(hint) };
    Error::MissingSource { path: written.to_owned(), place: source.place(), hint }
}

/// The file beside a missing one that was probably meant.
fn near(path: &LayerPath, source: &Source<'_>) -> Option<String> {
    let (name, parent) = (std::str::from_utf8(path.name()?).ok()?, path.parent()?);
    let listed = source.list(&source.find(&parent).ok()??.path).ok()?;
    let names: Vec<&str> =
        listed.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok()).collect();
    let near = dockerfile::nearest(name, &names)?;
    let meant = parent.join(near.as_bytes()).ok()?.to_string();
    Some(format!("did you mean {}?", meant.trim_start_matches('/')))
}
