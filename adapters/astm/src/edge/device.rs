//! What outlives a connection: the orders that wait for an instrument, and what is to be said of them once they are told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hub_core::Stored;
use hub_core::channel::SendingBook;
use schemas::ChannelId;
use schemas::sending::{OrderSent, QueryAnswered, QueryOutcome, SendingAnswer, SendingOccasion};
use schemas::worklist::{WorklistAnswer, WorklistSpecimen};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::House;
use crate::link::{Fate, Outgoing};
use crate::settings::AstmSettings;

/// More messages do not wait for one instrument: the oldest is dropped, and said.
const MOST_WAITING: usize = 64;

/// One channel's instruments, beyond their connections.
pub struct Device {
    pub(super) channel: ChannelId,
    pub(super) settings: AstmSettings,
    pub(super) house: Arc<dyn House>,
    pub(super) book: SendingBook,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Not sent when the connection ended, by instrument.
    waiting: BTreeMap<String, Vec<Outgoing>>,
    /// On a line or waiting for one: what a message carries.
    under_way: BTreeMap<u64, Load>,
}

/// What a message carries.
pub(super) struct Load {
    pub(super) specimens: Vec<WorklistSpecimen>,
    /// The query that it answers.
    pub(super) asked: Option<Asked>,
}

/// A query that was stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) stored: Stored,
    pub(super) since: Instant,
}

/// Now, as facts have it.
pub(super) fn now() -> String {
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}

impl Device {
    /// A channel that has sent nothing yet.
    #[must_use]
    pub fn new(channel: ChannelId, settings: AstmSettings, house: Arc<dyn House>) -> Self {
        Self {
            channel,
            settings,
            house,
            book: SendingBook::default(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // every change is one assignment: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that is on its way from now on.
    pub(super) fn outgoing(&self, records: Vec<Vec<u8>>, load: Load) -> Outgoing {
        let number = self.book.number();
        self.book.on_its_way(number, &load.specimens);
        self.state().under_way.insert(number, load);
        Outgoing::new(number, records)
    }

    /// Takes what waits for an instrument.
    pub(super) fn take_waiting(&self, instrument: &str) -> Vec<Outgoing> {
        self.state().waiting.remove(instrument).unwrap_or_default()
    }

    /// Keeps what could not be sent.
    pub(super) fn keep_waiting(&self, instrument: &str, messages: Vec<Outgoing>) {
        if messages.is_empty() {
            return;
        }
        let mut state = self.state();
        let waiting = state.waiting.entry(instrument.to_owned()).or_default();
        waiting.extend(messages);
        let over = waiting.len().saturating_sub(MOST_WAITING);
        let dropped: Vec<u64> = waiting.drain(..over).map(|m| m.id).collect();
        drop(state);
        for id in dropped {
            self.came_to(id, Fate::GivenUp);
        }
        if over > 0 {
            tracing::error!(channel = %self.channel, messages = over, "an instrument does not come back for its orders; the oldest are dropped");
        }
    }

    /// What became of a message is kept; orders that were taken are not sent again of themselves.
    pub(super) fn came_to(&self, id: u64, fate: Fate) {
        self.book.came_to(id, fate != Fate::GivenUp);
        let Some(load) = self.state().under_way.remove(&id) else {
            return;
        };
        let (answer, reason) = match fate {
            Fate::Delivered => (SendingAnswer::Delivered, None),
            Fate::Refused(reason) => (SendingAnswer::Refused, Some(reason)),
            Fate::GivenUp => (
                SendingAnswer::NoAnswer,
                Some("the instrument did not take the message"),
            ),
        };
        let occasion = match load.asked {
            Some(_) => SendingOccasion::Query,
            None => SendingOccasion::Download,
        };
        for specimen in &load.specimens {
            self.tell(specimen, occasion, answer, reason);
        }
        if let (Some(asked), Fate::GivenUp) = (load.asked, fate) {
            let worklist = WorklistAnswer {
                specimens: load.specimens,
            };
            let reason = "the instrument did not take the answer";
            self.answered(asked, QueryOutcome::Undelivered, &worklist, Some(reason));
        }
    }

    fn tell(
        &self,
        specimen: &WorklistSpecimen,
        occasion: SendingOccasion,
        answer: SendingAnswer,
        reason: Option<&str>,
    ) {
        let fact = OrderSent::of(&self.channel, specimen, occasion, now(), answer, reason);
        if !fact.orders.is_empty() {
            self.house.told(&OrderSent::aggregate(specimen), &fact);
        }
    }

    /// Notes that a specimen's orders are about to be sent without having been asked for; false when that could not be kept.
    pub(super) async fn announce(&self, specimen: &WorklistSpecimen) -> bool {
        let fact = OrderSent::of(
            &self.channel,
            specimen,
            SendingOccasion::Download,
            now(),
            SendingAnswer::Sending,
            None,
        );
        if fact.orders.is_empty() {
            return true;
        }
        let kept = self
            .house
            .tell_first(&OrderSent::aggregate(specimen), &fact)
            .await;
        if let Err(error) = &kept {
            tracing::warn!(channel = %self.channel, %error, "orders are not sent yet: that they are could not be kept");
        }
        kept.is_ok()
    }

    /// Says how a query was answered.
    pub(super) fn answered(
        &self,
        asked: Asked,
        outcome: QueryOutcome,
        worklist: &WorklistAnswer,
        reason: Option<&str>,
    ) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let tests = worklist
            .specimens
            .iter()
            .flat_map(|specimen| &specimen.tests)
            .filter(|test| !test.instrument_codes.is_empty());
        self.house.answered(&QueryAnswered {
            raw_id: asked.stored.id,
            channel: self.channel.clone(),
            stream_seq: asked.stored.position.seq,
            index: asked.stored.position.index,
            outcome,
            specimens: count(worklist.specimens.len()),
            tests: count(tests.count()),
            took_ms: u32::try_from(asked.since.elapsed().as_millis()).unwrap_or(u32::MAX),
            reason: reason.map(str::to_owned),
            at: now(),
        });
    }
}
