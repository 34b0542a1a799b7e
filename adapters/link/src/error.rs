//! Why a link cannot be set up. What goes wrong later is an `io::Error` of the stream, or a [`crate::PeerState`].

use crate::Fault;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<Fault>),

    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },

    #[error("{}: {reason}", path.display())]
    Pem { path: PathBuf, reason: String },

    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}
