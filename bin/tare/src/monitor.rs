//! The life of one container, from start to its recorded end.

use std::ffi::OsStr;

use anyhow::Context as _;

use crate::attach::{Attached, Plan, Start, process_record};
use crate::container::{Container, Exit};
use crate::log::Log;
use crate::runtime::Runtime;

/// Starts the container, copies its streams until it ends, records how, and removes it if that was
/// asked for. `ready` is called once it runs. Gives its exit code.
///
/// The caller holds the container's monitor lock. On an error nothing runs any more, and what is left
/// on disk is the caller's to remove.
pub(crate) fn watch(
    container: &Container,
    plan: Plan,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<u8> {
    let runtime = Runtime::of(container);
    let id = container.record.id.as_str();
    let result = live(container, &runtime, plan, ready);
    // Also where it failed: whatever the runtime made goes. Nothing runs in the root file system any
    // more, so that goes at the same time; what fails there is tried and told again below.
    let deleted = runtime.delete_while(id, || {
        if container.record.auto_remove && result.is_ok() {
            let _ = container.remove_data();
        }
    });
    let code = result?;
    deleted?;
    if container.record.auto_remove {
        container.remove()?;
    }
    Ok(code)
}

fn live(
    container: &Container,
    runtime: &Runtime,
    plan: Plan,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<u8> {
    let path = container.log_path();
    let log = Log::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let bundle = container.bundle();
    let words = ["run", "--detach", "--bundle"].map(OsStr::new);
    let start = Start {
        words: &[words[0], words[1], words[2], bundle.as_os_str()],
        pid_file: &container.pid_file(),
        id: container.record.id.as_str(),
        log: None,
    };
    let attached = Attached::start(runtime, start, plan)?;
    container.record_process(&process_record(attached.pid))?;
    ready()?;
    let code = attached.run(Some(&log))?;
    container.record_exit(&Exit { code, finished: std::time::SystemTime::now() })?;
    Ok(code)
}
