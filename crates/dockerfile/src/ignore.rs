//! `.dockerignore` as moby's ignorefile reader and patternmatcher have it (Dockerfile reference,
//! ".dockerignore files").

mod pattern;

use pattern::{Pattern, Subject, clean};

/// A `.dockerignore` that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}: {pattern:?}")]
pub struct IgnoreError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Which files of a build context are left out. Paths are relative to the context, components
/// separated by `/`, without `.` and `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnorePatterns {
    patterns: Vec<Pattern>,
}

/// What a walk over a context does with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// It is part of the context.
    Enter,
    /// It is ignored, but something below may not be: look inside, and keep the directory if
    /// something is found.
    Search,
    /// It is ignored with all that is below.
    Skip,
}

impl IgnorePatterns {
    /// Reads the lines of a `.dockerignore`.
    ///
    /// # Errors
    /// A malformed pattern, or `!` alone.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let pattern = Pattern::new(line.trim()).map_err(|problem| IgnoreError {
                line: index + 1,
                pattern: line.trim().to_owned(),
                problem,
            })?;
            patterns.push(pattern);
        }
        Ok(Self { patterns })
    }

    /// The patterns of `COPY --exclude` and `COPY --parents`: as in a file, but that there are no
    /// comments, and that a slash at the start is a part of the pattern, so that it matches nothing.
    ///
    /// # Errors
    /// A malformed pattern, or `!` alone; its line is its number.
    pub fn of<T: AsRef<str>>(given: impl IntoIterator<Item = T>) -> Result<Self, IgnoreError> {
        let mut patterns = Vec::new();
        for (index, text) in given.into_iter().enumerate() {
            let text = text.as_ref().trim();
            if text.is_empty() {
                continue;
            }
            let pattern = Pattern::as_given(text).map_err(|problem| IgnoreError {
                line: index + 1,
                pattern: text.to_owned(),
                problem,
            })?;
            patterns.push(pattern);
        }
        Ok(Self { patterns })
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path` is ignored: the last pattern that matches it or a directory above decides.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.last_match(&Subject::new(path)).is_some_and(|at| !self.patterns[at].exception)
    }

    /// What to do with the directory `path`.
    pub fn directory(&self, path: &[u8]) -> Descent {
        let path = Subject::new(path);
        let Some(last) = self.last_match(&path).filter(|at| !self.patterns[*at].exception) else {
            return Descent::Enter;
        };
        // Only an exception that comes later can bring back what this pattern ignores.
        let later = &self.patterns[last + 1..];
        match later.iter().any(|pattern| pattern.exception && pattern.may_match_below(&path)) {
            true => Descent::Search,
            false => Descent::Skip,
        }
    }

    /// The clean path of a source of `COPY` that is ignored with all that is below it; none where some
    /// of it may be in the context.
    pub fn hidden_source(&self, source: &str) -> Option<String> {
        let path = clean(source);
        let whole = path == "." || path == "/";
        if whole && !self.patterns.iter().any(Pattern::hides_all) {
            return None;
        }
        let inside = if whole { "" } else { path.trim_start_matches('/') };
        let kept = self.patterns.iter().any(|pattern| pattern.may_bring_back(inside));
        (!kept && (whole || self.matches(path.as_bytes()))).then_some(path)
    }

    fn last_match(&self, path: &Subject<'_>) -> Option<usize> {
        self.patterns.iter().rposition(|pattern| pattern.matches_or_above(path))
    }
}
