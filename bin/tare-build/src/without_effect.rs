//! Flags of docker build that BuildKit takes and ignores, and those about builder instances, of which there
//! are none here. A script that gives them goes on working, and is told.

use clap::Args;

/// What has no effect. None of it is in the help. Switches may be given `true` or `false`.
#[derive(Debug, Args)]
pub(crate) struct WithoutEffect {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    compress: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    force_rm: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    squash: Option<String>,
    #[arg(short = 'D', long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    debug: Option<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    security_opt: Vec<String>,
    #[arg(short, long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true)]
    memory_swap: Option<String>,
    #[arg(short = 'c', long, hide = true)]
    cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_quota: Option<String>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
}

impl WithoutEffect {
    /// A warning for each of them that was given.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let buildkit = "as with BuildKit";
        let limit = "as with BuildKit: limit --cgroup-parent";
        let all = [
            ("compress", self.compress.is_some(), buildkit),
            ("rm", self.rm.is_some(), buildkit),
            ("force-rm", self.force_rm.is_some(), buildkit),
            (
                "squash",
                self.squash.is_some(),
                "as with BuildKit: COPY --from a stage that did the work",
            ),
            ("isolation", self.isolation.is_some(), buildkit),
            ("security-opt", !self.security_opt.is_empty(), buildkit),
            ("memory", self.memory.is_some(), limit),
            ("memory-swap", self.memory_swap.is_some(), limit),
            ("cpu-shares", self.cpu_shares.is_some(), limit),
            ("cpu-period", self.cpu_period.is_some(), limit),
            ("cpu-quota", self.cpu_quota.is_some(), limit),
            ("cpuset-cpus", self.cpuset_cpus.is_some(), limit),
            ("cpuset-mems", self.cpuset_mems.is_some(), limit),
            ("debug", self.debug.is_some(), "there is no daemon whose log it would show"),
            ("builder", self.names_a_builder(), "there are no builder instances"),
        ];
        let given = all.into_iter().filter(|(_, given, _)| *given);
        given.map(|(name, _, why)| format!("--{name} has no effect, {why}"))
    }

    /// The usual one is what there is.
    fn names_a_builder(&self) -> bool {
        self.builder.as_ref().is_some_and(|name| name != "default")
    }
}
