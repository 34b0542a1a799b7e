//! Instruments whose message is one block and one acknowledgement: Beckman AU (`STX .. ETX`), Siemens Dimension (`STX .. checksum
//! ETX`, and a block that says whether a result was accepted), and lines without handshake (`SOH H..L EOT`, as a Radiometer ABL9
//! sends).

use adapter_astm::AstmSettings;
use adapter_astm::link::checksum;
use adapter_astm::settings::Mode;
use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::job::{Job, Play, Told};
use super::wanted::Wanted;
use super::wire::{Place, Wire};
use super::{Fault, Manner, Outcome, chosen};

const SOH: u8 = 0x01;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const EOT: u8 = 0x04;
const ACK: u8 = 0x06;

pub(super) async fn play(
    settings: &AstmSettings,
    place: &mut Place,
    jobs: Vec<Job>,
    manner: &Manner,
    tell: &mut dyn FnMut(Told),
) -> anyhow::Result<Outcome> {
    let wire = place.open().await?;
    let mut player = Player {
        settings,
        wire,
        place,
        manner,
        fault: manner.fault,
        outcome: Outcome::default(),
        tell,
    };
    for (n, job) in jobs.into_iter().enumerate() {
        if n > 0 {
            tokio::time::sleep(manner.pause).await;
        }
        let accepted = player.message(&job).await?;
        if job.play == Play::Query && accepted {
            player.answered(&job).await?;
        }
    }
    Ok(player.outcome)
}

struct Player<'p> {
    settings: &'p AstmSettings,
    wire: Box<dyn Wire>,
    place: &'p mut Place,
    manner: &'p Manner,
    fault: Option<Fault>,
    outcome: Outcome,
    tell: &'p mut dyn FnMut(Told),
}

/// What the hub said to a block.
struct Said {
    words: String,
    accepted: bool,
}

impl Player<'_> {
    /// Sends the blocks of a message; whether all were accepted.
    async fn message(&mut self, job: &Job) -> anyhow::Result<bool> {
        let mut all = true;
        for block in blocks(self.settings.link.mode, &job.lines) {
            if let Some(fault) = self.fault.take() {
                (self.tell)(Told::odd(format!("block: {fault}")));
                self.misbehave(fault, &block, job.play).await?;
            }
            let said = self.say(&block, job.play).await?;
            (self.tell)(Told::Sent {
                play: job.play.as_str(),
                specimen: job.specimen.clone(),
                answer: said.words,
                accepted: said.accepted,
            });
            if said.accepted {
                self.outcome.accepted += 1;
            } else {
                self.outcome.refused += 1;
            }
            all &= said.accepted;
        }
        Ok(all)
    }

    async fn misbehave(&mut self, fault: Fault, block: &[u8], play: Play) -> anyhow::Result<()> {
        let half = &block[..block.len() / 2];
        match fault {
            Fault::Checksum if self.settings.link.mode == Mode::Dimension => {
                let mut wrong = block.to_vec();
                if let Some(byte) = wrong.get_mut(1) {
                    *byte ^= 1;
                }
                self.put(&wrong).await?;
                self.hear().await;
            }
            Fault::Checksum => (self.tell)(Told::odd(
                "these lines have no checksum; the block is sent as it is",
            )),
            Fault::Repeat => {
                // all that the hub says to the first is heard, or it would be taken for its word on the second
                let said = self.say(block, play).await?;
                (self.tell)(Told::odd(format!("the first: {}", said.words)));
                if play == Play::Query && said.accepted {
                    self.take().await?;
                }
            }
            Fault::Drop => {
                self.put(half).await?;
                // closed before it is opened anew
                self.wire = Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink()));
                self.wire = self.place.open().await?;
            }
            Fault::Silence => {
                self.put(half).await?;
                tokio::time::sleep(self.manner.silence).await;
            }
        }
        Ok(())
    }

    /// Sends a block and hears what the hub says to it.
    async fn say(&mut self, block: &[u8], play: Play) -> anyhow::Result<Said> {
        self.put(block).await?;
        let verdict = self.settings.link.mode == Mode::Dimension && play != Play::Query;
        let (words, accepted) = match self.hear().await {
            // a result is accepted, or not, by a block of its own
            Some(ACK) if verdict => match self.take().await? {
                Some(text) if text.starts_with("M\u{1c}A") => ("accepted".to_owned(), true),
                Some(_) => ("NOT ACCEPTED".to_owned(), false),
                None => ("acknowledged, NOT ACCEPTED".to_owned(), false),
            },
            Some(ACK) => ("acknowledged".to_owned(), true),
            Some(other) => (format!("REFUSED ({other:02X})"), false),
            None => ("NO ANSWER".to_owned(), false),
        };
        Ok(Said { words, accepted })
    }

    /// The answer to a query, and the results of what it orders where they are wanted.
    async fn answered(&mut self, job: &Job) -> anyhow::Result<()> {
        let Some(text) = self.take().await? else {
            (self.tell)(Told::Unanswered {
                specimen: job.specimen.clone(),
            });
            self.outcome.unanswered += 1;
            return Ok(());
        };
        (self.tell)(Told::Received {
            lines: vec![text.clone()],
            answer: "ACK".to_owned(),
        });
        self.outcome.received += 1;
        let Some(results) = job.results() else {
            return Ok(());
        };
        let (wanted, chosen) = match self.settings.link.mode {
            Mode::Au => {
                let columns = &self.settings.dialect.au;
                let wanted = Wanted::of_au(columns, &text);
                let chosen = chosen::au(&results, &wanted, columns);
                (wanted, chosen)
            }
            _ => {
                let wanted = Wanted::of_dimension(&text);
                let chosen = chosen::dimension(&results, &wanted);
                (wanted, chosen)
            }
        };
        match chosen {
            Some(lines) => {
                self.message(&job.reporting(lines)).await?;
            }
            None => (self.tell)(Told::odd(wanted.why_none())),
        }
        Ok(())
    }

    /// A block of the hub's, acknowledged; `None` when none comes in time.
    async fn take(&mut self) -> anyhow::Result<Option<String>> {
        let mut text = Vec::new();
        loop {
            match self.hear().await {
                None => return Ok(None),
                Some(STX) => text.clear(),
                Some(ETX | EOT) => break,
                Some(byte) => text.push(byte),
            }
        }
        self.put(&[ACK]).await?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    async fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.wire
            .write_all(bytes)
            .await
            .context("the line failed")?;
        self.wire.flush().await.context("the line failed")
    }

    /// The next byte of the hub's.
    async fn hear(&mut self) -> Option<u8> {
        tokio::time::timeout(self.manner.patience, self.wire.read_u8())
            .await
            .ok()?
            .ok()
    }
}

/// On an AU each line is a block; without handshake the message is one.
fn blocks(mode: Mode, lines: &[String]) -> Vec<Vec<u8>> {
    let each =
        |frame: fn(&[u8]) -> Vec<u8>| lines.iter().map(|line| frame(line.as_bytes())).collect();
    if mode == Mode::Au {
        return each(|line| [&[STX], line, &[ETX]].concat());
    }
    if mode == Mode::Dimension {
        return each(|line| [&[STX], line, &checksum(line)[..], &[ETX]].concat());
    }
    let text: Vec<u8> = lines
        .iter()
        .flat_map(|line| [line.as_bytes(), b"\r"].concat())
        .collect();
    vec![[&[SOH], text.as_slice(), &[EOT]].concat()]
}
