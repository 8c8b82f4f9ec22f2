//! `RUN --mount=type=ssh`: sockets on which the agents that the build was given answer.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::{Solver, run};
use crate::Error;
use crate::agent::{KeyAgent, Proxy};
use crate::options::AgentSource;
use crate::plan::Run;

/// The sockets of a step. Dropped, nobody answers there any more.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) mounts: Vec<image::Mount>,
    proxies: Vec<Proxy>,
}

/// Shows the command its agents; the sockets are made in `folder`.
pub(super) fn show(solver: &Solver<'_>, run: &Run, folder: &Path) -> Result<Shown, Error> {
    let mut shown = Shown::default();
    for (number, agent) in run.agents.iter().enumerate() {
        let Some(source) = solver.options.agents.get(&agent.id) else {
            if agent.required {
                return Err(Error::NoAgent { id: agent.id.clone() });
            }
            continue;
        };
        let socket = solver.agent_socket(&agent.id, source)?;
        let name = number.to_string();
        let path = folder.join(&name);
        let start = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            Proxy::start(folder, &name, agent.access, &socket)
        };
        shown.proxies.push(start().map_err(|error| Error::io("make the socket", &path, error))?);
        shown.mounts.push(run::bind(path, PathBuf::from(&agent.target), false));
    }
    Ok(shown)
}

impl Solver<'_> {
    fn agent_socket(&self, id: &str, source: &AgentSource) -> Result<PathBuf, Error> {
        match source {
            AgentSource::Socket(path) => Ok(path.clone()),
            AgentSource::Keys(keys) => self.key_agent(id, keys),
        }
    }

    /// Where the agent for these keys listens: one for all steps of the build.
    fn key_agent(&self, id: &str, keys: &[PathBuf]) -> Result<PathBuf, Error> {
        let mut agents = self.key_agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(id) {
            return Ok(agent.socket().to_owned());
        }
        let agent = KeyAgent::start(id, keys)?;
        let socket = agent.socket().to_owned();
        agents.insert(id.to_owned(), agent);
        Ok(socket)
    }
}
