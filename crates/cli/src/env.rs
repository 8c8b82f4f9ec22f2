//! Variables for a container: `--env` and `--env-file`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The variables of the files, then those of the words. A name alone takes its value from our own
/// environment; where we have none it stays alone, which unsets it in the container.
///
/// # Errors
/// For words without a name, and files that cannot be read or hold such lines.
pub fn variables(words: &[String], files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for path in files {
        all.extend(read(path)?);
    }
    for word in words {
        if word.is_empty() || word.starts_with('=') {
            bail!("invalid variable {word:?}: want NAME=VALUE or NAME");
        }
        all.push(with_value(word));
    }
    Ok(all)
}

fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the environment file {}", path.display()))?;
    parse(&text).with_context(|| format!("invalid environment file {}", path.display()))
}

/// Lines of `NAME=VALUE` or `NAME`; `#` begins a comment line. Values are taken as they stand.
fn parse(text: &str) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            bail!("line {number}: invalid name {name:?}");
        }
        all.push(with_value(line));
    }
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "the edge, where the environment is read")]
fn with_value(word: &str) -> String {
    match std::env::var(word) {
        Ok(value) if !word.contains('=') => format!("{word}={value}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_comments_and_values_as_they_stand() {
        let text = "# c\n\nA=1\n  B=two words \nC=\"q\"\nCLI_TEST_UNSET\n";
        assert_eq!(parse(text).unwrap(), ["A=1", "B=two words ", "C=\"q\"", "CLI_TEST_UNSET"]);
    }

    #[test]
    fn lines_without_a_name_are_refused() {
        for text in ["=x", "a b=c"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(variables(&["=x".to_owned()], &[]).is_err());
    }

    #[test]
    fn words_come_after_files_and_a_name_alone_is_looked_up() {
        let found = variables(&["PATH".to_owned(), "A=2".to_owned()], &[]).unwrap();
        assert!(found[0].starts_with("PATH=/"), "{found:?}");
        assert_eq!(found[1], "A=2");
    }
}
