//! `import --change`: instructions of a Dockerfile that change a configuration alone.

use anyhow::{Context as _, bail};
use dockerfile::{CommandLine, Expander, HealthTest, Kind};
use image::{Healthcheck, ImageConfig};

/// Applies one instruction, such as `ENV PATH=/bin` or `CMD ["sh"]`. Variables in it stand for what the
/// changes before it set.
pub(crate) fn apply(config: &mut ImageConfig, change: &str) -> anyhow::Result<()> {
    apply_one(config, change).with_context(|| format!("invalid --change {change:?}"))
}

fn apply_one(config: &mut ImageConfig, change: &str) -> anyhow::Result<()> {
    let instruction = dockerfile::parse_trigger(change, '\\')?;
    let env = config.config.env.clone();
    let lookup = |name: &str| {
        let value = |entry: &String| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        env.iter().find_map(value)
    };
    let kind = instruction.expanded(&mut Expander::new('\\', &lookup))?;
    let shell = config.config.shell.clone();
    let set = &mut config.config;
    match kind {
        Kind::Cmd(line) => set.cmd = Some(words(line, &shell)),
        Kind::Entrypoint(line) => set.entrypoint = Some(words(line, &shell)),
        Kind::Env(pairs) => {
            pairs.iter().for_each(|pair| set_env(&mut set.env, &pair.key, &pair.value))
        }
        Kind::Label(pairs) => {
            set.labels.extend(pairs.into_iter().map(|pair| (pair.key, pair.value)))
        }
        Kind::Expose(ports) => {
            for port in ports {
                set.exposed_ports.extend(dockerfile::exposed_ports(&port)?);
            }
        }
        Kind::Volume(paths) => set.volumes.extend(paths),
        Kind::User(user) => set.user = user,
        Kind::Workdir(path) => set.working_dir = absolute(&set.working_dir, &path),
        Kind::StopSignal(signal) => set.stop_signal = signal,
        Kind::Shell(words) => set.shell = words,
        Kind::OnBuild(trigger) => set.on_build.push(trigger.expression),
        Kind::Healthcheck(check) => set.healthcheck = Some(healthcheck(check)),
        Kind::Maintainer(name) => config.author = name,
        kind => bail!(
            "{} changes more than the configuration: allowed are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR",
            kind.name()
        ),
    }
    Ok(())
}

fn words(line: CommandLine, shell: &[String]) -> Vec<String> {
    match line {
        CommandLine::Exec(words) => words,
        CommandLine::Shell(line) if shell.is_empty() => vec!["/bin/sh".into(), "-c".into(), line],
        CommandLine::Shell(line) => shell.iter().cloned().chain([line]).collect(),
    }
}

fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    let same = |old: &&mut String| old.split_once('=').is_some_and(|(old, _)| old == name);
    match env.iter_mut().find(same) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

/// A relative path continues the directory before it.
fn absolute(before: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{before}/{path}") };
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(check: dockerfile::Healthcheck) -> Healthcheck {
    let nanoseconds = |duration: Option<std::time::Duration>| {
        duration.map_or(0, |duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    Healthcheck {
        test: match check.test {
            HealthTest::None => vec!["NONE".to_owned()],
            HealthTest::Command(CommandLine::Shell(line)) => vec!["CMD-SHELL".to_owned(), line],
            HealthTest::Command(CommandLine::Exec(words)) => {
                std::iter::once("CMD".to_owned()).chain(words).collect()
            }
        },
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: check.retries.unwrap_or(0).into(),
        ..Healthcheck::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> ImageConfig {
        let mut config = ImageConfig::default();
        for change in changes {
            apply(&mut config, change).unwrap();
        }
        config
    }

    #[test]
    fn changes_are_those_of_a_dockerfile() {
        let config = changed(&[
            "ENV A=1 B=\"two words\"",
            "env A=${A}2",
            "CMD [\"sh\", \"-c\", \"true\"]",
            "ENTRYPOINT echo $A",
            "EXPOSE 80 443/udp",
            "LABEL x=y",
            "USER 1:2",
            "VOLUME /data",
            "WORKDIR /a",
            "WORKDIR b/../c",
            "STOPSIGNAL SIGINT",
        ])
        .config;
        assert_eq!(config.env, ["A=12", "B=two words"]);
        assert_eq!(config.cmd.unwrap(), ["sh", "-c", "true"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "echo $A"]);
        assert!(config.exposed_ports.iter().eq(["443/udp", "80/tcp"]));
        assert_eq!(config.labels["x"], "y");
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1:2", "/a/c"));
        assert!(config.volumes.iter().eq(["/data"]));
        assert_eq!(config.stop_signal, "SIGINT");
    }

    #[test]
    fn other_instructions_are_refused() {
        for change in ["RUN true", "COPY a b", "FROM x", "NOPE", "", "ENV"] {
            assert!(apply(&mut ImageConfig::default(), change).is_err(), "{change}");
        }
    }
}
