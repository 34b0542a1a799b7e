//! Versions of results that the rules have to look at, as they stand in the tables.

use std::collections::BTreeSet;

use hub_core::Tx;
use schemas::ChannelId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::checks::Facts;
use crate::packs::RulePacks;

/// One version of one result that nobody decided yet.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Candidate {
    pub(super) report_id: Uuid,
    pub(super) item: i16,
    pub(super) version: i16,
    /// Not replaced by a later version.
    pub(super) current: bool,
    pub(super) channel: String,
    pub(super) code: String,
    pub(super) code_system: Option<String>,
    pub(super) sub_id: Option<String>,
    pub(super) value_kind: String,
    pub(super) comparator: Option<String>,
    /// Decimal text, in `ucum`.
    pub(super) number: Option<String>,
    pub(super) loinc: Option<String>,
    pub(super) ucum: Option<String>,
    pub(super) flags: Option<String>,
    pub(super) status: Option<String>,
    pub(super) held: Option<String>,
    pub(super) measured_at: OffsetDateTime,
    pub(super) subject_key: Option<Uuid>,
    pub(super) specimen_number: Option<String>,
    pub(super) ordered: bool,
    /// Why its specimen was rejected: the word, and what was said to it.
    pub(super) reject_reason: Option<String>,
    pub(super) reject_text: Option<String>,
    pub(super) corrects_released: bool,
    /// Of its row, where it has one already.
    pub(super) state: Option<String>,
    /// Somebody asked for another run.
    pub(super) rerun: bool,
    /// Another run counts in its place.
    #[sqlx(skip)]
    pub(super) dropped: bool,
}

/// What runs of one test on one sample have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunKey {
    pub(super) channel: String,
    specimen: String,
    subject: Uuid,
    code: String,
    system: Option<String>,
    sub_id: Option<String>,
}

impl Candidate {
    pub(super) fn facts<'f>(&'f self, packs: &RulePacks) -> Facts<'f> {
        let number = self
            .number
            .as_deref()
            .filter(|_| self.value_kind == "quantity");
        let critical = match (&self.loinc, &self.ucum, number) {
            (Some(loinc), Some(ucum), Some(number)) => {
                packs.critical.may_be_critical(loinc, ucum, number)
            }
            _ => false,
        };
        Facts {
            channel: &self.channel,
            status: self.status.as_deref(),
            patient: self.subject_key.is_some(),
            ordered: self.ordered,
            rejected: self
                .reject_reason
                .as_deref()
                .map(|reason| (reason, self.reject_text.as_deref())),
            held: self.held.as_deref(),
            kind: &self.value_kind,
            loinc: self.loinc.as_deref(),
            ucum: self.ucum.as_deref(),
            comparator: self.comparator.as_deref(),
            number: number.and_then(|number| number.parse().ok()),
            flags: self
                .flags
                .as_deref()
                .unwrap_or_default()
                .split('~')
                .collect(),
            critical,
            corrects_released: self.corrects_released,
        }
    }

    /// A line that interprets the number of the same code.
    pub(super) fn interprets(&self, packs: &RulePacks) -> bool {
        let kinds = &packs.autoverify.channel(&self.channel).interpretations;
        self.sub_id
            .as_ref()
            .is_some_and(|kind| kinds.contains(kind))
    }

    /// Measurements only: texts repeat for other reasons.
    pub(super) fn run_key(&self, packs: &RulePacks) -> Option<RunKey> {
        let measured = matches!(self.value_kind.as_str(), "quantity" | "absent");
        let said_last = crate::reports::is_final(self.status.as_deref().unwrap_or("F"));
        if !measured || !said_last || !self.current || self.interprets(packs) {
            return None;
        }
        Some(RunKey {
            channel: self.channel.clone(),
            specimen: self.specimen_number.clone()?,
            subject: self.subject_key?,
            code: self.code.clone(),
            system: self.code_system.clone(),
            sub_id: self.sub_id.clone(),
        })
    }

    pub(super) fn is_run_with(&self, other: &OtherRun) -> bool {
        let key = other.key();
        self.channel == key.channel
            && self.code == key.code
            && self.specimen_number.as_ref() == Some(&key.specimen)
            && self.subject_key == Some(key.subject)
    }
}

/// Undecided versions of results of these reports, on channels that need verification, and of rejected specimens on all others.
pub(super) async fn load(
    tx: &mut Tx<'_>,
    reports: &[Uuid],
    channels: &BTreeSet<ChannelId>,
) -> Result<Vec<Candidate>, sqlx::Error> {
    sqlx::query_as(
        "select result.report_id, result.item, result.version, result.superseded_at is null as current, report.channel, \
         result.code, result.code_system, result.sub_id, result.value_kind, result.comparator, \
         coalesce(result.ucum_value, result.value_text) as number, result.loinc, result.ucum, result.flags, \
         coalesce(result.status, report.status) as status, result.held, \
         coalesce(result.observed_at, report.observed_at, report.received_at) as measured_at, report.subject_key, \
         report.specimen_number, \
         (exists (select from clinical.order_tubes as carried where carried.number = report.specimen_number \
             and carried.subject_key = report.subject_key and carried.state in ('open', 'done')) \
         or exists (select from clinical.orders as ordered where ordered.placer_number = report.placer_number \
             and ordered.subject_key = report.subject_key and ordered.status not in ('revoked', 'entered_in_error')) \
         ) as ordered, \
         exists (select from clinical.verifications as before where before.report_id = result.report_id \
             and before.item = result.item and before.version < result.version and before.state = 'released' \
         ) as corrects_released, \
         refused.reject_reason, refused.reject_text, standing.state, standing.rerun_at is not null as rerun \
         from clinical.results as result join clinical.reports as report on report.id = result.report_id \
         left join clinical.verifications as standing on standing.report_id = result.report_id \
             and standing.item = result.item and standing.version = result.version \
         left join lateral ( \
             select specimen.reject_reason, specimen.reject_text from clinical.specimens as specimen \
             where coalesce(specimen.number, specimen.filler_number) = report.specimen_number \
             and specimen.subject_key = report.subject_key and specimen.rejected_at is not null limit 1 \
         ) as refused on true \
         where result.report_id = any($1) \
         and (standing.id is null and (report.channel = any($2) or refused.reject_reason is not null) \
             or standing.current and standing.state in ('received', 'needs_review') and standing.reopened_by is null) \
         order by result.report_id, result.item, result.version",
    )
    .bind(reports)
    .bind(channels.iter().map(ChannelId::as_str).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await
}

/// A run that has its row already.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct OtherRun {
    pub(super) id: i64,
    pub(super) report_id: Uuid,
    channel: String,
    specimen_number: String,
    subject_key: Uuid,
    code: String,
    code_system: Option<String>,
    sub_id: Option<String>,
    pub(super) state: String,
    pub(super) measured_at: OffsetDateTime,
    pub(super) rerun: bool,
    pub(super) flags: Option<String>,
    pub(super) value_kind: String,
    comparator: Option<String>,
    /// Decimal text, in `ucum`.
    number: Option<String>,
    ucum: Option<String>,
}

impl OtherRun {
    /// Measured the same: it confirms.
    pub(super) fn says_the_same(&self, one: &Candidate) -> bool {
        let number = |text: &Option<String>| text.as_deref()?.parse::<f64>().ok();
        self.value_kind == one.value_kind
            && self.comparator == one.comparator
            && self.ucum == one.ucum
            && number(&self.number).is_some()
            && number(&self.number) == number(&one.number)
    }

    pub(super) fn key(&self) -> RunKey {
        RunKey {
            channel: self.channel.clone(),
            specimen: self.specimen_number.clone(),
            subject: self.subject_key,
            code: self.code.clone(),
            system: self.code_system.clone(),
            sub_id: self.sub_id.clone(),
        }
    }
}

/// Runs of the last week that count so far, of the tests and samples of the candidates; a number that an older sample had is
/// another sample's. What was rejected does not take part.
pub(super) async fn other_runs(
    tx: &mut Tx<'_>,
    candidates: &[Candidate],
    packs: &RulePacks,
) -> Result<Vec<OtherRun>, sqlx::Error> {
    let keys: BTreeSet<RunKey> = candidates
        .iter()
        .filter_map(|one| one.run_key(packs))
        .collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (mut reports, mut items, mut versions) = (vec![], vec![], vec![]);
    for one in candidates {
        reports.push(one.report_id);
        items.push(one.item);
        versions.push(one.version);
    }
    sqlx::query_as(
        "select run.id, run.report_id, run.channel, run.specimen_number, run.subject_key, run.code, run.code_system, \
         run.sub_id, run.state, run.measured_at, run.rerun_at is not null as rerun, result.flags, result.value_kind, \
         result.comparator, coalesce(result.ucum_value, result.value_text) as number, result.ucum \
         from clinical.verifications as run join clinical.results as result on result.report_id = run.report_id \
         and result.item = run.item and result.version = run.version \
         join (select distinct * from unnest($1::text[], $2::text[], $3::text[])) as wanted (number, channel, code) \
         on run.specimen_number = wanted.number and run.channel = wanted.channel and run.code = wanted.code \
         where run.current and run.state <> 'rejected' and run.reopened_by is null and run.subject_key is not null \
         and run.at > now() - interval '7 days' and result.value_kind in ('quantity', 'absent') \
         and (run.report_id, run.item, run.version) not in \
             (select * from unnest($4::uuid[], $5::smallint[], $6::smallint[])) \
         order by run.id",
    )
    .bind(keys.iter().map(|key| key.specimen.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.channel.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.code.as_str()).collect::<Vec<_>>())
    .bind(reports)
    .bind(items)
    .bind(versions)
    .fetch_all(tx.conn())
    .await
}
