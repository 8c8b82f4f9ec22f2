//! What a target takes from outside: build arguments, secrets, agents, caches, with what the
//! Dockerfile's comments say of them. As BuildKit's `outline` request has it: arguments that the target
//! or a stage that it needs declares, or uses in its FROM, and the global ones behind them.

use std::collections::{BTreeMap, BTreeSet};

use dockerfile::{Arg, Dockerfile, Lines, Mount, MountKind};

use super::origin::Word;
use super::scope::Environment;
use super::settings::Settings;

/// A target and its parameters, each list in the order of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The stage's name.
    pub name: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// Build arguments.
    pub args: Vec<OutlineArg>,
    /// Secrets.
    pub secrets: Vec<OutlineMount>,
    /// SSH agents.
    pub ssh: Vec<OutlineMount>,
    /// Cache mounts.
    pub caches: Vec<OutlineCache>,
}

/// A build argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above its ARG says.
    pub description: Option<String>,
    /// The value that it has in this build, if it has one.
    pub value: Option<String>,
    /// Where it is defined.
    pub lines: Lines,
}

/// A secret or an SSH agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineMount {
    /// Its id.
    pub id: String,
    /// Whether the build fails without it.
    pub required: bool,
    /// Where it is used first.
    pub lines: Lines,
}

/// A cache mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineCache {
    /// Its id: its target where it has none of its own.
    pub id: String,
    /// Where it is used first.
    pub lines: Lines,
}

/// The global arguments: definitions, and the names that each default uses.
pub(super) struct Globals(BTreeMap<String, (OutlineArg, Vec<String>)>);

/// What a stage itself takes.
#[derive(Clone, Debug, Default)]
pub(super) struct StageOutline {
    /// Names that its FROM uses and that its ARGs declare.
    used: BTreeSet<String>,
    /// Arguments that it defines rather than takes over from the global ones.
    own: BTreeMap<String, OutlineArg>,
    secrets: Vec<OutlineMount>,
    ssh: Vec<OutlineMount>,
    caches: Vec<OutlineCache>,
}

impl StageOutline {
    /// Of a stage whose FROM uses these global arguments.
    pub(super) fn using(used: Vec<String>) -> Self {
        Self { used: used.into_iter().collect(), ..Self::default() }
    }

    /// An ARG. `inherited` says that its value is the global one's.
    pub(super) fn argument(&mut self, arg: &Arg, value: Option<&str>, inherited: bool) {
        self.used.insert(arg.name.clone());
        if !inherited {
            self.own.insert(arg.name.clone(), described(arg, value.map(str::to_owned)));
        }
    }

    /// A `RUN --mount`.
    pub(super) fn mount(&mut self, mount: &Mount, lines: Lines) {
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let required = mount.required;
        match mount.kind {
            MountKind::Secret => {
                let last = |path: String| path.rsplit('/').next().map(str::to_owned);
                let id = text(&mount.source).or_else(|| text(&mount.id));
                let id = id.or_else(|| text(&mount.target).and_then(last)).unwrap_or_default();
                add(&mut self.secrets, OutlineMount { id, required, lines });
            }
            MountKind::Ssh => {
                let id = text(&mount.id).unwrap_or_else(|| "default".to_owned());
                add(&mut self.ssh, OutlineMount { id, required, lines });
            }
            MountKind::Cache => {
                let id = text(&mount.id).or_else(|| text(&mount.target)).unwrap_or_default();
                add(&mut self.caches, OutlineCache { id, lines });
            }
            MountKind::Bind | MountKind::Tmpfs => {}
        }
    }
}

fn described(arg: &Arg, value: Option<String>) -> OutlineArg {
    let Arg { name, description, lines, .. } = arg.clone();
    OutlineArg { name, description, value, lines }
}

/// What is known by an id: the first of each counts.
trait Named {
    fn id(&self) -> &str;
    fn lines(&self) -> Lines;
}

impl Named for OutlineMount {
    fn id(&self) -> &str {
        &self.id
    }
    fn lines(&self) -> Lines {
        self.lines
    }
}

impl Named for OutlineCache {
    fn id(&self) -> &str {
        &self.id
    }
    fn lines(&self) -> Lines {
        self.lines
    }
}

impl Named for OutlineArg {
    fn id(&self) -> &str {
        &self.name
    }
    fn lines(&self) -> Lines {
        self.lines
    }
}

fn add<T: Named>(list: &mut Vec<T>, new: T) {
    if !list.iter().any(|known| known.id() == new.id()) {
        list.push(new);
    }
}

fn sorted<T: Named>(mut list: Vec<T>) -> Vec<T> {
    list.sort_by_key(|item| item.lines().start);
    list
}

impl Globals {
    /// `start` are the platform arguments.
    pub(super) fn new(dockerfile: &Dockerfile, start: &Environment, settings: &Settings) -> Self {
        let mut scope = start.clone();
        let mut globals = BTreeMap::new();
        for arg in &dockerfile.global_args {
            let word = arg.default.as_deref();
            let word = word.and_then(|word| Word::new(dockerfile, &scope, word, arg.lines).ok());
            let (value, uses) = match (settings.build_args.get(&arg.name), word) {
                (Some(given), _) => (Some(given.clone()), Vec::new()),
                (None, Some(word)) => (Some(word.text), word.found),
                (None, None) => (None, Vec::new()),
            };
            if let Some(value) = &value {
                scope.set(&arg.name, value);
            }
            globals.insert(arg.name.clone(), (described(arg, value), uses));
        }
        Self(globals)
    }

    /// The outline of `target`. `stages` are those of the plan: what each takes, and the indexes of
    /// those that it needs.
    pub(super) fn describe(
        &self,
        target: &dockerfile::Stage,
        stages: Vec<(&StageOutline, &[usize])>,
        index: usize,
    ) -> Outline {
        let mut outline = Outline {
            name: target.name.clone(),
            description: target.description.clone(),
            ..Outline::default()
        };
        let (mut open, mut seen) = (vec![index], BTreeSet::new());
        while let Some(index) = open.pop() {
            if seen.insert(index) {
                let (stage, needs) = stages[index];
                self.collect(stage, &mut outline);
                open.extend(needs);
            }
        }
        Outline {
            args: sorted(outline.args),
            secrets: sorted(outline.secrets),
            ssh: sorted(outline.ssh),
            caches: sorted(outline.caches),
            ..outline
        }
    }

    fn collect(&self, stage: &StageOutline, outline: &mut Outline) {
        let (mut open, mut seen) = (stage.used.iter().collect::<Vec<_>>(), BTreeSet::new());
        while let Some(name) = open.pop() {
            if !seen.insert(name) {
                continue;
            }
            match (stage.own.get(name), self.0.get(name)) {
                (Some(own), _) => add(&mut outline.args, own.clone()),
                (None, Some((global, uses))) => {
                    add(&mut outline.args, global.clone());
                    open.extend(uses);
                }
                (None, None) => {}
            }
        }
        stage.secrets.iter().for_each(|it| add(&mut outline.secrets, it.clone()));
        stage.ssh.iter().for_each(|it| add(&mut outline.ssh, it.clone()));
        stage.caches.iter().for_each(|it| add(&mut outline.caches, it.clone()));
    }
}
