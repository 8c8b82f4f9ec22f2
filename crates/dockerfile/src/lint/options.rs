//! Which rules run: `# check=skip=A,B;error=true;experimental=C`, or the build argument
//! `BUILDKIT_DOCKERFILE_CHECK` of the same form, which takes the directive's place as a whole.

use super::{Finding, Rule};

/// What a `check` directive asks for. The default runs all rules that are not experimental.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    skip: Names,
    experimental: Names,
    /// Findings fail the build.
    pub error: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    names: Vec<String>,
}

/// A `check` directive that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Neither skip, error nor experimental.
    #[error("unknown option {name:?} of check: they are skip, error and experimental")]
    Unknown {
        /// What was given.
        name: String,
    },
    /// A part without a value.
    #[error("no = in {part:?}: the parts of check are skip=RULE,…;error=true;experimental=RULE,…")]
    NoValue {
        /// The part.
        part: String,
    },
    /// `error=` with something else than a boolean.
    #[error("error of check is true or false, not {value:?}")]
    NotBoolean {
        /// What was given.
        value: String,
    },
}

impl Options {
    /// Reads the value of the directive, or of the build argument. Names of rules are taken as they
    /// are, upper and lower case included; those of no rule mean nothing, as in BuildKit.
    ///
    /// # Errors
    /// A part that is none of the three options, or `error` that is no boolean.
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for part in text.trim().splitn(3, ';') {
            let missing = || OptionError::NoValue { part: part.trim().to_owned() };
            let (name, value) = part.split_once('=').ok_or_else(missing)?;
            match name.trim() {
                "skip" => options.skip = Names::read(value),
                "experimental" => options.experimental = Names::read(value),
                "error" => options.error = boolean(value.trim())?,
                name => return Err(OptionError::Unknown { name: name.to_owned() }),
            }
        }
        Ok(options)
    }

    /// Whether the findings of `rule` count.
    pub fn runs(&self, rule: &Rule) -> bool {
        match rule.experimental {
            true => self.experimental.hold(rule),
            false => !self.skip.hold(rule),
        }
    }

    /// The findings that count, in their order.
    pub fn filter(&self, findings: Vec<Finding>) -> Vec<Finding> {
        findings.into_iter().filter(|finding| self.runs(finding.rule)).collect()
    }
}

impl Names {
    fn read(value: &str) -> Self {
        let names = value.split(',').map(|name| name.trim().to_owned()).collect();
        Self { all: value.trim() == "all", names }
    }

    fn hold(&self, rule: &Rule) -> bool {
        self.all || self.names.iter().any(|name| name == rule.name)
    }
}

fn boolean(value: &str) -> Result<bool, OptionError> {
    crate::truth(value).ok_or_else(|| OptionError::NotBoolean { value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::RULES;
    use super::*;

    fn running(text: &str) -> Vec<&'static str> {
        let options = Options::parse(text).unwrap();
        RULES.iter().filter(|rule| options.runs(rule)).map(|rule| rule.name).collect()
    }

    #[test]
    fn what_runs() {
        assert_eq!(RULES.len(), 22);
        for (text, count) in [
            ("", 20),
            ("skip=all", 0),
            ("skip=StageNameCasing, UndefinedVar ;error=true", 18),
            ("skip=stagenamecasing,Nope", 20),
            ("experimental=all", 22),
            ("experimental=CopyIgnoredFile;skip=CopyIgnoredFile", 21),
            ("skip=all;experimental=all", 2),
            // The third part is the rest, and so the name of no rule.
            ("error=true;skip=all;experimental=all;x", 0),
        ] {
            assert_eq!(running(text).len(), count, "{text}");
        }
        assert!(Options::parse(" error = 1 ").unwrap().error);
    }

    #[test]
    fn what_is_refused() {
        for (text, message) in [
            ("foo", "no = in \"foo\""),
            ("nope=1", "unknown option \"nope\""),
            ("skip=all;error=maybe", "not \"maybe\""),
        ] {
            let error = Options::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
