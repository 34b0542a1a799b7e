//! Compares what was acknowledged with what the hub holds. Pure, so that it is itself tested (`judge/tests.rs`): a
//! count that can't fail proves nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::evidence::{Evidence, Place, ReportRow};
use super::message::{RESULTS, address_line};
use super::sent::{Patient, Sent};

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;

/// Findings told in full, of each rule.
const TOLD: usize = 5;

/// What is wrong, by rule.
#[derive(Debug, Default)]
pub(crate) struct Findings(BTreeMap<&'static str, Vec<String>>);

impl Findings {
    fn add(&mut self, rule: &'static str, detail: impl Into<String>) {
        self.0.entry(rule).or_default().push(detail.into());
    }

    fn unless(&mut self, good: bool, rule: &'static str, detail: impl FnOnce() -> String) {
        if !good {
            self.add(rule, detail());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    fn rules(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (rule, details) in &self.0 {
            writeln!(f, "{rule}: {} time(s)", details.len())?;
            for detail in details.iter().take(TOLD) {
                writeln!(f, "    {detail}")?;
            }
        }
        Ok(())
    }
}

/// Everything that does not agree.
pub(crate) fn judge(sent: &Sent, found: &Evidence) -> Findings {
    let mut findings = Findings::default();
    arrivals(sent, found, &mut findings);
    inbox(found, &mut findings);
    let causes = causes(sent, found, &mut findings);
    for patient in &sent.patients {
        record(patient, found, &mut findings);
        visit(patient, found, &mut findings);
        reports(patient, found, &mut findings);
        audit(patient, &causes, &mut findings);
        shown(patient, found, &mut findings);
    }
    nobody_else(sent, found, &mut findings);
    for (what, count) in &found.left_over {
        findings.unless(*count == 0, "nothing is left over", || {
            format!("{count} {what}")
        });
    }
    findings.unless(found.chain_faults == 0, "audit chain", || {
        format!("{} places or entries are out of it", found.chain_faults)
    });
    findings
}

/// RAW, the ledger and the translator's checkpoint agree, and every acknowledged message arrived.
fn arrivals(sent: &Sent, found: &Evidence, findings: &mut Findings) {
    let mut rows: HashMap<Place, u32> = HashMap::new();
    let mut first: HashMap<&str, u32> = HashMap::new();
    for row in &found.ledger {
        *rows.entry(row.place).or_default() += 1;
        match row.outcome.as_str() {
            "translated" => *first.entry(&row.control_id).or_default() += 1,
            // the same bytes once more, because their sender had no answer
            "duplicate" => {}
            other => findings.add(
                "every arrival is translated",
                format!("{}: {other}", row.control_id),
            ),
        }
        match found.raw.get(&row.place) {
            None => findings.add(
                "ledger equals RAW",
                format!("a row for {:?}, which RAW has not", row.place),
            ),
            Some(Some(control_id)) if *control_id != row.control_id => findings.add(
                "ledger equals RAW",
                format!(
                    "{:?} is {control_id}, its row says {}",
                    row.place, row.control_id
                ),
            ),
            Some(_) => {}
        }
    }
    for place in found.raw.keys() {
        let count = rows.get(place).copied().unwrap_or(0);
        findings.unless(count == 1, "ledger equals RAW", || {
            format!("{count} rows for {place:?}")
        });
    }
    findings.unless(
        found.checkpoint == found.raw_last,
        "checkpoint is RAW's newest",
        || format!("checkpoint {}, newest {}", found.checkpoint, found.raw_last),
    );
    for step in sent.steps() {
        findings.unless(step.acknowledged, "every message is acknowledged", || {
            step.control_id.clone()
        });
        let count = first.get(step.control_id.as_str()).copied().unwrap_or(0);
        findings.unless(
            count == 1,
            "every acknowledged message arrived, and has one first arrival",
            || format!("{}: {count}", step.control_id),
        );
    }
}

/// Every event went through the inbox of its worker, once.
fn inbox(found: &Evidence, findings: &mut Findings) {
    for (event, worker) in &found.events {
        findings.unless(
            found.inbox.contains_key(&((*worker).to_owned(), *event)),
            "every event is in the inbox",
            || format!("{event} of {worker}"),
        );
    }
    findings.unless(found.inbox_repeats == 0, "inbox is unique", || {
        format!("{} keys stand there more than once", found.inbox_repeats)
    });
}

/// Which steps the audit trail names, by MRN, in its order.
fn causes<'s>(
    sent: &'s Sent,
    found: &Evidence,
    findings: &mut Findings,
) -> HashMap<&'s str, Vec<u32>> {
    let raw_ids: HashMap<&str, Uuid> = found
        .ledger
        .iter()
        .map(|row| (row.control_id.as_str(), row.raw_id))
        .collect();
    let mut steps: HashMap<Uuid, (&str, u32)> = HashMap::new();
    for patient in &sent.patients {
        for step in patient.steps.iter().filter(|step| step.kind.is_adt()) {
            if let Some(raw_id) = raw_ids.get(step.control_id.as_str()) {
                // the first event of an ADT message is about the person; ids: design.md §4.3
                let event = Uuid::new_v5(raw_id, &0_u32.to_be_bytes());
                steps.insert(event, (&patient.person.mrn, step.number));
            }
        }
    }
    let mut causes: HashMap<&str, Vec<u32>> = HashMap::new();
    for event in &found.audited {
        match steps.get(event) {
            Some((mrn, step)) => causes.entry(mrn).or_default().push(*step),
            None => findings.add(
                "audit names each change once, in order",
                format!("{event} is of no ADT message that was acknowledged"),
            ),
        }
    }
    causes
}

fn record(patient: &Patient, found: &Evidence, findings: &mut Findings) {
    let mrn = &patient.person.mrn;
    let records = found.patients.get(mrn).map_or(&[][..], Vec::as_slice);
    let [record] = records else {
        findings.add(
            "one record a patient",
            format!("{mrn} has {}", records.len()),
        );
        return;
    };
    let steps = patient.adt_steps();
    // each step changed the address, so each that was applied in its turn made a version
    findings.unless(
        usize::try_from(record.version) == Ok(steps.len()),
        "each ADT changed the patient once",
        || {
            format!(
                "{mrn} has version {} after {} messages",
                record.version,
                steps.len()
            )
        },
    );
    let last = steps.last().copied().unwrap_or(0);
    findings.unless(
        record.address == address_line(last),
        "the last ADT stands",
        || format!("{mrn} is at {}, step {last} was the last", record.address),
    );
}

fn visit(patient: &Patient, found: &Evidence, findings: &mut Findings) {
    let number = &patient.person.visit;
    let visits = found.visits.get(number).map_or(&[][..], Vec::as_slice);
    let [visit] = visits else {
        findings.add(
            "one encounter a visit",
            format!("{number} has {}", visits.len()),
        );
        return;
    };
    let steps = patient.adt_steps();
    findings.unless(
        usize::try_from(visit.version) == Ok(steps.len()),
        "each ADT changed the encounter once",
        || {
            format!(
                "{number} has version {} after {} messages",
                visit.version,
                steps.len()
            )
        },
    );
    let beds: Vec<u32> = visit.beds.iter().map(|(bed, _)| *bed).collect();
    findings.unless(beds == steps, "one bed a step, in order", || {
        format!("{number} went through {beds:?}, sent were {steps:?}")
    });
    let last = steps.last().copied().unwrap_or(0);
    let active: Vec<u32> = visit
        .beds
        .iter()
        .filter(|(_, state)| state == "active")
        .map(|(bed, _)| *bed)
        .collect();
    findings.unless(
        visit.bed == last && active == [last],
        "the last ADT stands",
        || {
            format!(
                "{number} is in bed {} (active: {active:?}), step {last} was the last",
                visit.bed
            )
        },
    );
}

fn reports(patient: &Patient, found: &Evidence, findings: &mut Findings) {
    let mut filed: Vec<&ReportRow> = Vec::new();
    for filler in patient.fillers() {
        let rows = found.reports.get(filler).map_or(&[][..], Vec::as_slice);
        let [report] = rows else {
            findings.add(
                "one report a filler number",
                format!("{filler} has {}", rows.len()),
            );
            continue;
        };
        filed.push(report);
        let whole = RESULTS;
        findings.unless(
            usize::try_from(report.current) == Ok(whole)
                && usize::try_from(report.items) == Ok(whole),
            "twelve current results a report",
            || {
                format!(
                    "{filler} has {} current ones at {} places",
                    report.current, report.items
                )
            },
        );
        let expected = patient.values(filler);
        let values: Vec<u32> = report.values.iter().map(|(value, _)| *value).collect();
        findings.unless(values == expected, "each correction once, in order", || {
            format!("{filler} went through {values:?}, sent were {expected:?}")
        });
        let current: Vec<u32> = report
            .values
            .iter()
            .filter(|(_, current)| *current)
            .map(|(value, _)| *value)
            .collect();
        findings.unless(
            current.as_slice() == expected.last().map_or(&[][..], std::slice::from_ref),
            "the last correction stands",
            || format!("{filler} shows {current:?}, sent were {expected:?}"),
        );
        findings.unless(
            usize::try_from(report.version) == Ok(expected.len()),
            "each correction once, in order",
            || {
                format!(
                    "{filler} has version {} after {} messages",
                    report.version,
                    expected.len()
                )
            },
        );
    }
    findings.unless(
        filed.is_sorted_by_key(|report| report.id),
        "reports are filed in order",
        || {
            format!(
                "{}: the reports' ids do not rise with the order of sending",
                patient.person.mrn
            )
        },
    );
}

fn audit(patient: &Patient, causes: &HashMap<&str, Vec<u32>>, findings: &mut Findings) {
    let mrn = patient.person.mrn.as_str();
    let named = causes.get(mrn).map_or(&[][..], Vec::as_slice);
    let steps = patient.adt_steps();
    findings.unless(
        named == steps,
        "audit names each change once, in order",
        || format!("{mrn}: {named:?}, sent were {steps:?}"),
    );
}

fn shown(patient: &Patient, found: &Evidence, findings: &mut Findings) {
    const RULE: &str = "REST shows the same";
    let mrn = &patient.person.mrn;
    // not every patient is asked for
    let Some(shown) = found.shown.get(mrn) else {
        return;
    };
    let last = patient.adt_steps().last().copied().unwrap_or(0);
    findings.unless(shown.addresses == [address_line(last)], RULE, || {
        format!(
            "{mrn} is at {:?}, step {last} was the last",
            shown.addresses
        )
    });
    findings.unless(shown.beds == [last], RULE, || {
        format!("{mrn} is in {:?}, step {last} was the last", shown.beds)
    });
    let mut expected: Vec<(String, u32)> = patient
        .fillers()
        .into_iter()
        .filter_map(|filler| Some((filler.to_owned(), *patient.values(filler).last()?)))
        .collect();
    let mut values = shown.values.clone();
    expected.sort();
    values.sort();
    findings.unless(values == expected, RULE, || {
        format!("{mrn}: {values:?}, sent were {expected:?}")
    });
}

/// Nothing is there that nobody sent.
fn nobody_else(sent: &Sent, found: &Evidence, findings: &mut Findings) {
    let mut records: HashSet<&str> = HashSet::new();
    let mut visits: HashSet<&str> = HashSet::new();
    let mut fillers: HashSet<&str> = HashSet::new();
    for patient in &sent.patients {
        records.insert(&patient.person.mrn);
        visits.insert(&patient.person.visit);
        fillers.extend(patient.fillers());
    }
    for (what, kept, known) in [
        ("patient", keys(&found.patients), &records),
        ("visit", keys(&found.visits), &visits),
        ("report", keys(&found.reports), &fillers),
    ] {
        for key in kept.iter().filter(|key| !known.contains(**key)) {
            findings.add("nothing that nobody sent", format!("{what} {key}"));
        }
    }
}

fn keys<T>(map: &HashMap<String, T>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}
