//! Tubes that could not be read, and what is not blood, through the whole program.

use serde_json::json;
use tests::{Astm, ChannelToml, HubSettings, eventually, unique};

use super::lab::{Lab, SOON};

const ROWS: &str = "[[code]]\nid = \"x-glu\"\ncode = \"580\"\nchannels = [\"analyzer\"]\nloinc = \"2345-7\"\nucum = \"mg/dL\"\n";

async fn lab() -> Lab {
    Lab::with(ROWS, |servers| {
        HubSettings::new(servers).channel(ChannelToml::new("analyzer").kind("astm"))
    })
    .await
}

fn header() -> String {
    format!(
        "H|\\^&|{}||D-1^SIM|||||||P|LIS2-A2|20260115120334",
        unique("C")
    )
}

async fn asks(line: &mut Astm, place: &str) -> Vec<String> {
    let query = format!("Q|1|{place}||^^^ALL||||||||O");
    line.session(&[header(), query, "L|1|N".to_owned()]).await;
    line.take().await
}

#[tokio::test]
async fn a_tube_that_could_not_be_read_is_never_told_what_is_ordered_for_others() {
    let lab = lab().await;
    let (patient, tube) = (lab.patient().await, unique("S"));
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    lab.place(&patient, glucose, &tube).await;
    let mut line = Astm::connect(lab.hub.mllp("analyzer")).await;
    for unread in ["^^               ^B", "", "^^^B"] {
        let told = asks(&mut line, unread).await;
        assert_eq!(told.len(), 2, "{unread:?}: {told:?}");
        assert!(told[1].starts_with("L|1|I"), "{told:?}");
        assert!(!told.concat().contains(&patient), "{told:?}");
    }
    // read after all, and all that is pending when that is what it asks
    for place in [format!("^^{tube}^B"), format!("^{tube}"), "ALL".to_owned()] {
        let told = asks(&mut line, &place).await;
        assert!(
            told.iter().any(|record| record.contains(&tube)),
            "{place}: {told:?}"
        );
    }
}

#[tokio::test]
async fn a_result_of_urine_waits_until_somebody_says_what_it_is_there() {
    let lab = lab().await;
    let mut line = Astm::connect(lab.hub.mllp("analyzer")).await;
    let measured = async |line: &mut Astm, kind: &str, value: &str| {
        let (patient, tube) = (lab.patient().await, unique("S"));
        let glucose = json!({ "code": "2345-7", "system": "LN" });
        lab.place(&patient, glucose, &tube).await;
        line.session(&[
            header(),
            "P|1".to_owned(),
            format!("O|1|{tube}||^^^580|||||||||||{kind}||||||||||F"),
            format!("R|1|^^^580|{value}|mg/dL||N||F||||20260115121500"),
            "L|1|N".to_owned(),
        ])
        .await;
        patient
    };
    let (urine, serum) = (
        measured(&mut line, "Urine", "12").await,
        measured(&mut line, "Serum", "98").await,
    );
    let result = lab.rest.results(&serum, 1).await.remove(0);
    assert_eq!(result["loinc"], "2345-7");
    let result = lab.rest.results(&urine, 1).await.remove(0);
    assert_eq!(
        (&result["held"], result.get("loinc")),
        (&json!("unknown_code"), None),
        "{result}"
    );
    let item = eventually("it is asked what the code means in urine", SOON, || async {
        let items = lab.rest.items("/api/v1/held").await;
        items.into_iter().find(|item| item["code"] == "580")
    })
    .await;
    assert_eq!(item["code_system"], "@UR");
    let path = format!("/api/v1/held/{}/map", item["id"]);
    let (status, refused) = lab.rest.post(&path, &json!({ "loinc": "5792-8" })).await;
    assert_eq!(status, 400, "a mistyped code: {refused}");
    let meaning = json!({ "loinc": "5792-7", "ucum": "mg/dL" });
    let answer = lab.rest.command(&path, &meaning).await;
    assert_eq!(answer["answer"]["released"], 1, "{answer}");

    let (urine, serum) = (
        measured(&mut line, "UR", "13").await,
        measured(&mut line, "", "97").await,
    );
    let result = lab.rest.results(&urine, 1).await.remove(0);
    assert_eq!(result["loinc"], "5792-7", "from now on: {result}");
    let result = lab.rest.results(&serum, 1).await.remove(0);
    assert_eq!(result["loinc"], "2345-7", "and serum is serum: {result}");
}
