//! Any bytes are a configuration or an error of one line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Err(error) = container::check_configuration(text) {
        assert!(!error.to_string().is_empty());
    }
});
