//! Critical values: a result beyond its limits opens an item, once a version; somebody is called, and reads it back.
//!
//! The filing path only looks at numbers whose term has limits, and asks Postgres when one is near or beyond; comparing there
//! is exact, and the same statement serves results that got their meaning later.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::criticals::{AcknowledgeCritical, CriticalOverdue, CriticalRaised, EscalateCriticals};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::batch::Batch;
use crate::reports::Row;
use crate::{audit, body};

pub(crate) mod limits;

use limits::CriticalLimits;

/// Reports that may hold critical values, each with the message that brought them.
pub(crate) struct Suspects<'l> {
    limits: &'l CriticalLimits,
    reports: Vec<(Uuid, usize)>,
}

impl<'l> Suspects<'l> {
    pub(crate) fn new(limits: &'l CriticalLimits) -> Self {
        Self {
            limits,
            reports: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, report: Uuid, slot: usize) {
        if self.reports.last() != Some(&(report, slot)) {
            self.reports.push((report, slot));
        }
    }

    /// Adds the report when this value may be beyond a limit.
    pub(crate) fn look(&mut self, row: &Row<'_>, report: Uuid, slot: usize) {
        if let Some((loinc, ucum, number)) = row.measured()
            && self.limits.may_be_critical(loinc, ucum, number)
        {
            self.add(report, slot);
        }
    }
}

#[derive(sqlx::FromRow)]
struct Raised {
    id: i64,
    report_id: Uuid,
    item: i16,
    loinc: String,
    due_at: OffsetDateTime,
}

/// Opens an item for every current final number of these reports that is beyond its limits and has none yet. What was measured of a
/// rejected tube is nothing to call about as it stands: it waits for verification, and who verifies it all the same opens the item.
pub(crate) async fn raise(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    suspects: &Suspects<'_>,
) -> Result<(), sqlx::Error> {
    if suspects.reports.is_empty() {
        return Ok(());
    }
    let limits = suspects.limits;
    let tenant = tx.tenant().clone();
    let (mut loincs, mut ucums, mut lows, mut highs) = (vec![], vec![], vec![], vec![]);
    for limit in limits.all() {
        loincs.push(limit.loinc.as_str());
        ucums.push(limit.ucum.as_str());
        lows.push(limit.low.as_deref());
        highs.push(limit.high.as_deref());
    }
    let raised: Vec<Raised> = sqlx::query_as(
        // `<2.8` lies below the limit 2.8: the analyzer can't say by how much
        "insert into clinical.criticals (tenant_id, report_id, item, version, loinc, ucum, side, limit_text, judged_by, due_at) \
         select $1, measured.report_id, measured.item, measured.version, limits.loinc, limits.ucum, beyond.side, \
         case beyond.side when 'low' then limits.low else limits.high end, $7, now() + make_interval(mins => $8) \
         from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as limits (loinc, ucum, low, high) \
         join (select result.report_id, result.item, result.version, result.loinc, result.ucum, result.comparator, \
             coalesce(result.ucum_value, result.value_text)::numeric as number \
             from clinical.results as result join clinical.reports as report on report.id = result.report_id \
             where result.report_id = any($2) and result.superseded_at is null and result.value_kind = 'quantity' \
             and coalesce(result.ucum_value, result.value_text) ~ '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)$' \
             and coalesce(result.status, report.status, 'F') not in ('P', 'R', 'S', 'I', 'O', 'N', 'M', 'X', 'D', 'W') \
             and (not exists (select from clinical.specimens as tube \
                     where coalesce(tube.number, tube.filler_number) = report.specimen_number \
                     and tube.subject_key = report.subject_key and tube.rejected_at is not null) \
                 or exists (select from clinical.verifications as standing where standing.report_id = result.report_id \
                     and standing.item = result.item and standing.version = result.version \
                     and standing.state in ('verified', 'released'))) \
         ) as measured on measured.loinc = limits.loinc and measured.ucum = limits.ucum \
         cross join lateral (select case \
             when measured.number < limits.low::numeric \
                 or measured.comparator in ('<', '<=') and measured.number <= limits.low::numeric then 'low' \
             when measured.number > limits.high::numeric \
                 or measured.comparator in ('>', '>=') and measured.number >= limits.high::numeric then 'high' end as side) as beyond \
         where beyond.side is not null \
         on conflict (report_id, item, version) do nothing \
         returning id, report_id, item, loinc, due_at",
    )
    .bind(tenant.as_str())
    .bind(suspects.reports.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(loincs)
    .bind(ucums)
    .bind(lows)
    .bind(highs)
    .bind(limits.version())
    .bind(limits.call_minutes())
    .fetch_all(tx.conn())
    .await?;
    for one in raised {
        let Some((_, slot)) = suspects.reports.iter().find(|(id, _)| *id == one.report_id) else {
            continue;
        };
        batch.say(
            *slot,
            &CriticalRaised {
                critical_id: one.id,
                report_id: one.report_id,
                item: one.item,
                loinc: one.loinc,
                due_at: one.due_at.format(&Rfc3339).unwrap_or_default(),
            },
        );
    }
    Ok(())
}

/// Carries out the commands of a batch.
pub(crate) async fn command(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(AcknowledgeCritical::NAME) {
        match body::decode::<AcknowledgeCritical>(&batch.envelopes[slot]).and_then(checked) {
            Ok(command) => acknowledge(tx, batch, slot, &command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for slot in batch.named(EscalateCriticals::NAME) {
        let at = body::decode::<EscalateCriticals>(&batch.envelopes[slot])
            .and_then(|command| body::time(Some(&command.at), "at"));
        match at {
            Ok(at) => escalate(tx, batch, slot, at).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

/// A call without the name of who was told, or without what was read back, is none.
fn checked(command: AcknowledgeCritical) -> Result<AcknowledgeCritical, Refusal> {
    if command.told.trim().is_empty() || command.read_back.trim().is_empty() {
        return Err(Refusal::new(
            "clinical.critical_incomplete",
            "an acknowledgement names who was told and what was read back",
        ));
    }
    Ok(command)
}

async fn acknowledge(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &AcknowledgeCritical,
) -> Result<(), sqlx::Error> {
    let id = command.critical_id;
    let done: Option<Option<Uuid>> = sqlx::query_scalar(
        "update clinical.criticals set state = 'acknowledged', told = $2, read_back = $3, comment = $4, \
         acknowledged_by = $5, acknowledged_at = now() where id = $1 and state = 'open' \
         returning (select report.subject_key from clinical.reports as report where report.id = criticals.report_id)",
    )
    .bind(id)
    .bind(&command.told)
    .bind(&command.read_back)
    .bind(&command.comment)
    .bind(&command.actor)
    .fetch_optional(tx.conn())
    .await?;
    let Some(subject) = done else {
        let known: bool =
            sqlx::query_scalar("select exists (select from clinical.criticals where id = $1)")
                .bind(id)
                .fetch_one(tx.conn())
                .await?;
        let refusal = if known {
            Refusal::new(
                "clinical.critical_closed",
                "this critical value was acknowledged before",
            )
        } else {
            Refusal::new("clinical.critical_unknown", "no critical value has this id")
        };
        batch.refuse(slot, refusal);
        return Ok(());
    };
    batch.answer(
        slot,
        serde_json::json!({ "id": id, "state": "acknowledged" }),
    );
    audit::about(
        tx,
        &command.actor,
        AcknowledgeCritical::NAME,
        &format!("critical:{id}"),
        &[batch.envelopes[slot].id],
        None,
        subject.as_slice(),
    )
    .await
}

async fn escalate(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    at: Option<OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let overdue: Vec<(i64, Uuid)> = sqlx::query_as(
        "update clinical.criticals set overdue_at = $1 \
         where state = 'open' and overdue_at is null and due_at < $1 returning id, report_id",
    )
    .bind(at)
    .fetch_all(tx.conn())
    .await?;
    for (critical_id, report_id) in &overdue {
        batch.say(
            slot,
            &CriticalOverdue {
                critical_id: *critical_id,
                report_id: *report_id,
            },
        );
    }
    if overdue.is_empty() {
        batch.unchanged(slot);
    }
    Ok(())
}
