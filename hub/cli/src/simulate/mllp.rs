//! A device that speaks HL7 over MLLP. What it asks is a message like any other; what belongs to the answer is told by its kind:
//! RSP and then OML (IHE LAW), QCK and then DSR (Mindray chemistry), ORR (Mindray haematology). So one player serves all three.

use std::time::{Duration, Instant};

use adapter_hl7v2::Message;
use adapter_hl7v2::ack::{AckCode, ReceivedAck};
use adapter_hl7v2::frame::{self, FrameEvent, FrameReader, FrameSettings};
use adapter_hl7v2::header::Header;
use anyhow::Context as _;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::chosen;
use super::job::{Job, Play, Told};
use super::wanted::{self, Wanted};
use super::wire::{Place, Wire};
use super::{Fault, Manner, Outcome};

/// Where an answer does not say which message is its last, none came for so long.
const QUIET: Duration = Duration::from_secs(1);

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
        heard: Vec::new(),
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
    /// Messages of the hub's, plain acknowledgements apart, since the newest of ours.
    heard: Vec<Bytes>,
    outcome: Outcome,
    tell: &'p mut dyn FnMut(Told),
}

impl Player<'_> {
    async fn message(&mut self, job: &Job) -> anyhow::Result<()> {
        let accepted = self.send(job).await?;
        if job.play == Play::Query && accepted {
            self.answered(job).await?;
        }
        Ok(())
    }

    /// Sends a message; whether the hub took it.
    async fn send(&mut self, job: &Job) -> anyhow::Result<bool> {
        self.heard.clear();
        let content = format!("{}\r", job.lines.join("\r")).into_bytes();
        let framed = frame::encode(&content);
        let times = self.misbehave(&framed).await?;
        for _ in 0..times {
            self.put(&framed).await?;
        }
        let mut accepted = true;
        for _ in 0..times {
            accepted &= self.acknowledged(job, &content).await?;
        }
        Ok(accepted)
    }

    /// Waits for the whole answer to a query, and sends the results of what it orders where they are wanted.
    async fn answered(&mut self, job: &Job) -> anyhow::Result<()> {
        let patient = Instant::now() + self.manner.patience;
        let came = loop {
            let until = match Answer::of(&self.heard) {
                Answer::Whole => break true,
                Answer::MayGoOn => patient.min(Instant::now() + QUIET),
                Answer::Lacks => patient,
            };
            if !self.one(until).await? {
                break Answer::of(&self.heard) != Answer::Lacks;
            }
        };
        if !came {
            (self.tell)(Told::odd(if self.heard.is_empty() {
                "it was taken like any message: has the hub's channel [channel.settings.orders] in this instrument's dialect?"
            } else {
                "what the answer promises does not follow"
            }));
            self.outcome.unanswered += 1;
            (self.tell)(Told::Unanswered {
                specimen: job.specimen.clone(),
            });
            return Ok(());
        }
        let Some(results) = job.results() else {
            return Ok(());
        };
        let wanted = Wanted::of_messages(&self.heard);
        match chosen::segments(&results, &wanted) {
            Some(lines) => {
                self.send(&job.reporting(lines)).await?;
            }
            None => (self.tell)(Told::odd(wanted.why_none())),
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

    /// Waits for the acknowledgement of `content`; whatever else comes is taken. Whether it is accepted.
    async fn acknowledged(&mut self, job: &Job, content: &[u8]) -> anyhow::Result<bool> {
        let wanted = Header::read(content)
            .map(|h| h.control_id().to_vec())
            .unwrap_or_default();
        let until = Instant::now() + self.manner.patience;
        let (answer, accepted) = loop {
            let Some(bytes) = self.next(until).await? else {
                break ("NO ANSWER".to_owned(), false);
            };
            match reply(&bytes) {
                Some(ack) if ack.control_id.is_empty() || ack.control_id == wanted => {
                    let nothing_to_do = ack.code == AckCode::AR && kind(&bytes) == "ORR";
                    let accepted = ack.code.is_accept() || nothing_to_do;
                    let text = match ack.text {
                        None if nothing_to_do => "nothing to do for it".to_owned(),
                        text => text.unwrap_or_default(),
                    };
                    self.also_answer(&bytes);
                    break (
                        format!("{} {text}", ack.code.as_str())
                            .trim_end()
                            .to_owned(),
                        accepted,
                    );
                }
                Some(_) => {}
                None => self.take(&bytes).await?,
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
        Ok(accepted)
    }

    /// An acknowledgement that carries data (RSP, ORR, QCK) is an answer as well.
    fn also_answer(&mut self, bytes: &Bytes) {
        if kind(bytes) == "ACK" {
            return;
        }
        self.heard.push(bytes.clone());
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
        self.heard.push(bytes.clone());
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
        while self.one(until).await? {}
        Ok(())
    }

    /// Takes one message; false when none came in time.
    async fn one(&mut self, until: Instant) -> anyhow::Result<bool> {
        let Some(bytes) = self.next(until).await? else {
            return Ok(false);
        };
        match reply(&bytes) {
            Some(_) => self.also_answer(&bytes),
            None => self.take(&bytes).await?,
        }
        Ok(true)
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

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// More must follow, or nothing came at all.
    Lacks,
    /// It may be whole: nothing says how many messages there are.
    MayGoOn,
    Whole,
}

impl Answer {
    fn of(heard: &[Bytes]) -> Self {
        let mut so_far = Self::Lacks;
        for bytes in heard {
            let Ok(message) = Message::parse(String::from_utf8_lossy(bytes).into_owned()) else {
                continue;
            };
            let says = |path: &str| {
                let value = message.path(path).map(|value| value.raw().trim());
                value.unwrap_or_default().to_owned()
            };
            so_far = match wanted::code(&message).as_str() {
                "ORR" => Self::Whole,
                // OK: the tests follow as DSR; NF, AE: that is all
                "QCK" if says("QAK-2") != "OK" => Self::Whole,
                // DSC-1 points to the next, if there is one
                "DSR" if says("DSC-1").is_empty() => Self::Whole,
                // the work, or that there is none, follows as OML
                "QCK" | "RSP" | "DSR" => so_far,
                _ if so_far == Self::Whole => so_far,
                _ => Self::MayGoOn,
            };
        }
        so_far
    }
}

/// An acknowledgement, with data or without. DSR has an MSA too and is a message of its own, which wants its ACK.
fn reply(bytes: &Bytes) -> Option<ReceivedAck> {
    ReceivedAck::read(bytes)
        .ok()
        .filter(|_| kind(bytes) != "DSR")
}

/// MSH-9.1.
fn kind(bytes: &[u8]) -> String {
    Header::read(bytes)
        .map(|header| String::from_utf8_lossy(header.code()).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(messages: &[&str]) -> Answer {
        let message = |rest: &&str| {
            let text = format!("MSH|^~\\&|HUB||A||20260101||{}", rest.replace('\n', "\r"));
            Bytes::from(text)
        };
        let messages: Vec<Bytes> = messages.iter().map(message).collect();
        Answer::of(&messages)
    }

    #[test]
    fn each_kind_of_answer_is_whole_when_all_of_it_came() {
        let rsp = "RSP^K11|1|P|2.5.1\nMSA|AA|1\nQAK||NF\n";
        let oml = "OML^O33|2|P|2.5.1\nSPM|1\nORC|DC\n";
        let found = "QCK^Q02|1|P|2.3.1\nMSA|AA|1\nQAK|SR|OK|\n";
        let more = "DSR^Q03|2|P|2.3.1\nMSA|AA|1\nDSC|1|\n";
        let last = "DSR^Q03|3|P|2.3.1\nMSA|AA|1\nDSC||\n";
        for (messages, expected) in [
            (vec![], Answer::Lacks),
            (vec![rsp], Answer::Lacks),
            (vec![rsp, oml], Answer::MayGoOn),
            (
                vec!["QCK^Q02|1|P|2.3.1\nMSA|AA|1\nQAK|SR|NF|\n"],
                Answer::Whole,
            ),
            (vec![found], Answer::Lacks),
            (vec![found, more], Answer::Lacks),
            (vec![found, more, last], Answer::Whole),
            (vec!["ORR^O02|1|P|2.3.1\nMSA|AR|1\n"], Answer::Whole),
        ] {
            assert_eq!(heard(&messages), expected, "{messages:?}");
        }
    }

    #[test]
    fn a_display_response_is_no_acknowledgement() {
        let of = |kind: &str| {
            let text = format!("MSH|^~\\&|HUB||A||20260101||{kind}|1|P|2.3.1\rMSA|AA|7\r");
            reply(&Bytes::from(text)).is_some()
        };
        assert!(of("ACK^R01") && of("QCK^Q02") && of("ORR^O02"));
        assert!(!of("DSR^Q03"));
    }
}
