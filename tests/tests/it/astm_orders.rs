//! Orders to instruments that speak ASTM, through the whole program: placed over REST, asked for by Q record, measured, verified,
//! released. The instrument is written from LIS01-A2 and LIS02-A2 and shares no code with the hub.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::{Astm, ChannelToml, HubSettings, unique};

use super::lab::{Lab, port};

const ROWS: &str = "[[code]]\nid = \"x-glu\"\ncode = \"580\"\nchannels = [\"analyzer\"]\nloinc = \"2345-7\"\n\
    [[order]]\nid = \"x-lipid\"\ncode = \"LIPID\"\nchannels = [\"analyzer\"]\ninstrument = [\"CHOL\", \"TRIG\"]\n";

/// A field of the one record with this letter; fields count from the letter, which is 1.
fn field(records: &[String], letter: &str, number: usize) -> String {
    let mut found = records
        .iter()
        .filter(|record| record.split('|').next() == Some(letter));
    let record = found
        .next()
        .unwrap_or_else(|| panic!("no {letter} in {records:?}"));
    assert!(found.next().is_none(), "two {letter} in {records:?}");
    let field = record.split('|').nth(number - 1);
    field.unwrap_or_default().to_owned()
}

fn header() -> String {
    format!(
        "H|\\^&|{}||D-1^SIM|||||||P|LIS2-A2|20260115120334",
        unique("C")
    )
}

/// Asks what is to be done with the tube; told within the second that an operator waits.
async fn asks(line: &mut Astm, tube: &str) -> Vec<String> {
    let query = format!("Q|1|^{tube}||^^^ALL||||||||O");
    line.session(&[header(), query, "L|1|N".to_owned()]).await;
    let began = Instant::now();
    let told = line.take().await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert!(told[0].starts_with("H|\\^&|"), "{told:?}");
    told
}

/// Sends results of the tube, with nothing of the patient.
async fn reports(line: &mut Astm, tube: &str, values: &[(&str, &str)]) {
    let tests = values.iter().fold(String::new(), |mut text, (code, _)| {
        let joint = if text.is_empty() { "" } else { "\\" };
        write!(text, "{joint}^^^{code}").unwrap();
        text
    });
    let mut records = vec![
        header(),
        "P|1".to_owned(),
        format!("O|1|{tube}||{tests}|S||||||N||||SER||||||||||F"),
    ];
    for (n, (code, value)) in values.iter().enumerate() {
        records.push(format!(
            "R|{}|^^^{code}|{value}|mg/dL||N||F||||20260115121500",
            n + 1
        ));
    }
    records.push("L|1|N".to_owned());
    line.session(&records).await;
}

async fn astm_loop(lab: &Lab, line: &mut Astm) {
    let (patient, tube) = (lab.patient().await, unique("S"));
    // nobody knows it: told at once
    let told = asks(line, &tube).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(field(&told, "L", 3), "I");

    let glucose = json!({ "code": "2345-7", "system": "LN" });
    let glucose = lab.place(&patient, glucose, &tube).await;
    let lipid = lab.place(&patient, json!({ "code": "LIPID" }), &tube).await;
    // asked twice before anything is measured: the same set
    for _ in 0..2 {
        let told = asks(line, &tube).await;
        assert_eq!(field(&told, "P", 3), patient);
        assert_eq!(field(&told, "O", 3), tube);
        assert_eq!(field(&told, "O", 5), "^^^580\\^^^CHOL\\^^^TRIG");
        assert_eq!(
            [6, 12, 16, 26].map(|n| field(&told, "O", n)).concat(),
            "SNSERQ",
            "{told:?}"
        );
        assert_eq!(field(&told, "L", 3), "F");
    }
    for order in [&glucose, &lipid] {
        let sent = lab.sent(order, "analyzer", "perform", "delivered").await;
        assert_eq!(sent["occasion"], "query");
    }

    reports(line, &tube, &[("580", "98")]).await;
    lab.completed(&glucose).await;
    let results = lab.rest.results(&patient, 1).await;
    assert_eq!(results[0]["loinc"], "2345-7");
    assert_eq!(results[0]["specimen_number"], tube.as_str());
    lab.released(&patient, 1).await;

    // what is done is not asked for any more, what was given up is taken back
    let told = asks(line, &tube).await;
    assert_eq!(field(&told, "O", 5), "^^^CHOL\\^^^TRIG");
    lab.cancel(&lipid).await;
    let told = asks(line, &tube).await;
    assert_eq!(
        (field(&told, "O", 5), field(&told, "O", 12)),
        ("^^^CHOL\\^^^TRIG".into(), "C".into())
    );
    lab.sent(&lipid, "analyzer", "cancel", "delivered").await;
    let answered = lab.answered(&tube, 5).await;
    let count = |outcome: &str| answered.iter().filter(|one| one.0 == outcome).count();
    assert_eq!((answered.len(), count("unknown")), (5, 1), "{answered:?}");

    // a panel of which one test comes later is done when both are there
    let (patient, tube) = (lab.patient().await, unique("S"));
    let lipid = lab.place(&patient, json!({ "code": "LIPID" }), &tube).await;
    asks(line, &tube).await;
    reports(line, &tube, &[("CHOL", "187")]).await;
    lab.rest.results(&patient, 1).await;
    assert_ne!(lab.order(&lipid).await["status"], "completed");
    reports(line, &tube, &[("TRIG", "121")]).await;
    lab.completed(&lipid).await;
    lab.released(&patient, 2).await;
    let told = asks(line, &tube).await;
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn over_tcp_the_loop_from_order_to_released_report_is_closed() {
    let lab = Lab::with(ROWS, |servers| {
        let channel = ChannelToml::new("analyzer").kind("astm");
        HubSettings::new(servers).channel(channel.tables("[channel.settings]\nverify = true\n"))
    })
    .await;
    let mut line = Astm::connect(lab.hub.mllp("analyzer")).await;
    astm_loop(&lab, &mut line).await;
    let metrics = lab.rest.text("/metrics").await;
    assert!(
        metrics.contains("hub_worklist_questions_total"),
        "{metrics}"
    );
}

#[tokio::test]
async fn over_a_serial_line_the_loop_from_order_to_released_report_is_closed() {
    let lab = Lab::with(ROWS, |servers| {
        let mut settings = HubSettings::new(servers);
        settings.more += &format!(
            "\n[[channel]]\nid = \"analyzer\"\ntenant = \"demo\"\nkind = \"astm\"\n[channel.settings]\nverify = true\n\
             [channel.settings.serial]\nport = \"{}\"\nbaud = 9600\nretry_first_ms = 50\nretry_longest_ms = 200\n",
            port(servers, "analyzer").display()
        );
        settings
    })
    .await;
    astm_loop(&lab, &mut Astm::plug_in(&lab.port("analyzer"))).await;
}
