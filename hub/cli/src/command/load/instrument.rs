//! An instrument that speaks ASTM, as cheap as the sender of HL7: it shares the machine with what it measures. By LIS01-A2, not
//! by our adapter.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::message::RESULTS;

const ENQ: u8 = 5;
const ACK: u8 = 6;
const EOT: u8 = 4;
/// Nobody waits longer for an answer (LIS01-A2 §6.5.2.2).
const PATIENCE: Duration = Duration::from_secs(15);
/// Characters that a serial port hands over at once: what its receiver collects.
const FIFO: usize = 16;

/// An instrument on its line.
pub(super) struct Instrument<L> {
    line: L,
    /// Time of one character; none: as fast as the line is.
    character: Option<Duration>,
}

impl<L: AsyncRead + AsyncWrite + Unpin> Instrument<L> {
    pub(super) fn new(line: L) -> Self {
        Self {
            line,
            character: None,
        }
    }

    /// Sends no faster than a serial line of so many bits a second (8N1: ten bits a character).
    pub(super) fn at(line: L, baud: u32) -> Self {
        let character = Some(Duration::from_secs(10) / baud);
        Self { line, character }
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(character) = self.character else {
            return Ok(self.line.write_all(bytes).await?);
        };
        let began = Instant::now();
        let mut sent = 0_u32;
        for piece in bytes.chunks(FIFO) {
            sent += u32::try_from(piece.len())?;
            tokio::time::sleep_until((began + character * sent).into()).await;
            self.line.write_all(piece).await?;
        }
        Ok(())
    }

    async fn hear(&mut self) -> anyhow::Result<u8> {
        let byte = tokio::time::timeout(PATIENCE, self.line.read_u8()).await;
        Ok(byte.context("no answer within 15 s")??)
    }

    /// Sends a message; the time from the end of each frame to its acknowledgement, the last of which means that it is stored.
    pub(super) async fn send(&mut self, records: &[String]) -> anyhow::Result<Vec<Duration>> {
        self.write(&[ENQ]).await?;
        ensure!(self.hear().await? == ACK, "the line is not given");
        let mut waits = Vec::with_capacity(records.len());
        for (n, record) in records.iter().enumerate() {
            let frame = frame(n + 1, record);
            self.write(&frame).await?;
            let sent = Instant::now();
            let answer = self.hear().await?;
            ensure!(answer == ACK, "frame {n} was answered {answer:#04x}");
            waits.push(sent.elapsed());
        }
        self.write(&[EOT]).await?;
        Ok(waits)
    }

    /// Asks for a tube; the records of the answer and the time until its last frame.
    pub(super) async fn ask(&mut self, tube: &str) -> anyhow::Result<(Vec<String>, Duration)> {
        let question = [
            "H|\\^&|||LOAD".to_owned(),
            format!("Q|1|^{tube}||ALL"),
            "L|1|N".to_owned(),
        ];
        self.send(&question).await?;
        let asked = Instant::now();
        ensure!(self.hear().await? == ENQ, "the answer begins with a bid");
        self.write(&[ACK]).await?;
        let (mut records, mut frame, mut waited) = (Vec::new(), Vec::new(), Duration::ZERO);
        loop {
            let byte = self.hear().await?;
            if byte == EOT {
                return Ok((records, waited));
            }
            frame.push(byte);
            if byte == b'\n' {
                waited = asked.elapsed();
                let text = String::from_utf8_lossy(&frame);
                let record = text.get(2..).unwrap_or_default().split('\r').next();
                records.push(record.unwrap_or_default().to_owned());
                frame.clear();
                self.write(&[ACK]).await?;
            }
            if frame.len() > 4096 {
                bail!("a frame of the answer has no end");
            }
        }
    }
}

/// `STX FN record CR ETX checksum CR LF`
fn frame(number: usize, record: &str) -> Vec<u8> {
    let summed = format!("{}{record}\r\u{3}", number % 8);
    let sum: u32 = summed.bytes().map(u32::from).sum();
    format!("\u{2}{summed}{:02X}\r\n", sum % 256).into_bytes()
}

/// A blood count of twelve results, about 0.9 KB on the wire.
pub(super) fn blood_count(id: &str, patient: &str) -> Vec<String> {
    let mut records = vec![
        format!("H|\\^&|{id}||XN-1000^LOAD|||||||P|LIS2-A2|20261121101500"),
        format!("P|1|{patient}"),
        format!("O|1|T{id}||^^^CBC|R||||||N||||||||||||||F"),
    ];
    for (n, (code, _, value, unit, range)) in RESULTS.iter().enumerate() {
        let mut record = format!("R|{}|^^^{code}|", n + 1);
        // writing to a String does not fail
        let _ = write!(record, "{value}|{unit}|{range}|N||F||||20261121101300");
        records.push(record);
    }
    records.push("L|1|N".to_owned());
    records
}
