//! The ways of a message through the whole program.

use std::time::{Duration, Instant};

use tests::{Mllp, encode, oru, shared, unique};

#[tokio::test]
async fn a_result_is_visible_over_rest_within_two_seconds_coded_and_uncoded() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    let (patient, specimen, odd) = (unique("MRN"), unique("S"), unique("ODD"));
    let message = oru(
        &unique("C"),
        &patient,
        &specimen,
        &[("GLU", "104", "mg/dL"), (&odd, "7", "")],
    );

    assert_eq!(peer.send(&message).await.code, "AA");
    let acknowledged = Instant::now();
    let path = format!("/api/v1/results?patient_identifier={}", encode(&patient));
    let results = tests::eventually("both results", Duration::from_secs(2), || async {
        let items = rest.items(&path).await;
        (items.len() == 2).then_some(items)
    })
    .await;

    assert!(
        acknowledged.elapsed() <= Duration::from_secs(2),
        "{:?}",
        acknowledged.elapsed()
    );
    assert_eq!(
        results
            .iter()
            .find(|result| result["code"]["code"] == "GLU")
            .unwrap()["loinc"],
        "2345-7"
    );
    let uncoded = results
        .iter()
        .find(|result| result["code"]["code"] == odd.as_str())
        .unwrap();
    assert_eq!(
        (uncoded["raw_value"].as_str(), uncoded["held"].as_str()),
        (Some("7"), Some("unknown_code"))
    );
}
