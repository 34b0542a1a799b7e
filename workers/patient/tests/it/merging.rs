use hub_core::{Envelope, Tx, Verdict, Worker};
use schemas::Patch;
use schemas::patients::{PatientMerged, PatientUnmerged};
use serde_json::json;
use test_support::{TestDatabase, command, event, tenant};

use worker_patient::PatientWorker;
use worker_patient::queries::{Person, Search, get, search};

use crate::house::*;

async fn person_in(tx: &mut Tx<'_>, identifier: &str) -> Person {
    let asked = Search {
        identifier: Some(identifier.into()),
        limit: 10,
        ..Search::default()
    };
    let found = search(tx.conn(), &asked).await.unwrap();
    assert_eq!(found.len(), 1);
    get(tx.conn(), found[0].id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_merge_leads_from_the_retired_record_and_both_keep_their_identifiers() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[event(&asserted("A1", 9)), event(&asserted("A2", 9))],
    )
    .await;
    let (one, two) = (
        record_of(&database, "A1").await,
        record_of(&database, "A2").await,
    );
    let verdict = apply_one(&database, event(&a40("A1", "A2"))).await;
    let merged: PatientMerged = body_of(&verdict, 0);
    assert_eq!((merged.survivor, merged.retired), (one.id, two.id));
    let person = person(&database, "A2").await;
    assert_eq!(person.patient.id, one.id);
    assert_eq!(person.merged.len(), 1);
    assert_eq!(person.merged[0].identifiers, two.identifiers);
    assert_eq!(person.merged[0].status, "merged");
    let mut tx = database.tx(&tenant("demo")).await;
    let keys = worker_patient::queries::subject_keys_for_identifier(tx.conn(), "A2")
        .await
        .unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.patient_id == one.id));
    assert_eq!(
        worker_patient::queries::subject_keys_for_patient(tx.conn(), two.id)
            .await
            .unwrap(),
        keys
    );
}

#[tokio::test]
async fn a40_and_reports_converge_in_every_order() {
    let mut other = asserted("A2", 10);
    other.name = Patch::Set(name("Usha", "Rao"));
    let messages = [
        event(&asserted("A1", 9)),
        event(&other),
        event(&a40("A1", "A2")),
        event(&mentioned("A2")),
    ];
    let database = TestDatabase::new().await;
    let mut outcomes = Vec::new();
    for order in permutations(4) {
        // never committed: the next order begins with nothing
        let mut tx = database.tx(&tenant("demo")).await;
        for place in order {
            PatientWorker
                .apply(&mut tx, &[messages[place].clone()])
                .await
                .unwrap();
        }
        let person = person_in(&mut tx, "A2").await;
        let seen = std::iter::once(&person.patient)
            .chain(&person.merged)
            .map(|record| {
                json!([
                    record.id,
                    record.status,
                    record.merged_into,
                    record.provisional,
                    record.name,
                    record.fact_at,
                    record
                        .identifiers
                        .iter()
                        .map(|identifier| &identifier.value)
                        .collect::<Vec<_>>()
                ])
            })
            .collect::<Vec<_>>();
        outcomes.push(seen);
    }
    assert_eq!(outcomes.len(), 24);
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0]);
    }
}

#[tokio::test]
async fn chains_of_a40_converge_whatever_comes_first() {
    let merges: Vec<Envelope> = [("B", "A"), ("C", "B"), ("D", "C")]
        .map(|(survivor, retired)| event(&a40(survivor, retired)))
        .into();
    let database = TestDatabase::new().await;
    for order in permutations(3) {
        let mut tx = database.tx(&tenant("demo")).await;
        let batch: Vec<Envelope> = order.iter().map(|&place| merges[place].clone()).collect();
        for verdict in PatientWorker.apply(&mut tx, &batch).await.unwrap() {
            assert!(
                matches!(verdict, Verdict::Applied { .. }),
                "{order:?}: {verdict:?}"
            );
        }
        let person = person_in(&mut tx, "A").await;
        assert_eq!(person.patient.identifiers[0].value, "D");
        assert_eq!(person.merged.len(), 3);
        assert!(person.patient.provisional);
    }
}

#[tokio::test]
async fn unmerge_restores_exactly_what_was_before() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[event(&asserted("A1", 9)), event(&mentioned("A2"))],
    )
    .await;
    let before = (
        record_of(&database, "A1").await,
        record_of(&database, "A2").await,
    );
    let done = apply_one(&database, command(&merge(before.0.id, before.1.id))).await;
    let Verdict::Applied { answer, .. } = &done else {
        panic!("{done:?}")
    };
    assert_eq!(
        answer.as_ref().unwrap(),
        &json!({"survivor": before.0.id, "retired": before.1.id})
    );
    // while merged, the retired record goes on being reported of
    apply_one(&database, event(&mentioned("A2"))).await;
    let undo = command(&unmerge(before.1.id));
    let unmerged: PatientUnmerged = body_of(&apply_one(&database, undo.clone()).await, 0);
    assert_eq!(
        (unmerged.survivor, unmerged.restored),
        (before.0.id, before.1.id)
    );
    for (was, is) in [
        (&before.0, record_of(&database, "A1").await),
        (&before.1, record_of(&database, "A2").await),
    ] {
        let mut is = is;
        assert!(is.version > was.version);
        (is.version, is.updated_at, is.source_event) =
            (was.version, was.updated_at, was.source_event);
        assert_eq!(&is, was);
    }
    assert_eq!(
        refusal_of(&apply_one(&database, command(&unmerge(before.1.id))).await),
        "patients.not_merged"
    );
    let mut tx = database.tx(&tenant("demo")).await;
    let history = worker_patient::queries::merges(tx.conn(), before.0.id)
        .await
        .unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].unmerge_reason.as_deref(), Some("twins"));
    let (actor, reason): (String, String) =
        sqlx::query_as("select actor, reason from audit.entries where action = 'patients.unmerge' and causes = array[$1]")
            .bind(undo.id)
            .fetch_one(tx.conn())
            .await
            .unwrap();
    assert_eq!(
        (actor.as_str(), reason.as_str()),
        ("user/supervisor", "twins")
    );
}

#[tokio::test]
async fn circles_and_self_merges_are_refused() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&asserted("A", 9)),
            event(&asserted("B", 9)),
            event(&asserted("C", 9)),
        ],
    )
    .await;
    let (a, b, c) = (
        record_of(&database, "A").await.id,
        record_of(&database, "B").await.id,
        record_of(&database, "C").await.id,
    );
    let stranger = uuid::Uuid::now_v7();
    let verdicts = apply(
        &database,
        &[
            command(&merge(b, a)),
            command(&merge(c, b)),
            command(&merge(a, c)),
            command(&merge(a, a)),
            command(&merge(c, a)),
            command(&merge(stranger, a)),
            event(&a40("A", "C")),
            event(&a40("A", "A")),
        ],
    )
    .await;
    assert_eq!(names_of(&verdicts[1]), ["patients.patient.merged"]);
    assert_eq!(refusal_of(&verdicts[2]), "patients.cycle");
    assert_eq!(refusal_of(&verdicts[3]), "patients.self_merge");
    assert_eq!(refusal_of(&verdicts[4]), "patients.already_merged");
    assert_eq!(refusal_of(&verdicts[5]), "patients.unknown");
    assert_eq!(refusal_of(&verdicts[6]), "patients.cycle");
    assert!(matches!(verdicts[7], Verdict::Unchanged));
    assert_eq!(person(&database, "A").await.patient.id, c);
}

#[tokio::test]
async fn a_record_merged_elsewhere_is_not_merged_again() {
    let database = TestDatabase::new().await;
    let verdicts = apply(
        &database,
        &[
            event(&a40("B", "A")),
            event(&a40("C", "A")),
            event(&a40("B", "A")),
        ],
    )
    .await;
    assert_eq!(
        names_of(&verdicts[0]).len(),
        3,
        "two registered, one merged"
    );
    assert_eq!(refusal_of(&verdicts[1]), "patients.already_merged");
    assert!(matches!(verdicts[2], Verdict::Unchanged));
    assert_eq!(
        find(&database, "C").await.len(),
        0,
        "a refused message leaves no trace"
    );
}

#[tokio::test]
async fn a_source_that_repeats_an_old_merge_does_not_undo_a_persons_unmerge() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&a40("B", "A"))).await;
    let retired = record_of(&database, "A").await.id;
    apply_one(&database, command(&unmerge(retired))).await;
    let mut resent = event(&a40("B", "A"));
    assert_eq!(
        refusal_of(&apply_one(&database, resent.clone()).await),
        "patients.unmerged_since"
    );
    let mut anew = a40("B", "A");
    anew.occurred_at = None;
    resent.body = serde_json::to_vec(&anew).unwrap().into();
    resent.occurred_at = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    assert_eq!(
        names_of(&apply_one(&database, resent).await),
        ["patients.patient.merged"]
    );
}

#[tokio::test]
async fn a_report_under_the_retired_number_changes_the_retired_record_only() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&asserted("A1", 9)),
            event(&asserted("A2", 9)),
            event(&a40("A1", "A2")),
        ],
    )
    .await;
    let standing = record_of(&database, "A1").await;
    let mut late = asserted("A2", 20);
    late.marital_status = Patch::Set("W".into());
    apply_one(&database, event(&late)).await;
    assert_eq!(record_of(&database, "A1").await, standing);
    assert_eq!(
        person(&database, "A2").await.merged[0]
            .marital_status
            .as_deref(),
        Some("W")
    );
}

#[tokio::test]
async fn a_pid_that_repeats_the_retired_number_still_makes_two_records_and_no_suggestion() {
    let database = TestDatabase::new().await;
    let mut merge = a40("B", "A");
    merge.survivor.push(id("A"));
    apply_one(&database, event(&merge)).await;
    assert_eq!(
        person(&database, "A").await.patient.id,
        record_of(&database, "B").await.id
    );
    assert_ne!(
        record_of(&database, "A").await.id,
        record_of(&database, "B").await.id
    );
    assert_eq!(
        count(
            &database,
            "select count(*) from patients.duplicate_candidates"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn a_merge_settles_the_suggestion_and_an_unmerge_opens_it_again() {
    let database = TestDatabase::new().await;
    let mut one = asserted("A1", 9);
    one.telecoms = mobile("9876543210");
    let mut two = asserted("A2", 9);
    two.telecoms = mobile("9876543210");
    apply(&database, &[event(&one), event(&two)]).await;
    apply_one(&database, event(&a40("A1", "A2"))).await;
    assert_eq!(
        count(
            &database,
            "select count(*) from patients.duplicate_candidates where state = 'merged'"
        )
        .await,
        1
    );
    apply_one(
        &database,
        command(&unmerge(record_of(&database, "A2").await.id)),
    )
    .await;
    assert_eq!(
        count(
            &database,
            "select count(*) from patients.duplicate_candidates where state = 'open'"
        )
        .await,
        1
    );
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    permutations(count - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..count).map(move |place| {
                let mut longer = shorter.clone();
                longer.insert(place, count - 1);
                longer
            })
        })
        .collect()
}
