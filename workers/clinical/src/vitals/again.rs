//! `clinical.bed.changed`: what came from a bed is looked at again, by the same rule as when it came: whoever was alone in the bed
//! at the time of the measurement.
//!
//! So a movement that arrives late explains what waited for it, and takes back what was filed on a bed that had become stale: the
//! measurement gets a new version with the patient that it belongs to, or without one, and the old version stays.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::Tx;
use schemas::Body;
use schemas::care::Location;
use schemas::devices::{Bed, BedChanged};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::items::{self, Items, Waiting};
use super::{MatchedBy, whose};
use crate::batch::Batch;
use crate::beds::{self, Question, Questions};
use crate::{alarms, body};

/// Measurements looked at in one transaction; the bed takes another turn for the rest.
const LOOK: usize = 5_000;

#[derive(sqlx::FromRow)]
struct Stored {
    vital_key: Uuid,
    version: i16,
    observed_at: OffsetDateTime,
    channel: String,
    subject_key: Option<Uuid>,
    item_id: Option<i64>,
    reason: Option<String>,
    origin_key: Option<Uuid>,
    named_key: Option<Uuid>,
    named_value: Option<String>,
    bed_key: Uuid,
    place: Option<serde_json::Value>,
    device: Option<String>,
}

/// What becomes of one measurement.
enum Change {
    /// It waited, and it is known now whose it is.
    Explained(Uuid, MatchedBy),
    /// It was filed, and is another's, or for the time being nobody's.
    Moved(Option<(Uuid, MatchedBy)>, Option<usize>),
    /// It waits on, for another reason.
    Waits(usize),
}

pub(super) async fn look(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    let mut news: BTreeMap<Uuid, (OffsetDateTime, usize)> = BTreeMap::new();
    for slot in batch.named(BedChanged::NAME) {
        let read = body::decode::<BedChanged>(&batch.envelopes[slot])
            .and_then(|said| Ok((said.bed_key, body::time(Some(&said.since), "since")?)));
        match read {
            Ok((bed, since)) => {
                batch.unchanged(slot);
                let since = since.unwrap_or(OffsetDateTime::UNIX_EPOCH);
                news.entry(bed)
                    .and_modify(|(first, _)| *first = since.min(*first))
                    .or_insert((since, slot));
            }
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for (bed, (since, slot)) in news {
        let rows = load(tx, bed, since).await?;
        if rows.len() >= LOOK
            && let Some(last) = rows.last().filter(|last| last.observed_at > since)
        {
            let rest = BedChanged {
                bed_key: bed,
                since: last.observed_at.format(&Rfc3339).unwrap_or_default(),
            };
            batch.say(slot, &rest);
        }
        let changed = settle(tx, batch.envelopes[slot].id, &rows).await?;
        let alarms = alarms::look_again(tx, bed, since).await?;
        if changed + alarms > 0 {
            batch.applied(slot);
        }
        batch.changes.vitals += changed;
        batch.changes.alarms += alarms;
    }
    Ok(())
}

/// What the bed explained, and what waits for it to.
async fn load(
    tx: &mut Tx<'_>,
    bed: Uuid,
    since: OffsetDateTime,
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as(
        "select vital.vital_key, vital.version, vital.observed_at, vital.channel, vital.subject_key, vital.item_id, \
         item.reason, item.origin_key, vital.named_key, vital.named_value, vital.bed_key, vital.place, vital.device \
         from clinical.vitals as vital left join clinical.unmatched_vitals as item on item.id = vital.item_id \
         where vital.superseded_at is null and vital.observed_at >= $2 and vital.bed_key = $1 \
         and (vital.matched_by = 'bed' or (vital.subject_key is null and item.state = 'open' and item.reason <> 'clock')) \
         order by vital.observed_at, vital.vital_key limit $3 for update of vital",
    )
    .bind(bed)
    .bind(since)
    .bind(LOOK as i64)
    .fetch_all(tx.conn())
    .await
}

async fn settle(tx: &mut Tx<'_>, cause: Uuid, rows: &[Stored]) -> Result<usize, sqlx::Error> {
    let mut questions = Questions::default();
    let asked: Vec<Option<usize>> = rows
        .iter()
        .map(|row| {
            let place: Location = serde_json::from_value(row.place.clone()?).ok()?;
            Some(questions.ask(Question {
                bed: Bed::of(&place)?,
                at: row.observed_at,
                named: row.named_key.zip(row.named_value.clone()),
            }))
        })
        .collect();
    let answers = beds::occupancy(tx, &questions).await?;
    let mut items = Items::default();
    let mut touched: BTreeSet<i64> = BTreeSet::new();
    let mut changes: Vec<(&Stored, Change)> = Vec::new();
    for (row, asked) in rows.iter().zip(asked) {
        let verdict = whose(row.named_key, asked.and_then(|at| answers.get(at)), false);
        let wait = |items: &mut Items, reason| {
            items.put(
                &Waiting {
                    channel: &row.channel,
                    // an item of this bed: its devices' lane is the bed's
                    origin: row.origin_key.unwrap_or(row.bed_key),
                    device: row.device.as_deref(),
                    named: row.named_key,
                    bed_key: Some(row.bed_key),
                    place: row.place.as_ref(),
                    observed_at: row.observed_at,
                    counts: true,
                },
                reason,
            )
        };
        let change = match (row.subject_key, verdict) {
            (None, Ok((subject, by))) => Change::Explained(subject, by),
            (None, Err(reason)) if row.reason.as_deref() == Some(reason.as_str()) => continue,
            (None, Err(reason)) => Change::Waits(wait(&mut items, reason)),
            (Some(filed), Ok((subject, _))) if filed == subject => continue,
            (Some(_), Ok(found)) => Change::Moved(Some(found), None),
            (Some(_), Err(reason)) => Change::Moved(None, Some(wait(&mut items, reason))),
        };
        touched.extend(row.item_id);
        changes.push((row, change));
    }
    if changes.is_empty() {
        return Ok(0);
    }
    let ids = items.save(tx).await?;
    let mut in_place = Vec::new();
    let mut moved = Vec::new();
    for (row, change) in &changes {
        let item = |place: &usize| ids.get(*place).copied();
        match change {
            Change::Explained(subject, by) => {
                in_place.push((row, Some(*subject), Some(by.as_str()), row.item_id));
            }
            Change::Waits(place) => in_place.push((row, None, None, item(place))),
            Change::Moved(found, place) => moved.push((
                row,
                found.map(|(subject, _)| subject),
                found.map(|(_, by)| by.as_str()),
                place.as_ref().and_then(item),
            )),
        }
    }
    update(tx, &in_place).await?;
    again(tx, cause, &moved).await?;
    items::recount(tx, &touched, "explained", "worker/clinical").await?;
    Ok(changes.len())
}

type Decided<'r> = (
    &'r &'r Stored,
    Option<Uuid>,
    Option<&'static str>,
    Option<i64>,
);

/// What waited gets its patient, or another item.
async fn update(tx: &mut Tx<'_>, rows: &[Decided<'_>]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.vitals as vital set subject_key = new.subject, matched_by = new.by, item_id = new.item \
         from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::bigint[]) as new (key, version, subject, by, item) \
         where vital.vital_key = new.key and vital.version = new.version",
    )
    .bind(rows.iter().map(|(row, ..)| row.vital_key).collect::<Vec<_>>())
    .bind(rows.iter().map(|(row, ..)| row.version).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, subject, _, _)| *subject).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, by, _)| *by).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, _, item)| *item).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What was filed on a patient gets a new version; the old one stays on file, and is current no more.
async fn again(tx: &mut Tx<'_>, cause: Uuid, rows: &[Decided<'_>]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let keys: Vec<Uuid> = rows.iter().map(|(row, ..)| row.vital_key).collect();
    let versions: Vec<i16> = rows.iter().map(|(row, ..)| row.version).collect();
    sqlx::query(
        "update clinical.vitals as vital set superseded_at = now() \
         from unnest($1::uuid[], $2::smallint[]) as old (key, version) \
         where vital.vital_key = old.key and vital.version = old.version",
    )
    .bind(&keys)
    .bind(&versions)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "insert into clinical.vitals (tenant_id, vital_key, version, observed_at, timed_by, received_at, fact_at, channel, \
         subject_key, matched_by, item_id, named_key, named_value, bed_key, place, device, code, code_system, code_text, \
         alternate, path, container, value_type, value_kind, comparator, value_text, value_json, raw_value, unit, loinc, \
         loinc_display, ucum, ucum_value, range_text, flags, status, method, site, held, source_event) \
         select vital.tenant_id, vital.vital_key, (select max(version) + 1 from clinical.vitals as all_of \
             where all_of.vital_key = vital.vital_key), vital.observed_at, vital.timed_by, vital.received_at, \
         vital.fact_at, vital.channel, new.subject, new.by, new.item, vital.named_key, vital.named_value, vital.bed_key, \
         vital.place, vital.device, vital.code, vital.code_system, vital.code_text, vital.alternate, vital.path, \
         vital.container, vital.value_type, vital.value_kind, vital.comparator, vital.value_text, vital.value_json, \
         vital.raw_value, vital.unit, vital.loinc, vital.loinc_display, vital.ucum, vital.ucum_value, vital.range_text, \
         vital.flags, vital.status, vital.method, vital.site, vital.held, $6 \
         from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::bigint[]) as new (key, version, subject, by, item) \
         join clinical.vitals as vital on vital.vital_key = new.key and vital.version = new.version",
    )
    .bind(keys)
    .bind(versions)
    .bind(rows.iter().map(|(_, subject, _, _)| *subject).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, by, _)| *by).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, _, _, item)| *item).collect::<Vec<_>>())
    .bind(cause)
    .execute(tx.conn())
    .await?;
    Ok(())
}
