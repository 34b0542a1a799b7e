//! Shorthand: messages, and applying them as a runner does.

use hub_core::{Envelope, Outgoing, Verdict, Worker};
use schemas::commands::{MergePatients, UnmergePatient};
use schemas::patients::{
    Assertion, HumanName, Identifier, PatientMergeReported, PatientReported, Telecom,
};
use schemas::{IdentifierKey, Patch, TenantId};
use test_support::{TestDatabase, tenant};
use uuid::Uuid;
use worker_patient::PatientWorker;
use worker_patient::queries::{Patient, Person, Search, get, record, search};

pub(crate) fn identifier_of(tenant: &TenantId, value: &str) -> Identifier {
    let (system, value) = value.split_once('|').unwrap_or(("mrn", value));
    Identifier {
        key: IdentifierKey::of(tenant, system, value),
        system: system.into(),
        value: value.into(),
        kind: None,
    }
}

pub(crate) fn id(value: &str) -> Identifier {
    identifier_of(&tenant("demo"), value)
}

pub(crate) fn name(given: &str, family: &str) -> HumanName {
    HumanName {
        family: Some(family.into()),
        given: vec![given.into()],
        ..HumanName::default()
    }
}

pub(crate) fn mobile(value: &str) -> Patch<Vec<Telecom>> {
    Patch::Set(vec![Telecom {
        value: value.into(),
        system: "mobile".into(),
        use_code: None,
    }])
}

pub(crate) fn mentioned(value: &str) -> PatientReported {
    PatientReported {
        assertion: Assertion::Mentioned,
        identifiers: vec![id(value)],
        name: Patch::Set(name("Asha", "Rao")),
        other_names: Vec::new(),
        birth_date: Patch::Keep,
        sex: Patch::Keep,
        telecoms: Patch::Keep,
        addresses: Patch::Keep,
        mother_maiden_name: Patch::Keep,
        marital_status: Patch::Keep,
        deceased: Patch::Keep,
        occurred_at: None,
    }
}

/// An ADT message of 1 January 2026 at this hour.
pub(crate) fn asserted(value: &str, hour: u8) -> PatientReported {
    PatientReported {
        assertion: Assertion::Asserted,
        occurred_at: Some(at(hour)),
        ..mentioned(value)
    }
}

pub(crate) fn at(hour: u8) -> String {
    format!("2026-01-01T{hour:02}:00:00Z")
}

/// ADT A40: `retired` (MRG-1) goes into `survivor` (PID).
pub(crate) fn a40(survivor: &str, retired: &str) -> PatientMergeReported {
    PatientMergeReported {
        survivor: vec![id(survivor)],
        retired: vec![id(retired)],
        occurred_at: Some(at(12)),
    }
}

pub(crate) fn merge(survivor: Uuid, retired: Uuid) -> MergePatients {
    MergePatients {
        survivor,
        retired,
        reason: "same person".into(),
        actor: "user/reception".into(),
    }
}

pub(crate) fn unmerge(retired: Uuid) -> UnmergePatient {
    UnmergePatient {
        retired,
        reason: "twins".into(),
        actor: "user/supervisor".into(),
    }
}

/// Applies a batch in a transaction of its own, as the runner does.
pub(crate) async fn apply(database: &TestDatabase, batch: &[Envelope]) -> Vec<Verdict> {
    let mut tx = database.tx(&batch[0].tenant).await;
    let verdicts = PatientWorker.apply(&mut tx, batch).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(verdicts.len(), batch.len());
    verdicts
}

pub(crate) async fn apply_one(database: &TestDatabase, envelope: Envelope) -> Verdict {
    apply(database, &[envelope]).await.remove(0)
}

pub(crate) fn outgoing(verdict: &Verdict) -> &[Outgoing] {
    match verdict {
        Verdict::Applied { outgoing, .. } => outgoing,
        other => panic!("not applied: {other:?}"),
    }
}

pub(crate) fn names_of(verdict: &Verdict) -> Vec<&'static str> {
    outgoing(verdict)
        .iter()
        .map(|message| match &message.to {
            hub_core::worker::Destination::Catalogue { name, .. } => *name,
            hub_core::worker::Destination::Setting { .. } => "setting",
        })
        .collect()
}

pub(crate) fn body_of<T: schemas::Body>(verdict: &Verdict, place: usize) -> T {
    serde_json::from_slice(&outgoing(verdict)[place].body).unwrap()
}

pub(crate) fn refusal_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// The person who has this identifier.
pub(crate) async fn person(database: &TestDatabase, identifier: &str) -> Person {
    let found = find(database, identifier).await;
    assert_eq!(found.len(), 1, "one person has {identifier}: {found:#?}");
    let mut tx = database.tx(&tenant("demo")).await;
    get(tx.conn(), found[0].id).await.unwrap().unwrap()
}

pub(crate) async fn find(database: &TestDatabase, identifier: &str) -> Vec<Patient> {
    let mut tx = database.tx(&tenant("demo")).await;
    let asked = Search {
        identifier: Some(identifier.into()),
        limit: 10,
        ..Search::default()
    };
    search(tx.conn(), &asked).await.unwrap()
}

/// The record on which this identifier was registered, merged or not.
pub(crate) async fn record_of(database: &TestDatabase, value: &str) -> Patient {
    let mut tx = database.tx(&tenant("demo")).await;
    let owner: Uuid =
        sqlx::query_scalar("select patient_id from patients.identifiers where key = $1")
            .bind(id(value).key.0)
            .fetch_one(tx.conn())
            .await
            .unwrap();
    record(tx.conn(), owner).await.unwrap().unwrap()
}

pub(crate) async fn count(database: &TestDatabase, statement: &'static str) -> i64 {
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query_scalar(statement)
        .fetch_one(tx.conn())
        .await
        .unwrap()
}
