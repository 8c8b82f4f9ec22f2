//! Tests of the whole: the house's rules, and the programs beside their real peers.
//!
//! The tests are in `tests/`; this library is empty because a package needs a target.
