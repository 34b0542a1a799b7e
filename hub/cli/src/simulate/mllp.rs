//! A device that speaks HL7 over MLLP. What it asks is a message like any other: whatever comes back that is no
//! acknowledgement is the answer, and is acknowledged. So one player serves QBP, QRY and ORM queries and downloads.

use std::time::{Duration, Instant};

use adapter_hl7v2::ack::ReceivedAck;
use adapter_hl7v2::frame::{self, FrameEvent, FrameReader, FrameSettings};
use adapter_hl7v2::header::Header;
use anyhow::Context as _;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::job::{Job, Play, Told};
use super::wire::{Place, Wire};
use super::{Fault, Manner, Outcome};

/// After the first message of an answer another may follow (LAW: RSP, then OML).
const MORE: Duration = Duration::from_secs(3);

pub(super) async fn play(
    place: &mut Place,
    jobs: Vec<Job>,
    manner: &Manner,
    tell: &mut dyn FnMut(Told),
) -> anyhow::Result<Outcome> {
    let wire = place.open().await?;
    let mut player = Player {
        wire,
        reader: FrameReader::new(FrameSettings::default()),
        fault: manner.fault,
        manner,
        place,
        outcome: Outcome::default(),
        tell,
    };
    let count = jobs.len();
    for (n, job) in jobs.into_iter().enumerate() {
        player.message(&job).await?;
        if n + 1 < count {
            player.listen(manner.pause).await?;
        }
    }
    if !manner.stay.is_zero() {
        player.listen(manner.stay).await?;
    }
    Ok(player.outcome)
}

struct Player<'p> {
    wire: Box<dyn Wire>,
    reader: FrameReader,
    fault: Option<Fault>,
    manner: &'p Manner,
    place: &'p mut Place,
    outcome: Outcome,
    tell: &'p mut dyn FnMut(Told),
}

impl Player<'_> {
    async fn message(&mut self, job: &Job) -> anyhow::Result<()> {
        let content = format!("{}\r", job.lines.join("\r")).into_bytes();
        let framed = frame::encode(&content);
        let times = self.misbehave(&framed).await?;
        for _ in 0..times {
            self.put(&framed).await?;
        }
        for _ in 0..times {
            self.acknowledged(job, &content).await?;
        }
        if job.play == Play::Query {
            let before = self.outcome.received;
            let until = Instant::now() + self.manner.patience;
            while self.outcome.received == before && Instant::now() < until {
                self.listen(Duration::from_millis(100)).await?;
            }
            if self.outcome.received == before {
                self.outcome.unanswered += 1;
                (self.tell)(Told::Unanswered {
                    specimen: job.specimen.clone(),
                });
            } else {
                self.listen(MORE).await?;
            }
        }
        Ok(())
    }

    /// How often the message is then sent whole.
    async fn misbehave(&mut self, framed: &[u8]) -> anyhow::Result<usize> {
        let Some(fault) = self.fault.take() else {
            return Ok(1);
        };
        (self.tell)(Told::odd(format!("message: {fault}")));
        let half = &framed[..framed.len() / 2];
        match fault {
            Fault::Checksum => {
                (self.tell)(Told::odd(
                    "MLLP has no checksum; the message is sent as it is",
                ));
                Ok(1)
            }
            Fault::Repeat => Ok(2),
            Fault::Drop => {
                self.put(half).await?;
                self.wire = Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink()));
                self.wire = self.place.open().await?;
                self.reader = FrameReader::new(FrameSettings::default());
                Ok(1)
            }
            Fault::Silence => {
                self.put(half).await?;
                self.listen(self.manner.silence).await?;
                Ok(1)
            }
        }
    }

    /// Waits for the acknowledgement of `content`; whatever else comes is taken.
    async fn acknowledged(&mut self, job: &Job, content: &[u8]) -> anyhow::Result<()> {
        let wanted = Header::read(content)
            .map(|h| h.control_id().to_vec())
            .unwrap_or_default();
        let until = Instant::now() + self.manner.patience;
        let (answer, accepted) = loop {
            let Some(bytes) = self.next(until).await? else {
                break ("NO ANSWER".to_owned(), false);
            };
            match ReceivedAck::read(&bytes) {
                Ok(ack) if ack.control_id.is_empty() || ack.control_id == wanted => {
                    let accepted = ack.code.is_accept();
                    let text = ack.text.unwrap_or_default();
                    self.also_answer(&bytes);
                    break (
                        format!("{} {text}", ack.code.as_str())
                            .trim_end()
                            .to_owned(),
                        accepted,
                    );
                }
                Ok(_) => {}
                Err(_) => self.take(&bytes).await?,
            }
        };
        if accepted {
            self.outcome.accepted += 1;
        } else {
            self.outcome.refused += 1;
        }
        (self.tell)(Told::Sent {
            play: job.play.as_str(),
            specimen: job.specimen.clone(),
            answer,
            accepted,
        });
        Ok(())
    }

    /// An acknowledgement that carries data (RSP, ORR, QCK) is an answer as well.
    fn also_answer(&mut self, bytes: &Bytes) {
        if Header::read(bytes).is_ok_and(|header| header.code() == b"ACK") {
            return;
        }
        self.outcome.received += 1;
        (self.tell)(Told::Received {
            lines: lines(bytes),
            answer: "nothing, it is an answer".to_owned(),
        });
    }

    /// A message of the hub's own.
    async fn take(&mut self, bytes: &Bytes) -> anyhow::Result<()> {
        let Ok(header) = Header::read(bytes) else {
            (self.tell)(Told::odd("the hub sends something that is no message"));
            return Ok(());
        };
        if header.code() == b"ACK" {
            return Ok(());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ack = format!(
            "MSH|^~\\&|SIM||{}||{}||ACK^{}|{}|P|{}\rMSA|AA|{}\r",
            text(header.sending_application()),
            text(header.time()),
            text(header.trigger()),
            text(header.control_id()),
            text(header.version()),
            text(header.control_id()),
        );
        self.outcome.received += 1;
        (self.tell)(Told::Received {
            lines: lines(bytes),
            answer: "AA".to_owned(),
        });
        self.put(&frame::encode(ack.as_bytes())).await
    }

    /// Takes what comes for so long.
    async fn listen(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while let Some(bytes) = self.next(until).await? {
            match ReceivedAck::read(&bytes) {
                Ok(_) => self.also_answer(&bytes),
                Err(_) => self.take(&bytes).await?,
            }
        }
        Ok(())
    }

    /// The next message; `None` when the time is over.
    async fn next(&mut self, until: Instant) -> anyhow::Result<Option<Bytes>> {
        let mut buffer = [0; 4096];
        loop {
            while let Some(event) = self.reader.next(Instant::now()) {
                if let FrameEvent::Message { bytes, .. } = event {
                    return Ok(Some(bytes));
                }
            }
            match tokio::time::timeout_at(until.into(), self.wire.read(&mut buffer)).await {
                Err(_) => return Ok(None),
                Ok(read) => {
                    let count = read.context("the line failed")?;
                    anyhow::ensure!(count > 0, "the hub closed the line");
                    self.reader.push(&buffer[..count]);
                }
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
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .split('\r')
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}
