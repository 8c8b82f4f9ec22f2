//! Who the container's program is: user, groups, capabilities, no-new-privileges. The order is the
//! point of this module, so it stands in one function; every result is checked.

use libcontainer::capabilities::CapabilityExt;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::error::{Doing, Result};
use crate::id_map;

/// Capabilities as the kernel's bits.
#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
}

/// Becomes the process's user (runtime-spec, config.md "POSIX-platform User", "Linux Process").
///
/// The bounding set can be reduced only with CAP_SETPCAP, ids change only with CAP_SETUID and
/// CAP_SETGID; the change of the user would drop all permitted capabilities but for keepcaps, and the
/// ambient set can hold only what is permitted and inheritable already. `mapped`: in a user namespace,
/// where the groups may be fixed. Returns warnings: runc starts a container whose ambient capabilities
/// cannot all be raised.
pub(crate) fn assume(process: &Process, mapped: bool) -> Result<Vec<String>> {
    // No list means no capability, as runc has it.
    let bits = process.capabilities().as_ref().map(Bits::of).unwrap_or_default();
    reduce_bounding(bits.bounding)?;
    rustix::thread::set_keep_capabilities(true).doing(|| "keep capabilities".into())?;
    change_user(process, mapped)?;
    rustix::thread::set_keep_capabilities(false).doing(|| "keep capabilities no more".into())?;
    let ambient =
        process.capabilities().as_ref().and_then(|capabilities| capabilities.ambient().clone());
    bits.apply(&ambient.unwrap_or_default())
}

/// prctl(2) PR_SET_NO_NEW_PRIVS.
pub(crate) fn forbid_new_privileges() -> Result<()> {
    rustix::thread::set_no_new_privs(true).doing(|| "set no-new-privileges".into())
}

fn change_user(process: &Process, mapped: bool) -> Result<()> {
    let user = process.user();
    let groups: Vec<_> =
        user.additional_gids().iter().flatten().map(|&gid| Gid::from_raw(gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A user namespace made without privileges, the container's or one around it, forbids setgroups(2);
        // its own word for that lies in the container's /proc, where an image could say it too.
        Err(Errno::PERM) if groups.is_empty() && (mapped || id_map::in_user_namespace()) => {}
        set => set.doing(|| "set the additional groups".into())?,
    }
    let (uid, gid) = (Uid::from_raw(user.uid()), Gid::from_raw(user.gid()));
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .doing(|| format!("become group {}", user.gid()))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .doing(|| format!("become user {}", user.uid()))
}

impl Bits {
    fn of(capabilities: &LinuxCapabilities) -> Self {
        let bits = |list: &Option<Capabilities>| {
            list.iter().flatten().fold(0, |bits, capability| bits | capability.to_cap().bitmask())
        };
        Self {
            bounding: bits(capabilities.bounding()),
            effective: bits(capabilities.effective()),
            permitted: bits(capabilities.permitted()),
            inheritable: bits(capabilities.inheritable()),
            ambient: bits(capabilities.ambient()),
        }
    }

    fn apply(self, ambient: &Capabilities) -> Result<Vec<String>> {
        let set = CapabilitySet::from_bits_retain;
        let sets = CapabilitySets {
            effective: set(self.effective),
            permitted: set(self.permitted),
            inheritable: set(self.inheritable),
        };
        rustix::thread::set_capabilities(None, sets).doing(|| "set the capabilities".into())?;
        rustix::thread::clear_ambient_capability_set()
            .doing(|| "clear the ambient capabilities".into())?;
        let raised = bits(self.ambient).map(|bit| {
            let one = set(1 << bit);
            (bit, rustix::thread::configure_capability_in_ambient_set(one, true))
        });
        let failed = raised.filter_map(|(bit, raised)| raised.err().map(|error| (bit, error)));
        Ok(failed
            .map(|(bit, error)| {
                format!("can't raise ambient capability {}: {error}", name(bit, ambient))
            })
            .collect())
    }
}

/// A capability's name by its number.
fn name(bit: u32, of: &Capabilities) -> String {
    let known = |have: &Capability| have.to_cap().bitmask() == 1 << bit;
    let found = of.iter().find(|have| known(have));
    found.map_or_else(|| bit.to_string(), |capability| format!("CAP_{capability}"))
}

/// Drops from the bounding set what is not in `keep`, up to the last capability that the kernel knows.
fn reduce_bounding(keep: u64) -> Result<()> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if keep & (1 << bit) != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Err(rustix::io::Errno::INVAL) => break,
            dropped => dropped.doing(|| format!("drop capability {bit} from the bounding set"))?,
        }
    }
    Ok(())
}

fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| set & (1 << bit) != 0)
}
