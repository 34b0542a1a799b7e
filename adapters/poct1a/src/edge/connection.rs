//! One connection: bytes to the machine, its wishes to store and wire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::Received;
use schemas::rosters::{RosterAnswer, RosterQuestion};
use time::{OffsetDateTime, UtcOffset};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio_util::sync::CancellationToken;

use super::Site;
use crate::link::{Conversation, Ending, List, Note, Output, Unit, Wanted};

/// Bytes read at once.
const READ: usize = 8 * 1024;
/// A device that does not take our bytes for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// After the connection ended, what was received is offered to the store for this long.
const LAST_STORES: Duration = Duration::from_secs(60);
/// A list that could not be looked up is tried again after this, so many times in all: the hub may just be starting.
const ASK_AGAIN: Duration = Duration::from_millis(300);
const ASKS: u32 = 3;
/// After our last word the device gets this long to hang up: a socket that is closed with bytes unread takes our last
/// answer away from the device.
const LINGER: Duration = Duration::from_secs(1);

type Storing<'s> = std::pin::Pin<Box<dyn Future<Output = (u64, Result<(), String>)> + Send + 's>>;
type Answer = (u64, OffsetDateTime, Result<RosterAnswer, String>);
type Asking<'s> = std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 's>>;

/// Serves a connection until the device leaves, the conversation is over, or `stop` is cancelled. `peer` names it in the
/// ledger.
pub async fn attend<S>(stream: S, peer: &str, site: &Site, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (input, output) = tokio::io::split(stream);
    let mut connection = Connection {
        conversation: Conversation::new(&site.settings, Instant::now())
            .with_given(Arc::clone(&site.given)),
        output,
        peer,
        site,
        storing: None,
        asking: None,
        deaf: false,
        stuck: false,
        over: false,
    };
    let input = connection.converse(input, stop).await;
    connection.finish(input).await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The store's answer, when something waits for it.
async fn stored(storing: &mut Option<Storing<'_>>) -> (u64, Result<(), String>) {
    match storing {
        Some(work) => {
            let done = work.await;
            *storing = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// The hub's answer, when it was asked something.
async fn answered(asking: &mut Option<Asking<'_>>) -> Answer {
    match asking {
        Some(work) => {
            let answer = work.await;
            *asking = None;
            answer
        }
        None => std::future::pending().await,
    }
}

struct Connection<'s, S> {
    conversation: Conversation,
    output: WriteHalf<S>,
    peer: &'s str,
    site: &'s Site,
    storing: Option<Storing<'s>>,
    asking: Option<Asking<'s>>,
    /// The device has hung up; what it sent before may still be read.
    deaf: bool,
    /// The device takes no bytes and does not hang up.
    stuck: bool,
    /// The machine wants the connection closed.
    over: bool,
}

impl<'s, S: AsyncRead + AsyncWrite + Send + 'static> Connection<'s, S> {
    /// Talks until the connection is over. The reading half comes back when the device may still be there.
    async fn converse(
        &mut self,
        mut input: ReadHalf<S>,
        stop: &CancellationToken,
    ) -> Option<ReadHalf<S>> {
        let mut buffer = vec![0_u8; READ];
        let mut stopping = false;
        loop {
            self.carry_out().await;
            if self.over || self.stuck {
                return (!self.stuck && !self.deaf).then_some(input);
            }
            let deadline = self.conversation.deadline();
            tokio::select! {
                biased;
                (ticket, result) = stored(&mut self.storing) => self.settle(ticket, result),
                read = input.read(&mut buffer), if self.conversation.wants_bytes() => match read {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => self.conversation.push(Instant::now(), &buffer[..count]),
                },
                (ticket, at, answer) = answered(&mut self.asking) => {
                    self.conversation.roster(Instant::now(), ticket, at, answer);
                }
                () = until(deadline) => self.conversation.tick(Instant::now()),
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.conversation.stop(Instant::now());
                }
            }
        }
    }

    /// Does what the machine wants.
    async fn carry_out(&mut self) {
        while let Some(output) = self.conversation.next_output() {
            match output {
                Output::Say { say, wrapped } => {
                    let kind = say.message.kind();
                    let now = OffsetDateTime::now_utc();
                    self.write(&say.write(&self.site.settings, now, wrapped))
                        .await;
                    self.count("hub_poct1a_said_total", kind);
                }
                Output::Store(unit) => self.store(unit),
                Output::Ask { ticket, wanted } => self.ask(ticket, wanted),
                Output::Without { list, reason } => self.without(list, reason.as_deref()),
                Output::Note(note) => self.note(note),
                Output::Close(ending) => {
                    self.over = true;
                    self.ended(ending);
                }
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        // nobody is there to hear it
        if self.deaf || self.stuck {
            return;
        }
        let write = async {
            self.output.write_all(bytes).await?;
            self.output.flush().await
        };
        // what is stored stays stored; the device will repeat it and the repeat is recognised
        match tokio::time::timeout(WRITE_DEADLINE, write).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => self.deaf = true,
            Err(_) => self.stuck = true,
        }
    }

    fn count(&self, name: &'static str, kind: &'static str) {
        metrics::counter!(name, "channel" => self.site.channel.to_string(), "kind" => kind)
            .increment(1);
    }

    fn note(&self, note: Note) {
        self.count("hub_poct1a_notes_total", note.as_str());
        let (channel, peer) = (&self.site.channel, self.peer);
        match note {
            Note::Gone => {
                tracing::error!(%channel, %peer, "what a broken document left could not be stored and is gone");
            }
            Note::Refused(step) => {
                tracing::warn!(%channel, %peer, ?step, "the device did not do what it was told");
            }
            Note::Given(list, entries) => {
                tracing::info!(%channel, %peer, list = list.as_str(), entries, "the device took its list");
            }
            Note::Unknown => tracing::info!(%channel, %peer, "a message of no known type is kept"),
            _ => tracing::debug!(%channel, %peer, what = note.as_str(), "odd in the conversation"),
        }
    }

    fn ask(&mut self, ticket: u64, wanted: Wanted) {
        let site = self.site;
        let at = OffsetDateTime::now_utc();
        let question = question(site, wanted, at);
        self.asking = Some(Box::pin(async move {
            let mut tries = 1;
            loop {
                let answer = site.house.roster(question.clone()).await;
                if answer.is_ok() || tries >= ASKS {
                    return (ticket, at, answer);
                }
                tries += 1;
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }));
    }

    fn without(&self, list: List, reason: Option<&str>) {
        let device = self.conversation.device().unwrap_or(self.peer);
        let news = self.site.missing.say(device, list, reason);
        let Some(reason) = reason else { return };
        self.count("hub_poct1a_lists_not_given_total", list.as_str());
        if news {
            tracing::warn!(channel = %self.site.channel, peer = %self.peer, %device, list = list.as_str(), reason, "a device is not given its list; it keeps the one that it has");
        }
    }

    fn ended(&self, ending: Ending) {
        self.count("hub_poct1a_ended_total", ending.as_str());
        let (channel, peer, why) = (&self.site.channel, self.peer, ending.as_str());
        if ending == Ending::Ended {
            tracing::debug!(%channel, %peer, "the conversation is over");
        } else {
            tracing::warn!(%channel, %peer, why, "the conversation is broken off and the connection closed");
        }
    }

    fn store(&mut self, unit: Unit) {
        let site = self.site;
        self.count(
            "hub_poct1a_documents_total",
            unit.quarantine.map_or("document", |_| "quarantined"),
        );
        if let Some(reason) = unit.quarantine {
            tracing::warn!(channel = %site.channel, peer = %self.peer, reason, bytes = unit.bytes.len(), "what is no document is kept, not acknowledged");
        }
        let received = Received {
            bytes: unit.bytes,
            peer: Some(self.peer.to_owned()),
            received_at: OffsetDateTime::now_utc(),
            notes: unit.notes,
            quarantine: unit.quarantine.map(str::to_owned),
            child_of: None,
            id: None,
        };
        let ticket = unit.ticket;
        self.storing = Some(Box::pin(async move {
            let started = Instant::now();
            let result = site.house.store(received).await;
            metrics::histogram!("hub_ack_seconds", "channel" => site.channel.to_string())
                .record(started.elapsed().as_secs_f64());
            (ticket, result)
        }));
    }

    fn settle(&mut self, ticket: u64, result: Result<(), String>) {
        let stored = result.is_ok();
        if let Err(error) = result {
            tracing::error!(channel = %self.site.channel, peer = %self.peer, %error, "a document could not be stored; the device is asked to send it again");
        }
        self.conversation.settle(Instant::now(), ticket, stored);
    }

    /// The connection is over: what was received whole is stored and answered, what is broken is kept.
    async fn finish(mut self, input: Option<ReadHalf<S>>) {
        let until_last = Instant::now() + LAST_STORES;
        // what is in the air first: a device that sent all and hung up without waiting for answers sent it all the same
        self.conversation.lost(Instant::now());
        loop {
            self.carry_out().await;
            if self.conversation.is_idle() || Instant::now() >= until_last {
                break;
            }
            let deadline = self.conversation.deadline();
            tokio::select! {
                (ticket, result) = stored(&mut self.storing) => self.settle(ticket, result),
                () = until(Some(deadline.unwrap_or(until_last).min(until_last))) => {
                    self.conversation.tick(Instant::now());
                }
            }
        }
        if !self.conversation.is_idle() {
            tracing::error!(channel = %self.site.channel, peer = %self.peer, "bytes of a broken conversation could not be stored and are gone");
            self.count("hub_poct1a_documents_total", "gone");
        }
        if let Some(input) = input {
            linger(self.output, input).await;
        }
    }
}

/// What the machine wants, as the hub is asked it. A certification ends with a day of the device's place.
fn question(site: &Site, wanted: Wanted, at: OffsetDateTime) -> RosterQuestion {
    let channel = site.channel.clone();
    match wanted {
        Wanted::Operators => {
            let seconds = i32::from(site.settings.dialect.default_zone_minutes) * 60;
            let zone = UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC);
            RosterQuestion::Operators {
                channel,
                on: at.to_offset(zone).date().to_string(),
            }
        }
        Wanted::Patients { ward, facility } => RosterQuestion::Patients {
            channel,
            ward,
            facility,
            limit: site.settings.lists.most_patients,
        },
        Wanted::Person { number } => RosterQuestion::Person { channel, number },
    }
}

/// Says that nothing more comes, and lets the device hang up.
async fn linger<S: AsyncRead + AsyncWrite>(mut output: WriteHalf<S>, mut input: ReadHalf<S>) {
    let mut buffer = [0_u8; 512];
    let _ = tokio::time::timeout(LINGER, async {
        if output.shutdown().await.is_err() {
            return;
        }
        while matches!(input.read(&mut buffer).await, Ok(count) if count > 0) {}
    })
    .await;
}
