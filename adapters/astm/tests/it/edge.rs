//! The edge over real sockets, with a hub that is slow, refuses, or knows orders.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_astm::edge::{Device, House, attend};
use adapter_astm::link::join;
use adapter_astm::settings::{AstmSettings, Mode, OrderMode};
use adapter_link::{LeadingZeros, TubeNumbers};
use async_trait::async_trait;
use hub_core::channel::AskError;
use hub_core::{Position, Received, Stored};
use schemas::sending::{OrderSent, QueryAnswered, QueryOutcome, SendingAnswer};
use schemas::worklist::{TestAction, WorklistAnswer, WorklistQuestion};
use schemas::{ChannelId, RawId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::bench::{ACK, ENQ, EOT, NAK, frame, message};
use crate::orders::{specimen, test};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A hub in memory.
struct Hub {
    /// One permit a write; tests give them.
    disk: Semaphore,
    refusals: Mutex<usize>,
    /// Writes that were asked for.
    begun: watch::Sender<usize>,
    stored: watch::Sender<Vec<Received>>,
    worklist: Mutex<VecDeque<Result<WorklistAnswer, AskError>>>,
    questions: watch::Sender<Vec<WorklistQuestion>>,
    told: watch::Sender<Vec<OrderSent>>,
    answered: watch::Sender<Vec<QueryAnswered>>,
}

impl Hub {
    fn new(writes: usize) -> Arc<Self> {
        Arc::new(Self {
            disk: Semaphore::new(writes),
            refusals: Mutex::new(0),
            begun: watch::Sender::new(0),
            stored: watch::Sender::new(Vec::new()),
            worklist: Mutex::default(),
            questions: watch::Sender::new(Vec::new()),
            told: watch::Sender::new(Vec::new()),
            answered: watch::Sender::new(Vec::new()),
        })
    }

    fn knows(&self, answer: Result<WorklistAnswer, AskError>) {
        self.worklist.lock().unwrap().push_back(answer);
    }

    async fn told(&self, count: usize) -> Vec<OrderSent> {
        let mut told = self.told.subscribe();
        let wait = told.wait_for(|all| all.len() >= count);
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap()
            .unwrap()
            .clone()
    }

    async fn begun(&self, count: usize) {
        let mut begun = self.begun.subscribe();
        let wait = begun.wait_for(|all| *all >= count);
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    }

    async fn stored(&self, count: usize) -> Vec<Received> {
        let mut stored = self.stored.subscribe();
        let wait = stored.wait_for(|all| all.len() >= count);
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap()
            .unwrap()
            .clone()
    }
}

#[async_trait]
impl House for Hub {
    async fn store(&self, received: Received) -> Result<Stored, String> {
        self.begun.send_modify(|count| *count += 1);
        self.disk.acquire().await.unwrap().forget();
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err("disk full".to_owned());
            }
        }
        let mut seq = 0;
        self.stored.send_modify(|all| {
            all.push(received);
            seq = all.len() as u64;
        });
        Ok(Stored {
            id: RawId(uuid::Uuid::from_u128(u128::from(seq))),
            position: Position { seq, index: 0 },
        })
    }

    async fn tell_first(&self, _aggregate: &str, fact: &OrderSent) -> Result<(), String> {
        self.told.send_modify(|all| all.push(fact.clone()));
        Ok(())
    }

    fn told(&self, _aggregate: &str, fact: &OrderSent) {
        self.told.send_modify(|all| all.push(fact.clone()));
    }

    fn answered(&self, fact: &QueryAnswered) {
        self.answered.send_modify(|all| all.push(fact.clone()));
    }

    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        self.questions.send_modify(|all| all.push(question));
        let next = self.worklist.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

/// The hub's end of a port, and a device that outlives connections.
struct Site {
    listener: TcpListener,
    device: Arc<Device>,
    stop: CancellationToken,
}

impl Site {
    async fn new(hub: &Arc<Hub>, set: impl FnOnce(&mut AstmSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = AstmSettings::listening(listener.local_addr().unwrap());
        settings.link.turnaround_ms = 0;
        set(&mut settings);
        let house: Arc<dyn House> = Arc::<Hub>::clone(hub);
        let device = Device::new(ChannelId::new("lab").unwrap(), settings, house);
        Self {
            listener,
            device: Arc::new(device),
            stop: CancellationToken::new(),
        }
    }

    /// An instrument connects.
    async fn connect(&self) -> Instrument {
        let stream = TcpStream::connect(self.listener.local_addr().unwrap())
            .await
            .unwrap();
        let (ours, _) = self.listener.accept().await.unwrap();
        let (device, stop) = (Arc::clone(&self.device), self.stop.clone());
        let task =
            tokio::spawn(
                async move { attend(ours, "127.0.0.1:9", "127.0.0.1", &device, &stop).await },
            );
        Instrument { stream, task }
    }
}

struct Instrument {
    stream: TcpStream,
    task: tokio::task::JoinHandle<()>,
}

impl Instrument {
    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn hear(&mut self) -> u8 {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_u8());
        read.await.unwrap().unwrap()
    }

    async fn expect(&mut self, bytes: &[u8], answer: u8) {
        self.say(bytes).await;
        assert_eq!(self.hear().await, answer);
    }

    async fn play(&mut self) {
        self.expect(&[ENQ], ACK).await;
        for frame in message() {
            self.expect(&frame, ACK).await;
        }
        self.say(&[EOT]).await;
    }

    /// Takes a message from the hub; its records.
    async fn take(&mut self) -> Vec<String> {
        assert_eq!(self.hear().await, ENQ);
        let mut wire = Vec::new();
        self.say(&[ACK]).await;
        loop {
            let byte = self.hear().await;
            if byte == EOT {
                break;
            }
            wire.push(byte);
            if byte == b'\n' {
                self.say(&[ACK]).await;
            }
        }
        let text = String::from_utf8(join(&wire).text).unwrap();
        text.split_terminator('\r').map(str::to_owned).collect()
    }

    async fn ask(&mut self, number: &str) {
        self.expect(&[ENQ], ACK).await;
        for (record, n) in ["H|\\^&", &format!("Q|1|^{number}||||||||||O"), "L|1"]
            .iter()
            .zip(1..)
        {
            self.expect(&frame(n, record), ACK).await;
        }
        self.say(&[EOT]).await;
    }

    async fn hang_up(self) {
        drop(self.stream);
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn the_acknowledgement_waits_for_the_disk_and_the_reading_does_not() {
    let hub = Hub::new(0);
    let site = Site::new(&hub, |_| {}).await;
    let mut instrument = site.connect().await;
    instrument.expect(&[ENQ], ACK).await;
    let frames = message();
    for frame in &frames[..4] {
        instrument.expect(frame, ACK).await;
    }
    // byte by byte, as a serial server does it
    for byte in &frames[4] {
        instrument.say(&[*byte]).await;
    }
    let early = tokio::time::timeout(Duration::from_millis(100), instrument.stream.read_u8()).await;
    assert!(
        early.is_err(),
        "nothing is said before the message is on disk"
    );
    hub.disk.add_permits(1);
    assert_eq!(instrument.hear().await, ACK);
    assert_eq!(hub.stored(1).await[0].quarantine, None);
    instrument.hang_up().await;
}

#[tokio::test]
async fn a_refusing_store_is_a_nak_and_the_frame_may_come_again() {
    let hub = Hub::new(100);
    *hub.refusals.lock().unwrap() = 2;
    let site = Site::new(&hub, |_| {}).await;
    let mut instrument = site.connect().await;
    instrument.expect(&[ENQ], ACK).await;
    let frames = message();
    for frame in &frames[..4] {
        instrument.expect(frame, ACK).await;
    }
    instrument.expect(&frames[4], NAK).await;
    instrument.expect(&frames[4], NAK).await;
    instrument.expect(&frames[4], ACK).await;
    instrument.say(&[EOT]).await;
    instrument.play().await;
    assert_eq!(hub.stored(2).await.len(), 2);
}

#[tokio::test]
async fn a_host_query_is_stored_and_answered_on_the_line() {
    let hub = Hub::new(100);
    let site = Site::new(&hub, |_| {}).await;
    let mut instrument = site.connect().await;
    let tests = vec![test(1, &["WBC"], TestAction::Perform, "stat")];
    hub.knows(Ok(WorklistAnswer {
        specimens: vec![specimen("T1", tests)],
    }));
    instrument.ask("T1").await;
    let records = instrument.take().await;
    assert!(records[2].starts_with("O|1|T1||^^^WBC|S|"), "{records:?}");
    assert_eq!(records[3], "L|1|F");
    assert_eq!(hub.questions.borrow()[0].specimens, ["T1"]);
    assert_eq!(hub.stored(1).await.len(), 1, "the query itself is kept");
    let told = hub.told(1).await;
    assert_eq!(told[0].specimen, "T1");
    assert_eq!(told[0].orders[0].answer, SendingAnswer::Delivered);
    // nobody knows it
    hub.knows(Ok(WorklistAnswer {
        specimens: vec![specimen("T9", Vec::new())],
    }));
    instrument.ask("T9").await;
    assert_eq!(instrument.take().await.last().unwrap(), "L|1|I");
    // the second attempt answers
    hub.knows(Err(AskError::Timeout(1000)));
    hub.knows(Ok(WorklistAnswer::default()));
    instrument.ask("T9").await;
    assert_eq!(instrument.take().await.last().unwrap(), "L|1|I");
    // nobody answers at all: an error is told, not "nothing"
    hub.knows(Err(AskError::NoResponder));
    hub.knows(Err(AskError::NoResponder));
    instrument.ask("T9").await;
    assert_eq!(instrument.take().await.last().unwrap(), "L|1|Q");
    instrument.hang_up().await;
    let answered: Vec<(u64, QueryOutcome)> = hub
        .answered
        .borrow()
        .iter()
        .map(|fact| (fact.stream_seq, fact.outcome))
        .collect();
    assert_eq!(
        answered,
        [
            (1, QueryOutcome::Found),
            (2, QueryOutcome::Unknown),
            (3, QueryOutcome::Nothing),
            (4, QueryOutcome::Failed)
        ]
    );
}

#[tokio::test]
async fn a_padded_number_is_asked_for_as_it_was_ordered_and_answered_as_it_was_asked() {
    let hub = Hub::new(100);
    let site = Site::new(&hub, |s| {
        s.dialect.tube = TubeNumbers {
            leading_zeros: LeadingZeros::Drop,
            check_digits: 1,
        };
    })
    .await;
    let mut instrument = site.connect().await;
    let tests = vec![test(1, &["WBC"], TestAction::Perform, "routine")];
    hub.knows(Ok(WorklistAnswer {
        specimens: vec![specimen("4711", tests)],
    }));
    instrument.ask("00047118").await;
    let records = instrument.take().await;
    assert!(
        records[2].starts_with("O|1|00047118||^^^WBC|"),
        "{records:?}"
    );
    assert_eq!(hub.questions.borrow()[0].specimens, ["4711"]);
    instrument.hang_up().await;
}

#[tokio::test]
async fn a_cup_without_a_readable_label_is_never_answered_with_the_tests_of_others() {
    let hub = Hub::new(100);
    let site = Site::new(&hub, |s| s.link.mode = Mode::Au).await;
    let mut instrument = site.connect().await;
    // if the worklist were asked without a number it would give everybody's
    let tests = vec![test(1, &["097"], TestAction::Perform, "routine")];
    hub.knows(Ok(WorklistAnswer {
        specimens: vec![specimen("SOMEBODY", tests.clone())],
    }));
    let blank = format!("\u{2}R 000601 0013{:>26}\u{3}", "");
    instrument.expect(blank.as_bytes(), ACK).await;
    for byte in b"\x02SE\x03" {
        assert_eq!(instrument.hear().await, *byte);
    }
    instrument.say(&[ACK]).await;
    assert!(hub.questions.borrow().is_empty());
    assert_eq!(hub.stored(1).await.len(), 1, "the query is kept");
    // and with one it is asked
    hub.worklist.lock().unwrap().clear();
    hub.knows(Ok(WorklistAnswer {
        specimens: vec![specimen("U1450", tests)],
    }));
    let named = format!("\u{2}R 000602 0014{:>26}\u{3}", "U1450");
    instrument.expect(named.as_bytes(), ACK).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&3) {
        heard.push(instrument.hear().await);
    }
    assert!(heard.ends_with(b"097\x03"), "{heard:?}");
    instrument.say(&[ACK]).await;
    instrument.hang_up().await;
}

#[tokio::test]
async fn an_instrument_that_hangs_up_after_its_query_gets_the_answer_when_it_is_back() {
    let hub = Hub::new(100);
    // the pause lets the instrument hang up before the hub bids
    let site = Site::new(&hub, |s| s.link.turnaround_ms = 5_000).await;
    let mut instrument = site.connect().await;
    let tests = vec![test(1, &["WBC"], TestAction::Perform, "routine")];
    hub.knows(Ok(WorklistAnswer {
        specimens: vec![specimen("T1", tests)],
    }));
    instrument.ask("T1").await;
    let mut questions = hub.questions.subscribe();
    tokio::time::timeout(PATIENCE, questions.wait_for(|all| all.len() == 1))
        .await
        .unwrap()
        .unwrap();
    // a new session proves that the answer has been queued before the connection ends
    instrument.play().await;
    hub.stored(2).await;
    instrument.hang_up().await;
    let mut again = site.connect().await;
    let records = again.take().await;
    assert!(records[2].starts_with("O|1|T1||^^^WBC"), "{records:?}");
}

#[tokio::test]
async fn orders_are_downloaded_once_to_an_instrument_that_does_not_ask() {
    let hub = Hub::new(100);
    let pending = |action, n| WorklistAnswer {
        specimens: vec![specimen("T1", vec![test(n, &["WBC"], action, "routine")])],
    };
    hub.knows(Ok(pending(TestAction::Perform, 1)));
    // the next looks find the same, then a cancellation
    hub.knows(Ok(pending(TestAction::Perform, 1)));
    hub.knows(Err(AskError::Timeout(1000)));
    hub.knows(Ok(pending(TestAction::Cancel, 1)));
    let site = Site::new(&hub, |s| {
        s.orders.mode = OrderMode::Download;
        s.orders.every_s = 1;
    })
    .await;
    let mut instrument = site.connect().await;
    let first = instrument.take().await;
    assert!(
        first[2].contains("|N||||SER|") && first[2].ends_with("|O"),
        "{first:?}"
    );
    let second = instrument.take().await;
    assert!(
        second[2].contains("|C||||SER|"),
        "sent once, then taken back: {second:?}"
    );
    let told = hub.told(3).await;
    let words: Vec<(TestAction, SendingAnswer)> = told
        .iter()
        .map(|fact| (fact.orders[0].action, fact.orders[0].answer))
        .collect();
    // on disk before it is on the wire, so that a restart knows that the instrument may have it
    assert_eq!(
        words[..3],
        [
            (TestAction::Perform, SendingAnswer::Sending),
            (TestAction::Perform, SendingAnswer::Delivered),
            (TestAction::Cancel, SendingAnswer::Sending),
        ]
    );
    let questions = hub.questions.borrow();
    assert!(questions[0].specimens.is_empty());
    let again = |n: usize| questions[n].untold.map(|untold| untold.again_after_s);
    assert_eq!((again(0), again(1)), (Some(0), Some(600)));
}

#[tokio::test]
async fn what_a_lost_connection_leaves_is_kept_even_when_the_store_needs_a_second_try() {
    let hub = Hub::new(100);
    *hub.refusals.lock().unwrap() = 1;
    let site = Site::new(&hub, |_| {}).await;
    let mut instrument = site.connect().await;
    instrument.expect(&[ENQ], ACK).await;
    instrument.expect(&message()[0], ACK).await;
    instrument.say(&message()[1][..4]).await;
    instrument.hang_up().await;
    let stored = hub.stored(1).await;
    assert_eq!(stored[0].quarantine.as_deref(), Some("astm_link_lost"));
    assert_eq!(stored[0].peer.as_deref(), Some("127.0.0.1:9"));
}

#[tokio::test]
async fn a_peer_that_sends_all_and_hangs_up_without_waiting_is_heard_to_the_end() {
    let hub = Hub::new(100);
    let site = Site::new(&hub, |_| {}).await;
    let mut instrument = site.connect().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(ENQ);
        all.extend(message().concat());
        all.push(EOT);
    }
    instrument.say(&all).await;
    instrument.hang_up().await;
    let stored = hub.stored(3).await;
    assert!(stored.iter().all(|r| r.quarantine.is_none()));
}

#[tokio::test]
async fn a_stop_lets_the_last_message_be_stored_and_answered() {
    let hub = Hub::new(0);
    let site = Site::new(&hub, |_| {}).await;
    let mut instrument = site.connect().await;
    instrument.expect(&[ENQ], ACK).await;
    let frames = message();
    for frame in &frames[..4] {
        instrument.expect(frame, ACK).await;
    }
    instrument.say(&frames[4]).await;
    hub.begun(1).await;
    site.stop.cancel();
    hub.disk.add_permits(1);
    assert_eq!(
        instrument.hear().await,
        ACK,
        "what was received whole is answered"
    );
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, instrument.stream.read_to_end(&mut rest));
    end.await.unwrap().unwrap();
    assert_eq!(hub.stored(1).await.len(), 1);
}

#[tokio::test]
async fn many_lines_work_beside_each_other() {
    let hub = Hub::new(10_000);
    let site = Site::new(&hub, |_| {}).await;
    let mut lines = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut instrument = site.connect().await;
        lines.spawn(async move {
            for _ in 0..20 {
                instrument.play().await;
            }
            instrument.hang_up().await;
        });
    }
    while let Some(done) = lines.join_next().await {
        done.unwrap();
    }
    assert_eq!(hub.stored(400).await.len(), 400);
}
