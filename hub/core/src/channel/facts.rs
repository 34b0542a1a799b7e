//! What an edge has to tell of its own doing: durably, in order, without making a line wait.
//!
//! Facts are told after the wire, so they wait here while the store is away. The queue has a bound; what exceeds it is
//! counted and said, never silently gone. Each keeps its id however often it is published.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::{Body, ChannelId, TenantId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backbone::{Backbone, PublishError};
use crate::publish::{self, NewMessage};
use crate::retry::Pauses;

/// Facts of one channel that wait for the store: some hours of a busy analyzer.
const MOST_WAITING: usize = 4_096;
/// A line that must know that a fact is on disk waits so long.
const NOW: Duration = Duration::from_secs(2);
/// After a stop the last facts get so long.
const GRACE: Duration = Duration::from_secs(6);

/// Where facts are kept.
#[async_trait]
pub trait Facts: Send + Sync + 'static {
    /// Returns when the fact is on disk.
    ///
    /// # Errors
    /// Not known to be stored; publish it again, it has one effect.
    async fn publish(&self, fact: &NewMessage) -> Result<(), PublishError>;
}

#[async_trait]
impl Facts for Backbone {
    async fn publish(&self, fact: &NewMessage) -> Result<(), PublishError> {
        publish::publish(self, fact, None).await.map(drop)
    }
}

/// By which an edge tells. Cheap to clone.
#[derive(Clone)]
pub struct Teller {
    tenant: TenantId,
    channel: ChannelId,
    queue: Option<mpsc::Sender<NewMessage>>,
    facts: Option<Arc<dyn Facts>>,
}

/// What carries queued facts to the store; somebody must run it.
pub struct Carrier {
    waiting: mpsc::Receiver<NewMessage>,
    facts: Arc<dyn Facts>,
    channel: ChannelId,
}

impl Teller {
    /// A teller and its carrier.
    #[must_use]
    pub fn new(tenant: TenantId, channel: ChannelId, facts: Arc<dyn Facts>) -> (Self, Carrier) {
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        let carrier = Carrier {
            waiting,
            facts: Arc::clone(&facts),
            channel: channel.clone(),
        };
        let teller = Self {
            tenant,
            channel,
            queue: Some(queue),
            facts: Some(facts),
        };
        (teller, carrier)
    }

    /// One that nobody listens to.
    pub(super) fn mute(tenant: TenantId, channel: ChannelId) -> Self {
        Self {
            tenant,
            channel,
            queue: None,
            facts: None,
        }
    }

    fn message<B: Body>(&self, aggregate: &str, fact: &B) -> NewMessage {
        NewMessage::event(
            &self.tenant,
            format!("/edge/{}", self.channel),
            aggregate,
            fact,
        )
    }

    /// Tells a fact. Never waits; it is stored as soon as that is possible.
    pub fn tell<B: Body>(&self, aggregate: &str, fact: &B) {
        let Some(queue) = &self.queue else {
            return;
        };
        if queue.try_send(self.message(aggregate, fact)).is_err() {
            metrics::counter!("hub_facts_dropped_total", "channel" => self.channel.to_string())
                .increment(1);
            tracing::error!(channel = %self.channel, fact = B::NAME, waiting = MOST_WAITING, "a fact can't be kept: too many wait for the store; it is lost");
        }
    }

    /// Tells a fact that must be on disk before its channel does what it says.
    ///
    /// # Errors
    /// It is not known to be stored: do not do it yet.
    pub async fn tell_now<B: Body>(&self, aggregate: &str, fact: &B) -> Result<(), PublishError> {
        let Some(facts) = &self.facts else {
            return Ok(());
        };
        let message = self.message(aggregate, fact);
        tokio::time::timeout(NOW, facts.publish(&message))
            .await
            .map_err(|_| PublishError::Timeout(NOW.as_millis()))?
    }
}

impl Carrier {
    /// Carries until `stop`, then what waits, for a few seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let fact = tokio::select! {
                biased;
                fact = self.waiting.recv() => fact,
                () = stop.cancelled() => break,
            };
            let Some(fact) = fact else {
                return;
            };
            if !self.carry(&fact, &stop).await {
                let last = tokio::time::timeout(GRACE, self.facts.publish(&fact)).await;
                if !matches!(last, Ok(Ok(()))) {
                    self.lost(1);
                }
                break;
            }
        }
        // lines that are ending have their last word
        let until = tokio::time::Instant::now() + GRACE;
        loop {
            match tokio::time::timeout_at(until, self.waiting.recv()).await {
                Ok(Some(fact)) => {
                    let told = tokio::time::timeout_at(until, self.facts.publish(&fact)).await;
                    if !matches!(told, Ok(Ok(()))) {
                        self.lost(1);
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.waiting.close();
                    self.lost(self.waiting.len());
                    return;
                }
            }
        }
    }

    /// True when it is on disk; false when there is a stop before that.
    async fn carry(&self, fact: &NewMessage, stop: &CancellationToken) -> bool {
        let mut pauses = Pauses::for_backbone();
        loop {
            match self.facts.publish(fact).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::debug!(channel = %self.channel, fact = fact.name, %error, "a fact is not stored yet");
                }
            }
            if !pauses.wait(stop).await {
                return false;
            }
        }
    }

    fn lost(&self, facts: usize) {
        if facts > 0 {
            metrics::counter!("hub_facts_dropped_total", "channel" => self.channel.to_string())
                .increment(facts as u64);
            tracing::error!(channel = %self.channel, facts, "the store took these facts not before the stop; they are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use schemas::integration::{ChannelStateChanged, LinkState};

    use super::*;

    #[derive(Default)]
    struct Store {
        refusals: Mutex<usize>,
        kept: Mutex<Vec<uuid::Uuid>>,
        tried: Mutex<Vec<uuid::Uuid>>,
    }

    #[async_trait]
    impl Facts for Store {
        async fn publish(&self, fact: &NewMessage) -> Result<(), PublishError> {
            self.tried.lock().unwrap().push(fact.id);
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(PublishError::Unreachable("away".into()));
            }
            self.kept.lock().unwrap().push(fact.id);
            Ok(())
        }
    }

    fn fact() -> ChannelStateChanged {
        ChannelStateChanged {
            channel: ChannelId::new("lab").unwrap(),
            kind: "hl7v2".into(),
            state: LinkState::Connected,
            connections: 1,
            address: String::new(),
            error: None,
            at: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn facts_wait_for_a_store_that_is_away_and_keep_order_and_id() {
        let store = Arc::new(Store::default());
        *store.refusals.lock().unwrap() = 2;
        let (tenant, channel) = (
            TenantId::new("demo").unwrap(),
            ChannelId::new("lab").unwrap(),
        );
        let (teller, carrier) = Teller::new(tenant, channel, Arc::<Store>::clone(&store));
        let stop = CancellationToken::new();
        for _ in 0..3 {
            teller.tell("lab", &fact());
        }
        stop.cancel();
        drop(teller);
        carrier.run(CancellationToken::new()).await;
        let (kept, mut tried) = (
            store.kept.lock().unwrap().clone(),
            store.tried.lock().unwrap().clone(),
        );
        assert_eq!(kept.len(), 3);
        assert_eq!(tried.len(), 5);
        tried.dedup();
        assert_eq!(tried, kept, "each is tried until it is kept, with one id");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_at_a_stop_is_still_told() {
        let store = Arc::new(Store::default());
        let (tenant, channel) = (
            TenantId::new("demo").unwrap(),
            ChannelId::new("lab").unwrap(),
        );
        let (teller, carrier) = Teller::new(tenant, channel, Arc::<Store>::clone(&store));
        let stop = CancellationToken::new();
        stop.cancel();
        let running = tokio::spawn(carrier.run(stop));
        teller.tell("lab", &fact());
        drop(teller);
        running.await.unwrap();
        assert_eq!(store.kept.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_must_be_on_disk_first_is_or_is_not() {
        let store = Arc::new(Store::default());
        *store.refusals.lock().unwrap() = 1;
        let (tenant, channel) = (
            TenantId::new("demo").unwrap(),
            ChannelId::new("lab").unwrap(),
        );
        let (teller, _carrier) = Teller::new(tenant, channel, Arc::<Store>::clone(&store));
        assert!(teller.tell_now("lab", &fact()).await.is_err());
        assert!(teller.tell_now("lab", &fact()).await.is_ok());
    }
}
