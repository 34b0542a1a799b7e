//! Encounters and their places as they stand in the tables: loaded, changed in memory, written back together.

use std::collections::HashMap;

use hub_core::Tx;
use serde_json::Value;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::stay::{Place, PlaceState, Stay};
use super::transition::EncounterState;

/// One row of `clinical.encounters`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Encounter {
    pub(crate) id: Uuid,
    pub(crate) encounter_key: Uuid,
    pub(crate) subject_key: Uuid,
    pub(crate) visit_number: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) status: String,
    pub(crate) location: Option<Value>,
    pub(crate) prior_location: Option<Value>,
    pub(crate) attending: Option<Value>,
    pub(crate) referring: Option<Value>,
    pub(crate) service: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) started_at: Option<OffsetDateTime>,
    pub(crate) ended_at: Option<OffsetDateTime>,
    pub(crate) fact_at: OffsetDateTime,
    pub(crate) status_at: OffsetDateTime,
    pub(crate) version: i32,
    pub(crate) source_event: Uuid,
    pub(crate) stage: Option<String>,
    pub(crate) desk: bool,
    pub(crate) subject_value: Option<String>,
    pub(crate) department_id: Option<Uuid>,
    pub(crate) token_day: Option<Date>,
    pub(crate) token: Option<i32>,
    pub(crate) reason: Option<String>,
    pub(crate) priority: Option<String>,
    pub(crate) payer: Option<String>,
    pub(crate) ward_class: Option<String>,
    pub(crate) medico_legal: Option<bool>,
    pub(crate) expected_at: Option<OffsetDateTime>,
    pub(crate) ending: Option<Value>,
}

impl Encounter {
    pub(crate) fn state(&self) -> EncounterState {
        EncounterState::stored(&self.status)
    }
}

#[derive(sqlx::FromRow)]
struct StoredPlace {
    encounter_id: Uuid,
    id: i64,
    location: Value,
    status: String,
    from_at: Option<OffsetDateTime>,
    to_at: Option<OffsetDateTime>,
    source_event: Uuid,
}

/// Encounters of the given keys with their places.
pub(crate) async fn load(
    tx: &mut Tx<'_>,
    keys: &[Uuid],
) -> Result<HashMap<Uuid, (Encounter, Stay)>, sqlx::Error> {
    let encounters: Vec<Encounter> = sqlx::query_as(
        "select id, encounter_key, subject_key, visit_number, class, status, location, prior_location, attending, \
         referring, service, disposition, started_at, ended_at, fact_at, status_at, version, source_event, \
         stage, desk, subject_value, department_id, token_day, token, reason, priority, payer, ward_class, medico_legal, \
         expected_at, ending from clinical.encounters where encounter_key = any($1) order by id for update",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await?;
    let ids: Vec<Uuid> = encounters.iter().map(|encounter| encounter.id).collect();
    let mut stays: HashMap<Uuid, Stay> = HashMap::new();
    if !ids.is_empty() {
        let places: Vec<StoredPlace> = sqlx::query_as(
            "select encounter_id, id, location, status, from_at, to_at, source_event \
             from clinical.encounter_locations where encounter_id = any($1) \
             order by encounter_id, from_at nulls first, id",
        )
        .bind(&ids)
        .fetch_all(tx.conn())
        .await?;
        for place in places {
            stays.entry(place.encounter_id).or_default().0.push(Place {
                id: Some(place.id),
                location: place.location,
                state: PlaceState::stored(&place.status),
                from_at: place.from_at,
                to_at: place.to_at,
                source_event: place.source_event,
                changed: false,
            });
        }
    }
    Ok(encounters
        .into_iter()
        .map(|encounter| {
            let stay = stays.remove(&encounter.id).unwrap_or_default();
            (encounter.encounter_key, (encounter, stay))
        })
        .collect())
}

/// Inserts the new encounters and rewrites the changed ones.
pub(crate) async fn save(tx: &mut Tx<'_>, encounters: &[&Encounter]) -> Result<(), sqlx::Error> {
    if encounters.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    let all = encounters;
    sqlx::query(
        "insert into clinical.encounters (tenant_id, id, encounter_key, subject_key, visit_number, class, status, \
         location, prior_location, attending, referring, service, disposition, started_at, ended_at, fact_at, \
         status_at, version, source_event, stage, desk, department_id, token_day, token, reason, priority, payer, \
         ward_class, medico_legal, expected_at, ending, subject_value) \
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], \
         $8::jsonb[], $9::jsonb[], $10::jsonb[], $11::jsonb[], $12::text[], $13::text[], $14::timestamptz[], \
         $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::integer[], $19::uuid[], \
         $20::text[], $21::boolean[], $22::uuid[], $23::date[], $24::integer[], $25::text[], $26::text[], $27::text[], \
         $28::text[], $29::boolean[], $30::timestamptz[], $31::jsonb[], $32::text[]) \
         on conflict (id) do update set class = excluded.class, status = excluded.status, \
         location = excluded.location, prior_location = excluded.prior_location, attending = excluded.attending, \
         referring = excluded.referring, service = excluded.service, disposition = excluded.disposition, \
         started_at = excluded.started_at, ended_at = excluded.ended_at, fact_at = excluded.fact_at, \
         status_at = excluded.status_at, version = excluded.version, updated_at = now(), \
         stage = excluded.stage, desk = excluded.desk, department_id = excluded.department_id, \
         token_day = excluded.token_day, token = excluded.token, reason = excluded.reason, \
         priority = excluded.priority, payer = excluded.payer, ward_class = excluded.ward_class, \
         medico_legal = excluded.medico_legal, expected_at = excluded.expected_at, ending = excluded.ending",
    )
    .bind(tenant.as_str())
    .bind(all.iter().map(|e| e.id).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.encounter_key).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.subject_key).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.visit_number.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.class.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.status.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.location.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.prior_location.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.attending.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.referring.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.service.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.disposition.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.started_at).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.ended_at).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.fact_at).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.status_at).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.version).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.source_event).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.stage.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.desk).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.department_id).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.token_day).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.token).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.reason.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.priority.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.payer.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.ward_class.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.medico_legal).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.expected_at).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.ending.clone()).collect::<Vec<_>>())
    .bind(all.iter().map(|e| e.subject_value.as_deref()).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes places that changed: those that end first, because one encounter has one active place.
pub(crate) async fn save_places(
    tx: &mut Tx<'_>,
    stays: &[(Uuid, &Stay)],
) -> Result<(), sqlx::Error> {
    let changed: Vec<(Uuid, &Place)> = stays
        .iter()
        .flat_map(|(encounter, stay)| stay.0.iter().map(|place| (*encounter, place)))
        .filter(|(_, place)| place.changed)
        .collect();
    for reopened in [false, true] {
        let rows: Vec<&Place> = changed
            .iter()
            .map(|(_, place)| *place)
            .filter(|place| place.id.is_some() && (place.state == PlaceState::Active) == reopened)
            .collect();
        if rows.is_empty() {
            continue;
        }
        sqlx::query(
            "update clinical.encounter_locations as place \
             set status = new.status, from_at = new.from_at, to_at = new.to_at \
             from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[]) \
             as new (id, status, from_at, to_at) \
             where place.id = new.id",
        )
        .bind(rows.iter().map(|place| place.id).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|place| place.state.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|place| place.from_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|place| place.to_at).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    }
    let new: Vec<&(Uuid, &Place)> = changed
        .iter()
        .filter(|(_, place)| place.id.is_none())
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.encounter_locations \
         (tenant_id, encounter_id, location, status, from_at, to_at, source_event) \
         select $1, * from unnest($2::uuid[], $3::jsonb[], $4::text[], $5::timestamptz[], $6::timestamptz[], \
         $7::uuid[])",
    )
    .bind(tenant.as_str())
    .bind(new.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, place)| place.location.clone()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, place)| place.state.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, place)| place.from_at).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, place)| place.to_at).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, place)| place.source_event).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Where staff say that the patients of these encounters are; encounters of which they say nothing are not among them.
pub(crate) async fn led_by_staff(
    tx: &mut Tx<'_>,
    keys: &[Uuid],
) -> Result<HashMap<Uuid, (Uuid, Option<Value>)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, Option<Value>)> = sqlx::query_as(
        "select encounter_key, id, location from clinical.encounters where encounter_key = any($1) and desk \
         and stage in ('bed_reserved', 'admitted', 'discharge_initiated', 'cleared')",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(key, id, place)| (key, (id, place)))
        .collect())
}
