//! Who a container's program runs as: `user[:group]` looked up in the image's own files.
//!
//! Docker's rules: a number is always an ID and need not be in the files; a name must be there. With
//! a group named, the group file gives no supplementary groups.

/// The contents of an image's `/etc/passwd` and `/etc/group`; empty where the image has none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Users {
    /// Lines of passwd(5).
    pub passwd: String,
    /// Lines of group(5).
    pub group: String,
}

/// A resolved user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// Supplementary groups, without doubles. The primary group is among them, so that dropping it
    /// gains no access that a group is denied (CVE-2022-36109).
    pub groups: Vec<u32>,
    /// Home directory: `/` where the files do not say.
    pub home: String,
}

/// Why a user cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// The name is not in the image's `/etc/passwd`.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// The name is not in the image's `/etc/group`.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// The number is outside 0 to 2147483647.
    #[error("uids and gids must be in range 0-2147483647, not {0}")]
    Range(String),
}

/// The largest ID that docker and runc take.
const MAX_ID: u32 = 2_147_483_647;

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Users {
    /// Resolves `user`, `user:group`, `:group` or nothing (root), by name or number; `group_add`
    /// are further supplementary groups by name or number.
    ///
    /// # Errors
    /// A name that the files do not have, or a number out of range.
    pub fn resolve(&self, user: &str, group_add: &[String]) -> Result<User, UserError> {
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        let entry = self.find_user(name)?;
        let mut resolved = match (&entry, number(name)?) {
            (Some(entry), _) => User {
                uid: entry.uid,
                gid: entry.gid,
                groups: Vec::new(),
                home: if entry.home.is_empty() { "/" } else { entry.home }.to_owned(),
            },
            (None, uid) => {
                User { uid: uid.unwrap_or(0), gid: 0, groups: Vec::new(), home: "/".to_owned() }
            }
        };
        let mut groups = Vec::new();
        if !group.is_empty() {
            resolved.gid = self.find_group(group)?;
        } else if let Some(entry) = &entry {
            groups = self.memberships(entry.name);
        }
        for group in group_add {
            groups.push(self.find_group(group)?);
        }
        resolved.groups = distinct(resolved.gid, groups);
        Ok(resolved)
    }

    /// The passwd line of a name or number; `None` for a number that has none.
    fn find_user(&self, name: &str) -> Result<Option<Passwd<'_>>, UserError> {
        let uid = if name.is_empty() { Some(0) } else { number(name)? };
        let matches = |entry: &Passwd<'_>| match uid {
            Some(uid) => entry.uid == uid,
            None => entry.name == name,
        };
        match self.passwd_entries().find(matches) {
            None if uid.is_none() => Err(UserError::NoUser(name.to_owned())),
            found => Ok(found),
        }
    }

    fn find_group(&self, group: &str) -> Result<u32, UserError> {
        if let Some(gid) = number(group)? {
            return Ok(gid);
        }
        let found = self.group_entries().find(|entry| entry.name == group);
        found.map(|entry| entry.gid).ok_or_else(|| UserError::NoGroup(group.to_owned()))
    }

    fn memberships(&self, user: &str) -> Vec<u32> {
        let member = |entry: &Group<'_>| entry.members.split(',').any(|name| name.trim() == user);
        self.group_entries().filter(member).map(|entry| entry.gid).collect()
    }

    fn passwd_entries(&self) -> impl Iterator<Item = Passwd<'_>> {
        lines(&self.passwd).filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password) = (fields.next()?, fields.next()?);
            let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
            let home = fields.nth(1).unwrap_or_default();
            Some(Passwd { name, uid, gid, home })
        })
    }

    fn group_entries(&self) -> impl Iterator<Item = Group<'_>> {
        lines(&self.group).filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password) = (fields.next()?, fields.next()?);
            let gid = id(fields.next()?)?;
            Some(Group { name, gid, members: fields.next().unwrap_or_default() })
        })
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// An ID in a file; a line with one out of range is passed over, like any broken line.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id <= MAX_ID)
}

/// The number that `text` is, or `None` where it is a name.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    id(text).map(Some).ok_or_else(|| UserError::Range(text.to_owned()))
}

fn distinct(first: u32, rest: Vec<u32>) -> Vec<u32> {
    let mut groups = vec![first];
    for group in rest {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users {
            passwd: "# comment\n\nroot:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n\
                     bad:x:nine:0::/:\nnohome:x:7:7\n1234:x:55:55::/x:\n"
                .to_owned(),
            group: "root:x:0:\nwheel:x:10:root,app\napp:x:1001:\nlog:x:4:app\n".to_owned(),
        }
    }

    #[test]
    fn resolution() {
        type Case<'a> = (&'a str, &'a [&'a str], u32, u32, &'a [u32], &'a str);
        let cases: &[Case] = &[
            ("", &[], 0, 0, &[0, 10], "/root"),
            ("root", &[], 0, 0, &[0, 10], "/root"),
            ("app", &[], 1000, 1001, &[1001, 10, 4], "/home/app"),
            ("1000", &[], 1000, 1001, &[1001, 10, 4], "/home/app"),
            ("app:log", &[], 1000, 4, &[4], "/home/app"),
            ("app:77", &[], 1000, 77, &[77], "/home/app"),
            ("4242", &[], 4242, 0, &[0], "/"),
            ("4242:4343", &[], 4242, 4343, &[4343], "/"),
            (":log", &[], 0, 4, &[4], "/root"),
            ("nohome", &[], 7, 7, &[7], "/"),
            ("1234", &[], 1234, 0, &[0], "/"),
            ("4242", &["log", "99", "99"], 4242, 0, &[0, 4, 99], "/"),
        ];
        for (user, add, uid, gid, groups, home) in cases {
            let add: Vec<String> = add.iter().map(ToString::to_string).collect();
            let (groups, home) = (groups.to_vec(), (*home).to_owned());
            let want = User { uid: *uid, gid: *gid, groups, home };
            assert_eq!(users().resolve(user, &add), Ok(want), "{user}");
        }
    }

    #[test]
    fn refused() {
        for (user, want) in [
            ("nobody", UserError::NoUser("nobody".into())),
            ("bad", UserError::NoUser("bad".into())),
            ("app:none", UserError::NoGroup("none".into())),
            ("2147483648", UserError::Range("2147483648".into())),
            ("-1", UserError::Range("-1".into())),
            ("0:99999999999", UserError::Range("99999999999".into())),
        ] {
            assert_eq!(users().resolve(user, &[]), Err(want), "{user}");
        }
        Users::default().resolve("root", &[]).expect_err("an image without passwd has no names");
    }
}
