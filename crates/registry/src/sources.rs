//! An image from the first place that gives it: its registry's mirrors, then the registry.
//!
//! What a mirror began, the next place completes: the blobs that came are in the store.

use std::sync::atomic::AtomicBool;

use image::Reference;

use crate::Error;
use crate::cancel;
use crate::endpoint::Endpoint;
use crate::options::{Options, Retries};
use crate::progress::{Event, Progress};
use crate::registries::Source;
use crate::session::Session;

/// A mirror that does not answer is left soon: there is another place.
const MIRROR_ATTEMPTS: u32 = 2;

/// How an image is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) options: &'a Options,
    /// What is to be allowed where there is a token server: `pull`.
    pub(crate) rights: &'a str,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) interrupt: &'a AtomicBool,
}

impl Reading<'_> {
    /// Does `work` with one place after another, until one does not fail. It is given the image's name
    /// there.
    ///
    /// # Errors
    /// That of the last place, or what is not a place's fault.
    pub(crate) fn first<T>(
        &self,
        reference: &Reference,
        work: impl Fn(&Session<'_>, &Reference) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mirrors, registry) = self.options.registries.sources(reference)?;
        let hasty = Options {
            retries: Retries {
                attempts: self.options.retries.attempts.min(MIRROR_ATTEMPTS),
                ..self.options.retries
            },
            ..self.options.clone()
        };
        for mirror in &mirrors {
            match self.with(mirror, &hasty, &work) {
                Err(error @ Error::Registry { .. }) => self
                    .progress
                    .event(Event::Mirror { name: &mirror.reference, reason: error.one_line() }),
                done => return done,
            }
        }
        self.with(&registry, self.options, &work)
    }

    /// Does `work` with one place.
    ///
    /// # Errors
    /// Those of `work`, and where there is no connection.
    pub(crate) fn with<T>(
        &self,
        source: &Source,
        options: &Options,
        work: impl Fn(&Session<'_>, &Reference) -> Result<T, Error>,
    ) -> Result<T, Error> {
        cancel::watching(self.interrupt, |cancel| {
            let endpoint = Endpoint::of(source);
            let scopes = vec![format!("repository:{}:{}", endpoint.repository(), self.rights)];
            let session = Session::connect_to(&endpoint, options, self.progress, cancel, scopes)?;
            work(&session, &source.reference)
        })
    }
}
