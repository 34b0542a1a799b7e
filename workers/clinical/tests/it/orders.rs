//! The life of an order.

use hub_core::Verdict;
use schemas::care::{OrderControl, Specimen};
use worker_clinical::queries::{
    OrderFilter, OrderRow, Page, orders_for_subjects, specimens_by_number, specimens_of_order,
};

use super::support::{Ward, at, key, number, order, report, said};

async fn orders(ward: &Ward) -> Vec<OrderRow> {
    let mut tx = ward.tx().await;
    orders_for_subjects(
        tx.conn(),
        &[key("1").0],
        &OrderFilter::default(),
        Page::first(10),
    )
    .await
    .unwrap()
}

async fn status(ward: &Ward) -> String {
    let mut orders = orders(ward).await;
    assert_eq!(orders.len(), 1);
    orders.remove(0).status
}

#[tokio::test]
async fn an_order_is_placed_held_released_asked_to_be_cancelled_and_cancelled() {
    let ward = Ward::new().await;
    for (minute, control, expected) in [
        (0, OrderControl::New, "active"),
        (1, OrderControl::Hold, "on_hold"),
        (2, OrderControl::Release, "active"),
        (3, OrderControl::CancelRequest, "cancel_requested"),
        (4, OrderControl::Cancelled, "revoked"),
    ] {
        let verdict = ward.apply_one(at(minute, &order(control, "P1"))).await;
        assert_eq!(said(&verdict), ["clinical.order.changed"]);
        assert_eq!(status(&ward).await, expected);
    }
    // results do not bring a revoked order back
    let mut done = report("F", vec![number("GLU", "5", "F")]);
    done.placer_number = Some("P1".into());
    assert_eq!(
        said(&ward.apply_one(at(5, &done)).await),
        ["clinical.report.filed"]
    );
    assert_eq!(status(&ward).await, "revoked");
}

#[tokio::test]
async fn a_repeated_order_changes_nothing() {
    let ward = Ward::new().await;
    let body = order(OrderControl::New, "P1");
    let verdicts = ward.apply(&[at(0, &body), at(1, &body)]).await;
    assert!(matches!(verdicts[1], Verdict::Unchanged));
    assert!(matches!(
        ward.apply_one(at(2, &body)).await,
        Verdict::Unchanged
    ));
    assert_eq!(orders(&ward).await[0].version, 1);
}

#[tokio::test]
async fn final_results_complete_the_order_and_preliminary_ones_do_not() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &order(OrderControl::New, "P1"))).await;
    let mut result = report("P", vec![number("GLU", "5", "P")]);
    result.placer_number = Some("P1".into());
    ward.apply_one(at(1, &result)).await;
    assert_eq!(status(&ward).await, "active");
    result.status = Some("F".into());
    result.results[0].status = Some("F".into());
    let verdict = ward.apply_one(at(2, &result)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.amended", "clinical.order.changed"]
    );
    assert_eq!(status(&ward).await, "completed");
}

#[tokio::test]
async fn an_order_and_its_result_in_one_batch_and_an_order_after_its_result_are_completed() {
    let ward = Ward::new().await;
    let mut result = report("F", vec![number("GLU", "5", "F")]);
    result.placer_number = Some("P1".into());
    ward.apply(&[at(1, &result), at(0, &order(OrderControl::New, "P1"))])
        .await;
    assert_eq!(status(&ward).await, "completed");

    let ward = Ward::new().await;
    ward.apply_one(at(1, &result)).await;
    ward.apply_one(at(0, &order(OrderControl::New, "P1"))).await;
    assert_eq!(status(&ward).await, "completed");
}

#[tokio::test]
async fn another_code_or_patient_does_not_complete_an_order() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &order(OrderControl::New, "P1"))).await;
    let mut other = report("F", vec![]);
    other.placer_number = Some("P1".into());
    other.code.code = "CBC".into();
    let mut stranger = report("F", vec![]);
    stranger.placer_number = Some("P1".into());
    stranger.subject = Some(super::support::patient("2"));
    ward.apply(&[at(1, &other), at(1, &stranger)]).await;
    assert_eq!(status(&ward).await, "active");
}

#[tokio::test]
async fn an_older_fact_fills_gaps_but_overrules_nothing() {
    let ward = Ward::new().await;
    ward.apply_one(at(5, &order(OrderControl::Cancelled, "P1")))
        .await;
    let mut late = order(OrderControl::New, "P1");
    late.priority = Some("stat".into());
    ward.apply_one(at(0, &late)).await;
    let order = orders(&ward).await.remove(0);
    assert_eq!(
        (order.status.as_str(), order.priority.as_deref()),
        ("revoked", Some("stat"))
    );
}

#[tokio::test]
async fn the_filler_answers_with_its_own_number_and_later_with_that_alone() {
    let ward = Ward::new().await;
    let mut accepted = order(OrderControl::Status, "P1");
    accepted.filler_number = Some("F9".into());
    let mut done = order(OrderControl::Status, "");
    done.placer_number = None;
    done.filler_number = Some("F9".into());
    done.subject = None;
    done.status = Some("CM".into());
    ward.apply(&[at(0, &order(OrderControl::New, "P1")), at(1, &accepted)])
        .await;
    ward.apply_one(at(2, &done)).await;
    assert_eq!(status(&ward).await, "completed");

    let ward = Ward::new().await;
    ward.apply(&[
        at(0, &order(OrderControl::New, "P1")),
        at(1, &accepted),
        at(2, &done),
    ])
    .await;
    assert_eq!(status(&ward).await, "completed");
}

#[tokio::test]
async fn specimens_are_kept_linked_and_completed_by_later_messages() {
    let ward = Ward::new().await;
    let mut placed = order(OrderControl::New, "P1");
    placed.specimens = vec![Specimen {
        number: Some("S1".into()),
        role: Some("P".into()),
        ..Specimen::default()
    }];
    ward.apply_one(at(0, &placed)).await;
    let mut result = report("F", vec![number("GLU", "5", "F")]);
    result.specimen = Some(Specimen {
        number: Some("S1".into()),
        collected_at: Some("2026-03-01T10:00:00Z".into()),
        ..Specimen::default()
    });
    ward.apply_one(at(1, &result)).await;
    let id = orders(&ward).await[0].id;
    let mut tx = ward.tx().await;
    let linked = specimens_of_order(tx.conn(), id).await.unwrap();
    assert_eq!(linked.len(), 1);
    assert_eq!(linked[0].role.as_deref(), Some("P"));
    assert!(linked[0].collected_at.is_some());
    assert_eq!(specimens_by_number(tx.conn(), "S1").await.unwrap(), linked);
}
