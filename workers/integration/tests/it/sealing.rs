use hub_core::Worker;
use schemas::commands::RecordAccess;
use sqlx::{Connection, PgConnection};
use test_support::{TestDatabase, command, envelope, tenant};
use worker_integration::IntegrationWorker;
use worker_integration::maintain::{Broken, Verification, seal, verify};

use crate::house::*;

fn look(n: usize) -> RecordAccess {
    RecordAccess {
        action: "message.body_read".into(),
        object: format!("message {n}.0"),
        actor: "user/doctor".into(),
        reason: None,
    }
}

/// Changes behind the program's back: the owner switches its own fence off first.
async fn tamper(database: &TestDatabase, statement: &'static str) {
    let mut owner = PgConnection::connect_with(database.owner_options())
        .await
        .unwrap();
    sqlx::raw_sql("alter table audit.entries no force row level security")
        .execute(&mut owner)
        .await
        .unwrap();
    let done = sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    sqlx::raw_sql("alter table audit.entries force row level security")
        .execute(&mut owner)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_chain_holds_until_a_row_is_altered_and_names_the_first_one() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let batch: Vec<_> = (0..10).map(|n| command(&look(n))).collect();
    apply(&database, &batch[..6]).await;
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 6);
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 0);
    apply(&database, &batch[6..]).await;
    let whole = verify(database.pool(), &demo).await.unwrap();
    assert_eq!(
        whole,
        Verification {
            intact: 6,
            unsealed: 4,
            broken: None
        }
    );
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 4);
    let whole = verify(database.pool(), &demo).await.unwrap();
    assert_eq!(
        whole,
        Verification {
            intact: 10,
            unsealed: 0,
            broken: None
        }
    );
    tamper(
        &database,
        "update audit.entries set actor = 'user/nobody' where object = 'message 7.0'",
    )
    .await;
    tamper(
        &database,
        "update audit.entries set actor = 'user/nobody' where object = 'message 4.0'",
    )
    .await;
    let found = verify(database.pool(), &demo).await.unwrap();
    assert_eq!(found.intact, 4);
    assert_eq!(
        found.broken,
        Some(Broken {
            position: 5,
            entry_id: 5,
            what: "altered"
        })
    );
}

#[tokio::test]
async fn each_tenant_has_a_chain_of_its_own() {
    let database = TestDatabase::new().await;
    for name in ["demo", "other", "demo"] {
        apply_one(&database, envelope(&tenant(name), "/api", &look(1))).await;
    }
    assert_eq!(seal(database.pool(), &tenant("demo")).await.unwrap(), 2);
    assert_eq!(seal(database.pool(), &tenant("other")).await.unwrap(), 1);
    for name in ["demo", "other"] {
        assert_eq!(
            verify(database.pool(), &tenant(name)).await.unwrap().broken,
            None
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealers_that_meet_lay_one_chain_and_late_entries_are_sealed_later() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let mut late = database.tx(&demo).await;
    IntegrationWorker
        .apply(&mut late, &[command(&look(0))])
        .await
        .unwrap();
    let batch: Vec<_> = (1..2_500).map(|n| command(&look(n))).collect();
    apply(&database, &batch).await;
    let mut sealers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (database, demo) = (database.clone(), demo.clone());
        sealers.spawn(async move { seal(database.pool(), &demo).await.unwrap() });
    }
    assert_eq!(sealers.join_all().await.into_iter().sum::<u64>(), 2_499);
    late.commit().await.unwrap();
    assert_eq!(verify(database.pool(), &demo).await.unwrap().unsealed, 1);
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 1);
    let whole = verify(database.pool(), &demo).await.unwrap();
    assert_eq!(
        whole,
        Verification {
            intact: 2_500,
            unsealed: 0,
            broken: None
        }
    );
}

#[tokio::test]
async fn the_program_can_neither_change_nor_delete_an_entry() {
    let database = TestDatabase::new().await;
    apply_one(&database, command(&look(1))).await;
    for statement in [
        "update audit.entries set actor = 'x'",
        "delete from audit.entries",
        "delete from audit.chain",
        "update audit.chain set position = 1",
    ] {
        let mut tx = database.tx(&tenant("demo")).await;
        let error = sqlx::query(statement).execute(tx.conn()).await.unwrap_err();
        assert!(
            error.to_string().contains("permission denied"),
            "{statement}: {error}"
        );
    }
}
