//! The process: arguments, environment, working directory, user, limits.

use std::path::Path;

use oci_spec::runtime::{
    BoxBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder,
    UserBuilder,
};

use super::{Error, RunOptions, capabilities};
use crate::{ContainerConfig, User, Users};

/// Where commands are looked for when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where [`RunOptions::init`] is mounted.
pub(super) const INIT: &str = "/sbin/tare-init";

pub(super) fn process(
    config: &ContainerConfig,
    options: &RunOptions,
    users: &Users,
) -> Result<Process, Error> {
    let name = options.user.as_deref().unwrap_or(&config.user);
    let mut user = users.resolve(name, &options.group_add)?;
    if options.user_namespace.is_some_and(|namespace| !namespace.sets_groups) {
        user.groups.clear();
    }
    let mut process = ProcessBuilder::default()
        .terminal(options.tty)
        .args(args(config, options)?)
        .env(env(config, options, &user)?)
        .cwd(cwd(config, options)?)
        .user(runtime_user(&user))
        .capabilities(capabilities::capabilities(options, user.uid)?)
        .rlimits(rlimits(options)?)
        .no_new_privileges(options.no_new_privileges);
    if let Some(adjustment) = options.oom_score_adj {
        process = process.oom_score_adj(adjustment);
    }
    if let Some((rows, columns)) = options.console_size.filter(|_| options.tty) {
        let size = BoxBuilder::default().height(u64::from(rows)).width(u64::from(columns));
        process = process.console_size(size.build().expect("two numbers"));
    }
    Ok(process.build().expect("every field has a default"))
}

fn runtime_user(user: &User) -> oci_spec::runtime::User {
    let builder = UserBuilder::default().uid(user.uid).gid(user.gid);
    builder.additional_gids(user.groups.clone()).build().expect("every field has a default")
}

/// Docker's rule: entrypoint, then command. The user's arguments replace the image's command; the
/// user's entrypoint replaces both.
fn args(config: &ContainerConfig, options: &RunOptions) -> Result<Vec<String>, Error> {
    let image_entrypoint = config.entrypoint.clone().unwrap_or_default();
    let mut args = match &options.entrypoint {
        Some(own) if own.iter().all(String::is_empty) => Vec::new(),
        Some(own) => own.clone(),
        None => image_entrypoint,
    };
    if !options.args.is_empty() {
        args.extend_from_slice(&options.args);
    } else if options.entrypoint.is_none() {
        args.extend_from_slice(config.cmd.as_deref().unwrap_or_default());
    }
    if args.is_empty() {
        return Err(Error::NoCommand);
    }
    if options.init.is_some() {
        args.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    match args.iter().find(|arg| arg.contains('\0')) {
        Some(bad) => Err(Error::Text(bad.clone())),
        None => Ok(args),
    }
}

/// Docker's order: its defaults, then the user's variables, then the image's that the user does not
/// set. A name stands once, where it stood first, with the value that came last; a name without `=`
/// takes the variable away.
fn env(config: &ContainerConfig, options: &RunOptions, user: &User) -> Result<Vec<String>, Error> {
    let mut env = vec![format!("PATH={PATH}")];
    env.extend(options.hostname.as_ref().map(|name| format!("HOSTNAME={name}")));
    env.extend(options.tty.then(|| "TERM=xterm".to_owned()));
    let set = |entry: &&String| !options.env.iter().any(|own| name(own) == name(entry));
    for entry in options.env.iter().chain(config.env.iter().filter(set)) {
        if name(entry).is_empty() || entry.contains('\0') {
            return Err(Error::Text(entry.clone()));
        }
        assign(&mut env, entry);
    }
    if !env.iter().any(|entry| name(entry) == "HOME") {
        env.push(format!("HOME={}", user.home));
    }
    Ok(env)
}

fn assign(env: &mut Vec<String>, entry: &str) {
    match env.iter().position(|old| name(old) == name(entry)) {
        Some(at) if entry.contains('=') => entry.clone_into(&mut env[at]),
        Some(at) => drop(env.remove(at)),
        None if entry.contains('=') => env.push(entry.to_owned()),
        None => {}
    }
}

fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

fn cwd(config: &ContainerConfig, options: &RunOptions) -> Result<String, Error> {
    match &options.workdir {
        Some(own) if !Path::new(own).is_absolute() => Err(Error::WorkingDir(own.clone())),
        Some(own) => Ok(cleaned(Path::new(own))),
        // An image may say `app` for `/app`: builders of old did not complete it.
        None => Ok(cleaned(&Path::new("/").join(&config.working_dir))),
    }
}

/// As docker has it: what is to be made where it is missing is a name, not a way.
fn cleaned(path: &Path) -> String {
    super::mounts::lexical(path).to_string_lossy().into_owned()
}

fn rlimits(options: &RunOptions) -> Result<Vec<PosixRlimit>, Error> {
    options.ulimits.iter().map(rlimit).collect()
}

fn rlimit(limit: &super::Ulimit) -> Result<PosixRlimit, Error> {
    let unknown = || Error::UlimitName(limit.name.clone());
    let kind = format!("RLIMIT_{}", limit.name.to_uppercase());
    let kind: PosixRlimitType = kind.parse().map_err(|_| unknown())?;
    if limit.soft > limit.hard {
        let (name, soft, hard) = (limit.name.clone(), limit.soft, limit.hard);
        return Err(Error::Ulimit { name, soft, hard });
    }
    let builder = PosixRlimitBuilder::default().typ(kind).soft(limit.soft).hard(limit.hard);
    Ok(builder.build().expect("all three fields are set"))
}
