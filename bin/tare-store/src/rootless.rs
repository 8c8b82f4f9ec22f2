//! Ordinary users: what root file systems are made of may belong to others, whom only root can have.

use rootfs::user_namespace::{self, Entered, UserNamespaceError};

/// Goes on as root: as it is, or else from the beginning in a user namespace.
pub(crate) fn enter() -> anyhow::Result<()> {
    let entered = user_namespace::enter_where_needed();
    cli::go_on(entered.map(|entered| entered.map(Entered::parts)), UserNamespaceError::hint)
}

/// The same where it is allowed; elsewhere why it is not. Then nothing there is another user's, either.
pub(crate) fn try_enter() -> anyhow::Result<Option<UserNamespaceError>> {
    match user_namespace::enter_where_needed() {
        Err(error) => Ok(Some(error)),
        entered => {
            let entered = entered.map(|entered| entered.map(Entered::parts));
            cli::go_on(entered, UserNamespaceError::hint).map(|()| None)
        }
    }
}
