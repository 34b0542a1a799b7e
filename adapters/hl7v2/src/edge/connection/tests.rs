//! The loop of a connection on pseudo terminals and in memory, over a store that is a list. What the peer says and hears
//! is written by hand.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use adapter_link::{SerialLine, SerialSettings};
use hub_core::ingest::IngestError;
use hub_core::{Position, Stored};
use schemas::RawId;
use schemas::sending::{OrderSent, QueryAnswered};
use schemas::worklist::{WorklistAnswer, WorklistQuestion};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_serial::{SerialPort as _, SerialStream};
use uuid::Uuid;

use super::*;

mod cost;
mod orders;

const SOON: Duration = Duration::from_secs(10);
const ORU: &str = "MSH|^~\\&|LAB||HUB||1||ORU^R01|77|P|2.3\rPID|1\r";
/// The same as a block, and with one byte changed on the line.
const BLOCK: &[u8] = b"\x0bD23\rMSH|^~\\&|LAB||HUB||1||ORU^R01|77|P|2.3\rPID|1\r00050056\x1c\r";
const DAMAGED: &[u8] = b"\x0bD23\rMSH|^~\\&|LAB||HUB||1||ORU^R01|78|P|2.3\rPID|1\r00050056\x1c\r";

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("not in time")
}

#[derive(Default)]
struct Memory {
    kept: Mutex<Vec<Received>>,
    full: AtomicBool,
    /// Answers of the worklist, in their order; without one it is silent.
    worklist: Mutex<VecDeque<Result<WorklistAnswer, AskError>>>,
    questions: Mutex<Vec<WorklistQuestion>>,
    told: watch::Sender<Vec<OrderSent>>,
    answered: watch::Sender<Vec<QueryAnswered>>,
}

impl House for Memory {
    async fn store(&self, received: Received) -> Result<Stored, IngestError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(IngestError::Refused("full".to_owned()));
        }
        let mut kept = self.kept.lock().unwrap();
        kept.push(received);
        let seq = kept.len() as u64;
        Ok(Stored {
            id: RawId(Uuid::from_u128(u128::from(seq))),
            position: Position { seq, index: 0 },
        })
    }

    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        self.questions.lock().unwrap().push(question);
        let next = self.worklist.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn tell_first(&self, _aggregate: String, fact: OrderSent) -> Result<(), String> {
        self.told("", &fact);
        Ok(())
    }

    fn told(&self, _aggregate: &str, fact: &OrderSent) {
        self.told.send_modify(|all| all.push(fact.clone()));
    }

    fn answered(&self, fact: &QueryAnswered) {
        self.answered.send_modify(|all| all.push(fact.clone()));
    }
}

impl Memory {
    /// What is kept: the bytes, and why they are no message.
    fn all(&self) -> Vec<(String, Option<String>)> {
        let kept = self.kept.lock().unwrap();
        kept.iter()
            .map(|one| {
                let bytes = String::from_utf8_lossy(&one.bytes).into_owned();
                (bytes, one.quarantine.clone())
            })
            .collect()
    }

    async fn has(&self, count: usize) {
        soon(async {
            while self.kept.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A channel on a serial port, and the place where its device is plugged in.
struct Bench {
    folder: TempDir,
    store: Arc<Memory>,
    stop: CancellationToken,
    edge: JoinHandle<()>,
}

/// A device on its cable. Dropping it pulls the plug.
struct Device {
    line: SerialStream,
    _other: SerialStream,
    port: PathBuf,
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.port);
    }
}

impl Bench {
    fn new(change: impl FnOnce(&mut Hl7v2Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Hl7v2Settings::on_serial(SerialSettings {
            retry_first_ms: 10,
            retry_longest_ms: 50,
            ..SerialSettings::plain(folder.path().join("analyzer"))
        });
        change(&mut settings);
        assert_eq!(settings.validate(), []);
        let (store, stop) = (Arc::new(Memory::default()), CancellationToken::new());
        let edge = tokio::spawn({
            let (store, stop) = (Arc::clone(&store), stop.clone());
            let (book, channel) = (SendingBook::default(), ChannelId::new("test").unwrap());
            async move {
                let mut line = SerialLine::new(settings.serial.as_ref().unwrap(), "test").unwrap();
                while let Some(link) = line.open(&stop).await {
                    let connection = Connection {
                        settings: &settings,
                        store: &*store,
                        book: &book,
                        ways: Ways::Both,
                        channel: &channel,
                        peer: link.peer.to_string(),
                        serial: link.peer.is_serial(),
                    };
                    connection.serve(link.stream, &stop).await;
                }
            }
        });
        Self {
            folder,
            store,
            stop,
            edge,
        }
    }

    fn hybrid() -> Self {
        Self::new(|settings| settings.frame.kind = FrameKind::Hybrid)
    }

    fn plug_in(&self) -> Device {
        let (line, other) = SerialStream::pair().unwrap();
        let port = self.folder.path().join("analyzer");
        std::os::unix::fs::symlink(other.name().unwrap(), &port).unwrap();
        Device {
            line,
            _other: other,
            port,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        soon(self.edge).await.unwrap();
    }
}

impl Device {
    async fn send(&mut self, bytes: &[u8]) {
        soon(self.line.write_all(bytes)).await.unwrap();
    }

    /// The next frame, from its start to its end.
    async fn hears(&mut self) -> Vec<u8> {
        frame(&mut self.line).await
    }
}

async fn frame(line: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x1c\r") {
        bytes.push(soon(line.read_u8()).await.unwrap());
    }
    bytes
}

fn mllp(content: &str) -> Vec<u8> {
    [b"\x0b", content.as_bytes(), b"\x1c\r"].concat()
}

fn says(answer: &[u8], words: &str) -> bool {
    String::from_utf8_lossy(answer).contains(words)
}

fn because(reason: &str) -> Option<String> {
    Some(reason.to_owned())
}

#[tokio::test]
async fn a_message_on_a_serial_line_is_kept_and_answered_also_after_the_device_was_unplugged() {
    let bench = Bench::new(|_| {});
    for round in 1..=2 {
        let mut device = bench.plug_in();
        for piece in mllp(ORU).chunks(7) {
            device.send(piece).await;
        }
        let answer = device.hears().await;
        assert_eq!(answer[0], 0x0b);
        assert!(says(&answer, "MSA|AA|77"), "round {round}");
        assert_eq!(bench.store.all().last().unwrap(), &(ORU.to_owned(), None));
    }
    assert_eq!(
        bench.store.kept.lock().unwrap()[0].peer,
        Some(bench.folder.path().join("analyzer").display().to_string())
    );
    bench.end().await;
}

#[tokio::test]
async fn what_had_come_of_a_message_when_the_plug_was_pulled_is_kept_and_not_answered() {
    let bench = Bench::new(|_| {});
    let mut device = bench.plug_in();
    // in one piece, so that the answer to the first shows that the second was read too
    let half = b"\x0bMSH|^~\\&|HALF";
    device.send(&[&mllp(ORU), &half[..]].concat()).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    drop(device);
    bench.store.has(2).await;
    assert_eq!(
        bench.store.all(),
        [
            (ORU.to_owned(), None),
            ("MSH|^~\\&|HALF".to_owned(), because("eof"))
        ]
    );
    let mut device = bench.plug_in();
    device.send(&mllp(ORU)).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    bench.end().await;
}

#[tokio::test]
async fn a_message_that_stops_half_way_is_put_aside_after_the_inter_character_time() {
    let bench = Bench::new(|settings| {
        settings.serial.as_mut().unwrap().inter_character_ms = 100;
    });
    let mut device = bench.plug_in();
    device.send(b"\x0bMSH|^~\\&|HALF").await;
    bench.store.has(1).await;
    device.send(&mllp(ORU)).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    assert_eq!(
        bench.store.all(),
        [
            ("MSH|^~\\&|HALF".to_owned(), because("idle")),
            (ORU.to_owned(), None)
        ]
    );
    bench.end().await;
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_the_line_goes_on() {
    let bench = Bench::new(|settings| settings.frame.limit = 1024);
    let mut device = bench.plug_in();
    device
        .send(&mllp(&format!("{ORU}NTE|1||{}\r", "x".repeat(2000))))
        .await;
    assert!(says(&device.hears().await, "MSA|AR|77"));
    device.send(&mllp(ORU)).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    assert_eq!(bench.store.all()[0].1, because("oversize"));
    bench.end().await;
}

#[tokio::test]
async fn a_damaged_block_is_kept_and_asked_for_again_and_a_good_one_is_answered_in_a_block() {
    let bench = Bench::hybrid();
    let mut device = bench.plug_in();
    device.send(DAMAGED).await;
    assert_eq!(device.hears().await, b"\x0bN23\rX00006017\x1c\r");
    device.send(BLOCK).await;
    let answer = device.hears().await;
    assert!(answer.starts_with(b"\x0bD23\rMSH|^~\\&|HUB"));
    assert!(says(&answer, "\rMSA|AA|77\r"));
    let length = answer.len() - 10;
    let (counted, tail) = answer.split_at(length);
    let sum = counted.iter().fold(0, |sum, byte| sum ^ byte);
    assert_eq!(tail, format!("{length:05}{sum:03}\x1c\r").as_bytes());
    let kept = bench.store.all();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].1, because("block_checksum"));
    assert!(kept[0].0.starts_with("D23\rMSH|") && kept[0].0.ends_with("00050056"));
    assert_eq!(kept[1], (ORU.to_owned(), None));
    bench.end().await;
}

#[tokio::test]
async fn an_answer_that_the_device_could_not_read_is_sent_again_but_not_for_ever() {
    let bench = Bench::hybrid();
    let mut device = bench.plug_in();
    let refusal = b"\x0bN23\rX00006017\x1c\r";
    // before anything was said there is nothing to repeat
    device.send(refusal).await;
    device.send(BLOCK).await;
    let answer = device.hears().await;
    for _ in 0..5 {
        device.send(refusal).await;
        assert_eq!(device.hears().await, answer);
    }
    device.send(refusal).await;
    device.send(BLOCK).await;
    let next = device.hears().await;
    assert_ne!(
        next, answer,
        "the answer of the repeated message, not the old one"
    );
    assert!(says(&next, "MSA|AA|77"));
    device.send(refusal).await;
    assert_eq!(device.hears().await, next);
    assert_eq!(bench.store.all().len(), 2, "the message and its repeat");
    bench.end().await;
}

#[tokio::test]
async fn our_own_refusal_is_what_is_repeated_and_never_an_older_answer() {
    let bench = Bench::hybrid();
    let mut device = bench.plug_in();
    device.send(BLOCK).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    device.send(DAMAGED).await;
    let refusal = device.hears().await;
    device.send(b"\x0bN23\rC00006010\x1c\r").await;
    assert_eq!(device.hears().await, refusal);
    bench.end().await;
}

#[tokio::test]
async fn a_block_that_could_not_be_stored_gets_an_answer_that_lets_it_be_sent_again() {
    let bench = Bench::hybrid();
    bench.store.full.store(true, Ordering::Relaxed);
    let mut device = bench.plug_in();
    device.send(BLOCK).await;
    let answer = device.hears().await;
    assert!(answer.starts_with(b"\x0bD23\r") && says(&answer, "MSA|AE|77"));
    bench.store.full.store(false, Ordering::Relaxed);
    device.send(BLOCK).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    bench.end().await;
}

#[tokio::test]
async fn a_block_above_the_limit_is_refused_as_too_long_and_one_without_end_as_malformed() {
    let bench = Bench::new(|settings| {
        settings.frame.kind = FrameKind::Hybrid;
        settings.frame.limit = 1024;
        settings.serial.as_mut().unwrap().inter_character_ms = 100;
    });
    let mut device = bench.plug_in();
    let long = [b"\x0bD23\r", &[b'A'; 3000][..], b"03005999\x1c\r"].concat();
    device.send(&long).await;
    assert_eq!(device.hears().await, b"\x0bN23\rB00006011\x1c\r");
    device.send(&BLOCK[..20]).await;
    assert_eq!(device.hears().await, b"\x0bN23\rG00006014\x1c\r");
    device.send(BLOCK).await;
    assert!(says(&device.hears().await, "MSA|AA|77"));
    let reasons: Vec<_> = bench.store.all().into_iter().map(|kept| kept.1).collect();
    assert_eq!(
        reasons,
        [because("oversize"), because("block_malformed"), None]
    );
    bench.end().await;
}

/// A serial server (Moxa, Lantronix) hands on what it has buffered, in pieces of its own.
#[tokio::test]
async fn behind_a_serial_server_stale_bytes_are_skipped_and_split_frames_are_put_together() {
    let (server, hub): (DuplexStream, DuplexStream) = tokio::io::duplex(4096);
    let (store, stop) = (Memory::default(), CancellationToken::new());
    let settings = Hl7v2Settings::listening("127.0.0.1:0".parse().unwrap());
    let (book, channel) = (SendingBook::default(), ChannelId::new("test").unwrap());
    let connection = Connection {
        settings: &settings,
        store: &store,
        book: &book,
        ways: Ways::Both,
        channel: &channel,
        peer: "10.20.1.7:4001".to_owned(),
        serial: false,
    };
    let device = async {
        let mut server = server;
        // the end of a message that began before we were connected
        let stale = b"|98|mg/dL|||||F\r\x1c\r";
        let stream = [&stale[..], &mllp(ORU), &mllp(ORU)].concat();
        for piece in stream.chunks(3) {
            server.write_all(piece).await.unwrap();
        }
        for _ in 0..2 {
            assert!(says(&frame(&mut server).await, "MSA|AA|77"));
        }
        drop(server);
    };
    soon(async { tokio::join!(connection.serve(hub, &stop), device) }).await;
    assert_eq!(
        store.all(),
        [(ORU.to_owned(), None), (ORU.to_owned(), None)]
    );
    let notes = &store.kept.lock().unwrap()[0].notes;
    assert!(notes[0].contains("were skipped"), "{notes:?}");
}
