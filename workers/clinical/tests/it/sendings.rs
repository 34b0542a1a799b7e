//! What instruments were told, and what is still to be told.

use hub_core::Verdict;
use schemas::ChannelId;
use schemas::commands::CancelOrder;
use schemas::sending::{OrderSent, SendingAnswer, SendingOccasion, SentOrder};
use schemas::worklist::TestAction;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use worker_clinical::queries::{SendingRow, oldest_untold, pending_on, sendings};

use super::placing::{answer, place};
use super::support::{Ward, at, minutes, patient};

async fn placed(ward: &Ward, number: &str, code: &str) -> Uuid {
    let verdict = ward
        .apply_one(at(0, &place(patient(number), code, number)))
        .await;
    answer(&verdict)["order_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// A word to the instrument, some minutes after noon.
fn sent(minute: i64, order: Uuid, action: TestAction, answer: SendingAnswer) -> OrderSent {
    OrderSent {
        channel: ChannelId::new("lab").unwrap(),
        specimen: "S1".into(),
        occasion: SendingOccasion::Download,
        control_id: Some(format!("M{minute}")),
        at: minutes(minute).format(&Rfc3339).unwrap(),
        orders: vec![SentOrder {
            order,
            action,
            answer,
            reason: (answer == Refused).then(|| "UA: no reagent".to_owned()),
        }],
    }
}

async fn rows(ward: &Ward, order: Uuid) -> Vec<SendingRow> {
    let mut tx = ward.tx().await;
    sendings(tx.conn(), &[order]).await.unwrap()
}

fn words(rows: &[SendingRow]) -> Vec<(&str, &str, i32)> {
    rows.iter()
        .map(|row| (row.action.as_str(), row.answer.as_str(), row.times))
        .collect()
}

use SendingAnswer::{Accepted, NoAnswer, Refused, Sending};
use TestAction::{Cancel, Perform};

#[tokio::test]
async fn the_newest_word_stands_and_messages_are_counted_once_in_one_batch_and_in_the_next() {
    let ward = Ward::new().await;
    let order = placed(&ward, "S1", "2345-7").await;
    ward.apply(&[
        at(1, &sent(1, order, Perform, Sending)),
        at(2, &sent(2, order, Perform, NoAnswer)),
        at(3, &sent(3, order, Perform, Sending)),
    ])
    .await;
    assert_eq!(
        words(&rows(&ward, order).await),
        [("perform", "sending", 1)]
    );
    let refused = at(4, &sent(4, order, Perform, Refused));
    ward.apply(&[refused, at(5, &sent(5, order, Cancel, Accepted))])
        .await;
    // an older one that comes late adds to the count only
    ward.apply_one(at(6, &sent(2, order, Perform, Accepted)))
        .await;
    let all = rows(&ward, order).await;
    assert_eq!(
        words(&all),
        [("perform", "refused", 3), ("cancel", "accepted", 1)]
    );
    assert_eq!(all[0].reason.as_deref(), Some("UA: no reagent"));
    assert_eq!(all[0].control_id.as_deref(), Some("M4"));
    assert_eq!((all[0].first_at, all[0].at), (minutes(1), minutes(4)));
    // a fact about an order, no change of it
    assert_eq!(
        ward.count("select version::bigint from clinical.orders")
            .await,
        1
    );
}

#[tokio::test]
async fn a_word_about_orders_that_nobody_knows_is_refused_and_about_some_of_them_is_kept() {
    let ward = Ward::new().await;
    let order = placed(&ward, "S1", "2345-7").await;
    let verdict = ward
        .apply_one(at(1, &sent(1, Uuid::now_v7(), Perform, Accepted)))
        .await;
    match verdict {
        Verdict::Refused(refusal) => assert_eq!(refusal.code, "clinical.order_unknown"),
        other => panic!("{other:?}"),
    }
    let mut mixed = sent(1, order, Perform, Accepted);
    mixed.orders.push(SentOrder {
        order: Uuid::now_v7(),
        ..mixed.orders[0].clone()
    });
    ward.apply_one(at(1, &mixed)).await;
    assert_eq!(
        words(&rows(&ward, order).await),
        [("perform", "accepted", 1)]
    );
}

async fn untold(ward: &Ward, channel: &str, again: OffsetDateTime) -> Vec<String> {
    let mut tx = ward.tx().await;
    let codes = ["2345-7".to_owned()];
    let numbers = oldest_untold(tx.conn(), channel, Some(&codes), 10, again)
        .await
        .unwrap();
    // the first choice and the last word agree
    let tests = pending_on(tx.conn(), channel, &numbers).await.unwrap();
    for number in &numbers {
        assert!(
            tests
                .iter()
                .any(|test| test.number == *number && test.is_untold(again)),
            "{number}"
        );
    }
    numbers
}

#[tokio::test]
async fn an_instrument_that_does_not_ask_is_told_what_it_was_not_told_yet() {
    let ward = Ward::new().await;
    let first = placed(&ward, "S1", "2345-7").await;
    let second = placed(&ward, "S2", "2345-7").await;
    placed(&ward, "S3", "9999-9").await;
    let again = minutes(60);
    assert_eq!(untold(&ward, "lab", again).await, ["S1", "S2"]);
    ward.apply(&[
        at(1, &sent(1, first, Perform, Accepted)),
        at(1, &sent(1, second, Perform, NoAnswer)),
    ])
    .await;
    // no answer: again, but not before its time
    assert_eq!(untold(&ward, "lab", again).await, ["S2"]);
    assert!(untold(&ward, "lab", minutes(1)).await.is_empty());
    // another channel's instrument has heard of nothing
    assert_eq!(untold(&ward, "other", again).await, ["S1", "S2"]);

    for order in [first, second] {
        let cancel = CancelOrder {
            order_id: order,
            reason: "twice".into(),
            actor: "nurse".into(),
        };
        ward.apply_one(at(2, &cancel)).await;
    }
    assert_eq!(
        untold(&ward, "lab", again).await,
        ["S1", "S2"],
        "taken back"
    );
    assert!(
        untold(&ward, "other", again).await.is_empty(),
        "it never had them"
    );
    ward.apply(&[
        at(3, &sent(3, first, Cancel, Accepted)),
        at(3, &sent(3, second, Cancel, Refused)),
    ])
    .await;
    assert!(untold(&ward, "lab", again).await.is_empty());
    // an instrument that asks is answered as before: nothing of this hides a test from it
    let mut tx = ward.tx().await;
    let asked = pending_on(tx.conn(), "lab", &["S1".to_owned()])
        .await
        .unwrap();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].cancelled);
}

#[tokio::test]
async fn a_hundred_thousand_orders_that_were_told_do_not_hide_the_next() {
    let ward = Ward::new().await;
    let mut tx = ward.tx().await;
    for statement in [
        "insert into clinical.orders (tenant_id, id, order_key, subject_key, code, status, fact_at, source_event) \
         select 'demo', md5('o' || n)::uuid, md5('k' || n)::uuid, md5('p' || n)::uuid, '2345-7', 'active', now(), \
         md5('e' || n)::uuid from generate_series(1, 100000) as n",
        "insert into clinical.tubes (tenant_id, number, subject_key) \
         select 'demo', 'T' || n, md5('p' || n)::uuid from generate_series(1, 100000) as n",
        "insert into clinical.order_tubes (tenant_id, order_id, number, subject_key, state, created_at) \
         select 'demo', md5('o' || n)::uuid, 'T' || n, md5('p' || n)::uuid, 'open', now() + n * interval '1 ms' \
         from generate_series(1, 100000) as n",
        "insert into clinical.order_sendings (tenant_id, order_id, channel, action, answer, occasion, first_at, at, source_event) \
         select 'demo', md5('o' || n)::uuid, 'lab', 'perform', 'accepted', 'download', now(), now(), md5('e' || n)::uuid \
         from generate_series(1, 99999) as n",
    ] {
        sqlx::query(statement).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let began = std::time::Instant::now();
    let found = untold(&ward, "lab", OffsetDateTime::now_utc() - Duration::HOUR).await;
    assert_eq!(found, ["T100000"]);
    assert!(
        began.elapsed() < std::time::Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    println!("one in a hundred thousand: {:?}", began.elapsed());
}
