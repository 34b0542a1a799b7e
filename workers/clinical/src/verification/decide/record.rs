//! Decisions of people, written down.

use hub_core::Tx;
use schemas::verification::DecideResults;
use uuid::Uuid;

use super::Item;
use crate::verification::state::State;

pub(super) async fn write(
    tx: &mut Tx<'_>,
    changed: &[(&Item, State)],
    command: &DecideResults,
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = changed.iter().map(|(item, _)| item.id).collect();
    sqlx::query(
        "update clinical.verifications as standing set state = decided.state, revision = standing.revision + 1, \
         decided_by = case when decided.state <> 'needs_review' then $3 end, \
         decided_at = case when decided.state <> 'needs_review' then now() end, \
         reopened_by = case when decided.state = 'needs_review' then $3 else standing.reopened_by end, \
         released_at = case when decided.state = 'released' then now() end \
         from unnest($1::bigint[], $2::text[]) as decided (id, state) where standing.id = decided.id",
    )
    .bind(&ids)
    .bind(changed.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>())
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    match &command.comment {
        Some(comment) => note(tx, &ids, &command.actor, comment).await,
        None => Ok(()),
    }
}

/// A person said which run is good: other runs of the test on the sample that wait no longer count, and one that was released
/// before is replaced. Answers their reports.
pub(super) async fn replace_runs(tx: &mut Tx<'_>, ids: &[i64]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "update clinical.verifications as other set revision = other.revision + 1, \
         current = other.state <> 'released', failed = 'run', reason = 'another run of this sample counts', \
         state = case when other.state = 'released' then 'released' else 'rejected' end, \
         decided_by = coalesce(other.decided_by, chosen.decided_by), \
         decided_at = coalesce(other.decided_at, chosen.decided_at) \
         from clinical.verifications as chosen \
         join clinical.results as value on value.report_id = chosen.report_id and value.item = chosen.item \
             and value.version = chosen.version and value.value_kind in ('quantity', 'absent') \
         where chosen.id = any($1) and other.id <> all($1) and other.current and other.state <> 'rejected' \
         and other.specimen_number = chosen.specimen_number and other.subject_key = chosen.subject_key \
         and other.channel = chosen.channel and other.code = chosen.code \
         and other.code_system is not distinct from chosen.code_system \
         and other.sub_id is not distinct from chosen.sub_id \
         and other.at between chosen.at - interval '7 days' and chosen.at + interval '7 days' \
         and exists (select from clinical.results as measured where measured.report_id = other.report_id \
             and measured.item = other.item and measured.version = other.version \
             and measured.value_kind in ('quantity', 'absent')) \
         returning other.report_id",
    )
    .bind(ids)
    .fetch_all(tx.conn())
    .await
}

/// Puts a remark beside items.
pub(in crate::verification) async fn note(
    tx: &mut Tx<'_>,
    ids: &[i64],
    actor: &str,
    comment: &str,
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.verification_comments (tenant_id, verification_id, actor, comment) \
         select $1, unnest($2::bigint[]), $3, $4",
    )
    .bind(tenant.as_str())
    .bind(ids)
    .bind(actor)
    .bind(comment)
    .execute(tx.conn())
    .await?;
    Ok(())
}
