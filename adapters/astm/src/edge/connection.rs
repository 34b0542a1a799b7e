//! One line: bytes to the machine, its wishes to store, worklist and wire.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hub_core::channel::AskError;
use hub_core::{Received, Stored};
use schemas::sending::QueryOutcome;
use schemas::worklist::{
    SpecimenStanding, Untold, WorklistAnswer, WorklistQuestion, WorklistSpecimen,
};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::Device;
use super::device::{Asked, Load};
use crate::link::{Fate, Line, Note, Output, Unit};
use crate::orders::question;
use crate::orders::{self, Occasion, Question};
use crate::settings::OrderMode;

/// Bytes read at once.
const READ: usize = 4 * 1024;
/// A peer that does not take our bytes for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A query is asked of the worklist this often before the instrument is told of an error; each attempt has a second.
const ASKS: u32 = 2;
/// After the connection ended, broken messages are offered to the store for this long.
const LAST_STORES: Duration = Duration::from_secs(60);

/// Something that runs beside the reading.
enum Done {
    Stored {
        ticket: u64,
        result: Result<Stored, String>,
        question: Option<Question>,
        awaited: bool,
        since: Instant,
    },
    Asked {
        question: Question,
        result: Result<WorklistAnswer, AskError>,
        asked: Asked,
    },
    /// What is to be sent, kept as under way; reserved under the number.
    Pending(Result<(u64, Vec<WorklistSpecimen>), AskError>),
}

/// Serves a line until the peer leaves or `stop` is cancelled. `peer` names it in the ledger; `instrument` names the
/// device whose orders it takes, however often it connects.
pub async fn attend<S>(
    stream: S,
    peer: &str,
    instrument: &str,
    device: &Device,
    stop: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut input, output) = tokio::io::split(stream);
    let now = Instant::now();
    let mut connection = Connection {
        line: Line::new(&device.settings.link, now),
        output,
        peer,
        device,
        work: FuturesUnordered::new(),
        asking_pending: false,
        first_look: true,
        noise_told: false,
        broken: false,
    };
    for message in device.take_waiting(instrument) {
        connection.line.send(now, message);
    }
    let mut buffer = vec![0_u8; READ];
    let download = device.settings.orders.mode == OrderMode::Download;
    let mut next_download = now;
    loop {
        connection.carry_out().await;
        if connection.broken {
            break;
        }
        let deadline = connection.line.deadline();
        tokio::select! {
            biased;
            Some(done) = connection.work.next(), if !connection.work.is_empty() => connection.done(done),
            read = input.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => connection.line.push(Instant::now(), &buffer[..count]),
            },
            () = until(deadline) => connection.line.tick(Instant::now()),
            () = until(download.then_some(next_download)) => {
                next_download = Instant::now() + device.settings.orders.every();
                connection.ask_pending();
            }
            () = stop.cancelled() => break,
        }
    }
    connection.finish(instrument).await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

struct Connection<'d, S> {
    line: Line,
    output: WriteHalf<S>,
    peer: &'d str,
    device: &'d Device,
    work: FuturesUnordered<BoxFuture<'d, Done>>,
    /// A look for pending orders is under way.
    asking_pending: bool,
    /// This connection has not looked for pending orders: what got no answer on another is sent again at once.
    first_look: bool,
    noise_told: bool,
    /// The peer takes no bytes any more.
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Connection<'_, S> {
    /// Does what the machine wants.
    async fn carry_out(&mut self) {
        while let Some(output) = self.line.next_output() {
            match output {
                // nobody is there to hear it
                Output::Write(_) if self.broken => {}
                Output::Write(bytes) => {
                    let written = tokio::time::timeout(WRITE_DEADLINE, async {
                        self.output.write_all(&bytes).await?;
                        self.output.flush().await
                    })
                    .await;
                    if !matches!(written, Ok(Ok(()))) {
                        // what is stored stays stored; the instrument will repeat it and the repeat is recognised
                        self.broken = true;
                    }
                }
                Output::Store(unit) => self.store(unit),
                Output::Sent { id, fate } => {
                    self.device.came_to(id, fate);
                    match fate {
                        Fate::Delivered => {}
                        Fate::GivenUp => {
                            tracing::error!(channel = %self.device.channel, peer = %self.peer, "the instrument did not take its orders");
                        }
                        Fate::Refused(reason) => {
                            tracing::warn!(channel = %self.device.channel, peer = %self.peer, reason, "an order was refused");
                        }
                    }
                    self.count("hub_astm_sent_total", fate_name(fate));
                }
                Output::Note(note) => self.note(note),
            }
        }
    }

    fn count(&self, name: &'static str, kind: &'static str) {
        metrics::counter!(name, "channel" => self.device.channel.to_string(), "kind" => kind)
            .increment(1);
    }

    fn note(&mut self, note: Note) {
        self.count("hub_astm_notes_total", note.as_str());
        let (channel, peer) = (&self.device.channel, self.peer);
        match note {
            Note::Noise if self.noise_told => {}
            Note::Noise => {
                self.noise_told = true;
                tracing::info!(%channel, %peer, "bytes outside of frames are skipped (told once for this connection)");
            }
            Note::NotStored => {
                tracing::error!(%channel, %peer, "a message could not be stored and was refused; the instrument will send it again");
            }
            Note::WorkRefused | Note::Restarted | Note::LateAnswer => {
                tracing::warn!(%channel, %peer, what = note.as_str(), "odd on the line");
            }
            _ => tracing::debug!(%channel, %peer, what = note.as_str(), "odd on the line"),
        }
    }

    fn store(&mut self, unit: Unit) {
        let device = self.device;
        let kind = unit.quarantine.map_or("message", |_| "quarantined");
        self.count("hub_astm_messages_total", kind);
        if let Some(reason) = unit.quarantine {
            tracing::warn!(channel = %device.channel, peer = %self.peer, reason, bytes = unit.bytes.len(), "an incomplete message is kept, not acknowledged");
        }
        let question = (unit.quarantine.is_none() && device.settings.orders.mode != OrderMode::Off)
            .then(|| question::of_unit(&device.settings, &unit.bytes))
            .flatten();
        let received = Received {
            bytes: unit.bytes,
            peer: Some(self.peer.to_owned()),
            received_at: OffsetDateTime::now_utc(),
            notes: unit.notes,
            quarantine: unit.quarantine.map(str::to_owned),
            child_of: None,
            id: None,
        };
        let (ticket, awaited) = (unit.ticket, unit.awaited);
        self.work.push(Box::pin(async move {
            let started = Instant::now();
            let result = device.house.store(received).await;
            metrics::histogram!("hub_ack_seconds", "channel" => device.channel.to_string())
                .record(started.elapsed().as_secs_f64());
            Done::Stored {
                ticket,
                result,
                question,
                awaited,
                since: started,
            }
        }));
    }

    fn done(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Stored {
                ticket,
                result,
                question,
                awaited,
                since,
            } => {
                if let Err(error) = &result {
                    tracing::error!(channel = %self.device.channel, peer = %self.peer, awaited, %error, "not stored");
                }
                self.line.settle(now, ticket, result.is_ok());
                if let (Some(question), Ok(stored)) = (question, result) {
                    self.ask(question, Asked { stored, since });
                }
            }
            Done::Asked {
                question,
                result,
                asked,
            } => self.answer(&question, result, asked),
            Done::Pending(result) => self.download(result),
        }
    }

    /// Asks the worklist on behalf of the instrument.
    fn ask(&mut self, question: Question, asked: Asked) {
        let device = self.device;
        // a tube whose label could not be read: asked without a number the worklist gives everybody's tests, and a block has no
        // place to say which are whose
        if !question.all && question.specimens.is_empty() {
            tracing::warn!(channel = %device.channel, peer = %self.peer, "a host query names no tube; it is answered with nothing");
            return self.answer(&question, Ok(WorklistAnswer::default()), asked);
        }
        let wanted = WorklistQuestion {
            channel: device.channel.clone(),
            specimens: question.as_ordered(device.settings.dialect.tube),
            limit: device.settings.orders.most,
            untold: None,
            as_ordered: device.settings.orders.as_ordered,
        };
        self.work.push(Box::pin(async move {
            let mut left = ASKS;
            loop {
                left -= 1;
                let result = device.house.worklist(wanted.clone()).await;
                if result.is_ok() || left == 0 {
                    return Done::Asked {
                        question,
                        result,
                        asked,
                    };
                }
            }
        }));
    }

    fn answer(
        &mut self,
        question: &Question,
        result: Result<WorklistAnswer, AskError>,
        asked: Asked,
    ) {
        let device = self.device;
        let (occasion, worklist) = match result {
            Ok(mut worklist) => {
                question.as_asked(&mut worklist);
                (Occasion::Query(question), worklist)
            }
            Err(error) => {
                tracing::error!(channel = %device.channel, peer = %self.peer, %error, "a host query could not be answered; the instrument is told of an error");
                (Occasion::Failed(question), WorklistAnswer::default())
            }
        };
        self.count(
            "hub_astm_queries_total",
            match occasion {
                Occasion::Failed(_) => "failed",
                _ if worklist
                    .specimens
                    .iter()
                    .any(|s| s.standing == SpecimenStanding::Pending) =>
                {
                    "found"
                }
                _ => "nothing",
            },
        );
        self.say_unnamed(&worklist);
        let now = Instant::now();
        for records in orders::answer(
            &device.settings,
            occasion,
            &worklist,
            OffsetDateTime::now_utc(),
        ) {
            let load = Load {
                specimens: worklist.specimens.clone(),
                asked: Some(asked),
            };
            let message = device.outgoing(records, load).in_answer();
            self.line.send(now, message);
        }
        let outcome = match occasion {
            Occasion::Failed(_) => QueryOutcome::Failed,
            _ => QueryOutcome::of(&worklist),
        };
        device.answered(asked, outcome, &worklist, None);
        metrics::histogram!("hub_astm_query_seconds", "channel" => device.channel.to_string())
            .record(asked.since.elapsed().as_secs_f64());
    }

    /// Tests that were ordered and that the tables can't name for this instrument.
    fn say_unnamed(&self, worklist: &WorklistAnswer) {
        let unnamed = self.device.book.newly_unnamed(worklist);
        if unnamed > 0 {
            tracing::warn!(channel = %self.device.channel, tests = unnamed, "ordered tests have no name for this instrument in the mapping tables and are not sent");
            self.count("hub_astm_sent_total", "unnamed");
        }
    }

    /// Looks for everything pending, for an instrument that does not ask.
    fn ask_pending(&mut self) {
        if self.asking_pending {
            return;
        }
        self.asking_pending = true;
        let device = self.device;
        let orders = &device.settings.orders;
        let question = WorklistQuestion {
            channel: device.channel.clone(),
            specimens: Vec::new(),
            limit: orders.most,
            untold: Some(Untold {
                again_after_s: if self.first_look { 0 } else { orders.again_s },
            }),
            as_ordered: orders.as_ordered,
        };
        self.work.push(Box::pin(async move {
            let worklist = match device.house.worklist(question).await {
                Ok(worklist) => worklist,
                Err(error) => return Done::Pending(Err(error)),
            };
            let (reserved, worklist) = device.book.claim(worklist);
            let mut kept = Vec::new();
            for specimen in worklist.specimens {
                if device.announce(&specimen).await {
                    kept.push(specimen);
                }
            }
            Done::Pending(Ok((reserved, kept)))
        }));
    }

    fn download(&mut self, result: Result<(u64, Vec<WorklistSpecimen>), AskError>) {
        self.asking_pending = false;
        let device = self.device;
        let (reserved, specimens) = match result {
            Ok(found) => {
                self.first_look = false;
                found
            }
            Err(error) => {
                tracing::warn!(channel = %device.channel, %error, "pending orders could not be read; trying again");
                return;
            }
        };
        let now = Instant::now();
        // one message a specimen: what an instrument refuses must not hold up the others
        for specimen in specimens {
            let one = WorklistAnswer {
                specimens: vec![specimen],
            };
            self.say_unnamed(&one);
            for records in orders::answer(
                &device.settings,
                Occasion::Download,
                &one,
                OffsetDateTime::now_utc(),
            ) {
                let load = Load {
                    specimens: one.specimens.clone(),
                    asked: None,
                };
                let message = device.outgoing(records, load);
                self.line.send(now, message);
            }
        }
        device.book.release(reserved);
    }

    /// The connection is over or must end: what was received whole is stored and answered, what is broken is kept.
    async fn finish(mut self, instrument: &str) {
        let until_last = Instant::now() + LAST_STORES;
        // what is in the air first: a stop must not turn a stored message into a repeat, and a peer that sent all and
        // hung up without waiting for answers sent it all the same
        while Instant::now() < until_last {
            let Some(done) = self.work.next().await else {
                break;
            };
            self.done(done);
            self.carry_out().await;
        }
        let unsent = self.line.take_unsent();
        self.line.lost(Instant::now());
        let mut unsent: VecDeque<_> = unsent.into();
        unsent.extend(self.line.take_unsent());
        self.device.keep_waiting(instrument, unsent.into());
        loop {
            while let Some(output) = self.line.next_output() {
                if let Output::Store(unit) = output {
                    self.store(unit);
                }
            }
            if self.line.is_idle() && self.work.is_empty() {
                return;
            }
            if Instant::now() >= until_last {
                break;
            }
            let deadline = self.line.deadline();
            tokio::select! {
                Some(done) = self.work.next(), if !self.work.is_empty() => {
                    if let Done::Stored { ticket, result, .. } = done {
                        self.line.settle(Instant::now(), ticket, result.is_ok());
                    }
                }
                () = until(Some(deadline.unwrap_or(until_last).min(until_last))) => self.line.tick(Instant::now()),
            }
        }
        tracing::error!(channel = %self.device.channel, peer = %self.peer, "bytes of a broken session could not be stored and are gone");
        self.count("hub_astm_messages_total", "gone");
    }
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "delivered",
        Fate::GivenUp => "given_up",
        Fate::Refused(_) => "refused",
    }
}
