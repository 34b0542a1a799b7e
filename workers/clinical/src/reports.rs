//! Results and reports: `lis.result.received`.
//!
//! New reports are the load and take two statements a batch (reports, results). Everything else, a repeat, a
//! correction, a completion, is found by the first of them not writing a row, and takes the slow way of [`amend`].

use std::collections::{BTreeMap, BTreeSet};

use hub_core::Tx;
use hub_core::mappings::Mappings;
use schemas::care::{ReportAmended, ReportFiled};
use schemas::integration::ResultHeld;
use schemas::{Body, ChannelId};

use crate::batch::Batch;
use crate::body;
use crate::code_maps::{self, CodeMaps};
use crate::controls;
use crate::criticals::{self, Suspects};
use crate::orders::closing;
use crate::orders::complete::{self, Done};
use crate::packs::RulePacks;
use crate::specimens::reported::{Rejection, reject};
use crate::specimens::{self, SpecimenRow, rejected};
use crate::unmatched::{self, Waiting};

mod amend;
pub(crate) mod by_hand;
mod columns;
mod filing;
mod find;
pub(crate) mod incoming;
mod key;
mod matching;
mod row;
mod status;

use amend::Amended;
use columns::{Place, ReportColumns, ResultColumns};
pub(crate) use filing::Filing;
pub(crate) use incoming::{Observation, said};
pub use key::report_key;
pub(crate) use row::{Row, joined};
pub(crate) use status::is_final;

/// What results are filed by.
pub(crate) struct Rules<'r> {
    pub(crate) maps: &'r Mappings,
    pub(crate) packs: &'r RulePacks,
    /// Channels whose results must be verified.
    pub(crate) to_verify: &'r BTreeSet<ChannelId>,
}

/// Files every `lis.result.received` of the batch.
pub(crate) async fn file(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    rules: &Rules<'_>,
) -> Result<(), sqlx::Error> {
    let slots = batch.named(schemas::care::ResultReceived::NAME);
    if slots.is_empty() {
        return Ok(());
    }
    let bodies: Vec<_> = slots
        .iter()
        .map(|&slot| body::storable(&batch.envelopes[slot].body))
        .collect();
    let mut filings = Vec::with_capacity(slots.len());
    for (&slot, body) in slots.iter().zip(&bodies) {
        match Filing::read(slot, &batch.envelopes[slot], body) {
            Ok(filing) => filings.push(filing),
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    // before anything is matched: a control is nobody's
    let (controls, mut filings): (Vec<_>, Vec<_>) =
        filings.into_iter().partition(Filing::is_control);
    controls::record(tx, batch, &controls, &rules.packs.westgard).await?;
    for filing in &mut filings {
        filing.ask_units(rules.maps);
    }
    let mut awaited = matching::settle(tx, &mut filings).await?;
    reject_specimens(tx, batch, &filings).await?;
    rejected::mark(tx, &mut filings).await?;
    let maps = mappings_for(tx, &filings).await?;
    let mut new_unmatched = Vec::new();
    let mut suspects = Suspects::new(&rules.packs.critical);
    for wave in filing::waves(&filings) {
        let new = file_wave(tx, batch, &wave, &maps, rules, &mut suspects).await?;
        new_unmatched.extend(new.into_iter().filter_map(Waiting::of));
    }
    keep_specimens(tx, &filings).await?;
    unmatched::enter(tx, &new_unmatched).await?;
    criticals::raise(tx, batch, &suspects).await?;
    awaited.extend(complete_orders(tx, batch, &filings).await?);
    closing::close(tx, batch, rules.maps, &awaited).await
}

/// The lock comes first: from here until commit no mapping can be made that these results would miss.
async fn mappings_for(tx: &mut Tx<'_>, filings: &[Filing<'_>]) -> Result<CodeMaps, sqlx::Error> {
    if !filings.iter().any(Filing::waits_for_mapping) {
        return Ok(CodeMaps::default());
    }
    code_maps::lock_for_filing(tx).await?;
    let mut codes: Vec<&str> = filings
        .iter()
        .flat_map(|filing| &filing.report.results)
        .filter(|result| result.held.is_some())
        .map(|result| result.code.code.as_str())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    CodeMaps::load(tx, &codes).await
}

/// One wave: no two filings in it are about the same report. Answers those whose report is new.
async fn file_wave<'f, 'a>(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    wave: &[&'f Filing<'a>],
    maps: &CodeMaps,
    rules: &Rules<'_>,
    suspects: &mut Suspects<'_>,
) -> Result<Vec<&'f Filing<'a>>, sqlx::Error> {
    let (corrections, mut candidates): (Vec<&'f Filing<'a>>, Vec<&'f Filing<'a>>) =
        wave.iter().partition(|filing| filing.is_correction());
    let mut existing = Vec::new();
    if !corrections.is_empty() {
        let keys: Vec<_> = corrections.iter().map(|f| f.identity.key).collect();
        let exact = find::by_key(tx, &keys).await?;
        let (found, missing): (Vec<_>, Vec<_>) = corrections
            .into_iter()
            .partition(|filing| exact.contains_key(&filing.identity.key));
        existing.extend(found.iter().map(|f| (*f, exact[&f.identity.key])));
        let newest = find::by_thread(tx, &missing).await?;
        for (place, filing) in missing.into_iter().enumerate() {
            match newest.get(&place) {
                Some(id) => existing.push((filing, *id)),
                None => candidates.push(filing),
            }
        }
    }

    let mut columns = ReportColumns::for_rows(candidates.len());
    for filing in &candidates {
        columns.push(filing);
    }
    let written = columns.insert(tx).await?;
    if written < candidates.len() as u64 {
        let keys: Vec<_> = candidates.iter().map(|f| f.identity.key).collect();
        let on_file = find::by_key(tx, &keys).await?;
        candidates.retain(|filing| match on_file.get(&filing.identity.key) {
            Some(id) if *id != filing.new_id => {
                existing.push((filing, *id));
                false
            }
            _ => true,
        });
    }
    file_new(tx, batch, &candidates, maps, rules, suspects).await?;
    if existing.is_empty() {
        return Ok(candidates);
    }
    let answers = amend::amend(tx, &existing, maps, rules, suspects).await?;
    for ((filing, _), answer) in existing.iter().zip(&answers) {
        say_amended(batch, filing, answer, rules);
    }
    Ok(candidates)
}

async fn file_new(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    filings: &[&Filing<'_>],
    maps: &CodeMaps,
    rules: &Rules<'_>,
    suspects: &mut Suspects<'_>,
) -> Result<(), sqlx::Error> {
    let rows = filings.iter().map(|f| f.report.results.len()).sum();
    let mut columns = ResultColumns::for_rows(rows);
    for filing in filings {
        let mut held = Vec::new();
        let mut waiting = 0;
        for (index, observation) in filing.report.results.iter().enumerate() {
            let row = Row::of(
                filing.report.channel.as_str(),
                observation,
                filing.item_times[index],
                maps,
            );
            suspects.look(&row, filing.new_id, filing.slot);
            waiting += usize::from(row.held.is_some());
            if row.waits_for_meaning() {
                held.push(index);
            }
            columns.push(
                Place {
                    report_id: filing.new_id,
                    // bounded when the filing was read
                    item: i16::try_from(index).unwrap_or(i16::MAX),
                    version: 1,
                    superseded_at: None,
                    source_event: None,
                },
                row,
            );
        }
        let filed = ReportFiled {
            report_id: filing.new_id,
            version: 1,
            results: count(filing.report.results.len()),
            held: count(waiting),
            status: said(filing.report.status.as_ref()).map(str::to_owned),
            to_verify: must_be_verified(filing, rules),
        };
        batch.say(filing.slot, &filed);
        if filed.to_verify {
            batch.touch_new(filing.new_id, filing.slot);
        }
        say_held(batch, filing, filing.new_id, &held);
        batch.changes.reports += 1;
    }
    columns.insert(tx).await
}

fn must_be_verified(filing: &Filing<'_>, rules: &Rules<'_>) -> bool {
    filing.of_rejected || rules.to_verify.contains(&filing.report.channel)
}

fn say_amended(batch: &mut Batch<'_>, filing: &Filing<'_>, answer: &Amended, rules: &Rules<'_>) {
    if !answer.touched {
        batch.unchanged(filing.slot);
        return;
    }
    let to_verify = answer.of_rejected || must_be_verified(filing, rules);
    if to_verify {
        batch.touch(answer.report_id, filing.slot);
    }
    batch.say(
        filing.slot,
        &ReportAmended {
            report_id: answer.report_id,
            version: answer.version,
            changed: answer.changed,
            added: answer.added,
            status: answer.status.clone(),
            to_verify,
        },
    );
    say_held(batch, filing, answer.report_id, &answer.held);
    batch.changes.reports += 1;
}

fn say_held(batch: &mut Batch<'_>, filing: &Filing<'_>, report_id: uuid::Uuid, held: &[usize]) {
    for &index in held {
        let result = &filing.report.results[index];
        // whose it is, is asked on the unmatched worklist; here, what it means
        let reason = result
            .held
            .filter(|held| !held.is_about_patient())
            .unwrap_or_else(|| result.meaning_asked());
        let owned = |text: Option<&str>| text.map(str::to_owned);
        batch.say(
            filing.slot,
            &ResultHeld {
                reason,
                channel: filing.report.channel.clone(),
                report_id,
                source_event: filing.envelope.id,
                code_system: owned(said(result.code.system.as_ref())).unwrap_or_default(),
                code: result.code.code.as_str().to_owned(),
                code_text: owned(said(result.code.text.as_ref())),
                unit: owned(said(result.unit.as_ref())),
                raw_value: owned(said(result.raw_value.as_ref())),
            },
        );
    }
}

/// Tubes of which these messages say that the laboratory can't use them, before what was measured of them is filed.
async fn reject_specimens(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    filings: &[Filing<'_>],
) -> Result<(), sqlx::Error> {
    let (mut rows, mut rejections) = (Vec::new(), Vec::new());
    for filing in filings {
        let said = filing.report.specimen.as_ref();
        let Some(specimen) = said.filter(|specimen| !specimen.rejected_for.is_empty()) else {
            continue;
        };
        if let Some(row) = SpecimenRow::of(filing.envelope, specimen, filing.subject) {
            rejections.push(Rejection {
                slot: filing.slot,
                key: row.key,
                reasons: &specimen.rejected_for,
            });
            rows.push(row);
        }
    }
    specimens::keep(tx, rows).await?;
    reject(tx, batch, rejections).await
}

async fn keep_specimens(tx: &mut Tx<'_>, filings: &[Filing<'_>]) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for filing in filings {
        if let Some(specimen) = &filing.report.specimen {
            rows.extend(SpecimenRow::of(filing.envelope, specimen, filing.subject));
        }
    }
    specimens::keep(tx, rows).await
}

/// Answers the numbers of tubes that orders were put on, in place of those that were rejected.
async fn complete_orders(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    filings: &[Filing<'_>],
) -> Result<BTreeMap<String, usize>, sqlx::Error> {
    let done: Vec<Done<'_>> = filings
        .iter()
        // of a tube that was rejected the order waits for another one
        .filter(|filing| filing.unmatched.is_none() && !filing.of_rejected)
        .filter_map(|filing| {
            let (is_final, tube) = (filing.is_final(), filing.specimen_number());
            (is_final || tube.is_some()).then(|| Done {
                slot: filing.slot,
                placer: said(filing.report.placer_number.as_ref()),
                filler: said(filing.report.filler_number.as_ref()),
                code: filing.report.code.code.as_str(),
                subject: filing.subject,
                fact_at: filing.envelope.occurred_at,
                tube,
                is_final,
            })
        })
        .collect();
    complete::by_results(tx, batch, &done).await
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
