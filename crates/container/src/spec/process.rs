//! What a process must be to be started, the container's first or another (runtime-spec, config.md
//! "Process").

use std::path::Path;

use oci_spec::runtime::{LinuxSchedulerPolicy as Policy, Process, Scheduler};

use super::check_text;
use crate::cpu_set::CpuSet;
use crate::error::{Error, Result};

/// Checks a process that shall be started.
pub(crate) fn check(process: &Process) -> Result<()> {
    check_program(process)?;
    check_environment(process)?;
    check_limits(process)?;
    process.scheduler().as_ref().map_or(Ok(()), check_scheduler)?;
    if let Some(priority) = process.io_priority()
        && !(0..8).contains(&priority.priority())
    {
        let reason = format!("{} is not between 0 and 7", priority.priority());
        return Err(Error::spec("process.ioPriority.priority", reason));
    }
    if let Some(affinity) = process.exec_cpu_affinity() {
        cpus("process.execCPUAffinity.initial", affinity.initial().as_deref())?;
        cpus("process.execCPUAffinity.final", affinity.cpu_affinity_final().as_deref())?;
    }
    check_labels(process)
}

/// A list of processors, None for an empty one.
pub(crate) fn cpus(field: &str, list: Option<&str>) -> Result<Option<CpuSet>> {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(None) };
    CpuSet::parse(list).map(Some).map_err(|reason| Error::spec(field, reason))
}

fn check_program(process: &Process) -> Result<()> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.is_empty() {
        return Err(Error::spec("process.args", "must not be empty"));
    }
    for text in args {
        check_text("process.args", text)?;
    }
    check_text("process.cwd", process.cwd())?;
    if process.cwd().as_os_str().is_empty() {
        return Err(Error::spec("process.cwd", "must not be empty"));
    }
    if !process.cwd().is_absolute() {
        let cwd = process.cwd().display();
        return Err(Error::spec("process.cwd", format!("{cwd:?} must be an absolute path")));
    }
    Ok(())
}

fn check_environment(process: &Process) -> Result<()> {
    for variable in process.env().iter().flatten() {
        check_text("process.env", variable)?;
        let reason = match variable.find('=') {
            None => "missing '='",
            Some(0) => "name cannot be empty",
            Some(_) => continue,
        };
        let reason = format!("invalid environment variable {variable:?}: {reason}");
        return Err(Error::spec("process.env", reason));
    }
    Ok(())
}

/// One type, one limit (config.md "POSIX Process").
fn check_limits(process: &Process) -> Result<()> {
    let limits = process.rlimits().as_deref().unwrap_or_default();
    for (index, limit) in limits.iter().enumerate() {
        if limits[..index].iter().any(|before| before.typ() == limit.typ()) {
            let reason = format!("{} is given twice", limit.typ());
            return Err(Error::spec("process.rlimits", reason));
        }
        if limit.soft() > limit.hard() {
            let (name, soft, hard) = (limit.typ(), limit.soft(), limit.hard());
            let reason = format!("{name}: the soft limit {soft} is above the hard limit {hard}");
            return Err(Error::spec("process.rlimits", reason));
        }
    }
    Ok(())
}

/// What sched_setattr(2) would refuse with less words, or pass over.
fn check_scheduler(scheduler: &Scheduler) -> Result<()> {
    let policy = *scheduler.policy();
    let given = |value: Option<u64>| value.is_some_and(|value| value != 0);
    if matches!(policy, Policy::SchedOther | Policy::SchedBatch)
        && scheduler.nice().is_some_and(|nice| !(-20..20).contains(&nice))
    {
        let reason = format!("{} is not between -20 and 19", scheduler.nice().unwrap_or(0));
        return Err(Error::spec("process.scheduler.nice", reason));
    }
    let real_time = matches!(policy, Policy::SchedFifo | Policy::SchedRr);
    if !real_time && scheduler.priority().is_some_and(|priority| priority != 0) {
        let reason = "only SCHED_FIFO and SCHED_RR have one";
        return Err(Error::spec("process.scheduler.priority", reason));
    }
    if policy != Policy::SchedDeadline
        && [scheduler.runtime(), scheduler.deadline(), scheduler.period()]
            .into_iter()
            .any(|value| given(*value))
    {
        let reason = "runtime, deadline and period belong to SCHED_DEADLINE";
        return Err(Error::spec("process.scheduler", reason));
    }
    Ok(())
}

fn check_labels(process: &Process) -> Result<()> {
    let given = |label: &Option<String>| label.as_ref().is_some_and(|label| !label.is_empty());
    if given(process.selinux_label()) && !Path::new("/sys/fs/selinux/enforce").exists() {
        let reason = "selinux is disabled or not supported by this kernel";
        return Err(Error::spec("process.selinuxLabel", reason));
    }
    if given(process.apparmor_profile()) {
        let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
        if !enabled.is_ok_and(|enabled| enabled.starts_with(b"Y")) {
            let reason = "apparmor is disabled or not supported by this kernel";
            return Err(Error::spec("process.apparmorProfile", reason));
        }
    }
    for (field, label) in [
        ("process.selinuxLabel", process.selinux_label()),
        ("process.apparmorProfile", process.apparmor_profile()),
    ] {
        check_text(field, label.as_deref().unwrap_or_default())?;
    }
    Ok(())
}
