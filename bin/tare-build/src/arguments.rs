//! The command line: docker build's names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use build::plan::{Entitlements, Network};
use build::{GitProgram, Host, NamedSource, Volume};
use clap::{Parser, ValueEnum};
use cli::ProgressMode;
use image::{Platform, Reference};

use crate::agents::AgentFlag;
use crate::annotation::AnnotationFlag;
use crate::attestation::AttestFlag;
use crate::call::Call;
use crate::output::OutputFlag;
use crate::progress::{Explain, ProgressFlag};
use crate::secrets::SecretFlag;
use crate::without_effect::WithoutEffect;

/// Build an image from a Dockerfile.
///
/// The build context is a directory; a git repository (https://HOST/REPO.git#REF:DIR, git@HOST:REPO);
/// the URL of a tar or a Dockerfile; or - for a tar (plain or compressed) or a Dockerfile on standard
/// input. A Dockerfile alone has no context. With a context from elsewhere, --file is a path in it.
/// The image's digest is printed on standard output; all else goes to standard error.
///
/// The build cache is kept within $TARE_BUILD_CACHE, such as 20g, or unlimited; without it within a tenth
/// of the disk (at least 2 GB, at most 100 GB). What was not used for longest goes, and what was not for
/// 60 days. tare-store prune does the same by hand.
#[derive(Debug, Parser)]
#[command(name = "tare-build", version)]
pub(crate) struct Arguments {
    /// The build context
    #[arg(value_name = "PATH | URL | -")]
    pub(crate) context: String,
    /// The Dockerfile [default: PATH/Dockerfile]; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name the image; may be given several times
    #[arg(short = 't', long = "tag", value_name = "NAME[:TAG]")]
    pub(crate) tags: Vec<Reference>,
    /// Set a build argument; without a value, to that of the environment variable
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]", value_parser = named)]
    build_arg: Vec<String>,
    /// Replace the images and stages of a name: by a directory, docker-image://IMAGE,
    /// oci-layout://DIR[:TAG], or a URL as for the context; may be given several times
    #[arg(long = "build-context", value_name = "NAME=CONTEXT", value_parser = build_context)]
    pub(crate) contexts: Vec<(String, NamedSource)>,
    /// Build this stage, by name or number [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// Build for this platform, such as linux/arm64, or for several, which gives an index
    /// [default: this machine's]
    #[arg(long = "platform", value_name = "OS/ARCH[,…]", value_delimiter = ',')]
    pub(crate) platforms: Vec<Platform>,
    /// Add a label to the image
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = named)]
    label: Vec<String>,
    /// Do every step again
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Do every step of these stages again
    #[arg(long, value_name = "STAGE[,…]", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,
    /// Find steps that the store does not know in a cache: type=local,src=DIR[,tag=NAME|,digest=DIGEST];
    /// type=registry,ref=NAME; or NAME. One that cannot be had is a warning
    #[arg(long, value_name = "CACHE", value_parser = crate::cache::source)]
    pub(crate) cache_from: Vec<build::CacheSource>,
    /// Take the cache along: type=local,dest=DIR[,tag=NAME]; type=registry,ref=NAME; type=inline; or
    /// NAME; with mode=min (the layers of the result) or max (of all steps), compression=,
    /// compression-level=, ignore-error=true
    #[arg(long, value_name = "CACHE", value_parser = crate::cache::target)]
    pub(crate) cache_to: Vec<build::CacheTarget>,
    /// Say of each step that was not cached what differs from the nearest earlier build: a line for
    /// each, or one object with =json
    #[arg(
        long, value_name = "FORMAT", num_args = 0..=1, require_equals = true,
        default_missing_value = "text"
    )]
    pub(crate) explain: Option<Explain>,
    /// Pull base images even if they are in the store
    #[arg(long)]
    pub(crate) pull: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// How to show progress: auto, plain, tty, quiet, or rawjson, which is BuildKit's
    /// [default: $BUILDKIT_PROGRESS, or else auto]
    #[arg(long, value_name = "KIND")]
    progress: Option<ProgressFlag>,
    /// The network of RUN steps; the default is the host's
    #[arg(long, value_name = "NETWORK", default_value = "default")]
    pub(crate) network: NetworkName,
    /// Give RUN steps a secret: id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]
    #[arg(long = "secret", value_name = "id=NAME,…")]
    pub(crate) secrets: Vec<SecretFlag>,
    /// Give RUN steps an SSH agent: its socket, or keys for one; default is that of $SSH_AUTH_SOCK
    #[arg(long = "ssh", value_name = "default|NAME[=SOCKET|KEY[,KEY]]")]
    pub(crate) agents: Vec<AgentFlag>,
    /// Let RUN steps ask for more than the sandbox: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT")]
    allow: Vec<Entitlement>,
    /// Let RUN steps find a host by a name: NAME:ADDRESS; host-gateway is this machine
    #[arg(long = "add-host", value_name = "NAME:ADDRESS", value_parser = host)]
    pub(crate) hosts: Vec<Host>,
    /// Limit a resource of RUN steps
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]", value_parser = image::parse::ulimit)]
    pub(crate) ulimits: Vec<image::Ulimit>,
    /// Size of /dev/shm in RUN steps
    #[arg(long, value_name = "BYTES", value_parser = image::parse::size)]
    pub(crate) shm_size: Option<u64>,
    /// The cgroup for the containers of RUN steps
    #[arg(long, value_name = "CGROUP")]
    pub(crate) cgroup_parent: Option<PathBuf>,
    /// Show a file or directory of the host to RUN steps, read-only
    #[arg(short = 'v', long = "volume", value_name = "HOST:CONTAINER[:ro]", value_parser = volume)]
    pub(crate) volumes: Vec<Volume>,
    /// Check or describe the Dockerfile instead of building it: check, outline, targets, or
    /// subrequests.describe; with ,format=json as JSON
    #[arg(long, alias = "print", value_name = "REQUEST", default_value = "build")]
    call: Call,
    /// Check the Dockerfile and build nothing: --call=check
    #[arg(long)]
    check: bool,
    /// Where the image goes, besides the store: type=oci|docker|tar|local|image|registry|cacheonly, with
    /// dest=, name=, push=true, compression=; DIR alone is type=local, - alone type=tar; may be given
    /// several times [default: the store]
    #[arg(short, long = "output", value_name = "type=TYPE,…|DIR|-")]
    pub(crate) outputs: Vec<OutputFlag>,
    /// Push the image to its registries: --output=type=registry
    #[arg(long)]
    pub(crate) push: bool,
    /// Leave the image in the store, whatever other outputs there are: --output=type=docker
    #[arg(long)]
    pub(crate) load: bool,
    /// Annotate the manifest; with index:, manifest-descriptor: or index-descriptor: in front what
    /// these words say; manifest[PLATFORM]: for one platform
    #[arg(long = "annotation", value_name = "[WHERE:]NAME=VALUE")]
    pub(crate) annotations: Vec<AnnotationFlag>,
    /// Say beside the image how it was built (SLSA): true, false, or mode=min|max, version=v1|v0.2,
    /// builder-id=, reproducible=, inline-only=, filename=. The result is then an index [default: false]
    #[arg(long, value_name = "true|false|…", value_parser = crate::attestation::provenance)]
    pub(crate) provenance: Option<AttestFlag>,
    /// Say beside the image which packages it consists of (SPDX): true or false [default: false]
    #[arg(long, value_name = "true|false", value_parser = crate::attestation::sbom)]
    pub(crate) sbom: Option<AttestFlag>,
    /// The same in the long form: type=provenance or type=sbom, and what the short forms take
    #[arg(long = "attest", value_name = "type=TYPE,…", value_parser = crate::attestation::attest)]
    pub(crate) attests: Vec<AttestFlag>,
    /// Write what was built to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Write the image's digest to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// The runtime program that runs RUN steps: tare-runtime, runc, crun
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) runtime: Option<PathBuf>,
    /// How root file systems are made: erofs or directory [default: the better one that works]
    #[arg(long, value_name = "DRIVER")]
    pub(crate) driver: Option<build::Driver>,
    #[command(flatten)]
    pub(crate) without_effect: WithoutEffect,
    #[command(flatten)]
    pub(crate) store: cli::StoreFlag,
}

/// `--network`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum NetworkName {
    Default,
    Host,
    None,
}

/// `--allow`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Entitlement {
    #[value(name = "network.host")]
    NetworkHost,
    #[value(name = "security.insecure")]
    SecurityInsecure,
}

impl From<NetworkName> for Network {
    fn from(name: NetworkName) -> Self {
        match name {
            NetworkName::Default => Self::Default,
            NetworkName::Host => Self::Host,
            NetworkName::None => Self::None,
        }
    }
}

/// What counts as not given where its value is empty, as scripts have it whose variable is: `--target "$STAGE"`.
/// buildx takes these so.
const MAY_BE_EMPTY: [&str; 21] = [
    "--add-host",
    "--annotation",
    "--build-context",
    "--cache-from",
    "--cache-to",
    "--cgroup-parent",
    "--file",
    "--iidfile",
    "--metadata-file",
    "--network",
    "--no-cache-filter",
    "--output",
    "--progress",
    "--provenance",
    "--sbom",
    "--secret",
    "--ssh",
    "--target",
    "-f",
    "-o",
    "--call",
];

impl Arguments {
    /// The program's own.
    pub(crate) fn read() -> anyhow::Result<Self> {
        cli::parse_without_empty(&MAY_BE_EMPTY)
    }

    /// What to do.
    pub(crate) fn call(&self) -> Call {
        if self.check { Call::check() } else { self.call.clone() }
    }

    /// The Dockerfile as a user would name it from where they are; `name` is what the builder calls it.
    pub(crate) fn dockerfile_shown(&self, name: &str) -> String {
        let here = matches!(&*self.context, "-" | ".");
        match self.file.is_some() || here {
            true => name.to_owned(),
            false => Path::new(&self.context).join(name).display().to_string(),
        }
    }

    pub(crate) fn progress(&self) -> anyhow::Result<ProgressFlag> {
        if self.quiet {
            return Ok(ProgressFlag::Shown(ProgressMode::Quiet));
        }
        let usual = environment("BUILDKIT_PROGRESS").filter(|name| !name.is_empty());
        match (self.progress, usual) {
            (Some(flag), _) => Ok(flag),
            (None, Some(name)) => name.parse().map_err(|error: String| cli::usage(error)),
            (None, None) => Ok(ProgressFlag::Shown(ProgressMode::Auto)),
        }
    }

    /// As with buildx, `SOURCE_DATE_EPOCH` of the environment is one unless it is given.
    pub(crate) fn build_args(&self) -> BTreeMap<String, String> {
        let value = |text: &String| match text.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((text.clone(), environment(text)?)),
        };
        let usual = environment(EPOCH).filter(|text| !text.is_empty());
        let usual = usual.map(|text| (EPOCH.to_owned(), text));
        usual.into_iter().chain(self.build_arg.iter().filter_map(value)).collect()
    }

    /// What is granted to `RUN` steps; a host network for all is one for those that ask.
    pub(crate) fn entitlements(&self) -> Entitlements {
        let allows = |entitlement| self.allow.contains(&entitlement);
        let host = matches!(self.network, NetworkName::Host);
        Entitlements {
            network_host: host || allows(Entitlement::NetworkHost),
            security_insecure: allows(Entitlement::SecurityInsecure),
        }
    }

    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        let pair = |text: &String| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_owned(), value.to_owned())
        };
        self.label.iter().map(pair).collect()
    }

    /// `BUILDKIT_MULTI_PLATFORM`: whether a single platform gives an index, too.
    pub(crate) fn multi_platform(
        &self,
        build_args: &BTreeMap<String, String>,
    ) -> anyhow::Result<bool> {
        match build_args.get("BUILDKIT_MULTI_PLATFORM").filter(|value| !value.is_empty()) {
            None => Ok(false),
            Some(value) => dockerfile::truth(value).ok_or_else(|| {
                cli::usage(format!("BUILDKIT_MULTI_PLATFORM is {value:?}, not true or false"))
            }),
        }
    }

    /// `SOURCE_DATE_EPOCH` from the build arguments.
    pub(crate) fn source_date_epoch(
        &self,
        build_args: &BTreeMap<String, String>,
    ) -> anyhow::Result<Option<i64>> {
        let Some(text) = build_args.get(EPOCH).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let seconds = text
            .parse()
            .map_err(|_| cli::usage(format!("{EPOCH} is {text:?}, not a number of seconds")))?;
        Ok(Some(seconds))
    }
}

/// The time that everything in the image is at most from: reproducible-builds.org's variable.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What git may know of this environment: where programs are, and how the network is reached.
const FOR_GIT: [&str; 11] = [
    "PATH",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// git, with as little of the environment as it needs. Repositories that a Dockerfile names may be
/// fetched with the user's keys where the agent was forwarded (`--ssh default`).
pub(crate) fn git(forward_agent: bool) -> GitProgram {
    let variable = |name: &&str| Some(((*name).into(), environment(name)?.into()));
    GitProgram {
        program: "git".into(),
        environment: FOR_GIT.iter().filter_map(variable).collect(),
        ssh_agent: environment("SSH_AUTH_SOCK").map(PathBuf::from),
        forward_agent,
    }
}

fn build_context(text: &str) -> Result<(String, NamedSource), String> {
    let (name, context) = text.split_once('=').ok_or("expected NAME=CONTEXT")?;
    if name.is_empty() || context.is_empty() {
        return Err("expected NAME=CONTEXT".to_owned());
    }
    let context = context.parse().map_err(|error: build::Error| error.to_string())?;
    match &context {
        NamedSource::Directory(path) if !path.is_dir() => {
            Err(format!("there is no directory {}", path.display()))
        }
        _ => Ok((name.to_owned(), context)),
    }
}

/// `NAME` or `NAME=VALUE`, as it is.
fn named(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err("it has no name".to_owned()),
        false => Ok(text.to_owned()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge, where the environment is read")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; an IPv6 address may stand in brackets.
fn host(text: &str) -> Result<Host, String> {
    let (name, address) = text
        .split_once(['=', ':'])
        .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
        .ok_or("expected NAME:ADDRESS")?;
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match address {
        // Commands are on this machine's network.
        "host-gateway" => "127.0.0.1",
        address => bare.unwrap_or(address),
    };
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok(Host { name: name.to_owned(), address })
}

fn volume(text: &str) -> Result<Volume, String> {
    let mut parts = text.split(':');
    let (source, target, mode) = (parts.next(), parts.next(), parts.next());
    let (Some(source), Some(target)) = (source, target) else {
        return Err("expected HOST:CONTAINER[:ro]".to_owned());
    };
    match (mode, parts.next()) {
        (None | Some("ro"), None) => {}
        (Some("rw"), None) => return Err("volumes are read-only during a build".to_owned()),
        _ => return Err("expected HOST:CONTAINER[:ro]".to_owned()),
    }
    if !target.starts_with('/') {
        return Err(format!("{target} is not an absolute path in the container"));
    }
    let source = std::fs::canonicalize(source).map_err(|error| format!("{source}: {error}"))?;
    Ok(Volume { source, target: PathBuf::from(target) })
}
