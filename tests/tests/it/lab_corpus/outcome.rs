//! What became of the messages of a file, as REST shows it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Mllp, Rest, adt, eventually, unique};

const SOON: Duration = Duration::from_secs(30);
const RESULT: &str = "lis.result.received";

/// Rows of the ledger and of the worklists that were there before the file.
#[derive(Debug, Default)]
pub(super) struct Seen {
    arrivals: HashSet<String>,
    controls: HashSet<i64>,
    waiting: HashSet<String>,
}

/// What became of a file.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Words for the page, in the order of the messages, equal ones counted.
    ends: Vec<String>,
    /// Reports that wait on nobody's chart: id, and the number on the tube.
    pub(super) unmatched: Vec<(String, Option<String>)>,
}

/// All arrivals on a channel that are not known yet, oldest first.
async fn arrivals(rest: &Rest, channel: &str, seen: &mut Seen) -> Vec<Value> {
    let mut rows = rest
        .all_items(&format!("/api/v1/messages?channel={channel}&limit=500"))
        .await;
    rows.retain(|row| {
        seen.arrivals
            .insert(format!("{}{}", row["id"], row["received_at"]))
    });
    rows.reverse();
    rows
}

impl Outcome {
    /// Waits until the marker (or so many messages) is in the ledger and everything before it has had its effect.
    pub(super) async fn of(rest: &Rest, channel: &str, until: Until<'_>, seen: &mut Seen) -> Self {
        let list = format!("/api/v1/messages?channel={channel}&limit=500");
        eventually(
            &format!("{channel}: {until:?} in the ledger"),
            SOON,
            || async {
                let rows = rest.items(&list).await;
                let there = match until {
                    Until::Marker(id) => rows.iter().any(|row| row["control_id"] == id),
                    Until::Messages(count) => rows.len() >= seen.arrivals.len() + count,
                };
                there.then_some(())
            },
        )
        .await;
        let mut rows = arrivals(rest, channel, seen).await;
        if let Until::Marker(id) = until {
            rows.retain(|row| row["control_id"] != id);
        }
        let mut outcome = Self::default();
        for row in &rows {
            outcome.add(rest, row, seen).await;
        }
        outcome.waiting(rest, channel, seen).await;
        outcome.controls(rest, channel, seen).await;
        outcome
    }

    async fn add(&mut self, rest: &Rest, row: &Value, seen: &Seen) {
        let id = row["id"].as_str().unwrap();
        match row["outcome"].as_str().unwrap() {
            "duplicate" => self.ends.push("duplicate of a message before".to_owned()),
            "dead" => {
                let letter = eventually("its dead letter", SOON, || async {
                    let lineage = rest.get(&format!("/api/v1/messages/{id}/lineage")).await;
                    lineage["dead_letters"].as_array()?.first().cloned()
                })
                .await;
                let letter = rest.get(&format!("/api/v1/dead-letters/{letter}")).await;
                let kept = if letter["stage"] == "edge" {
                    "kept as broken"
                } else {
                    "refused"
                };
                self.ends
                    .push(format!("{kept} `{}`", letter["reason"].as_str().unwrap()));
            }
            "not_translated" => {
                let detail = rest.get(&format!("/api/v1/messages/{id}")).await;
                let kind = detail["message_type"].as_str().unwrap_or_default();
                let why = if kind.contains('^') {
                    format!("`{kind}`")
                } else {
                    detail["notes"]
                        .as_array()
                        .unwrap()
                        .last()
                        .and_then(Value::as_str)
                        .unwrap_or("no reason is said")
                        .to_owned()
                };
                self.ends.push(format!("kept, nothing to file: {why}"));
            }
            _ => self.effects(rest, id, seen).await,
        }
    }

    /// What a translated message did.
    async fn effects(&mut self, rest: &Rest, id: &str, seen: &Seen) {
        let lineage = eventually("every event is applied", SOON, || async {
            let lineage = rest.get(&format!("/api/v1/messages/{id}/lineage")).await;
            let events = lineage["events"].as_array().unwrap();
            let applied = |event: &Value| !event["applied"].as_array().unwrap().is_empty();
            events.iter().all(applied).then_some(lineage)
        })
        .await;
        let mut did: BTreeMap<&str, usize> = BTreeMap::new();
        let mut reports = Vec::new();
        for effect in lineage["effects"].as_array().unwrap() {
            match effect["kind"].as_str().unwrap() {
                "report" => reports.push(effect),
                kind => *did.entry(kind).or_default() += 1,
            }
        }
        let made = did.iter().map(|(kind, count)| counted(*count, kind));
        let mut words: Vec<String> = made.collect();
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        let (mut filed, mut results) = (0, 0);
        for report in &reports {
            let detail = report_detail(rest, report["id"].as_str().unwrap()).await;
            if let Some(reason) = waiting_for(rest, &detail).await {
                // a new one is said by its worklist
                if seen.waiting.contains(report["id"].as_str().unwrap()) {
                    let added = of_event(&detail, &report["event_id"]).count();
                    let results = counted(added, "result");
                    words.push(format!(
                        "{results} for a report that waits: unmatched `{reason}`"
                    ));
                }
                continue;
            }
            filed += 1;
            for result in of_event(&detail, &report["event_id"]) {
                results += 1;
                *ends.entry(end_of(result, None)).or_default() += 1;
            }
        }
        if filed > 0 {
            words.push(on_chart(filed, results, &ends));
        }
        let events = lineage["events"].as_array().unwrap();
        let unchanged = events.iter().filter(|event| {
            let mut applied = event["applied"].as_array().unwrap().iter();
            event["type"] == RESULT && applied.all(|one| one["outcome"] == "unchanged")
        });
        let unchanged = unchanged.count();
        if unchanged > 0 {
            words.push(format!(
                "{} said before: nothing new",
                counted(unchanged, "report")
            ));
        }
        for letter in lineage["dead_letters"].as_array().unwrap() {
            let letter = rest.get(&format!("/api/v1/dead-letters/{letter}")).await;
            words.push(format!(
                "an event refused `{}`",
                letter["reason"].as_str().unwrap()
            ));
        }
        // results that are on no chart are said by the worklists
        if words.is_empty() && !events.iter().any(|event| event["type"] == RESULT) {
            let mut kinds: Vec<&str> = events
                .iter()
                .filter_map(|event| event["type"].as_str())
                .collect();
            kinds.dedup();
            words.push(format!(
                "applied, no row of its own: `{}`",
                kinds.join("`, `")
            ));
        }
        if !words.is_empty() {
            self.ends.push(words.join(", "));
        }
    }

    /// Reports that came with the file and are on nobody's chart.
    async fn waiting(&mut self, rest: &Rest, channel: &str, seen: &mut Seen) {
        let list = format!("/api/v1/worklists/unmatched?state=all&channel={channel}&limit=500");
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        let (mut reports, mut results) = (0, 0);
        for row in rest.all_items(&list).await {
            let id = row["report_id"].as_str().unwrap();
            if !seen.waiting.insert(id.to_owned()) {
                continue;
            }
            reports += 1;
            let detail = report_detail(rest, id).await;
            let number = detail["specimen_number"].as_str().map(str::to_owned);
            self.unmatched.push((id.to_owned(), number));
            for result in detail["results"].as_array().unwrap() {
                results += 1;
                *ends
                    .entry(end_of(result, row["reason"].as_str()))
                    .or_default() += 1;
            }
        }
        if reports > 0 {
            self.ends.push(on_chart(reports, results, &ends));
        }
    }

    /// Control results that came with the file.
    async fn controls(&mut self, rest: &Rest, channel: &str, seen: &mut Seen) {
        let all = rest
            .all_items(&format!(
                "/api/v1/worklists/qc?state=all&channel={channel}&limit=500"
            ))
            .await;
        let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
        for control in all
            .iter()
            .filter(|one| seen.controls.insert(one["id"].as_i64().unwrap()))
        {
            *verdicts
                .entry(control["verdict"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
        for (verdict, count) in verdicts {
            self.ends
                .push(format!("QC: {} ({verdict})", counted(count, "result")));
        }
    }

    /// What came of a further message of the file.
    pub(super) fn join(&mut self, further: Self) {
        self.ends.extend(further.ends);
        self.unmatched.extend(further.unmatched);
    }

    /// Whether nothing at all can be seen of the file.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// For the page; equal ends one after the other are counted.
    pub(super) fn text(&self) -> String {
        let mut text: Vec<(usize, &str)> = Vec::new();
        for end in &self.ends {
            match text.last_mut() {
                Some((count, last)) if *last == end => *count += 1,
                _ => text.push((1, end)),
            }
        }
        let said = text.iter().map(|(count, end)| match count {
            1 => (*end).to_owned(),
            _ => format!("{count} × ({end})"),
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// Orders something on each tube that waits: what its results become then.
    pub(super) async fn with_orders(&self, rest: &Rest, patients: &mut Patients) -> String {
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for (report, number) in &self.unmatched {
            let Some(number) = number else {
                *ends
                    .entry("reports without a number: to be claimed".to_owned())
                    .or_default() += 1;
                continue;
            };
            if !patients.order(rest, number).await {
                let said = "reports whose number carries orders of another patient: to be claimed";
                *ends.entry(said.to_owned()).or_default() += 1;
                continue;
            }
            let detail = eventually(
                &format!("report {report} of {number} is on a chart"),
                SOON,
                || async {
                    let detail = rest.get(&format!("/api/v1/reports/{report}")).await;
                    waiting_for(rest, &detail).await.is_none().then_some(detail)
                },
            )
            .await;
            for result in detail["results"].as_array().unwrap() {
                if result["current"] == true {
                    *ends.entry(end_of(result, None)).or_default() += 1;
                }
            }
        }
        let said = ends.iter().map(|(end, count)| format!("{count} {end}"));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// When a file is through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until<'a> {
    Marker(&'a str),
    Messages(usize),
}

async fn report_detail(rest: &Rest, id: &str) -> Value {
    rest.get(&format!("/api/v1/reports/{id}")).await
}

/// The results of a report that one event brought.
fn of_event<'a>(report: &'a Value, event: &'a Value) -> impl Iterator<Item = &'a Value> {
    let results = report["results"].as_array().unwrap().iter();
    results.filter(move |result| result["source_event"] == *event)
}

fn on_chart(reports: usize, results: usize, ends: &BTreeMap<String, usize>) -> String {
    let ends = ends.iter().map(|(end, count)| match results {
        one if one == *count => end.clone(),
        _ => format!("{count} {end}"),
    });
    let ends: Vec<String> = ends.collect();
    format!(
        "{}, {}: {}",
        counted(reports, "report"),
        counted(results, "result"),
        ends.join(", ")
    )
}

/// Why a report waits, when it is on nobody's chart.
async fn waiting_for(rest: &Rest, report: &Value) -> Option<String> {
    let list = format!(
        "/api/v1/worklists/unmatched?channel={}&limit=500",
        report["channel"].as_str().unwrap()
    );
    let rows = rest.all_items(&list).await;
    let row = rows.iter().find(|row| row["report_id"] == report["id"])?;
    Some(row["reason"].as_str().unwrap().to_owned())
}

/// A result in words.
fn end_of(result: &Value, waits: Option<&str>) -> String {
    let held = result["held"].as_str();
    match (waits, held) {
        (Some(reason), Some(held)) if held != "no_patient" => {
            format!("unmatched `{reason}` and held `{held}`")
        }
        (Some(reason), _) => format!("unmatched `{reason}`"),
        (None, Some(held)) => format!("held `{held}`"),
        (None, None) => "filed".to_owned(),
    }
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Who the tubes of the corpus belong to; invented here, one a number.
pub(super) struct Patients {
    address: std::net::SocketAddr,
    /// Whether something could be ordered on it.
    tubes: HashMap<String, bool>,
}

impl Patients {
    pub(super) fn new(address: std::net::SocketAddr) -> Self {
        let tubes = HashMap::new();
        Self { address, tubes }
    }

    /// Whether an order could be placed on the tube; not where the corpus has orders of somebody else on it.
    async fn order(&mut self, rest: &Rest, number: &str) -> bool {
        if let Some(placed) = self.tubes.get(number) {
            return *placed;
        }
        let patient = unique("LAB");
        let sent = Mllp::connect(self.address)
            .await
            .send(adt("A04", &unique("C"), &patient))
            .await;
        assert_eq!(sent.code, "AA");
        let path = format!("/api/v1/patients?identifier={patient}");
        eventually("the patient is registered", SOON, || async {
            (!rest.items(&path).await.is_empty()).then_some(())
        })
        .await;
        let order = json!({ "patient_identifier": patient, "code": { "code": "CORPUS" }, "specimen": { "number": number } });
        let (status, answer) = rest.post("/api/v1/orders", &order).await;
        let placed = status == 201;
        assert!(
            placed || answer["code"] == "clinical.specimen_in_use",
            "{number}: {answer}"
        );
        self.tubes.insert(number.to_owned(), placed);
        placed
    }
}
