//! What to try against a problem, and which piece of the text it is about.

use super::Problem;
use crate::expand::ExpandProblem;

/// What a Dockerfile needs at least.
const FIRST: &str = "a Dockerfile begins with FROM IMAGE, or with FROM scratch for an empty image";

impl Problem {
    /// What to try, where the message and a name that is near do not say it.
    pub(crate) fn hint(&self) -> Option<String> {
        if self.suggestion().is_some() {
            return None;
        }
        let text = match self {
            Self::Other { hint, .. } => return hint.clone(),
            Self::Mount(error) => return error.hint(),
            Self::UnknownFlag { instruction, known, .. } => return Some(flags(instruction, known)),
            Self::Expand { problem, .. } => expansion(problem)?,
            Self::Empty | Self::NoStage | Self::BeforeFrom { .. } => FIRST,
            Self::TooLarge { .. } | Self::InstructionTooLong { .. } => {
                "keep large data in a file of the build context, and COPY it"
            }
            Self::NotUtf8 => "save it as UTF-8, or choose another file with -f",
            Self::UnknownInstruction { .. } => {
                "where it continues the line before, that one must end with the escape character, \\"
            }
            Self::NotAssignment { .. } => "a value with blanks needs quotes: NAME=\"two words\"",
            Self::NoValue { .. } => "write NAME=VALUE; NAME= alone makes it empty",
            Self::NotJson { .. } => "for example: SHELL [\"/bin/bash\", \"-c\"]",
            Self::NotStrings { .. } => "put each word in double quotes",
            Self::HeredocDestination { .. } => "the destination comes last: COPY <<EOF /path",
            Self::Device { .. } => {
                "a device is VENDOR/CLASS or VENDOR/CLASS=NAME, and perhaps ,required"
            }
            Self::UnterminatedHeredoc { .. } => {
                "its last line is that word alone, without blanks; <<- allows tabs in front"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// The piece of the text that is wrong, as it is probably written.
    pub(super) fn at_fault(&self) -> Option<String> {
        Some(match self {
            Self::Other { word, .. } => return word.clone(),
            Self::Mount(error) => return error.at_fault(),
            Self::UnknownInstruction { name, .. } | Self::BeforeFrom { name } => name.clone(),
            Self::UnknownFlag { flag, .. } | Self::MissingFlagValue { flag } => format!("--{flag}"),
            Self::NotBoolean { flag, value } | Self::InvalidFlagValue { flag, value, .. } => {
                format!("--{flag}={value}")
            }
            Self::Device { value, .. } => format!("--device={value}"),
            Self::InvalidStageName { name }
            | Self::HealthcheckType { name, .. }
            | Self::Trigger { name } => name.clone(),
            Self::InvalidEscape { value } => value.clone(),
            Self::NotAssignment { word, .. } | Self::Expand { word, .. } => word.clone(),
            Self::UnterminatedHeredoc { name } => name.clone(),
            _ => return None,
        })
    }
}

fn flags(instruction: &str, known: &[&str]) -> String {
    match known {
        [] => format!("{instruction} has no flags"),
        [one] => format!("its flag is --{one}"),
        known => format!("its flags are --{}", known.join(", --")),
    }
}

fn expansion(problem: &ExpandProblem) -> Option<&'static str> {
    Some(match problem {
        ExpandProblem::UnclosedQuote { .. } => "close the quote, or escape it",
        ExpandProblem::UnclosedBrace => "close it with }, or escape the $",
        ExpandProblem::BadSubstitution | ExpandProblem::UnsupportedModifier { .. } => {
            "the forms are ${a} ${a:-b} ${a-b} ${a:+b} ${a+b} ${a:?b} ${a?b} ${a#b} ${a##b} ${a%b} \
             ${a%%b} ${a/b/c} ${a//b/c}"
        }
        _ => return None,
    })
}
