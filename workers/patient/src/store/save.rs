//! Writes what a batch changed. Inside a savepoint: a lost race shows as a missing row, and the batch is done anew.

mod likenesses;
mod links;
mod trail;

use schemas::TenantId;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use crate::effect::Effect;
use crate::index::Index;
use crate::record::Record;
use crate::similarity::Candidates;

/// Whether it could be written.
pub(crate) enum Saved {
    Done(Candidates),
    /// Another process registered or changed one of the records in the meantime.
    LostRace,
}

pub(crate) async fn save(
    conn: &mut PgConnection,
    tenant: &TenantId,
    index: &Index,
    effects: &[(Uuid, Effect)],
) -> Result<Saved, sqlx::Error> {
    let fresh: Vec<&Record> = index
        .registered
        .iter()
        .filter_map(|id| index.records.get(id))
        .collect();
    let mut changed: Vec<&Record> = index
        .records
        .values()
        .filter(|record| record.is_changed())
        .collect();
    changed.sort_unstable_by_key(|record| record.id);
    if !insert_records(conn, tenant, &fresh).await?
        || !update_records(conn, &changed).await?
        || !insert_identifiers(conn, tenant, index).await?
    {
        return Ok(Saved::LostRace);
    }
    confirm_records(conn, index).await?;
    identifiers_in_use(conn, index).await?;
    links::save(conn, tenant, index).await?;
    let candidates = likenesses::save(conn, tenant, index).await?;
    trail::save(conn, tenant, index, effects).await?;
    Ok(Saved::Done(candidates))
}

/// Columns of records, as arrays for `unnest`.
#[derive(Default)]
struct Columns<'r> {
    ids: Vec<Uuid>,
    statuses: Vec<&'static str>,
    merged_into: Vec<Option<Uuid>>,
    provisional: Vec<bool>,
    restricted: Vec<bool>,
    names: Vec<Option<Json<&'r schemas::patients::HumanName>>>,
    other_names: Vec<Json<&'r [schemas::patients::HumanName]>>,
    birth_dates: Vec<Option<&'r str>>,
    sexes: Vec<Option<&'static str>>,
    telecoms: Vec<Json<&'r [schemas::patients::Telecom]>>,
    addresses: Vec<Json<&'r [schemas::patients::Address]>>,
    mother_maiden_names: Vec<Option<&'r str>>,
    marital_statuses: Vec<Option<&'r str>>,
    deceased: Vec<Option<&'r str>>,
    /// Field names joined by commas: an array of arrays can not be unnested by rows.
    cleared: Vec<String>,
    versions: Vec<i32>,
    stored_versions: Vec<Option<i32>>,
    fact_at: Vec<Option<time::OffsetDateTime>>,
    source_events: Vec<Uuid>,
}

impl<'r> Columns<'r> {
    fn of(records: &[&'r Record]) -> Self {
        let mut columns = Self::default();
        for record in records {
            let known = &record.demographics;
            columns.ids.push(record.id);
            columns.statuses.push(record.status.as_str());
            columns.merged_into.push(record.merged_into);
            columns.provisional.push(record.provisional);
            columns.restricted.push(record.restricted);
            columns.names.push(known.name.as_ref().map(Json));
            columns.other_names.push(Json(&known.other_names));
            columns.birth_dates.push(known.birth_date.as_deref());
            columns
                .sexes
                .push(known.sex.map(schemas::patients::Sex::as_str));
            columns.telecoms.push(Json(&known.telecoms));
            columns.addresses.push(Json(&known.addresses));
            columns
                .mother_maiden_names
                .push(known.mother_maiden_name.as_deref());
            columns
                .marital_statuses
                .push(known.marital_status.as_deref());
            columns.deceased.push(known.deceased.as_deref());
            columns.cleared.push(known.cleared.join(","));
            columns.versions.push(record.version);
            columns.stored_versions.push(record.stored_version);
            columns.fact_at.push(record.fact_at);
            columns.source_events.push(record.source_event);
        }
        columns
    }

    /// A statement with what both of them write bound to it, `$1` to `$18`.
    fn bound(self, statement: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(statement)
            .bind(self.ids)
            .bind(self.statuses)
            .bind(self.merged_into)
            .bind(self.provisional)
            .bind(self.names)
            .bind(self.other_names)
            .bind(self.birth_dates)
            .bind(self.sexes)
            .bind(self.telecoms)
            .bind(self.addresses)
            .bind(self.mother_maiden_names)
            .bind(self.marital_statuses)
            .bind(self.deceased)
            .bind(self.cleared)
            .bind(self.versions)
            .bind(self.fact_at)
            .bind(self.source_events)
            .bind(self.restricted)
    }
}

async fn insert_records(
    conn: &mut PgConnection,
    tenant: &TenantId,
    records: &[&Record],
) -> Result<bool, sqlx::Error> {
    if records.is_empty() {
        return Ok(true);
    }
    // a record made and merged in one batch leads to another one: the foreign key is checked at the end of the statement
    let done = Columns::of(records).bound(
        "insert into patients.patients
             (tenant_id, id, status, merged_into, provisional, name, other_names, birth_date, sex, telecoms, addresses,
              mother_maiden_name, marital_status, deceased, cleared, version, fact_at, source_event, restricted)
         select $19, r.id, r.status, r.merged_into, r.provisional, r.name, r.other_names, r.birth_date, r.sex, r.telecoms,
                r.addresses, r.mother_maiden_name, r.marital_status, r.deceased, string_to_array(r.cleared, ','),
                r.version, r.fact_at, r.source_event, r.restricted
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::boolean[], $5::jsonb[], $6::jsonb[], $7::text[], $8::text[],
                     $9::jsonb[], $10::jsonb[], $11::text[], $12::text[], $13::text[], $14::text[], $15::integer[],
                     $16::timestamptz[], $17::uuid[], $18::boolean[])
              as r(id, status, merged_into, provisional, name, other_names, birth_date, sex, telecoms, addresses,
                   mother_maiden_name, marital_status, deceased, cleared, version, fact_at, source_event, restricted)
         order by r.id
         on conflict (id) do nothing",
    )
    .bind(tenant.as_str())
    .execute(conn)
    .await?;
    Ok(usize::try_from(done.rows_affected()).is_ok_and(|rows| rows == records.len()))
}

async fn update_records(conn: &mut PgConnection, records: &[&Record]) -> Result<bool, sqlx::Error> {
    if records.is_empty() {
        return Ok(true);
    }
    let mut columns = Columns::of(records);
    let stored_versions = std::mem::take(&mut columns.stored_versions);
    let done = columns.bound(
        "update patients.patients p
         set status = r.status, merged_into = r.merged_into, provisional = r.provisional, name = r.name,
             other_names = r.other_names, birth_date = r.birth_date, sex = r.sex, telecoms = r.telecoms,
             addresses = r.addresses, mother_maiden_name = r.mother_maiden_name, marital_status = r.marital_status,
             deceased = r.deceased, cleared = string_to_array(r.cleared, ','), version = r.version, fact_at = r.fact_at,
             source_event = r.source_event, restricted = r.restricted, updated_at = now()
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::boolean[], $5::jsonb[], $6::jsonb[], $7::text[], $8::text[],
                     $9::jsonb[], $10::jsonb[], $11::text[], $12::text[], $13::text[], $14::text[], $15::integer[],
                     $16::timestamptz[], $17::uuid[], $18::boolean[], $19::integer[])
              as r(id, status, merged_into, provisional, name, other_names, birth_date, sex, telecoms, addresses,
                   mother_maiden_name, marital_status, deceased, cleared, version, fact_at, source_event, restricted,
                   stored_version)
         where p.id = r.id and p.version = r.stored_version",
    )
    .bind(stored_versions)
    .execute(conn)
    .await?;
    Ok(usize::try_from(done.rows_affected()).is_ok_and(|rows| rows == records.len()))
}

/// In the order of their keys, so that two batches that register the same ones wait for each other and do not lock up.
async fn insert_identifiers(
    conn: &mut PgConnection,
    tenant: &TenantId,
    index: &Index,
) -> Result<bool, sqlx::Error> {
    if index.new_identifiers.is_empty() {
        return Ok(true);
    }
    let (mut keys, mut systems, mut values, mut kinds, mut owners) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (identifier, owner) in &index.new_identifiers {
        keys.push(identifier.key.0);
        systems.push(identifier.system.as_str());
        values.push(identifier.value.as_str());
        kinds.push(identifier.kind.as_deref());
        owners.push(*owner);
    }
    let done = sqlx::query(
        "insert into patients.identifiers (tenant_id, key, system, value, kind, patient_id)
         select $1, r.key, r.system, r.value, r.kind, r.patient_id
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[]) as r(key, system, value, kind, patient_id)
         order by r.key
         on conflict (key) do nothing",
    )
    .bind(tenant.as_str())
    .bind(keys)
    .bind(systems)
    .bind(values)
    .bind(kinds)
    .bind(owners)
    .execute(conn)
    .await?;
    Ok(usize::try_from(done.rows_affected()).is_ok_and(|rows| rows == index.new_identifiers.len()))
}

/// A newer fact that said the same: only its time is kept, so that what comes between is known to be older.
async fn confirm_records(conn: &mut PgConnection, index: &Index) -> Result<(), sqlx::Error> {
    let (ids, times): (Vec<Uuid>, Vec<_>) = index
        .records
        .values()
        .filter(|record| record.is_confirmed())
        .map(|record| (record.id, record.fact_at))
        .unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update patients.patients p set fact_at = greatest(p.fact_at, r.fact_at)
         from unnest($1::uuid[], $2::timestamptz[]) as r(id, fact_at) where p.id = r.id",
    )
    .bind(ids)
    .bind(times)
    .execute(conn)
    .await?;
    Ok(())
}

/// Identifiers that a person ended, or took into use again. They lead where they led.
async fn identifiers_in_use(conn: &mut PgConnection, index: &Index) -> Result<(), sqlx::Error> {
    for (key, ending) in &index.usage {
        let (by, reason) = match ending {
            Some((by, reason)) => (Some(by), Some(reason)),
            None => (None, None),
        };
        sqlx::query(
            "update patients.identifiers set ended_at = case when $2::text is null then null else now() end, ended_by = $2,
                    end_reason = $3 where key = $1",
        )
        .bind(key.0)
        .bind(by)
        .bind(reason)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
