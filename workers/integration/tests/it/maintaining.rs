use test_support::{TestDatabase, event, tenant};
use time::Duration;
use uuid::Uuid;
use worker_integration::maintain::{
    ensure_partitions, ledger_gaps, ledger_records, prune_inbox, prune_outbox, raise_incident,
    resolve_incident, resolve_incidents_except,
};
use worker_integration::queries::incidents;

use crate::house::*;

#[tokio::test]
async fn partitions_are_made_once() {
    let database = TestDatabase::new().await;
    assert_eq!(ensure_partitions(database.pool(), 2, 7).await.unwrap(), 0);
    assert_eq!(ensure_partitions(database.pool(), 2, 9).await.unwrap(), 2);
    assert_eq!(ensure_partitions(database.pool(), 2, 9).await.unwrap(), 0);
}

#[tokio::test]
async fn old_inbox_and_published_outbox_rows_go_and_nothing_else() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let mut tx = database.tx(&demo).await;
    for (age, published) in [(1, true), (40, true), (40, false)] {
        sqlx::query("insert into integration.inbox (tenant_id, event_id, worker, outcome, applied_at) values ('demo', $1, 'x', 'applied', now() - make_interval(days => $2))")
            .bind(Uuid::now_v7())
            .bind(age)
            .execute(tx.conn())
            .await
            .unwrap();
        sqlx::query(
            "insert into integration.outbox (tenant_id, subject, headers, body, created_at, published_at)
             values ('demo', 's', '{}', '', now() - make_interval(days => $1), case when $2 then now() end)",
        )
        .bind(age)
        .bind(published)
        .execute(tx.conn())
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(
        prune_inbox(database.pool(), &tenant("other"), Duration::days(30))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        prune_inbox(database.pool(), &demo, Duration::days(30))
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        prune_outbox(database.pool(), &demo, Duration::days(30))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        count(&database, "select count(*) from integration.inbox").await,
        1
    );
    assert_eq!(
        count(&database, "select count(*) from integration.outbox").await,
        2
    );
}

#[tokio::test]
async fn sequences_without_a_row_are_named() {
    let database = TestDatabase::new().await;
    let mut second = translated("b", 11);
    second.index = 1;
    apply(
        &database,
        &[
            event(&translated("a", 11)),
            event(&second),
            event(&translated("c", 13)),
        ],
    )
    .await;
    let mut tx = database.tx(&tenant("demo")).await;
    assert_eq!(
        ledger_gaps(tx.conn(), 10, 15).await.unwrap(),
        [10, 12, 14, 15]
    );
    let records = ledger_records(tx.conn(), 1..=100).await.unwrap();
    assert_eq!(
        records
            .iter()
            .map(|record| (record.stream_seq, record.rows))
            .collect::<Vec<_>>(),
        [(11, 2), (13, 1)]
    );
}

#[tokio::test]
async fn an_incident_is_raised_once_counted_and_closed() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let mut tx = database.tx(&demo).await;
    let conn = tx.conn();
    assert!(
        raise_incident(conn, &demo, "ledger.gap", "12", "no row")
            .await
            .unwrap()
    );
    assert!(
        !raise_incident(conn, &demo, "ledger.gap", "12", "still no row")
            .await
            .unwrap()
    );
    assert!(
        raise_incident(conn, &demo, "ledger.gap", "14", "no row")
            .await
            .unwrap()
    );
    let open = incidents(conn, true, None, 10).await.unwrap();
    assert_eq!(
        (open.len(), open[1].count, open[1].detail.as_str()),
        (2, 2, "still no row")
    );
    assert_eq!(
        resolve_incidents_except(conn, "ledger.gap", &["12".to_owned()])
            .await
            .unwrap(),
        1
    );
    assert!(resolve_incident(conn, "ledger.gap", "12").await.unwrap());
    assert!(!resolve_incident(conn, "ledger.gap", "12").await.unwrap());
    assert!(
        raise_incident(conn, &demo, "ledger.gap", "12", "again")
            .await
            .unwrap()
    );
    assert_eq!(
        incidents(conn, false, Some(i64::MAX), 10)
            .await
            .unwrap()
            .len(),
        3
    );
}
