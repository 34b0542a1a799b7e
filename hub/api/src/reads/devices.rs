//! Measurements and alarms of bedside devices, through `worker_clinical::queries`.

use hub_core::Tx;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_clinical::queries::{
    self, AlarmFilter, AlarmRow, UnmatchedVitalsFilter, UnmatchedVitalsRow, VitalFilter, VitalRow,
};

use crate::auth::chart::Sight;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::Keys;
use crate::views::devices::{Alarm, AlarmDetail, AlarmEvent, UnmatchedVitals, Vital};

pub(crate) async fn vitals(
    tx: &mut Tx<'_>,
    keys: &Keys,
    mut filter: VitalFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Vital>, Problem> {
    filter.after = place(cursor)?;
    filter.limit = limit.rows();
    let subjects: Vec<Uuid> = keys.keys().copied().collect();
    let rows = queries::vitals_for_subjects(tx.conn(), &subjects, &filter).await?;
    Ok(page(rows, keys, limit))
}

pub(crate) async fn latest(
    tx: &mut Tx<'_>,
    keys: &Keys,
    since: Option<OffsetDateTime>,
) -> Result<Page<Vital>, Problem> {
    let subjects: Vec<Uuid> = keys.keys().copied().collect();
    let rows = queries::latest_vitals(tx.conn(), &subjects, since).await?;
    let items = rows
        .into_iter()
        .map(|row| {
            let patient = patient_of(keys, row.subject_key);
            Vital::of(row, patient)
        })
        .collect();
    Ok(Page::whole(items))
}

pub(crate) async fn unmatched(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut filter: UnmatchedVitalsFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<UnmatchedVitals>, Problem> {
    filter.after = Cursor::key(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::unmatched_vitals(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(|row| row.id);
    let keys = patients_of(tx, rows.iter().map(|row| row.named_key)).await?;
    let closed = sight.closed(tx, &keys).await?;
    let rows = closed.pass(rows, |row| patient_of(&keys, row.named_key));
    Ok(Page::of(rows, next, |row| {
        let named = patient_of(&keys, row.named_key);
        UnmatchedVitals::of(row, named)
    }))
}

/// What it holds is shown to who may open the chart of the patient that it names.
pub(crate) async fn open_item(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    item: &UnmatchedVitalsRow,
) -> Result<(), Problem> {
    let keys = patients_of(tx, [item.named_key]).await?;
    let closed = sight.closed(tx, &keys).await?;
    closed
        .show(vec![item], |item| patient_of(&keys, item.named_key))
        .map(drop)
}

/// The item as it is stored: a command about it needs its lane.
pub(crate) async fn unmatched_item(
    tx: &mut Tx<'_>,
    id: i64,
) -> Result<Option<UnmatchedVitalsRow>, Problem> {
    let filter = UnmatchedVitalsFilter {
        id: Some(id),
        limit: 1,
        ..UnmatchedVitalsFilter::default()
    };
    Ok(queries::unmatched_vitals(tx.conn(), &filter).await?.pop())
}

pub(crate) async fn vitals_of_item(
    tx: &mut Tx<'_>,
    id: i64,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Vital>, Problem> {
    let rows = queries::vitals_of_item(tx.conn(), id, place(cursor)?, limit.rows()).await?;
    Ok(page(rows, &Keys::new(), limit))
}

fn page(rows: Vec<VitalRow>, keys: &Keys, limit: Limit) -> Page<Vital> {
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(VitalRow::key)
        .and_then(|(at, key, version)| Some((at.format(&Rfc3339).ok()?, key, version)));
    Page::of(rows, next, |row| {
        let patient = patient_of(keys, row.subject_key);
        Vital::of(row, patient)
    })
}

fn place(cursor: Option<&Cursor>) -> Result<Option<(OffsetDateTime, Uuid, i16)>, Problem> {
    Cursor::key::<(String, Uuid, i16)>(cursor)?
        .map(|(at, key, version)| Ok((time_of(&at)?, key, version)))
        .transpose()
}

fn time_of(text: &str) -> Result<OffsetDateTime, Problem> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Cursor::refused())
}

fn patient_of(keys: &Keys, key: Option<Uuid>) -> Option<Uuid> {
    key.and_then(|key| keys.get(&key).copied().flatten())
}

pub(crate) async fn alarms(
    tx: &mut Tx<'_>,
    mut filter: AlarmFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Alarm>, Problem> {
    filter.after = Cursor::key::<(String, Uuid)>(cursor)?
        .map(|(at, id)| Ok::<_, Problem>((time_of(&at)?, id)))
        .transpose()?;
    filter.limit = limit.rows();
    let rows = queries::alarms(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(AlarmRow::key)
        .and_then(|(at, id)| Some((at.format(&Rfc3339).ok()?, id)));
    let keys = patients_of(tx, rows.iter().map(|row| row.subject_key)).await?;
    Ok(Page::of(rows, next, |row| {
        let patient = patient_of(&keys, row.subject_key);
        Alarm::of(row, patient)
    }))
}

pub(crate) async fn alarm(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<AlarmDetail>, Problem> {
    let filter = AlarmFilter {
        id: Some(id),
        limit: 1,
        ..AlarmFilter::default()
    };
    let Some(row) = queries::alarms(tx.conn(), &filter).await?.pop() else {
        return Ok(None);
    };
    let history = queries::alarm_events(tx.conn(), id).await?;
    let keys = patients_of(tx, [row.subject_key]).await?;
    let patient = patient_of(&keys, row.subject_key);
    Ok(Some(AlarmDetail {
        alarm: Alarm::of(row, patient),
        history: history.into_iter().map(AlarmEvent::of).collect(),
    }))
}
