//! The laboratory's worklists, through `worker_clinical::queries`.

use hub_core::Tx;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_clinical::queries::{
    self, ControlFilter, CriticalFilter, UnmatchedFilter, UnmatchedRow,
};

use crate::auth::chart::Sight;
use crate::auth::permission::no_relationship;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::Keys;
use crate::views::worklists::{Control, ControlTarget, Critical, Unmatched};

pub(crate) async fn unmatched(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut filter: UnmatchedFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Unmatched>, Problem> {
    filter.after = place(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::unmatched(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(UnmatchedRow::key)
        .and_then(key);
    let named = rows.iter().flat_map(|row| [row.named_key, row.subject_key]);
    let keys = patients_of(tx, named).await?;
    let rows = open_reports(tx, sight, &keys, rows).await?;
    Ok(Page::of(rows, next, |row| Unmatched::of(row, &keys)))
}

/// Those that neither name nor came to a patient whose chart is closed to the caller.
pub(super) async fn open_reports(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: &Keys,
    rows: Vec<UnmatchedRow>,
) -> Result<Vec<UnmatchedRow>, Problem> {
    let closed = sight.closed_tubes(tx, keys).await?;
    let patient = |key: Option<Uuid>| key.and_then(|key| keys.get(&key).copied().flatten());
    let rows = closed.pass(rows, |row| patient(row.named_key));
    Ok(closed.pass(rows, |row| patient(row.subject_key)))
}

/// Refuses what is about a chart that is closed to the caller: his lists do not show it, so he decides nothing about it by its id.
pub(super) async fn listed(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    subjects: Vec<Option<Uuid>>,
) -> Result<(), Problem> {
    let keys = patients_of(tx, subjects.iter().copied()).await?;
    let closed = sight.closed_tubes(tx, &keys).await?;
    let asked = subjects.len();
    let shown = closed.pass(subjects, |subject| {
        subject.and_then(|key| keys.get(&key).copied().flatten())
    });
    if shown.len() < asked {
        return Err(no_relationship());
    }
    Ok(())
}

/// Refuses a critical value that the caller's list does not show him.
pub(crate) async fn critical_listed(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: i64,
) -> Result<(), Problem> {
    let subjects = queries::subjects_of_criticals(tx.conn(), &[id]).await?;
    listed(tx, sight, subjects).await
}

pub(crate) async fn unmatched_report(
    tx: &mut Tx<'_>,
    id: Uuid,
) -> Result<Option<Unmatched>, Problem> {
    let Some(row) = queries::unmatched_report(tx.conn(), id).await? else {
        return Ok(None);
    };
    let keys = patients_of(tx, [row.named_key, row.subject_key]).await?;
    Ok(Some(Unmatched::of(row, &keys)))
}

/// A time and an id, as a cursor carries them.
pub(super) fn key((at, id): (OffsetDateTime, Uuid)) -> Option<(String, Uuid)> {
    Some((at.format(&Rfc3339).ok()?, id))
}

fn place(cursor: Option<&Cursor>) -> Result<Option<(OffsetDateTime, Uuid)>, Problem> {
    Cursor::key::<(String, Uuid)>(cursor)?
        .map(|(at, id)| moment(&at).map(|at| (at, id)))
        .transpose()
}

pub(super) fn moment(text: &str) -> Result<OffsetDateTime, Problem> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Cursor::refused())
}

impl Unmatched {
    pub(super) fn of(row: UnmatchedRow, keys: &Keys) -> Self {
        let patient = |key: Option<Uuid>| key.and_then(|key| keys.get(&key).copied().flatten());
        Self {
            report_id: row.report_id,
            reason: row.reason,
            channel: row.channel,
            specimen_number: row.specimen_number,
            named_patient_id: patient(row.named_key),
            patient_id: patient(row.subject_key),
            code: row.code,
            code_text: row.code_text,
            tests: row.tests,
            state: row.state,
            resolved_by: row.resolved_by,
            comment: row.comment,
            resolved_at: row.resolved_at,
            observed_at: row.observed_at,
            at: row.at,
        }
    }
}

pub(crate) async fn controls(
    tx: &mut Tx<'_>,
    mut filter: ControlFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Control>, Problem> {
    filter.after = Cursor::key(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::controls(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(|row| row.id);
    Ok(Page::of(rows, next, |row| Control {
        id: row.id,
        run_id: row.run_id,
        channel: row.channel,
        material: row.material,
        lot: row.lot,
        level: row.level,
        code: row.code,
        code_text: row.code_text,
        loinc: row.loinc,
        value: row.value_text,
        unit: row.unit,
        mean: row.mean_text,
        sd: row.sd_text,
        z: row.z,
        verdict: row.verdict,
        rules: row.rules,
        judged_by: row.judged_by,
        state: row.state,
        decided_by: row.decided_by,
        decided_at: row.decided_at,
        comment: row.comment,
        observed_at: row.observed_at,
    }))
}

pub(crate) async fn control_targets(
    tx: &mut Tx<'_>,
    channel: Option<&str>,
) -> Result<Page<ControlTarget>, Problem> {
    let rows = queries::control_targets(tx.conn(), channel).await?;
    let items = rows
        .into_iter()
        .map(|row| ControlTarget {
            channel: row.channel,
            material: row.material,
            code: row.code,
            lot: row.lot,
            level: row.level,
            mean: row.mean_text,
            sd: row.sd_text,
            unit: row.unit,
            defined_by: row.actor,
            changed_at: row.changed_at,
        })
        .collect();
    Ok(Page::whole(items))
}

pub(crate) async fn criticals(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut filter: CriticalFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Critical>, Problem> {
    filter.after = Cursor::key(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::criticals(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(|row| row.id);
    let patient = |keys: &Keys, row: &queries::CriticalRow| {
        row.subject_key
            .and_then(|key| keys.get(&key).copied().flatten())
    };
    let keys = patients_of(tx, rows.iter().map(|row| row.subject_key)).await?;
    let closed = sight.closed_tubes(tx, &keys).await?;
    let rows = closed.pass(rows, |row| patient(&keys, row));
    Ok(Page::of(rows, next, |row| Critical {
        id: row.id,
        report_id: row.report_id,
        item: row.item,
        version: row.version,
        current: row.current,
        patient_id: patient(&keys, &row),
        channel: row.channel,
        specimen_number: row.specimen_number,
        loinc: row.loinc,
        loinc_display: row.loinc_display,
        comparator: row.comparator,
        value: row.value,
        ucum: row.ucum,
        side: row.side,
        limit: row.limit_text,
        judged_by: row.judged_by,
        state: row.state,
        raised_at: row.raised_at,
        due_at: row.due_at,
        overdue_at: row.overdue_at,
        told: row.told,
        read_back: row.read_back,
        comment: row.comment,
        acknowledged_by: row.acknowledged_by,
        acknowledged_at: row.acknowledged_at,
    }))
}
