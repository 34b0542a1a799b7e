//! Samples that come again, that two instruments measure, or that do not say whose they are.

use serde_json::{Value, json};
use tests::{Mllp, encode, unique};

use super::{AT, Lab, message};

#[tokio::test]
async fn what_an_instrument_sends_again_the_next_day_under_new_numbers_changes_nothing() {
    let lab = Lab::open().await;
    let patient = unique("MRN");
    let tubes: Vec<String> = (0..5).map(|_| unique("T")).collect();
    let mut line = lab.line("one").await;
    let mut peer = Mllp::connect(lab.address("lab")).await;
    for (day, at) in [AT, "20260116070000", "20260117070000"]
        .into_iter()
        .enumerate()
    {
        for (n, tube) in tubes.iter().enumerate() {
            let value = format!("{}.4", n + 5);
            line.session(&message(&unique("C"), &patient, tube, &value, at))
                .await;
            let sent = peer
                .send(hl7(&unique("C"), &patient, &format!("H{tube}"), &value, at))
                .await;
            assert_eq!(sent.code, "AA");
            lab.arrivals(tube, day + 1).await;
            lab.arrivals(&format!("H{tube}"), day + 1).await;
        }
    }
    lab.rest.results(&patient, 10).await;
    let every = format!(
        "/api/v1/results?patient_identifier={}&versions=all&limit=500",
        encode(&patient)
    );
    let every = lab.rest.items(&every).await;
    let values: Vec<(&Value, &Value)> = every
        .iter()
        .map(|one| (&one["specimen_number"], &one["version"]))
        .collect();
    assert_eq!(values.len(), 10, "{values:?}");
}

#[tokio::test]
async fn each_tube_of_a_rack_finds_the_message_it_came_in() {
    let lab = Lab::open().await;
    let tubes: Vec<String> = (0..70).map(|_| unique("T")).collect();
    let records = |control: &str, with_results: bool| {
        let mut records = vec![format!("H|\\^&|{control}||RACK||||||||P|1|{AT}")];
        for (n, tube) in tubes.iter().enumerate() {
            records.push(format!("P|{}", n + 1));
            records.push(format!("O|1|{tube}||^^^WBC|R"));
            if with_results {
                records.push("R|1|^^^WBC|7.4|10*3/uL||N||F||||20260115120334".to_owned());
            }
        }
        records.push("L|1|N".to_owned());
        records
    };
    let (results, orders) = (unique("C"), unique("C"));
    let mut line = lab.line("one").await;
    line.session(&records(&results, true)).await;
    // an instrument that lists what it can't do says it without results
    line.session(&records(&orders, false)).await;
    for control in [&results, &orders] {
        lab.rest.message(control).await;
    }
    for tube in [&tubes[0], &tubes[1], &tubes[64], &tubes[69]] {
        let outcomes = lab.arrivals(tube, 2).await;
        assert_eq!(outcomes, ["not_translated", "translated"], "{tube}");
    }
    let path = format!("/api/v1/messages?accession={}", encode(&tubes[69]));
    let newest = &lab.rest.items(&path).await[0];
    assert_eq!(newest["accession"], tubes[0].as_str());
    assert_eq!(newest["more_accessions"].as_array().unwrap().len(), 69);
}

#[tokio::test]
async fn two_instruments_with_the_same_specimen_number_each_keep_their_results() {
    let lab = Lab::open().await;
    let patient = lab.patient("Rao").await;
    let tube = unique("T");
    lab.order(&patient, &tube).await;
    for (channel, value) in [("one", "7.4"), ("two", "9.9")] {
        let mut line = lab.line(channel).await;
        line.session(&message(&unique("C"), "", &tube, value, AT))
            .await;
    }
    let results = lab.rest.results(&patient, 2).await;
    let mut found: Vec<(&str, &str, &Value)> = results
        .iter()
        .map(|one| {
            (
                one["channel"].as_str().unwrap(),
                one["raw_value"].as_str().unwrap(),
                &one["version"],
            )
        })
        .collect();
    found.sort_by_key(|one| one.0);
    assert_eq!(
        found,
        [("one", "7.4", &json!(1)), ("two", "9.9", &json!(1))]
    );
}

#[tokio::test]
async fn a_sample_without_name_and_number_waits_in_plain_sight_until_somebody_claims_it() {
    let lab = Lab::open().await;
    let patient = lab.patient("Claimed").await;
    // values by which these are found again
    let (astm, oru) = ("3.91", "3.92");
    let mut line = lab.line("one").await;
    line.session(&message(&unique("C"), "", "", astm, AT)).await;
    let sent = Mllp::connect(lab.address("lab"))
        .await
        .send(hl7(&unique("C"), "", "", oru, AT))
        .await;
    assert_eq!(sent.code, "AA");
    for (channel, value) in [("one", astm), ("lab", oru)] {
        let row = lab
            .waits(&format!("the sample of {channel}"), |row| {
                row["reason"] == "no_specimen" && row["channel"] == channel
            })
            .await;
        let id = row["report_id"].as_str().unwrap();
        assert!(row["tests"].to_string().contains("WBC"), "{row}");
        let claim = format!("/api/v1/worklists/unmatched/{id}/claim");
        // one identifier is not enough, and the second must be his
        let (status, answer) = lab
            .rest
            .post(&claim, &json!({ "patient_identifier": patient }))
            .await;
        assert!((400..500).contains(&status), "{status} {answer}");
        let stranger = json!({ "patient_identifier": patient, "birth_date": "1901-01-01" });
        let (status, answer) = lab.rest.post(&claim, &stranger).await;
        assert!((400..500).contains(&status), "{status} {answer}");
        lab.rest
            .command(
                &claim,
                &json!({ "patient_identifier": patient, "birth_date": "1980-05-17" }),
            )
            .await;
        let results = lab.rest.results(&patient, 1).await;
        assert!(
            results.iter().any(|one| one["raw_value"] == value),
            "{results:?}"
        );
    }
}

#[tokio::test]
async fn a_name_or_the_end_of_a_number_in_the_specimen_field_finds_nobody() {
    let lab = Lab::open().await;
    let family = unique("Kulkarni");
    let patient = lab.patient(&family).await;
    let tube = unique("ACC-S1-");
    lab.order(&patient, &tube).await;
    let tail = &tube[tube.len() - 4..];
    let typed = [
        family.clone(),
        format!("{family} GIVEN"),
        patient.clone(),
        tail.to_owned(),
        format!("0{tube}"),
    ];
    let mut line = lab.line("one").await;
    for number in &typed {
        line.session(&message(&unique("C"), "", number, "7.4", AT))
            .await;
        let row = lab
            .waits(&format!("{number} on the worklist"), |row| {
                row["specimen_number"] == number.as_str()
            })
            .await;
        assert_eq!(row["reason"], "unknown_specimen", "{row}");
    }
    let path = format!("/api/v1/results?patient_identifier={}", encode(&patient));
    assert!(lab.rest.items(&path).await.is_empty());
    // blanks around it are no part of a number
    line.session(&message(&unique("C"), "", &format!("  {tube} "), "7.4", AT))
        .await;
    assert_eq!(
        lab.rest.results(&patient, 1).await[0]["specimen_number"],
        tube.as_str()
    );
}

/// The same count as HL7.
fn hl7(control: &str, patient: &str, tube: &str, value: &str, at: &str) -> String {
    let patient = match patient {
        "" => String::new(),
        number => format!("{number}^^^HOSP^MR"),
    };
    format!(
        "MSH|^~\\&|Maglumi User||Lis||{at}||OUL^R22|{control}|P|2.5.1\rPID|1||{patient}\r\
         SPM|1|{tube}||Serum\rOBR|1|||WBC\rOBX|1|NM|WBC||{value}|10*3/uL|4.0-10.0|N|||F|||20260115120334\r"
    )
}
