//! An instrument on an E1381 line. The line itself is the adapter's, in the role of the instrument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adapter_astm::AstmSettings;
use adapter_astm::link::{Fate, Line, Note, Outgoing, Output, join};
use adapter_astm::settings::{LinkSettings, Role};
use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::chosen;
use super::job::{Job, Play, Told};
use super::wanted::{self, Wanted};
use super::wire::{Place, Wire};
use super::{Fault, Manner, Outcome};

const STX: u8 = 0x02;
const ACK: u8 = 0x06;
/// The frame at which it misbehaves: not the first, so that something is under way.
const AT_FRAME: usize = 2;

pub(super) async fn play(
    settings: &AstmSettings,
    place: &mut Place,
    jobs: Vec<Job>,
    manner: &Manner,
    tell: &mut dyn FnMut(Told),
) -> anyhow::Result<Outcome> {
    let link = link_of(settings, manner);
    let mut player = Player {
        line: Line::new(&link, Instant::now()),
        link,
        settings,
        wire: place.open().await?,
        jobs: jobs.into(),
        under_way: None,
        fault: manner.fault,
        frames: 0,
        last: Vec::new(),
        swallow: 0,
        due: Instant::now(),
        outcome: Outcome::default(),
        manner,
        place,
        tell,
    };
    player.run().await?;
    Ok(player.outcome)
}

/// As the pack has it, in the instrument's role and with the patience of who waits in front of it.
fn link_of(settings: &AstmSettings, manner: &Manner) -> LinkSettings {
    let patience = u64::try_from(manner.patience.as_millis()).unwrap_or(15_000);
    LinkSettings {
        role: Role::Instrument,
        reply_timeout_ms: patience.clamp(100, 600_000),
        busy_hold_ms: 1_000,
        attempts: 5,
        ..settings.link.clone()
    }
}

struct Player<'p> {
    link: LinkSettings,
    settings: &'p AstmSettings,
    wire: Box<dyn Wire>,
    line: Line,
    jobs: VecDeque<Job>,
    under_way: Option<Running>,
    fault: Option<Fault>,
    /// Sent in this session.
    frames: usize,
    /// The newest frame.
    last: Vec<u8>,
    /// Acknowledgements to pass over, of frames that were sent twice.
    swallow: usize,
    /// The next message is not sent before.
    due: Instant,
    outcome: Outcome,
    manner: &'p Manner,
    place: &'p mut Place,
    tell: &'p mut dyn FnMut(Told),
}

struct Running {
    id: u64,
    job: Job,
    /// Sent; of a query, until when the answer may come.
    answer_until: Option<Instant>,
}

impl Player<'_> {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut id = 0;
        let mut buffer = vec![0; 4096];
        let mut stay_until: Option<Instant> = None;
        loop {
            self.carry_out().await?;
            let now = Instant::now();
            self.no_answer(now);
            if self.under_way.is_none() && self.line.is_idle() && now >= self.due {
                match self.jobs.pop_front() {
                    Some(job) => {
                        id += 1;
                        self.frames = 0;
                        let records = job
                            .lines
                            .iter()
                            .map(|line| line.clone().into_bytes())
                            .collect();
                        self.line.send(now, Outgoing::new(id, records));
                        self.under_way = Some(Running {
                            id,
                            job,
                            answer_until: None,
                        });
                        continue;
                    }
                    None => {
                        let until = *stay_until.get_or_insert(now + self.manner.stay);
                        if now >= until {
                            return Ok(());
                        }
                    }
                }
            }
            let waits = [
                self.line.deadline(),
                self.under_way
                    .as_ref()
                    .and_then(|running| running.answer_until),
                (self.under_way.is_none() && !self.jobs.is_empty()).then_some(self.due),
                stay_until,
            ];
            let wake = waits
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(now + Duration::from_secs(1));
            tokio::select! {
                read = self.wire.read(&mut buffer) => {
                    let count = read.context("the line failed")?;
                    if count == 0 {
                        if self.under_way.is_none() && self.jobs.is_empty() {
                            return Ok(());
                        }
                        (self.tell)(Told::odd("the hub closed the line; connecting again"));
                        self.reopen().await?;
                    } else {
                        self.heard(&buffer[..count]);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => self.line.tick(Instant::now()),
            }
        }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        for byte in bytes {
            if *byte == ACK && self.swallow > 0 {
                self.swallow -= 1;
                (self.tell)(Told::odd("and acknowledged again"));
            } else {
                self.line.push(now, &[*byte]);
            }
        }
    }

    async fn carry_out(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.line.next_output() {
            match output {
                Output::Write(bytes) => self.write(&bytes).await?,
                Output::Store(unit) => {
                    self.line
                        .settle(Instant::now(), unit.ticket, unit.quarantine.is_none());
                    if unit.quarantine.is_none() {
                        self.received(&unit.bytes);
                    }
                }
                Output::Sent { id, fate } => self.sent(id, fate),
                Output::Note(note) => {
                    if !matches!(note, Note::Noise) {
                        (self.tell)(Told::odd(format!("on the line: {}", note.as_str())));
                    }
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let is_frame = bytes.first() == Some(&STX);
        if is_frame && self.last == bytes {
            (self.tell)(Told::odd("the hub wants this frame again"));
        } else if is_frame {
            self.frames += 1;
            self.last = bytes.to_vec();
        }
        let here = is_frame && self.frames == AT_FRAME;
        let Some(fault) = self.fault.filter(|_| here) else {
            return self.put(bytes).await;
        };
        self.fault = None;
        (self.tell)(Told::odd(format!("frame {}: {fault}", self.frames)));
        let half = &bytes[..bytes.len() / 2];
        match fault {
            Fault::Checksum => {
                let mut wrong = bytes.to_vec();
                // ETX or ETB, two digits, CR LF
                let at = wrong.len().saturating_sub(4);
                if let Some(digit) = wrong.get_mut(at) {
                    *digit = if *digit == b'0' { b'1' } else { b'0' };
                }
                self.put(&wrong).await
            }
            Fault::Repeat => {
                self.swallow += 1;
                self.put(bytes).await?;
                self.put(bytes).await
            }
            Fault::Drop => {
                self.put(half).await?;
                self.reopen().await
            }
            Fault::Silence => {
                self.put(half).await?;
                self.listen_only(self.manner.silence).await;
                self.begin_again();
                Ok(())
            }
        }
    }

    async fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.wire
            .write_all(bytes)
            .await
            .context("the line failed")?;
        self.wire.flush().await.context("the line failed")
    }

    /// Says nothing; what the hub says meanwhile is told.
    async fn listen_only(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        let mut buffer = [0; 256];
        while let Ok(Ok(count)) = tokio::time::timeout_at(until, self.wire.read(&mut buffer)).await
        {
            if count == 0 {
                return;
            }
            (self.tell)(Told::odd(format!(
                "meanwhile the hub says {:02X?}",
                &buffer[..count]
            )));
        }
    }

    async fn reopen(&mut self) -> anyhow::Result<()> {
        // closed before it is opened anew: a pseudo terminal must be seen to vanish
        self.wire = Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink()));
        self.wire = self.place.open().await?;
        self.begin_again();
        Ok(())
    }

    /// What was not sent is sent whole, on a line that remembers nothing.
    fn begin_again(&mut self) {
        let now = Instant::now();
        let mut unsent = self.line.take_unsent();
        self.line.lost(now);
        unsent.extend(self.line.take_unsent());
        self.line = Line::new(&self.link, now);
        self.swallow = 0;
        self.frames = 0;
        self.last.clear();
        for message in unsent {
            self.line.send(now, message);
        }
    }

    fn sent(&mut self, id: u64, fate: Fate) {
        let Some(running) = self.under_way.as_mut().filter(|running| running.id == id) else {
            return;
        };
        let accepted = fate == Fate::Delivered;
        let answer = if accepted {
            format!(
                "every frame acknowledged ({} frames)",
                running.job.lines.len()
            )
        } else {
            "NOT TAKEN, given up".to_owned()
        };
        (self.tell)(Told::Sent {
            play: running.job.play.as_str(),
            specimen: running.job.specimen.clone(),
            answer,
            accepted,
        });
        if accepted {
            self.outcome.accepted += 1;
        } else {
            self.outcome.refused += 1;
        }
        if accepted && running.job.play == Play::Query {
            running.answer_until = Some(Instant::now() + self.manner.patience);
        } else {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.under_way = None;
        self.due = Instant::now() + self.manner.pause;
    }

    fn no_answer(&mut self, now: Instant) {
        let Some(running) = &self.under_way else {
            return;
        };
        if running.answer_until.is_some_and(|until| until <= now) {
            (self.tell)(Told::Unanswered {
                specimen: running.job.specimen.clone(),
            });
            self.outcome.unanswered += 1;
            self.finish();
        }
    }

    /// A message of the hub's: an answer, or work that nobody asked for.
    fn received(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(&join(bytes).text).into_owned();
        let lines: Vec<String> = text
            .split('\r')
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        (self.tell)(Told::Received {
            lines,
            answer: "ACK".to_owned(),
        });
        self.outcome.received += 1;
        let is_answer = self
            .under_way
            .as_ref()
            .is_some_and(|running| running.answer_until.is_some());
        if !is_answer {
            return;
        }
        let done = self.under_way.take();
        self.finish();
        let Some(job) = done.map(|running| running.job) else {
            return;
        };
        if let Some(results) = job.results() {
            let wanted = Wanted::of_records(self.settings, &text);
            match chosen::records(&results, &wanted, |line| self.code_of(line)) {
                Some(lines) => self.jobs.push_front(job.reporting(lines)),
                None => (self.tell)(Told::odd(wanted.why_none())),
            }
        }
    }

    /// The code of an R record of our own sample.
    fn code_of(&self, line: &str) -> Option<String> {
        let field = line.split('|').nth(2)?;
        let components: Vec<&str> = field.split('^').collect();
        self.settings
            .dialect
            .test_code
            .iter()
            .filter_map(|path| components.get(path.component?.checked_sub(1)?))
            .find(|code| !code.is_empty())
            .map(|code| wanted::plain(self.settings, code).to_owned())
    }
}
