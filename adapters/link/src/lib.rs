//! Byte streams to and from the outside: TCP and TLS, listening and dialling, and serial lines. Every adapter that speaks
//! over a line gets its line here.
//!
//! A link carries bytes and knows who is at the other end; it never looks into them. Framing, acknowledgement and
//! time-outs of a protocol belong to the adapter that speaks it.

mod attempts;
mod dialer;
mod error;
mod listener;
mod metrics;
mod network;
mod opener;
mod peer;
mod peers;
mod serial;
mod settings;
mod socket;
mod stream;
mod subject;
mod tls;
mod tube;

pub use attempts::PeerState;
pub use dialer::Dialer;
pub use error::LinkError;
pub use listener::{Drained, Listener};
pub use network::{BadNetwork, Network};
pub use opener::{Change, Opener};
pub use peer::Peer;
pub use serial::SerialLine;
pub use settings::serial::{FlowControl, Parity, SerialSettings};
pub use settings::{
    ClientAuth, ConnectSettings, Fault, Faults, KeepAlive, ListenSettings, SamePeer,
    TlsClientSettings, TlsServerSettings, TlsVersion,
};
pub use stream::LinkStream;
pub use tls::acceptor;
pub use tube::{LeadingZeros, TubeNumbers};

/// One open connection.
#[derive(Debug)]
pub struct Link {
    /// Dropping it closes the connection and gives its place back.
    pub stream: LinkStream,
    pub peer: Peer,
    pub tls: bool,
    /// The subject of the peer's verified client certificate, as in RFC 4514: `CN=analyzer-7,O=Laboratory`.
    pub client_cert_subject: Option<String>,
}
