//! Two records of one person are merged over REST, and parted again.

use serde_json::json;
use tests::{Mllp, adt, eventually, oru, shared, unique};

use super::SOON;

#[tokio::test]
async fn two_records_are_merged_and_parted_again_over_rest_and_both_numbers_lead_to_the_person() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (kept, retired) = (unique("MGA"), unique("MGB"));
    let mut adt_peer = Mllp::connect(world.hub.mllp("adt")).await;
    let mut ids = Vec::new();
    for number in [&kept, &retired] {
        adt_peer.accepted(adt("A28", &unique("C"), number)).await;
        ids.push(
            eventually("the patient", SOON, || async {
                Some(
                    rest.items(&format!("/api/v1/patients?mrn={number}"))
                        .await
                        .first()?["id"]
                        .as_str()?
                        .to_owned(),
                )
            })
            .await,
        );
    }
    let mut lab = Mllp::connect(world.hub.mllp("lab")).await;
    lab.accepted(oru(
        &unique("C"),
        &retired,
        &unique("S"),
        &[("GLU", "5", "mg/dL")],
    ))
    .await;
    rest.results(&retired, 1).await;

    rest.command(
        &format!("/api/v1/patients/{}/merge", ids[0]),
        &json!({"retired": ids[1], "reason": "registered twice"}),
    )
    .await;
    for number in [&kept, &retired] {
        assert_eq!(rest.results(number, 1).await.len(), 1, "{number}");
        assert_eq!(
            rest.items(&format!("/api/v1/patients?mrn={number}")).await[0]["id"],
            ids[0].as_str(),
            "{number}"
        );
    }
    assert_eq!(
        rest.get(&format!("/api/v1/patients/{}", ids[1])).await["merged_into"],
        ids[0].as_str()
    );

    rest.command(
        &format!("/api/v1/patients/{}/unmerge", ids[1]),
        &json!({"reason": "two people"}),
    )
    .await;
    assert_eq!(rest.results(&retired, 1).await.len(), 1);
    assert!(
        rest.items(&format!("/api/v1/results?patient_identifier={kept}"))
            .await
            .is_empty()
    );
    let trail = rest
        .items(&format!("/api/v1/audit?touched={}", ids[1]))
        .await;
    assert!(
        trail.len() >= 2,
        "merge and unmerge are in the trail: {trail:?}"
    );
}

#[tokio::test]
async fn a_merge_that_was_made_already_is_answered_as_the_api_documents_it() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let mut peer = Mllp::connect(world.hub.mllp("adt")).await;
    let mut ids = Vec::new();
    for number in [unique("MGC"), unique("MGD")] {
        peer.accepted(adt("A28", &unique("C"), &number)).await;
        let path = format!("/api/v1/patients?mrn={number}");
        ids.push(
            eventually("the patient", SOON, || async {
                Some(rest.items(&path).await.first()?["id"].as_str()?.to_owned())
            })
            .await,
        );
    }
    let (path, body) = (
        format!("/api/v1/patients/{}/merge", ids[0]),
        json!({"retired": ids[1], "reason": "registered twice"}),
    );
    rest.command(&path, &body).await;
    let (status, answer) = rest.post(&path, &body).await;
    let document = rest.get("/api/openapi.json").await;
    let documented =
        document["paths"]["/api/v1/patients/{id}/merge"]["post"]["responses"]["409"]["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    assert!(
        !documented.contains("merged already") || status == 409,
        "documented is 409 ({documented}), answered was {status}: {answer}"
    );
}
