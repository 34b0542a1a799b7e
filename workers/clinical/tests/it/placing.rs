//! Orders placed by command, the tubes they are on, and their cancellation.

use hub_core::Verdict;
use schemas::care::{Code, OrderControl, Specimen};
use schemas::commands::{CancelOrder, PlaceOrder};
use schemas::{ChannelId, patients::Identifier};
use serde_json::Value;
use uuid::Uuid;
use worker_clinical::queries::{OrderFilter, OrderRow, Page, orders_for_specimen};

use super::support::{Ward, at, order, patient, said};

pub(crate) fn tube(number: &str) -> Specimen {
    Specimen {
        number: Some(number.into()),
        ..Specimen::default()
    }
}

pub(crate) fn place(subject: Identifier, code: &str, number: &str) -> PlaceOrder {
    PlaceOrder {
        subject,
        visit_number: None,
        placer_number: None,
        code: Code {
            code: code.into(),
            text: None,
            system: Some("LN".into()),
        },
        priority: Some("stat".into()),
        specimens: vec![tube(number)],
        targets: vec![],
        ordered_at: None,
        ordered_by: None,
        notes: vec![],
        actor: "nurse".into(),
    }
}

pub(crate) fn answer(verdict: &Verdict) -> &Value {
    match verdict {
        Verdict::Applied {
            answer: Some(answer),
            ..
        } => answer,
        other => panic!("{other:?}"),
    }
}

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

async fn on_tube(ward: &Ward, number: &str) -> Vec<OrderRow> {
    let mut tx = ward.tx().await;
    orders_for_specimen(tx.conn(), number, &OrderFilter::default(), Page::first(10))
        .await
        .unwrap()
}

fn cancel(id: &Value) -> CancelOrder {
    CancelOrder {
        order_id: id.as_str().unwrap().parse().unwrap(),
        reason: "ordered twice".into(),
        actor: "nurse".into(),
    }
}

#[tokio::test]
async fn a_command_places_an_order_with_a_number_and_leaves_its_trail() {
    let ward = Ward::new().await;
    let mut command = place(patient("1"), "2345-7", "S1");
    command.targets = vec![
        ChannelId::new("lab").unwrap(),
        ChannelId::new("ward").unwrap(),
    ];
    let verdict = ward.apply_one(at(0, &command)).await;
    assert_eq!(said(&verdict), ["clinical.order.changed"]);
    let told = answer(&verdict);
    assert_eq!(told["created"], true);
    assert_eq!(told["placer_number"].as_str().unwrap().len(), 16);
    let orders = on_tube(&ward, "S1").await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].status, "active");
    assert_eq!(
        orders[0].targets.as_deref(),
        Some(&["lab".to_owned(), "ward".to_owned()][..])
    );
    assert_eq!(
        ward.count("select count(*) from audit.entries where actor = 'nurse' and action = 'clinical.order.place'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_repeat_of_a_command_finds_its_order_and_another_tube_under_its_number_is_refused() {
    let ward = Ward::new().await;
    let mut command = place(patient("1"), "2345-7", "S1");
    command.placer_number = Some("ORD-9".into());
    let verdicts = ward.apply(&[at(0, &command), at(0, &command)]).await;
    assert_eq!(answer(&verdicts[0])["created"], true);
    assert_eq!(answer(&verdicts[1])["created"], false);
    let again = ward.apply_one(at(1, &command)).await;
    assert_eq!(answer(&again)["created"], false);
    assert_eq!(answer(&again)["order_id"], answer(&verdicts[0])["order_id"]);
    assert_eq!(on_tube(&ward, "S1").await.len(), 1);
    command.specimens = vec![tube("S2")];
    assert_eq!(
        refused(&ward.apply_one(at(2, &command)).await),
        "clinical.order_exists"
    );
}

#[tokio::test]
async fn one_number_carries_one_patients_open_orders() {
    let ward = Ward::new().await;
    let first = ward
        .apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    let other = place(patient("2"), "2345-7", "S1");
    assert_eq!(
        refused(&ward.apply_one(at(1, &other)).await),
        "clinical.specimen_in_use"
    );
    // the same patient may have more on it
    let more = ward
        .apply_one(at(2, &place(patient("1"), "2951-2", "S1")))
        .await;
    // inside one batch the first has the number
    let verdicts = ward
        .apply(&[
            at(3, &place(patient("3"), "2345-7", "S9")),
            at(3, &place(patient("4"), "2345-7", "S9")),
        ])
        .await;
    assert_eq!(answer(&verdicts[0])["created"], true);
    assert_eq!(refused(&verdicts[1]), "clinical.specimen_in_use");
    // when nothing is open on it, it is free
    for done in [&first, &more] {
        ward.apply_one(at(4, &cancel(&answer(done)["order_id"])))
            .await;
    }
    let now = ward.apply_one(at(5, &other)).await;
    assert_eq!(answer(&now)["created"], true);
}

#[tokio::test]
async fn the_database_itself_refuses_two_patients_on_one_number() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    let mut tx = ward.tx().await;
    let stolen = sqlx::query("update clinical.tubes set subject_key = $1 where number = 'S1'")
        .bind(Uuid::nil())
        .execute(tx.conn())
        .await
        .unwrap_err();
    assert!(
        stolen
            .as_database_error()
            .unwrap()
            .is_foreign_key_violation()
    );
}

#[tokio::test]
async fn a_reported_order_on_a_number_of_another_patient_stands_and_is_held_until_the_number_is_free()
 {
    let ward = Ward::new().await;
    let first = ward
        .apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    let mut reported = order(OrderControl::New, "P1");
    reported.subject = Some(patient("2"));
    reported.specimens = vec![tube("S1")];
    ward.apply_one(at(1, &reported)).await;
    let held = on_tube(&ward, "S1").await;
    assert_eq!(held[0].held.as_deref(), Some("specimen_in_use"));
    assert_eq!(held[0].status, "active");
    let open = "select count(*) from clinical.order_tubes where state = 'open'";
    assert_eq!(ward.count(open).await, 1);

    ward.apply_one(at(2, &cancel(&answer(&first)["order_id"])))
        .await;
    assert_eq!(ward.count(open).await, 0);
    ward.apply_one(at(3, &reported)).await;
    assert_eq!(on_tube(&ward, "S1").await[0].held, None);
    assert_eq!(ward.count(open).await, 1);
}

#[tokio::test]
async fn an_order_is_cancelled_once_and_only_while_it_is_open() {
    let ward = Ward::new().await;
    let placed = ward
        .apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    let command = cancel(&answer(&placed)["order_id"]);
    let verdicts = ward.apply(&[at(1, &command), at(1, &command)]).await;
    assert_eq!(answer(&verdicts[0])["status"], "revoked");
    assert_eq!(refused(&verdicts[1]), "clinical.order_closed");
    assert_eq!(on_tube(&ward, "S1").await[0].status, "revoked");
    let nobody = CancelOrder {
        order_id: Uuid::nil(),
        ..command
    };
    assert_eq!(
        refused(&ward.apply_one(at(2, &nobody)).await),
        "clinical.order_unknown"
    );
}
