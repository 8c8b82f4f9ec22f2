//! Any bytes are a Dockerfile or an error, and whatever was parsed can be expanded and shown.
#![no_main]

use dockerfile::{Expander, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let lookup = |name: &str| (name.len() % 2 == 1).then(|| name.to_owned());
    match parse(text, "Dockerfile") {
        Ok(file) => {
            let mut expander = Expander::new(file.escape, &lookup);
            for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
                let _ = instruction.expanded(&mut expander);
                let _ = expander.display(&instruction.summary());
            }
        }
        Err(error) => drop((error.to_string(), error.excerpt())),
    }
});
