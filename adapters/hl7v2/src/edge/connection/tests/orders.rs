//! Instruments that ask, are told, and answer in every way that they should not. Over real sockets; the peer is written from
//! the protocol and shares no code with the edge.

use schemas::sending::{QueryOutcome, SendingAnswer, SendingOccasion};
use schemas::worklist::TestAction;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::edge::outlet::Outlet;
use crate::orders::tests::{
    CHEMISTRY_QUERY, HAEMATOLOGY_QUERY, LAW_QUERY, settings, specimen, test, worklist,
};
use crate::settings::{OrderDialect, OrderMode};

mod download;
mod mindray;

/// The hub's end of a port; connections share a book, as those of a channel do.
struct Site {
    listener: TcpListener,
    settings: Arc<Hl7v2Settings>,
    store: Arc<Memory>,
    book: Arc<SendingBook>,
    stop: CancellationToken,
    /// The analyzer takes orders on another connection.
    outlet: Option<Arc<Outlet>>,
}

impl Site {
    async fn new(dialect: OrderDialect, change: impl FnOnce(&mut Hl7v2Settings)) -> Self {
        let mut settings = settings(dialect);
        change(&mut settings);
        assert_eq!(settings.validate(), []);
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            settings: Arc::new(settings),
            store: Arc::default(),
            book: Arc::default(),
            stop: CancellationToken::new(),
            outlet: None,
        }
    }

    async fn connect(&self) -> Instrument {
        self.connect_as(false).await
    }

    /// As the connection for orders, or as the other.
    async fn connect_as(&self, for_orders: bool) -> Instrument {
        let stream = TcpStream::connect(self.listener.local_addr().unwrap())
            .await
            .unwrap();
        let (ours, peer) = self.listener.accept().await.unwrap();
        let (settings, store) = (Arc::clone(&self.settings), Arc::clone(&self.store));
        let (book, stop) = (Arc::clone(&self.book), self.stop.clone());
        let outlet = self.outlet.clone();
        let task = tokio::spawn(async move {
            let channel = ChannelId::new("lab").unwrap();
            let ways = match outlet.as_deref() {
                None => Ways::Both,
                Some(outlet) if for_orders => Ways::Out(outlet),
                Some(outlet) => Ways::In(outlet),
            };
            let connection = Connection {
                settings: &settings,
                store: &*store,
                book: &book,
                ways,
                channel: &channel,
                peer: peer.to_string(),
                serial: false,
            };
            connection.serve(ours, &stop).await;
        });
        Instrument { stream, task }
    }

    fn knows(&self, answer: Result<WorklistAnswer, AskError>) {
        self.store.worklist.lock().unwrap().push_back(answer);
    }

    fn knows_one(&self, number: &str, order: u128) {
        let tests = vec![test(order, &["GLU"], TestAction::Perform)];
        self.knows(Ok(worklist(vec![specimen(number, tests)])));
    }

    /// What was told of orders, once there are so many facts: order, answer, reason.
    async fn told(&self, count: usize) -> Vec<(u128, SendingAnswer, Option<String>)> {
        let mut told = self.store.told.subscribe();
        let all = soon(told.wait_for(|all| all.len() >= count)).await.unwrap();
        all.iter()
            .flat_map(|fact| &fact.orders)
            .map(|one| (one.order.as_u128(), one.answer, one.reason.clone()))
            .collect()
    }

    async fn answered(&self, count: usize) -> Vec<QueryOutcome> {
        let mut answered = self.store.answered.subscribe();
        let all = soon(answered.wait_for(|all| all.len() >= count))
            .await
            .unwrap();
        all.iter().map(|fact| fact.outcome).collect()
    }
}

struct Instrument {
    stream: TcpStream,
    task: JoinHandle<()>,
}

impl Instrument {
    async fn says(&mut self, content: &str) {
        self.stream.write_all(&mllp(content)).await.unwrap();
    }

    /// The next message, as its segments.
    async fn hears(&mut self) -> Vec<String> {
        let bytes = frame(&mut self.stream).await;
        let text = String::from_utf8(bytes[1..bytes.len() - 2].to_vec()).unwrap();
        text.split_terminator('\r').map(str::to_owned).collect()
    }

    /// Takes an OML; its control id.
    async fn takes_oml(&mut self) -> String {
        let oml = self.hears().await;
        assert!(oml[0].contains("|OML^O33^OML_O33|"), "{oml:?}");
        oml[0].split('|').nth(9).unwrap().to_owned()
    }

    async fn acknowledges(&mut self, id: &str, rest: &str) {
        let answer =
            format!("MSH|^~\\&|BA400||Host||2||ORL^O34^ORL_O42|o{id}|P|2.5.1\rMSA|AA|{id}\r{rest}");
        self.says(&answer).await;
    }

    async fn silent_for(&mut self, milliseconds: u64) {
        let read = self.stream.read_u8();
        let heard = tokio::time::timeout(Duration::from_millis(milliseconds), read).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    async fn hang_up(self) {
        drop(self.stream);
        soon(self.task).await.unwrap();
    }
}

fn law(number: &str) -> String {
    LAW_QUERY.replace("|32971968\r", &format!("|{number}\r"))
}

#[tokio::test]
async fn a_law_query_is_stored_answered_and_followed_by_the_work_which_is_acknowledged() {
    let site = Site::new(OrderDialect::Law, |_| {}).await;
    let mut analyzer = site.connect().await;
    let tests = vec![
        test(1, &["GLU"], TestAction::Perform),
        test(2, &["NA"], TestAction::Perform),
    ];
    site.knows(Ok(worklist(vec![specimen("32971968", tests)])));
    analyzer.says(LAW_QUERY).await;
    let rsp = analyzer.hears().await;
    assert!(rsp[0].contains("|RSP^K11^RSP_K11|"), "{rsp:?}");
    assert_eq!(rsp[1], "MSA|AA|105c0474-b00b");
    let id = analyzer.takes_oml().await;
    assert_eq!(
        site.store.kept.lock().unwrap().len(),
        1,
        "the query is kept"
    );
    analyzer
        .acknowledges(&id, "ORC|OK|P1/GLU\rORC|UA|P2/NA\r")
        .await;
    assert_eq!(
        site.told(1).await,
        [
            (1, SendingAnswer::Accepted, None),
            (
                2,
                SendingAnswer::Refused,
                Some("UA: unable to accept the order (NA)".to_owned())
            )
        ]
    );
    {
        let told = site.store.told.borrow();
        assert_eq!(told[0].occasion, SendingOccasion::Query);
        assert_eq!(told[0].control_id.as_deref(), Some(id.as_str()));
        let answered = site.store.answered.borrow();
        assert_eq!(
            (answered[0].outcome, answered[0].tests),
            (QueryOutcome::Found, 2)
        );
        assert_eq!(answered[0].stream_seq, 1);
    }
    // the ORL is kept, and not acknowledged
    site.store.has(2).await;
    analyzer.silent_for(50).await;
    // an unknown tube, at once
    site.knows(Ok(worklist(vec![specimen("S9", Vec::new())])));
    analyzer.says(&law("S9")).await;
    assert!(analyzer.hears().await[2].contains("|NF|"));
    let oml = analyzer.hears().await;
    assert!(
        oml[1].contains("|U^^HL70369") && oml[3].starts_with("ORC|DC|"),
        "{oml:?}"
    );
    analyzer.hang_up().await;
    assert_eq!(
        site.answered(2).await,
        [QueryOutcome::Found, QueryOutcome::Unknown]
    );
    assert_eq!(
        site.store.told.borrow().len(),
        1,
        "nothing was told of nothing"
    );
}

#[tokio::test]
async fn a_padded_number_is_asked_for_as_it_was_ordered_and_answered_as_it_was_asked() {
    let site = Site::new(OrderDialect::Law, |s| {
        s.translate.tube.leading_zeros = adapter_link::LeadingZeros::Drop;
    })
    .await;
    let mut analyzer = site.connect().await;
    let tests = vec![test(1, &["GLU"], TestAction::Perform)];
    site.knows(Ok(worklist(vec![specimen("4711", tests)])));
    analyzer.says(&law("0004711")).await;
    assert_eq!(analyzer.hears().await[1], "MSA|AA|105c0474-b00b");
    let oml = analyzer.hears().await.join("\r");
    assert!(oml.contains("0004711"), "{oml}");
    assert_eq!(site.store.questions.lock().unwrap()[0].specimens, ["4711"]);
    analyzer.hang_up().await;
}

#[tokio::test]
async fn results_that_come_while_an_orl_is_awaited_are_acknowledged_at_once() {
    let site = Site::new(OrderDialect::Law, |_| {}).await;
    let mut analyzer = site.connect().await;
    site.knows_one("S1", 1);
    analyzer.says(&law("S1")).await;
    analyzer.hears().await;
    let id = analyzer.takes_oml().await;
    for _ in 0..3 {
        analyzer.says(ORU).await;
        assert_eq!(analyzer.hears().await[1], "MSA|AA|77");
    }
    // what is garbled or belongs to another does not count as the answer
    analyzer
        .says("MSH|^~\\&|BA400||||2||ORL^O34|9|P|2.5.1\rMSA|AA|OTHER\r")
        .await;
    analyzer.says("no message at all").await;
    assert!(analyzer.hears().await[1].starts_with("MSA|AR|"));
    analyzer
        .says("MSH|^~\\&|BA400||||2||ORL^O34|9|P|2.5.1\rMSA|what|\r")
        .await;
    analyzer.says(ORU).await;
    assert_eq!(analyzer.hears().await[1], "MSA|AA|77");
    assert!(site.store.told.borrow().is_empty());
    analyzer.acknowledges(&id, "").await;
    assert_eq!(site.told(1).await, [(1, SendingAnswer::Accepted, None)]);
    // once more, late: nothing happens
    analyzer.acknowledges(&id, "ORC|UA|P1/GLU\r").await;
    analyzer.says(ORU).await;
    analyzer.hears().await;
    assert_eq!(site.store.told.borrow().len(), 1);
}

#[tokio::test]
async fn answers_keep_their_order_and_a_silent_worklist_holds_them_up_no_longer_than_its_deadline()
{
    let site = Site::new(OrderDialect::Law, |settings| {
        settings.orders.as_mut().unwrap().deadline_ms = 300;
    })
    .await;
    let mut analyzer = site.connect().await;
    let began = Instant::now();
    analyzer.says(&law("S1")).await;
    analyzer.says(ORU).await;
    let rsp = analyzer.hears().await;
    let took = began.elapsed();
    assert!(
        (Duration::from_millis(290)..Duration::from_secs(2)).contains(&took),
        "{took:?}"
    );
    assert!(
        rsp[1].starts_with("MSA|AE|"),
        "an error, never `nothing`: {rsp:?}"
    );
    assert_eq!(analyzer.hears().await[1], "MSA|AA|77");
    assert_eq!(site.answered(1).await, [QueryOutcome::Failed]);
    analyzer.silent_for(50).await;
    // a worklist that fails once is asked again within the time
    site.knows(Err(AskError::Unreachable("away".into())));
    site.knows_one("S1", 1);
    let mut patient = site.connect().await;
    drop(analyzer);
    patient.says(&law("S1")).await;
    let _ = patient.hears().await;
    assert_eq!(site.answered(2).await[1], QueryOutcome::Found);
}

#[tokio::test]
async fn an_oml_without_answer_is_sent_again_with_the_same_bytes_and_then_given_up() {
    let site = Site::new(OrderDialect::Law, |settings| {
        let orders = settings.orders.as_mut().unwrap();
        orders.answer_s = 1;
        orders.retry_s = vec![1];
    })
    .await;
    let mut analyzer = site.connect().await;
    site.knows_one("S1", 1);
    analyzer.says(&law("S1")).await;
    analyzer.hears().await;
    let first = analyzer.hears().await;
    assert_eq!(
        analyzer.hears().await,
        first,
        "the same bytes, MSH-10 included"
    );
    assert_eq!(
        site.told(1).await,
        [(
            1,
            SendingAnswer::NoAnswer,
            Some("no answer to 2 sendings".to_owned())
        )]
    );
    // it asks again: the same set again
    site.knows_one("S1", 1);
    analyzer.says(&law("S1")).await;
    analyzer.hears().await;
    let id = analyzer.takes_oml().await;
    analyzer.acknowledges(&id, "").await;
    assert_eq!(site.told(2).await[1].1, SendingAnswer::Accepted);
}

#[tokio::test]
async fn an_instrument_that_hangs_up_before_its_orl_has_not_answered() {
    let site = Site::new(OrderDialect::Law, |_| {}).await;
    let mut analyzer = site.connect().await;
    site.knows_one("S1", 1);
    analyzer.says(&law("S1")).await;
    analyzer.hears().await;
    analyzer.takes_oml().await;
    analyzer.hang_up().await;
    assert_eq!(
        site.told(1).await,
        [(
            1,
            SendingAnswer::NoAnswer,
            Some("the connection ended before the answer".to_owned())
        )]
    );
}

#[tokio::test]
async fn a_refusal_of_the_whole_is_kept_with_its_words() {
    let site = Site::new(OrderDialect::Law, |_| {}).await;
    let mut analyzer = site.connect().await;
    site.knows_one("S1", 1);
    analyzer.says(&law("S1")).await;
    analyzer.hears().await;
    let id = analyzer.takes_oml().await;
    let ack = format!("MSH|^~\\&|BA400||||2||ACK^O33^ACK|9|P|2.5.1\rMSA|AR|{id}|locked\r");
    analyzer.says(&ack).await;
    assert_eq!(
        site.told(1).await,
        [(1, SendingAnswer::Refused, Some("AR: locked".to_owned()))]
    );
}

#[tokio::test]
async fn a_withdrawn_query_takes_back_what_was_not_sent_yet() {
    let site = Site::new(OrderDialect::Law, |_| {}).await;
    let mut analyzer = site.connect().await;
    let one =
        |number: &str, order| specimen(number, vec![test(order, &["GLU"], TestAction::Perform)]);
    site.knows(Ok(worklist(vec![one("S1", 1), one("S2", 2), one("S3", 3)])));
    let all = LAW_QUERY.replace("WOS^Work Order Step", "WOS_ALL^Work Order Step All");
    analyzer.says(&all).await;
    analyzer.hears().await;
    let id = analyzer.takes_oml().await;
    analyzer
        .says("MSH|^~\\&|BA400||Host||1||QCN^J01^QCN_J01|8|P|2.5.1\rQID|105c0474b00b|WOS_ALL^x^y\r")
        .await;
    let ack = analyzer.hears().await;
    assert!(
        ack[0].contains("|ACK^J01^ACK|") && ack[1] == "MSA|AA|8",
        "{ack:?}"
    );
    analyzer.acknowledges(&id, "").await;
    let told = site.told(3).await;
    let answers: Vec<(u128, SendingAnswer)> = told.iter().map(|one| (one.0, one.1)).collect();
    assert_eq!(
        answers,
        [
            (2, SendingAnswer::NoAnswer),
            (3, SendingAnswer::NoAnswer),
            (1, SendingAnswer::Accepted)
        ]
    );
    analyzer.silent_for(50).await;
    assert_eq!(
        site.answered(2).await,
        [QueryOutcome::Found, QueryOutcome::Withdrawn]
    );
}

#[tokio::test]
async fn a_query_that_could_not_be_stored_may_be_asked_again_and_gets_no_orders() {
    let site = Site::new(OrderDialect::Law, |_| {}).await;
    site.store.full.store(true, Ordering::Relaxed);
    let mut analyzer = site.connect().await;
    analyzer.says(&law("S1")).await;
    // MSH-15 ER asks for the accept acknowledgement of an error
    assert!(analyzer.hears().await[1].starts_with("MSA|CE|"));
    assert!(site.store.questions.lock().unwrap().is_empty());
    site.store.full.store(false, Ordering::Relaxed);
    site.knows_one("S1", 1);
    analyzer.says(&law("S1")).await;
    assert!(analyzer.hears().await[1].starts_with("MSA|AA|"));
}

#[tokio::test]
async fn a_stop_answers_the_query_in_hand_and_starts_nothing_new() {
    let site = Site::new(OrderDialect::Law, |settings| {
        settings.orders.as_mut().unwrap().deadline_ms = 400;
    })
    .await;
    let mut analyzer = site.connect().await;
    analyzer.says(&law("S1")).await;
    site.store.has(1).await;
    site.stop.cancel();
    assert!(analyzer.hears().await[1].starts_with("MSA|AE|"));
    soon(analyzer.task).await.unwrap();
}

#[tokio::test]
async fn on_a_serial_line_with_hybrid_blocks_the_loop_is_the_same_and_a_damaged_oml_is_repeated() {
    let bench = Bench::new(|settings| {
        settings.frame.kind = FrameKind::Hybrid;
        settings.orders = law_settings().orders;
    });
    let mut device = bench.plug_in();
    let tests = vec![test(1, &["GLU"], TestAction::Perform)];
    bench
        .store
        .worklist
        .lock()
        .unwrap()
        .push_back(Ok(worklist(vec![specimen("32971968", tests)])));
    device.send(&hybrid(LAW_QUERY)).await;
    assert!(says(&device.hears().await, "|RSP^K11^RSP_K11|"));
    let oml = device.hears().await;
    assert!(says(&oml, "|OML^O33^OML_O33|"));
    device.send(b"\x0bN23\rX00006017\x1c\r").await;
    assert_eq!(device.hears().await, oml);
    let text = String::from_utf8_lossy(&oml).into_owned();
    let id = text.split('|').nth(9).unwrap();
    device
        .send(&hybrid(&format!(
            "MSH|^~\\&|A||||2||ORL^O34|9|P|2.5.1\rMSA|AA|{id}\r"
        )))
        .await;
    let mut told = bench.store.told.subscribe();
    let all = soon(told.wait_for(|all| !all.is_empty()))
        .await
        .unwrap()
        .clone();
    assert_eq!(all[0].orders[0].answer, SendingAnswer::Accepted);
    bench.end().await;
}

fn hybrid(content: &str) -> Vec<u8> {
    let mut block = [b"\x0bD23\r", content.as_bytes()].concat();
    let sum = block.iter().fold(0_u8, |sum, byte| sum ^ byte);
    block.extend(format!("{:05}{sum:03}\x1c\r", block.len()).into_bytes());
    block
}

fn law_settings() -> Hl7v2Settings {
    settings(OrderDialect::Law)
}
