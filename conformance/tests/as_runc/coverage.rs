//! That the table is whole: each command and flag of runc's help is called by a row, and each field of
//! `as_runc/fields` is set by one.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::engine::Engine;
use crate::session::Told;

/// Fields of config.json, a line each: `linux.resources.cpu.shares`; after a space why no row sets it.
const FIELDS: &str = include_str!("fields");

/// What rows have called and set.
#[derive(Default)]
pub(crate) struct Coverage {
    calls: BTreeSet<Vec<String>>,
    fields: BTreeSet<String>,
}

impl Coverage {
    pub(crate) fn add(&mut self, told: &Told) {
        self.calls.extend(told.calls.iter().cloned());
        for config in &told.configs {
            collect(config, "", &mut self.fields);
        }
    }

    /// Commands, flags and fields without a row.
    pub(crate) fn missing(&self, engines: &[Engine]) -> Vec<String> {
        let flags = engines.iter().flat_map(flags_of).filter(|wanted| !self.is_called(wanted));
        let flags: BTreeSet<_> = flags.map(|it| format!("no row has {}", it.join(" "))).collect();
        let wanted = FIELDS.lines().filter(|line| !line.starts_with('#') && !line.contains(' '));
        let fields = wanted.filter(|field| !self.fields.contains(*field));
        flags.into_iter().chain(fields.map(|field| format!("no row sets {field}"))).collect()
    }

    /// Whether one call has all these words. (A value may be joined to a flag.)
    fn is_called(&self, wanted: &[String]) -> bool {
        let is = |word: &String, wanted: &String| {
            word == wanted || word.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('='))
        };
        let has = |call: &Vec<String>, wanted| call.iter().any(|word| is(word, wanted));
        self.calls.iter().any(|call| wanted.iter().all(|word| has(call, word)))
    }
}

/// The paths of all that is in a configuration, arrays without their places.
fn collect(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    into.insert(path.to_owned());
    match value {
        Value::Object(members) => {
            let dot = if path.is_empty() { "" } else { "." };
            members.iter().for_each(|(name, it)| collect(it, &format!("{path}{dot}{name}"), into));
        }
        Value::Array(items) => items.iter().for_each(|it| collect(it, path, into)),
        _ => {}
    }
}

/// The command and each flag, long and short, of all that an engine's help names.
fn flags_of(engine: &Engine) -> Vec<Vec<String>> {
    let help = |words: &[&str]| {
        conformance::succeed(Command::new(&engine.program).args(words).arg("--help")).out
    };
    let whole = help(&[]);
    let commands = whole.lines().skip_while(|line| !line.to_lowercase().starts_with("commands:"));
    let commands = commands.skip(1).take_while(|line| line.starts_with(' '));
    let commands = commands.filter_map(|line| line.split([' ', ',']).find(|word| !word.is_empty()));
    let commands = commands.filter(|command| *command != "help");
    let mut found: Vec<_> = flags(&whole).into_iter().map(|flag| vec![flag]).collect();
    for command in commands {
        found.push(vec![command.to_owned()]);
        let of_command = flags(&help(&[command]));
        found.extend(of_command.into_iter().map(|flag| vec![command.to_owned(), flag]));
    }
    found
}

/// The flags that a help's lines begin with. `-h` is everywhere the same.
fn flags(help: &str) -> Vec<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| {
        let words = line.split([' ', ',', '\t']).filter(|word| !word.is_empty());
        words.take_while(|word| word.starts_with('-') || word.starts_with("value"))
    });
    let flags = words.filter(|word| word.starts_with('-') && !["-h", "--help"].contains(word));
    flags.map(str::to_owned).collect()
}

#[test]
fn help_is_read() {
    let help =
        "OPTIONS:\n   --bundle value, -b value  path\n   --keep  do not -x it\n  -h, --help  x\n";
    assert_eq!(flags(help), ["--bundle", "-b", "--keep"]);
}
