use hub_core::{Verdict, Worker};
use schemas::Patch;
use test_support::{TestDatabase, command, event, tenant};
use worker_patient::PatientWorker;

use crate::house::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_lanes_that_register_the_same_identifier_make_one_patient() {
    let database = TestDatabase::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let database = database.clone();
        tasks.spawn(async move {
            for round in 0..20 {
                // each its own order of the same numbers, some as a merge's retired side
                let number = format!("A{}", (round * 7 + task) % 20);
                let message = match task % 3 {
                    0 => event(&mentioned(&number)),
                    1 => event(&asserted(&number, 9)),
                    _ => event(&a40(&format!("S{}", (round * 7 + task) % 20), &number)),
                };
                apply_one(&database, message).await;
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    assert_eq!(
        count(&database, "select count(*) from patients.identifiers").await,
        40
    );
    assert_eq!(
        count(&database, "select count(*) from patients.patients").await,
        40
    );
    assert_eq!(
        count(&database, "select count(*) from patients.merges").await,
        20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_lost_the_race_is_applied_to_what_the_winner_wrote() {
    let database = TestDatabase::new().await;
    let mut first = database.tx(&tenant("demo")).await;
    PatientWorker
        .apply(&mut first, &[event(&asserted("A1", 9))])
        .await
        .unwrap();
    let loser = {
        let database = database.clone();
        tokio::spawn(async move {
            let mut report = asserted("A1", 10);
            report.marital_status = Patch::Set("M".into());
            apply(&database, &[event(&mentioned("A2")), event(&report)]).await
        })
    };
    until_blocked(&database).await;
    first.commit().await.unwrap();
    let verdicts = loser.await.unwrap();
    assert_eq!(names_of(&verdicts[0]), ["patients.patient.registered"]);
    assert_eq!(names_of(&verdicts[1]), ["patients.patient.updated"]);
    let record = record_of(&database, "A1").await;
    assert_eq!(
        (record.version, record.marital_status.as_deref()),
        (2, Some("M"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_merges_that_would_close_a_circle_never_both_succeed() {
    let database = TestDatabase::new().await;
    for round in 0..10 {
        let (a, b) = (format!("A{round}"), format!("B{round}"));
        apply(
            &database,
            &[event(&asserted(&a, 9)), event(&asserted(&b, 9))],
        )
        .await;
        let (a, b) = (
            record_of(&database, &a).await.id,
            record_of(&database, &b).await.id,
        );
        let mut tasks = tokio::task::JoinSet::new();
        for (survivor, retired) in [(a, b), (b, a)] {
            let database = database.clone();
            tasks.spawn(async move {
                loop {
                    let mut tx = database.tx(&tenant("demo")).await;
                    match PatientWorker
                        .apply(&mut tx, &[command(&merge(survivor, retired))])
                        .await
                    {
                        Ok(mut verdicts) => {
                            tx.commit().await.unwrap();
                            return verdicts.remove(0);
                        }
                        // a deadlock that Postgres broke: the runner tries again
                        Err(error) => assert!(hub_core::db::is_transient(&error.0), "{error}"),
                    }
                }
            });
        }
        let verdicts = tasks.join_all().await;
        let merged = verdicts
            .iter()
            .filter(|verdict| matches!(verdict, Verdict::Applied { .. }))
            .count();
        assert_eq!(merged, 1, "{verdicts:?}");
        assert!(verdicts.iter().any(|verdict| matches!(verdict, Verdict::Refused(refusal) if refusal.code == "patients.cycle")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_of_one_record_lose_nothing() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&asserted("A1", 1))).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let database = database.clone();
        tasks.spawn(async move {
            for round in 0..5 {
                let mut report = asserted("A1", 2);
                report.identifiers.push(id(&format!("LAB|{task}.{round}")));
                apply_one(&database, event(&report)).await;
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    let record = record_of(&database, "A1").await;
    assert_eq!(record.identifiers.len(), 21);
    assert_eq!(record.version, 21);
}

/// Waits until a session of this database waits for a lock.
async fn until_blocked(database: &TestDatabase) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while count(
        database,
        "select count(*) from pg_locks where not granted and pid in
             (select pid from pg_stat_activity where datname = current_database())",
    )
    .await
        == 0
    {
        assert!(std::time::Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
