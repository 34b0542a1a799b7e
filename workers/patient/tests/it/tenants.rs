use hub_core::Worker;
use test_support::{TestDatabase, envelope, tenant};
use worker_patient::PatientWorker;
use worker_patient::queries::{Search, search};

use crate::house::*;

#[tokio::test]
async fn tenants_never_meet_even_with_the_same_number() {
    let database = TestDatabase::new().await;
    for name in ["demo", "other"] {
        let tenant = tenant(name);
        let mut report = asserted("A1", 9);
        report.identifiers = vec![identifier_of(&tenant, "A1")];
        report.telecoms = mobile("9876543210");
        let mut tx = database.tx(&tenant).await;
        let message = envelope(&tenant, "/channel/x/his", &report);
        let verdicts = PatientWorker.apply(&mut tx, &[message]).await.unwrap();
        tx.commit().await.unwrap();
        let registered: schemas::patients::PatientRegistered = body_of(&verdicts[0], 0);
        assert!(
            registered.possible_duplicates.is_empty(),
            "the other tenant's patient is not seen"
        );
    }
    let asked = Search {
        identifier: Some("A1".into()),
        limit: 10,
        ..Search::default()
    };
    let mut tx = database.tx(&tenant("demo")).await;
    let own = search(tx.conn(), &asked).await.unwrap();
    let mut tx = database.tx(&tenant("other")).await;
    let theirs = search(tx.conn(), &asked).await.unwrap();
    assert_eq!((own.len(), theirs.len()), (1, 1));
    assert_ne!(own[0].id, theirs[0].id);
}

#[tokio::test]
async fn a_query_without_a_tenant_sees_nothing() {
    let database = TestDatabase::new().await;
    apply_one(&database, test_support::event(&asserted("A1", 9))).await;
    for statement in [
        "select count(*) from patients.patients",
        "select count(*) from patients.identifiers",
        "select count(*) from patients.match_keys",
        "select count(*) from audit.entries",
    ] {
        let seen: i64 = sqlx::query_scalar(statement)
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert_eq!(seen, 0, "{statement}");
    }
}

#[tokio::test]
async fn a_row_of_another_tenant_can_not_be_written() {
    let database = TestDatabase::new().await;
    let mut tx = database.tx(&tenant("demo")).await;
    let result = sqlx::query(
        "insert into patients.patients (tenant_id, id, source_event) values ('other', $1, $1)",
    )
    .bind(uuid::Uuid::now_v7())
    .execute(tx.conn())
    .await;
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("row-level security")
    );
}
