//! Byte streams to and from the outside: TCP and TLS, listening and dialling. Every adapter that speaks over a line gets
//! its line here.
//!
//! A link carries bytes and knows who is at the other end; it never looks into them. Framing, acknowledgement and
//! time-outs of a protocol belong to the adapter that speaks it.

mod dialer;
mod error;
mod listener;
mod metrics;
mod network;
mod peers;
mod settings;
mod socket;
mod stream;
mod subject;
mod tls;

pub use dialer::{Dialer, PeerState};
pub use error::LinkError;
pub use listener::{Drained, Listener};
pub use network::{BadNetwork, Network};
pub use settings::{
    ClientAuth, ConnectSettings, Fault, KeepAlive, ListenSettings, SamePeer, TlsClientSettings,
    TlsServerSettings, TlsVersion,
};
pub use stream::LinkStream;

use std::net::SocketAddr;

/// One open connection.
#[derive(Debug)]
pub struct Link {
    /// Dropping it closes the connection and gives its place back.
    pub stream: LinkStream,
    /// An IPv4 peer on an IPv6 socket is shown as IPv4.
    pub peer: SocketAddr,
    pub tls: bool,
    /// The subject of the peer's verified client certificate, as in RFC 4514: `CN=analyzer-7,O=Laboratory`.
    pub client_cert_subject: Option<String>,
}
