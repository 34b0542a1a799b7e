//! A person corrects a result: the next version, with who and why. The version before stays, marked as superseded; on channels
//! whose results must be verified somebody else looks at it before it may be acted on.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::care::ReportAmended;
use schemas::rounds::AmendResult;
use uuid::Uuid;

use super::status;
use crate::batch::Batch;
use crate::criticals::{self, Suspects};
use crate::packs::RulePacks;
use crate::verification::checks::{Check, of_rejected};
use crate::verification::pack::Autoverify;
use crate::{audit, body, decimal};

/// Carries out the corrections of a batch. Before the rules look at what was touched.
pub(crate) async fn amend(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    packs: &RulePacks,
) -> Result<(), sqlx::Error> {
    let mut suspects = Suspects::new(&packs.critical);
    for slot in batch.named(AmendResult::NAME) {
        let done = match body::decode::<AmendResult>(&batch.envelopes[slot]) {
            Ok(command) => one(tx, batch, slot, &command, &packs.autoverify, &mut suspects).await?,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = done {
            batch.refuse(slot, refusal);
        }
    }
    criticals::raise(tx, batch, &suspects).await
}

#[derive(sqlx::FromRow)]
struct Current {
    version: i16,
    value_kind: String,
    /// In the unit that is shown.
    shown: Option<String>,
    status: Option<String>,
    held: Option<String>,
}

async fn one(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &AmendResult,
    pack: &Autoverify,
    suspects: &mut Suspects<'_>,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let refuse = |code, words: &str| Ok(Err(Refusal::new(code, words)));
    let report: Option<(i32, Option<String>, Option<Uuid>)> = sqlx::query_as(
        "select version, status, subject_key from clinical.reports where id = $1 for update",
    )
    .bind(command.report_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some((report_version, report_status, subject)) = report else {
        return refuse("clinical.report_unknown", "no report has this id");
    };
    let current: Option<Current> = sqlx::query_as(
        "select version, value_kind, coalesce(ucum_value, value_text) as shown, status, held from clinical.results \
         where report_id = $1 and item = $2 and superseded_at is null",
    )
    .bind(command.report_id)
    .bind(command.item)
    .fetch_optional(tx.conn())
    .await?;
    let Some(current) = current else {
        return refuse("clinical.result_unknown", "the report has no such result");
    };
    if current.version != command.version {
        return Ok(Err(Refusal::new(
            "clinical.result_stale",
            format!(
                "it was changed since: it is version {} now",
                current.version
            ),
        )));
    }
    let reason = command.reason.trim();
    let value = command.value.trim();
    if reason.is_empty() {
        return refuse("clinical.reason_needed", "a correction needs a reason");
    }
    let is_final = status::rank(
        current
            .status
            .as_deref()
            .or(report_status.as_deref())
            .unwrap_or("F"),
    ) >= status::FINAL;
    if !is_final {
        return refuse(
            "clinical.result_preliminary_conflict",
            "it is not final: its source will say more",
        );
    }
    if current.held.is_some() {
        return refuse(
            "clinical.result_held",
            "it is not known what its code or unit means: map that first",
        );
    }
    match current.value_kind.as_str() {
        "quantity" if decimal::is_decimal(value) => {}
        "text" if !value.is_empty() => {}
        "quantity" => {
            return refuse("clinical.result_value", "the result is a number");
        }
        "text" => return refuse("clinical.result_value", "the value is empty"),
        _ => {
            return refuse(
                "clinical.result_kind",
                "only numbers and texts are corrected by hand",
            );
        }
    }
    if current.shown.as_deref() == Some(value) {
        return refuse("clinical.result_same", "that is what it says already");
    }
    let version = write(tx, batch, slot, command, value, reason).await?;
    batch.touch(command.report_id, slot);
    suspects.add(command.report_id, slot);
    let to_verify = wait_for_a_checker(tx, command, version, pack).await?;
    batch.say(
        slot,
        &ReportAmended {
            report_id: command.report_id,
            version: report_version + 1,
            changed: 1,
            added: 0,
            status: Some("C".to_owned()),
            to_verify,
        },
    );
    batch.changes.reports += 1;
    batch.answer(
        slot,
        serde_json::json!({
            "report_id": command.report_id, "item": command.item, "version": version,
            "report_version": report_version + 1, "to_verify": to_verify,
        }),
    );
    audit::about(
        tx,
        &command.actor,
        AmendResult::NAME,
        &format!("report:{} item:{}", command.report_id, command.item),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "version": version, "reason": reason })),
        subject.as_slice(),
    )
    .await?;
    Ok(Ok(()))
}

/// The next version. Flags were of the old value, so they are not kept; the value is in the unit that is shown, so no factor is
/// applied to it again.
async fn write(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    slot: usize,
    command: &AmendResult,
    value: &str,
    reason: &str,
) -> Result<i16, sqlx::Error> {
    let envelope = &batch.envelopes[slot];
    // a late message may have left versions above the current one
    let version: i16 = sqlx::query_scalar(
        "insert into clinical.results (report_id, observed_at, item, version, tenant_id, code, code_system, code_text, \
         alternate, sub_id, value_type, value_kind, value_text, unit, loinc, loinc_display, ucum, range_text, range_low, \
         range_high, status, device, notes, source_event) \
         select report_id, observed_at, item, \
         (select max(version) + 1 from clinical.results as any_version where any_version.report_id = $1 \
             and any_version.item = $2)::smallint, \
         tenant_id, code, code_system, code_text, alternate, sub_id, value_type, value_kind, $4, \
         case when ucum_value is null then unit else ucum end, loinc, loinc_display, ucum, \
         case when ucum_value is null then range_text end, case when ucum_value is null then range_low end, \
         case when ucum_value is null then range_high end, 'C', device, notes, $5 \
         from clinical.results where report_id = $1 and item = $2 and version = $3 returning version",
    )
    .bind(command.report_id)
    .bind(command.item)
    .bind(command.version)
    .bind(value)
    .bind(envelope.id)
    .fetch_one(tx.conn())
    .await?;
    sqlx::query(
        "update clinical.results set superseded_at = now() where report_id = $1 and item = $2 and version = $3",
    )
    .bind(command.report_id)
    .bind(command.item)
    .bind(command.version)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "update clinical.reports set version = version + 1, status = 'C', fact_at = greatest(fact_at, $2), \
         updated_at = now() where id = $1",
    )
    .bind(command.report_id)
    .bind(envelope.occurred_at)
    .execute(tx.conn())
    .await?;
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.result_amendments (tenant_id, report_id, item, version, actor, reason, source_event) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.as_str())
    .bind(command.report_id)
    .bind(command.item)
    .bind(version)
    .bind(&command.actor)
    .bind(reason)
    .bind(envelope.id)
    .execute(tx.conn())
    .await?;
    Ok(version)
}

/// Where the version before had to be verified, this one has to be too, by somebody else, and by no rule; and what was measured of a
/// rejected tube has to be on every channel, also where the version before was out before that. True where it has.
async fn wait_for_a_checker(
    tx: &mut Tx<'_>,
    command: &AmendResult,
    version: i16,
    pack: &Autoverify,
) -> Result<bool, sqlx::Error> {
    let made: Option<Uuid> = sqlx::query_scalar(
        "insert into clinical.verifications (tenant_id, report_id, item, version, channel, code, code_system, sub_id, loinc, \
         ucum, subject_key, specimen_number, measured_at, state, failed, reason, pack, corrects_released, reopened_by, makers) \
         select tenant_id, report_id, item, $4, channel, code, code_system, sub_id, loinc, ucum, subject_key, \
         specimen_number, measured_at, 'needs_review', 'by_hand', 'a person corrected it', pack, \
         corrects_released or state = 'released', $5, array[$5] \
         from clinical.verifications where report_id = $1 and item = $2 and version = $3 returning report_id",
    )
    .bind(command.report_id)
    .bind(command.item)
    .bind(command.version)
    .bind(version)
    .bind(&command.actor)
    .fetch_optional(tx.conn())
    .await?;
    if made.is_some() {
        return Ok(true);
    }
    let rejection: Option<(String, Option<String>)> = sqlx::query_as(
        "select tube.reject_reason, tube.reject_text from clinical.reports as report \
         join clinical.specimens as tube on coalesce(tube.number, tube.filler_number) = report.specimen_number \
             and tube.subject_key = report.subject_key and tube.rejected_at is not null \
         where report.id = $1 limit 1",
    )
    .bind(command.report_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some((reason, text)) = rejection else {
        return Ok(false);
    };
    sqlx::query(
        "insert into clinical.verifications (tenant_id, report_id, item, version, channel, code, code_system, sub_id, loinc, \
         ucum, subject_key, specimen_number, measured_at, state, failed, reason, blocked, pack, corrects_released, \
         reopened_by, makers) \
         select result.tenant_id, result.report_id, result.item, result.version, report.channel, result.code, \
         result.code_system, result.sub_id, result.loinc, result.ucum, report.subject_key, report.specimen_number, \
         coalesce(result.observed_at, report.observed_at, report.received_at), 'needs_review', $4, $5, true, $6, true, \
         $7, array[$7] \
         from clinical.results as result join clinical.reports as report on report.id = result.report_id \
         where result.report_id = $1 and result.item = $2 and result.version = $3",
    )
    .bind(command.report_id)
    .bind(command.item)
    .bind(version)
    .bind(Check::Specimen.as_str())
    .bind(of_rejected(&reason, text.as_deref()))
    .bind(pack.version())
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    Ok(true)
}
