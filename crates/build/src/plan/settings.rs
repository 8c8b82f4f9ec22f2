//! What shapes a plan besides the Dockerfile.

use dockerfile::IgnorePatterns;
use image::{ImageConfig, Platform};

use super::{BuildArgs, Entitlements, NamedContexts, Network};
use crate::Error;

/// What the user said about the build, as far as it shapes the plan.
#[derive(Clone, Debug)]
pub struct Request {
    /// The image's name as the Dockerfile has it, variables expanded.
    pub name: String,
    /// The platform wanted of it.
    pub platform: Platform,
}

/// Gives the configuration of images that the Dockerfile names.
pub trait Bases {
    /// The configuration of the image, which is asked for once per plan.
    ///
    /// # Errors
    /// Where there is no such image.
    fn config(&mut self, request: &Request) -> Result<ImageConfig, Error>;

    /// As [`Bases::config`], but for a check: none where the image is not at hand. What depends on it
    /// is then not looked at.
    ///
    /// # Errors
    /// As [`Bases::config`].
    fn at_hand(&mut self, request: &Request) -> Result<Option<ImageConfig>, Error> {
        self.config(request).map(Some)
    }
}

/// What shapes a plan besides the Dockerfile.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--build-arg`
    pub build_args: BuildArgs,
    /// `--target`: a stage's name or number; the last stage without.
    pub target: Option<String>,
    /// `--platform`; the host's without.
    pub platform: Option<Platform>,
    /// The platform of this machine.
    pub host: Platform,
    /// `--network`
    pub network: Network,
    /// `--label`
    pub labels: Vec<(String, String)>,
    /// `--allow`
    pub allow: Entitlements,
    /// `--build-context`
    pub contexts: NamedContexts,
    /// What the context leaves out, as far as checks look at it.
    pub ignored: IgnorePatterns,
    /// Only to be checked and described: without a target all stages are looked at, and an image
    /// that is not at hand is no error.
    pub check: bool,
}
