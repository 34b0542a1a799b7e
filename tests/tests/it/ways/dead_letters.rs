//! Dead letters are corrected, replayed and discarded, and never lost.

use serde_json::{Value, json};
use tests::{Mllp, Rest, adt, eventually, shared, unique};

use super::SOON;

#[tokio::test]
async fn a_dead_letter_is_corrected_and_sent_again_as_a_linked_child() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (id, patient) = (unique("DL"), unique("DLP"));
    let bad = adt("A01", &id, &patient).replace(&format!("{patient}^^^HOSP^MR"), "");
    Mllp::connect(world.hub.mllp("adt"))
        .await
        .accepted(&bad)
        .await;
    let letter = letter_of(&rest, &id).await;
    assert_eq!(
        (
            letter["reason"].as_str(),
            letter["stage"].as_str(),
            letter["state"].as_str()
        ),
        (Some("hl7.no_patient"), Some("translate"), Some("open"))
    );

    let answer = rest
        .command(
            &format!("/api/v1/dead-letters/{}/resend", letter["id"]),
            &json!({"body": adt("A01", &id, &patient)}),
        )
        .await;
    let child = answer["answer"]["child"].as_str().unwrap().to_owned();
    eventually("the child took effect", SOON, || async {
        (!rest
            .items(&format!("/api/v1/patients?mrn={patient}"))
            .await
            .is_empty())
        .then_some(())
    })
    .await;
    let parent = letter["raw_id"].as_str().unwrap();
    // the ledger may be a moment behind the effect
    let of_child = format!("/api/v1/messages/{child}");
    eventually("the child is in the ledger", SOON, || async {
        let (status, body) = rest.try_get(&of_child).await;
        (status == 200).then(|| assert_eq!(body["parent"], parent))
    })
    .await;
    let lineage = rest
        .get(&format!("/api/v1/messages/{parent}/lineage"))
        .await;
    assert_eq!(lineage["children"], json!([child]));
    assert_eq!(lineage["dead_letters"], json!([letter["id"]]));
    let closed = rest
        .get(&format!("/api/v1/dead-letters/{}", letter["id"]))
        .await;
    assert_eq!(
        (
            closed["state"].as_str(),
            closed["child"].as_str(),
            closed["resolved_by"].as_str()
        ),
        (Some("resent"), Some(child.as_str()), Some("admin"))
    );
    assert_eq!(
        rest.bytes(&format!("/api/v1/messages/{parent}/body")).await,
        bad.as_bytes(),
        "the original stays"
    );
    let (status, problem) = rest
        .post(
            &format!("/api/v1/dead-letters/{}/resend", letter["id"]),
            &json!({"body": "MSH|"}),
        )
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("dead.closed"))
    );
}

#[tokio::test]
async fn a_dead_letter_is_replayed_as_it_is_and_opens_again_when_it_is_refused_again() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let id = unique("RP");
    let bad = adt("A01", &id, "").replace("^^^HOSP^MR", "");
    Mllp::connect(world.hub.mllp("adt"))
        .await
        .accepted(&bad)
        .await;
    let letter = letter_of(&rest, &id).await;
    rest.command(
        &format!("/api/v1/dead-letters/{}/replay", letter["id"]),
        &json!({}),
    )
    .await;
    eventually(
        "it was refused once more and is open again",
        SOON,
        || async {
            let now = rest
                .get(&format!("/api/v1/dead-letters/{}", letter["id"]))
                .await;
            (now["state"] == "open" && now["attempts"].as_i64()? >= 2).then_some(())
        },
    )
    .await;
    rest.command(
        &format!("/api/v1/dead-letters/{}/discard", letter["id"]),
        &json!({"reason": "a test"}),
    )
    .await;
    assert_eq!(
        rest.get(&format!("/api/v1/dead-letters/{}", letter["id"]))
            .await["state"],
        "discarded"
    );
}

/// The dead letter of the message with this control id.
async fn letter_of(rest: &Rest, control_id: &str) -> Value {
    let raw = rest.message(control_id).await["id"].clone();
    eventually("the dead letter", SOON, || async {
        rest.all_items("/api/v1/dead-letters?state=all&limit=500")
            .await
            .into_iter()
            .find(|letter| letter["raw_id"] == raw)
    })
    .await
}
