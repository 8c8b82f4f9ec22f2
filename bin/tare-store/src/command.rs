//! A file for each command: its arguments, one call, what it prints.

pub(crate) mod analyze;
pub(crate) mod bundle;
pub(crate) mod cat;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod remote;
pub(crate) mod rm;
pub(crate) mod save;
pub(crate) mod serve;
pub(crate) mod tag;
pub(crate) mod tree;
pub(crate) mod unbundle;
