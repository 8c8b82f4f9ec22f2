//! Ordinary users: what root file systems are made of may belong to others, whom only root can have.

use rootfs::user_namespace::{self, Entered, UserNamespaceError};

/// Goes on as root: as it is, or else from the beginning in a user namespace.
pub(crate) fn enter() -> anyhow::Result<()> {
    let enter = || Ok(user_namespace::enter_where_needed()?.map(Entered::parts));
    cli::go_on(enter, UserNamespaceError::hint)
}

/// The same where it is allowed; elsewhere why it is not. Then nothing there is another user's, either.
pub(crate) fn try_enter() -> anyhow::Result<Option<UserNamespaceError>> {
    let mut refused = None;
    let enter = || match user_namespace::enter_where_needed() {
        Ok(entered) => Ok::<_, UserNamespaceError>(entered.map(Entered::parts)),
        Err(error) => {
            refused = Some(error);
            Ok(None)
        }
    };
    cli::go_on(enter, UserNamespaceError::hint)?;
    Ok(refused)
}
