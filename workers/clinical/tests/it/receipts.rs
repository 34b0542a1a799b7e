//! Orders that come with their results: placed on receipt (ORU^R30), or looked for first (ORU^R31).

use schemas::care::{OrderControl, OrderReported, ResultReceived};
use worker_clinical::queries::{OrderFilter, OrderRow, Page, orders_for_subjects};

use super::support::{Ward, at, key, number, order, report};

/// The result of a meter, and the order that comes before it.
fn meter(filler: &str, or_open: bool) -> (OrderReported, ResultReceived) {
    let mut brought = order(OrderControl::New, "-");
    brought.placer_number = None;
    brought.filler_number = Some(filler.into());
    brought.or_open = or_open;
    let mut result = report("F", vec![number("GLU", "162", "F")]);
    result.filler_number = Some(filler.into());
    (brought, result)
}

async fn arrives(ward: &Ward, minute: i64, (brought, result): &(OrderReported, ResultReceived)) {
    ward.apply(&[at(minute, brought), at(minute, result)]).await;
}

/// Orders of patient 1 as `placer/filler status`, by number.
async fn orders(ward: &Ward) -> Vec<String> {
    let mut tx = ward.tx().await;
    let rows: Vec<OrderRow> = orders_for_subjects(
        tx.conn(),
        &[key("1").0],
        &OrderFilter::default(),
        Page::first(10),
    )
    .await
    .unwrap();
    let mut shown: Vec<String> = rows
        .into_iter()
        .map(|row| {
            format!(
                "{}/{} {}",
                row.placer_number.unwrap_or_default(),
                row.filler_number.unwrap_or_default(),
                row.status
            )
        })
        .collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn a_result_without_an_order_places_one_that_is_done_and_a_repeat_places_no_second() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &order(OrderControl::New, "P1"))).await;
    let meter = meter("POC-1", false);
    arrives(&ward, 5, &meter).await;
    arrives(&ward, 6, &meter).await;
    assert_eq!(orders(&ward).await, ["/POC-1 completed", "P1/ active"]);
    assert_eq!(ward.reports().await.len(), 1);
}

#[tokio::test]
async fn a_result_that_looks_for_its_order_answers_the_open_one_on_its_code() {
    let ward = Ward::new().await;
    let mut other = order(OrderControl::New, "P0");
    other.code.code = "K".into();
    ward.apply(&[at(0, &other), at(0, &order(OrderControl::New, "P1"))])
        .await;
    let first = meter("POC-1", true);
    arrives(&ward, 5, &first).await;
    arrives(&ward, 5, &first).await;
    assert_eq!(orders(&ward).await, ["P0/ active", "P1/POC-1 completed"]);
    // nothing is open any more: the next one places its own
    arrives(&ward, 9, &meter("POC-2", true)).await;
    assert_eq!(
        orders(&ward).await,
        ["/POC-2 completed", "P0/ active", "P1/POC-1 completed"]
    );
}

#[tokio::test]
async fn two_results_of_one_batch_answer_two_orders() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &order(OrderControl::New, "P1"))).await;
    ward.apply_one(at(1, &order(OrderControl::New, "P2"))).await;
    let (one, first) = meter("POC-1", true);
    let (two, mut second) = meter("POC-2", true);
    second.observed_at = Some("2026-03-01T12:10:00Z".into());
    ward.apply(&[at(5, &one), at(5, &first), at(6, &two), at(6, &second)])
        .await;
    let mut done = orders(&ward).await;
    done.retain(|order| order.ends_with("completed"));
    assert_eq!(done.len(), 2, "{done:?}");
}

#[tokio::test]
async fn an_order_of_the_same_batch_is_found_too() {
    let ward = Ward::new().await;
    let (brought, result) = meter("POC-1", true);
    ward.apply(&[
        at(0, &order(OrderControl::New, "P1")),
        at(5, &brought),
        at(5, &result),
    ])
    .await;
    assert_eq!(orders(&ward).await, ["P1/POC-1 completed"]);
}
