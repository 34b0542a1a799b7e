//! A port that peers connect to.

use crate::metrics::{LinkMetrics, Refusal};
use crate::peers::{Peers, Place};
use crate::stream::{Carrier, LinkStream};
use crate::{KeepAlive, Link, LinkError, ListenSettings, Network, SamePeer, socket, subject, tls};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Pause after the kernel refused to hand out a connection (no descriptors left): trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An open port. Dropping it closes the port; links already handed out live on.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    allow: Vec<Network>,
    same_peer: SamePeer,
    keep_alive: KeepAlive,
    tls: Option<(TlsAcceptor, Duration)>,
    peers: Arc<Peers>,
    metrics: Arc<LinkMetrics>,
    /// Run beside each other, so that a slow or silent peer holds up nobody.
    handshakes: JoinSet<Result<Link, Refusal>>,
}

/// How [`Listener::serve`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Links that had not finished within the grace and were cut.
    pub cut: usize,
}

impl Listener {
    /// Opens the port. `channel` names the metrics.
    ///
    /// # Errors
    /// [`LinkError::Settings`] with every fault, [`LinkError::Listen`] when the address cannot be had.
    pub fn open(settings: &ListenSettings, channel: &str) -> Result<Self, LinkError> {
        let faults = settings.validate();
        if !faults.is_empty() {
            return Err(LinkError::Settings(faults));
        }
        let tls = match &settings.tls {
            None => None,
            Some(tls) => Some((
                tls::acceptor(tls)?,
                Duration::from_millis(tls.handshake_timeout_ms),
            )),
        };
        let not_listening = |source| LinkError::Listen {
            address: settings.listen,
            source,
        };
        let socket = socket::listen(settings.listen).map_err(not_listening)?;
        let address = socket.local_addr().map_err(not_listening)?;
        let metrics = Arc::new(LinkMetrics::of(channel));
        Ok(Self {
            socket,
            address,
            allow: settings.allow.clone(),
            same_peer: settings.same_peer,
            keep_alive: settings.keep_alive,
            tls,
            peers: Peers::new(
                settings.max_connections,
                settings.same_peer,
                Arc::clone(&metrics),
            ),
            metrics,
            handshakes: JoinSet::new(),
        })
    }

    /// The address that was opened; with port 0 in the settings, the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next peer that is allowed in, with its TLS handshake done. Can be dropped at any await without losing one.
    pub async fn accept(&mut self) -> Link {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    match done {
                        Ok(Ok(link)) => {
                            self.metrics.accepted.increment(1);
                            return link;
                        }
                        Ok(Err(refusal)) => self.metrics.refused(refusal),
                        Err(error) => tracing::error!(%error, "a TLS handshake broke off"),
                    }
                }
                arrived = self.socket.accept() => match arrived {
                    Ok((stream, peer)) => {
                        if let Some(link) = self.receive(stream, peer) {
                            self.metrics.accepted.increment(1);
                            return link;
                        }
                    }
                    // The peer was gone before we looked; the next one may be there.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot take a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// Lets a peer in or turns it away; with TLS its link comes later, from the handshake.
    fn receive(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Link> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let allowed =
            self.allow.is_empty() || self.allow.iter().any(|network| network.contains(peer.ip()));
        if !allowed {
            self.metrics.refused(Refusal::NotAllowed);
            return None;
        }
        let Some(place) = self.peers.admit(peer.ip()) else {
            self.metrics.refused(Refusal::TooMany);
            return None;
        };
        if let Err(error) = socket::tune(&stream, self.keep_alive) {
            tracing::debug!(%error, "a peer left before its socket was set");
            self.metrics.refused(Refusal::Socket);
            return None;
        }
        let replaceable = self.same_peer == SamePeer::ReplaceOld;
        if let Some((acceptor, patience)) = self.tls.clone() {
            self.handshakes.spawn(async move {
                handshake(stream, peer, place, replaceable, acceptor, patience).await
            });
            return None;
        }
        place.take_over();
        Some(Link {
            stream: LinkStream::accepted(Carrier::Plain(stream), place, replaceable),
            peer: peer.into(),
            tls: false,
            client_cert_subject: None,
        })
    }

    /// Hands every link to `handle` in a task of its own until `stop` is cancelled; then closes the port, waits up to
    /// `grace` for the tasks to finish (they should watch `stop` themselves), and cuts what is left.
    pub async fn serve<Handle, Work>(
        mut self,
        stop: &CancellationToken,
        grace: Duration,
        mut handle: Handle,
    ) -> Drained
    where
        Handle: FnMut(Link) -> Work,
        Work: Future<Output = ()> + Send + 'static,
    {
        let mut links = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = links.join_next(), if !links.is_empty() => report(done),
                link = self.accept() => {
                    links.spawn(handle(link));
                }
            }
        }
        drop(self);
        let finish = async {
            while let Some(done) = links.join_next().await {
                report(done);
            }
        };
        let in_time = tokio::time::timeout(grace, finish).await.is_ok();
        let cut = if in_time { 0 } else { links.len() };
        links.shutdown().await;
        Drained { cut }
    }
}

/// A link whose task panicked has cost that link only.
fn report(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "the task of a link broke off");
    }
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    replaceable: bool,
    acceptor: TlsAcceptor,
    patience: Duration,
) -> Result<Link, Refusal> {
    let stream = match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, %peer, "TLS handshake failed");
            return Err(Refusal::Tls);
        }
        Err(_) => {
            tracing::debug!(%peer, "TLS handshake not done in time");
            return Err(Refusal::Tls);
        }
    };
    place.take_over();
    let client_cert_subject = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| subject::of(chain.first()?));
    let carrier = Carrier::Tls(Box::new(stream.into()));
    Ok(Link {
        stream: LinkStream::accepted(carrier, place, replaceable),
        peer: peer.into(),
        tls: true,
        client_cert_subject,
    })
}
