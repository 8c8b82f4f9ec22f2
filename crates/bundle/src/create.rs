//! Making a bundle.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use image::RunOptions;
use rootfs::{Driver, Mount, Prepared, ReadWrite};
use store::{Holder, Image, Lease, Store};

use crate::Error;
use crate::layers::prepare_rootfs;
use crate::record::{NAME, Record, partial, write_json};
use crate::release::take_away;
use crate::user_namespace;
use crate::users::read_users;
use crate::volumes;

/// How a bundle is made.
#[derive(Clone, Debug, Default)]
pub struct BundleOptions {
    /// What the container is to run, and how.
    pub run: RunOptions,
    /// How the root file system is mounted; with none, the best way that works.
    pub driver: Option<Driver>,
    /// The name by which the image was asked for, to be remembered in `tare.json`.
    pub reference: Option<String>,
    /// Mount the root file system itself read-only, without a read-write layer. The runtime can make
    /// no mount points in it then: the image must have them.
    pub read_only_rootfs: bool,
    /// Never sync the read-write layer to the disk: for a container that does not outlive a crash of
    /// the machine anyway. A release is much faster.
    pub volatile: bool,
    /// Set by someone else, it stops the work; all is undone then.
    pub interrupt: Option<Arc<AtomicBool>>,
}

/// A bundle that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its directory, absolute.
    pub dir: PathBuf,
    /// How its root file system is mounted.
    pub driver: Driver,
}

/// Makes a bundle of `image` in `dir`, which must be missing or empty; its parent must be there. The
/// directory is its owner's alone: an image may hold set-user-ID programs with known holes.
///
/// # Errors
/// [`Error::NotEmpty`]; options that contradict each other or the image; a missing or corrupt layer;
/// a full disk; a kernel that refuses the mount. Nothing is left then: no mount, no lease, no file.
pub fn create(
    store: &Store,
    image: &Image,
    dir: &Path,
    options: &BundleOptions,
) -> Result<Bundle, Error> {
    let dir = std::path::absolute(dir).map_err(Error::io("name", dir))?;
    let mut draft = Draft::start(store, image, dir, options)?;
    let driver = draft.fill(store, image, options)?;
    Ok(draft.finish(driver))
}

/// A bundle in the making. Dropped, it takes away what there is of it.
struct Draft {
    dir: PathBuf,
    /// Whether the directory itself is ours to remove.
    is_new: bool,
    /// The image, kept in the store.
    lease: Option<Lease>,
    record: Option<Record>,
    mount: Option<Mount>,
    interrupt: Option<Arc<AtomicBool>>,
    done: bool,
}

impl Draft {
    fn start(
        store: &Store,
        image: &Image,
        dir: PathBuf,
        options: &BundleOptions,
    ) -> Result<Self, Error> {
        let is_new = make_directory(&dir)?;
        let interrupt = options.interrupt.clone();
        let mut draft =
            Self { dir, is_new, lease: None, record: None, mount: None, interrupt, done: false };
        draft.check_interrupt()?;
        let digest = image.digest()?;
        let holds = [digest, *image.chain_id().digest()];
        let lease = store.lease(&holds, Holder::Bundle(&draft.dir))?;
        let record = Record {
            image: digest,
            reference: options.reference.clone(),
            store: store.root().to_owned(),
            lease: lease.id().to_owned(),
            driver: None,
            mounts: vec!["rootfs".into()],
        };
        draft.lease = Some(lease);
        record.write(&draft.dir)?;
        draft.record = Some(record);
        Ok(draft)
    }

    /// Mounts the root file system and writes the configuration for it.
    fn fill(
        &mut self,
        store: &Store,
        image: &Image,
        options: &BundleOptions,
    ) -> Result<Driver, Error> {
        let prepared = prepare_rootfs(store, &image.layers(), options.driver, None)?;
        self.check_interrupt()?;
        let driver = match self.mount(&prepared, options) {
            Err(error) => self.mount_otherwise(error, store, image, &prepared, options)?,
            Ok(()) => prepared.driver,
        };
        let users = read_users(&self.dir.join("rootfs"))?;
        let mut run = options.run.clone();
        run.rootfs = "rootfs".into();
        run.read_only |= options.read_only_rootfs;
        run.user_namespace = user_namespace();
        if !options.read_only_rootfs {
            volumes::add(&self.dir.join("rootfs"), &image.config.config.volumes, &mut run)?;
        }
        let spec = image::runtime_spec(&image.config, &run, &users)?;
        write_json(&self.dir.join("config.json"), &spec)?;
        if let Some(record) = &mut self.record {
            record.driver = Some(driver.to_string());
            record.write(&self.dir)?;
        }
        self.check_interrupt()?;
        Ok(driver)
    }

    fn mount(&mut self, prepared: &Prepared, options: &BundleOptions) -> Result<(), Error> {
        let target = self.dir.join("rootfs");
        make_private(&target)?;
        let rw = self.dir.join("rw");
        let read_write = ReadWrite {
            upper: rw.join("upper"),
            work: rw.join("work"),
            volatile: options.volatile,
        };
        let read_write = (!options.read_only_rootfs).then_some(&read_write);
        if read_write.is_some() {
            make_private(&rw)?;
        }
        self.mount = Some(rootfs::mount(prepared, read_write, &target)?);
        Ok(())
    }

    /// An index that was made before may be damaged, or of no use to the kernel that runs now: it is
    /// a cache, so it is made anew, in the way that works now.
    fn mount_otherwise(
        &mut self,
        error: Error,
        store: &Store,
        image: &Image,
        prepared: &Prepared,
        options: &BundleOptions,
    ) -> Result<Driver, Error> {
        let Error::Rootfs(rootfs::Error::Mount { filesystem: "erofs", .. }) = &error else {
            return Err(error);
        };
        let works = Driver::probe(&self.dir).0 == Driver::Erofs;
        let driver = match (options.driver, works) {
            (_, true) => Some(Driver::Erofs),
            (None, false) => Some(Driver::Directory),
            (Some(_), false) => return Err(error),
        };
        if works {
            fs::remove_file(&prepared.path).map_err(Error::io("remove", &prepared.path))?;
        }
        let again = prepare_rootfs(store, &image.layers(), driver, None)?;
        self.mount(&again, options)?;
        Ok(again.driver)
    }

    fn finish(mut self, driver: Driver) -> Bundle {
        self.done = true;
        if let Some(mount) = self.mount.take() {
            mount.keep();
        }
        Bundle { dir: self.dir.clone(), driver }
    }

    fn check_interrupt(&self) -> Result<(), Error> {
        match &self.interrupt {
            Some(flag) if flag.load(Ordering::Relaxed) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.mount.take();
        // The error that led here is the one to tell. If this fails, tare.json stays for a release.
        if take_away(&self.dir).is_ok() {
            let _ = fs::remove_file(self.dir.join(NAME));
            if let Some(lease) = self.lease.take() {
                lease.release();
            }
            if self.is_new {
                let _ = fs::remove_dir(&self.dir);
            }
        }
    }
}

/// Makes the bundle's directory, or accepts an empty one. Says whether it is new.
fn make_directory(dir: &Path) -> Result<bool, Error> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", dir)(error)),
    }
    // A record that was cut short on its way to disk is no record, and nothing else of ours.
    let rest = partial(Path::new(NAME));
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let entry = entry.map_err(Error::io("read", dir))?;
        if Path::new(&entry.file_name()) != rest {
            return Err(Error::NotEmpty(dir.to_owned()));
        }
    }
    Ok(false)
}

fn make_private(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", path)(error))
        }
        _ => Ok(()),
    }
}
