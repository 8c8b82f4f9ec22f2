//! All contexts of a build. One that has a name is opened when a step first reads it.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Context, Opener};
use crate::Error;
use crate::options::NamedSource;

/// The main context, and those that have a name.
pub(crate) struct Contexts<'a> {
    main: Context,
    named: Vec<(NamedSource, OnceLock<Context>)>,
    opener: Opener<'a>,
    opening: Mutex<()>,
}

impl<'a> Contexts<'a> {
    pub(crate) fn new(main: Context, named: Vec<NamedSource>, opener: Opener<'a>) -> Self {
        let named = named.into_iter().map(|source| (source, OnceLock::new())).collect();
        Self { main, named, opener, opening: Mutex::default() }
    }

    pub(crate) fn main(&self) -> &Context {
        &self.main
    }

    /// The context with this index.
    pub(crate) fn named(&self, index: usize) -> Result<&Context, Error> {
        let (source, context) =
            self.named.get(index).ok_or_else(|| Error::internal("there is no such context"))?;
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = context.get() {
            return Ok(context);
        }
        let opened = self.opener.named(source)?;
        let opened = opened.ok_or_else(|| Error::internal("an image was read as a context"))?;
        Ok(context.get_or_init(|| opened))
    }

    /// Keeps what was learned about files for the next build.
    pub(crate) fn save(&self) {
        let opened = self.named.iter().filter_map(|(_, context)| context.get());
        opened.chain([&self.main]).for_each(Context::save);
    }
}
