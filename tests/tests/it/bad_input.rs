//! Malformed and odd input: each is answered as documented, its bytes are kept and found over REST, and nobody else is
//! disturbed. The rows are the documentation: `adapters/hl7v2/ANSWERS.md` is written from them
//! (`UPDATE_DOCS=1 cargo test -p tests answers`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::Value;
use tests::{Mllp, Rest, World, eventually, oru, shared, unique};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpSocket;

mod rows;
mod table;

use table::{After, Keep, Row, Step};

/// Rows that run at the same moment.
const AT_ONCE: usize = 12;
/// Longest wait for one answer of the hub.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest way from the acknowledgement to the ledger.
const FOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn odd_and_malformed_input_is_answered_as_documented_kept_and_disturbs_nobody() {
    let world = shared().await;
    let rows = rows::all();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let rest = world.hub.sign_in().await;

    let done = AtomicBool::new(false);
    let undisturbed = AtomicUsize::new(0);
    let bystander = async {
        let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
        let mut slowest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            let id = unique("BY");
            let answer = peer
                .send(oru(
                    &id,
                    &unique("BYS"),
                    &unique("S"),
                    &[("GLU", "90", "mg/dL")],
                ))
                .await;
            assert_eq!(
                (answer.code.as_str(), answer.control_id.as_str()),
                ("AA", id.as_str())
            );
            undisturbed.fetch_add(1, Ordering::Relaxed);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let trials = async {
        let failures: Vec<String> = futures::stream::iter(&rows)
            .map(|row| {
                let (world, rest) = (&world, &rest);
                async move {
                    play(world, rest, row).await.map_err(|why| {
                        let text = format!("{}: {why}", row.name);
                        eprintln!("{text}");
                        text
                    })
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(|outcome| std::future::ready(outcome.err()))
            .collect()
            .await;
        done.store(true, Ordering::Relaxed);
        failures
    };
    let (slowest, failures) = tokio::join!(bystander, trials);

    assert!(
        failures.is_empty(),
        "{} of {} rows:\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n")
    );
    assert!(
        undisturbed.load(Ordering::Relaxed) >= 20,
        "the bystander got {undisturbed:?} answers"
    );
    // the time in which an analyzer would repeat (lab-devices §1.3)
    assert!(
        slowest < Duration::from_secs(5),
        "the bystander waited {slowest:?}"
    );
}

#[test]
fn the_table_of_answers_is_as_documented() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../adapters/hl7v2/ANSWERS.md");
    let written = table::document(&rows::all());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, &written).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        committed == written,
        "{file} differs from the rows; run with UPDATE_DOCS=1"
    );
}

#[tokio::test]
async fn sixty_four_connections_at_once_are_all_served() {
    let world = shared().await;
    let address = world.hub.mllp("lab");
    let answers = futures::future::join_all((0..64).map(|_| async move {
        let mut peer = Mllp::connect(address).await;
        let mut codes = Vec::new();
        for _ in 0..3 {
            codes.push(
                peer.send(oru(
                    &unique("C64"),
                    &unique("P64"),
                    &unique("S"),
                    &[("GLU", "90", "mg/dL")],
                ))
                .await
                .code,
            );
        }
        codes
    }))
    .await;
    assert!(
        answers.iter().flatten().all(|code| code == "AA"),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_and_the_others_go_on() {
    let world = shared().await;
    let address = world.hub.mllp("few");
    // others of this test binary look at the port while it starts: wait until their places are free
    let mut held = eventually(
        "three connections are served",
        Duration::from_secs(10),
        || async {
            let mut held = Vec::new();
            for _ in 0..3 {
                let mut peer = Mllp::connect(address).await;
                peer.try_send(oru(
                    &unique("FEW"),
                    &unique("PF"),
                    &unique("S"),
                    &[("GLU", "90", "mg/dL")],
                ))
                .await?;
                held.push(peer);
            }
            Some(held)
        },
    )
    .await;

    let mut fourth = Mllp::connect(address).await;
    assert!(fourth.is_closed_within(Duration::from_secs(5)).await);
    for peer in &mut held {
        assert_eq!(
            peer.send(oru(
                &unique("FEW"),
                &unique("PF"),
                &unique("S"),
                &[("GLU", "90", "mg/dL")]
            ))
            .await
            .code,
            "AA"
        );
    }
    drop(held.pop());
    eventually(
        "the place of who left is free",
        Duration::from_secs(5),
        || async {
            let mut next = Mllp::connect(address).await;
            next.try_send(oru(
                &unique("FEW"),
                &unique("PF"),
                &unique("S"),
                &[("GLU", "90", "mg/dL")],
            ))
            .await
        },
    )
    .await;
}

#[tokio::test]
async fn a_sender_that_never_reads_has_all_its_messages_kept_and_the_others_are_served() {
    const COUNT: usize = 300;
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let patient = unique("DEAF");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut deaf = socket.connect(world.hub.mllp("lab")).await.unwrap();
    let mut all = Vec::new();
    for n in 0..COUNT {
        all.extend(tests::frame(
            oru(
                &unique("DF"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "90", "mg/dL")],
            )
            .as_bytes(),
        ));
    }
    tokio::io::AsyncWriteExt::write_all(&mut deaf, &all)
        .await
        .unwrap();

    let mut other = Mllp::connect(world.hub.mllp("lab")).await;
    assert_eq!(
        other
            .send(oru(
                &unique("C"),
                &unique("P"),
                &unique("S"),
                &[("GLU", "90", "mg/dL")]
            ))
            .await
            .code,
        "AA"
    );
    assert_eq!(rest.results(&patient, COUNT).await.len(), COUNT);
}

/// Plays one row and says what was not as documented.
async fn play(world: &World, rest: &Rest, row: &Row) -> Result<(), String> {
    let began = OffsetDateTime::now_utc();
    let mut peer = Some(
        Mllp::try_connect(world.hub.mllp(row.channel))
            .await
            .map_err(|error| error.to_string())?,
    );
    for step in &row.steps {
        let Some(open) = peer.as_mut() else {
            return Err("a step after the end".into());
        };
        match step {
            // when the hub has refused and closed, writing fails: what matters is its answer
            Step::Write(bytes) => drop(open.write(bytes).await),
            Step::Trickle(bytes) => {
                for byte in bytes {
                    let _ = open.write(&[*byte]).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Step::Quiet(time) => tokio::time::sleep(*time).await,
            Step::EndWriting => drop(tokio::io::AsyncWriteExt::shutdown(&mut open.stream).await),
            Step::Leave => peer = None,
            Step::Reset => {
                if let Some(open) = peer.take() {
                    open.stream
                        .set_zero_linger()
                        .map_err(|error| error.to_string())?;
                }
            }
        }
    }
    if let Some(peer) = peer.as_mut() {
        for (n, (code, id)) in row.answers.iter().enumerate() {
            let Some(answer) = peer.answer(ANSWER).await else {
                return Err(format!(
                    "answer {} of {} does not come",
                    n + 1,
                    row.answers.len()
                ));
            };
            if (answer.code.as_str(), answer.control_id.as_str()) != (code.as_str(), id.as_str()) {
                return Err(format!(
                    "answer {} is {} for `{}`, documented is {code} for `{id}`",
                    n + 1,
                    answer.code,
                    answer.control_id
                ));
            }
            if !answer.raw.ends_with(b"\r") {
                return Err("the answer's last segment has no end".into());
            }
        }
        match row.after {
            After::Open => {
                let id = unique("AFT");
                match peer
                    .try_send(oru(
                        &id,
                        &unique("PA"),
                        &unique("S"),
                        &[("GLU", "90", "mg/dL")],
                    ))
                    .await
                {
                    Some(answer) if answer.control_id == id && answer.code == "AA" => {}
                    Some(answer) => {
                        return Err(format!(
                            "an answer too many: {} for `{}` ({})",
                            answer.code, answer.control_id, answer.text
                        ));
                    }
                    None => return Err("the connection serves no more".into()),
                }
            }
            After::Closed => {
                if !peer.is_closed_within(Duration::from_secs(10)).await {
                    return Err("the connection stays open".into());
                }
                if peer.rest().contains(&0x0b) {
                    return Err(format!(
                        "an answer too many: {}",
                        String::from_utf8_lossy(peer.rest())
                    ));
                }
            }
        }
    }
    for keep in &row.kept {
        kept(rest, row, keep, began).await?;
    }
    Ok(())
}

/// The bytes are in the ledger, byte by byte, with the outcome that is documented.
async fn kept(rest: &Rest, row: &Row, keep: &Keep, began: OffsetDateTime) -> Result<(), String> {
    let message = find(rest, row.channel, keep, began).await?;
    if message["outcome"] != keep.outcome {
        return Err(format!(
            "outcome is {}, documented is {}",
            message["outcome"], keep.outcome
        ));
    }
    let Some(reason) = keep.reason else {
        return Ok(());
    };
    let id = message["id"].as_str().unwrap_or_default();
    let letter = dead_letter(rest, row.channel, id).await;
    if letter["reason"] != reason {
        return Err(format!(
            "the dead letter's reason is {}, documented is {reason}",
            letter["reason"]
        ));
    }
    Ok(())
}

/// The newest ledger row with these bytes: by its control id where it must be found so, else among all that came since.
async fn find(
    rest: &Rest,
    channel: &str,
    keep: &Keep,
    began: OffsetDateTime,
) -> Result<Value, String> {
    let from = tests::encode(&began.format(&Rfc3339).unwrap());
    let base = format!("/api/v1/messages?channel={channel}&from={from}&limit=500");
    let path = match &keep.control_id {
        Some(id) => format!("{base}&control_id={}", tests::encode(id)),
        None => base,
    };
    let deadline = Instant::now() + FOUND;
    let mut others = HashSet::new();
    loop {
        for item in rest.all_items(&path).await {
            let id = item["id"].as_str().unwrap_or_default();
            if item["size"] != keep.bytes.len() || others.contains(id) {
                continue;
            }
            if rest.bytes(&format!("/api/v1/messages/{id}/body")).await == keep.bytes {
                return Ok(item);
            }
            others.insert(id.to_owned());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "the {} bytes are not found in the ledger ({path})",
                keep.bytes.len()
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn dead_letter(rest: &Rest, channel: &str, raw_id: &str) -> Value {
    eventually("the dead letter", Duration::from_secs(20), || async {
        rest.all_items(&format!("/api/v1/dead-letters?channel={channel}&limit=500"))
            .await
            .into_iter()
            .find(|letter| letter["raw_id"] == raw_id)
    })
    .await
}
