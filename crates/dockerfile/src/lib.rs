//! Dockerfile text to typed instructions with positions.
//!
//! The language is the one that BuildKit's Dockerfile frontend accepts (Dockerfile reference:
//! parser directives, escapes and continuations, heredocs, exec and shell forms, every instruction
//! and flag). [`parse`] yields a [`Dockerfile`]: global arguments and stages, each [`Instruction`]
//! with the lines it came from and the text that progress and history show. Words stay as written;
//! [`Instruction::expanded`] substitutes variables once their values are known. Beside it stand the
//! other small languages of a build context: [`IgnorePatterns`] (`.dockerignore`), [`Glob`] (wildcards
//! in `COPY` sources) and [`Remote`] (URLs and git references).
//!
//! ```
//! let text = b"FROM debian\nARG NAME=world\nENV GREETING=\"hello $NAME\"\n";
//! let file = dockerfile::parse(text, "Dockerfile")?;
//! let lookup = |name: &str| (name == "NAME").then(|| "world".to_owned());
//! let mut values = dockerfile::Expander::new(file.escape, &lookup);
//! let env = &file.stages[0].instructions[1];
//! assert_eq!(env.text, "ENV GREETING=\"hello $NAME\"");
//! match env.expanded(&mut values).map_err(|e| file.source.error(e.lines, e))? {
//!     dockerfile::Kind::Env(pairs) => assert_eq!(pairs[0].value, "hello world"),
//!     kind => unreachable!("{kind:?}"),
//! }
//! # Ok::<(), dockerfile::ParseError>(())
//! ```
//!
//! Pure: it reads the bytes that it is handed and nothing else. It never panics on any input, never
//! opens a file, and never decides what an instruction does.

mod device;
mod directive;
mod duration;
mod expand;
mod expanded;
mod expose;
mod flags;
mod glob;
mod heredoc;
mod ignore;
mod instruction;
mod kinds;
mod lexer;
pub mod lint;
mod list;
mod mount;
mod parse;
mod pattern;
mod problem;
mod remote;
mod scan;
mod source;
mod statement;
mod substitute;
mod suggest;
mod truth;
mod wildcard;
mod words;

pub use device::Device;
pub use directive::Directives;
pub use expand::{ExpandError, ExpandProblem, Expander, expand, expand_words};
pub use expose::{PortError, exposed_ports};
pub use glob::{Component, Glob, GlobError};
pub use heredoc::Heredoc;
pub use ignore::{Descent, IgnoreError, IgnorePatterns};
pub use instruction::{
    Add, Arg, Command, CommandLine, Copy, Dockerfile, Files, HealthTest, Healthcheck, InlineFile,
    Instruction, Kind, Network, OnBuild, Pair, Run, Security, Stage,
};
pub use mount::{Mount, MountError, MountKind, MountOptions, Sharing, fields};
pub use parse::{MAX_INSTRUCTION, MAX_TEXT, parse, parse_trigger};
pub use problem::{ParseError, Problem};
pub use remote::{GitRef, HttpRef, Remote, RemoteError, redacted};
pub use source::{Lines, Source, glimpse, printable};
pub use suggest::nearest;
pub use truth::truth;
