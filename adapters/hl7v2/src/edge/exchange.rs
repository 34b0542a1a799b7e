//! Messages of ours on a connection: one in flight, its acknowledgement matched by MSA-2, the same bytes sent again when none
//! comes (lab-devices §1.3). Pure: time is an argument.
//!
//! A message whose answer does not come gives way to the others until it is its turn again, so that one lost ORL does not
//! hold up the next specimen's orders. What answers an instrument goes before what nobody asked for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use schemas::sending::{SendingAnswer, SendingOccasion, SentOrder};

use crate::ack::ReceivedAck;
use crate::orders::{OrderMessage, taken};
use crate::settings::OrderSettings;

/// More messages do not wait on one connection: the oldest is given up, and said.
pub(super) const MOST_WAITING: usize = 1_024;

/// A message of ours, until it is known how it was taken.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: OrderMessage,
    pub(super) occasion: SendingOccasion,
    /// In the book of sendings.
    pub(super) number: u64,
    /// QPD-2 of the query that it answers.
    pub(super) tag: String,
    sendings: usize,
    /// Stored by the instrument (CA); what it makes of it is not said yet.
    committed: bool,
    not_before: Instant,
}

impl Outgoing {
    pub(super) fn new(
        message: OrderMessage,
        occasion: SendingOccasion,
        number: u64,
        tag: &str,
        now: Instant,
    ) -> Self {
        Self {
            message,
            occasion,
            number,
            tag: tag.to_owned(),
            sendings: 0,
            committed: false,
            not_before: now,
        }
    }
}

/// A message whose way is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) outgoing: Outgoing,
    pub(super) orders: Vec<SentOrder>,
    /// How it was taken as a whole.
    pub(super) answer: SendingAnswer,
    /// How long the instrument took to answer; none when it did not.
    pub(super) took: Option<Duration>,
}

/// What an acknowledgement was worth.
#[derive(Debug)]
pub(super) enum Heard {
    /// It ends the way of a message.
    Finished(Box<Finished>),
    /// It says that the bytes arrived; more is to come.
    Committed,
    /// It belongs to nothing that waits: late, or to something else.
    Stray,
}

#[derive(Debug)]
struct Flight {
    outgoing: Outgoing,
    since: Instant,
    until: Instant,
}

/// The sending side of one connection.
#[derive(Debug)]
pub(super) struct Exchange {
    waiting: VecDeque<Outgoing>,
    flight: Option<Flight>,
    answer: Duration,
    retries: Vec<Duration>,
}

impl Exchange {
    pub(super) fn new(settings: Option<&OrderSettings>) -> Self {
        let seconds = |s: &u64| Duration::from_secs(*s);
        Self {
            waiting: VecDeque::new(),
            flight: None,
            answer: settings.map_or(Duration::ZERO, |orders| seconds(&orders.answer_s)),
            retries: settings.map_or_else(Vec::new, |orders| {
                orders.retry_s.iter().map(seconds).collect()
            }),
        }
    }

    /// Takes messages to be sent. What waits for another try at the same specimen is replaced by what is newer: the instrument has
    /// asked again. Gives what is given up.
    pub(super) fn push(&mut self, messages: Vec<Outgoing>) -> Vec<Finished> {
        let mut given_up = Vec::new();
        for outgoing in messages {
            if outgoing.occasion == SendingOccasion::Query {
                let number = |one: &Outgoing| {
                    one.message
                        .specimen
                        .as_ref()
                        .map(|specimen| specimen.number.clone())
                };
                let about = number(&outgoing);
                let replaced = self.waiting.iter().position(|one| {
                    about.is_some()
                        && one.occasion == SendingOccasion::Query
                        && number(one) == about
                        && one.sendings > 0
                });
                if let Some(old) = replaced.and_then(|at| self.waiting.remove(at)) {
                    given_up.push(unanswered(old, "asked for again before it was answered"));
                }
                let at = self
                    .waiting
                    .iter()
                    .position(|one| one.occasion == SendingOccasion::Download)
                    .unwrap_or(self.waiting.len());
                self.waiting.insert(at, outgoing);
            } else {
                self.waiting.push_back(outgoing);
            }
        }
        while self.waiting.len() > MOST_WAITING
            && let Some(old) = self.waiting.pop_front()
        {
            given_up.push(unanswered(
                old,
                "too many messages wait for this instrument",
            ));
        }
        given_up
    }

    /// The content to be written now, if it is time for one; it is in flight then. With `Finished` when no answer is awaited.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Bytes, Option<Finished>)> {
        if self.flight.is_some() {
            return None;
        }
        let at = self.waiting.iter().position(|one| one.not_before <= now)?;
        let mut outgoing = self.waiting.remove(at)?;
        outgoing.sendings += 1;
        let content = outgoing.message.content.clone();
        if self.answer.is_zero() {
            return Some((content, Some(delivered(outgoing, None))));
        }
        self.flight = Some(Flight {
            outgoing,
            since: now,
            until: now + self.answer,
        });
        Some((content, None))
    }

    /// When [`Exchange::next`] or [`Exchange::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.flight {
            Some(flight) => Some(flight.until),
            None => self.waiting.iter().map(|one| one.not_before).min(),
        }
    }

    /// Time has passed: what has waited long enough for its answer waits for its next sending, or is given up.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Finished> {
        let flight = self.flight.take_if(|flight| flight.until <= now)?;
        let mut outgoing = flight.outgoing;
        if outgoing.committed {
            return Some(delivered(outgoing, None));
        }
        match self.retries.get(outgoing.sendings - 1) {
            Some(pause) => {
                outgoing.not_before = (flight.since + *pause).max(now);
                // others first, where they are ready
                self.waiting.push_back(outgoing);
                None
            }
            None => {
                let times = outgoing.sendings;
                let reason = format!("no answer to {times} sendings");
                Some(unanswered(outgoing, &reason))
            }
        }
    }

    /// An acknowledgement came. One whose MSA-2 is empty belongs to what is in flight.
    pub(super) fn heard(&mut self, now: Instant, ack: &ReceivedAck, content: &Bytes) -> Heard {
        let is_meant =
            |one: &Outgoing| one.message.control_id.as_bytes() == ack.control_id.trim_ascii();
        let unnamed = ack.control_id.trim_ascii().is_empty();
        let (mut outgoing, since) = match self
            .flight
            .take_if(|flight| unnamed || is_meant(&flight.outgoing))
        {
            Some(flight) => (flight.outgoing, Some((flight.since, flight.until))),
            None => {
                // late, but to the very message that would be sent again
                let Some(at) = self
                    .waiting
                    .iter()
                    .position(|one| one.sendings > 0 && is_meant(one))
                else {
                    return Heard::Stray;
                };
                let Some(outgoing) = self.waiting.remove(at) else {
                    return Heard::Stray;
                };
                (outgoing, None)
            }
        };
        let Some(orders) = taken::read(ack, content, &outgoing.message.lines) else {
            outgoing.committed = true;
            match since {
                Some((since, until)) => {
                    self.flight = Some(Flight {
                        outgoing,
                        since,
                        until,
                    });
                }
                // it would be sent again only because nobody had said that it arrived
                None => {
                    return Heard::Finished(Box::new(delivered(outgoing, None)));
                }
            }
            return Heard::Committed;
        };
        let answer = if ack.code.is_accept() {
            SendingAnswer::Accepted
        } else {
            SendingAnswer::Refused
        };
        Heard::Finished(Box::new(Finished {
            outgoing,
            orders,
            answer,
            took: since.map(|(since, _)| now - since),
        }))
    }

    /// Forgets what waits in answer to a query that was taken back; gives it.
    pub(super) fn withdraw(&mut self, tag: &str) -> Vec<Finished> {
        let mut withdrawn = Vec::new();
        let mut kept = VecDeque::new();
        for one in std::mem::take(&mut self.waiting) {
            if one.occasion == SendingOccasion::Query && one.tag == tag {
                withdrawn.push(unanswered(one, "the instrument took its query back"));
            } else {
                kept.push_back(one);
            }
        }
        self.waiting = kept;
        withdrawn
    }

    /// What was given to [`Exchange::next`] could not be put on the wire at all.
    pub(super) fn unwritable(&mut self, reason: &str) -> Option<Finished> {
        let flight = self.flight.take()?;
        Some(unanswered(flight.outgoing, reason))
    }

    /// The connection is over.
    pub(super) fn close(&mut self) -> Vec<Finished> {
        let flight = self.flight.take().map(|flight| flight.outgoing);
        let reason = "the connection ended before the answer";
        flight
            .into_iter()
            .chain(std::mem::take(&mut self.waiting))
            .map(|one| {
                if one.committed {
                    delivered(one, None)
                } else {
                    unanswered(one, reason)
                }
            })
            .collect()
    }
}

fn delivered(outgoing: Outgoing, took: Option<Duration>) -> Finished {
    Finished {
        orders: taken::whole(&outgoing.message.lines, SendingAnswer::Delivered, None),
        outgoing,
        answer: SendingAnswer::Delivered,
        took,
    }
}

pub(super) fn unanswered(outgoing: Outgoing, reason: &str) -> Finished {
    Finished {
        orders: taken::whole(
            &outgoing.message.lines,
            SendingAnswer::NoAnswer,
            Some(reason),
        ),
        outgoing,
        answer: SendingAnswer::NoAnswer,
        took: None,
    }
}

#[cfg(test)]
mod tests;
