//! A Dockerfile checked or described, and nothing built: what `--call` asks for.
//!
//! Images are looked up in the store and never pulled. What an image that is not there would set is
//! not known, and rules that depend on it say nothing.

use dockerfile::lint::{Finding, Options};
use dockerfile::{Directives, Dockerfile, ParseError, Source};
use store::Store;

use crate::images::AtHand;
use crate::materials::Materials;
use crate::plan::{self, BuildArgs, Examined, Outline};
use crate::{BuildOptions, Error, Inputs, Interrupt, Silent};

/// The build argument that takes the `check` directive's place.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What there is to say of a Dockerfile.
#[derive(Debug)]
pub struct Checked {
    /// The Dockerfile's name and text.
    pub source: Source,
    /// The Dockerfile, as far as it could be read.
    pub dockerfile: Option<Dockerfile>,
    /// What the rules that run say, in the order in which they were met.
    pub findings: Vec<Finding>,
    /// The target's parameters, or why the file cannot be built.
    pub outline: Result<Outline, Error>,
}

/// Checks a Dockerfile and describes its target; without one, all stages are checked.
///
/// # Errors
/// The Dockerfile or its context cannot be read. What is wrong in the Dockerfile is in the result.
pub fn check(store: &Store, inputs: Inputs, options: &BuildOptions) -> Result<Checked, Error> {
    let Inputs { dockerfile, context, named } = inputs;
    let interrupt = Interrupt::new();
    let materials = Materials::default();
    let opener = crate::opener(store, options, &Silent, &interrupt, &materials);
    let (context, dockerfile) = match opener.open(context, dockerfile) {
        Ok(opened) => opened,
        Err(Error::Dockerfile(error)) => {
            return Ok(Checked::unreadable(error, &options.build_args));
        }
        Err(error) => return Err(error),
    };
    let platform = options.platforms.first().cloned();
    let settings = crate::settings(options, platform, &context, &crate::meanings(&named));
    let settings = plan::Settings { check: true, ..settings };
    let rules = match rules(&dockerfile.directives, &dockerfile.source, &options.build_args) {
        Ok(rules) => rules,
        Err(error) => return Ok(Checked::refused(dockerfile, error)),
    };
    let Examined { plan, findings } = plan::examine(&dockerfile, &settings, &mut AtHand(store));
    let findings = rules.filter(findings);
    let outline = plan.and_then(|plan| refuse(&rules, &findings).map(|()| plan.outline));
    let source = dockerfile.source.clone();
    Ok(Checked { source, dockerfile: Some(dockerfile), findings, outline })
}

impl Checked {
    fn unreadable(error: ParseError, given: &BuildArgs) -> Self {
        let source = error.file().clone();
        let (findings, error) = match rules(error.directives(), &source, given) {
            Ok(rules) => (rules.filter(error.findings().to_vec()), error.into()),
            Err(refused) => (Vec::new(), refused),
        };
        Self { source, dockerfile: None, findings, outline: Err(error) }
    }

    fn refused(dockerfile: Dockerfile, error: Error) -> Self {
        let source = dockerfile.source.clone();
        Self { source, dockerfile: Some(dockerfile), findings: Vec::new(), outline: Err(error) }
    }
}

/// Which rules run: as the build argument `BUILDKIT_DOCKERFILE_CHECK` says, or else the directive.
///
/// # Errors
/// Options that cannot be understood; those of the directive with its place.
pub fn rules(
    directives: &Directives,
    source: &Source,
    given: &BuildArgs,
) -> Result<Options, Error> {
    if let Some(text) = given.get(ARGUMENT) {
        let source = |source| Error::CheckOptions { name: ARGUMENT, source };
        return Options::parse(text).map_err(source);
    }
    let Some((text, lines)) = &directives.check else { return Ok(Options::default()) };
    // The first blank ends the options, as in BuildKit.
    let text = text.split(' ').next().unwrap_or_default();
    Options::parse(text).map_err(|error| source.error(*lines, error).into())
}

/// Findings of the rules that run are an error where the options say so.
///
/// # Errors
/// [`Error::Lint`].
pub fn refuse(options: &Options, findings: &[Finding]) -> Result<(), Error> {
    if !options.error || findings.is_empty() {
        return Ok(());
    }
    let mut rules: Vec<&'static str> = Vec::new();
    for finding in findings {
        if !rules.contains(&finding.rule.name) {
            rules.push(finding.rule.name);
        }
    }
    Err(Error::Lint { rules })
}
