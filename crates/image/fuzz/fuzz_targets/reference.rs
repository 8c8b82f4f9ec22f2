//! Any text is a reference or an error, and a reference is one again, the same, in both of its forms.
#![no_main]

use image::{Digest, Platform, Reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<Reference>() {
        let again: Reference = name.to_string().parse().expect("a full name is a name");
        assert_eq!(again, name);
        let familiar: Reference = name.familiar().parse().expect("a familiar name is a name");
        assert_eq!(familiar, name);
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>().expect("a platform"), platform);
    }
});
