//! From a person to the keys that clinical rows carry.

use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// An identifier key of a person, as clinical rows carry it, and the record that stands for that person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct SubjectKey {
    pub patient_id: Uuid,
    pub key: Uuid,
}

/// Keys of everybody who has an identifier of this value (or `system|value`), all their merged records included.
///
/// Two systems may give one value to two people: `patient_id` tells them apart.
///
/// # Errors
/// The database is out of reach.
pub async fn subject_keys_for_identifier(
    conn: &mut PgConnection,
    identifier: &str,
) -> Result<Vec<SubjectKey>, sqlx::Error> {
    let (system, value) = asked(identifier);
    sqlx::query_as(
        "with people as (
             select distinct patients.standing(i.patient_id) as id
             from patients.identifiers i where i.value = $1 and ($2 is null or i.system = $2)
         )
         select people.id as patient_id, i.key
         from people
         cross join lateral patients.family_of(people.id) as family(id)
         join patients.identifiers i on i.patient_id = family.id
         order by people.id, i.key",
    )
    .bind(value)
    .bind(system)
    .fetch_all(conn)
    .await
}

/// Keys of one person, by the id of any of the records.
///
/// # Errors
/// The database is out of reach.
pub async fn subject_keys_for_patient(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Vec<SubjectKey>, sqlx::Error> {
    sqlx::query_as(
        "with people as (select patients.standing($1) as id)
         select people.id as patient_id, i.key
         from people
         cross join lateral patients.family_of(people.id) as family(id)
         join patients.identifiers i on i.patient_id = family.id
         order by i.key",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}

/// The standing record of each identifier key.
///
/// # Errors
/// The database is out of reach.
pub async fn patients_of_keys(
    conn: &mut PgConnection,
    keys: &[Uuid],
) -> Result<Vec<(Uuid, Option<Uuid>)>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select key, patients.standing(patient_id) from patients.identifiers where key = any($1)",
    )
    .bind(keys)
    .fetch_all(conn)
    .await
}

/// An identifier as it was registered, and the standing record of its person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct NamedIdentifier {
    pub key: Uuid,
    pub system: String,
    pub value: String,
    pub kind: Option<String>,
    pub patient_id: Uuid,
    /// Of the standing record: nobody registered the person, a message only mentioned the number.
    pub provisional: bool,
}

/// Identifiers of this value (or `system|value`): two systems may give one value to two people.
///
/// # Errors
/// The database is out of reach.
pub async fn identifiers_named(
    conn: &mut PgConnection,
    identifier: &str,
) -> Result<Vec<NamedIdentifier>, sqlx::Error> {
    let (system, value) = asked(identifier);
    sqlx::query_as(
        "select i.key, i.system, i.value, i.kind, p.id as patient_id, p.provisional
         from patients.identifiers i join patients.patients p on p.id = patients.standing(i.patient_id)
         where i.value = $1 and ($2::text is null or i.system = $2) order by i.created_at, i.key",
    )
    .bind(value)
    .bind(system)
    .fetch_all(conn)
    .await
}

/// An identifier and as much of its person as an instrument may print.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct PersonOfKey {
    pub key: Uuid,
    pub system: String,
    pub value: String,
    pub kind: Option<String>,
    /// Standing record.
    pub patient_id: Uuid,
    /// `HumanName`.
    pub name: Option<serde_json::Value>,
    pub birth_date: Option<String>,
    pub sex: Option<String>,
}

/// The person behind each identifier key that is registered.
///
/// # Errors
/// The database is out of reach.
pub async fn people_of_keys(
    conn: &mut PgConnection,
    keys: &[Uuid],
) -> Result<Vec<PersonOfKey>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select i.key, i.system, i.value, i.kind, p.id as patient_id, p.name, p.birth_date, p.sex
         from patients.identifiers i
         cross join lateral (select patients.standing(i.patient_id) as id) as standing
         join patients.patients p on p.id = standing.id
         where i.key = any($1)",
    )
    .bind(keys)
    .fetch_all(conn)
    .await
}

/// The same, each by the number of the person in this system where there is one, else by the number of the key: what a device
/// must be given so that what it sends back finds the person.
///
/// # Errors
/// The database is out of reach.
pub async fn people_in_system(
    conn: &mut PgConnection,
    keys: &[Uuid],
    system: &str,
) -> Result<Vec<PersonOfKey>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select i.key, chosen.system, chosen.value, chosen.kind, p.id as patient_id, p.name, p.birth_date, p.sex
         from patients.identifiers i
         join patients.patients p on p.id = patients.standing(i.patient_id)
         cross join lateral (
             select o.system, o.value, o.kind from patients.family_of(p.id) as family(id)
             join patients.identifiers o on o.patient_id = family.id
             where o.key = i.key or (o.system = $2 and o.ended_at is null)
             order by (o.system = $2 and o.ended_at is null) desc, (o.key = i.key) desc, o.created_at, o.key limit 1
         ) as chosen
         where i.key = any($1)",
    )
    .bind(keys)
    .bind(system)
    .fetch_all(conn)
    .await
}

/// `system|value`, `|value` or `value`.
fn asked(identifier: &str) -> (Option<&str>, &str) {
    match identifier.trim().split_once('|') {
        Some(("", value)) => (None, value),
        Some((system, value)) => (Some(system), value),
        None => (None, identifier.trim()),
    }
}

/// Those of these persons whose charts are restricted; records merged into them count.
///
/// # Errors
/// The database is out of reach.
pub async fn restricted(
    conn: &mut PgConnection,
    patients: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    if patients.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "select asked.id from unnest($1::uuid[]) as asked(id)
         where exists (
             select from patients.family_of(asked.id) as family(id)
             join patients.patients p on p.id = family.id
             where p.restricted
         )
         order by asked.id",
    )
    .bind(patients)
    .fetch_all(conn)
    .await
}

/// Whether the chart of one of these persons is restricted; records merged into them count.
///
/// # Errors
/// The database is out of reach.
pub async fn is_restricted(
    conn: &mut PgConnection,
    patients: &[Uuid],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (
             select from unnest($1::uuid[]) as asked(id)
             cross join lateral patients.family_of(asked.id) as family(id)
             join patients.patients p on p.id = family.id
             where p.restricted
         )",
    )
    .bind(patients)
    .fetch_one(conn)
    .await
}
