//! The rules: BuildKit's names, descriptions and documentation.

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// What `check=skip=` and messages call it.
    pub name: &'static str,
    /// What it is about, in one line.
    pub description: &'static str,
    /// Where it is documented; empty for the one that is not.
    pub url: &'static str,
    /// Whether it runs only where the author asks for it: `check=experimental=`.
    pub experimental: bool,
}

macro_rules! rules {
    ($($constant:ident $name:literal $experimental:literal $url:literal $description:literal)*) => {
        $(pub(super) static $constant: Rule = Rule {
            name: $name,
            description: $description,
            url: $url,
            experimental: $experimental,
        };)*

        /// All rules, in the order of BuildKit's documentation.
        pub static RULES: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    STAGE_NAME_CASING "StageNameCasing" false
        "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/"
        "Stage names should be lowercase"
    FROM_AS_CASING "FromAsCasing" false
        "https://docs.docker.com/go/dockerfile/rule/from-as-casing/"
        "The 'as' keyword should match the case of the 'from' keyword"
    NO_EMPTY_CONTINUATION "NoEmptyContinuation" false
        "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/"
        "Empty continuation lines will become errors in a future release"
    CONSISTENT_INSTRUCTION_CASING "ConsistentInstructionCasing" false
        "https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/"
        "All commands within the Dockerfile should use the same casing (either upper or lower)"
    DUPLICATE_STAGE_NAME "DuplicateStageName" false
        "https://docs.docker.com/go/dockerfile/rule/duplicate-stage-name/"
        "Stage names should be unique"
    RESERVED_STAGE_NAME "ReservedStageName" false
        "https://docs.docker.com/go/dockerfile/rule/reserved-stage-name/"
        "Reserved words should not be used as stage names"
    JSON_ARGS_RECOMMENDED "JSONArgsRecommended" false
        "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
    MAINTAINER_DEPRECATED "MaintainerDeprecated" false
        "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/"
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author"
    UNDEFINED_ARG_IN_FROM "UndefinedArgInFrom" false
        "https://docs.docker.com/go/dockerfile/rule/undefined-arg-in-from/"
        "FROM command must use declared ARGs"
    WORKDIR_RELATIVE_PATH "WorkdirRelativePath" false
        "https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/"
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes"
    UNDEFINED_VAR "UndefinedVar" false
        "https://docs.docker.com/go/dockerfile/rule/undefined-var/"
        "Variables should be defined before their use"
    MULTIPLE_INSTRUCTIONS_DISALLOWED "MultipleInstructionsDisallowed" false
        "https://docs.docker.com/go/dockerfile/rule/multiple-instructions-disallowed/"
        "Multiple instructions of the same type should not be used in the same stage"
    LEGACY_KEY_VALUE_FORMAT "LegacyKeyValueFormat" false
        "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/"
        "Legacy key/value format with whitespace separator should not be used"
    INVALID_BASE_IMAGE_PLATFORM "InvalidBaseImagePlatform" false
        ""
        "Base image platform does not match expected target platform"
    REDUNDANT_TARGET_PLATFORM "RedundantTargetPlatform" false
        "https://docs.docker.com/go/dockerfile/rule/redundant-target-platform/"
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
    SECRETS_USED_IN_ARG_OR_ENV "SecretsUsedInArgOrEnv" false
        "https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/"
        "Sensitive data should not be used in the ARG or ENV commands"
    INVALID_DEFAULT_ARG_IN_FROM "InvalidDefaultArgInFrom" false
        "https://docs.docker.com/go/dockerfile/rule/invalid-default-arg-in-from/"
        "Default value for global ARG results in an empty or invalid base image name"
    FROM_PLATFORM_FLAG_CONST_DISALLOWED "FromPlatformFlagConstDisallowed" false
        "https://docs.docker.com/go/dockerfile/rule/from-platform-flag-const-disallowed/"
        "FROM --platform flag should not use a constant value"
    COPY_IGNORED_FILE "CopyIgnoredFile" true
        "https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/"
        "Attempting to Copy file that is excluded by .dockerignore"
    INVALID_DEFINITION_DESCRIPTION "InvalidDefinitionDescription" true
        "https://docs.docker.com/go/dockerfile/rule/invalid-definition-description/"
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment."
    EXPOSE_PROTO_CASING "ExposeProtoCasing" false
        "https://docs.docker.com/go/dockerfile/rule/expose-proto-casing/"
        "Protocol in EXPOSE instruction should be lowercase"
    EXPOSE_INVALID_FORMAT "ExposeInvalidFormat" false
        "https://docs.docker.com/go/dockerfile/rule/expose-invalid-format/"
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release"
}
