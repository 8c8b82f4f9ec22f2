//! Any Dockerfile that can be parsed is planned or refused, the same way each time.
#![no_main]

use build::plan::{self, Bases, Network, Plan, Request, Settings};
use dockerfile::Dockerfile;
use image::ImageConfig;
use libfuzzer_sys::fuzz_target;

/// Every image is there; those whose name has an `o` have triggers.
struct All;

impl Bases for All {
    fn config(&mut self, request: &Request) -> Result<ImageConfig, build::Error> {
        let triggers = match request.name.contains('o') {
            true => r#","OnBuild":["ARG X=1","ENV Y=$X","COPY a /a","RUN x"]"#,
            false => "",
        };
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},
            "config":{{"Env":["PATH=/bin"],"WorkingDir":"/w","User":"1:2"{triggers}}}}}"#
        );
        Ok(serde_json::from_str(&text).expect("the text is a configuration"))
    }
}

fn planned(dockerfile: &Dockerfile) -> Result<Plan, String> {
    let settings = Settings {
        build_args: [("B".to_owned(), "given".to_owned())].into_iter().collect(),
        target: None,
        platform: None,
        host: "linux/amd64".parse().expect("a platform"),
        network: Network::Host,
        labels: vec![("label".to_owned(), "value".to_owned())],
        allow: Default::default(),
        contexts: Default::default(),
        ignored: Default::default(),
        check: false,
    };
    plan::plan(dockerfile, &settings, &mut All).map_err(|error| error.to_string())
}

fuzz_target!(|text: &[u8]| {
    let Ok(dockerfile) = dockerfile::parse(text, "Dockerfile") else { return };
    let (plan, again) = (planned(&dockerfile), planned(&dockerfile));
    assert_eq!(format!("{plan:?}"), format!("{again:?}"));
    let Ok(plan) = plan else { return };
    for (at, stage) in plan.stages.iter().enumerate() {
        assert!(stage.needs.iter().all(|need| *need < at), "a stage comes before what it needs");
    }
});
