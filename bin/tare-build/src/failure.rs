//! A failed build in words: where, why, and what to try.

use std::fmt;

use build::Error;
use dockerfile::nearest;
use image::UserError;

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
            Some(excerpt) if !excerpt.is_empty() => {
                write!(f, "\n{}", excerpt.trim_end_matches('\n'))
            }
            _ => Ok(()),
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
        Error::Dockerfile(error) => error.hint().into_iter().collect(),
        Error::Instruction { hint: Some(hint), .. } => vec![hint.clone()],
        Error::Instruction { source, instruction, .. } => {
            let mut hints = hints(source);
            hints.extend(not_json(instruction, source));
            hints
        }
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
        Error::NoTarget { target, stages } => vec![stages_hint(target, stages)],
        Error::Owner { source, .. } | Error::Spec(image::Error::User(source)) => user(source),
        Error::Lint { .. } => {
            vec!["see each with --check, or take error=true out of the check directive".to_owned()]
        }
        Error::Pattern(_) => vec!["escape what is no pattern: \\[ \\] \\* \\?".to_owned()],
        Error::NoDockerfile { .. } => vec!["name another file with -f".to_owned()],
        Error::ForeignPlatform { .. } => vec![
            "register an emulator with binfmt_misc: on Debian, apt install qemu-user-static \
             binfmt-support"
                .to_owned(),
        ],
        Error::EmulatorOutside { .. } => {
            vec!["register it with the flag F (fix binary), as qemu-user-static does".to_owned()]
        }
        Error::ExitCode { disk_full: true, .. } => vec![ROOM.to_owned()],
        error => full_disk(error).into_iter().collect(),
    }
}

/// What to do where the cause is a disk without room.
fn full_disk(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let full = causes.filter_map(|cause| cause.downcast_ref()).any(store::is_full_disk);
    full.then(|| ROOM.to_owned())
}

const ROOM: &str = "the disk is full: make room, or let go of what no image needs with tare-store gc, and of the \
                    build's caches with tare-store prune";

fn stages_hint(target: &str, stages: &[String]) -> String {
    let names: Vec<&str> = stages.iter().map(String::as_str).collect();
    match (nearest(target, &names), names.as_slice()) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, []) => "its stages have no names: give one with FROM IMAGE AS NAME".to_owned(),
        (None, names) => format!("its stages are: {}", names.join(", ")),
    }
}

/// A command that was meant to be in exec form, and went to the shell.
fn not_json(instruction: &str, error: &Error) -> Option<String> {
    let shell = matches!(error, Error::ExitCode { .. }) && instruction.starts_with("RUN [\"");
    let words = instruction.strip_prefix("RUN ").filter(|_| shell)?;
    (!is_json(words)).then(|| {
        "what follows RUN is not a JSON array of strings, so the shell was given it".to_owned()
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Vec<String>>(text).is_ok()
}

fn user(error: &UserError) -> Vec<String> {
    let add = "add it in a RUN before this instruction, or give a number, which needs no entry";
    match error {
        UserError::NoUser(_) | UserError::NoGroup(_) => vec![add.to_owned()],
        _ => Vec::new(),
    }
}
