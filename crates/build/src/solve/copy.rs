//! `COPY`, `ADD` and `WORKDIR`: files to a layer. Nothing is mounted or unpacked.

use std::sync::PoisonError;

use image::{UserError, Users};
use store::BlobWriter;
use tree::{LayerPath, LayerWriter, Timestamp};

use super::Solver;
use super::stage::{Ended, Keys, Outcome, Work};
use crate::Error;
use crate::copy::{self, Piece, Sources, Target};
use crate::explain::Table;
use crate::key::{self, Definition, Key};
use crate::plan::Copy;
use crate::record::{self, LayerRef};
use crate::source::{Archive, ItemKind, Source, is_archive};

impl Work<'_> {
    /// Copies files; `hear` gets what is said where some are fetched.
    pub(super) fn copy(
        &mut self,
        copy: &Copy,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Ended, Error> {
        let remotes = self.resolve(copy, hear)?;
        // Known without looking at a file: the same stage, image, commit or checksum as last time.
        let definition = || self.copy_definition(copy, self.files.key);
        let files = self.solver.files_key(copy.from)?;
        let by_stage = files.map(|key| key::of_files(definition(), copy, key));
        let by_name = by_stage.or_else(|| remotes.key(copy, definition()));
        if let Some(key) = by_name
            && let Some(ended) = self.cached(key)?
        {
            let output = self.output(copy, ended.own_key());
            return Ok(ended.with_output(output));
        }
        let ended = match self.solver.files(copy.from)? {
            None => {
                let mut sources = Sources::new(self.solver.context_of(copy.from)?.source());
                let obtained = self.obtain(&remotes, &mut sources, hear)?;
                let pieces = copy::gather(copy, &sources, obtained)?;
                self.copy_from(copy, pieces, sources, hear)?
            }
            Some(mut files) => {
                let name = self.solver.files_name(copy.from);
                let layers = files.source(&name, self.solver.store)?;
                let sources = Sources::new(Source::Layers(&layers));
                let pieces = copy::gather(copy, &sources, Vec::new())?;
                self.copy_from(copy, pieces, sources, hear)?
            }
        };
        if let Some(key) = by_name {
            self.solver.keep(key, &ended.by_content())?;
        }
        Ok(ended)
    }

    /// What a copy depends on besides the content that it copies, on files with this key.
    fn copy_definition(&self, copy: &Copy, parent: Key) -> Definition {
        let parent = (!copy.stands_alone()).then_some(parent);
        key::copy(copy, parent, self.solver.options.source_date_epoch)
    }

    /// What the next step is keyed by after a copy whose own key knows nothing of what it is put on.
    fn output(&self, copy: &Copy, key: Key) -> Option<Key> {
        copy.stands_alone().then(|| key::link(self.files.key, key))
    }

    fn copy_from(
        &mut self,
        copy: &Copy,
        pieces: Vec<Piece>,
        mut sources: Sources<'_>,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Ended, Error> {
        let shape = key::shape(&pieces);
        let shapes = self.keys(|parent| key::of_shape(self.copy_definition(copy, parent), shape));
        self.solver.collected.shape(shapes.own);
        let may_match = self.may_match(&shapes)?;
        if may_match {
            // A record may match: it costs less to read the files than to write them in vain.
            copy::hash_missing(&pieces, &sources, &self.solver.interrupt)?;
        }
        if let Some(content) = key::content(&pieces)
            && let Some(ended) = self.found(copy, content)?
        {
            return Ok(ended);
        }
        let layer = self.write(copy, &pieces, &mut sources, hear)?;
        // What one source put where a later one went was not read.
        copy::hash_missing(&pieces, &sources, &self.solver.interrupt)?;
        let content =
            key::content(&pieces).ok_or_else(|| Error::internal("a digest is missing"))?;
        for shape in [Some(shapes.own), shapes.same].into_iter().flatten() {
            record::put_shape(self.solver.store, &shape)?;
        }
        // A cache that came from elsewhere may have it without its shape.
        if !may_match && let Some(ended) = self.found(copy, content)? {
            return Ok(ended);
        }
        let (own, fields) =
            key::of_content(self.copy_definition(copy, self.files.key), content).parts();
        let traced = self.missed(own, fields, Some(Table::of(&pieces)));
        let output = self.output(copy, own);
        self.remember(self.content_keys(copy, content), Outcome { traced, layer, output })
    }

    fn content_keys(&self, copy: &Copy, content: Key) -> Keys {
        self.keys(|parent| key::of_content(self.copy_definition(copy, parent), content).key())
    }

    /// A copy of this content from the cache.
    fn found(&self, copy: &Copy, content: Key) -> Result<Option<Ended>, Error> {
        let ended = self.cached_by(&self.content_keys(copy, content))?;
        Ok(ended.map(|ended| {
            let output = self.output(copy, ended.own_key());
            ended.with_output(output)
        }))
    }

    /// Whether a copy of this shape was ever made here: if not, no record can match.
    fn may_match(&self, shapes: &Keys) -> Result<bool, Error> {
        let store = self.solver.store;
        let known = |shape: Key| record::shape_is_known(store, &shape);
        let known = known(shapes.own)? || shapes.same.map_or(Ok(false), known)?;
        Ok(known && self.ignored().is_none())
    }

    fn write(
        &mut self,
        copy: &Copy,
        pieces: &[Piece],
        sources: &mut Sources<'_>,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<(LayerRef, tree::Changeset), Error> {
        let solver = self.solver;
        let pieces = unpacked(solver, pieces, sources)?;
        // With --link the layer is made as if there were nothing below it.
        let tree = match copy.link {
            true => std::sync::Arc::default(),
            false => self.files.tree(solver.store)?,
        };
        let owner = match &copy.chown {
            Some(owner) => Some(self.owner(owner, copied, hear)?),
            None => None,
        };
        let target = Target {
            tree: &tree,
            destination: &copy.destination,
            owner,
            mode: copy.chmod.as_ref(),
            time: solver.time(),
        };
        let placed = copy::place(pieces, &target)?;
        solver.layer(|out| copy::write(&placed, sources, out, &solver.interrupt))
    }

    /// Who `user[:group]` is, by the image's own files, which `find` looks at. Who is not there is root,
    /// as with BuildKit, but not without a word.
    fn owner(
        &mut self,
        owner: &str,
        find: Find,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<(u32, u32), Error> {
        let users = self.users()?;
        match find(&users, owner) {
            Ok(found) => Ok(found),
            // Nor has BuildKit any files here to look names up in.
            Err(source) if self.files.layers.is_empty() => {
                Err(Error::Owner { owner: owner.to_owned(), source })
            }
            Err(why) => {
                let (uid, gid) = known_part(&users, owner, find);
                let note = format!("warning: {why}: the files belong to {uid}:{gid}\n");
                hear(note.as_bytes());
                Ok((uid, gid))
            }
        }
    }

    /// The image's users, so far.
    pub(super) fn users(&mut self) -> Result<image::Users, Error> {
        let layers = self.files.source("the image", self.solver.store)?;
        let text = |path: &str| {
            let path = LayerPath::new(path).map_err(|e| Error::path(&LayerPath::root(), e))?;
            let bytes = layers.text(&path)?.unwrap_or_default();
            Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(image::Users { passwd: text("etc/passwd")?, group: text("etc/group")? })
    }

    /// `WORKDIR` makes the directory where it is missing.
    pub(super) fn workdir(
        &mut self,
        path: &str,
        owner: &str,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Ended, Error> {
        let epoch = self.solver.options.source_date_epoch;
        let (own, fields) = key::workdir(path, owner, self.files.key, epoch).parts();
        let keys = self.keys(|parent| key::workdir(path, owner, parent, epoch).key());
        if let Some(ended) = self.cached_by(&keys)? {
            return Ok(ended);
        }
        let traced = self.missed(own, fields, None);
        let tree = self.files.tree(self.solver.store)?;
        let owner = if owner.is_empty() { None } else { Some(self.owner(owner, user, hear)?) };
        let destination = format!("{path}/");
        let target = Target {
            tree: &tree,
            destination: &destination,
            owner,
            mode: None,
            time: self.solver.time(),
        };
        let piece = Piece::directory(Vec::new(), Vec::new());
        let placed = copy::place(vec![piece], &target)?;
        let nothing = Sources::new(self.solver.contexts.main().source());
        let solver = self.solver;
        let layer = solver.layer(|out| copy::write(&placed, &nothing, out, &solver.interrupt))?;
        self.remember(keys, Outcome { traced, layer, output: None })
    }
}

/// How `user[:group]` is looked up.
type Find = fn(&Users, &str) -> Result<(u32, u32), UserError>;

/// Who files are copied for.
fn copied(users: &Users, owner: &str) -> Result<(u32, u32), UserError> {
    let (uid, gid) = user(users, &with_root(owner, users))?;
    // A number alone names the group as well (Dockerfile reference, "COPY --chown"), and a colon
    // with nothing behind it the group 0.
    let numeric = !owner.contains(':') && owner.bytes().all(|byte| byte.is_ascii_digit());
    Ok(match owner.ends_with(':') {
        true => (uid, 0),
        false if numeric => (uid, uid),
        false => (uid, gid),
    })
}

/// Who a command runs as.
fn user(users: &Users, user: &str) -> Result<(u32, u32), UserError> {
    users.resolve(user, &[]).map(|user| (user.uid, user.gid))
}

/// What is known of an owner that is not known as a whole.
fn known_part(users: &Users, owner: &str, find: Find) -> (u32, u32) {
    let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
    let (uid, gid) = find(users, user).unwrap_or_default();
    match users.resolve(&format!("0:{group}"), &[]) {
        Ok(found) if !group.is_empty() => (uid, found.gid),
        _ => (uid, gid),
    }
}

/// The owner with 0 for a root that the image does not list: it is the same one everywhere.
fn with_root(owner: &str, users: &Users) -> String {
    let known = |file: &str| file.lines().any(|line| line.starts_with("root:"));
    let number = |name: &str, file: &str| match name == "root" && !known(file) {
        true => "0".to_owned(),
        false => name.to_owned(),
    };
    match owner.split_once(':') {
        Some((user, group)) => {
            format!("{}:{}", number(user, &users.passwd), number(group, &users.group))
        }
        None => number(owner, &users.passwd),
    }
}

/// The pieces with archives replaced by what is in them, where they are unpacked.
fn unpacked(
    solver: &Solver<'_>,
    pieces: &[Piece],
    sources: &mut Sources<'_>,
) -> Result<Vec<Piece>, Error> {
    let mut result = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let archive = match piece.unpack {
            true => archive(solver, piece, &sources.at(piece.place)?)?,
            false => None,
        };
        let Some(archive) = archive else {
            result.push(piece.clone());
            continue;
        };
        let mut items = archive.layers.walk(&LayerPath::root())?;
        // As BuildKit: what else a tar says of a file belongs to the host where it was made.
        let kept = |name: &Vec<u8>| name == b"security.capability";
        items.iter_mut().for_each(|item| item.metadata.xattrs.retain(|name, _| kept(name)));
        let place = sources.add_archive(archive);
        result.push(Piece { place, ..Piece::directory(Vec::new(), items) });
    }
    Ok(result)
}

fn archive(
    solver: &Solver<'_>,
    piece: &Piece,
    source: &Source<'_>,
) -> Result<Option<Archive>, Error> {
    let Some(ItemKind::File(file)) = piece.items.first().map(|item| &item.kind) else {
        return Ok(None);
    };
    if piece.directory {
        return Ok(None);
    }
    let mut reading = source.open(file)?;
    let name = reading.name().to_owned();
    if !is_archive(&mut reading).map_err(|error| Error::io("read", &name, error))? {
        return Ok(None);
    }
    let spool = solver.store.build_dir().join("spool");
    Archive::read(&name, source.open(file)?, &spool, &solver.interrupt).map(Some)
}

impl Solver<'_> {
    /// Writes a layer, whole or not at all.
    pub(super) fn layer(
        &self,
        write: impl FnOnce(&mut LayerWriter<BlobWriter>) -> Result<(), Error>,
    ) -> Result<(LayerRef, tree::Changeset), Error> {
        let mut out = LayerWriter::new(self.store.blob_writer()?);
        if let Some(seconds) = self.options.source_date_epoch {
            out = out.with_max_mtime(Timestamp { seconds, nanoseconds: 0 });
        }
        write(&mut out)?;
        let (blob, changeset) = out.finish()?;
        if !changeset.is_empty() {
            return Ok((self.commit(blob, &changeset)?, changeset));
        }
        // Many steps change nothing, and all their layers are the same.
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let layer = match &*empty {
            Some(layer) => layer.clone(),
            None => empty.insert(self.commit(blob, &changeset)?).clone(),
        };
        Ok((layer, changeset))
    }

    fn commit(&self, blob: BlobWriter, changeset: &tree::Changeset) -> Result<LayerRef, Error> {
        let (descriptor, diff_id) = self.store.commit_layer(blob, changeset)?;
        Ok(LayerRef { descriptor, diff_id })
    }

    /// The time of what has none of its own.
    pub(super) fn time(&self) -> Timestamp {
        Timestamp { seconds: self.options.source_date_epoch.unwrap_or(0), nanoseconds: 0 }
    }
}
