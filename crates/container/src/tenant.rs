//! What a further process of a container takes from the container, and on which processors it runs.

use oci_spec::runtime::Process;

use crate::cpu_set::CpuSet;
use crate::error::{Doing, Result};
use crate::init::settings;
use crate::state::Record;
use crate::{notice, spec, syscalls};

/// Fills in what `exec --process` leaves open, as runc does.
pub(crate) fn inherit(process: &mut Process, record: &Record) {
    let Some(container) = &record.config.process else { return };
    if process.capabilities().is_none() {
        process.set_capabilities(container.capabilities().clone());
    }
    if is_blank(process.apparmor_profile()) {
        process.set_apparmor_profile(container.apparmor_profile().clone());
    }
    if is_blank(process.selinux_label()) {
        process.set_selinux_label(container.selinux_label().clone());
    }
    if process.rlimits().as_ref().is_none_or(Vec::is_empty) {
        process.set_rlimits(container.rlimits().clone());
    }
    if process.io_priority().is_none() {
        process.set_io_priority(*container.io_priority());
    }
    if process.scheduler().is_none() {
        process.set_scheduler(container.scheduler().clone());
    }
    if process.exec_cpu_affinity().is_none() {
        process.set_exec_cpu_affinity(container.exec_cpu_affinity().clone());
    }
    if process.user().umask().is_none() {
        process.user_mut().set_umask(container.user().umask());
    }
}

fn is_blank(text: &Option<String>) -> bool {
    text.as_ref().is_none_or(String::is_empty)
}

/// `process.execCPUAffinity` (runtime-spec, config.md "Linux Process").
pub(crate) struct Affinity {
    /// While the process enters the container's cgroup.
    initial: Option<CpuSet>,
    /// From then on.
    last: Option<CpuSet>,
}

impl Affinity {
    pub(crate) fn of(process: &Process) -> Result<Self> {
        let Some(affinity) = process.exec_cpu_affinity() else {
            return Ok(Self { initial: None, last: None });
        };
        let cpus = |name: &str, list: &Option<String>| {
            spec::process::cpus(&format!("process.execCPUAffinity.{name}"), list.as_deref())
        };
        Ok(Self {
            initial: cpus("initial", affinity.initial())?,
            last: cpus("final", affinity.cpu_affinity_final())?,
        })
    }

    /// Before the cgroup is entered.
    pub(crate) fn begin(&self) -> Result<()> {
        let Some(cpus) = &self.initial else { return Ok(()) };
        syscalls::set_affinity(cpus.words())
            .doing(|| format!("set the initial CPU affinity {}", cpus.mask()))?;
        // Named as in runc's log.
        notice::debug(|| format!("nsexec: affinity: {}", cpus.mask()));
        Ok(())
    }

    /// In the cgroup. Without any, all processors that it allows: the caller's affinity is no part of
    /// the container.
    pub(crate) fn end(&self) -> Result<()> {
        match &self.last {
            Some(cpus) => syscalls::set_affinity(cpus.words())
                .doing(|| format!("set the final CPU affinity {}", cpus.mask())),
            None if self.initial.is_some() => Ok(()),
            None => {
                settings::reset_affinity();
                Ok(())
            }
        }
    }
}
