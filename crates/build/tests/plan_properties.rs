//! What holds of the plan of any Dockerfile: its stages are those that the target needs, each behind what
//! it needs; how a file is written does not matter; and whatever is wrong has a place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use build::plan::{
    self, Base, Bases, BuildArgs, Entitlements, Network, Operation, Plan, Request, Settings,
};
use image::ImageConfig;
use proptest::prelude::*;

/// There is every image, and each is the same.
struct Every;

impl Bases for Every {
    fn config(&mut self, request: &Request) -> Result<ImageConfig, build::Error> {
        Ok(ImageConfig::empty(&request.platform))
    }
}

fn settings(target: Option<usize>) -> Settings {
    Settings {
        build_args: BuildArgs::new(),
        target: target.map(|index| format!("s{index}")),
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

fn planned(text: &str, target: Option<usize>) -> Plan {
    let dockerfile = dockerfile::parse(text.as_bytes(), "Dockerfile").unwrap();
    plan::plan(&dockerfile, &settings(target), &mut Every).unwrap()
}

/// A stage: which earlier one it starts from, if any, and which it reads from.
#[derive(Clone, Debug)]
struct Sketch {
    base: Option<usize>,
    copies: BTreeSet<usize>,
    mounts: BTreeSet<usize>,
}

/// What a stage is made of: whether it starts from an earlier one and which, and for each that it reads
/// from whether by `COPY`, and which.
type Seed = ((bool, u8), Vec<(bool, u8)>);

/// Stages that name earlier ones only.
fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let stage = (any::<(bool, u8)>(), prop::collection::vec(any::<(bool, u8)>(), 0..4));
    prop::collection::vec(stage, 2..12).prop_map(|stages| {
        let sketch = |(index, ((based, base), reads)): (usize, Seed)| {
            let earlier = |number: u8| usize::from(number).checked_rem(index);
            let read = |copied: bool| {
                let of_kind = reads.iter().filter(move |(copies, _)| *copies == copied);
                of_kind.filter_map(move |(_, number)| earlier(*number)).collect()
            };
            let base = earlier(base).filter(|_| based);
            Sketch { base, copies: read(true), mounts: read(false) }
        };
        stages.into_iter().enumerate().map(sketch).collect()
    })
}

impl Sketch {
    fn needs(&self) -> impl Iterator<Item = usize> {
        self.base.iter().chain(&self.copies).chain(&self.mounts).copied()
    }

    fn text(&self, index: usize) -> String {
        let base = self.base.map_or_else(|| "debian".to_owned(), |base| format!("s{base}"));
        let mut text = format!("FROM {base} AS s{index}\nENV IN{index}=1\n");
        for stage in &self.copies {
            text += &format!("COPY --from=s{stage} /file /from{stage}\n");
        }
        for stage in &self.mounts {
            text += &format!("RUN --mount=type=bind,from=s{stage},target=/m make {stage}\n");
        }
        text
    }
}

fn text(stages: &[Sketch]) -> String {
    stages.iter().enumerate().map(|(index, stage)| stage.text(index)).collect()
}

/// The target and all that it needs, by the sketches alone.
fn reachable(stages: &[Sketch], target: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![target];
    while let Some(index) = open.pop() {
        if found.insert(index) {
            open.extend(stages[index].needs());
        }
    }
    found
}

fn operations(plan: &Plan) -> Vec<(String, Vec<Operation>)> {
    let step = |step: &plan::Step| step.operation.clone();
    let stage = |stage: &plan::Stage| (stage.name.clone(), stage.steps.iter().map(step).collect());
    plan.stages.iter().map(stage).collect()
}

/// The same file with other case, blank lines, comments, and lines that go on.
fn rewritten(text: &str, salt: u8) -> String {
    let line = |(number, line): (usize, &str)| {
        let (name, rest) = line.split_once(' ').unwrap();
        match (number as u8).wrapping_add(salt) % 4 {
            0 => format!("{} {rest}\n", name.to_lowercase()),
            1 => format!("\n# a comment\n  {line}\n"),
            2 => format!("{name} \\\n  # between\n  {rest}\r\n"),
            _ => format!("{line}  \t\n"),
        }
    };
    text.lines().enumerate().map(line).collect()
}

/// Lines that are nearly right.
fn likely_text() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "FROM debian",
        "FROM debian AS a",
        "FROM a AS b",
        "FROM $X",
        "FROM b",
        "from A",
        "ARG X=a",
        "ARG X",
        "ENV Y=$X",
        "ENV Y=${X:?no}",
        "COPY --from=a x y",
        "COPY --from=9 x y",
        "COPY x y",
        "COPY --chmod=u+q x y",
        "ADD http:// y",
        "ADD --checksum=x http://h/x y",
        "RUN x",
        "RUN []",
        "RUN --mount=type=bind,from=b,target=$X x",
        "RUN --mount=type=cache,target=/ x",
        "USER $X",
        "WORKDIR $X",
        "EXPOSE $X",
        "EXPOSE 99999",
        "VOLUME $X",
        "STOPSIGNAL $X",
        "SHELL []",
        "HEALTHCHECK CMD x",
        "ONBUILD RUN x",
        "ONBUILD COPY --from=a x y",
        "CMD x",
        "LABEL a=$X",
        "RUN --network=host x",
        "RUN --device=v/c,required x",
        "FROM --platform=$X debian",
    ]);
    prop::collection::vec(line, 1..14).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn stages_are_those_that_the_target_needs(stages in sketches(), number in any::<prop::sample::Index>()) {
        let target = number.index(stages.len());
        let plan = planned(&text(&stages), Some(target));
        let planned: BTreeSet<String> = plan.stages.iter().map(|stage| stage.name.clone()).collect();
        let wanted: BTreeSet<String> =
            reachable(&stages, target).iter().map(|index| format!("s{index}")).collect();
        prop_assert_eq!(planned.len(), plan.stages.len(), "each once");
        prop_assert_eq!(planned, wanted);
        prop_assert_eq!(&plan.stages.last().unwrap().name, &format!("s{target}"));
    }

    #[test]
    fn what_a_stage_needs_comes_before_it(stages in sketches()) {
        let plan = planned(&text(&stages), None);
        for (index, stage) in plan.stages.iter().enumerate() {
            let sketch = &stages[stage.name[1..].parse::<usize>().unwrap()];
            let needs: BTreeSet<&str> = stage.needs.iter().map(|&need| &*plan.stages[need].name).collect();
            let wanted: BTreeSet<String> = sketch.needs().map(|need| format!("s{need}")).collect();
            prop_assert!(stage.needs.iter().all(|&need| need < index));
            prop_assert_eq!(needs, wanted.iter().map(String::as_str).collect::<BTreeSet<_>>());
            let base = match stage.base { Base::Stage(base) => Some(&*plan.stages[base].name), _ => None };
            let wanted = sketch.base.map(|base| format!("s{base}"));
            prop_assert_eq!(base, wanted.as_deref());
        }
    }

    /// A stage inherits what its base says, and nothing of those that it reads from.
    #[test]
    fn variables_come_from_the_base_alone(stages in sketches()) {
        let plan = planned(&text(&stages), None);
        for stage in &plan.stages {
            let mut line = Some(stage.name[1..].parse::<usize>().unwrap());
            let mut wanted = BTreeSet::new();
            while let Some(index) = line {
                wanted.insert(format!("IN{index}=1"));
                line = stages[index].base;
            }
            let env = stage.config.config.env.iter();
            let set: BTreeSet<String> = env.filter(|entry| entry.starts_with("IN")).cloned().collect();
            prop_assert_eq!(set, wanted);
        }
    }

    #[test]
    fn other_stages_do_not_matter(stages in sketches(), more in sketches()) {
        let (alone, last) = (text(&stages), stages.len() - 1);
        let others: String = (0..more.len()).map(|index| format!("FROM debian AS other{index}\nRUN other\n")).collect();
        let plan = planned(&(alone.clone() + &others), Some(last));
        prop_assert_eq!(operations(&planned(&alone, None)), operations(&plan));
    }

    #[test]
    fn how_it_is_written_does_not_matter(stages in sketches(), salt in any::<u8>()) {
        let text = text(&stages);
        let (one, two) = (planned(&text, None), planned(&rewritten(&text, salt), None));
        prop_assert_eq!(operations(&one), operations(&two));
    }

    #[test]
    fn what_is_wrong_has_a_place(text in likely_text()) {
        let Ok(dockerfile) = dockerfile::parse(text.as_bytes(), "Dockerfile") else { return Ok(()) };
        let examined = plan::examine(&dockerfile, &settings(None), &mut Every);
        for finding in &examined.findings {
            prop_assert!((1..=text.lines().count()).contains(&finding.lines.start), "{finding:?}");
        }
        if let Err(error) = examined.plan {
            prop_assert!(error.to_string().starts_with("Dockerfile:"), "{error}\n{text}");
        }
    }
}
