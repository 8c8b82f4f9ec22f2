//! Any bytes are a manifest, an index, a configuration or an error; what was read is written and read as the
//! same, and a configuration always makes a runtime's or says why not.
#![no_main]

use image::manifest::{self, ImageIndex, ImageManifest};
use image::{ImageConfig, RunOptions, Users};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = manifest::check_kind(bytes);
    if let Ok(document) = serde_json::from_slice::<ImageManifest>(bytes) {
        let again: ImageManifest = serde_json::from_slice(&manifest::to_json(&document))
            .expect("what is written can be read");
        assert_eq!(again, document);
    }
    if let Ok(document) = serde_json::from_slice::<ImageIndex>(bytes) {
        let text = manifest::index_to_json(&document);
        let again: ImageIndex = serde_json::from_slice(&text).expect("what is written can be read");
        assert_eq!(again, document);
    }
    if let Ok(config) = serde_json::from_slice::<ImageConfig>(bytes) {
        let text = serde_json::to_vec(&config).expect("it can be written");
        let again: ImageConfig =
            serde_json::from_slice(&text).expect("what is written can be read");
        assert_eq!(again, config);
        let _ = image::runtime_spec(&config, &RunOptions::default(), &Users::default());
    }
});
