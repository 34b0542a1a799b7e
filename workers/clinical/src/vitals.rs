//! What bedside devices measured: `clinical.vitals.observed`, and whose it is.
//!
//! Apart from laboratory reports, because it is much and has none: a measurement is recognised by origin, device, place in the
//! device, code and time, so a repeat has no second effect and a correction makes a version. Whose it is says the message, or
//! the bed at the time of the measurement; never a bed that is stale, unknown, empty or of two patients. What stays open waits
//! on the worklist, one item an origin and reason, until movements explain it or a person claims or discards it.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::care::HoldReason;
use schemas::commands::MapCode;
use schemas::devices::VitalsObserved;
use schemas::integration::ResultHeld;
use uuid::Uuid;

use crate::batch::Batch;
use crate::beds::{self, Question, Questions};
use crate::body;
use crate::code_maps::{self, CodeMaps};

mod again;
mod incoming;
mod items;
mod resolve;
mod table;
mod versions;
mod whose;

use incoming::Row;
use items::Items;
pub(crate) use whose::{MatchedBy, Reason, whose};

/// Everything about measurements that a batch holds: new ones, news of beds, what people decided.
pub(crate) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    file(tx, batch).await?;
    again::look(tx, batch).await?;
    resolve::apply(tx, batch).await
}

async fn file(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for slot in batch.named(VitalsObserved::NAME) {
        match incoming::rows(slot, &batch.envelopes[slot]) {
            Ok(read) => {
                batch.unchanged(slot);
                rows.extend(read);
            }
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let maps = mappings_for(tx, &rows).await?;
    for row in &mut rows {
        row.explain(&maps);
    }
    let (mut rows, superseded) = versions::settle(tx, rows).await?;
    find_whose(tx, &mut rows).await?;
    table::supersede(tx, &superseded).await?;
    table::insert(tx, &rows).await?;
    let left: BTreeSet<i64> = superseded.iter().filter_map(|old| old.item).collect();
    items::recount(tx, &left, "explained", "worker/clinical").await?;
    ask(tx, batch, &rows).await?;
    for row in &rows {
        batch.applied(row.slot);
    }
    batch.changes.vitals += rows.len();
    Ok(())
}

/// The lock comes before the mappings are read: no mapping can be made that these measurements would miss.
async fn mappings_for(tx: &mut Tx<'_>, rows: &[Row]) -> Result<CodeMaps, sqlx::Error> {
    let mut codes: Vec<&str> = rows
        .iter()
        .filter(|row| row.held.is_some())
        .map(|row| row.code.as_str())
        .collect();
    if codes.is_empty() {
        return Ok(CodeMaps::default());
    }
    codes.sort_unstable();
    codes.dedup();
    code_maps::lock_for_filing(tx).await?;
    CodeMaps::load(tx, &codes).await
}

/// Says of every row whose it is, or puts it into the item where it waits.
async fn find_whose(tx: &mut Tx<'_>, rows: &mut [Row]) -> Result<(), sqlx::Error> {
    let mut questions = Questions::default();
    let asked: Vec<Option<usize>> = rows
        .iter()
        .map(|row| {
            let bed = row.bed.clone()?;
            Some(questions.ask(Question {
                bed,
                at: row.observed_at,
                named: row.named.clone(),
            }))
        })
        .collect();
    let answers = beds::occupancy(tx, &questions).await?;
    let mut items = Items::default();
    let mut waiting = Vec::new();
    for (place, (row, asked)) in rows.iter_mut().zip(asked).enumerate() {
        let occupancy = asked.and_then(|at| answers.get(at));
        let named = row.named.as_ref().map(|(key, _)| *key);
        match whose(named, occupancy, row.is_ahead()) {
            Ok((subject, by)) => {
                row.subject = Some(subject);
                row.matched_by = Some(by);
            }
            // a person said whose the version before was
            Err(_) if row.inherited.is_some() => {
                row.subject = row.inherited;
                row.matched_by = Some(MatchedBy::Claim);
            }
            Err(reason) => {
                row.subject = None;
                waiting.push((place, items.add(row, reason)));
            }
        }
    }
    let ids = items.save(tx).await?;
    for (place, item) in waiting {
        rows[place].item = ids.get(item).copied();
    }
    Ok(())
}

/// Questions about codes and units go to the worklist of held codes: each once a day at most, however often a monitor sends it.
async fn ask(tx: &mut Tx<'_>, batch: &mut Batch<'_>, rows: &[Row]) -> Result<(), sqlx::Error> {
    type Key<'r> = (&'r str, &'r str, &'r str, &'r str);
    let mut first: BTreeMap<Key<'_>, &Row> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.held.is_some()) {
        first.entry(row.question()).or_insert(row);
    }
    if first.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    let column = |read: fn(&Key<'_>) -> String| first.keys().map(read).collect::<Vec<_>>();
    let new: Vec<(String, String, String, String)> = sqlx::query_as(
        "insert into clinical.vital_questions as known (tenant_id, channel, code_system, code, unit) \
         select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[]) \
         on conflict (tenant_id, channel, code_system, code, unit) do update set asked_at = now() \
         where known.asked_at < now() - interval '1 day' returning channel, code_system, code, unit",
    )
    .bind(tenant.as_str())
    .bind(column(|key| key.0.to_owned()))
    .bind(column(|key| key.1.to_owned()))
    .bind(column(|key| key.2.to_owned()))
    .bind(column(|key| key.3.to_owned()))
    .fetch_all(tx.conn())
    .await?;
    for (channel, system, code, unit) in &new {
        let key = (
            channel.as_str(),
            system.as_str(),
            code.as_str(),
            unit.as_str(),
        );
        let Some(row) = first.get(&key) else { continue };
        let body = ResultHeld {
            reason: row.held.unwrap_or(HoldReason::UnknownCode),
            channel: row.channel.clone(),
            // no report: the measurement's own key
            report_id: row.key,
            source_event: row.source_event,
            code_system: system.clone(),
            code: code.clone(),
            code_text: row.code_text.clone(),
            unit: row.unit.clone(),
            raw_value: row.raw_value.clone().or_else(|| row.value_text.clone()),
        };
        batch.say(row.slot, &body);
    }
    Ok(())
}

/// Gives every measurement that waited for this mapping its meaning; answers how many.
pub(crate) async fn release(tx: &mut Tx<'_>, command: &MapCode) -> Result<i64, sqlx::Error> {
    let done = sqlx::query(
        "update clinical.vitals set loinc = $5, loinc_display = $6, \
         ucum = case when $4::text is not null or unit is null or unit = $7 then $7 end, \
         ucum_value = case when $8::text is not null and value_kind = 'quantity' \
             and value_text ~ '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)$' \
             then (value_text::numeric * $8::numeric)::text end, held = null \
         where channel = $1 and held in ('unknown_code', 'unknown_unit') and code = $3 \
         and coalesce(code_system, '') = $2 and ($4::text is null or unit = $4)",
    )
    .bind(command.channel.as_str())
    .bind(&command.code_system)
    .bind(&command.code)
    .bind(&command.unit)
    .bind(&command.loinc)
    .bind(&command.display)
    .bind(&command.ucum)
    .bind(&command.factor)
    .execute(tx.conn())
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// A period that a command names.
fn period(
    from: Option<&str>,
    to: Option<&str>,
) -> Result<[Option<time::OffsetDateTime>; 2], Refusal> {
    Ok([body::time(from, "from")?, body::time(to, "to")?])
}

/// An aggregate as a key; the translator makes it of one.
fn origin(envelope: &hub_core::Envelope) -> Uuid {
    envelope
        .aggregate
        .parse()
        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, envelope.aggregate.as_bytes()))
}
