//! A failed build in words: where, why, and what to try.

use std::fmt;

use build::Error;

/// The error with its excerpt and hints.
pub(crate) fn explain(error: Error) -> anyhow::Error {
    let hints = hints(&error);
    let explained = anyhow::Error::new(Explained(error));
    hints.into_iter().fold(explained, cli::hinted)
}

/// An error that shows the lines that it is about below its first line.
#[derive(Debug)]
struct Explained(Error);

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match excerpt(&self.0) {
            Some(excerpt) => write!(f, "\n{}", excerpt.trim_end_matches('\n')),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Explained {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

fn excerpt(error: &Error) -> Option<String> {
    match error {
        Error::Dockerfile(error) => Some(error.excerpt()),
        Error::Instruction { excerpt, .. } => Some(excerpt.clone()),
        _ => None,
    }
}

/// What may help, innermost first.
fn hints(error: &Error) -> Vec<String> {
    match error {
        Error::Instruction { source, .. } => hints(source),
        Error::MissingSource { hint, .. } => hint.iter().cloned().collect(),
        Error::NoImage { name, .. } => vec![
            format!("pull it with: tare-store pull {name}"),
            format!("or make one: tar -c -C DIRECTORY . | tare-store import - {name}"),
        ],
        Error::Entitlement { entitlement, .. } => {
            vec![format!("grant it with --allow {entitlement}")]
        }
        Error::NoSecret { id } => {
            vec![format!("give it with --secret id={id},src=FILE or --secret id={id},env=VARIABLE")]
        }
        Error::NoAgent { id } if id == "default" => vec!["give it with --ssh default".to_owned()],
        Error::NoAgent { id } => vec![format!("give it with --ssh {id}=SOCKET or --ssh {id}=KEY")],
        Error::Agent { why, .. } if why.contains("not installed") => {
            vec!["install openssh-client, or give the socket of an agent that runs".to_owned()]
        }
        Error::Agent { .. } => {
            vec!["load a key that has a passphrase into an agent, and give that one".to_owned()]
        }
        Error::NoTarget { stages, .. } if !stages.is_empty() => {
            vec![format!("its stages are: {}", stages.join(", "))]
        }
        Error::Lint { .. } => {
            vec!["see each with --check, or take error=true out of the check directive".to_owned()]
        }
        Error::NoDockerfile { .. } => vec!["name another file with -f".to_owned()],
        Error::ForeignPlatform { .. } => vec![
            "register an emulator with binfmt_misc: on Debian, apt install qemu-user-static \
             binfmt-support"
                .to_owned(),
        ],
        Error::EmulatorOutside { .. } => {
            vec!["register it with the flag F (fix binary), as qemu-user-static does".to_owned()]
        }
        _ => Vec::new(),
    }
}
