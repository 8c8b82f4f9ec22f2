//! The predicate of SLSA provenance v0.2.

use serde::Serialize;

use super::{BuildConfig, Extra, Material, Provenance, Request};

/// What says how the parameters are to be read.
const BUILD_TYPE: &str = "https://mobyproject.org/buildkit@v1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    builder: Builder<'a>,
    build_type: &'static str,
    materials: &'a [Material],
    invocation: Invocation<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config: Option<BuildConfig<'a>>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Builder<'a> {
    id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    config_source: ConfigSource<'a>,
    parameters: Request<'a>,
    environment: Environment<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigSource<'a> {
    #[serde(flatten)]
    material: Option<&'a Material>,
    entry_point: &'a str,
}

#[derive(Serialize)]
struct Environment<'a> {
    platform: &'a str,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "buildInvocationID")]
    invocation: &'a str,
    #[serde(rename = "buildStartedOn")]
    started: String,
    #[serde(rename = "buildFinishedOn")]
    finished: String,
    completeness: Completeness,
    reproducible: bool,
    #[serde(rename = "https://mobyproject.org/buildkit@v1#hermetic")]
    hermetic: bool,
    #[serde(rename = "https://mobyproject.org/buildkit@v1#metadata")]
    extra: Extra,
}

#[derive(Serialize)]
struct Completeness {
    parameters: bool,
    environment: bool,
    materials: bool,
}

pub(super) fn predicate(it: &Provenance) -> impl Serialize {
    let source = &it.source;
    let config_source =
        ConfigSource { material: source.material.as_ref(), entry_point: &source.path };
    Predicate {
        builder: Builder { id: &it.builder_id },
        build_type: BUILD_TYPE,
        materials: &it.materials,
        invocation: Invocation {
            config_source,
            parameters: Request::of(it),
            environment: Environment { platform: &it.builder_platform },
        },
        build_config: BuildConfig::of(it),
        metadata: Metadata {
            invocation: &it.invocation,
            started: it.started.to_string(),
            finished: it.finished.to_string(),
            completeness: Completeness {
                parameters: it.is_max(),
                environment: true,
                materials: it.knows_its_materials(),
            },
            reproducible: it.reproducible,
            hermetic: it.hermetic,
            extra: Extra::of(it),
        },
    }
}
