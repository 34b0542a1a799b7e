//! Links that we open ourselves, one after the other, whatever the line is.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    ConnectSettings, Dialer, Link, LinkError, Peer, PeerState, SerialLine, SerialSettings,
};

/// Dials a peer, or opens a serial port.
pub struct Opener {
    line: Line,
    address: String,
}

enum Line {
    Dial(Dialer),
    Serial(SerialLine),
}

/// What is worth telling of a peer that we connect to: not each attempt, only a new reason why there is no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Connected(Peer),
    Lost(String),
}

impl Opener {
    /// A TCP peer; `label` names the link in metrics and logs.
    ///
    /// # Errors
    /// As [`Dialer::new`].
    pub fn dial(settings: &ConnectSettings, label: &str) -> Result<Self, LinkError> {
        Ok(Self {
            line: Line::Dial(Dialer::new(settings, label)?),
            address: settings.connect.clone(),
        })
    }

    /// A serial port.
    ///
    /// # Errors
    /// As [`SerialLine::new`].
    pub fn serial(settings: &SerialSettings, label: &str) -> Result<Self, LinkError> {
        Ok(Self {
            line: Line::Serial(SerialLine::new(settings, label)?),
            address: settings.port.display().to_string(),
        })
    }

    /// `host:port` or the port's path, as in the settings.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next link; tries until there is one, or until `stop`.
    pub async fn next(&mut self, stop: &CancellationToken) -> Option<Link> {
        match &mut self.line {
            Line::Dial(dialer) => dialer.connect(stop).await,
            Line::Serial(line) => line.open(stop).await,
        }
    }

    /// Tells changes of the peer's state for as long as it is polled; never ends by itself.
    pub fn tell<R: FnMut(Change) + Send>(
        &self,
        report: R,
    ) -> impl Future<Output = ()> + Send + use<R> {
        tell(
            match &self.line {
                Line::Dial(dialer) => dialer.state(),
                Line::Serial(line) => line.state(),
            },
            report,
        )
    }
}

async fn tell(mut state: watch::Receiver<PeerState>, mut report: impl FnMut(Change)) {
    let mut told = None;
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        match now {
            PeerState::Connected { peer, .. } => {
                told = None;
                report(Change::Connected(peer));
            }
            PeerState::Lost { reason, .. } if told.as_ref() != Some(&reason) => {
                report(Change::Lost(reason.clone()));
                told = Some(reason);
            }
            PeerState::Lost { .. } | PeerState::Connecting | PeerState::Stopped => {}
        }
    }
    // it ends with the channel, not with the one whose state it tells
    std::future::pending::<()>().await;
}
