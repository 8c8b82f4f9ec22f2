//! Paths through a tree as the kernel takes them, symbolic links and `..` included, but never out of
//! the root.

use crate::path::{MAX_NAME, MAX_PATH};
use crate::{LayerPath, NodeId, NodeKind, Tree};

/// The most symbolic links on one way, as in Linux (path_resolution(7)).
pub const MAX_LINKS: usize = 40;

/// The most components on one way, links followed. A path has a quarter of that at most; without a
/// bound, links to long paths through links make each of a layer's entries costly.
const MAX_STEPS: usize = 8192;

/// Why a path leads nowhere. `path` is the path as asked for, for people to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nothing is there.
    #[error("{path:?} does not exist")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// A component before the last is neither a directory nor a link to one.
    #[error("{path:?} goes through something that is not a directory")]
    NotADirectory {
        /// The path asked for.
        path: String,
    },
    /// There are more than [`MAX_LINKS`] symbolic links on the way, or very long ones; mostly a loop.
    #[error("{path:?} goes through too many symbolic links")]
    TooManyLinks {
        /// The path asked for.
        path: String,
    },
    /// The way is longer than Linux allows, or a component holds a NUL byte.
    #[error("{path:?} leads to an impossible path")]
    Impossible {
        /// The path asked for.
        path: String,
    },
}

impl Tree {
    /// The node that `path` leads to. Symbolic links are followed, the last component's too; `/` and
    /// `..` stay inside the root, as after chroot(2).
    ///
    /// # Errors
    /// Nothing is there, a component is no directory, or there are too many links.
    pub fn resolve(&self, path: &[u8]) -> Result<NodeId, ResolveError> {
        self.route(path, true)?.existing(path)
    }

    /// As [`Tree::resolve`], but a symbolic link as last component is itself the result.
    ///
    /// # Errors
    /// As [`Tree::resolve`].
    pub fn resolve_no_follow(&self, path: &[u8]) -> Result<NodeId, ResolveError> {
        self.route(path, false)?.existing(path)
    }

    /// The path without symbolic links that `path` leads to, as in [`Tree::resolve`]. What does not
    /// exist is kept as it stands, so that it can be made there.
    ///
    /// # Errors
    /// A component is no directory, or there are too many links.
    pub fn resolve_path(&self, path: &[u8]) -> Result<LayerPath, ResolveError> {
        let route = self.route(path, true)?;
        if route.obstacle() {
            return Err(ResolveError::NotADirectory { path: lossy(path) });
        }
        Ok(route.path())
    }

    pub(crate) fn route(&self, path: &[u8], follow_last: bool) -> Result<Route, ResolveError> {
        let mut route = Route { nodes: vec![self.root()], names: Vec::new(), obstacle: false };
        let mut pending: Vec<Vec<u8>> = split(path).collect();
        let directory_wanted = path.ends_with(b"/") || path.ends_with(b"/.");
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = pending.pop() {
            let last = pending.is_empty();
            steps += 1;
            match self.step(&mut route, name) {
                Some(target) if !last || follow_last || directory_wanted => {
                    links += 1;
                    if links > MAX_LINKS || steps > MAX_STEPS {
                        return Err(ResolveError::TooManyLinks { path: lossy(path) });
                    }
                    route.pop();
                    if target.starts_with(b"/") {
                        route.rewind();
                    }
                    pending.extend(split(target));
                }
                _ => {}
            }
        }
        route.obstacle = route.obstacle || (directory_wanted && self.ends_at_file(&route));
        if route.is_impossible() {
            return Err(ResolveError::Impossible { path: lossy(path) });
        }
        Ok(route)
    }

    /// Goes one component on; gives the target where that arrives at a symbolic link.
    fn step(&self, route: &mut Route, name: Vec<u8>) -> Option<&[u8]> {
        if name == b".." {
            route.pop();
            return None;
        }
        let mut link = None;
        if route.is_whole() {
            match &self.node(route.last()).kind {
                NodeKind::Directory(names) => {
                    if let Some(&child) = names.get(&name[..]) {
                        route.nodes.push(child);
                        if let NodeKind::Symlink(target) = &self.node(child).kind {
                            link = Some(&target[..]);
                        }
                    }
                }
                _ => route.obstacle = true,
            }
        }
        route.names.push(name);
        link
    }

    fn ends_at_file(&self, route: &Route) -> bool {
        route.is_whole() && !self.node(route.last()).is_directory()
    }
}

/// Where a path leads: names from the root down, and the nodes of those that exist.
#[derive(Debug)]
pub(crate) struct Route {
    /// The root, then the nodes of the first of `names`.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) names: Vec<Vec<u8>>,
    obstacle: bool,
}

impl Route {
    /// Whether the way goes through the last of `nodes` although that is not a directory.
    pub(crate) fn obstacle(&self) -> bool {
        self.obstacle
    }

    /// Whether all names exist.
    pub(crate) fn is_whole(&self) -> bool {
        self.nodes.len() == self.names.len() + 1
    }

    pub(crate) fn last(&self) -> NodeId {
        *self.nodes.last().expect("the root is never popped")
    }

    pub(crate) fn path(&self) -> LayerPath {
        LayerPath::from_names(self.names.iter().map(|name| &name[..]))
    }

    fn existing(&self, path: &[u8]) -> Result<NodeId, ResolveError> {
        if self.obstacle {
            Err(ResolveError::NotADirectory { path: lossy(path) })
        } else if self.is_whole() {
            Ok(self.last())
        } else {
            Err(ResolveError::NotFound { path: lossy(path) })
        }
    }

    fn pop(&mut self) {
        if self.is_whole() && self.nodes.len() > 1 {
            self.nodes.pop();
        }
        self.names.pop();
    }

    fn rewind(&mut self) {
        self.nodes.truncate(1);
        self.names.clear();
    }

    fn is_impossible(&self) -> bool {
        let length: usize = self.names.iter().map(|name| name.len() + 1).sum();
        let bad = |name: &Vec<u8>| name.len() > MAX_NAME || name.contains(&0);
        length > MAX_PATH + 1 || self.names.iter().any(bad)
    }
}

/// The components of `path`, last first.
fn split(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let names = path.split(|&byte| byte == b'/').rev();
    names.filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec)
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
