//! Plays a file as its instrument would: framing added where the capture lost it, every answer awaited. By the written
//! protocols, not by our adapters.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tests::{Astm, SerialDevice, astm_frame, frame, parse_answers, unique};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than the hub's own time for a durable write (3 s).
const ANSWER: Duration = Duration::from_secs(8);
/// The hub's own time for an answer, and a little.
const NO_ANSWER: Duration = Duration::from_secs(4);
/// LIS01-A2 §6.2.7.1: after contention the instrument waits a second and bids again.
const CONTENTION: Duration = Duration::from_secs(1);
/// Text of a frame by E1381 §6.3.1.1.
const FRAME_TEXT: usize = 240;

/// A cable that is plugged in.
pub(super) enum Line {
    Tcp(TcpStream),
    Serial(SerialDevice),
}

impl Line {
    pub(super) async fn tcp(address: SocketAddr) -> Self {
        Self::Tcp(TcpStream::connect(address).await.unwrap())
    }

    pub(super) fn serial(port: &Path) -> Self {
        Self::Serial(SerialDevice::plug_in(port))
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await.unwrap(),
            Self::Serial(device) => device.write(bytes).await,
        }
    }

    /// The next byte; `None` when there is none in time.
    pub(super) async fn hear(&mut self, deadline: Duration) -> Option<u8> {
        let byte = async {
            match self {
                Self::Tcp(stream) => stream.read_u8().await.ok(),
                Self::Serial(device) => device.read_exact(1).await.first().copied(),
            }
        };
        tokio::time::timeout(deadline, byte).await.ok().flatten()
    }

    async fn answer(&mut self) -> u8 {
        self.hear(ANSWER).await.expect("an answer in time")
    }
}

/// What the hub said while a file was played.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// One word an answer: `ACK`, `NAK`, `AA`, `AR` … or the type of an answer that is no acknowledgement.
    pub(super) answers: Vec<String>,
    /// What the hub told by itself, after a query.
    pub(super) told: Option<Told>,
}

/// Orders for an instrument that asked.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) orders: usize,
    /// How the message ends, or what it is.
    pub(super) end: String,
}

/// One session, or one block.
pub(super) async fn astm(line: &mut Line, bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    let units = units(bytes);
    bid(line, &mut heard).await;
    for unit in &units {
        line.write(unit).await;
        let answer = line.answer().await;
        heard.answers.push(word(answer));
    }
    line.write(&[Astm::EOT]).await;
    heard
}

/// ENQ until the line is ours.
async fn bid(line: &mut Line, heard: &mut Heard) {
    loop {
        line.write(&[Astm::ENQ]).await;
        match line.answer().await {
            Astm::ACK => return,
            // the hub had begun to bid; it yields, and we bid again
            Astm::ENQ => tokio::time::sleep(CONTENTION).await,
            other => heard.answers.push(format!("{} to ENQ", word(other))),
        }
    }
}

/// Takes what the hub has to tell, if it bids in time.
pub(super) async fn listen(line: &mut Line, heard: &mut Heard, within: Duration) {
    if line.hear(within).await != Some(Astm::ENQ) {
        return;
    }
    line.write(&[Astm::ACK]).await;
    let (mut records, mut frame) = (Vec::<String>::new(), Vec::new());
    loop {
        let byte = line.answer().await;
        if byte == Astm::EOT {
            break;
        }
        frame.push(byte);
        if byte == b'\n' {
            let text = String::from_utf8_lossy(&frame);
            let record = text.split('\r').next().unwrap_or_default();
            records.push(record.chars().skip(2).collect());
            frame.clear();
            line.write(&[Astm::ACK]).await;
        }
    }
    let is_order = |record: &&String| record.starts_with("O|");
    heard.told = Some(Told {
        orders: records.iter().filter(is_order).count(),
        end: records.pop().unwrap_or_default(),
    });
}

/// A block, or text without handshake. Nothing more is sent on the line, so its end is the end of what was sent.
pub(super) async fn once(line: &mut Line, bytes: &[u8], answered: bool) -> Heard {
    let mut heard = Heard::default();
    line.write(bytes).await;
    if answered {
        heard.answers.push(word(line.answer().await));
    }
    heard
}

/// One message.
pub(super) async fn hl7(line: &mut Line, message: &[u8]) -> Heard {
    let mut heard = Heard::default();
    line.write(&frame(message)).await;
    let Some(answer) = acknowledgement(line).await else {
        heard.answers.push("no answer".to_owned());
        return heard;
    };
    let (mut answers, _) = parse_answers(&answer);
    let one = answers.remove(0);
    let kind = short(&one.field("MSH", 9));
    // IHE LAW: the orders follow the answer to a query, and are acknowledged (LAB-28)
    if kind == "RSP^K11" {
        let orders = acknowledgement(line).await.expect("the orders follow");
        heard.told = Some(take_orders(line, &orders).await);
    }
    heard
        .answers
        .push(if kind.starts_with("ACK") || kind.is_empty() {
            one.code
        } else {
            format!("{kind} {}", one.code)
        });
    heard
}

/// An OML^O33: answered with ORL^O34.
async fn take_orders(line: &mut Line, bytes: &[u8]) -> Told {
    let (mut messages, _) = parse_answers(bytes);
    let oml = messages.remove(0);
    let answer = format!(
        "MSH|^~\\&|ANALYZER||HUB||20260301101500||ORL^O34^ORL_O42|{}|P|2.5.1||||||UNICODE UTF-8|||LAB-28^IHE\rMSA|AA|{}\r",
        unique("ORL"),
        oml.field("MSH", 10)
    );
    line.write(&frame(answer.as_bytes())).await;
    let text = String::from_utf8_lossy(bytes);
    Told {
        orders: text.matches("\rOBR|").count(),
        end: format!(
            "{}, ORC-1 {}",
            short(&oml.field("MSH", 9)),
            oml.field("ORC", 1)
        ),
    }
}

/// Message and trigger of MSH-9.
fn short(kind: &str) -> String {
    let parts: Vec<&str> = kind.split('^').take(2).collect();
    parts.join("^")
}

/// The next frame; `None` where none is due: an answer to an order is not answered itself.
async fn acknowledgement(line: &mut Line) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x1c\r") {
        answer.push(line.hear(NO_ANSWER).await?);
    }
    Some(answer)
}

fn word(byte: u8) -> String {
    match byte {
        Astm::ACK => "ACK".to_owned(),
        Astm::NAK => "NAK".to_owned(),
        Astm::EOT => "EOT".to_owned(),
        other => format!("0x{other:02X}"),
    }
}

/// What is sent between two answers: the frames of a capture, else each record in frames of its own.
fn units(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.contains(&2) {
        return frames(bytes);
    }
    let mut units = Vec::new();
    for record in records(bytes) {
        let pieces: Vec<&[u8]> = record.chunks(FRAME_TEXT - 1).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let last = at + 1 == pieces.len();
            units.push(framed(units.len() + 1, piece, last));
        }
    }
    units
}

/// STX to checksum, with the line end that follows; what stands between frames was never part of one.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|byte| *byte == 2) {
        rest = &rest[start..];
        let ends = rest.iter().position(|byte| matches!(byte, 3 | 0x17));
        let Some(end) = ends else { break };
        let tail = (end + 3).min(rest.len());
        let filler = rest[tail..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let whole = tail + filler.count();
        frames.push(rest[..whole].to_vec());
        rest = &rest[whole..];
    }
    frames
}

/// Lines of a file without frames. Remarks of its author and empty lines are no records; the frame numbers that one
/// transcript kept (`1H|`, `2P|`) belong to frames.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
    let lines = lines.filter(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
    lines
        .map(|line| match line {
            [b'0'..=b'7', letter, b'|', ..] if letter.is_ascii_uppercase() => line[1..].to_vec(),
            _ => line.to_vec(),
        })
        .collect()
}

fn framed(number: usize, text: &[u8], last: bool) -> Vec<u8> {
    let mut summed = format!("{}", number % 8).into_bytes();
    summed.extend_from_slice(text);
    summed.extend_from_slice(if last { b"\r\x03" } else { b"\x17" });
    let sum: u32 = summed.iter().map(|byte| u32::from(*byte)).sum();
    [
        &[2][..],
        &summed,
        format!("{:02X}\r\n", sum % 256).as_bytes(),
    ]
    .concat()
}

/// Messages of a file; a batch is one. Framing bytes that a capture kept are taken off.
pub(super) fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let content: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, 0x0b | 0x1c))
        .collect();
    if content.starts_with(b"FHS") || content.starts_with(b"BHS") {
        return vec![content];
    }
    let starts: Vec<usize> = content
        .windows(4)
        .enumerate()
        .filter(|(at, four)| {
            *four == b"MSH|"
                && at
                    .checked_sub(1)
                    .is_none_or(|n| matches!(content[n], b'\r' | b'\n'))
        })
        .map(|(at, _)| at)
        .collect();
    if starts.len() < 2 {
        return vec![content];
    }
    let ends = starts.iter().skip(1).copied().chain([content.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| content[*start..end].to_vec())
        .collect()
}

/// A message that changes nothing and is found by its number: when it is in the ledger, all that came before it is.
pub(super) async fn marker_astm(line: &mut Line, id: &str) {
    let mut heard = Heard::default();
    bid(line, &mut heard).await;
    for (n, record) in [format!("H|\\^&|{id}||MARKER"), "L|1|N".to_owned()]
        .iter()
        .enumerate()
    {
        line.write(&astm_frame(n + 1, record)).await;
        assert_eq!(line.answer().await, Astm::ACK);
    }
    line.write(&[Astm::EOT]).await;
}

/// The same of HL7.
pub(super) async fn marker_hl7(line: &mut Line, id: &str) {
    let message = format!("MSH|^~\\&|MARKER||HUB||20260301101500||ZZZ^Z99|{id}|P|2.5.1\r");
    hl7(line, message.as_bytes()).await;
}
