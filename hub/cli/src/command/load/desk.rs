//! Figures of the REST API over a hospital's worth of patients and results: how soon somebody at a desk has an answer.
//!
//! Requests are offered at a rate, however soon the ones before are answered, and each is timed from the moment at which it was
//! due. So a pause of the hub counts for all who would have asked in it, and not for the one who happened to be waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use schemas::TenantId;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::task::JoinSet;

use super::lab::percentile;
use super::seed::people::Person;
use super::seed::reports::{scattered, whose};
use super::seed::{self, Size};
use super::subject::Subject;
use super::table::{Figure, line};
use crate::rest::Rest;

/// Requests a second.
const RATE: u32 = 200;
/// How long each kind is asked by itself, and all together.
const ALONE: Duration = Duration::from_secs(20);
const TOGETHER: Duration = Duration::from_secs(30);
/// What is asked before anything is timed: plans are made, tokens known, the caches have seen the tables.
const BEFORE: Duration = Duration::from_secs(10);
/// Milliseconds that 99 of 100 requests of every kind may take.
const LONGEST: f64 = 150.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Read,
    Mrn,
    Mobile,
    Name,
    Results,
    Register,
}

use Request::{Mobile, Mrn, Name, Read, Register, Results};

const KINDS: [Request; 6] = [Read, Mrn, Mobile, Name, Results, Register];

/// Twenty requests of a desk: most read what somebody has open, one in twenty registers.
#[rustfmt::skip]
const MIX: [Request; 20] = [
    Read, Mrn, Results, Read, Name, Read, Mobile, Read, Results, Mrn,
    Read, Name, Read, Register, Mrn, Read, Results, Mobile, Name, Read,
];

impl Request {
    fn text(self) -> &'static str {
        match self {
            Read => "read a patient by id",
            Mrn => "search by MRN",
            Mobile => "search by mobile",
            Name => "search by beginnings of names",
            Results => "a patient's latest 50 results",
            Register => "register a patient",
        }
    }

    /// Milliseconds that 95 of 100 may take.
    fn most(self) -> f64 {
        match self {
            Read => 10.0,
            Mrn | Mobile | Name => 50.0,
            Results => 20.0,
            Register => 40.0,
        }
    }
}

/// Somebody who asks.
struct Desk {
    rest: Arc<Rest>,
    tenant: TenantId,
    size: Size,
    /// Requests so far: whom each is about follows from its number.
    asked: AtomicU64,
}

/// What came of a run.
#[derive(Default)]
struct Run {
    waits: Vec<(Request, Duration)>,
    failed: u64,
    /// Most memory that the hub had, MB.
    memory: f64,
}

/// Fills the hub and measures.
///
/// # Errors
/// The disk has no room, the hub can't be filled, or it does not show what it was filled with.
pub(super) async fn scenario(subject: &Subject, size: Size) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |name: String, value: f64, unit: &'static str, most: Option<f64>| {
        let figure = Figure {
            name: format!("rest: {name}"),
            value,
            unit,
            target: most.map(|most| (most, false)),
        };
        eprintln!("{}", line(&figure));
        figures.push(figure);
    };
    size.fits(subject.data_folder())?;
    let ground = subject.ground()?;
    let took = seed::fill(&ground, size).await?;
    let mut connection = sqlx::PgConnection::connect(&ground.owner_url).await?;
    let bytes = seed::database_bytes(&mut connection).await?;
    connection.close().await?;
    let filled = format!(
        "{} patients, {} results",
        size.seed_patients, size.seed_results
    );
    add(
        format!("{filled}: written in"),
        took.as_secs_f64(),
        "s",
        None,
    );
    add(
        format!("{filled}: database"),
        bytes as f64 / 1e9,
        "GB",
        None,
    );

    let desk = Arc::new(Desk {
        rest: Arc::clone(&subject.rest),
        tenant: ground.tenant,
        size,
        asked: AtomicU64::new(0),
    });
    for kind in KINDS {
        desk.ask(kind)
            .await
            .with_context(|| format!("{} is not answered as it should be", kind.text()))?;
    }
    offer(&desk, subject, BEFORE, mixed).await?;
    let (mut failed, mut memory) = (0, 0.0_f64);
    for kind in KINDS {
        let run = offer(&desk, subject, ALONE, |_| kind).await?;
        let [p95, p99] = run.percentiles(kind);
        add(
            format!("{}, {RATE}/s: p95", kind.text()),
            p95,
            "ms",
            Some(kind.most()),
        );
        add(
            format!("{}, {RATE}/s: p99", kind.text()),
            p99,
            "ms",
            Some(LONGEST),
        );
        failed += run.failed;
        memory = memory.max(run.memory);
    }
    let run = offer(&desk, subject, TOGETHER, mixed).await?;
    for kind in KINDS {
        let [p95, p99] = run.percentiles(kind);
        add(
            format!("all at once, {}: p95", kind.text()),
            p95,
            "ms",
            Some(kind.most()),
        );
        add(
            format!("all at once, {}: p99", kind.text()),
            p99,
            "ms",
            Some(LONGEST),
        );
    }
    failed += run.failed;
    memory = memory.max(run.memory);
    add(
        "requests that failed".to_owned(),
        failed as f64,
        "",
        Some(0.0),
    );
    // adapters and workers are in the same process: the API alone has less
    add("memory of the hub".to_owned(), memory, "MB", Some(150.0));
    Ok(figures)
}

fn mixed(n: usize) -> Request {
    MIX[n % MIX.len()]
}

impl Run {
    /// Milliseconds within which 95 and 99 of 100 of a kind were answered.
    fn percentiles(&self, kind: Request) -> [f64; 2] {
        let mut waits: Vec<Duration> = self
            .waits
            .iter()
            .filter(|(of, _)| *of == kind)
            .map(|(_, wait)| *wait)
            .collect();
        [percentile(&mut waits, 95), percentile(&mut waits, 99)]
    }

    fn note(&mut self, (kind, wait, outcome): (Request, Duration, anyhow::Result<()>)) {
        match outcome {
            Ok(()) => self.waits.push((kind, wait)),
            Err(error) => {
                if self.failed == 0 {
                    eprintln!("{}: {error:#}", kind.text());
                }
                self.failed += 1;
            }
        }
    }
}

/// Asks at the rate, and waits for what is still to be answered.
async fn offer(
    desk: &Arc<Desk>,
    subject: &Subject,
    during: Duration,
    kind: impl Fn(usize) -> Request,
) -> anyhow::Result<Run> {
    let every = Duration::from_secs(1) / RATE;
    let count = during.as_millis() / every.as_millis();
    let begin = Instant::now() + every;
    let mut tasks = JoinSet::new();
    let mut run = Run::default();
    for n in 0..u32::try_from(count)? {
        let due = begin + every * n;
        tokio::time::sleep_until(due.into()).await;
        let (desk, kind) = (Arc::clone(desk), kind(n as usize));
        tasks.spawn(async move {
            let outcome = desk.ask(kind).await;
            (kind, due.elapsed(), outcome)
        });
        while let Some(done) = tasks.try_join_next() {
            run.note(done?);
        }
        if n.is_multiple_of(RATE) {
            run.memory = run.memory.max(subject.rss_mb());
        }
    }
    while let Some(done) = tasks.join_next().await {
        run.note(done?);
    }
    run.memory = run.memory.max(subject.rss_mb());
    Ok(run)
}

impl Desk {
    /// One request; its answer must be right.
    async fn ask(&self, kind: Request) -> anyhow::Result<()> {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        let person = Person::number(&self.tenant, scattered(n, self.size.seed_patients));
        let id = person.id.to_string();
        match kind {
            Read => {
                let answer = self.rest.get(&format!("patients/{id}")).await?;
                ensure!(answer["id"] == id.as_str(), "another patient is shown");
            }
            Mrn => {
                let value = &person.identifier.value;
                self.finds(&format!("mrn={value}"), &id).await?;
            }
            Mobile => {
                self.finds(&format!("mobile={}", person.mobile), &id)
                    .await?;
            }
            Name => {
                let given = person.given.get(..3).unwrap_or(person.given);
                let family = person.family.get(..2).unwrap_or(person.family);
                let words = if n.is_multiple_of(2) {
                    given.to_owned()
                } else {
                    format!("{given}%20{family}")
                };
                let answer = self.rest.get(&format!("patients?name={words}")).await?;
                ensure!(!items(&answer).is_empty(), "nobody of a name is found");
            }
            Results => {
                let report = scattered(n, self.size.reports());
                let patient = whose(report, self.size.seed_patients);
                let id = Person::number(&self.tenant, patient).id;
                let path = format!("patients/{id}/results?limit=50");
                let answer = self.rest.get(&path).await?;
                ensure!(
                    (1..=50).contains(&items(&answer).len()),
                    "a patient's results are not shown"
                );
            }
            Register => {
                let body = json!({
                    "facility": "DESK",
                    "demographics": {
                        "name": { "family": word(n), "given": ["Nandini"] }, "birth_date": "1991-04-12", "sex": "female",
                        "mobile": format!("+91 8{:09}", n % 1_000_000_000),
                    },
                });
                let answer = self.rest.post("patients", &body).await?;
                // accepted without an outcome is no answer
                ensure!(
                    answer["state"] == "applied",
                    "a patient is not registered in time"
                );
            }
        }
        Ok(())
    }

    /// One patient is found, and it is the right one.
    async fn finds(&self, condition: &str, id: &str) -> anyhow::Result<()> {
        let answer = self.rest.get(&format!("patients?{condition}")).await?;
        let found = items(&answer);
        ensure!(
            found.len() == 1 && found[0]["id"] == id,
            "{} patients are found by a number of one",
            found.len()
        );
        Ok(())
    }
}

fn items(answer: &Value) -> &[Value] {
    answer["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A family name that nobody else has: its letters count.
fn word(n: u64) -> String {
    let mut word = "Nov".to_owned();
    let mut rest = n;
    loop {
        word.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
        if rest == 0 {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_asked_when_they_are_asked_together_and_no_two_register_the_same_name() {
        for kind in KINDS {
            assert!((0..MIX.len()).any(|n| mixed(n) == kind), "{kind:?}");
        }
        let words: std::collections::HashSet<String> = (0..2_000).map(word).collect();
        assert_eq!(words.len(), 2_000);
    }
}
