//! What is there: `state`, `list`, `ps`, and `pause` and `resume` beside them.

use std::path::Path;

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::notice;
use crate::state::{Record, State, StateDir, Status};

/// The state of one container.
///
/// # Errors
/// [`Error::NotFound`].
pub fn state(root: &Path, id: &ContainerId) -> Result<State> {
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    let status = dir.status(&record);
    Ok(record.state(status))
}

/// All containers below a state root, by id; none when the root does not exist.
///
/// # Errors
/// When the root cannot be read. A container that goes away meanwhile is left out, and what is no
/// container's state is warned of.
pub fn list(root: &Path) -> Result<Vec<State>> {
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(|| format!("list {}", root.display()))?,
    };
    let mut states = Vec::new();
    for entry in entries {
        let name = entry.doing(|| format!("list {}", root.display()))?.file_name();
        let Ok(id) = name.to_string_lossy().parse::<ContainerId>() else { continue };
        match state(root, &id) {
            Ok(state) => states.push(with_owner(root, state)),
            Err(Error::NotFound(_)) => {}
            Err(error) => notice::warn(&format!("leaving {id} out: {error}")),
        }
    }
    states.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(states)
}

fn with_owner(root: &Path, mut state: State) -> State {
    use std::os::unix::fs::MetadataExt;
    if let Ok(metadata) = std::fs::metadata(root.join(&state.id)) {
        let uid = metadata.uid();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        state.owner = name.unwrap_or_else(|| format!("#{uid}"));
    }
    state
}

/// The processes of a container, as the host numbers them.
///
/// # Errors
/// [`Error::NotFound`], or when its cgroup cannot be read.
pub fn processes(root: &Path, id: &ContainerId) -> Result<Vec<i32>> {
    let mut pids = StateDir::new(root, id).load()?.cgroup.processes()?;
    pids.sort_unstable();
    Ok(pids)
}

/// Freezes all processes of a container.
///
/// # Errors
/// When it is neither created nor running, or has no freezer.
pub fn pause(root: &Path, id: &ContainerId) -> Result<()> {
    change(root, id, "pause", &[Status::Created, Status::Running], |cgroup| cgroup.freeze(true))
}

/// Lets all processes of a paused container go on.
///
/// # Errors
/// When it is not paused.
pub fn resume(root: &Path, id: &ContainerId) -> Result<()> {
    change(root, id, "resume", &[Status::Paused], |cgroup| cgroup.freeze(false))
}

fn change(
    root: &Path,
    id: &ContainerId,
    verb: &'static str,
    from: &[Status],
    change: impl FnOnce(&Cgroup) -> Result<()>,
) -> Result<()> {
    let dir = StateDir::new(root, id);
    let record: Record = dir.load()?;
    let status = dir.status(&record);
    if !from.contains(&status) {
        return Err(Error::WrongState { verb, status: status.as_str() });
    }
    change(&record.cgroup)
}
