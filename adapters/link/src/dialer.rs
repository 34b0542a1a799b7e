//! A peer that we connect to, for as long as the channel runs.

use crate::metrics::LinkMetrics;
use crate::stream::{Carrier, LinkStream};
use crate::{ConnectSettings, Link, LinkError, socket, tls};
use rustls_pki_types::ServerName;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// A connection that lasted this long was a good one: after it the waits start from the first again. A shorter one was
/// taken and dropped by the peer, and trying at once would only hammer it.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// What is known of the peer, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerState {
    Connecting,
    Connected {
        since: SystemTime,
        peer: SocketAddr,
    },
    Lost {
        reason: String,
        since: SystemTime,
        next_try: SystemTime,
    },
    Stopped,
}

/// Connects, and connects again. One link at a time.
pub struct Dialer {
    settings: ConnectSettings,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    metrics: Arc<LinkMetrics>,
    state: watch::Sender<PeerState>,
    /// The wait before the next attempt, without jitter; `None` before the first.
    delay: Option<Duration>,
    connected_at: Option<Instant>,
}

/// Lives as long as a dialled connection, and says so.
pub(crate) struct Connected {
    metrics: Arc<LinkMetrics>,
    state: watch::Sender<PeerState>,
    /// What was said when it began: only that may be taken back.
    said: PeerState,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.metrics.open.decrement(1.0);
        // Said at once; `Dialer::connect` sets the time of the next attempt when it is called.
        self.state.send_if_modified(|state| {
            let still_said = *state == self.said;
            if still_said {
                *state = lost("the connection was closed".to_owned(), Duration::ZERO);
            }
            still_said
        });
    }
}

fn lost(reason: String, delay: Duration) -> PeerState {
    let now = SystemTime::now();
    PeerState::Lost {
        reason,
        since: now,
        next_try: now + delay,
    }
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
            settings: settings.clone(),
            tls,
            metrics: Arc::new(LinkMetrics::of(channel)),
            state: watch::Sender::new(PeerState::Connecting),
            delay: None,
            connected_at: None,
        })
    }

    /// The peer's state, now and as it changes.
    pub fn state(&self) -> watch::Receiver<PeerState> {
        self.state.subscribe()
    }

    /// Notes why the last link ended, when its user knows more than that it was closed.
    pub fn note_lost(&mut self, reason: impl Into<String>) {
        self.state.send_replace(lost(reason.into(), Duration::ZERO));
    }

    /// The next link, however many attempts it takes; `None` once `stop` is cancelled. Drop the last link first.
    pub async fn connect(&mut self, stop: &CancellationToken) -> Option<Link> {
        let link = stop.run_until_cancelled(self.connect_at_last()).await;
        if link.is_none() {
            self.state.send_replace(PeerState::Stopped);
        }
        link
    }

    async fn connect_at_last(&mut self) -> Link {
        if let Some(began) = self.connected_at.take()
            && began.elapsed() >= GOOD_CONNECTION
        {
            self.delay = None;
        }
        loop {
            self.wait_turn().await;
            self.state.send_replace(PeerState::Connecting);
            let limit = self.settings.connect_timeout();
            let attempt = tokio::time::timeout(limit, self.attempt()).await;
            let reason = match attempt {
                Ok(Ok((carrier, peer))) => return self.connected(carrier, peer),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no connection within {limit:?}"),
            };
            self.metrics.connect_failed.increment(1);
            self.state.send_replace(lost(reason, Duration::ZERO));
        }
    }

    /// Waits before every attempt but the first, and lets the state say until when.
    async fn wait_turn(&mut self) {
        let first = Duration::from_millis(self.settings.retry_first_ms);
        let longest = Duration::from_millis(self.settings.retry_longest_ms);
        let Some(delay) = self.delay else {
            self.delay = Some(first);
            return;
        };
        self.delay = Some((delay * 2).min(longest));
        let delay = with_jitter(delay);
        self.state.send_if_modified(|state| {
            if let PeerState::Lost { next_try, .. } = state {
                *next_try = SystemTime::now() + delay;
                true
            } else {
                false
            }
        });
        tokio::time::sleep(delay).await;
    }

    async fn attempt(&self) -> io::Result<(Carrier, SocketAddr)> {
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
        Ok((carrier, peer))
    }

    fn connected(&mut self, carrier: Carrier, peer: SocketAddr) -> Link {
        self.connected_at = Some(Instant::now());
        self.metrics.connected.increment(1);
        self.metrics.open.increment(1.0);
        let said = PeerState::Connected {
            since: SystemTime::now(),
            peer,
        };
        self.state.send_replace(said.clone());
        let connected = Connected {
            metrics: Arc::clone(&self.metrics),
            state: self.state.clone(),
            said,
        };
        Link {
            stream: LinkStream::dialled(carrier, connected),
            peer,
            tls: self.tls.is_some(),
            client_cert_subject: None,
        }
    }
}

/// Between half of the wait and all of it, so that many channels that lost one peer do not come back in step.
fn with_jitter(delay: Duration) -> Duration {
    // The standard library seeds every such hasher anew.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let half = delay / 2;
    let share = u32::try_from(random % 1001).unwrap_or(0);
    half + half * share / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_all_of_the_wait() {
        let delay = Duration::from_secs(2);
        let waits: Vec<Duration> = (0..100).map(|_| with_jitter(delay)).collect();
        assert!(waits.iter().all(|wait| (delay / 2..=delay).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
