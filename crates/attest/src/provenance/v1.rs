//! The predicate of SLSA provenance v1.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BuildConfig, Extra, Material, Provenance, Request};

/// What says how the parameters are to be read.
pub(super) const BUILD_TYPE: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: Definition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Definition<'a> {
    build_type: &'static str,
    external_parameters: External<'a>,
    internal_parameters: Internal<'a>,
    resolved_dependencies: &'a [Material],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct External<'a> {
    config_source: ConfigSource<'a>,
    request: Request<'a>,
}

#[derive(Serialize)]
struct ConfigSource<'a> {
    #[serde(flatten)]
    material: Option<&'a Material>,
    path: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Internal<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config: Option<BuildConfig<'a>>,
    builder_platform: &'a str,
}

#[derive(Serialize)]
struct RunDetails<'a> {
    builder: Builder<'a>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Builder<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    version: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "invocationId")]
    invocation: &'a str,
    #[serde(rename = "startedOn")]
    started: String,
    #[serde(rename = "finishedOn")]
    finished: String,
    buildkit_hermetic: bool,
    buildkit_completeness: Completeness,
    buildkit_reproducible: bool,
    buildkit_metadata: Extra,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completeness {
    request: bool,
    resolved_dependencies: bool,
}

pub(super) fn predicate(it: &Provenance) -> impl Serialize {
    let (source, request) = (&it.source, Request::of(it));
    let config_source = ConfigSource { material: source.material.as_ref(), path: &source.path };
    let complete = it.knows_its_materials();
    Predicate {
        build_definition: Definition {
            build_type: BUILD_TYPE,
            external_parameters: External { config_source, request },
            internal_parameters: Internal {
                build_config: BuildConfig::of(it),
                builder_platform: &it.builder_platform,
            },
            resolved_dependencies: &it.materials,
        },
        run_details: RunDetails {
            builder: Builder { id: &it.builder_id, version: &it.builder_version },
            metadata: Metadata {
                invocation: &it.invocation,
                started: it.started.to_string(),
                finished: it.finished.to_string(),
                buildkit_hermetic: it.hermetic,
                buildkit_completeness: Completeness {
                    request: it.is_max(),
                    resolved_dependencies: complete,
                },
                buildkit_reproducible: it.reproducible,
                buildkit_metadata: Extra::of(it),
            },
        },
    }
}
