//! Reads what a batch is about.

use std::collections::HashSet;

use schemas::IdentifierKey;
use schemas::patients::{Address, HumanName, Sex, Telecom};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::demographics::Demographics;
use crate::index::Index;
use crate::message::Message;
use crate::record::{Record, Status};

/// Which of these identifiers are registered.
pub(crate) async fn known(
    conn: &mut PgConnection,
    mut keys: Vec<Uuid>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    keys.sort_unstable();
    keys.dedup();
    let known: Vec<Uuid> =
        sqlx::query_scalar("select key from patients.identifiers where key = any($1)")
            .bind(keys)
            .fetch_all(conn)
            .await?;
    Ok(known.into_iter().collect())
}

/// The records that own an identifier of these messages, those named by id, and those they lead to.
///
/// At first nothing is locked: writing is guarded by versions and unique keys. A batch that lost a race is loaded anew
/// with its records locked, so that it does not lose again.
pub(crate) async fn load(
    conn: &mut PgConnection,
    messages: &[&Message],
    locked: bool,
) -> Result<Index, sqlx::Error> {
    let mut index = Index::default();
    let keys: Vec<Uuid> = messages
        .iter()
        .flat_map(|message| message.identifiers())
        .map(|identifier| identifier.key.0)
        .collect();
    if !keys.is_empty() {
        let owners: Vec<(Uuid, Uuid, bool)> = sqlx::query_as(
            "select key, patient_id, ended_at is not null from patients.identifiers where key = any($1)",
        )
        .bind(keys)
        .fetch_all(&mut *conn)
        .await?;
        for (key, owner, ended) in owners {
            let key = IdentifierKey(key);
            index.owners.insert(key, owner);
            if ended {
                index.ended.insert(key);
            }
        }
    }
    let mut wanted: HashSet<Uuid> = index.owners.values().copied().collect();
    wanted.extend(messages.iter().flat_map(|message| message.records()));
    while !wanted.is_empty() {
        let ids: Vec<Uuid> = wanted.drain().collect();
        if locked {
            sqlx::query("select from patients.patients where id = any($1) order by id for update")
                .bind(&ids)
                .execute(&mut *conn)
                .await?;
        }
        let rows: Vec<Row> = sqlx::query_as(
            "select id, status, merged_into, provisional, restricted, name, other_names, birth_date, sex, telecoms, addresses,
                    mother_maiden_name, marital_status, deceased, cleared, version, fact_at, source_event
             from patients.patients where id = any($1)",
        )
        .bind(ids)
        .fetch_all(&mut *conn)
        .await?;
        for row in rows {
            wanted.extend(row.merged_into);
            let record = row.into_record();
            index.records.insert(record.id, record);
        }
        wanted.retain(|id| !index.records.contains_key(id));
    }
    let ending: Vec<Uuid> = messages
        .iter()
        .filter_map(|message| match message {
            Message::EndIdentifier(command) => Some(command.patient_id),
            _ => None,
        })
        .collect();
    if !ending.is_empty() {
        let counts: Vec<(Uuid, i64)> = sqlx::query_as(
            "select patient_id, count(*) from patients.identifiers
             where patient_id = any($1) and ended_at is null group by patient_id",
        )
        .bind(ending)
        .fetch_all(&mut *conn)
        .await?;
        index.in_use = counts.into_iter().collect();
    }
    if messages
        .iter()
        .any(|message| matches!(message, Message::MergeReported(_)))
    {
        let ids: Vec<Uuid> = index.records.keys().copied().collect();
        let taken_back: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(
            "select retired, max(unmerged_at) from patients.merges
             where retired = any($1) and unmerged_at is not null group by retired",
        )
        .bind(ids)
        .fetch_all(&mut *conn)
        .await?;
        index.unmerged_at = taken_back.into_iter().collect();
    }
    Ok(index)
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
    cleared: Vec<String>,
    version: i32,
    fact_at: Option<OffsetDateTime>,
    source_event: Uuid,
}

impl Row {
    fn into_record(self) -> Record {
        Record {
            id: self.id,
            status: Status::from_stored(&self.status),
            merged_into: self.merged_into,
            provisional: self.provisional,
            restricted: self.restricted,
            demographics: Demographics {
                name: self.name.map(|Json(name)| name),
                other_names: self.other_names.0,
                birth_date: self.birth_date,
                sex: self.sex.as_deref().map(|text| match text {
                    "male" => Sex::Male,
                    "female" => Sex::Female,
                    "other" => Sex::Other,
                    _ => Sex::Unknown,
                }),
                telecoms: self.telecoms.0,
                addresses: self.addresses.0,
                mother_maiden_name: self.mother_maiden_name,
                marital_status: self.marital_status,
                deceased: self.deceased,
                cleared: self.cleared,
            },
            version: self.version,
            fact_at: self.fact_at,
            source_event: self.source_event,
            stored_version: Some(self.version),
            stored_fact_at: self.fact_at,
            keys_changed: false,
        }
    }
}
