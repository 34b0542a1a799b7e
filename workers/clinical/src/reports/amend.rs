//! Messages about a report that is already on file: repeats, completions, corrections, withdrawals.
//!
//! Nothing is lost and nothing is overwritten: a result that says something else becomes a new version. Which
//! version is current:
//! - equal to the current version, or to an older one: a repeat, nothing is filed. (A sender that goes back to an
//!   older value says so with status C or a newer OBR-22; then it is a version.)
//! - older than the newest fact applied (delivered out of order), or preliminary after final without a newer OBX-14,
//!   or of a lower rank at the same moment: kept as a version that is superseded at once; the current one stays.
//! - anything else: the new current version; the old one gets `superseded_at`.

use std::collections::HashMap;

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::columns::{Place, ResultColumns};
use super::filing::Filing;
use super::incoming::said;
use super::row::{Row, joined};
use super::{Rules, status};
use crate::code_maps::CodeMaps;
use crate::criticals::Suspects;
use crate::verification::pack::{FlagAction, Runs};

/// What an amendment did to one report.
#[derive(Debug, Default, Clone)]
pub(crate) struct Amended {
    pub(crate) report_id: Uuid,
    pub(crate) version: i32,
    pub(crate) changed: u32,
    pub(crate) added: u32,
    /// Anything at all was written.
    pub(crate) touched: bool,
    pub(crate) status: Option<String>,
    /// Indexes of results that wait for a person.
    pub(crate) held: Vec<usize>,
    /// The laboratory rejected the tube of the report on file, whether this message names it or not.
    pub(crate) of_rejected: bool,
}

#[derive(Debug, Clone, sqlx::FromRow)]
struct StoredReport {
    id: Uuid,
    version: i32,
    /// On somebody's chart, whatever this message can tell of that.
    charted: bool,
    of_rejected: bool,
    status: Option<String>,
    notes: Option<String>,
    observed_at: Option<OffsetDateTime>,
    issued_at: Option<OffsetDateTime>,
    fact_at: OffsetDateTime,
}

/// What of a stored version is compared.
#[derive(Debug, Clone, sqlx::FromRow)]
struct StoredResult {
    report_id: Uuid,
    item: i16,
    version: i16,
    current: bool,
    observed_at: Option<OffsetDateTime>,
    code: String,
    code_system: Option<String>,
    code_text: Option<String>,
    sub_id: Option<String>,
    value_kind: String,
    comparator: Option<String>,
    value_text: Option<String>,
    value_json: Option<serde_json::Value>,
    unit: Option<String>,
    range_text: Option<String>,
    flags: Option<String>,
    status: Option<String>,
    notes: Option<String>,
}

impl StoredResult {
    fn says_the_same(&self, row: &Row<'_>) -> bool {
        self.value_kind == row.value_kind
            && self.comparator.as_deref() == row.comparator
            && self.value_text == row.value_text.as_deref().map(str::to_owned)
            && self.unit.as_deref() == row.unit
            && self.status.as_deref() == row.status
            && self.flags.as_deref() == row.flags.as_deref()
            && self.range_text.as_deref() == row.range_text
            && self.notes.as_deref() == row.notes.as_deref()
            && self.value_json
                == row
                    .value_json
                    .as_deref()
                    .and_then(|json| serde_json::from_str(json).ok())
    }
}

/// A result inside its report: code (or its text), system, OBX-4, and which one of those that share them.
type ItemKey = (String, String, String, usize);

fn item_key(
    seen: &mut HashMap<(String, String, String), usize>,
    code: &str,
    text: Option<&str>,
    system: Option<&str>,
    sub_id: Option<&str>,
) -> ItemKey {
    let name = if code.is_empty() {
        text.unwrap_or_default()
    } else {
        code
    };
    let key = (
        name.to_owned(),
        system.unwrap_or_default().to_owned(),
        sub_id.unwrap_or_default().to_owned(),
    );
    let nth = seen.entry(key.clone()).or_default();
    *nth += 1;
    (key.0, key.1, key.2, *nth)
}

/// Compares each message with its report and writes the differences; answers in the order asked.
pub(crate) async fn amend(
    tx: &mut Tx<'_>,
    wanted: &[(&Filing<'_>, Uuid)],
    maps: &CodeMaps,
    rules: &Rules<'_>,
    suspects: &mut Suspects<'_>,
) -> Result<Vec<Amended>, sqlx::Error> {
    let mut ids: Vec<Uuid> = wanted.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    let reports: HashMap<Uuid, StoredReport> = sqlx::query_as::<_, StoredReport>(
        "select id, version, subject_key is not null as charted, \
         exists (select from clinical.specimens as tube \
             where coalesce(tube.number, tube.filler_number) = report.specimen_number \
             and tube.subject_key = report.subject_key and tube.rejected_at is not null) as of_rejected, \
         status, notes, observed_at, issued_at, fact_at \
         from clinical.reports as report where id = any($1) order by id for update",
    )
    .bind(&ids)
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|report| (report.id, report))
    .collect();
    let mut results: HashMap<Uuid, Vec<StoredResult>> = HashMap::with_capacity(ids.len());
    for result in sqlx::query_as::<_, StoredResult>(
        "select report_id, item, version, superseded_at is null as current, observed_at, code, code_system, \
         code_text, sub_id, value_kind, comparator, value_text, value_json, unit, range_text, flags, status, notes \
         from clinical.results where report_id = any($1) order by report_id, item, version",
    )
    .bind(&ids)
    .fetch_all(tx.conn())
    .await?
    {
        results.entry(result.report_id).or_default().push(result);
    }

    let mut written = Writes::default();
    let mut answers = Vec::with_capacity(wanted.len());
    for (filing, id) in wanted {
        let stored = results.remove(id).unwrap_or_default();
        let Some(report) = reports.get(id) else {
            // a key that is on file belongs to another tenant only if digests collide
            return Err(sqlx::Error::RowNotFound);
        };
        answers.push(written.compare(filing, report, &stored, maps, rules, suspects));
    }
    written.write(tx).await?;
    Ok(answers)
}

#[derive(Default)]
struct Writes<'r> {
    superseded: Vec<(Uuid, i16, i16)>,
    columns: ResultColumns<'r>,
    reports: Vec<ReportChange<'r>>,
}

struct ReportChange<'r> {
    id: Uuid,
    version: i32,
    fact_at: OffsetDateTime,
    issued_at: Option<OffsetDateTime>,
    status: Option<String>,
    notes: Option<String>,
    placer_number: Option<&'r str>,
    filler_number: Option<&'r str>,
}

impl<'r> Writes<'r> {
    fn compare(
        &mut self,
        filing: &'r Filing<'_>,
        report: &StoredReport,
        stored: &[StoredResult],
        maps: &'r CodeMaps,
        rules: &Rules<'_>,
        suspects: &mut Suspects<'_>,
    ) -> Amended {
        let now = filing.envelope.recorded_at;
        let fact_at = filing.envelope.occurred_at;
        let late = fact_at < report.fact_at;
        let reissued = filing
            .issued_at
            .is_some_and(|issued| report.issued_at.is_some_and(|before| issued > before));
        // a corrected OBR-7 is kept with the results it came with
        let moved = filing
            .observed_at
            .filter(|at| report.observed_at.is_some_and(|before| before != *at));

        let mut seen = HashMap::new();
        let mut on_file: HashMap<ItemKey, Vec<&StoredResult>> = HashMap::new();
        for versions in stored.chunk_by(|a, b| a.item == b.item) {
            let first = &versions[0];
            let key = item_key(
                &mut seen,
                &first.code,
                first.code_text.as_deref(),
                first.code_system.as_deref(),
                first.sub_id.as_deref(),
            );
            on_file.insert(key, versions.iter().collect());
        }

        let mut answer = Amended {
            report_id: report.id,
            of_rejected: report.of_rejected,
            ..Amended::default()
        };
        let mut next_item = stored.last().map_or(0, |result| result.item + 1);
        let mut seen = HashMap::new();
        for (index, observation) in filing.report.results.iter().enumerate() {
            let observed_at = filing.item_times[index].or(moved);
            let mut row = Row::of(
                filing.report.channel.as_str(),
                observation,
                observed_at,
                maps,
            );
            if report.charted {
                row.has_patient();
            }
            let key = item_key(
                &mut seen,
                row.code,
                row.code_text,
                row.code_system,
                row.sub_id,
            );
            let mut place = Place {
                report_id: report.id,
                item: next_item,
                version: 1,
                superseded_at: None,
                source_event: Some(filing.envelope.id),
            };
            match on_file.get(&key).and_then(|versions| {
                let current = versions.iter().find(|version| version.current)?;
                Some((versions, current))
            }) {
                None => {
                    next_item += 1;
                    answer.added += 1;
                }
                Some((versions, current)) => {
                    let repeat = current.says_the_same(&row)
                        || (!reissued && versions.iter().any(|one| one.says_the_same(&row)));
                    if repeat {
                        continue;
                    }
                    place.item = current.item;
                    place.version = versions.last().map_or(1, |newest| newest.version) + 1;
                    let behind = late
                        || stays_behind(current, &row, fact_at == report.fact_at)
                        || first_run_counts(filing.report.channel.as_str(), current, &row, rules);
                    if behind {
                        place.superseded_at = Some(now);
                        answer.touched = true;
                    } else {
                        self.superseded
                            .push((report.id, current.item, current.version));
                        answer.changed += 1;
                    }
                }
            }
            if row.waits_for_meaning() {
                answer.held.push(index);
            }
            suspects.look(&row, report.id, filing.slot);
            self.columns.push(place, row);
        }

        self.report_change(filing, report, late, &mut answer);
        answer
    }

    fn report_change(
        &mut self,
        filing: &'r Filing<'_>,
        report: &StoredReport,
        late: bool,
        answer: &mut Amended,
    ) {
        let said_status = said(filing.report.status.as_ref());
        let status = match (said_status, report.status.as_deref()) {
            (Some(new), Some(old)) if late || status::rank(new) < status::rank(old) => old,
            (Some(new), _) => new,
            (None, old) => old.unwrap_or_default(),
        };
        let status = (!status.is_empty()).then(|| status.to_owned());
        let said_notes = joined(&filing.report.notes, "\n").map(String::from);
        let notes = if late || said_notes.is_none() {
            report.notes.clone().or(said_notes)
        } else {
            said_notes
        };
        answer.touched |= answer.changed > 0
            || answer.added > 0
            || status != report.status
            || notes != report.notes;
        answer.version = report.version + i32::from(answer.touched);
        answer.status.clone_from(&status);
        if answer.touched {
            self.reports.push(ReportChange {
                id: report.id,
                version: answer.version,
                fact_at: filing.envelope.occurred_at.max(report.fact_at),
                issued_at: filing.issued_at.max(report.issued_at),
                status,
                notes,
                placer_number: said(filing.report.placer_number.as_ref()),
                filler_number: said(filing.report.filler_number.as_ref()),
            });
        }
    }

    async fn write(self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        if !self.superseded.is_empty() {
            let (mut ids, mut items, mut versions) = (Vec::new(), Vec::new(), Vec::new());
            for (id, item, version) in self.superseded {
                ids.push(id);
                items.push(item);
                versions.push(version);
            }
            sqlx::query(
                "update clinical.results as result set superseded_at = now() \
                 from unnest($1::uuid[], $2::smallint[], $3::smallint[]) as old (report_id, item, version) \
                 where result.report_id = old.report_id and result.item = old.item \
                 and result.version = old.version",
            )
            .bind(ids)
            .bind(items)
            .bind(versions)
            .execute(tx.conn())
            .await?;
        }
        self.columns.insert(tx).await?;
        if self.reports.is_empty() {
            return Ok(());
        }
        let changes = &self.reports;
        sqlx::query(
            "update clinical.reports as report set version = change.version, fact_at = change.fact_at, \
             issued_at = change.issued_at, status = change.status, notes = change.notes, \
             placer_number = coalesce(report.placer_number, change.placer_number), \
             filler_number = coalesce(report.filler_number, change.filler_number), updated_at = now() \
             from unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], \
             $7::text[], $8::text[]) \
             as change (id, version, fact_at, issued_at, status, notes, placer_number, filler_number) \
             where report.id = change.id",
        )
        .bind(changes.iter().map(|c| c.id).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.version).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.fact_at).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.issued_at).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.status.as_deref()).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.notes.as_deref()).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.placer_number).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.filler_number).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// True when the row is another run of a measurement whose first run without alarm counts, and that one has none.
fn first_run_counts(
    channel: &str,
    current: &StoredResult,
    row: &Row<'_>,
    rules: &Rules<'_>,
) -> bool {
    let pack = &rules.packs.autoverify;
    let flags = current.flags.as_deref().unwrap_or_default().split('~');
    let was_final = status::rank(current.status.as_deref().unwrap_or_default()) == status::FINAL;
    pack.channel(channel).runs == Runs::FirstWithoutAlarm
        && rules.to_verify.iter().any(|one| one.as_str() == channel)
        && was_final
        && !row.status.is_some_and(status::corrects)
        && current.value_kind == "quantity"
        && pack.worst_flag(channel, flags).0 == FlagAction::None
}

/// True when the incoming row may not replace the current one although it is not older by its message.
fn stays_behind(current: &StoredResult, row: &Row<'_>, same_moment: bool) -> bool {
    let before = status::rank(current.status.as_deref().unwrap_or_default());
    let after = status::rank(row.status.unwrap_or_default());
    let newer_observation = match (row.observed_at, current.observed_at) {
        (Some(new), Some(old)) => new > old,
        _ => false,
    };
    let back_to_preliminary =
        after == status::PRELIMINARY && before > status::PRELIMINARY && !newer_observation;
    back_to_preliminary || (same_moment && after < before)
}
