use hub_core::Verdict;
use schemas::Patch;
use schemas::patients::{Identifier, PatientRegistered, PatientUpdated, Sex};
use test_support::{TestDatabase, event};

use crate::house::*;

#[tokio::test]
async fn a_mention_of_a_stranger_makes_a_flagged_patient_with_what_was_said() {
    let database = TestDatabase::new().await;
    let verdict = apply_one(&database, event(&mentioned("A1"))).await;
    let registered: PatientRegistered = body_of(&verdict, 0);
    assert!(registered.provisional);
    assert_eq!(registered.identifiers, [id("A1")]);
    let person = person(&database, "A1").await;
    assert_eq!(person.patient.id, registered.patient_id);
    assert!(person.patient.provisional);
    assert_eq!(person.patient.display_name.as_deref(), Some("Asha Rao"));
    assert_eq!(person.patient.fact_at, None);
}

#[tokio::test]
async fn a_mention_of_a_known_patient_changes_nothing() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&asserted("A1", 9))).await;
    let before = record_of(&database, "A1").await;
    let mut other = mentioned("A1");
    other.name = Patch::Set(name("Wrong", "Name"));
    other.identifiers.push(id("LAB|7"));
    let verdicts = apply(&database, &[event(&other), event(&other)]).await;
    assert!(
        verdicts
            .iter()
            .all(|verdict| matches!(verdict, Verdict::Unchanged))
    );
    assert_eq!(record_of(&database, "A1").await, before);
    assert_eq!(
        count(&database, "select count(*) from patients.identifiers").await,
        1
    );
}

#[tokio::test]
async fn a_name_alone_never_joins_two_people() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[event(&mentioned("A1")), event(&mentioned("A2"))],
    )
    .await;
    assert_ne!(
        record_of(&database, "A1").await.id,
        record_of(&database, "A2").await.id
    );
}

#[tokio::test]
async fn one_batch_with_several_messages_of_a_new_patient_is_applied_in_order() {
    let database = TestDatabase::new().await;
    let mut second = asserted("A1", 9);
    second.sex = Patch::Set(Sex::Female);
    let verdicts = apply(
        &database,
        &[
            event(&mentioned("A1")),
            event(&mentioned("A1")),
            event(&second),
            event(&mentioned("A1")),
        ],
    )
    .await;
    assert_eq!(names_of(&verdicts[0]), ["patients.patient.registered"]);
    assert!(matches!(verdicts[1], Verdict::Unchanged));
    let updated: PatientUpdated = body_of(&verdicts[2], 0);
    assert_eq!(updated.changed, ["sex", "provisional"]);
    assert_eq!(updated.version, 2);
    assert!(matches!(verdicts[3], Verdict::Unchanged));
    let record = record_of(&database, "A1").await;
    assert!(!record.provisional);
    assert_eq!((record.version, record.sex.as_deref()), (2, Some("female")));
}

#[tokio::test]
async fn an_update_keeps_clears_and_sets_and_names_only_what_changed() {
    let database = TestDatabase::new().await;
    let mut first = asserted("A1", 9);
    first.birth_date = Patch::Set("1980".into());
    first.marital_status = Patch::Set("M".into());
    first.telecoms = mobile("9876543210");
    apply_one(&database, event(&first)).await;
    let mut second = asserted("A1", 10);
    second.birth_date = Patch::Set("1980-05-17".into());
    second.marital_status = Patch::Clear;
    let verdict = apply_one(&database, event(&second)).await;
    let updated: PatientUpdated = body_of(&verdict, 0);
    assert_eq!(updated.changed, ["birth_date", "marital_status"]);
    let record = record_of(&database, "A1").await;
    assert_eq!(record.birth_date.as_deref(), Some("1980-05-17"));
    assert_eq!(record.marital_status, None);
    assert_eq!(record.telecoms[0].value, "9876543210");
    assert_eq!(record.version, 2);
}

#[tokio::test]
async fn an_older_fact_fills_gaps_and_overwrites_nothing() {
    let database = TestDatabase::new().await;
    let mut newer = asserted("A1", 10);
    newer.birth_date = Patch::Set("1980-05-17".into());
    newer.marital_status = Patch::Clear;
    apply_one(&database, event(&newer)).await;
    let mut older = asserted("A1", 9);
    older.birth_date = Patch::Set("1999-01-01".into());
    older.marital_status = Patch::Set("M".into());
    older.sex = Patch::Set(Sex::Male);
    let verdict = apply_one(&database, event(&older)).await;
    let updated: PatientUpdated = body_of(&verdict, 0);
    assert_eq!(updated.changed, ["sex"]);
    let record = record_of(&database, "A1").await;
    assert_eq!(record.birth_date.as_deref(), Some("1980-05-17"));
    assert_eq!(
        record.marital_status, None,
        "deleted on purpose by the newer fact"
    );
}

#[tokio::test]
async fn a_fact_that_repeats_the_newest_one_moves_only_its_time() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&asserted("A1", 9))).await;
    assert!(outgoing(&apply_one(&database, event(&asserted("A1", 11))).await).is_empty());
    let mut between = asserted("A1", 10);
    between.name = Patch::Set(name("Late", "Arrival"));
    let verdict = apply_one(&database, event(&between)).await;
    assert!(matches!(verdict, Verdict::Unchanged), "{verdict:?}");
    let record = record_of(&database, "A1").await;
    assert_eq!(
        (record.version, record.display_name.as_deref()),
        (1, Some("Asha Rao"))
    );
}

#[tokio::test]
async fn a_replay_of_everything_changes_nothing() {
    let database = TestDatabase::new().await;
    let mut report = asserted("A1", 9);
    report.telecoms = mobile("9876543210");
    let batch = [
        event(&mentioned("A1")),
        event(&report),
        event(&a40("A1", "A2")),
        event(&mentioned("A2")),
    ];
    apply(&database, &batch).await;
    let before = person(&database, "A1").await;
    let trail = count(&database, "select count(*) from audit.entries").await;
    for verdict in apply(&database, &batch).await {
        assert!(matches!(verdict, Verdict::Unchanged), "{verdict:?}");
    }
    assert_eq!(person(&database, "A1").await, before);
    assert_eq!(
        count(&database, "select count(*) from audit.entries").await,
        trail
    );
}

#[tokio::test]
async fn all_identifiers_sent_are_added_and_one_of_another_record_is_only_a_suggestion() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&asserted("A1", 9))).await;
    let mut second = asserted("A2", 9);
    second.name = Patch::Set(name("Ravi", "Das"));
    second.identifiers = vec![id("A2"), id("LAB|7"), id("A1")];
    let verdict = apply_one(&database, event(&second)).await;
    let registered: PatientRegistered = body_of(&verdict, 0);
    let first = record_of(&database, "A1").await;
    assert_eq!(registered.identifiers, [id("A2"), id("LAB|7")]);
    assert_eq!(registered.possible_duplicates, [first.id]);
    assert_eq!(
        record_of(&database, "LAB|7").await.id,
        registered.patient_id
    );
    let mut tx = database.tx(&test_support::tenant("demo")).await;
    let found = worker_patient::queries::duplicates(tx.conn(), Some(first.id), None, 10)
        .await
        .unwrap();
    assert_eq!(found[0].reasons, ["shared_identifier"]);
    assert_eq!(found[0].score, 90);
}

#[tokio::test]
async fn a_later_report_adds_its_new_identifiers() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&asserted("A1", 9))).await;
    let mut report = asserted("A1", 10);
    report.identifiers.push(Identifier {
        kind: Some("ABHA".into()),
        ..id("ABDM|91-1234-5678-9012")
    });
    let updated: PatientUpdated = body_of(&apply_one(&database, event(&report)).await, 0);
    assert_eq!(updated.changed, ["identifiers"]);
    assert_eq!(
        person(&database, "ABDM|91-1234-5678-9012")
            .await
            .patient
            .identifiers
            .len(),
        2
    );
}

#[tokio::test]
async fn likeness_is_suggested_with_score_and_reasons() {
    let database = TestDatabase::new().await;
    let mut one = asserted("A1", 9);
    one.birth_date = Patch::Set("1980-05-17".into());
    one.telecoms = mobile("+91 98765 43210");
    let mut two = asserted("A2", 9);
    two.name = Patch::Set(name("RAO", "asha"));
    two.birth_date = Patch::Set("1980-05-17".into());
    two.telecoms = mobile("09876543210");
    let mut three = asserted("A3", 9);
    three.name = Patch::Set(name("Vijay", "Rao"));
    three.telecoms = mobile("9876543210");
    let mut four = asserted("A4", 9);
    four.name = Patch::Set(name("Nobody", "Else"));
    four.telecoms = mobile("0000000000");
    // in one batch: the later is compared to the earlier
    let verdicts = apply(
        &database,
        &[event(&one), event(&two), event(&three), event(&four)],
    )
    .await;
    let ids: Vec<_> = verdicts
        .iter()
        .map(|verdict| body_of::<PatientRegistered>(verdict, 0))
        .collect();
    assert!(ids[0].possible_duplicates.is_empty());
    assert_eq!(ids[1].possible_duplicates, [ids[0].patient_id]);
    assert_eq!(ids[2].possible_duplicates.len(), 2);
    assert!(ids[3].possible_duplicates.is_empty());
    let mut tx = database.tx(&test_support::tenant("demo")).await;
    let found = worker_patient::queries::duplicates(tx.conn(), None, None, 10)
        .await
        .unwrap();
    assert_eq!(found.len(), 3);
    let pair = found.iter().find(|pair| pair.score > 40).unwrap();
    assert_eq!(pair.score, 100);
    assert_eq!(pair.reasons, ["same_name_and_birth_date", "same_mobile"]);
}

#[tokio::test]
async fn a_number_that_many_share_suggests_nobody() {
    let database = TestDatabase::new().await;
    let batch: Vec<_> = (0..12)
        .map(|n| {
            let mut report = asserted(&format!("A{n}"), 9);
            report.telecoms = mobile("9876543210");
            event(&report)
        })
        .collect();
    apply(&database, &batch).await;
    let mut report = asserted("LAST", 9);
    report.telecoms = mobile("9876543210");
    let registered: PatientRegistered = body_of(&apply_one(&database, event(&report)).await, 0);
    assert!(registered.possible_duplicates.is_empty());
}

#[tokio::test]
async fn a_report_without_identifier_or_with_a_false_key_is_refused_and_leaves_no_trace() {
    let database = TestDatabase::new().await;
    let mut nobody = asserted("A1", 9);
    nobody.identifiers.clear();
    let mut forged = mentioned("A1");
    forged.identifiers[0].key = id("A2").key;
    let verdicts = apply(
        &database,
        &[event(&nobody), event(&forged), event(&mentioned("A3"))],
    )
    .await;
    assert_eq!(refusal_of(&verdicts[0]), "patients.no_identifier");
    assert_eq!(refusal_of(&verdicts[1]), "patients.identifier_key");
    assert_eq!(names_of(&verdicts[2]), ["patients.patient.registered"]);
    assert_eq!(
        count(&database, "select count(*) from patients.patients").await,
        1
    );
}

#[tokio::test]
async fn machine_made_changes_leave_one_audit_entry_a_transaction() {
    let database = TestDatabase::new().await;
    let batch = [
        event(&mentioned("A1")),
        event(&asserted("A2", 9)),
        event(&mentioned("A1")),
    ];
    apply(&database, &batch).await;
    let mut tx = database.tx(&test_support::tenant("demo")).await;
    let entries: Vec<(String, String, Vec<uuid::Uuid>, Vec<uuid::Uuid>)> =
        sqlx::query_as("select actor, action, objects, causes from audit.entries")
            .fetch_all(tx.conn())
            .await
            .unwrap();
    assert_eq!(entries.len(), 1);
    let (actor, action, objects, causes) = &entries[0];
    assert_eq!(
        (actor.as_str(), action.as_str()),
        ("worker/patient", "patients.apply")
    );
    assert_eq!(objects.len(), 2);
    assert_eq!(causes[..], [batch[0].id, batch[1].id]);
}
