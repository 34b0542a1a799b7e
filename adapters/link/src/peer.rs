//! Who is at the other end of a link.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The other end, as logs and stored messages name it: `10.20.1.7:50122`, or `/dev/serial/by-id/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An IPv4 peer on an IPv6 socket is shown as IPv4.
    Net(SocketAddr),
    /// The path as configured, which stays the same when the device gets another number.
    Serial(PathBuf),
}

impl Peer {
    /// Address of a network peer.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Net(address) => Some(*address),
            Self::Serial(_) => None,
        }
    }

    /// True for a serial line: there is no connection that the other side could open anew.
    pub fn is_serial(&self) -> bool {
        matches!(self, Self::Serial(_))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => address.fmt(f),
            Self::Serial(path) => path.display().fmt(f),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Net(address)
    }
}
