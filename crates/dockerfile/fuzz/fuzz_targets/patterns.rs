//! The first line is a path, the rest a `.dockerignore`: what a walk skips is ignored.
#![no_main]

use dockerfile::{Descent, Glob, IgnorePatterns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (path, text) = input.split_at(end);
    if let Ok(patterns) = IgnorePatterns::parse(text)
        && patterns.directory(path) == Descent::Skip
    {
        assert!(patterns.matches(path));
        assert!(patterns.matches(&[path, b"/x"].concat()));
    }
    if let Ok(glob) = Glob::new(&String::from_utf8_lossy(text)) {
        let _ = (glob.matches(path), glob.literal());
    }
});
