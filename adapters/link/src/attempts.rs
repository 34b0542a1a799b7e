//! One link at a time, and another when it is lost: the waits between attempts and what is said of the peer, for all
//! links that we open ourselves.

use crate::Peer;
use crate::metrics::LinkMetrics;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// A connection that lasted this long was a good one: after it the waits start from the first again. A shorter one was
/// taken and dropped by the peer, and trying at once would only hammer it.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// What is known of the peer, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerState {
    Connecting,
    Connected {
        since: SystemTime,
        peer: Peer,
    },
    Lost {
        reason: String,
        since: SystemTime,
        next_try: SystemTime,
    },
    Stopped,
}

/// The attempts at one peer.
pub(crate) struct Attempts {
    first: Duration,
    longest: Duration,
    metrics: Arc<LinkMetrics>,
    state: watch::Sender<PeerState>,
    /// The wait before the next attempt, without jitter; `None` before the first.
    delay: Option<Duration>,
    connected_at: Option<Instant>,
    /// The failure that was logged last; the same one again is not news.
    told: Option<String>,
}

/// Lives as long as a connection that we opened, and says so.
pub(crate) struct Connected {
    metrics: Arc<LinkMetrics>,
    state: watch::Sender<PeerState>,
    /// What was said when it began: only that may be taken back.
    said: PeerState,
    why_ended: Option<String>,
}

impl Connected {
    /// What broke the connection, from who noticed it.
    pub(crate) fn broken(&mut self, reason: String) {
        self.why_ended = Some(reason);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.metrics.open.decrement(1.0);
        let reason = self
            .why_ended
            .take()
            .unwrap_or_else(|| "the connection was closed".to_owned());
        // Said at once; the time of the next attempt is set when the next link is asked for.
        self.state.send_if_modified(|state| {
            let still_said = *state == self.said;
            if still_said {
                *state = lost(reason, Duration::ZERO);
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

impl Attempts {
    pub(crate) fn new(first_ms: u64, longest_ms: u64, channel: &str) -> Self {
        Self {
            first: Duration::from_millis(first_ms),
            longest: Duration::from_millis(longest_ms),
            metrics: Arc::new(LinkMetrics::of(channel)),
            state: watch::Sender::new(PeerState::Connecting),
            delay: None,
            connected_at: None,
            told: None,
        }
    }

    pub(crate) fn state(&self) -> watch::Receiver<PeerState> {
        self.state.subscribe()
    }

    pub(crate) fn note_lost(&self, reason: String) {
        self.state.send_replace(lost(reason, Duration::ZERO));
    }

    pub(crate) fn stopped(&self) {
        self.state.send_replace(PeerState::Stopped);
    }

    /// The last link is over.
    pub(crate) fn begin(&mut self) {
        if let Some(began) = self.connected_at.take()
            && began.elapsed() >= GOOD_CONNECTION
        {
            self.delay = None;
        }
    }

    /// Waits before every attempt but the first, and lets the state say until when.
    pub(crate) async fn wait_turn(&mut self) {
        let Some(delay) = self.delay else {
            self.delay = Some(self.first);
            self.state.send_replace(PeerState::Connecting);
            return;
        };
        self.delay = Some((delay * 2).min(self.longest));
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
        self.state.send_replace(PeerState::Connecting);
    }

    pub(crate) fn failed(&mut self, reason: String) {
        self.metrics.connect_failed.increment(1);
        if self.told.as_ref() != Some(&reason) {
            tracing::warn!(channel = self.metrics.channel(), %reason, "no link; trying again until there is one");
            self.told = Some(reason.clone());
        }
        self.state.send_replace(lost(reason, Duration::ZERO));
    }

    pub(crate) fn succeeded(&mut self, peer: Peer) -> Connected {
        if self.told.take().is_some() {
            tracing::info!(channel = self.metrics.channel(), %peer, "there is a link again");
        }
        self.connected_at = Some(Instant::now());
        self.metrics.connected.increment(1);
        self.metrics.open.increment(1.0);
        let said = PeerState::Connected {
            since: SystemTime::now(),
            peer,
        };
        self.state.send_replace(said.clone());
        Connected {
            metrics: Arc::clone(&self.metrics),
            state: self.state.clone(),
            said,
            why_ended: None,
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
