//! Instruments whose message is one block and one acknowledgement: Beckman AU (`STX .. ETX`), Siemens Dimension (`STX .. checksum
//! ETX`, and a block that says whether a result was accepted), and lines without handshake (`SOH H..L EOT`, as a Radiometer ABL9
//! sends).

use std::time::Duration;

use adapter_astm::AstmSettings;
use adapter_astm::link::checksum;
use adapter_astm::settings::Mode;
use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::job::{Job, Play, Told};
use super::wire::{Place, Wire};
use super::{Fault, Manner, Outcome};

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
    let mut wire = place.open().await?;
    let mut outcome = Outcome::default();
    let mut fault = manner.fault;
    for (n, job) in jobs.into_iter().enumerate() {
        if n > 0 {
            tokio::time::sleep(manner.pause).await;
        }
        for block in blocks(settings.link.mode, &job.lines) {
            if let Some(fault) = fault.take() {
                tell(Told::odd(format!("block: {fault}")));
                let half = &block[..block.len() / 2];
                match fault {
                    Fault::Checksum if settings.link.mode == Mode::Dimension => {
                        let mut wrong = block.clone();
                        if let Some(byte) = wrong.get_mut(1) {
                            *byte ^= 1;
                        }
                        put(&mut *wire, &wrong).await?;
                        hear(&mut *wire, manner.patience).await;
                    }
                    Fault::Checksum => tell(Told::odd(
                        "these lines have no checksum; the block is sent as it is",
                    )),
                    Fault::Repeat => {
                        put(&mut *wire, &block).await?;
                        hear(&mut *wire, manner.patience).await;
                    }
                    Fault::Drop => {
                        put(&mut *wire, half).await?;
                        drop(wire);
                        wire = place.open().await?;
                    }
                    Fault::Silence => {
                        put(&mut *wire, half).await?;
                        tokio::time::sleep(manner.silence).await;
                    }
                }
            }
            put(&mut *wire, &block).await?;
            let verdict = settings.link.mode == Mode::Dimension && job.play != Play::Query;
            let (answer, accepted) = match hear(&mut *wire, manner.patience).await {
                // a result is accepted, or not, by a block of its own
                Some(ACK) if verdict => {
                    let said = answer(&mut *wire, manner.patience).await;
                    put(&mut *wire, &[ACK]).await?;
                    let accepted = said.is_some_and(|said| said.starts_with("M\u{1c}A"));
                    (
                        if accepted { "accepted" } else { "NOT ACCEPTED" }.to_owned(),
                        accepted,
                    )
                }
                Some(ACK) => ("acknowledged".to_owned(), true),
                Some(other) => (format!("REFUSED ({other:02X})"), false),
                None => ("NO ANSWER".to_owned(), false),
            };
            tell(Told::Sent {
                play: job.play.as_str(),
                specimen: job.specimen.clone(),
                answer,
                accepted,
            });
            if accepted {
                outcome.accepted += 1;
            } else {
                outcome.refused += 1;
            }
        }
        if job.play == Play::Query {
            match answer(&mut *wire, manner.patience).await {
                Some(text) => {
                    tell(Told::Received {
                        lines: vec![text],
                        answer: "ACK".to_owned(),
                    });
                    put(&mut *wire, &[ACK]).await?;
                    outcome.received += 1;
                }
                None => {
                    tell(Told::Unanswered {
                        specimen: job.specimen.clone(),
                    });
                    outcome.unanswered += 1;
                }
            }
        }
    }
    Ok(outcome)
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

async fn put(wire: &mut dyn Wire, bytes: &[u8]) -> anyhow::Result<()> {
    wire.write_all(bytes).await.context("the line failed")?;
    wire.flush().await.context("the line failed")
}

async fn hear(wire: &mut dyn Wire, patience: Duration) -> Option<u8> {
    tokio::time::timeout(patience, wire.read_u8())
        .await
        .ok()?
        .ok()
}

/// A block of the hub's.
async fn answer(wire: &mut dyn Wire, patience: Duration) -> Option<String> {
    let mut text = Vec::new();
    loop {
        match hear(wire, patience).await? {
            STX => text.clear(),
            ETX | EOT => return Some(String::from_utf8_lossy(&text).into_owned()),
            byte => text.push(byte),
        }
    }
}
