//! The first byte chooses the escape character, the rest is a word: all ways to expand it agree.
#![no_main]

use dockerfile::{Expander, expand, expand_words};
use libfuzzer_sys::fuzz_target;

/// Values with everything that has a meaning in words and patterns.
fn value(name: &str) -> Option<String> {
    let value = match name {
        "a" => "one two",
        "b" => "/usr/lib/x.tar.gz",
        "c" => "",
        "d" => "*?[a]\\$b${c}'\"",
        "é" => "naïve ☃",
        "1" | "@" | "?" => "special",
        _ => return None,
    };
    Some(value.to_owned())
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((first, word)) = input.split_first() else { return };
    let escape = if first % 2 == 0 { '\\' } else { '`' };
    let word = String::from_utf8_lossy(word);
    let mut expander = Expander::new(escape, &value);
    let _ = (expander.display(&word), expander.content(&word));
    assert!(expander.missing().iter().all(|name| value(name).is_none()));
    assert!(expander.found().all(|name| value(name).is_some()));
    match (expand(&word, escape, &value), expand_words(&word, escape, &value)) {
        (Ok(text), Ok(words)) => {
            assert!(words.iter().all(|word| !word.is_empty()));
            assert_eq!(without_blanks(&text), without_blanks(&words.concat()));
            let special = |c: char| c == escape || "$'\"".contains(c);
            assert!(word.contains(special) || text == word);
        }
        (Err(text), Err(words)) => assert_eq!(text, words),
        (text, words) => panic!("{text:?} and {words:?}"),
    }
});
