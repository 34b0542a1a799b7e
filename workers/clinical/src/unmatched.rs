//! Reports that are on nobody's chart: why, and how they come onto one. An order for their specimen that comes after them, or
//! a person who claims them, says whose they are; nothing else does, and nothing is forgotten by age. Or a person says that one is
//! nobody's.

use std::collections::BTreeMap;

use hub_core::mappings::{Lookup, Mappings};
use hub_core::{Refusal, Tx};
use schemas::care::{MatchedBy, ReportMatched};
use schemas::commands::{ClaimReport, DiscardReport};
use schemas::{Body, ChannelId};
use uuid::Uuid;

use crate::batch::Batch;
use crate::orders::closing;
use crate::reports::Filing;
use crate::{audit, body, verification};

/// Why a report is on nobody's chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It names neither a patient nor a specimen.
    NoSpecimen,
    /// No order has named its specimen.
    UnknownSpecimen,
    /// Orders on its specimen were revoked, or completed long ago or for several patients.
    NoOpenOrder,
    /// It names another patient than the orders on its specimen.
    PatientMismatch,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::NoSpecimen => "no_specimen",
            Self::UnknownSpecimen => "unknown_specimen",
            Self::NoOpenOrder => "no_open_order",
            Self::PatientMismatch => "patient_mismatch",
        }
    }
}

/// A new report that waits.
pub(crate) struct Waiting<'f> {
    report_id: Uuid,
    reason: Reason,
    channel: &'f str,
    number: Option<&'f str>,
    named: Option<Uuid>,
}

impl<'f> Waiting<'f> {
    pub(crate) fn of(filing: &'f Filing<'_>) -> Option<Self> {
        Some(Self {
            report_id: filing.new_id,
            reason: filing.unmatched?,
            channel: filing.report.channel.as_str(),
            number: filing.specimen_number(),
            named: filing.named(),
        })
    }
}

/// Puts new reports on the worklist.
pub(crate) async fn enter(tx: &mut Tx<'_>, waiting: &[Waiting<'_>]) -> Result<(), sqlx::Error> {
    if waiting.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.unmatched_reports (tenant_id, report_id, reason, channel, specimen_number, named_key) \
         select $1, * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[])",
    )
    .bind(tenant.as_str())
    .bind(waiting.iter().map(|one| one.report_id).collect::<Vec<_>>())
    .bind(waiting.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>())
    .bind(waiting.iter().map(|one| one.channel).collect::<Vec<_>>())
    .bind(waiting.iter().map(|one| one.number).collect::<Vec<_>>())
    .bind(waiting.iter().map(|one| one.named).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What a result waits for once its patient is known.
const MEANING: &str = "case when result.loinc is null and result.value_kind not in ('attachment', 'absent') \
     then 'unknown_code' end";

/// Orders came: the reports of the last week that waited for their specimens go on the charts of their patients. Older ones
/// may be of a tube that had the number before, and wait for a person. Answers the numbers released.
pub(crate) async fn release(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    maps: &Mappings,
    opened: &BTreeMap<&str, (Uuid, usize)>,
) -> Result<BTreeMap<String, usize>, sqlx::Error> {
    let mut numbers = BTreeMap::new();
    if opened.is_empty() {
        return Ok(numbers);
    }
    let query = format!(
        "with matched as ( \
             update clinical.unmatched_reports as item set state = 'matched', subject_key = opened.subject_key, \
             resolved_by = 'worker/clinical', resolved_at = now() \
             from unnest($1::text[], $2::uuid[]) as opened (number, subject_key) \
             where item.specimen_number = opened.number and item.state = 'open' \
             and item.reason in ('unknown_specimen', 'no_open_order') and item.at > now() - interval '7 days' \
             returning item.report_id, item.specimen_number, item.subject_key), \
         charted as ( \
             update clinical.reports as report set subject_key = matched.subject_key, version = report.version + 1, \
             updated_at = now() from matched where report.id = matched.report_id), \
         known as ( \
             update clinical.results as result set held = {MEANING} from matched \
             where result.report_id = matched.report_id and result.held in ('no_patient', 'patient_mismatch')) \
         select report_id, specimen_number from matched order by report_id"
    );
    let released: Vec<(Uuid, String)> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(opened.keys().copied().collect::<Vec<_>>())
        .bind(
            opened
                .values()
                .map(|(subject, _)| *subject)
                .collect::<Vec<_>>(),
        )
        .fetch_all(tx.conn())
        .await?;
    let reports: Vec<Uuid> = released.iter().map(|(report_id, _)| *report_id).collect();
    ask_units(tx, maps, &reports).await?;
    for (report_id, number) in released {
        let Some((_, slot)) = opened.get(number.as_str()) else {
            continue;
        };
        batch.say(
            *slot,
            &ReportMatched {
                report_id,
                by: MatchedBy::Order,
            },
        );
        batch.changes.reports += 1;
        batch.touch(report_id, *slot);
        numbers.insert(number, *slot);
    }
    Ok(numbers)
}

/// Of the results that now wait for their meaning, those whose code is known wait for the unit.
async fn ask_units(tx: &mut Tx<'_>, maps: &Mappings, reports: &[Uuid]) -> Result<(), sqlx::Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let waiting: Vec<Waits> = sqlx::query_as(
        "select result.report_id, result.item, result.version, report.channel, result.code, result.code_system, result.unit \
         from clinical.results as result join clinical.reports as report on report.id = result.report_id \
         where result.report_id = any($1) and result.held = 'unknown_code' and result.superseded_at is null \
         and result.value_kind in ('quantity', 'range')",
    )
    .bind(reports)
    .fetch_all(tx.conn())
    .await?;
    let of_unit: Vec<&Waits> = waiting.iter().filter(|one| one.for_unit(maps)).collect();
    if of_unit.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.results as result set held = 'unknown_unit' \
         from unnest($1::uuid[], $2::smallint[], $3::smallint[]) as one (report_id, item, version) \
         where result.report_id = one.report_id and result.item = one.item and result.version = one.version",
    )
    .bind(of_unit.iter().map(|one| one.report_id).collect::<Vec<_>>())
    .bind(of_unit.iter().map(|one| one.item).collect::<Vec<_>>())
    .bind(of_unit.iter().map(|one| one.version).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A result that waits for what it means.
#[derive(sqlx::FromRow)]
struct Waits {
    report_id: Uuid,
    item: i16,
    version: i16,
    channel: String,
    code: String,
    code_system: Option<String>,
    unit: Option<String>,
}

impl Waits {
    fn for_unit(&self, maps: &Mappings) -> bool {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        ChannelId::new(self.channel.as_str()).is_ok_and(|channel| {
            let (system, unit) = (text(&self.code_system), text(&self.unit));
            maps.code(&channel, &system, &self.code, &unit, true) == Lookup::UnknownUnit
        })
    }
}

/// Carries out every `clinical.report.claim` and `clinical.report.discard` of the batch, in their order.
pub(crate) async fn command(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    maps: &Mappings,
) -> Result<(), sqlx::Error> {
    for slot in batch.named_either(ClaimReport::NAME, DiscardReport::NAME) {
        let envelope = &batch.envelopes[slot];
        if envelope.name == DiscardReport::NAME {
            match body::decode::<DiscardReport>(envelope) {
                Ok(command) => discard(tx, batch, slot, &command).await?,
                Err(refusal) => batch.refuse(slot, refusal),
            }
        } else {
            match body::decode::<ClaimReport>(envelope) {
                Ok(command) => claim(tx, batch, maps, slot, &command).await?,
                Err(refusal) => batch.refuse(slot, refusal),
            }
        }
    }
    Ok(())
}

/// Nobody's: what it holds stays where it is.
async fn discard(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &DiscardReport,
) -> Result<(), sqlx::Error> {
    let id = command.report_id;
    let reason: Option<String> = sqlx::query_scalar(
        "update clinical.unmatched_reports set state = 'discarded', comment = $2, resolved_by = $3, resolved_at = now() \
         where report_id = $1 and state = 'open' returning reason",
    )
    .bind(id)
    .bind(&command.reason)
    .bind(&command.actor)
    .fetch_optional(tx.conn())
    .await?;
    let Some(reason) = reason else {
        let refusal = not_open(tx, id).await?;
        batch.refuse(slot, refusal);
        return Ok(());
    };
    batch.answer(
        slot,
        serde_json::json!({ "report_id": id, "state": "discarded" }),
    );
    audit::entry(
        tx,
        &command.actor,
        DiscardReport::NAME,
        &format!("report:{id}"),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "reason": reason, "comment": command.reason })),
    )
    .await
}

/// Why nothing was there to decide about.
async fn not_open(tx: &mut Tx<'_>, id: Uuid) -> Result<Refusal, sqlx::Error> {
    let state: Option<String> =
        sqlx::query_scalar("select state from clinical.unmatched_reports where report_id = $1")
            .bind(id)
            .fetch_optional(tx.conn())
            .await?;
    Ok(match state {
        Some(state) => Refusal::new(
            "clinical.unmatched_not_open",
            format!("the report was {state} before"),
        ),
        None => Refusal::new(
            "clinical.unmatched_unknown",
            "no unmatched report has this id",
        ),
    })
}

async fn claim(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    maps: &Mappings,
    slot: usize,
    command: &ClaimReport,
) -> Result<(), sqlx::Error> {
    let id = command.report_id;
    let query = format!(
        "with claimed as ( \
             update clinical.unmatched_reports set state = 'claimed', subject_key = $2, resolved_by = $3, \
             comment = null, resolved_at = now() where report_id = $1 and state in ('open', 'discarded') \
             returning report_id, specimen_number, reason), \
         charted as ( \
             update clinical.reports as report set subject_key = $2, version = report.version + 1, updated_at = now() \
             from claimed where report.id = claimed.report_id), \
         known as ( \
             update clinical.results as result set held = {MEANING} from claimed \
             where result.report_id = claimed.report_id and result.held in ('no_patient', 'patient_mismatch')) \
         select specimen_number, reason from claimed"
    );
    let claimed: Option<(Option<String>, String)> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .bind(command.subject.key.0)
        .bind(&command.actor)
        .fetch_optional(tx.conn())
        .await?;
    let Some((number, reason)) = claimed else {
        let refusal = not_open(tx, id).await?;
        batch.refuse(slot, refusal);
        return Ok(());
    };
    ask_units(tx, maps, &[id]).await?;
    batch.say(
        slot,
        &ReportMatched {
            report_id: id,
            by: MatchedBy::Claim,
        },
    );
    batch.answer(
        slot,
        serde_json::json!({ "report_id": id, "state": "claimed" }),
    );
    verification::made_by(tx, &[id], None, &command.actor).await?;
    batch.touch(id, slot);
    audit::about(
        tx,
        &command.actor,
        ClaimReport::NAME,
        &format!("report:{id}"),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "reason": reason, "second": command.second, "subject": command.subject.key })),
        &[command.subject.key.0],
    )
    .await?;
    let awaited = number.into_iter().map(|number| (number, slot)).collect();
    closing::close(tx, batch, maps, &awaited).await
}
