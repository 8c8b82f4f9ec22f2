//! rtnetlink(7) for a few requests about network interfaces: one request, one answer, no state kept.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Sizes of `struct nlmsghdr`, `struct ifinfomsg` and `struct ifaddrmsg`.
const HEADER: usize = 16;
const ADDRESS: usize = 8;

/// A permanent, global address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix: u8,
    flags: u8,
    /// The attributes that make the address what it is, as the kernel tells them.
    attributes: Vec<u8>,
}

/// A socket in the network namespace in which it was opened.
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        // The protocol 0 is NETLINK_ROUTE.
        let family = AddressFamily::NETLINK;
        let socket = rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self(socket))
    }

    /// The interface's number.
    pub(crate) fn index(&self, name: &str) -> io::Result<i32> {
        let mut request = Request::new(libc::RTM_GETLINK, 0);
        request.link(0, 0, 0);
        request.attribute(libc::IFLA_IFNAME, &with_nul(name));
        let answers = self.ask(request)?;
        let link = answers.first().ok_or(io::ErrorKind::NotFound)?;
        let index = link.get(4..8).and_then(|bytes| bytes.try_into().ok());
        index.map(i32::from_ne_bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Takes an interface up or down.
    pub(crate) fn set_up(&self, index: i32, up: bool) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK);
        let flag = libc::IFF_UP as u32;
        request.link(index, if up { flag } else { 0 }, flag);
        self.ask(request).map(drop)
    }

    /// Moves an interface into another namespace under a new name, in one step: the name need not be
    /// free here.
    pub(crate) fn give_away(&self, index: i32, name: &str, namespace: &OwnedFd) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK);
        request.link(index, 0, 0);
        request.attribute(libc::IFLA_IFNAME, &with_nul(name));
        request.attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        self.ask(request).map(drop)
    }

    /// The addresses that an administrator gave the interface: neither those that expire nor those
    /// that make sense on this link only.
    pub(crate) fn addresses(&self, index: i32) -> io::Result<Vec<Address>> {
        let mut request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP);
        request.0.extend([0; ADDRESS]);
        let answers = self.ask(request)?;
        Ok(answers.iter().filter_map(|answer| Address::parse(answer, index)).collect())
    }

    pub(crate) fn add_address(&self, index: i32, address: &Address) -> io::Result<()> {
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWADDR, flags);
        let scope = 0;
        request.0.extend([address.family, address.prefix, address.flags, scope]);
        request.0.extend(index.to_ne_bytes());
        request.0.extend(&address.attributes);
        match self.ask(request) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            added => added.map(drop),
        }
    }

    /// Sends a request; returns the messages of the answer, without their headers.
    fn ask(&self, request: Request) -> io::Result<Vec<Vec<u8>>> {
        let mut answers = Vec::new();
        let single = request.flags() & (libc::NLM_F_DUMP | libc::NLM_F_ACK) == 0;
        rustix::net::send(&self.0, &request.finish(), SendFlags::empty())?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (length, _) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            for (kind, body) in messages(&buffer[..length]) {
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(answers),
                    libc::NLMSG_ERROR => return error_of(body).map(|()| answers),
                    _ => answers.push(body.to_vec()),
                }
            }
            if single {
                return Ok(answers);
            }
        }
    }
}

/// `NLMSG_ERROR`'s body: a negative error number, or 0 for an acknowledgement.
fn error_of(body: &[u8]) -> io::Result<()> {
    let code = body.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code.ok_or(io::ErrorKind::InvalidData)? {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

/// The types and bodies of the messages in a datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The types and values of the attributes in a message.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

impl Address {
    fn parse(message: &[u8], wanted: i32) -> Option<Self> {
        let &[family, prefix, flags, scope, a, b, c, d] = message.first_chunk::<ADDRESS>()?;
        let permanent = u32::from(flags) & libc::IFA_F_PERMANENT != 0;
        if i32::from_ne_bytes([a, b, c, d]) != wanted
            || !permanent
            || scope != libc::RT_SCOPE_UNIVERSE
        {
            return None;
        }
        let mut request = Request(Vec::new());
        for (kind, value) in attributes(&message[ADDRESS..]) {
            // Neither its label, which is the old name, nor what the kernel counts about it.
            if [libc::IFA_ADDRESS, libc::IFA_LOCAL, libc::IFA_BROADCAST].contains(&kind) {
                request.attribute(kind, value);
            }
        }
        let flags = flags & libc::IFA_F_NODAD as u8;
        Some(Self { family, prefix, flags, attributes: request.0 })
    }
}

/// A message in the making.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: i32) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        Self(bytes)
    }

    fn flags(&self) -> i32 {
        i32::from(u16::from_ne_bytes([self.0[6], self.0[7]]))
    }

    /// `struct ifinfomsg`.
    fn link(&mut self, index: i32, flags: u32, change: u32) {
        self.0.extend([0; 4]);
        self.0.extend(index.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(change.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend((value.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

fn with_nul(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_the_kernel() {
        let netlink = Netlink::open().unwrap();
        let index = netlink.index("lo").unwrap();
        assert_eq!(index, 1);
        assert_eq!(netlink.index("nosuchif").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        // Loopback's addresses are the host's alone, not global ones.
        assert_eq!(netlink.addresses(index).unwrap(), []);
    }

    #[test]
    fn broken_answers_end() {
        for bytes in [&[][..], &[0; 3], &[0; 16], &[255; 64], &[16, 0, 0, 0, 2]] {
            assert!(messages(bytes).count() <= 1);
            assert!(attributes(bytes).count() <= 1);
            assert_eq!(Address::parse(bytes, 1), None);
        }
    }
}
