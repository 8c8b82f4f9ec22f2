//! `RUN` to the command that it is.

use dockerfile::{Command, Lines};

use super::super::scope;
use super::super::{Network, Operation, Run, history};
use super::{Lowering, absolute};
use crate::Error;

impl Lowering<'_, '_> {
    pub(super) fn run(
        &mut self,
        run: &dockerfile::Run,
        lines: Lines,
    ) -> Result<(Operation, String), Error> {
        let (args, script) = match run.command() {
            Command::Shell(line) => (self.with_shell(&line), None),
            Command::Exec(words) => (words, None),
            Command::Script { name, content } => {
                (self.with_shell(&format!("/dev/pipes/{name}")), Some((name, content)))
            }
        };
        if args.is_empty() {
            return Err(self.error(lines, "RUN needs a command"));
        }
        self.refuse_unsupported(run, lines)?;
        let created_by = history::run(&args, &self.declared, &self.environment);
        let mut step = Run {
            args,
            script,
            env: self.environment.to_list(),
            proxies: scope::proxies(&self.planner.settings.build_args),
            user: self.config.config.user.clone(),
            working_dir: absolute(&self.config.config.working_dir, ""),
            network: self.network(run),
            insecure: run.security == dockerfile::Security::Insecure,
            hostname: scope::hostname(&self.planner.settings.build_args).to_owned(),
            ..Run::default()
        };
        self.mounts(&mut step, &run.mounts, lines)?;
        Ok((Operation::Run(Box::new(step)), created_by))
    }

    fn network(&self, run: &dockerfile::Run) -> Network {
        match run.network {
            dockerfile::Network::None => Network::None,
            dockerfile::Network::Host => Network::Host,
            dockerfile::Network::Default => self.planner.settings.network,
        }
    }

    /// Refuses what the build may not, or cannot, give the command.
    fn refuse_unsupported(&mut self, run: &dockerfile::Run, lines: Lines) -> Result<(), Error> {
        let refused = self.planner.settings.allow.refused(run);
        if let Some((flag, entitlement)) = refused {
            let error = Error::Entitlement { flag, entitlement };
            return Err(Error::at(&self.dockerfile().source, lines, flag.to_owned(), error));
        }
        match run.devices.iter().find(|device| device.required) {
            Some(device) => Err(self.no_device(&device.name, lines)),
            None => {
                let absent = run.devices.iter().map(|device| device.name.clone());
                self.planner.plan.absent_devices.extend(absent);
                Ok(())
            }
        }
    }

    /// Nothing serves devices here, as with BuildKit where none is registered.
    fn no_device(&self, name: &str, lines: Lines) -> Error {
        let message = format!("the required device {name:?} is not registered");
        let hint =
            "builds here have no devices: the command must do without it, or leave out required";
        let error = self.dockerfile().source.error(lines, message);
        error.at_word(name).hinted(Some(hint.to_owned())).into()
    }
}

/// Variables that hold secrets, whose other values are shown to nobody either.
pub(super) fn secret_variables(operation: &Operation) -> impl Iterator<Item = &str> {
    let secrets = match operation {
        Operation::Run(run) => run.secrets.as_slice(),
        _ => &[],
    };
    secrets.iter().filter_map(|secret| secret.env.as_deref())
}
