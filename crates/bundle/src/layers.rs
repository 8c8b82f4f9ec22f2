//! From layers in the store to a root file system that can be mounted.

use std::borrow::Cow;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use image::manifest::Descriptor;
use image::{ChainId, DiffId};
use rootfs::{Base, Driver, LayerTar, Prepared, prepare_over};
use store::{Layer, Store};
use tree::Tree;

use crate::Error;

/// Makes what is needed to mount `layers`, lowest first, on top of each other; what the store has
/// already is found and neither read nor checked again. `tree` is their fold, if the caller has it.
///
/// Without a `driver`, the better one that works for the store is taken. A stack that EROFS cannot index is always prepared as a directory;
/// [`Prepared::driver`] tells.
///
/// # Errors
/// A layer is missing or corrupt, the layers do not fit each other, or the disk is full.
pub fn prepare_rootfs(
    store: &Store,
    layers: &[(Descriptor, DiffId)],
    driver: Option<Driver>,
    tree: Option<&Tree>,
) -> Result<Prepared, Error> {
    let tars = tars(store, layers)?;
    let diff_ids: Vec<_> = layers.iter().map(|(_, diff_id)| *diff_id).collect();
    let at = store.rootfs_path(&ChainId::of(&diff_ids));
    if let Some(found) = Prepared::find(driver.unwrap_or(Driver::Erofs), &tars, &at) {
        return Ok(found);
    }
    let directory = at.parent().unwrap_or(store.root());
    let driver = driver.unwrap_or_else(|| Driver::probe(directory).0);
    let fold_all = || match tree {
        Some(tree) => Ok(Cow::Borrowed(tree)),
        None => fold(store, layers).map(Cow::Owned),
    };
    let base = || base(store, layers);
    match prepare_over(driver, fold_all, &tars, &at, base) {
        // What EROFS cannot show, a directory can.
        Err(rootfs::Error::Index(_)) => {
            Ok(prepare_over(Driver::Directory, fold_all, &tars, &at, base)?)
        }
        other => Ok(other?),
    }
}

/// The directory of the longest stack of the lowest layers that has been prepared as one.
fn base(store: &Store, layers: &[(Descriptor, DiffId)]) -> Option<Base> {
    let diff_ids: Vec<_> = layers.iter().map(|(_, diff_id)| *diff_id).collect();
    (1..layers.len()).rev().find_map(|count| {
        let at = store.rootfs_path(&ChainId::of(&diff_ids[..count]));
        let found = Prepared::find(Driver::Directory, &[], &at)?;
        // Without its tree the base is of no use, and the files are written anew.
        let tree = fold(store, &layers[..count]).ok()?;
        Some(Base { tree, path: found.path })
    })
}

/// The tree that the layers make.
pub(crate) fn fold(store: &Store, layers: &[(Descriptor, DiffId)]) -> Result<Tree, FoldFailure> {
    let mut tree = Tree::new();
    for (number, (descriptor, diff_id)) in (0..).zip(layers) {
        let changeset = store.layer(descriptor, diff_id)?.changeset()?;
        tree.apply(number, &changeset)?;
    }
    Ok(tree)
}

/// Why layers do not fold.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum FoldFailure {
    Store(#[from] store::Error),
    Fold(#[from] tree::FoldError),
}

/// The tars of the layers. What is missing is unpacked, several at a time: that is work for the
/// processor.
pub(crate) fn tars(store: &Store, layers: &[(Descriptor, DiffId)]) -> Result<Vec<LayerTar>, Error> {
    let there = layers.iter().map(|(_, diff_id)| store.layer_tar(diff_id)).collect::<Option<_>>();
    let found: Vec<_> = match there {
        Some(found) => found,
        None => make(store, layers)?.into_iter().map(|layer| (layer.tar, layer.size)).collect(),
    };
    Ok(found.into_iter().map(|(path, size)| LayerTar { path, size }).collect())
}

fn make(store: &Store, layers: &[(Descriptor, DiffId)]) -> Result<Vec<Layer>, Error> {
    let made: Vec<_> = layers.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((descriptor, diff_id)) = layers.get(number) else { break };
            let result = store.layer(descriptor, diff_id);
            *made[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(layers.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    made.into_iter()
        .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
        .map(|result| Ok(result.expect("every number up to the last was taken")?))
        .collect()
}
