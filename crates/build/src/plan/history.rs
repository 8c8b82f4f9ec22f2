//! Instructions as an image's history has them: the texts that BuildKit writes.

use dockerfile::Files;
use image::Healthcheck;

use super::Copy;
use super::scope::Environment;

/// What is known of an `ARG` that is in scope: its name, and the value at its declaration.
pub(super) type Declared = (String, Option<String>);

/// `RUN |1 VERSION=3 /bin/sh -c make # buildkit`
pub(super) fn run(args: &[String], declared: &[Declared], environment: &Environment) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in declared {
        if seen.contains(&name.as_str()) {
            continue;
        }
        seen.push(name);
        let value = environment.get(name).or(value.as_deref()).unwrap_or_default();
        words.push(format!("{name}={value}"));
    }
    if !words.is_empty() {
        words.insert(0, format!("|{}", words.len()));
    }
    words.extend(args.iter().cloned());
    format!("RUN {} # buildkit", words.join(" "))
}

/// `COPY --chown=app a.py b.py /app/ # buildkit`
pub(super) fn copy(name: &str, copy: &Copy, files: &Files) -> String {
    let mut text = name.to_owned();
    if copy.parents {
        text += " --parents";
    }
    if let Some(owner) = &copy.chown {
        text += &format!(" --chown={owner}");
    }
    if let Some(mode) = &files.chmod {
        text += &format!(" --chmod={mode}");
    }
    copy.sources.iter().for_each(|source| text += &format!(" {source}"));
    copy.inline.iter().for_each(|(name, _)| text += &format!(" <<{name}"));
    format!("{text} {} # buildkit", files.destination)
}

/// `ENV A=1 B=2`, as for `LABEL`.
pub(super) fn pairs<'a>(name: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    pairs.fold(name.to_owned(), |text, (key, value)| format!("{text} {key}={value}"))
}

/// `CMD ["a" "b"]`, as for `ENTRYPOINT`.
pub(super) fn quoted(name: &str, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| go_quoted(word)).collect();
    format!("{name} [{}]", words.join(" "))
}

/// `VOLUME [/data /logs]`, as for `EXPOSE` and `SHELL`.
pub(super) fn bare(name: &str, words: &[String]) -> String {
    format!("{name} [{}]", words.join(" "))
}

/// `HEALTHCHECK &{["CMD-SHELL" "true"] "30s" "0s" "0s" "0s" '\x03'}`: interval, timeout, start period,
/// start interval, and the retries as a character.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    let test: Vec<String> = check.test.iter().map(|word| go_quoted(word)).collect();
    format!(
        "HEALTHCHECK &{{[{}] \"{}\" \"{}\" \"{}\" \"{}\" {}}}",
        test.join(" "),
        go_duration(check.interval),
        go_duration(check.timeout),
        go_duration(check.start_period),
        go_duration(check.start_interval),
        go_character(check.retries),
    )
}

/// A number as Go's `%q` has it: a character literal.
fn go_character(number: i64) -> String {
    let character = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    format!("'{}'", go_escaped(character, '\''))
}

/// A string as Go's `%q` has it.
fn go_quoted(text: &str) -> String {
    let escaped: String = text.chars().map(|character| go_escaped(character, '"')).collect();
    format!("\"{escaped}\"")
}

/// A character between `quote`s.
fn go_escaped(character: char, quote: char) -> String {
    match character {
        '\\' => "\\\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        c if is_printable(c) => c.to_string(),
        c if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("\\u{:04x}", u32::from(c)),
        c => format!("\\U{:08x}", u32::from(c)),
    }
}

/// Whether a character is a letter, mark, number, symbol or the blank: by Rust's own escapes, which, behind
/// another character, only the rest has.
fn is_printable(character: char) -> bool {
    format!(".{character}").escape_debug().eq(['.', character]) || "\"'".contains(character)
}

/// A duration as Go prints it: `1m30s`, `500ms`, `0s`.
fn go_duration(nanoseconds: i64) -> String {
    let trimmed = |value: f64, unit: &str| format!("{value}{unit}");
    let seconds = nanoseconds as f64 / 1e9;
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => trimmed(nanoseconds as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => trimmed(nanoseconds as f64 / 1e6, "ms"),
        1_000_000_000..60_000_000_000 => trimmed(seconds, "s"),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let rest = trimmed((nanoseconds % 60_000_000_000) as f64 / 1e9, "s");
            match minutes / 60 {
                0 => format!("{minutes}m{rest}"),
                hours => format!("{hours}h{}m{rest}", minutes % 60),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn texts() {
        let environment = Environment::from_list(&list(&["A=2", "C=3"]));
        let declared = [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)];
        let args = list(&["/bin/sh", "-c", "echo $A"]);
        assert_eq!(
            run(&args, &declared, &environment),
            "RUN |2 A=2 B= /bin/sh -c echo $A # buildkit"
        );
        assert_eq!(run(&args, &[], &environment), "RUN /bin/sh -c echo $A # buildkit");
        assert_eq!(quoted("CMD", &list(&["a", "b\"c\n"])), "CMD [\"a\" \"b\\\"c\\n\"]");
        assert_eq!(bare("VOLUME", &list(&["/a", "/b"])), "VOLUME [/a /b]");
    }

    #[test]
    fn health() {
        let test = list(&["CMD", "a b"]);
        let check = Healthcheck { test, interval: 1_000_000_000, retries: 3, ..Default::default() };
        assert_eq!(
            healthcheck(&check),
            r#"HEALTHCHECK &{["CMD" "a b"] "1s" "0s" "0s" "0s" '\x03'}"#
        );
        for (number, want) in [(0, r"'\x00'"), (10, r"'\n'"), (39, r"'\''"), (48, "'0'")] {
            assert_eq!(go_character(number), want);
        }
    }

    #[test]
    fn durations() {
        for (nanoseconds, want) in [
            (0, "0s"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(nanoseconds), want);
        }
    }
}
