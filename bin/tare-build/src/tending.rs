//! The bound of the build cache: `TARE_BUILD_CACHE`.

use store::Store;

use crate::arguments::environment;
use crate::progress::Report;

/// The variable.
const NAME: &str = "TARE_BUILD_CACHE";

/// How large the build cache may become.
pub(crate) enum Tending {
    /// As large as is usual.
    Usual,
    /// Bytes.
    Bound(u64),
    /// `unlimited`
    None,
}

impl Tending {
    /// What the environment says.
    pub(crate) fn resolve() -> anyhow::Result<Self> {
        match environment(NAME).as_deref() {
            None | Some("") => Ok(Self::Usual),
            Some("unlimited") => Ok(Self::None),
            Some(size) => image::parse::size(size).map(Self::Bound).map_err(|error| {
                cli::usage(format!("{NAME} is {size:?}, neither a size nor unlimited: {error}"))
            }),
        }
    }

    /// Brings the cache within its bound. Where that fails, the next build does it.
    pub(crate) fn tend(&self, store: &Store, report: &dyn Report) {
        let bounded = match self {
            Self::None => return,
            Self::Bound(bytes) => store.bound_cache(*bytes),
            Self::Usual => store.cache_bound().and_then(|bytes| store.bound_cache(bytes)),
        };
        if let Err(error) = bounded {
            let error = anyhow::Error::new(error);
            report.warn(&format!("cannot bound the build cache: {error:#}"));
        }
    }
}
