//! What somebody must do for a patient: raised by a score, seen, done. One open task a patient; the next score that asks for it
//! moves that one.

use hub_core::{Refusal, Tx};
use schemas::rounds::{AdvanceTask, DeteriorationFlagged, TaskAction};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::scoring::Round;
use super::{Outcome, rfc3339};
use crate::audit;
use crate::batch::Batch;

/// State, action, next state; what stands in no row is refused.
const TRANSITIONS: &[(&str, TaskAction, &str)] = &[
    ("open", TaskAction::Acknowledge, "acknowledged"),
    ("open", TaskAction::Complete, "done"),
    ("acknowledged", TaskAction::Complete, "done"),
];

/// What a score asks for.
pub(super) struct Wanted<'w> {
    pub(super) score: Uuid,
    pub(super) total: Option<i16>,
    pub(super) trigger: &'w str,
    pub(super) rank: i16,
    pub(super) minutes: i64,
}

/// Opens the task, or brings the open one up to date; its id. Says it either way: a patient who gets worse is news.
pub(super) async fn raise(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    round: &Round<'_>,
    wanted: &Wanted<'_>,
) -> Result<Uuid, sqlx::Error> {
    let envelope = &batch.envelopes[slot];
    let tenant = tx.tenant().clone();
    // from when it is known, not from when it was measured: a round that is entered late is not overdue at once
    let due_at = envelope.recorded_at + Duration::minutes(wanted.minutes);
    let (id, due_at): (Uuid, OffsetDateTime) = sqlx::query_as(
        "insert into clinical.tasks as task (tenant_id, id, kind, subject_key, visit_number, score_id, trigger, rank, due_at, \
         source_event) values ($1, $2, 'deterioration', $3, $4, $5, $6, $7, $8, $9) \
         on conflict (subject_key, kind) where state = 'open' do update set \
         score_id = excluded.score_id, times = task.times + 1, due_at = least(task.due_at, excluded.due_at), \
         trigger = case when excluded.rank > task.rank then excluded.trigger else task.trigger end, \
         rank = greatest(task.rank, excluded.rank) \
         returning task.id, task.due_at",
    )
    .bind(tenant.as_str())
    .bind(schemas::event_id(envelope.id, u32::MAX))
    .bind(round.subject.0)
    .bind(round.visit_number)
    .bind(wanted.score)
    .bind(wanted.trigger)
    .bind(wanted.rank)
    .bind(due_at)
    .bind(envelope.id)
    .fetch_one(tx.conn())
    .await?;
    batch.say(
        slot,
        &DeteriorationFlagged {
            task_id: id,
            score_id: wanted.score,
            subject_key: round.subject,
            trigger: wanted.trigger.to_owned(),
            total: wanted.total,
            due_at: rfc3339(due_at),
        },
    );
    Ok(id)
}

pub(super) async fn advance(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &AdvanceTask,
) -> Outcome {
    let from: Option<String> =
        sqlx::query_scalar("select state from clinical.tasks where id = $1 for update")
            .bind(command.task_id)
            .fetch_optional(tx.conn())
            .await?;
    let Some(from) = from else {
        return Ok(Err(Refusal::new(
            "clinical.task_unknown",
            "no task has this id",
        )));
    };
    let word = match command.action {
        TaskAction::Acknowledge => "acknowledge",
        TaskAction::Complete => "complete",
    };
    let Some((_, _, to)) = TRANSITIONS
        .iter()
        .find(|(state, action, _)| *state == from && *action == command.action)
    else {
        let allowed: Vec<&str> = TRANSITIONS
            .iter()
            .filter(|(state, ..)| *state == from)
            .map(|(_, action, _)| match action {
                TaskAction::Acknowledge => "acknowledge",
                TaskAction::Complete => "complete",
            })
            .collect();
        return Ok(Err(Refusal::new(
            "clinical.task_conflict",
            format!(
                "a task that is {from} can't be brought on by `{word}`; allowed: {}",
                if allowed.is_empty() {
                    "nothing".to_owned()
                } else {
                    allowed.join(", ")
                }
            ),
        )));
    };
    let outcome = command
        .outcome
        .as_deref()
        .filter(|words| !words.trim().is_empty());
    if *to == "done" && outcome.is_none() {
        return Ok(Err(Refusal::new(
            "clinical.task_outcome",
            "say what came of it",
        )));
    }
    sqlx::query(
        "update clinical.tasks set state = $2, \
         acknowledged_at = case when $2 = 'acknowledged' then now() else acknowledged_at end, \
         acknowledged_by = case when $2 = 'acknowledged' then $3 else acknowledged_by end, \
         done_at = case when $2 = 'done' then now() end, done_by = case when $2 = 'done' then $3 end, \
         outcome = case when $2 = 'done' then $4 end where id = $1",
    )
    .bind(command.task_id)
    .bind(to)
    .bind(&command.actor)
    .bind(outcome)
    .execute(tx.conn())
    .await?;
    batch.answer(
        slot,
        serde_json::json!({ "id": command.task_id, "state": to }),
    );
    audit::entry(
        tx,
        &command.actor,
        "clinical.task.advance",
        &format!("task:{}", command.task_id),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "from": from, "to": to })),
    )
    .await?;
    Ok(Ok(()))
}
