//! What the rules decided, written in one statement a batch.

use hub_core::Tx;
use uuid::Uuid;

use super::RULES;
use super::candidates::Candidate;
use super::checks::Failure;
use super::pack::Autoverify;
use super::state::State;

/// One row as it shall stand.
pub(super) struct Write<'c> {
    pub(super) one: &'c Candidate,
    pub(super) state: State,
    pub(super) failure: Option<Failure>,
    /// By the rules; else it waits.
    pub(super) decided: bool,
}

/// Versions that were replaced no longer wait; answers how many did.
pub(super) async fn retire(tx: &mut Tx<'_>, reports: &[Uuid]) -> Result<u64, sqlx::Error> {
    if reports.is_empty() {
        return Ok(0);
    }
    let retired = sqlx::query(
        "update clinical.verifications as standing set current = false, revision = standing.revision + 1 \
         from clinical.results as result where standing.report_id = any($1) and standing.current \
         and result.report_id = standing.report_id and result.item = standing.item \
         and result.version = standing.version and result.superseded_at is not null",
    )
    .bind(reports)
    .execute(tx.conn())
    .await?;
    Ok(retired.rows_affected())
}

/// Inserts, or rewrites what is open; a row that somebody decided meanwhile stays as it is.
pub(super) async fn save(
    tx: &mut Tx<'_>,
    rows: &[Write<'_>],
    pack: &Autoverify,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    let of = |read: fn(&Candidate) -> Option<&str>| -> Vec<Option<&str>> {
        rows.iter().map(|row| read(row.one)).collect()
    };
    sqlx::query(
        "insert into clinical.verifications as standing (tenant_id, report_id, item, version, current, channel, code, \
         code_system, sub_id, loinc, ucum, subject_key, specimen_number, measured_at, state, failed, reason, blocked, \
         corrects_released, decided_by, decided_at, released_at, pack, approved_by) \
         select $1, judged.*, case when judged.decided_by is not null then now() end, \
         case when judged.state = 'released' then now() end, $21, $22 \
         from unnest($2::uuid[], $3::smallint[], $4::smallint[], $5::boolean[], $6::text[], $7::text[], $8::text[], \
         $9::text[], $10::text[], $11::text[], $12::uuid[], $13::text[], $14::timestamptz[], $15::text[], $16::text[], \
         $17::text[], $18::boolean[], $19::boolean[], $20::text[]) as judged (report_id, item, version, current, channel, \
         code, code_system, sub_id, loinc, ucum, subject_key, specimen_number, measured_at, state, failed, reason, \
         blocked, corrects_released, decided_by) \
         on conflict (report_id, item, version) do update set loinc = excluded.loinc, ucum = excluded.ucum, \
         subject_key = excluded.subject_key, state = excluded.state, failed = excluded.failed, \
         reason = excluded.reason, blocked = excluded.blocked, corrects_released = excluded.corrects_released, \
         decided_by = excluded.decided_by, decided_at = excluded.decided_at, released_at = excluded.released_at, \
         pack = excluded.pack, approved_by = excluded.approved_by, revision = standing.revision + 1 \
         where standing.state in ('received', 'needs_review') and standing.current \
         and (standing.state, standing.failed, standing.reason, standing.loinc, standing.ucum, standing.subject_key) \
         is distinct from (excluded.state, excluded.failed, excluded.reason, excluded.loinc, excluded.ucum, \
         excluded.subject_key)",
    )
    .bind(tenant.as_str())
    .bind(rows.iter().map(|row| row.one.report_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.one.item).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.one.version).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.one.current).collect::<Vec<_>>())
    .bind(of(|one| Some(&one.channel)))
    .bind(of(|one| Some(&one.code)))
    .bind(of(|one| one.code_system.as_deref()))
    .bind(of(|one| one.sub_id.as_deref()))
    .bind(of(|one| one.loinc.as_deref()))
    .bind(of(|one| one.ucum.as_deref()))
    .bind(rows.iter().map(|row| row.one.subject_key).collect::<Vec<_>>())
    .bind(of(|one| one.specimen_number.as_deref()))
    .bind(rows.iter().map(|row| row.one.measured_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.state.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| Some(row.failure.as_ref()?.check.as_str())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| Some(row.failure.as_ref()?.reason.as_str())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.failure.as_ref().is_some_and(|failure| failure.blocked)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.one.corrects_released).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.decided.then_some(RULES)).collect::<Vec<_>>())
    .bind(pack.version())
    .bind(pack.approved_by())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Runs on file in whose place another counts now.
pub(super) async fn drop_runs(tx: &mut Tx<'_>, ids: &[i64]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.verifications set state = 'rejected', failed = 'run', \
         reason = 'another run of this sample counts', decided_by = $2, decided_at = now(), revision = revision + 1 \
         where id = any($1) and state in ('received', 'needs_review', 'verified')",
    )
    .bind(ids)
    .bind(RULES)
    .execute(tx.conn())
    .await?;
    Ok(())
}
