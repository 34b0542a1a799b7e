//! What became of the messages of a file, as REST shows it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use tests::{Rest, eventually};

use super::orders::Patients;

const SOON: Duration = Duration::from_secs(30);
const RESULT: &str = "lis.result.received";

/// Rows of the ledger and of the worklists that were there before.
#[derive(Debug, Default)]
pub(super) struct Seen {
    arrivals: HashSet<String>,
    controls: HashSet<i64>,
    waiting: HashSet<String>,
}

/// When everything that was sent is in the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until<'a> {
    /// A message that came after it.
    Marker(&'a str),
    Messages(usize),
}

/// Reports and their results, by how the results ended.
#[derive(Debug, Default)]
struct Tally {
    reports: usize,
    results: usize,
    ends: BTreeMap<String, usize>,
}

impl Tally {
    fn add<'v>(&mut self, results: impl Iterator<Item = &'v Value>, waits_for: Option<&str>) {
        self.reports += 1;
        for result in results {
            self.results += 1;
            *self.ends.entry(end_of(result, waits_for)).or_default() += 1;
        }
    }

    fn join(&mut self, other: Self) {
        self.reports += other.reports;
        self.results += other.results;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
    }

    fn text(&self) -> Option<String> {
        let ends = self.ends.iter().map(|(end, count)| match self.results {
            all if all == *count => end.clone(),
            _ => format!("{count} {end}"),
        });
        let ends: Vec<String> = ends.collect();
        let (reports, results) = (
            counted(self.reports, "report"),
            counted(self.results, "result"),
        );
        (self.reports > 0).then(|| format!("{reports}, {results}: {}", ends.join(", ")))
    }
}

/// What became of a file.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Patients, encounters and orders that were made or changed.
    made: BTreeMap<String, usize>,
    /// On a chart.
    filed: Tally,
    /// On nobody's chart.
    waiting: Tally,
    /// Reports that say what was said before.
    repeated: usize,
    /// Control results, by verdict.
    controls: BTreeMap<String, usize>,
    /// Words about messages that are none of these.
    said: Vec<String>,
    /// The reports of `waiting`: id, and the number on the tube.
    unmatched: Vec<(String, Option<String>)>,
    /// Numbers that an instrument asked about and was answered.
    pub(super) asked: Vec<String>,
}

impl Outcome {
    /// Waits until all is in the ledger and has had its effect, and looks what there is that was not there before.
    pub(super) async fn of(rest: &Rest, channel: &str, until: Until<'_>, seen: &mut Seen) -> Self {
        let list = format!("/api/v1/messages?channel={channel}&limit=500");
        let mut rows = eventually(
            &format!("{channel}: {until:?} in the ledger"),
            SOON,
            || async {
                let rows = rest.items(&list).await;
                let there = match until {
                    Until::Marker(id) => rows.iter().any(|row| row["control_id"] == id),
                    Until::Messages(count) => rows.len() >= seen.arrivals.len() + count,
                };
                there.then_some(rows)
            },
        )
        .await;
        rows.retain(|row| {
            seen.arrivals
                .insert(format!("{}{}", row["id"], row["received_at"]))
        });
        if let Until::Marker(id) = until {
            rows.retain(|row| row["control_id"] != id);
        }
        let mut outcome = Self::default();
        for row in rows.iter().rev() {
            outcome.message(rest, row, seen).await;
        }
        outcome.worklist(rest, channel, seen).await;
        outcome.controls(rest, channel, seen).await;
        outcome
    }

    async fn message(&mut self, rest: &Rest, row: &Value, seen: &Seen) {
        let id = row["id"].as_str().unwrap();
        let said = match row["outcome"].as_str().unwrap() {
            "duplicate" => "duplicate of a message before".to_owned(),
            "dead" => dead(rest, id).await,
            "answer" => {
                let kind = row["message_type"].as_str().unwrap_or_default();
                format!("kept: `{kind}` answers a message, there is nothing to file")
            }
            "query" => {
                let path = format!("/api/v1/messages/{id}");
                eventually("how the query was answered is said", SOON, || async {
                    let detail = rest.get(&path).await;
                    let answer = list(&detail["answers"]).last();
                    let answer = answer.and_then(|answer| answer["outcome"].as_str());
                    let note = list(&detail["notes"]).last().and_then(Value::as_str);
                    answer
                        .map(|answer| format!("query, answered `{answer}`"))
                        .or_else(|| note.map(|note| format!("query, kept: {note}")))
                })
                .await
            }
            "not_translated" => {
                let detail = rest.get(&format!("/api/v1/messages/{id}")).await;
                let kind = detail["message_type"].as_str().unwrap_or_default();
                let notes = detail["notes"].as_array().unwrap();
                let why = match (kind.contains('^'), notes.last().and_then(Value::as_str)) {
                    (true, _) => format!("`{kind}`"),
                    (false, note) => note.expect("why there is nothing").to_owned(),
                };
                format!("kept, nothing to file: {why}")
            }
            _ => return self.effects(rest, row, seen).await,
        };
        if row["outcome"] == "query" {
            let number = row["accession"].as_str().map(str::to_owned);
            self.asked.extend(number);
        }
        self.said.push(said);
    }

    /// What a translated message did.
    async fn effects(&mut self, rest: &Rest, row: &Value, seen: &Seen) {
        let path = format!("/api/v1/messages/{}/lineage", row["id"].as_str().unwrap());
        let lineage = eventually("every event is applied", SOON, || async {
            let lineage = rest.get(&path).await;
            let pending = |event: &Value| list(&event["applied"]).next().is_none();
            let applied = !list(&lineage["events"]).any(pending);
            applied.then_some(lineage)
        })
        .await;
        let mut explained = false;
        for effect in list(&lineage["effects"]) {
            let kind = effect["kind"].as_str().unwrap();
            if kind != "report" {
                explained = true;
                *self.made.entry(kind.to_owned()).or_default() += 1;
                continue;
            }
            let report = report(rest, effect["id"].as_str().unwrap()).await;
            // what waits is said by its worklist
            if waits_for(rest, &report).await.is_none() {
                explained = true;
                let event = &effect["event_id"];
                self.filed.add(
                    list(&report["results"]).filter(|one| one["source_event"] == *event),
                    None,
                );
            }
        }
        for letter in list(&lineage["dead_letters"]) {
            let letter = rest.get(&format!("/api/v1/dead-letters/{letter}")).await;
            explained = true;
            self.said.push(format!(
                "an event refused `{}`",
                letter["reason"].as_str().unwrap()
            ));
        }
        let mut applied = Vec::new();
        for event in list(&lineage["events"]) {
            let kind = event["type"].as_str().unwrap();
            let changed = list(&event["applied"]).any(|one| one["outcome"] != "unchanged");
            match (kind, changed) {
                (RESULT, false) => self.repeated += 1,
                (RESULT, true) => self.added(rest, row, event, seen).await,
                _ => applied.push(kind),
            }
        }
        applied.dedup();
        if !explained && !applied.is_empty() {
            self.said.push(format!(
                "`{}`: nothing that was not known",
                applied.join("`, `")
            ));
        }
    }

    /// Results for a report that waited before this message.
    async fn added(&mut self, rest: &Rest, row: &Value, event: &Value, seen: &Seen) {
        for waiting in worklist(rest, row["channel"].as_str().unwrap()).await {
            let id = waiting["report_id"].as_str().unwrap();
            if !seen.waiting.contains(id) {
                continue;
            }
            let report = report(rest, id).await;
            let added = list(&report["results"])
                .filter(|one| one["source_event"] == event["id"])
                .count();
            if added > 0 {
                let reason = waiting["reason"].as_str().unwrap();
                let results = counted(added, "result");
                self.said.push(format!(
                    "{results} for a report that waits: unmatched `{reason}`"
                ));
            }
        }
    }

    /// Reports that are new on the worklist.
    async fn worklist(&mut self, rest: &Rest, channel: &str, seen: &mut Seen) {
        for row in worklist(rest, channel).await {
            let id = row["report_id"].as_str().unwrap();
            if seen.waiting.insert(id.to_owned()) {
                let report = report(rest, id).await;
                let number = report["specimen_number"].as_str().map(str::to_owned);
                self.unmatched.push((id.to_owned(), number));
                self.waiting
                    .add(list(&report["results"]), row["reason"].as_str());
            }
        }
    }

    /// Control results that are new.
    async fn controls(&mut self, rest: &Rest, channel: &str, seen: &mut Seen) {
        let path = format!("/api/v1/worklists/qc?state=all&channel={channel}&limit=500");
        for control in rest.all_items(&path).await {
            if seen.controls.insert(control["id"].as_i64().unwrap()) {
                let verdict = control["verdict"].as_str().unwrap().to_owned();
                *self.controls.entry(verdict).or_default() += 1;
            }
        }
    }

    /// What came of a further message of the file.
    pub(super) fn join(&mut self, further: Self) {
        self.filed.join(further.filed);
        self.waiting.join(further.waiting);
        self.repeated += further.repeated;
        self.said.extend(further.said);
        self.unmatched.extend(further.unmatched);
        self.asked.extend(further.asked);
        for (kind, count) in further.made {
            *self.made.entry(kind).or_default() += count;
        }
        for (verdict, count) in further.controls {
            *self.controls.entry(verdict).or_default() += count;
        }
    }

    /// For the page; empty when nothing at all can be seen.
    pub(super) fn text(&self) -> String {
        let made = self.made.iter().map(|(kind, count)| counted(*count, kind));
        let made: Vec<String> = made.collect();
        let mut parts = vec![made.join(", ")];
        parts.extend(self.filed.text());
        parts.extend(self.waiting.text());
        if self.repeated > 0 {
            parts.push(format!(
                "{} said before: nothing new",
                counted(self.repeated, "report")
            ));
        }
        for (verdict, count) in &self.controls {
            parts.push(format!("QC: {} (`{verdict}`)", counted(*count, "result")));
        }
        let mut said: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.said {
            *said.entry(one).or_default() += 1;
        }
        parts.extend(said.iter().map(|(words, count)| match count {
            1 => (*words).to_owned(),
            _ => format!("{count} × ({words})"),
        }));
        parts.retain(|part| !part.is_empty());
        parts.join("; ")
    }

    /// Orders something on each tube that waits: what its results become then.
    pub(super) async fn once_ordered(&self, rest: &Rest, patients: &mut Patients) -> String {
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        let mut claims: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, number) in &self.unmatched {
            let Some(number) = number else {
                *claims.entry("no number").or_default() += 1;
                continue;
            };
            if !patients.order(rest, number).await {
                *claims
                    .entry("the number carries orders of another patient")
                    .or_default() += 1;
                continue;
            }
            let found = eventually(
                &format!("report {id} of {number} is on a chart"),
                SOON,
                || async {
                    let report = report(rest, id).await;
                    waits_for(rest, &report).await.is_none().then_some(report)
                },
            )
            .await;
            for result in list(&found["results"]).filter(|one| one["current"] == true) {
                *ends.entry(end_of(result, None)).or_default() += 1;
            }
        }
        let said = ends.iter().map(|(end, count)| format!("{count} {end}"));
        let mut text = said.collect::<Vec<_>>().join(", ");
        for (why, count) in claims {
            let joint = if text.is_empty() { "" } else { "; " };
            write!(
                text,
                "{joint}{} to be claimed: {why}",
                counted(count, "report")
            )
            .unwrap();
        }
        text
    }
}

/// Why a message is a dead letter.
async fn dead(rest: &Rest, id: &str) -> String {
    let path = format!("/api/v1/messages/{id}/lineage");
    let number = eventually("its dead letter", SOON, || async {
        let lineage = rest.get(&path).await;
        list(&lineage["dead_letters"]).next().cloned()
    })
    .await;
    let letter = rest.get(&format!("/api/v1/dead-letters/{number}")).await;
    let (reason, detail) = (
        letter["reason"].as_str().unwrap(),
        letter["detail"].as_str().unwrap(),
    );
    if letter["stage"] == "edge" {
        format!("kept as broken: {detail}")
    } else {
        format!("refused `{reason}`")
    }
}

async fn report(rest: &Rest, id: &str) -> Value {
    rest.get(&format!("/api/v1/reports/{id}")).await
}

/// Everything that ever waited on a channel, oldest first.
async fn worklist(rest: &Rest, channel: &str) -> Vec<Value> {
    let path = format!("/api/v1/worklists/unmatched?state=all&channel={channel}&limit=500");
    rest.all_items(&path).await
}

/// Why a report waits, when it is on nobody's chart.
async fn waits_for(rest: &Rest, report: &Value) -> Option<String> {
    let rows = worklist(rest, report["channel"].as_str().unwrap()).await;
    let mut open = rows.iter().filter(|row| row["state"] == "open");
    let row = open.find(|row| row["report_id"] == report["id"])?;
    Some(row["reason"].as_str().unwrap().to_owned())
}

/// A result in words.
fn end_of(result: &Value, waits_for: Option<&str>) -> String {
    match (waits_for, result["held"].as_str()) {
        (Some(reason), Some(held)) if held != "no_patient" && held != reason => {
            format!("unmatched `{reason}` and held `{held}`")
        }
        (Some(reason), _) => format!("unmatched `{reason}`"),
        (None, Some(held)) => format!("held `{held}`"),
        (None, None) => "filed".to_owned(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
