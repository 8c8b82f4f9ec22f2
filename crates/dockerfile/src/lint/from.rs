//! FROM once it is expanded: UndefinedArgInFrom, InvalidDefaultArgInFrom, RedundantTargetPlatform,
//! FromPlatformFlagConstDisallowed, InvalidBaseImagePlatform.

use super::Finding;
use super::rule::{
    FROM_PLATFORM_FLAG_CONST_DISALLOWED, INVALID_BASE_IMAGE_PLATFORM, INVALID_DEFAULT_ARG_IN_FROM,
    REDUNDANT_TARGET_PLATFORM, UNDEFINED_ARG_IN_FROM,
};
use crate::source::Lines;
use crate::suggest::closest;

/// The value of `FROM --platform`, and what its expansion met.
#[derive(Clone, Copy, Debug)]
pub struct FromWord<'a> {
    /// As the Dockerfile has it.
    pub written: &'a str,
    /// Expanded.
    pub result: &'a str,
    /// The variables that had a value.
    pub found: &'a [String],
    /// The variables that had none.
    pub missing: &'a [String],
}

/// A platform as a FROM's rules look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformParts<'a> {
    /// `linux`
    pub os: &'a str,
    /// `amd64`
    pub architecture: &'a str,
    /// `linux/amd64`, with the variant.
    pub text: &'a str,
}

/// Variables of a FROM that have no value and that no global ARG declares.
pub fn undeclared_in_from(
    missing: &[String],
    declared: &[&str],
    lines: Lines,
    findings: &mut Vec<Finding>,
) {
    for name in missing.iter().filter(|name| !declared.contains(&name.as_str())) {
        let mut detail = format!("FROM argument '{name}' is not declared");
        if let Some(meant) = closest(name, declared) {
            detail += &format!(" (did you mean {meant}?)");
        }
        findings.push(Finding::new(&UNDEFINED_ARG_IN_FROM, lines, detail));
    }
}

/// A base that is no image's name when no build argument is given. `valid` says whether it is one.
pub fn default_base(written: &str, valid: bool, lines: Lines) -> Option<Finding> {
    let detail =
        format!("Default value for ARG {written} results in empty or invalid base image name");
    (!valid).then(|| Finding::new(&INVALID_DEFAULT_ARG_IN_FROM, lines, detail))
}

/// `--platform=$TARGETPLATFORM`, which is what a FROM does anyhow.
pub fn redundant_platform(word: FromWord<'_>, target: &str, lines: Lines) -> Option<Finding> {
    let only = word.missing.is_empty() && word.found == ["TARGETPLATFORM"];
    let detail = format!(
        "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
        word.written
    );
    (only && word.result == target).then(|| Finding::new(&REDUNDANT_TARGET_PLATFORM, lines, detail))
}

/// `--platform=linux/amd64`, unless the stage's name says that it is meant so.
pub fn constant_platform(
    word: FromWord<'_>,
    stage: Option<&str>,
    platform: PlatformParts<'_>,
    lines: Lines,
) -> Option<Finding> {
    let constant = word.missing.is_empty() && word.found.is_empty();
    let stage = stage.unwrap_or_default();
    let meant = stage.contains(platform.os) || stage.contains(platform.architecture);
    let detail = format!("FROM --platform flag should not use constant value {:?}", word.result);
    (constant && !meant).then(|| Finding::new(&FROM_PLATFORM_FLAG_CONST_DISALLOWED, lines, detail))
}

/// An image that is for another machine than the stage.
pub fn base_platform(
    image: &str,
    expected: PlatformParts<'_>,
    actual: PlatformParts<'_>,
    lines: Lines,
) -> Option<Finding> {
    let same = (expected.os, expected.architecture) == (actual.os, actual.architecture);
    let detail = format!(
        "Base image {image} was pulled with platform {:?}, expected {:?} for current build",
        actual.text, expected.text
    );
    (!same).then(|| Finding::new(&INVALID_BASE_IMAGE_PLATFORM, lines, detail))
}
