//! SSH agents for `RUN --mount=type=ssh`.
//!
//! ```text
//! command ──▶ socket of ours ──▶ filter ──▶ the user's agent, or one that holds key files
//! ```
//!
//! A command can list keys and have data signed. It cannot add, remove or lock keys, and no key comes
//! nearer to it than the agent is. The sockets are a step's; the agent for key files is the build's:
//! it ends with the build, and also when the builder is killed.

mod filter;
mod keys;
mod proxy;

pub(crate) use keys::KeyAgent;
pub(crate) use proxy::Proxy;
