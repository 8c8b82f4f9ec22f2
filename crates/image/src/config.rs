//! The image configuration: what a container of the image runs, its layers, how it was made.
//!
//! Image-spec, config.md, and the fields that docker adds to it (moby, "Docker Image Specification
//! v1.3"). Fields stand in the order of that document, absent ones are left out and maps are sorted,
//! so equal values give equal bytes and equal digests. Fields that this version does not know are
//! kept and written back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{ChainId, DiffId, Platform};

/// An image configuration: the blob that a manifest's `config` names.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, as RFC 3339 ([`DateTime`](crate::DateTime) prints that).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Architecture as Go names it: `amd64`.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// Operating system: `linux`.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// Version of the operating system; Windows images have it.
    #[serde(rename = "os.version", default, deserialize_with = "nullable")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Features of the operating system that the image needs.
    #[serde(rename = "os.features", default, deserialize_with = "nullable")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the architecture: `v7`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// What a container runs, and how.
    #[serde(default, deserialize_with = "nullable")]
    pub config: ContainerConfig,
    /// The layers by their diff IDs.
    #[serde(default, deserialize_with = "nullable")]
    pub rootfs: RootFs,
    /// How each layer came to be, lowest first.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// What a container of the image runs, and how.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user`, `user:group`, by name or number; empty for root.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports that the program listens on: `80/tcp`.
    #[serde(default, with = "key_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// Environment, `NAME=value` each.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its fixed arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The arguments, or without an entrypoint the command, which the user may replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths whose data should outlive or stay out of the container's layer.
    #[serde(default, with = "key_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the program starts; empty for `/`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end: `SIGTERM` when empty.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Windows only: the command is one escaped line.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// How to ask whether the program is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions that a build on top of this image runs first.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// The shell of shell-form instructions; empty for `/bin/sh -c`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// A health check. Durations are in nanoseconds, 0 for the default.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", program, …]` or `["CMD-SHELL", line]`; empty inherits the base's.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time until a check counts as failed, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time for the program to start, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks while it starts, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// Diff IDs, lowest layer first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<DiffId>,
}

/// One step that made the image.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// When, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A remark: builders write their name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether the step changed no file, so that no layer belongs to it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// An image without layers for `platform`: what `FROM scratch` starts from.
    pub fn empty(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture().to_owned(),
            os: platform.os().to_owned(),
            variant: platform.variant().unwrap_or_default().to_owned(),
            ..Self::default()
        }
    }

    /// The platform in normal form. Absent parts mean linux and the host's architecture.
    pub fn platform(&self) -> Platform {
        let host = Platform::host();
        let or = |value: &str, default: &str| {
            if value.is_empty() { default.to_owned() } else { value.to_owned() }
        };
        let variant = Some(self.variant.as_str()).filter(|variant| !variant.is_empty());
        Platform::new(&or(&self.os, "linux"), &or(&self.architecture, host.architecture()), variant)
    }

    /// The chain ID of all layers.
    pub fn chain_id(&self) -> ChainId {
        ChainId::of(&self.rootfs.diff_ids)
    }
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: layers(), diff_ids: Vec::new() }
    }
}

fn layers() -> String {
    "layers".to_owned()
}

/// Go writes an absent slice or map as `null`; that means the default here.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// A set that JSON spells as an object with empty objects for values.
mod key_set {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};

    #[derive(Serialize)]
    struct Empty {}

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        set.iter().map(|key| (key, Empty {})).collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docker's builder writes it, with every field that it knows and two that nobody does.
    const FULL: &str = concat!(
        r#"{"created":"2024-05-01T12:00:00Z","author":"me","architecture":"arm","os":"linux","#,
        r#""variant":"v7","config":{"User":"app:app","ExposedPorts":{"80/tcp":{},"#,
        r#""9/udp":{}},"Env":["A=1"],"Entrypoint":["/e"],"Cmd":["c"],"Volumes":{"/data":{}},"#,
        r#""WorkingDir":"/w","Labels":{"a":"b"},"StopSignal":"SIGINT","ArgsEscaped":true,"#,
        r#""Healthcheck":{"Test":["CMD","x"],"Interval":30000000000,"Retries":3},"#,
        r#""OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"MacAddress":"02:42"},"#,
        r#""rootfs":{"type":"layers","diff_ids":["sha256:"#,
        r#"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"#,
        r#""history":[{"created":"2024-05-01T12:00:00Z","created_by":"ENV A=1","#,
        r#""comment":"c","empty_layer":true}],"moby.buildkit.x":{"y":[1]}}"#,
    );

    #[test]
    fn every_field_survives_byte_for_byte() {
        let config: ImageConfig = serde_json::from_str(FULL).unwrap();
        assert_eq!(config.config.exposed_ports.len(), 2);
        assert_eq!(config.config.healthcheck.as_ref().unwrap().interval, 30_000_000_000);
        assert_eq!(config.platform().to_string(), "linux/arm/v7");
        assert_eq!(serde_json::to_string(&config).unwrap(), FULL);
    }

    #[test]
    fn numbers_that_nobody_knows_stay_what_they_are() {
        for number in
            ["515555555555555555555557", "0.1", "1e-7", "9007199254740993", "122.416294033786585"]
        {
            let text = format!(r#"{{"architecture":"a","os":"b","x":{number}}}"#);
            let config: ImageConfig = serde_json::from_str(&text).unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ImageConfig>(&text).unwrap(), config, "{number}");
        }
    }

    #[test]
    fn null_is_absent() {
        let text = r#"{"architecture":"amd64","os":"linux","author":null,"history":null,
            "config":{"Env":null,"Cmd":null,"Volumes":null,"Labels":null,"OnBuild":null,
            "ExposedPorts":null,"Entrypoint":null,"Healthcheck":null},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        let want = ImageConfig::empty(&"linux/amd64".parse().unwrap());
        assert_eq!(config, want);
        assert_eq!(
            serde_json::to_string(&want).unwrap(),
            r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#
        );
    }

    #[test]
    fn a_bad_diff_id_is_refused() {
        let text = r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"#;
        serde_json::from_str::<ImageConfig>(text).unwrap_err();
    }
}
