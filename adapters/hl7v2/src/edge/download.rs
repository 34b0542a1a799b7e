//! Orders that an instrument is told without asking: looked for, noted as under way, and sent.

use std::time::Instant;

use hub_core::channel::{AskError, SendingBook};
use schemas::ChannelId;
use schemas::sending::{OrderSent, SendingAnswer, SendingOccasion};
use schemas::worklist::{SpecimenStanding, Untold, WorklistQuestion, WorklistSpecimen};
use time::OffsetDateTime;

use super::connection::Connection;
use super::exchange::Exchange;
use super::house::House;
use super::ids::Ids;
use super::outlet::Ways;
use super::query::now_text;
use crate::orders::{self, OrderMessage};
use crate::settings::{Hl7v2Settings, OrderMode};

impl<K: House> Connection<'_, K> {
    pub(super) fn downloads(&self) -> bool {
        !matches!(self.ways, Ways::In(_))
            && self
                .orders()
                .is_some_and(|orders| orders.mode == OrderMode::Download)
    }

    /// Looks for what the instrument was not told yet; each specimen is noted as under way before it is given.
    pub(super) async fn look(&self, first: bool) -> Result<Looked<'_>, AskError> {
        let Some(orders) = self.orders() else {
            return Err(AskError::NoResponder);
        };
        let question = WorklistQuestion {
            channel: self.channel.clone(),
            specimens: Vec::new(),
            limit: orders.most,
            untold: Some(Untold {
                again_after_s: if first { 0 } else { orders.again_s },
            }),
            as_ordered: orders.as_ordered,
        };
        let worklist = self.store.worklist(question).await?;
        self.say_unnamed(&worklist);
        let (reserved, worklist) = self.book.claim(worklist);
        let mut looked = Looked {
            reservation: Reservation {
                book: self.book,
                number: reserved,
            },
            messages: Vec::new(),
        };
        for specimen in worklist.specimens {
            if specimen.standing != SpecimenStanding::Pending {
                continue;
            }
            let Some(message) =
                orders::download(self.settings, &specimen, &Ids, OffsetDateTime::now_utc())
            else {
                continue;
            };
            if message.lines.is_empty() {
                continue;
            }
            let fact = under_way(self.channel, &specimen, &message);
            let kept = self
                .store
                .tell_first(OrderSent::aggregate(&specimen), fact)
                .await;
            match kept {
                Ok(()) => looked.messages.push(message),
                Err(error) => {
                    tracing::warn!(channel = %self.channel, %error, "orders are not sent yet: that they are could not be kept");
                    break;
                }
            }
        }
        Ok(looked)
    }

    /// Sends what was found.
    pub(super) fn looked(&self, looked: Looked<'_>, exchange: &mut Exchange) {
        let now = Instant::now();
        let messages = looked
            .messages
            .into_iter()
            .map(|message| self.outgoing(message, SendingOccasion::Download, "", now))
            .collect();
        for given_up in exchange.push(messages) {
            self.finished(given_up);
        }
        drop(looked.reservation);
    }
}

fn under_way(
    channel: &ChannelId,
    specimen: &WorklistSpecimen,
    message: &OrderMessage,
) -> OrderSent {
    let mut fact = OrderSent::of(
        channel,
        specimen,
        SendingOccasion::Download,
        now_text(),
        SendingAnswer::Sending,
        None,
    );
    fact.control_id = Some(message.control_id.clone());
    fact
}

/// Messages to be sent, and their reservation in the book until they stand there by themselves.
pub(super) struct Looked<'b> {
    reservation: Reservation<'b>,
    messages: Vec<OrderMessage>,
}

/// Given back when it is dropped, also when a connection ends in the middle of a look.
struct Reservation<'b> {
    book: &'b SendingBook,
    number: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.book.release(self.number);
    }
}

/// When to look for orders that the instrument was not told.
pub(super) struct Looks {
    pub(super) next: Option<Instant>,
    /// Nothing was looked for on this connection yet: what got no answer on another is sent again at once.
    pub(super) first: bool,
}

impl Looks {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            next: wanted.then(Instant::now),
            first: true,
        }
    }

    pub(super) fn done(&mut self, found: bool, settings: &Hl7v2Settings) {
        self.first &= !found;
        self.next = settings
            .orders
            .as_ref()
            .map(|orders| Instant::now() + orders.every());
    }
}
