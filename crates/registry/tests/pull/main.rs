//! Pulls from a real registry (Debian's docker-registry, filled by skopeo), and from one that lies.

#[cfg(test)]
mod authentication;
#[cfg(test)]
mod docker_registry;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod flaky;
#[cfg(test)]
mod honest;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod liar;
