//! Steps of specimens: `lis.specimen.move`, and the rejections that source systems report.

use hub_core::{Refusal, Tx};
use schemas::specimens::{
    MoveSpecimen, RejectReason, SpecimenCollected, SpecimenReceived, SpecimenRejected, SpecimenStep,
};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::orders;
use super::state::{self, Move, State};
use crate::audit;
use crate::batch::Batch;
use crate::stays::moment_or;
use crate::{tubes, verification};

/// Clocks of ward and laboratory may differ by so much.
const APART: Duration = Duration::minutes(5);

/// So long a number that was rejected as nobody's means the same tube (`rejected::as_nobody_s`).
const KEPT_FOR: Duration = Duration::days(7);

/// A specimen as it stands, locked.
#[derive(Debug, sqlx::FromRow)]
struct Tube {
    id: Uuid,
    label: Option<String>,
    subject_key: Option<Uuid>,
    collected_at: Option<OffsetDateTime>,
    received_at: Option<OffsetDateTime>,
    rejected_at: Option<OffsetDateTime>,
    version: i32,
}

/// The rest of the answer to a step.
type Outcome = Result<serde_json::Value, sqlx::Error>;

/// Takes one step.
pub(super) async fn take(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &MoveSpecimen,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let at = match moment_or(
        &batch.envelopes[slot],
        command.at.as_deref(),
        command.late_reason.as_deref(),
        ("clinical.time_ahead", "clinical.time_late"),
    ) {
        Ok(at) => at,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(tube) = locked(tx, command.specimen_id).await? else {
        return Ok(Err(Refusal::new(
            "clinical.specimen_unknown",
            "no specimen has this id",
        )));
    };
    if command
        .version
        .is_some_and(|version| version != tube.version)
    {
        return Ok(Err(Refusal::new(
            "clinical.specimen_stale",
            "the specimen was changed meanwhile: read it again",
        )));
    }
    let from = State::of(tube.collected_at, tube.received_at, tube.rejected_at);
    let step = match command.step {
        SpecimenStep::Collect { .. } => Move::Collect,
        SpecimenStep::Receive => Move::Receive,
        SpecimenStep::Reject { .. } => Move::Reject,
    };
    let to = match state::next(from, step) {
        Ok(to) => to,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // a time that is said must fit; who says nothing stands before the tube, whatever another system's clock says of the way here
    let before = [tube.collected_at, tube.received_at];
    if command.at.is_some() && before.iter().flatten().any(|before| at + APART < *before) {
        return Ok(Err(Refusal::new(
            "clinical.specimen_time",
            "`at` lies before the step that it follows",
        )));
    }
    let mut answer = match &command.step {
        SpecimenStep::Collect { collector } => {
            let by = collector.as_deref().unwrap_or(&command.actor);
            collected(tx, batch, slot, command.specimen_id, at, by).await?
        }
        SpecimenStep::Receive => received(tx, batch, slot, command, at).await?,
        SpecimenStep::Reject {
            reason,
            text,
            recollect,
        } => {
            if tube.subject_key.is_none() {
                return Ok(Err(Refusal::new(
                    "clinical.specimen_nobody",
                    "nobody knows whose this specimen is, and no order is on it: order on its number first, then reject the \
                     specimen that has the patient",
                )));
            }
            let why = Why {
                reason: *reason,
                text: text
                    .as_deref()
                    .map(str::trim)
                    .filter(|text| !text.is_empty()),
                recollect: *recollect,
            };
            if why.reason == RejectReason::Other && why.text.is_none() {
                return Ok(Err(Refusal::new(
                    "clinical.specimen_reason",
                    "the reason `other` needs a text that says it",
                )));
            }
            rejected(tx, batch, slot, &tube, (at, command.actor.as_str()), &why).await?
        }
    };
    answer["specimen_id"] = json!(command.specimen_id);
    answer["state"] = json!(to.as_str());
    answer["version"] = json!(tube.version + 1);
    let mut detail = answer.clone();
    detail["from"] = json!(from.as_str());
    detail["step"] = json!(command.step);
    if let (Some(at), Some(reason)) = (&command.at, &command.late_reason) {
        detail["at"] = json!(at);
        detail["late_reason"] = json!(reason);
    }
    batch.answer(slot, answer);
    audit::about(
        tx,
        &command.actor,
        <MoveSpecimen as schemas::Body>::NAME,
        &format!("specimen:{}", command.specimen_id),
        &[batch.envelopes[slot].id],
        Some(detail),
        tube.subject_key.as_slice(),
    )
    .await?;
    Ok(Ok(()))
}

/// The number first, then the specimen, as filing and placing lock them.
async fn locked(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Tube>, sqlx::Error> {
    let label: Option<Option<String>> = sqlx::query_scalar(
        "select coalesce(number, filler_number) from clinical.specimens where id = $1",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(label) = label else {
        return Ok(None);
    };
    let numbers = label.as_deref().into_iter().collect();
    tubes::lock(tx, &numbers).await?;
    sqlx::query_as(
        "select id, coalesce(number, filler_number) as label, subject_key, collected_at, received_at, rejected_at, version \
         from clinical.specimens where id = $1 for update",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await
}

async fn collected(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    id: Uuid,
    at: OffsetDateTime,
    by: &str,
) -> Outcome {
    sqlx::query(
        "update clinical.specimens set collected_at = $2, collected_by = $3, version = version + 1, updated_at = now() \
         where id = $1",
    )
    .bind(id)
    .bind(at)
    .bind(by)
    .execute(tx.conn())
    .await?;
    batch.say(
        slot,
        &SpecimenCollected {
            specimen_id: id,
            at: rfc3339(at),
        },
    );
    Ok(json!({}))
}

async fn received(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &MoveSpecimen,
    at: OffsetDateTime,
) -> Outcome {
    sqlx::query(
        "update clinical.specimens set received_at = $2, received_by = $3, version = version + 1, updated_at = now() \
         where id = $1",
    )
    .bind(command.specimen_id)
    .bind(at)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    batch.say(
        slot,
        &SpecimenReceived {
            specimen_id: command.specimen_id,
            at: rfc3339(at),
        },
    );
    Ok(json!({}))
}

/// Why a specimen is rejected, and what becomes of its orders.
pub(super) struct Why<'w> {
    pub(super) reason: RejectReason,
    /// `RejectReason::Other` needs it.
    pub(super) text: Option<&'w str>,
    pub(super) recollect: bool,
}

/// A source system says that its laboratory rejected it. What was rejected before stays as it was said then. That of a tube without a
/// patient is kept for the order that comes for its number ([`super::reported::catch_up`]).
pub(super) async fn reported(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    id: Uuid,
    why: &Why<'_>,
) -> Result<(), sqlx::Error> {
    let Some(tube) = locked(tx, id).await? else {
        return Ok(());
    };
    let from = State::of(tube.collected_at, tube.received_at, tube.rejected_at);
    let to = match state::next(from, Move::Reject) {
        Ok(to) => to,
        Err(_) if is_another(&tube, batch.envelopes[slot].occurred_at) => State::Rejected,
        Err(_) => return Ok(()),
    };
    let envelope = &batch.envelopes[slot];
    let (at, source, cause) = (envelope.occurred_at, envelope.source.clone(), envelope.id);
    let mut detail = rejected(tx, batch, slot, &tube, (at, source.as_str()), why).await?;
    detail["specimen_id"] = json!(id);
    detail["from"] = json!(from.as_str());
    detail["state"] = json!(to.as_str());
    detail["version"] = json!(tube.version + 1);
    detail["step"] = json!(SpecimenStep::Reject {
        reason: why.reason,
        text: why.text.map(str::to_owned),
        recollect: why.recollect,
    });
    audit::about(
        tx,
        &source,
        <MoveSpecimen as schemas::Body>::NAME,
        &format!("specimen:{id}"),
        &[cause],
        Some(detail),
        tube.subject_key.as_slice(),
    )
    .await
}

/// Numbers are used again: of one that is nobody's, what was said longer ago is of another tube.
fn is_another(tube: &Tube, at: OffsetDateTime) -> bool {
    tube.subject_key.is_none()
        && tube
            .rejected_at
            .is_some_and(|before| at - before > KEPT_FOR)
}

/// Its orders lose it: they wait for another one, or are revoked. What was measured of it and is not out yet waits for a person.
async fn rejected(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    tube: &Tube,
    (at, by): (OffsetDateTime, &str),
    why: &Why<'_>,
) -> Outcome {
    sqlx::query(
        "update clinical.specimens set rejected_at = $2, rejected_by = $3, reject_reason = $4, reject_text = $5, \
         recollect = $6, version = version + 1, updated_at = now() where id = $1",
    )
    .bind(tube.id)
    .bind(at)
    .bind(by)
    .bind(why.reason.as_str())
    .bind(why.text)
    .bind(why.recollect)
    .execute(tx.conn())
    .await?;
    let mut lost = Vec::new();
    let mut task_id = None;
    let mut out = 0;
    if let (Some(number), Some(subject)) = (tube.label.as_deref(), tube.subject_key) {
        // reports before orders, as filing locks them
        let words = verification::of_rejected(why.reason.as_str(), why.text);
        verification::doubt(tx, batch, slot, (number, subject), &words).await?;
        lost = orders::lose(tx, batch, slot, (number, subject), why.recollect).await?;
        if why.recollect && !lost.is_empty() {
            task_id =
                Some(orders::ask_for_another(tx, &batch.envelopes[slot], subject, &lost).await?);
        }
        out = reports_out(tx, number, subject).await?;
    }
    batch.say(
        slot,
        &SpecimenRejected {
            specimen_id: tube.id,
            reason: why.reason,
            recollect: why.recollect,
            orders: lost.clone(),
            task_id,
        },
    );
    let mut answer = json!({ "orders": lost, "reports_out": out });
    if let Some(task) = task_id {
        answer["task_id"] = json!(task);
    }
    Ok(answer)
}

/// Reports of it of which something may be acted on already: nobody takes that back but a correction.
async fn reports_out(tx: &mut Tx<'_>, number: &str, subject: Uuid) -> Result<i64, sqlx::Error> {
    let query = format!(
        "select count(*) from clinical.reports as report \
         left join clinical.report_releases as release on release.report_id = report.id \
         where report.specimen_number = $1 and report.subject_key = $2 and {}",
        orders::IS_OUT
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .bind(number)
        .bind(subject)
        .fetch_one(tx.conn())
        .await
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
