//! Queries of an instrument and what follows them: the part of a connection that speaks of its own accord.
//!
//! A query waits in the order of the messages like any other, so its answer keeps its place; the time it may take is bounded,
//! and what comes after it waits no longer than that.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_core::Stored;
use hub_core::channel::AskError;
use schemas::sending::{
    OrderSent, QueryAnswered, QueryOutcome, SendingAnswer, SendingOccasion, SentOrder,
};
use schemas::worklist::{WorklistAnswer, WorklistQuestion, WorklistSpecimen};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer;
use super::connection::Connection;
use super::exchange::{Exchange, Finished, Heard, Outgoing};
use super::house::House;
use super::ids::Ids;
use super::outlet::Ways;
use crate::ack::{self, Ack, Outcome, ReceivedAck};
use crate::header::Header;
use crate::orders::{self, Asks, Occasion, OrderMessage, Question};
use crate::settings::{OrderMode, OrderSettings};

/// Between two attempts at the worklist within the time of a query.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a reply leads to once it is written, or could not be.
pub(super) enum Follow {
    /// A query was answered.
    Answered(Box<Answered>),
    /// The peer acknowledged a message of ours.
    Heard { ack: ReceivedAck, content: Bytes },
}

/// A query and its answer.
pub(super) struct Answered {
    stored: Stored,
    since: Instant,
    tag: String,
    outcome: QueryOutcome,
    reason: Option<String>,
    worklist: WorklistAnswer,
    /// Orders in the answer itself.
    inside: Vec<WorklistSpecimen>,
    follow: Vec<OrderMessage>,
}

pub(super) fn now_text() -> String {
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}

impl<K: House> Connection<'_, K> {
    pub(super) fn orders(&self) -> Option<&OrderSettings> {
        self.settings
            .orders
            .as_ref()
            .filter(|orders| orders.mode != OrderMode::Off)
    }

    /// Returns when another connection of the channel has something for this one to send.
    pub(super) async fn more_to_send(&self) {
        match self.ways {
            Ways::Out(outlet) => outlet.arrived().await,
            Ways::Both | Ways::In(_) => std::future::pending().await,
        }
    }

    /// Takes what another connection left for this one.
    pub(super) fn fetch(&self, exchange: &mut Exchange) {
        if let Ways::Out(outlet) = self.ways {
            for over in outlet.take(exchange, Instant::now()) {
                self.finished(over);
            }
        }
    }

    /// Answers a query that is stored: the contents of the frames that go back, and what follows.
    pub(super) async fn ask(
        &self,
        question: &Question,
        bytes: &[u8],
        stored: Stored,
        since: Instant,
    ) -> (Vec<Bytes>, Follow) {
        let (result, reason) = match question.asks {
            Asks::Withdraw | Asks::Other(_) => (Ok(WorklistAnswer::default()), None),
            Asks::Specimens | Asks::All => match self.worklist(question, since).await {
                Ok(worklist) => (Ok(worklist), None),
                Err(error) => {
                    tracing::error!(channel = %self.channel, peer = %self.peer, %error, "a host query could not be answered; the instrument is told of an error");
                    let reason = error.to_string();
                    (Err(error), Some(reason))
                }
            },
        };
        let (occasion, outcome) = match (&result, question.asks) {
            (_, Asks::Withdraw) => (Occasion::Query(question), QueryOutcome::Withdrawn),
            (_, Asks::Other(_)) => (Occasion::Query(question), QueryOutcome::Refused),
            (Ok(worklist), _) => (Occasion::Query(question), QueryOutcome::of(worklist)),
            (Err(_), _) => (Occasion::Failed(question), QueryOutcome::Failed),
        };
        let reason = match question.asks {
            Asks::Other(what) => Some(what.to_owned()),
            _ => reason,
        };
        let worklist = result.unwrap_or_default();
        self.say_unnamed(&worklist);
        let reply = orders::answer(
            self.settings,
            occasion,
            &worklist,
            &Ids,
            OffsetDateTime::now_utc(),
        );
        let mut contents: Vec<Bytes> = answer::commit_block(Outcome::Stored, self.settings)
            .into_iter()
            .chain(self.commit(bytes))
            .collect();
        contents.push(reply.content);
        let answered = Answered {
            stored,
            since,
            tag: question.tag.clone(),
            outcome,
            reason,
            worklist,
            inside: reply.inside,
            follow: reply.follow,
        };
        (contents, Follow::Answered(Box::new(answered)))
    }

    /// The accept acknowledgement, where MSH-15 asks for one.
    fn commit(&self, bytes: &[u8]) -> Option<Bytes> {
        let header = Header::read(bytes).ok()?;
        let code = ack::decide(Some(&header), Outcome::Stored).commit?;
        let now = OffsetDateTime::now_utc().to_offset(self.settings.zone());
        let id = super::ids::control_id();
        Some(
            Ack::new(code, &id, now)
                .style(self.settings.ack_style())
                .content(Some(&header)),
        )
    }

    async fn worklist(
        &self,
        question: &Question,
        since: Instant,
    ) -> Result<WorklistAnswer, AskError> {
        let Some(orders) = self.orders() else {
            return Err(AskError::NoResponder);
        };
        let wanted = WorklistQuestion {
            channel: self.channel.clone(),
            specimens: question
                .specimens
                .iter()
                .map(|said| self.settings.translate.tube.of(said).to_owned())
                .collect(),
            limit: orders.most,
            untold: None,
            as_ordered: orders.as_ordered,
        };
        let until = since + orders.deadline();
        let mut last = AskError::Timeout(orders.deadline().as_millis());
        loop {
            let asked = self.store.worklist(wanted.clone());
            match tokio::time::timeout_at(until.into(), asked).await {
                Ok(Ok(mut worklist)) => {
                    // under the numbers by which the instrument knows the tubes
                    for (specimen, said) in worklist.specimens.iter_mut().zip(&question.specimens) {
                        specimen.number.clone_from(said);
                    }
                    return Ok(worklist);
                }
                Ok(Err(error)) => last = error,
                Err(_) => return Err(last),
            }
            if Instant::now() + ASK_AGAIN >= until {
                return Err(last);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Goes on after a reply was written (`heard` by the peer's side of the line), or could not be.
    pub(super) fn follow(&self, follow: Follow, heard: bool, exchange: &mut Exchange) {
        match follow {
            Follow::Answered(answered) => self.answered(*answered, heard, exchange),
            Follow::Heard { ack, content } => {
                match exchange.heard(Instant::now(), &ack, &content) {
                    Heard::Finished(finished) => self.finished(*finished),
                    Heard::Committed => {}
                    Heard::Stray => self.stray(),
                }
            }
        }
    }

    fn stray(&self) {
        metrics::counter!("hub_hl7v2_stray_answers_total", "channel" => self.channel.to_string())
            .increment(1);
        tracing::info!(channel = %self.channel, peer = %self.peer, "an acknowledgement belongs to nothing that waits for one: too late, or not of ours; it is kept and counts for nothing");
    }

    fn answered(&self, answered: Answered, heard: bool, exchange: &mut Exchange) {
        let (outcome, reason) = if heard {
            (answered.outcome, answered.reason.as_deref())
        } else {
            (
                QueryOutcome::Undelivered,
                Some("the connection ended before the answer"),
            )
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let took = answered.since.elapsed();
        metrics::counter!("hub_hl7v2_queries_total", "channel" => self.channel.to_string(), "outcome" => outcome.as_str()).increment(1);
        metrics::histogram!("hub_hl7v2_query_seconds", "channel" => self.channel.to_string())
            .record(took.as_secs_f64());
        self.store.answered(&QueryAnswered {
            raw_id: answered.stored.id,
            channel: self.channel.clone(),
            stream_seq: answered.stored.position.seq,
            index: answered.stored.position.index,
            outcome,
            specimens: count(answered.worklist.specimens.len()),
            tests: count(
                answered
                    .worklist
                    .specimens
                    .iter()
                    .flat_map(|specimen| &specimen.tests)
                    .filter(|test| !test.instrument_codes.is_empty())
                    .count(),
            ),
            took_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
            reason: reason.map(str::to_owned),
            at: now_text(),
        });
        if outcome == QueryOutcome::Withdrawn {
            let withdrawn = match self.ways {
                Ways::In(outlet) => outlet.withdraw(&answered.tag),
                Ways::Both | Ways::Out(_) => exchange.withdraw(&answered.tag),
            };
            for finished in withdrawn {
                self.finished(finished);
            }
        }
        if !heard {
            return;
        }
        for specimen in &answered.inside {
            let number = self.book.number();
            self.book.on_its_way(number, std::slice::from_ref(specimen));
            self.book.came_to(number, true);
            let fact = OrderSent::of(
                self.channel,
                specimen,
                SendingOccasion::Query,
                now_text(),
                SendingAnswer::Delivered,
                None,
            );
            self.store.told(&OrderSent::aggregate(specimen), &fact);
        }
        let now = Instant::now();
        let messages = answered
            .follow
            .into_iter()
            .map(|message| self.outgoing(message, SendingOccasion::Query, &answered.tag, now))
            .collect();
        let given_up = match self.ways {
            Ways::In(outlet) => outlet.put(messages, now),
            Ways::Both | Ways::Out(_) => exchange.push(messages),
        };
        for given_up in given_up {
            self.finished(given_up);
        }
    }

    pub(super) fn outgoing(
        &self,
        message: OrderMessage,
        occasion: SendingOccasion,
        tag: &str,
        now: Instant,
    ) -> Outgoing {
        let number = self.book.number();
        self.book.on_its_way(number, message.specimen.as_slice());
        Outgoing::new(message, occasion, number, tag, now)
    }

    /// Keeps how a message of ours was taken.
    pub(super) fn finished(&self, finished: Finished) {
        let Finished {
            outgoing,
            orders,
            answer,
            took,
        } = finished;
        let settled = answer.is_settled();
        self.book.came_to(outgoing.number, settled);
        let refused = orders
            .iter()
            .any(|order| order.answer == SendingAnswer::Refused);
        let label = if refused {
            SendingAnswer::Refused
        } else {
            answer
        };
        metrics::counter!("hub_hl7v2_sent_total", "channel" => self.channel.to_string(), "answer" => label.as_str()).increment(1);
        if let Some(took) = took {
            metrics::histogram!("hub_hl7v2_order_answer_seconds", "channel" => self.channel.to_string()).record(took.as_secs_f64());
        }
        let control_id = &outgoing.message.control_id;
        match label {
            SendingAnswer::Refused => {
                tracing::error!(channel = %self.channel, peer = %self.peer, control_id, "the instrument refuses orders; why stands with the order");
            }
            SendingAnswer::NoAnswer => {
                tracing::warn!(channel = %self.channel, peer = %self.peer, control_id, "the instrument did not say whether it takes its orders");
            }
            _ => {}
        }
        let Some(specimen) = &outgoing.message.specimen else {
            return;
        };
        self.tell(specimen, outgoing.occasion, control_id, orders);
    }

    fn tell(
        &self,
        specimen: &WorklistSpecimen,
        occasion: SendingOccasion,
        control_id: &str,
        orders: Vec<SentOrder>,
    ) {
        if orders.is_empty() {
            return;
        }
        let fact = OrderSent {
            channel: self.channel.clone(),
            specimen: specimen.number.clone(),
            occasion,
            control_id: Some(control_id.to_owned()),
            at: now_text(),
            orders,
        };
        self.store.told(&OrderSent::aggregate(specimen), &fact);
    }

    /// Tests that were ordered and that the tables can't name for this instrument.
    pub(super) fn say_unnamed(&self, worklist: &WorklistAnswer) {
        let unnamed = self.book.newly_unnamed(worklist);
        if unnamed > 0 {
            metrics::counter!("hub_hl7v2_sent_total", "channel" => self.channel.to_string(), "answer" => "unnamed").increment(unnamed as u64);
            tracing::warn!(channel = %self.channel, tests = unnamed, "ordered tests have no name for this instrument in the mapping tables and are not sent");
        }
    }
}
