//! The command line's words as runc's users may write them, in the form that our parser takes.
//!
//! runc reads flags as Go's `flag` package does: with one dash or two (`-detach`), with values after `=`
//! or in the next word whatever that begins with, switches with `=true` or `=false`, and of a flag that
//! is given twice the last counts.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, Command};

/// The words, flags in their long form with their values after `=`.
///
/// # Errors
/// What is wrong, when a switch has a value that is none.
pub(crate) fn plain(words: &[OsString], whole: &Command) -> Result<Vec<OsString>, String> {
    let mut named = None;
    let mut plain: Vec<OsString> = words.iter().take(1).cloned().collect();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if word == "--" {
            plain.push(word.clone());
            break;
        }
        let command = named.as_ref().unwrap_or(whole);
        let Some((name, value)) = as_flag(word) else {
            plain.push(word.clone());
            let known = command.get_subcommands().find(|known| *word == *known.get_name());
            match known.map(with_arguments) {
                // What follows is for another program.
                None if has_trailing_words(command) => break,
                None => {}
                known => named = known,
            }
            continue;
        };
        match find(command, name) {
            Some(flag) if flag.get_action().takes_values() => {
                plain.push(joined(flag, value.or_else(|| rest.next().map(OsString::as_os_str))));
            }
            Some(flag) => switch(&mut plain, flag, name, value)?,
            None if name == b"help" => plain.push("--help".into()),
            None => plain.push(word.clone()),
        }
    }
    plain.extend(rest.cloned());
    Ok(plain)
}

/// A command that was but a name until now.
fn with_arguments(command: &Command) -> Command {
    let mut command = command.clone();
    command.build();
    command
}

/// A flag's name and value; a single dash, and more than two, are none.
fn as_flag(word: &OsStr) -> Option<(&[u8], Option<&OsStr>)> {
    let name = word.as_bytes().strip_prefix(b"-")?;
    let name = name.strip_prefix(b"-").unwrap_or(name);
    if name.is_empty() || name.starts_with(b"-") {
        return None;
    }
    match name.iter().position(|byte| *byte == b'=') {
        Some(place) => Some((&name[..place], Some(OsStr::from_bytes(&name[place + 1..])))),
        None => Some((name, None)),
    }
}

/// The flag of this name, but for those of help, which clap has added.
fn find<'c>(command: &'c Command, name: &[u8]) -> Option<&'c Arg> {
    let mut own =
        command.get_arguments().filter(|arg| !matches!(arg.get_action(), ArgAction::Help));
    own.find(|arg| {
        let short = |letter: char| letter.to_string().as_bytes() == name;
        let long = |word: &str| word.as_bytes() == name;
        arg.get_long().is_some_and(long) || arg.get_short().is_some_and(short)
    })
}

fn has_trailing_words(command: &Command) -> bool {
    command.get_positionals().any(Arg::is_trailing_var_arg_set)
}

fn long(flag: &Arg) -> OsString {
    format!("--{}", flag.get_long().unwrap_or_default()).into()
}

fn joined(flag: &Arg, value: Option<&OsStr>) -> OsString {
    let mut word = long(flag).into_vec();
    if let Some(value) = value {
        word.push(b'=');
        word.extend_from_slice(value.as_bytes());
    }
    OsString::from_vec(word)
}

fn switch(
    plain: &mut Vec<OsString>,
    flag: &Arg,
    name: &[u8],
    value: Option<&OsStr>,
) -> Result<(), String> {
    let word = long(flag);
    plain.retain(|before| *before != word);
    match value.map(OsStr::as_bytes) {
        None | Some(b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True") => plain.push(word),
        Some(b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False") => {}
        Some(other) => {
            let (name, other) = (String::from_utf8_lossy(name), String::from_utf8_lossy(other));
            return Err(format!("invalid boolean value {other:?} for -{name}: use true or false"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let switch = |name: &'static str, short| {
            Arg::new(name).long(name).short(short).action(ArgAction::SetTrue)
        };
        let value = |name: &'static str, short| Arg::new(name).long(name).short(short);
        let run = Command::new("run").arg(switch("detach", 'd')).arg(value("bundle", 'b'));
        let words = Arg::new("words").num_args(1..).trailing_var_arg(true);
        let exec = Command::new("exec").arg(value("env", 'e')).arg(Arg::new("id")).arg(words);
        Command::new("r").arg(value("root", 'r')).subcommand(run).subcommand(exec)
    }

    fn plainly(words: &str) -> Result<String, String> {
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        let words = plain(&words, &command())?;
        Ok(words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for (words, expected) in [
            ("r -root x run -detach -bundle y z", "r --root=x run --detach --bundle=y z"),
            ("r --root=x run -d=true -b=y z", "r --root=x run --detach --bundle=y z"),
            ("r run --bundle -x z --detach", "r run --bundle=-x z --detach"),
            ("r run --detach=false z", "r run z"),
            ("r run -d --detach=f z", "r run z"),
            ("r run -d -d z", "r run --detach z"),
            ("r run -help", "r run --help"),
            ("r run --fun -x", "r run --fun -x"),
            ("r run -- -d", "r run -- -d"),
            ("r exec -e A=b id ls -e -d --root x", "r exec --env=A=b id ls -e -d --root x"),
            ("r exec -e", "r exec --env"),
            ("r - --- x", "r - --- x"),
        ] {
            assert_eq!(plainly(words).as_deref(), Ok(expected), "{words}");
        }
        assert!(plainly("r run --detach=fun z").is_err());
    }
}
