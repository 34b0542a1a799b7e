//! What people decide of results: of what they saw, each by itself, with a reason where one is asked for.

use schemas::care::{HoldReason, Observation, Value};
use schemas::commands::{ClaimReport, SecondIdentifier};
use schemas::verification::{CommentResult, Decision, Seen};
use worker_clinical::queries::verification_comments;

use super::support::{at, code, patient, said};
use super::verification::{
    FREE, answer, decide, glucose, lab, measured, pack, refused, rows, seen, states, verify,
};

#[tokio::test]
async fn a_decision_is_of_what_was_seen_and_its_repeat_changes_nothing() {
    let ward = lab(pack(FREE, "")).await;
    ward.apply_one(at(0, &measured(0, vec![glucose("412")])))
        .await;
    let row = rows(&ward).await.remove(0);
    let stale = Seen {
        revision: row.revision + 1,
        ..seen(&row)
    };
    let unknown = Seen {
        verification_id: 999,
        revision: 1,
    };
    for (items, decision, comment, expected) in [
        (
            vec![stale],
            Decision::Verify,
            None,
            "clinical.verification_stale",
        ),
        (
            vec![unknown],
            Decision::Verify,
            None,
            "clinical.verification_unknown",
        ),
        (
            vec![seen(&row)],
            Decision::Reject,
            None,
            "clinical.verification_comment",
        ),
        (
            vec![seen(&row)],
            Decision::Reject,
            Some(" "),
            "clinical.verification_comment",
        ),
        (
            vec![seen(&row)],
            Decision::Reopen,
            Some("x"),
            "clinical.verification_not_open",
        ),
        (
            vec![],
            Decision::Verify,
            None,
            "clinical.verification_items",
        ),
        (
            vec![seen(&row); 2],
            Decision::Verify,
            None,
            "clinical.verification_items",
        ),
    ] {
        let verdict = ward
            .apply_one(decide(items, decision, comment, "dr.rao"))
            .await;
        assert_eq!(refused(&verdict), expected);
    }
    let first = ward.apply_one(verify(&row)).await;
    let again = ward.apply_one(verify(&row)).await;
    assert_eq!(answer(&first), answer(&again));
    assert_eq!(said(&first), ["clinical.report.released"]);
    assert!(said(&again).is_empty());
    let other = decide(vec![seen(&row)], Decision::Verify, None, "dr.sen");
    assert_eq!(
        refused(&ward.apply_one(other).await),
        "clinical.verification_stale"
    );
    let now = rows(&ward).await.remove(0);
    let late = decide(vec![seen(&now)], Decision::Reject, Some("oh"), "dr.rao");
    assert_eq!(
        refused(&ward.apply_one(late).await),
        "clinical.verification_not_open",
        "what was released is corrected by another version only"
    );
}

#[tokio::test]
async fn of_several_each_has_its_own_outcome() {
    let ward = lab(pack(FREE, "")).await;
    let mut body = measured(0, vec![glucose("412"), glucose("413"), glucose("414")]);
    body.results[1].code = code("B");
    body.results[2].code = code("C");
    ward.apply_one(at(0, &body)).await;
    let three = rows(&ward).await;
    let mut items: Vec<Seen> = three.iter().map(seen).collect();
    items[1].revision += 7;
    let verdict = ward
        .apply_one(decide(items, Decision::Verify, None, "dr.rao"))
        .await;
    let answer = answer(&verdict);
    let outcomes: Vec<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["applied", "refused", "applied"]);
    assert_eq!(answer["items"][1]["code"], "clinical.verification_stale");
    assert_eq!(
        states(&ward).await,
        [
            "412 released range",
            "413 needs_review range",
            "414 released range"
        ]
    );
}

#[tokio::test]
async fn two_runs_of_one_test_are_not_verified_together() {
    let ward = lab(pack(FREE, "")).await;
    for (minute, value) in [(0, "412"), (9, "450")] {
        ward.apply_one(at(minute, &measured(minute, vec![glucose(value)])))
            .await;
    }
    let first = rows(&ward).await.remove(0);
    assert_eq!(first.result.failed.as_deref(), Some("run"));
    let reopen = decide(
        vec![seen(&first)],
        Decision::Reopen,
        Some("the dilution was wrong"),
        "dr.rao",
    );
    ward.apply_one(reopen).await;
    let both: Vec<Seen> = rows(&ward).await.iter().map(seen).collect();
    let verdict = ward
        .apply_one(decide(both, Decision::Verify, None, "dr.rao"))
        .await;
    let items = &answer(&verdict)["items"];
    assert_eq!(items[0]["state"], "released");
    assert_eq!(items[1]["code"], "clinical.verification_conflict");
    assert_eq!(
        states(&ward).await,
        ["412 released run", "450 rejected run"],
        "and the other no longer counts"
    );
}

#[tokio::test]
async fn a_rejected_result_settles_its_report_and_can_be_opened_again() {
    let ward = lab(pack(FREE, "")).await;
    let mut body = measured(0, vec![glucose("412"), glucose("100")]);
    body.results[1].code = code("B");
    ward.apply_one(at(0, &body)).await;
    let row = rows(&ward).await.remove(0);
    let reject = decide(
        vec![seen(&row)],
        Decision::Reject,
        Some("drip arm"),
        "dr.rao",
    );
    let verdict = ward.apply_one(reject).await;
    assert_eq!(said(&verdict), ["clinical.report.released"]);
    let row = rows(&ward).await.remove(0);
    assert_eq!(row.result.verification.as_deref(), Some("rejected"));
    let reopen = decide(
        vec![seen(&row)],
        Decision::Reopen,
        Some("wrong one"),
        "dr.rao",
    );
    let verdict = ward.apply_one(reopen).await;
    assert_eq!(said(&verdict), ["clinical.report.reopened"]);
    let mut tx = ward.tx().await;
    let comments = verification_comments(tx.conn(), row.id).await.unwrap();
    assert_eq!(
        comments
            .iter()
            .map(|one| one.comment.as_str())
            .collect::<Vec<_>>(),
        ["drip arm", "wrong one"]
    );
    drop(tx);
    let remark = CommentResult {
        verification_id: row.id,
        comment: "asked the ward".into(),
        actor: "tech".into(),
    };
    ward.apply_one(at(60, &remark)).await;
    let before = rows(&ward).await.remove(0);
    assert_eq!(before.result.decided_by, None);
    ward.apply_one(verify(&before)).await;
    assert_eq!(states(&ward).await[0], "412 released range");
}

#[tokio::test]
async fn two_persons_where_the_pack_asks_for_them_and_a_blocking_flag_needs_a_reason() {
    let ward = lab(pack(&format!("{FREE}\nsecond_person = true"), "")).await;
    let mut body = measured(0, vec![glucose("100")]);
    body.subject = None;
    body.results[0].flags = vec!["CLOT".into()];
    body.results[0].held = Some(HoldReason::NoPatient);
    ward.apply_one(at(0, &body)).await;
    assert_eq!(states(&ward).await, ["100 needs_review patient"]);
    let row = rows(&ward).await.remove(0);
    assert_eq!(
        refused(&ward.apply_one(verify(&row)).await),
        "clinical.verification_held"
    );
    let claim = ClaimReport {
        report_id: row.result.report_id,
        subject: patient("1"),
        second: SecondIdentifier::Name,
        actor: "tech".into(),
    };
    ward.apply_one(at(1, &claim)).await;
    assert_eq!(states(&ward).await, ["100 needs_review flags"]);
    let row = rows(&ward).await.remove(0);
    assert!(row.blocked);
    assert_eq!(row.makers, ["tech"]);
    let own = decide(vec![seen(&row)], Decision::Verify, Some("fine"), "tech");
    assert_eq!(
        refused(&ward.apply_one(own).await),
        "clinical.verification_not_allowed"
    );
    assert_eq!(
        refused(&ward.apply_one(verify(&row)).await),
        "clinical.verification_comment"
    );
    let other = decide(
        vec![seen(&row)],
        Decision::Verify,
        Some("clot removed"),
        "dr.rao",
    );
    ward.apply_one(other).await;
    assert_eq!(states(&ward).await, ["100 released flags"]);
    assert_eq!(
        ward.text("select detail->>'against_a_blocking_flag' from audit.entries where action = 'clinical.result.decide'").await,
        format!("[{}]", row.id)
    );
}

#[tokio::test]
async fn a_number_without_meaning_can_not_be_verified_and_a_remark_of_the_instrument_can() {
    let ward = lab(pack(FREE, "")).await;
    let unknown = |result: Observation| Observation {
        held: Some(HoldReason::UnknownCode),
        mapped: None,
        ..result
    };
    let remark = Observation {
        code: code("SCAT"),
        value: Value::Text {
            text: "WDF.png".into(),
        },
        ..glucose("")
    };
    let body = measured(0, vec![unknown(glucose("100")), unknown(remark)]);
    ward.apply_one(at(0, &body)).await;
    let both = rows(&ward).await;
    assert_eq!(
        refused(&ward.apply_one(verify(&both[0])).await),
        "clinical.verification_held"
    );
    ward.apply_one(verify(&both[1])).await;
    let reject = decide(
        vec![seen(&both[0])],
        Decision::Reject,
        Some("research channel"),
        "dr.rao",
    );
    let verdict = ward.apply_one(reject).await;
    assert_eq!(said(&verdict), ["clinical.report.released"]);
    assert_eq!(
        states(&ward).await,
        ["100 rejected meaning", "WDF.png released meaning"]
    );
}
