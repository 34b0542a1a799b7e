//! One person: the standing record and those merged into it.

use std::collections::HashMap;

use schemas::patients::{Address, HumanName, Telecom};
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// One record of the index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Patient {
    pub id: Uuid,
    /// `active`, `merged`, `entered_in_error`.
    pub status: String,
    /// The record it was merged into (which may have been merged further).
    pub merged_into: Option<Uuid>,
    /// Only an order, a result or a merge has named this person so far.
    pub provisional: bool,
    /// The chart is open to those who care for the patient only.
    pub restricted: bool,
    pub name: Option<HumanName>,
    /// The name as one line.
    pub display_name: Option<String>,
    pub other_names: Vec<HumanName>,
    /// ISO 8601, possibly partial.
    pub birth_date: Option<String>,
    /// `male`, `female`, `other`, `unknown`.
    pub sex: Option<String>,
    pub telecoms: Vec<Telecom>,
    pub addresses: Vec<Address>,
    pub mother_maiden_name: Option<String>,
    pub marital_status: Option<String>,
    /// RFC 3339, or empty when only the fact is known.
    pub deceased: Option<String>,
    pub version: i32,
    /// The sender's time of the newest fact.
    #[serde(with = "time::serde::rfc3339::option")]
    pub fact_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// The message that made the last change.
    pub source_event: Uuid,
    /// Identifiers registered on this record, in the order of their registration.
    pub identifiers: Vec<PatientIdentifier>,
}

/// One identifier of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct PatientIdentifier {
    pub key: Uuid,
    pub system: String,
    pub value: String,
    pub kind: Option<String>,
    #[serde(skip)]
    pub patient_id: Uuid,
    /// Not to be used any more since then; it still leads here.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

/// A person: what readers are shown when they ask for any of the records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person {
    /// The record that stands.
    pub patient: Patient,
    /// Records that lead to it, oldest first.
    pub merged: Vec<Patient>,
}

/// The person of a record; `id` may be that of a merged one.
///
/// # Errors
/// The database is out of reach.
pub async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<Person>, sqlx::Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select f.id from patients.family_of(patients.standing($1)) as f(id) where f.id is not null")
            .bind(id)
            .fetch_all(&mut *conn)
            .await?;
    let mut records = by_ids(conn, &ids).await?;
    records.sort_by_key(|record| (record.merged_into.is_some(), record.created_at, record.id));
    let mut records = records.into_iter();
    Ok(records.next().map(|patient| Person {
        patient,
        merged: records.collect(),
    }))
}

/// One record as it is, merged or not.
///
/// # Errors
/// The database is out of reach.
pub async fn record(conn: &mut PgConnection, id: Uuid) -> Result<Option<Patient>, sqlx::Error> {
    Ok(by_ids(conn, &[id]).await?.pop())
}

/// Records that lead to these standing ones, oldest first, each with the one that it leads to.
///
/// # Errors
/// The database is out of reach.
pub async fn merged_of(
    conn: &mut PgConnection,
    standing: &[Uuid],
) -> Result<Vec<(Uuid, Patient)>, sqlx::Error> {
    let pairs: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select p.id, f.id from unnest($1::uuid[]) as p(id)
         cross join lateral patients.family_of(p.id) as f(id) where f.id <> p.id",
    )
    .bind(standing)
    .fetch_all(&mut *conn)
    .await?;
    let leads_to: HashMap<Uuid, Uuid> = pairs.iter().map(|(to, id)| (*id, *to)).collect();
    let ids: Vec<Uuid> = leads_to.keys().copied().collect();
    let mut records = by_ids(conn, &ids).await?;
    records.sort_by_key(|record| (record.created_at, record.id));
    Ok(records
        .into_iter()
        .filter_map(|record| Some((*leads_to.get(&record.id)?, record)))
        .collect())
}

/// Records with their identifiers, by id.
pub(super) async fn by_ids(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Patient>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select id, status, merged_into, provisional, restricted, name, other_names, birth_date, sex, telecoms, addresses,
                mother_maiden_name, marital_status, deceased, version, fact_at, created_at, updated_at, source_event
         from patients.patients where id = any($1) order by id",
    )
    .bind(ids)
    .fetch_all(&mut *conn)
    .await?;
    let identifiers: Vec<PatientIdentifier> = sqlx::query_as(
        "select key, system, value, kind, patient_id, ended_at from patients.identifiers
         where patient_id = any($1) order by created_at, system, value",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    let mut by_patient: HashMap<Uuid, Vec<PatientIdentifier>> = HashMap::new();
    for identifier in identifiers {
        by_patient
            .entry(identifier.patient_id)
            .or_default()
            .push(identifier);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let identifiers = by_patient.remove(&row.id).unwrap_or_default();
            row.with(identifiers)
        })
        .collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    status: String,
    merged_into: Option<Uuid>,
    provisional: bool,
    restricted: bool,
    name: Option<Json<HumanName>>,
    other_names: Json<Vec<HumanName>>,
    birth_date: Option<String>,
    sex: Option<String>,
    telecoms: Json<Vec<Telecom>>,
    addresses: Json<Vec<Address>>,
    mother_maiden_name: Option<String>,
    marital_status: Option<String>,
    deceased: Option<String>,
    version: i32,
    fact_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    source_event: Uuid,
}

impl Row {
    fn with(self, identifiers: Vec<PatientIdentifier>) -> Patient {
        let name = self.name.map(|Json(name)| name);
        Patient {
            id: self.id,
            status: self.status,
            merged_into: self.merged_into,
            provisional: self.provisional,
            restricted: self.restricted,
            display_name: name.as_ref().map(HumanName::display),
            name,
            other_names: self.other_names.0,
            birth_date: self.birth_date,
            sex: self.sex,
            telecoms: self.telecoms.0,
            addresses: self.addresses.0,
            mother_maiden_name: self.mother_maiden_name,
            marital_status: self.marital_status,
            deceased: self.deceased,
            version: self.version,
            fact_at: self.fact_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            source_event: self.source_event,
            identifiers,
        }
    }
}
