//! A peer that we connect to, for as long as the channel runs.

use crate::attempts::{Attempts, PeerState};
use crate::stream::{Carrier, LinkStream};
use crate::{ConnectSettings, Link, LinkError, Peer, socket, tls};
use rustls_pki_types::ServerName;
use std::io;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// Connects, and connects again. One link at a time.
pub struct Dialer {
    settings: ConnectSettings,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    attempts: Attempts,
}

impl Dialer {
    /// Reads the PEM files; connects to nobody yet. `channel` names the metrics.
    ///
    /// # Errors
    /// [`LinkError::Settings`] with every fault.
    pub fn new(settings: &ConnectSettings, channel: &str) -> Result<Self, LinkError> {
        let faults = settings.validate();
        if !faults.is_empty() {
            return Err(LinkError::Settings(faults));
        }
        let tls = match &settings.tls {
            None => None,
            Some(tls) => {
                let name = tls::server_name(tls, settings.host()).map_err(|message| {
                    LinkError::Settings(vec![crate::Fault {
                        path: "tls.server_name".to_owned(),
                        message,
                    }])
                })?;
                Some((tls::connector(tls)?, name))
            }
        };
        Ok(Self {
            attempts: Attempts::new(settings.retry_first_ms, settings.retry_longest_ms, channel),
            settings: settings.clone(),
            tls,
        })
    }

    /// The peer's state, now and as it changes.
    pub fn state(&self) -> watch::Receiver<PeerState> {
        self.attempts.state()
    }

    /// Notes why the last link ended, when its user knows more than that it was closed.
    pub fn note_lost(&mut self, reason: impl Into<String>) {
        self.attempts.note_lost(reason.into());
    }

    /// The next link, however many attempts it takes; `None` once `stop` is cancelled. Drop the last link first.
    pub async fn connect(&mut self, stop: &CancellationToken) -> Option<Link> {
        let link = stop.run_until_cancelled(self.connect_at_last()).await;
        if link.is_none() {
            self.attempts.stopped();
        }
        link
    }

    async fn connect_at_last(&mut self) -> Link {
        self.attempts.begin();
        loop {
            self.attempts.wait_turn().await;
            let limit = self.settings.connect_timeout();
            let reason = match tokio::time::timeout(limit, self.attempt()).await {
                Ok(Ok((carrier, peer))) => {
                    let connected = self.attempts.succeeded(peer.clone());
                    return Link {
                        stream: LinkStream::opened(carrier, connected),
                        peer,
                        tls: self.tls.is_some(),
                        client_cert_subject: None,
                    };
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no connection within {limit:?}"),
            };
            self.attempts.failed(reason);
        }
    }

    async fn attempt(&self) -> io::Result<(Carrier, Peer)> {
        // Tries each address that the name has.
        let stream = TcpStream::connect(self.settings.connect.as_str()).await?;
        socket::tune(&stream, self.settings.keep_alive)?;
        let peer = stream.peer_addr()?;
        let carrier = match &self.tls {
            None => Carrier::Plain(stream),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                Carrier::Tls(Box::new(stream.into()))
            }
        };
        Ok((carrier, peer.into()))
    }
}
