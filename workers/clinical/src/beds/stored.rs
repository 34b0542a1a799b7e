//! Movements, stays and beds in their tables.

use std::collections::{BTreeSet, HashMap};

use hub_core::Tx;
use schemas::care::{EncounterAction, Location};
use schemas::devices::Bed;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::history::{Movement, Stay};
use super::{Held, Occupancy, Question, json_of, place_of};
use crate::encounters::Reported;

/// The word of an action, as its schema has it.
fn word(action: EncounterAction) -> String {
    serde_json::to_value(action)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn action(word: &str) -> EncounterAction {
    serde_json::from_value(Value::from(word)).unwrap_or(EncounterAction::Updated)
}

/// Keeps what was said, and the beds that it names.
pub(super) async fn record(tx: &mut Tx<'_>, reported: &[&Reported<'_>]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    let all = reported;
    sqlx::query(
        "insert into clinical.bed_movements (tenant_id, encounter_key, subject_key, subject_value, action, at, \
         discharged_at, place, source_event) \
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], \
         $7::timestamptz[], $8::jsonb[], $9::uuid[]) on conflict (source_event) do nothing",
    )
    .bind(tenant.as_str())
    .bind(all.iter().map(|one| one.key).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.said.subject.key.0).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.said.subject.value.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|one| word(one.said.action)).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.at).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.discharged_at.as_set().copied()).collect::<Vec<_>>())
    .bind(all.iter().map(|one| json_of(one.said.location.as_set())).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.envelope.id).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    let beds: BTreeSet<Bed> = reported
        .iter()
        .filter_map(|one| Bed::of(one.said.location.as_set()?))
        .collect();
    if beds.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into clinical.beds (tenant_id, bed_key, room, facility) \
         select $1, * from unnest($2::uuid[], $3::text[], $4::text[]) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(beds.iter().map(|bed| bed.key(&tenant)).collect::<Vec<_>>())
    .bind(beds.iter().map(|bed| bed.room.as_str()).collect::<Vec<_>>())
    .bind(
        beds.iter()
            .map(|bed| bed.facility.as_str())
            .collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct MovementRow {
    encounter_key: Uuid,
    subject_key: Uuid,
    subject_value: String,
    action: String,
    at: OffsetDateTime,
    discharged_at: Option<OffsetDateTime>,
    place: Option<Value>,
}

/// A movement, and whose it is.
pub(super) struct Said {
    pub(super) subject_key: Uuid,
    pub(super) subject_value: String,
    pub(super) movement: Movement,
}

/// All movements of these encounters in the order of their times.
pub(super) async fn movements(
    tx: &mut Tx<'_>,
    encounters: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Said>>, sqlx::Error> {
    let rows: Vec<MovementRow> = sqlx::query_as(
        "select encounter_key, subject_key, subject_value, action, at, discharged_at, place \
         from clinical.bed_movements where encounter_key = any($1) order by encounter_key, at, id",
    )
    .bind(encounters)
    .fetch_all(tx.conn())
    .await?;
    let mut said: HashMap<Uuid, Vec<Said>> = HashMap::new();
    for row in rows {
        let location: Option<Location> = row
            .place
            .and_then(|place| serde_json::from_value(place).ok());
        said.entry(row.encounter_key).or_default().push(Said {
            subject_key: row.subject_key,
            subject_value: row.subject_value,
            movement: Movement {
                action: action(&row.action),
                at: row.at,
                discharged_at: row.discharged_at,
                place: place_of(location.as_ref()),
            },
        });
    }
    Ok(said)
}

#[derive(sqlx::FromRow)]
struct StayRow {
    encounter_key: Uuid,
    subject_key: Uuid,
    subject_value: String,
    bed_key: Uuid,
    ward: String,
    bed: String,
    room: String,
    facility: String,
    from_at: OffsetDateTime,
    to_at: Option<OffsetDateTime>,
}

/// The stays of these encounters as they stand.
pub(super) async fn stays(
    tx: &mut Tx<'_>,
    encounters: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Held>>, sqlx::Error> {
    let rows: Vec<StayRow> = sqlx::query_as(
        "select encounter_key, subject_key, subject_value, bed_key, ward, bed, room, facility, from_at, to_at \
         from clinical.bed_stays where encounter_key = any($1) and not void order by encounter_key, n",
    )
    .bind(encounters)
    .fetch_all(tx.conn())
    .await?;
    let mut held: HashMap<Uuid, Vec<Held>> = HashMap::new();
    for row in rows {
        held.entry(row.encounter_key).or_default().push(Held {
            bed_key: row.bed_key,
            subject_key: row.subject_key,
            subject_value: row.subject_value,
            stay: Stay {
                bed: Bed {
                    ward: row.ward,
                    bed: row.bed,
                    room: row.room,
                    facility: row.facility,
                },
                from: row.from_at,
                to: row.to_at,
            },
        });
    }
    Ok(held)
}

/// Writes the stays of these encounters; those that there are no more become void.
pub(super) async fn save(tx: &mut Tx<'_>, changed: &[(Uuid, &[Held])]) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    let count = |held: &[Held]| i16::try_from(held.len()).unwrap_or(i16::MAX);
    sqlx::query(
        "update clinical.bed_stays as stay set void = true from unnest($1::uuid[], $2::smallint[]) as now (key, count) \
         where stay.encounter_key = now.key and stay.n >= now.count and not stay.void",
    )
    .bind(changed.iter().map(|(key, _)| *key).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, held)| count(held)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    let rows: Vec<(Uuid, i16, &Held)> = changed
        .iter()
        .flat_map(|(key, held)| (0_i16..).zip(held.iter()).map(|(n, one)| (*key, n, one)))
        .collect();
    sqlx::query(
        "insert into clinical.bed_stays (tenant_id, encounter_key, n, subject_key, subject_value, bed_key, ward, bed, \
         room, facility, from_at, to_at) \
         select $1, * from unnest($2::uuid[], $3::smallint[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], \
         $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[]) \
         on conflict (encounter_key, n) do update set subject_key = excluded.subject_key, \
         subject_value = excluded.subject_value, bed_key = excluded.bed_key, ward = excluded.ward, bed = excluded.bed, \
         room = excluded.room, facility = excluded.facility, from_at = excluded.from_at, to_at = excluded.to_at, \
         void = false",
    )
    .bind(tenant.as_str())
    .bind(rows.iter().map(|(key, _, _)| *key).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, n, _)| *n).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.subject_key).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.subject_value.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.bed_key).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.stay.bed.ward.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.stay.bed.bed.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.stay.bed.room.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.stay.bed.facility.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.stay.from).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, one)| one.stay.to).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Who was where; one look-up for all questions.
pub(super) async fn occupancy(
    tx: &mut Tx<'_>,
    questions: &[Question],
) -> Result<Vec<Occupancy>, sqlx::Error> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant().clone();
    let keys: Vec<Uuid> = questions.iter().map(|q| q.bed.key(&tenant)).collect();
    let known: Vec<(Uuid, String, String)> =
        sqlx::query_as("select bed_key, room, facility from clinical.beds where bed_key = any($1)")
            .bind(&keys)
            .fetch_all(tx.conn())
            .await?;
    let mut answers: Vec<Occupancy> = questions
        .iter()
        .zip(&keys)
        .map(|(question, key)| {
            let named: Vec<Bed> = known
                .iter()
                .filter(|(of, _, _)| of == key)
                .map(|(_, room, facility)| Bed {
                    room: room.clone(),
                    facility: facility.clone(),
                    ..question.bed.clone()
                })
                .filter(|bed| bed.may_be(&question.bed))
                .collect();
            Occupancy {
                unknown: named.is_empty(),
                ambiguous: named
                    .iter()
                    .any(|one| named.iter().any(|two| !one.may_be(two))),
                ..Occupancy::default()
            }
        })
        .collect();
    let places: Vec<i32> = (0..).take(questions.len()).collect();
    let value = |question: &Question| question.named.as_ref().map(|(_, value)| value.clone());
    let found: Vec<(i32, Uuid, bool)> = sqlx::query_as(
        "select distinct asked.place, stay.subject_key, \
         coalesce(stay.subject_key = asked.named or stay.subject_value = asked.named_value, false) \
         from unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[]) \
         as asked (place, bed_key, room, facility, at, named, named_value) \
         join clinical.bed_stays as stay on stay.bed_key = asked.bed_key and not stay.void \
         and stay.from_at <= asked.at and (stay.to_at is null or stay.to_at > asked.at) \
         and (asked.room = '' or stay.room = '' or stay.room = asked.room) \
         and (asked.facility = '' or stay.facility = '' or stay.facility = asked.facility)",
    )
    .bind(places)
    .bind(&keys)
    .bind(questions.iter().map(|q| q.bed.room.as_str()).collect::<Vec<_>>())
    .bind(questions.iter().map(|q| q.bed.facility.as_str()).collect::<Vec<_>>())
    .bind(questions.iter().map(|q| q.at).collect::<Vec<_>>())
    .bind(questions.iter().map(|q| q.named.as_ref().map(|(key, _)| *key)).collect::<Vec<_>>())
    .bind(questions.iter().map(value).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    for (place, subject, named) in found {
        let Some(answer) = usize::try_from(place)
            .ok()
            .and_then(|at| answers.get_mut(at))
        else {
            continue;
        };
        answer.occupants.insert(subject);
        if named {
            answer.named = Some(subject);
        }
    }
    Ok(answers)
}
