//! Names and values: UndefinedVar, SecretsUsedInArgOrEnv, LegacyKeyValueFormat.

use super::Finding;
use super::rule::{LEGACY_KEY_VALUE_FORMAT, SECRETS_USED_IN_ARG_OR_ENV, UNDEFINED_VAR};
use crate::source::Lines;
use crate::suggest::closest;

/// Arguments that are no variables.
const SCANNERS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// A part of a name, between `_` or the ends, that tells of a secret…
const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];
/// …unless another part tells that it is none.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Variables that words use and that have no value. `declared` are the stage's ARGs, with a value or
/// without; `names` what has a value, for a suggestion.
pub(super) fn undefined(
    missing: &[String],
    declared: &dyn Fn(&str) -> bool,
    names: &[String],
    lines: Lines,
    findings: &mut Vec<Finding>,
) {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let undefined = |name: &&String| !declared(name) && !SCANNERS.contains(&name.as_str());
    for name in missing.iter().filter(undefined) {
        let mut detail = format!("Usage of undefined variable '${name}'");
        if let Some(meant) = closest(name, &names) {
            detail += &format!(" (did you mean ${meant}?)");
        }
        findings.push(Finding::new(&UNDEFINED_VAR, lines, detail));
    }
}

/// Whether the name of a variable tells of a secret: `GITHUB_TOKEN`, `api_key`, but not `PUBLIC_KEY`.
pub fn tells_of_a_secret(name: &str) -> bool {
    let holds = |words: &[&str]| {
        let one_of = |part: &str| words.iter().any(|word| word.eq_ignore_ascii_case(part));
        name.split('_').any(one_of)
    };
    holds(&SECRET) && !holds(&HARMLESS)
}

/// A name of ARG or ENV that tells of a secret.
pub(super) fn secret_name(instruction: &str, name: &str, lines: Lines) -> Option<Finding> {
    let detail =
        format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {name:?})");
    tells_of_a_secret(name).then(|| Finding::new(&SECRETS_USED_IN_ARG_OR_ENV, lines, detail))
}

/// `ENV name value`; `keyword` is the instruction's name as written.
pub(super) fn legacy_pair(keyword: &str, lines: Lines) -> Finding {
    let detail = format!(
        "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
    );
    Finding::new(&LEGACY_KEY_VALUE_FORMAT, lines, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_a_secret() {
        for name in ["GITHUB_TOKEN", "api_key", "AUTH", "secret_MESSAGE", "apikey", "A_Passwd_B"] {
            assert!(secret_name("ENV", name, Lines::one(1)).is_some(), "{name}");
        }
        for name in ["mykey", "PUBLIC_KEY", "TOKEN_FILE", "KEY_VERSION", "TOKENS", "AUTHOR", ""] {
            assert!(secret_name("ENV", name, Lines::one(1)).is_none(), "{name}");
        }
    }

    #[test]
    fn what_was_probably_meant() {
        let mut findings = Vec::new();
        let missing = ["PAHT", "FOO", "ARGUMENT"].map(str::to_owned);
        let declared = |name: &str| name == "ARGUMENT";
        let names = ["HOME", "PATH"].map(str::to_owned);
        undefined(&missing, &declared, &names, Lines::one(1), &mut findings);
        let details: Vec<&str> = findings.iter().map(|finding| &*finding.detail).collect();
        let want = [
            "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
            "Usage of undefined variable '$FOO'",
        ];
        assert_eq!(details, want);
    }
}
