//! Registration and correction by a person at a desk: the same rules as for sources, and a word of warning before.

use hub_core::Verdict;
use schemas::Patch;
use schemas::commands::MergePatients;
use schemas::patients::Sex;
use schemas::registration::{
    AddIdentifier, ChangePatient, DefineSeries, EndIdentifier, RegisterPatient, RestrictPatient,
    Stated,
};
use serde_json::Value;
use test_support::{TestDatabase, command, event, tenant};
use uuid::Uuid;
use worker_patient::queries::{Patient, WARNING, alike, record};

use super::house::{apply, apply_one, asserted, id, mobile, name, names_of, unmerge};

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn answer(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Applied { answer, .. } => answer.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn id_of(verdict: &Verdict) -> Uuid {
    answer(verdict)["id"].as_str().unwrap().parse().unwrap()
}

fn stated(given: &str, born: &str, phone: &str) -> Stated {
    Stated {
        name: Patch::Set(name(given, "Rao")),
        birth_date: Patch::Set(born.into()),
        sex: Patch::Set(Sex::Female),
        telecoms: mobile(phone),
        ..Stated::default()
    }
}

fn registration(number: Option<&str>, given: &str, born: &str, phone: &str) -> RegisterPatient {
    RegisterPatient {
        identifiers: number.map(id).into_iter().collect(),
        facility: Some("SGM".into()),
        stated: stated(given, born, phone),
        force: None,
        actor: "desk".into(),
    }
}

fn change(patient_id: Uuid, stated: Stated) -> ChangePatient {
    ChangePatient {
        patient_id,
        seen: None,
        stated,
        reason: None,
        actor: "desk".into(),
    }
}

async fn read(database: &TestDatabase, id: Uuid) -> Patient {
    let mut tx = database.tx(&tenant("demo")).await;
    record(tx.conn(), id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_patient_without_a_number_gets_the_next_one_of_the_facility_and_never_a_taken_one() {
    let database = TestDatabase::new().await;
    // a source system has sent the second number of the series already
    apply_one(&database, event(&asserted("SGM|SGM000002", 1))).await;
    let mut numbers = Vec::new();
    for (given, phone) in [("Asha", "9876543210"), ("Ravi", "9876543211")] {
        let command = command(&registration(None, given, "1980-05-17", phone));
        let verdict = apply_one(&database, command).await;
        assert_eq!(names_of(&verdict), ["patients.patient.registered"]);
        numbers.push(answer(&verdict)["identifier"]["value"].clone());
        let patient = read(&database, id_of(&verdict)).await;
        assert!(!patient.provisional);
        assert_eq!(patient.identifiers[0].system, "SGM");
    }
    assert_eq!(numbers, ["SGM000001", "SGM000003"]);
    let define = |next| DefineSeries {
        facility: "SGM".into(),
        prefix: "SGM".into(),
        width: 4,
        next,
        version: None,
        actor: "admin".into(),
    };
    let back = apply_one(&database, command(&define(2))).await;
    assert_eq!(refused(&back), "patients.series_conflict");
    apply_one(&database, command(&define(70))).await;
    let verdict = apply_one(
        &database,
        command(&registration(None, "Gita", "1970-01-01", "9876543212")),
    )
    .await;
    assert_eq!(answer(&verdict)["identifier"]["value"], "SGM0070");
    let mut nowhere = registration(None, "Hari", "1971-01-01", "9876543213");
    nowhere.facility = None;
    let verdict = apply_one(&database, command(&nowhere)).await;
    assert_eq!(refused(&verdict), "patients.no_identifier");
}

#[tokio::test]
async fn who_looks_like_somebody_on_file_is_registered_only_with_a_reason() {
    let database = TestDatabase::new().await;
    let first = registration(Some("1"), "Asha", "1980-05-17", "9876543210");
    let asha = id_of(&apply_one(&database, command(&first)).await);
    for (given, born, phone, warned) in [
        ("Asha", "1980-05-17", "9000000001", true),
        // her age is known only as a year; mobile and given name say it
        ("Asha", "1981", "+91 98765 43210", true),
        // her family: the mobile alone is no warning
        ("Ravi", "1978-01-01", "9876543210", false),
        ("Asha", "1991-01-01", "9000000002", false),
    ] {
        let mut tx = database.tx(&tenant("demo")).await;
        let like = alike(tx.conn(), &stated(given, born, phone), &[])
            .await
            .unwrap();
        drop(tx);
        let shown = like.iter().any(|one| one.score >= WARNING);
        assert_eq!(shown, warned, "{given} {born} {phone}: {like:?}");
        if warned {
            let again = registration(None, given, born, phone);
            let verdict = apply_one(&database, command(&again)).await;
            assert_eq!(refused(&verdict), "patients.likely_duplicate");
        }
    }
    // no number was used up by a refusal
    let mut forced = registration(None, "Asha", "1980-05-17", "9000000003");
    forced.force = Some("twin-named cousin, seen together".into());
    let verdict = apply_one(&database, command(&forced)).await;
    let said = answer(&verdict);
    assert_eq!(said["identifier"]["value"], "SGM000001");
    assert_eq!(said["possible_duplicates"], serde_json::json!([asha]));
    let taken = registration(Some("1"), "Meena", "1960-01-01", "9111111111");
    let verdict = apply_one(&database, command(&taken)).await;
    assert_eq!(refused(&verdict), "patients.identifier_exists");
}

#[tokio::test]
async fn two_of_one_batch_are_compared_too() {
    let database = TestDatabase::new().await;
    let verdicts = apply(
        &database,
        &[
            command(&registration(Some("1"), "Asha", "1980-05-17", "9876543210")),
            command(&registration(Some("2"), "Asha", "1980-05-17", "9876543210")),
            event(&asserted("3", 1)),
        ],
    )
    .await;
    assert_eq!(names_of(&verdicts[0]), ["patients.patient.registered"]);
    assert_eq!(refused(&verdicts[1]), "patients.likely_duplicate");
    assert_eq!(names_of(&verdicts[2]), ["patients.patient.registered"]);
}

#[tokio::test]
async fn a_correction_needs_the_version_that_was_seen_and_older_news_does_not_undo_it() {
    let database = TestDatabase::new().await;
    let first = registration(Some("1"), "Asha", "1980", "9876543210");
    let asha = id_of(&apply_one(&database, command(&first)).await);
    let mut correct = change(
        asha,
        Stated {
            birth_date: Patch::Set("1980-05-17".into()),
            marital_status: Patch::Clear,
            ..Stated::default()
        },
    );
    correct.seen = Some(7);
    let verdict = apply_one(&database, command(&correct)).await;
    assert_eq!(refused(&verdict), "patients.stale");
    correct.seen = Some(1);
    let verdict = apply_one(&database, command(&correct)).await;
    assert_eq!(names_of(&verdict), ["patients.patient.updated"]);
    assert_eq!(
        answer(&verdict)["changed"],
        serde_json::json!(["birth_date"])
    );
    // the same again changes nothing, and says so
    correct.seen = None;
    let verdict = apply_one(&database, command(&correct)).await;
    assert!(names_of(&verdict).is_empty());
    // an ADT message of last January
    let mut old = asserted("1", 1);
    old.birth_date = Patch::Set("1979-01-01".into());
    apply_one(&database, event(&old)).await;
    let patient = read(&database, asha).await;
    assert_eq!(patient.birth_date.as_deref(), Some("1980-05-17"));
    assert_eq!(patient.version, 2);
    let mut tx = database.tx(&tenant("demo")).await;
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select action, detail::text from audit.entries where actor = 'desk' order by id",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert_eq!(
        rows.iter()
            .map(|(action, _)| action.as_str())
            .collect::<Vec<_>>(),
        ["patients.register", "patients.change"]
    );
    assert!(rows.iter().all(|(_, detail)| !detail.contains("1980")));
}

#[tokio::test]
async fn identifiers_come_and_end_and_lead_to_one_person_all_the_time() {
    let database = TestDatabase::new().await;
    let asha = id_of(
        &apply_one(
            &database,
            command(&registration(Some("1"), "Asha", "1980-05-17", "9876543210")),
        )
        .await,
    );
    let ravi = id_of(
        &apply_one(
            &database,
            command(&registration(Some("2"), "Ravi", "1970-05-17", "9876543211")),
        )
        .await,
    );
    let add = |patient_id, value: &str| AddIdentifier {
        patient_id,
        identifier: id(value),
        actor: "desk".into(),
    };
    let end = |value: &str| EndIdentifier {
        patient_id: asha,
        identifier: id(value),
        reason: "wristband lost".into(),
        actor: "desk".into(),
    };
    let code = async |verdict: Verdict| refused(&verdict);
    assert_eq!(
        code(apply_one(&database, command(&end("1"))).await).await,
        "patients.identifier_last_conflict"
    );
    assert_eq!(
        code(apply_one(&database, command(&add(asha, "2"))).await).await,
        "patients.identifier_exists"
    );
    apply_one(&database, command(&add(asha, "OLD|77"))).await;
    assert_eq!(
        code(apply_one(&database, command(&add(asha, "OLD|77"))).await).await,
        "patients.identifier_exists"
    );
    apply_one(&database, command(&end("1"))).await;
    assert_eq!(
        code(apply_one(&database, command(&end("1"))).await).await,
        "patients.identifier_closed"
    );
    assert_eq!(
        code(apply_one(&database, command(&end("2"))).await).await,
        "patients.identifier_unknown"
    );
    let patient = read(&database, asha).await;
    let used: Vec<(&str, bool)> = patient
        .identifiers
        .iter()
        .map(|one| (one.value.as_str(), one.ended_at.is_none()))
        .collect();
    assert_eq!(used, [("1", false), ("77", true)]);
    // what still comes under the old number is hers
    let verdict = apply_one(&database, event(&asserted("1", 2))).await;
    assert!(!matches!(verdict, Verdict::Refused(_)));
    assert_eq!(
        code(apply_one(&database, command(&add(ravi, "1"))).await).await,
        "patients.identifier_exists"
    );
    apply_one(&database, command(&add(asha, "1"))).await;
    assert!(
        read(&database, asha).await.identifiers[0]
            .ended_at
            .is_none()
    );
}

#[tokio::test]
async fn a_record_is_restricted_with_a_reason_and_a_merged_one_is_not_changed() {
    let database = TestDatabase::new().await;
    let mut ids = Vec::new();
    for (number, given, born, phone) in [
        ("1", "Asha", "1980-05-17", "9876543210"),
        ("2", "Usha", "1980-05-18", "9876543219"),
    ] {
        let command = command(&registration(Some(number), given, born, phone));
        ids.push(id_of(&apply_one(&database, command).await));
    }
    let restrict = RestrictPatient {
        patient_id: ids[0],
        seen: None,
        restricted: true,
        reason: "member of staff".into(),
        actor: "privacy".into(),
    };
    let verdict = apply_one(&database, command(&restrict)).await;
    assert_eq!(
        answer(&verdict)["changed"],
        serde_json::json!(["restricted"])
    );
    assert!(read(&database, ids[0]).await.restricted);
    let merge = MergePatients {
        survivor: ids[0],
        retired: ids[1],
        reason: "one person".into(),
        actor: "desk".into(),
    };
    apply_one(&database, command(&merge)).await;
    let late = change(ids[1], stated("Usha", "1980-05-17", "9876543219"));
    let verdict = apply_one(&database, command(&late)).await;
    assert_eq!(refused(&verdict), "patients.merged_conflict");
}

#[tokio::test]
async fn who_was_part_of_a_restricted_chart_is_restricted_when_the_merge_is_taken_back() {
    let database = TestDatabase::new().await;
    let mut ids = Vec::new();
    for (number, given, born, phone) in [
        ("1", "Asha", "1980-05-17", "9876543210"),
        ("2", "Usha", "1980-05-18", "9876543219"),
    ] {
        let command = command(&registration(Some(number), given, born, phone));
        ids.push(id_of(&apply_one(&database, command).await));
    }
    let merge = MergePatients {
        survivor: ids[0],
        retired: ids[1],
        reason: "one person".into(),
        actor: "desk".into(),
    };
    apply_one(&database, command(&merge)).await;
    let restrict = RestrictPatient {
        patient_id: ids[0],
        seen: None,
        restricted: true,
        reason: "member of staff".into(),
        actor: "privacy".into(),
    };
    apply_one(&database, command(&restrict)).await;
    assert!(!read(&database, ids[1]).await.restricted);
    let verdict = apply_one(&database, command(&unmerge(ids[1]))).await;
    assert_eq!(
        names_of(&verdict),
        ["patients.patient.unmerged", "patients.patient.updated"]
    );
    for id in ids {
        let record = read(&database, id).await;
        assert!(record.restricted && record.merged_into.is_none());
    }
}
