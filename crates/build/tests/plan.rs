//! Plans: which stages are built, what each step sees, what the image is configured to do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use build::plan::{
    self, Base, Bases, BuildArgs, Entitlements, Network, Operation, Plan, Request, Run, Settings,
};
use image::ImageConfig;
use proptest::prelude::*;

/// Images by name; anything else is missing.
struct Known(BTreeMap<&'static str, ImageConfig>);

impl Bases for Known {
    fn config(&mut self, request: &Request) -> Result<ImageConfig, build::Error> {
        let missing = || build::Error::NoImage { name: request.name.clone(), pull: None };
        self.0.get(request.name.as_str()).cloned().ok_or_else(missing)
    }
}

fn base(config: &str) -> ImageConfig {
    serde_json::from_str(&format!(
        r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    ))
    .unwrap()
}

fn settings(args: &[(&str, &str)]) -> Settings {
    Settings {
        build_args: args.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        target: None,
        platform: None,
        host: "linux/amd64".parse().unwrap(),
        network: Network::Host,
        labels: Vec::new(),
        allow: Entitlements::default(),
        ignored: Default::default(),
        check: false,
        contexts: plan::NamedContexts::default(),
    }
}

fn try_plan(text: &str, settings: &Settings) -> Result<Plan, build::Error> {
    let mut known = Known(BTreeMap::from([
        ("debian", base(r#"{"Env":["PATH=/bin","LANG=C"],"Cmd":["sh"],"WorkingDir":"/base"}"#)),
        ("bare", base("{}")),
        ("trigger", base(r#"{"OnBuild":["ENV FROM_TRIGGER=1","RUN triggered"]}"#)),
    ]));
    let dockerfile = dockerfile::parse(text.as_bytes(), "Dockerfile").unwrap();
    plan::plan(&dockerfile, settings, &mut known)
}

fn planned(text: &str, args: &[(&str, &str)]) -> Plan {
    try_plan(text, &settings(args)).unwrap()
}

fn refused(text: &str) -> String {
    try_plan(text, &settings(&[])).unwrap_err().to_string()
}

fn runs(plan: &Plan) -> Vec<&Run> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let run = |step: &'_ plan::Step| matches!(step.operation, Operation::Run(_));
    steps
        .filter(|step| run(step))
        .map(|step| match &step.operation {
            Operation::Run(run) => &**run,
            _ => unreachable!("filtered"),
        })
        .collect()
}

fn env<'a>(run: &'a Run, name: &str) -> Option<&'a str> {
    run.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

fn history(plan: &Plan) -> Vec<&str> {
    let last = plan.stages.last().unwrap();
    last.steps.iter().map(|step| step.created_by.as_str()).collect()
}

#[test]
fn arguments_and_environment() {
    let text = "\
ARG TAG=debian
ARG SHARED=global
FROM $TAG
ARG SHARED
ARG OWN=default
ARG NONE
ENV SHELLED=$OWN-${NONE:-none}-$LANG
ENV OWN=fixed
RUN one
";
    for (args, name, value) in [
        (&[][..], "SHARED", Some("global")),
        (&[("SHARED", "given")], "SHARED", Some("given")),
        (&[], "OWN", Some("fixed")),
        (&[("OWN", "given")], "SHELLED", Some("given-none-C")),
        (&[("NONE", "some")], "SHELLED", Some("default-some-C")),
        (&[], "NONE", None),
        (&[], "TAG", None),
        (&[("UNDECLARED", "x")], "UNDECLARED", None),
        (&[], "PATH", Some("/bin")),
    ] {
        assert_eq!(env(runs(&planned(text, args))[0], name), value, "{args:?} {name}");
    }
    assert_eq!(
        planned(text, &[("UNDECLARED", "x"), ("HTTP_PROXY", "p")]).unused_args,
        ["UNDECLARED"]
    );
}

#[test]
fn a_base_without_path_gets_dockers() {
    let plan = planned("FROM bare\nRUN x\n", &[]);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(env(runs(&plan)[0], "PATH"), Some(path));
    assert_eq!(plan.stages[0].config.config.env, [format!("PATH={path}")]);
}

#[test]
fn platform_arguments() {
    let text = "FROM --platform=$BUILDPLATFORM debian\nARG TARGETARCH TARGETOS BUILDARCH\nRUN x\n";
    let arm = Settings { platform: Some("linux/arm64".parse().unwrap()), ..settings(&[]) };
    let plan = try_plan(text, &arm).unwrap();
    let run = runs(&plan)[0];
    assert_eq!(env(run, "TARGETARCH"), Some("arm64"));
    assert_eq!(env(run, "BUILDARCH"), Some("amd64"));
    assert_eq!(plan.stages[0].config.architecture, "arm64", "the result is for the target");
}

#[test]
fn only_what_the_target_needs() {
    let text = "\
FROM debian AS a
FROM nowhere AS unused
FROM a AS b
FROM debian AS c
COPY --from=a /x /y
COPY --from=2 /x /y
";
    let plan = planned(text, &[]);
    let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(plan.stages[2].needs, [0, 1]);
    assert_eq!(plan.stages[1].base, Base::Stage(0));
    assert_eq!(plan.images.len(), 1, "an image that several stages use is asked for once");
    let one = Settings { target: Some("A".into()), ..settings(&[]) };
    assert_eq!(try_plan(text, &one).unwrap().stages.len(), 1);
}

#[test]
fn history_is_as_buildkit_writes_it() {
    let text = "\
FROM debian
ARG V=1
ENV A=b C=\"d e\"
RUN make $V
RUN [\"make\", \"install\"]
WORKDIR sub
COPY --chown=app a b /x/
ADD --chmod=755 a /x
LABEL l=m
EXPOSE 80 53/udp
VOLUME /data
USER app
SHELL [\"/bin/bash\", \"-c\"]
RUN bash
STOPSIGNAL SIGINT
ENTRYPOINT [\"python3\"]
CMD [\"app.py\"]
HEALTHCHECK --interval=30s CMD true
";
    assert_eq!(
        history(&planned(text, &[])),
        [
            "ARG V=1",
            "ENV A=b C=d e",
            "RUN |1 V=1 /bin/sh -c make $V # buildkit",
            "RUN |1 V=1 make install # buildkit",
            "WORKDIR /base/sub",
            "COPY --chown=app a b /x/ # buildkit",
            "ADD --chmod=755 a /x # buildkit",
            "LABEL l=m",
            "EXPOSE [53/udp 80/tcp]",
            "VOLUME [/data]",
            "USER app",
            "SHELL [/bin/bash -c]",
            "RUN |1 V=1 /bin/bash -c bash # buildkit",
            "STOPSIGNAL SIGINT",
            "ENTRYPOINT [\"python3\"]",
            "CMD [\"app.py\"]",
            r#"HEALTHCHECK &{["CMD-SHELL" "true"] "30s" "0s" "0s" "0s" '\x00'}"#,
        ]
    );
}

#[test]
fn configuration() {
    let plan = planned(
        "FROM debian\nENTRYPOINT [\"e\"]\nEXPOSE 8000-8001\nHEALTHCHECK NONE\nONBUILD RUN x\nMAINTAINER me\n",
        &[],
    );
    let config = &plan.stages[0].config;
    assert_eq!(config.config.cmd, None, "an ENTRYPOINT takes the base's CMD away");
    assert!(config.config.exposed_ports.contains("8001/tcp"));
    assert_eq!(config.config.healthcheck.as_ref().unwrap().test, ["NONE"]);
    assert_eq!(config.config.on_build, ["RUN x"]);
    assert_eq!(config.author, "me");
    let kept = planned("FROM debian\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n", &[]);
    assert_eq!(kept.stages[0].config.config.cmd.as_deref(), Some(&["c".to_owned()][..]));
}

#[test]
fn triggers_of_the_base_come_first_and_once() {
    let plan = planned("FROM trigger\nRUN own\n", &[]);
    let commands: Vec<&str> = runs(&plan).iter().map(|run| run.args[2].as_str()).collect();
    assert_eq!(commands, ["triggered", "own"]);
    assert_eq!(env(runs(&plan)[1], "FROM_TRIGGER"), Some("1"));
    assert!(plan.stages[0].config.config.on_build.is_empty());
    let staged = planned("FROM debian AS a\nONBUILD RUN late\nFROM a AS b\nFROM b\nRUN own\n", &[]);
    let commands: Vec<&str> = runs(&staged).iter().map(|run| run.args[2].as_str()).collect();
    assert_eq!(commands, ["late", "own"], "triggers do not reach a grandchild");
}

#[test]
fn proxies_are_seen_but_not_declared() {
    let plan = planned("FROM debian\nRUN x\n", &[("https_proxy", "p")]);
    let run = runs(&plan)[0];
    assert_eq!(run.proxies, ["HTTPS_PROXY=p", "https_proxy=p"]);
    assert_eq!(env(run, "https_proxy"), None);
    assert_eq!(history(&plan), ["RUN /bin/sh -c x # buildkit"]);
}

#[test]
fn a_stage_has_the_base_images_variables_and_the_bases_arguments() {
    let text = "\
FROM debian AS Base
ARG ONLY=arg
ENV BOTH=env
ARG BOTH=later
RUN one
FROM base
RUN two
";
    let plan = planned(text, &[]);
    let (one, two) = (runs(&plan)[0], runs(&plan)[1]);
    assert_eq!((env(one, "ONLY"), env(one, "BOTH")), (Some("arg"), Some("later")));
    assert_eq!((env(two, "ONLY"), env(two, "BOTH")), (Some("arg"), Some("env")));
}

#[test]
fn mistakes() {
    for (text, words) in [
        ("FROM debian\nCOPY --from=later /a /b\nFROM debian AS later\n", "nowhere"),
        ("FROM debian AS a\nCOPY --from=a /a /b\n", "comes at or after"),
        ("FROM debian\nCOPY --from=3 /a /b\n", "no stage 3"),
        ("FROM debian\nCOPY --chmod=u+q a b\n", "--chmod=u+q"),
        ("FROM debian AS Base\nFROM BASE\n", "FROM names the stage by base"),
        ("FROM --platform=a/b/c/d debian\n", "--platform"),
        ("FROM debian\nRUN --mount=type=bind,target=/ x\n", "cannot be at /"),
        ("FROM debian\nADD --checksum=x https://x.org/y /z\n", "--checksum=x"),
        ("FROM debian\nCOPY https://x.org/y /z\n", "use ADD"),
        ("FROM debian\nRUN --device=v/c,required x\n", "is not registered"),
    ] {
        if words != "nowhere" {
            let said = refused(text);
            assert!(said.starts_with("Dockerfile:") && said.contains(words), "{said}");
        }
    }
    let target = Settings { target: Some("x".into()), ..settings(&[]) };
    try_plan("FROM debian\n", &target).unwrap_err();
}

#[test]
fn thousands_of_stages_are_planned_at_once() {
    let mut text = String::from("FROM debian AS s0\n");
    for number in 1..2000 {
        text += &format!(
            "FROM s{} AS s{number}\nRUN step {number}\nCOPY --from=s0 /a /b\n",
            number - 1
        );
    }
    let started = std::time::Instant::now();
    assert_eq!(planned(&text, &[]).stages.len(), 2000);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    /// Whatever a build argument's value is, it arrives as it is.
    #[test]
    fn values_arrive_unchanged(value in "[ -~]{0,40}") {
        let plan = planned("FROM debian\nARG V\nENV E=\"$V\"\nRUN x\n", &[("V", &value)]);
        prop_assert_eq!(env(runs(&plan)[0], "V"), Some(&*value));
        prop_assert_eq!(env(runs(&plan)[0], "E"), Some(&*value));
    }

    /// A plan depends on what it is given alone.
    #[test]
    fn plans_are_the_same_every_time(names in proptest::collection::vec("[a-z]{1,8}", 1..6)) {
        let text: String = std::iter::once("FROM debian\n".to_owned())
            .chain(names.iter().map(|name| format!("ARG {name}=1\nRUN echo ${name}\n")))
            .collect();
        let args: BuildArgs = names.iter().map(|name| (name.clone(), name.clone())).collect();
        let given = Settings { build_args: args, ..settings(&[]) };
        let (one, two) = (try_plan(&text, &given).unwrap(), try_plan(&text, &given).unwrap());
        prop_assert_eq!(&one.stages[0].steps, &two.stages[0].steps);
    }
}
