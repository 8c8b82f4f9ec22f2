//! What one copy reads from: its main source, and what was fetched or unpacked for it.

use crate::Error;
use crate::git::Checkout;
use crate::source::{Archive, Source};

/// Where the items of a piece are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The context, a stage or an image.
    Main,
    /// A git checkout, by its index.
    Checkout(usize),
    /// An archive that is unpacked, by its index.
    Archive(usize),
}

/// The sources of one copy.
pub(crate) struct Sources<'a> {
    main: Source<'a>,
    checkouts: Vec<Checkout>,
    archives: Vec<Archive>,
}

impl<'a> Sources<'a> {
    /// A copy that reads from `main`.
    pub(crate) fn new(main: Source<'a>) -> Self {
        Self { main, checkouts: Vec::new(), archives: Vec::new() }
    }

    pub(crate) fn main(&self) -> &Source<'a> {
        &self.main
    }

    pub(crate) fn add_checkout(&mut self, checkout: Checkout) -> Place {
        self.checkouts.push(checkout);
        Place::Checkout(self.checkouts.len() - 1)
    }

    pub(crate) fn add_archive(&mut self, archive: Archive) -> Place {
        self.archives.push(archive);
        Place::Archive(self.archives.len() - 1)
    }

    /// The source at a place that this gave.
    pub(crate) fn at(&self, place: Place) -> Result<Source<'_>, Error> {
        let source = match place {
            Place::Main => Some(self.main),
            Place::Checkout(index) => {
                self.checkouts.get(index).map(|checkout| Source::Directory(&checkout.directory))
            }
            Place::Archive(index) => {
                self.archives.get(index).map(|archive| Source::Layers(&archive.layers))
            }
        };
        source.ok_or_else(|| Error::internal("a copy reads from a source that it has not"))
    }
}
