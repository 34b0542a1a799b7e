//! The edge over real sockets, with a hub that is slow or refuses, and devices that misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_poct1a::edge::{House, Site, attend};
use adapter_poct1a::settings::{Give, Poct1aSettings};
use adapter_poct1a::split::{Piece, Splitter};
use async_trait::async_trait;
use hub_core::Received;
use schemas::ChannelId;
use schemas::rosters::{RosterAnswer, RosterOperator, RosterQuestion};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::messages::{ack, end_of_topic, fixture, hello, observation, status};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A hub in memory.
struct Hub {
    /// One permit a write; tests give them.
    disk: Semaphore,
    refusals: Mutex<usize>,
    questions: Mutex<Vec<RosterQuestion>>,
    /// The last of them again and again.
    rosters: Mutex<Vec<Result<RosterAnswer, String>>>,
    stored: watch::Sender<Vec<Received>>,
}

impl Hub {
    fn new(writes: usize) -> Arc<Self> {
        Arc::new(Self {
            disk: Semaphore::new(writes),
            refusals: Mutex::new(0),
            questions: Mutex::default(),
            rosters: Mutex::default(),
            stored: watch::Sender::new(Vec::new()),
        })
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
    async fn store(&self, received: Received) -> Result<(), String> {
        self.disk.acquire().await.unwrap().forget();
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err("disk full".to_owned());
            }
        }
        self.stored.send_modify(|all| all.push(received));
        Ok(())
    }

    async fn roster(&self, question: RosterQuestion) -> Result<RosterAnswer, String> {
        self.questions.lock().unwrap().push(question);
        let mut answers = self.rosters.lock().unwrap();
        match answers.len() {
            0 => Err("nobody knows".to_owned()),
            1 => answers[0].clone(),
            _ => answers.remove(0),
        }
    }
}

struct Port {
    listener: TcpListener,
    site: Arc<Site>,
    stop: CancellationToken,
}

impl Port {
    async fn new(hub: &Arc<Hub>, set: impl FnOnce(&mut Poct1aSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Poct1aSettings::listening(listener.local_addr().unwrap());
        set(&mut settings);
        Self {
            listener,
            site: Arc::new(Site::new(
                ChannelId::new("ward").unwrap(),
                settings,
                Arc::<Hub>::clone(hub),
            )),
            stop: CancellationToken::new(),
        }
    }

    async fn connect(&self) -> Device {
        let stream = TcpStream::connect(self.listener.local_addr().unwrap())
            .await
            .unwrap();
        let (ours, _) = self.listener.accept().await.unwrap();
        let (site, stop) = (Arc::clone(&self.site), self.stop.clone());
        let task = tokio::spawn(async move { attend(ours, "127.0.0.1:9", &site, &stop).await });
        Device {
            stream,
            splitter: Splitter::new(1 << 20, 32),
            heard: Vec::new(),
            task,
        }
    }
}

struct Device {
    stream: TcpStream,
    splitter: Splitter,
    heard: Vec<Piece>,
    task: tokio::task::JoinHandle<()>,
}

impl Device {
    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next message of the hub; none when it has hung up.
    async fn hear(&mut self) -> Option<String> {
        let mut buffer = [0; 1024];
        while self.heard.is_empty() {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer));
            let count = read.await.unwrap().unwrap();
            if count == 0 {
                return None;
            }
            self.splitter.push(&buffer[..count], &mut self.heard);
        }
        match self.heard.remove(0) {
            Piece::Document(cut) => Some(String::from_utf8(cut.bytes.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// The hub's next message has all these in it.
    async fn expect(&mut self, parts: &[&str]) {
        let heard = self.hear().await.expect("the hub does not hang up");
        for part in parts {
            assert!(heard.contains(part), "{part} in {heard}");
        }
    }

    async fn acknowledged(&mut self, bytes: impl AsRef<[u8]>, id: &str) {
        self.say(bytes).await;
        let of = format!("ACK.ack_control_id V=\"{id}\"");
        self.expect(&["ACK.type_cd V=\"AA\"", &of]).await;
    }

    /// Hello, status, continuous mode.
    async fn begin(&mut self) {
        self.acknowledged(hello("1", &["START_CONTINUOUS"]), "1")
            .await;
        self.acknowledged(status("2", "0", "0"), "2").await;
        self.expect(&["START_CONTINUOUS", "HDR.control_id V=\"3\""])
            .await;
        self.say(ack("3", "3")).await;
    }

    async fn gone(self) {
        drop(self.stream);
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn a_whole_conversation_in_basic_mode_ends_with_our_end() {
    let hub = Hub::new(100);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    device.acknowledged(hello("1", &[]), "1").await;
    device.acknowledged(fixture("020-"), "2").await;
    device.expect(&["REQ.request_cd V=\"ROBS\""]).await;
    device.acknowledged(fixture("100-"), "3").await;
    device.acknowledged(fixture("200-"), "18").await;
    device.say(end_of_topic("5")).await;
    device.expect(&["REQ.request_cd V=\"RDEV\""]).await;
    device.acknowledged(fixture("300-"), "20").await;
    device.say(end_of_topic("7")).await;
    device
        .expect(&["<END.R01>", "TRM.reason_cd V=\"NRM\""])
        .await;
    device.say(ack("8", "9")).await;
    assert_eq!(device.hear().await, None, "the hub hangs up");
    let stored = hub.stored(7).await;
    assert_eq!(stored.len(), 7);
    assert_eq!(
        stored[2].bytes,
        fixture("100-").trim_ascii_end(),
        "byte for byte"
    );
    assert_eq!(stored[2].notes, ["device: EXAMPLE GP 7"]);
    assert_eq!(stored[2].peer.as_deref(), Some("127.0.0.1:9"));
    device.gone().await;
}

#[tokio::test]
async fn the_acknowledgement_waits_for_the_disk_and_the_reading_does_not() {
    let hub = Hub::new(1);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    device.acknowledged(hello("1", &[]), "1").await;
    // byte by byte, as a gateway does it
    for byte in observation("2").as_bytes() {
        device.say([*byte]).await;
    }
    let early =
        tokio::time::timeout(Duration::from_millis(100), device.stream.peek(&mut [0])).await;
    assert!(early.is_err(), "nothing is said before it is on disk");
    hub.disk.add_permits(1);
    device.expect(&["V=\"AA\"", "V=\"2\""]).await;
    device.gone().await;
}

#[tokio::test]
async fn a_refusing_store_is_ae_and_the_same_document_may_come_again() {
    let hub = Hub::new(100);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    device.begin().await;
    *hub.refusals.lock().unwrap() = 2;
    for _ in 0..2 {
        device.say(observation("4")).await;
        device.expect(&["V=\"AE\"", "V=\"4\"", "send again"]).await;
    }
    device.acknowledged(observation("4"), "4").await;
    // the acknowledgement was lost on the way: the same once more, with the same control id
    device.acknowledged(observation("4"), "4").await;
    let stored = hub.stored(4).await;
    assert_eq!(stored[2].bytes, stored[3].bytes, "recognised by its bytes");
    device.gone().await;
}

#[tokio::test]
async fn a_line_that_drops_in_mid_document_leaves_the_part_and_the_device_sends_it_whole_later() {
    let hub = Hub::new(100);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    device.begin().await;
    let whole = observation("4");
    device.say(&whole[..whole.len() / 2]).await;
    // even when the store needs a second try
    *hub.refusals.lock().unwrap() = 1;
    device.gone().await;
    let stored = hub.stored(3).await;
    assert_eq!(stored[2].quarantine.as_deref(), Some("poct1a_incomplete"));
    assert_eq!(stored[2].bytes, &whole.as_bytes()[..whole.len() / 2]);
    let mut device = port.connect().await;
    device.begin().await;
    device.acknowledged(&whole, "4").await;
    device.gone().await;
}

#[tokio::test]
async fn wrong_xml_is_escaped_kept_and_does_not_end_the_conversation() {
    let hub = Hub::new(100);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    device.begin().await;
    for name in ["910-", "900-"] {
        device.say(fixture(name)).await;
        device.expect(&["<ESC.R01>", "can't be read"]).await;
    }
    device.say(fixture("400-")).await;
    device
        .expect(&["<ESC.R01>", "ESC.esc_control_id V=\"25\""])
        .await;
    device.acknowledged(observation("9"), "9").await;
    let reasons: Vec<_> = hub
        .stored(6)
        .await
        .into_iter()
        .map(|received| received.quarantine)
        .collect();
    assert_eq!(
        reasons[2..],
        [
            Some("poct1a_malformed".to_owned()),
            Some("poct1a_dtd".to_owned()),
            None,
            None
        ]
    );
    device.gone().await;
}

#[tokio::test]
async fn a_device_that_is_silent_when_it_owes_an_answer_is_hung_up_on() {
    let hub = Hub::new(100);
    let port = Port::new(&hub, |s| {
        s.conversation.hello_timeout_ms = 100;
        s.conversation.reply_timeout_ms = 100;
    })
    .await;
    let mut silent = port.connect().await;
    assert_eq!(silent.hear().await, None, "no hello");
    let mut device = port.connect().await;
    device.acknowledged(hello("1", &[]), "1").await;
    assert_eq!(device.hear().await, None, "no status");
    device.gone().await;
}

#[tokio::test]
async fn a_document_without_end_is_cut_at_the_limit_and_the_last_answer_arrives() {
    let hub = Hub::new(100);
    let port = Port::new(&hub, |s| s.link.limit = 2048).await;
    let mut device = port.connect().await;
    device.begin().await;
    device.say(format!("<OBS.R01>{}", "x".repeat(20_000))).await;
    device.expect(&["<ESC.R01>", "too long"]).await;
    assert_eq!(device.hear().await, None);
    let stored = hub.stored(3).await;
    assert_eq!(stored[2].quarantine.as_deref(), Some("poct1a_too_long"));
    assert_eq!(stored[2].bytes.len(), 2048);
    device.gone().await;
}

#[tokio::test]
async fn a_device_that_sends_all_and_hangs_up_without_waiting_is_heard_to_the_end() {
    let hub = Hub::new(1000);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    let mut all = hello("1", &[]);
    for n in 2..200 {
        all.push_str(&observation(&n.to_string()));
    }
    device.say(&all).await;
    device.gone().await;
    let stored = hub.stored(199).await;
    assert!(stored.iter().all(|received| received.quarantine.is_none()));
}

#[tokio::test]
async fn a_stop_lets_the_last_document_be_stored_and_answered_and_says_so() {
    let hub = Hub::new(2);
    let port = Port::new(&hub, |_| {}).await;
    let mut device = port.connect().await;
    device.begin().await;
    device.say(observation("4")).await;
    port.stop.cancel();
    hub.disk.add_permits(1);
    // whether the stop or the result is seen first, nothing is lost
    let mut heard = String::new();
    while let Some(text) = device.hear().await {
        heard.push_str(&text);
    }
    assert!(heard.contains("<END.R01>"), "{heard}");
    assert!(heard.contains("ACK.ack_control_id V=\"4\""), "{heard}");
    assert_eq!(hub.stored(3).await.len(), 3);
    device.gone().await;
}

#[tokio::test]
async fn many_devices_work_beside_each_other() {
    let hub = Hub::new(10_000);
    let port = Port::new(&hub, |_| {}).await;
    let mut devices = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut device = port.connect().await;
        devices.spawn(async move {
            device.begin().await;
            for n in 0..20 {
                let id = n.to_string();
                device.acknowledged(observation(&id), &id).await;
            }
            device.gone().await;
        });
    }
    while let Some(done) = devices.join_next().await {
        done.unwrap();
    }
    assert_eq!(hub.stored(440).await.len(), 440);
}

#[tokio::test]
async fn a_device_is_given_its_operators_and_the_channel_says_which_list_it_lacks() {
    let hub = Hub::new(100);
    // the hub is just starting: the second try succeeds
    *hub.rosters.lock().unwrap() = vec![
        Err("nobody answers".to_owned()),
        Ok(RosterAnswer::Operators {
            operators: vec![RosterOperator {
                id: "N-2201".into(),
                name: Some("Sharma, \"Asha\" <ICU>".into()),
                level: "1".into(),
                methods: vec!["ALL".into()],
                until: None,
            }],
        }),
    ];
    let port = Port::new(&hub, |s| {
        s.lists.operators = Give::Always;
        s.lists.patients = Give::Supported;
        s.lists.ward = Some("ICU".into());
        s.dialect.default_zone_minutes = 14 * 60;
    })
    .await;
    let mut device = port.connect().await;
    device.acknowledged(hello("1", &[]), "1").await;
    device.acknowledged(status("2", "0", "0"), "2").await;
    device
        .expect(&[
            "<OPL.R01><HDR>",
            "<OPR.operator_id V=\"N-2201\"/><OPR.name V=\"Sharma, &quot;Asha&quot; &lt;ICU&gt;\"/>",
            "<ACC><ACC.method_cd V=\"ALL\"/><ACC.permission_level_cd V=\"1\"/></ACC></OPR></OPL.R01>",
        ])
        .await;
    // its hello lists no topics at all
    let missing = port.site.missing().unwrap();
    assert_eq!(
        missing,
        "EXAMPLE GP 7 has no patient list: its hello does not list the topic PT_LST"
    );
    device.say(ack("3", "3")).await;
    device
        .expect(&[
            "<EOT.R01>",
            "<EOT.topic_cd V=\"OPL\"/><EOT.update_dttm V=\"20",
        ])
        .await;
    device.say(ack("4", "4")).await;
    device.expect(&["<END.R01>"]).await;
    device.gone().await;
    let asked = hub.questions.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "once more after the error: {asked:?}");
    let RosterQuestion::Operators { on, .. } = &asked[0] else {
        panic!("{asked:?}");
    };
    let there = OffsetDateTime::now_utc() + time::Duration::hours(14);
    assert_eq!(*on, there.date().to_string(), "the day of the device");
}
