//! Every file of the lab corpus, played through a real link as its instrument would, and what REST shows of it afterwards.
//! The table of outcomes is `tests/LAB_CORPUS.md` (`UPDATE_DOCS=1 cargo test -p tests lab_corpus`).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::{HubProcess, Rest, Servers, corpus, unique};

mod instruments;
mod orders;
mod outcome;
mod wire;

use instruments::{Instrument, Link, Wire};
use orders::Patients;
use outcome::{Outcome, Seen, Until};
use wire::{Heard, Line, Told};

/// A hub that has something to tell bids within its turnaround, and the worklist answers within a second.
const BIDS_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test]
async fn every_file_of_the_lab_corpus_ends_as_the_table_says() {
    let Some(corpus) = corpus::folder().map(|folder| folder.join("lab")) else {
        return;
    };
    let files = files(&corpus);
    assert!(
        files.len() >= 80,
        "{} files at {}",
        files.len(),
        corpus.display()
    );
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &instruments::settings(&servers)).await;
    let rest = hub.sign_in().await;
    let mut stand = Stand {
        hub: &hub,
        servers: &servers,
        rest: &rest,
        lines: HashMap::new(),
        seen: HashMap::new(),
    };

    // one after the other: a message that comes again, and a number that two instruments use, end the same every time
    let mut rows = Vec::new();
    for file in &files {
        let name = file
            .strip_prefix(&corpus)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let instrument = instruments::of(&name)
            .unwrap_or_else(|| panic!("{name}: say in instruments.rs what sends it"));
        let (bytes, repair) = instruments::repaired(&name, std::fs::read(file).unwrap());
        let (mut heard, mut outcome) = (Heard::default(), Outcome::default());
        // the next message is sent when the one before has had its effect: several of one file may be about one tube
        let pieces = match instrument.wire {
            Wire::Hl7 => wire::messages(&bytes),
            Wire::Astm | Wire::Au | Wire::Bare => vec![bytes],
        };
        for piece in &pieces {
            let (answered, became) = stand.play(&instrument, piece).await;
            heard.answers.extend(answered.answers);
            heard.told = answered.told.or(heard.told);
            assert!(
                !became.text().is_empty(),
                "{name}: acknowledged, and nothing is to be seen of it"
            );
            outcome.join(became);
        }
        println!("{name}: {}: {}", answers(&heard), outcome.text());
        let query = pieces.into_iter().find(|piece| asks(piece));
        rows.push((name, instrument, repair, heard, outcome, query));
    }
    let mut patients = Patients::new(hub.mllp("lab"));
    let mut page = String::from(HEAD);
    for (name, instrument, repair, heard, outcome, query) in &rows {
        let mut then = outcome.once_ordered(&rest, &mut patients).await;
        if let (Some(query), Some(number)) = (query, outcome.asked.first())
            && patients.order(&rest, number).await
        {
            let (heard, _) = stand.play(instrument, query).await;
            let told = heard.told.map_or("nothing".to_owned(), |told| said(&told));
            write!(then, "asks again, is told: {told}").unwrap();
        }
        row(&mut page, name, instrument, repair, heard, outcome, &then);
    }
    compare(&page);
}

/// The hub, and what is plugged in.
struct Stand<'a> {
    hub: &'a HubProcess,
    servers: &'a Servers,
    rest: &'a Rest,
    lines: HashMap<&'static str, Line>,
    seen: HashMap<&'static str, Seen>,
}

impl Stand<'_> {
    async fn play(&mut self, instrument: &Instrument, bytes: &[u8]) -> (Heard, Outcome) {
        let mut line = match self.lines.remove(instrument.id) {
            Some(line) => line,
            None if instrument.link == Link::Serial => {
                Line::serial(&instruments::port(self.servers, instrument))
            }
            None => Line::tcp(self.hub.mllp(instrument.id)).await,
        };
        let seen = self.seen.entry(instrument.id).or_default();
        let marker = unique("MARK");
        let (heard, until) = match instrument.wire {
            Wire::Astm => {
                let mut heard = wire::astm(&mut line, bytes).await;
                if asks(bytes) {
                    wire::listen(&mut line, &mut heard, BIDS_WITHIN).await;
                }
                wire::marker_astm(&mut line, &marker).await;
                (heard, Until::Marker(&marker))
            }
            Wire::Hl7 => {
                let heard = wire::hl7(&mut line, bytes).await;
                wire::marker_hl7(&mut line, &marker).await;
                (heard, Until::Marker(&marker))
            }
            Wire::Au => (wire::once(&mut line, bytes, true).await, Until::Messages(1)),
            Wire::Bare => (
                wire::once(&mut line, bytes, false).await,
                Until::Messages(1),
            ),
        };
        let outcome = Outcome::of(self.rest, instrument.id, until, seen).await;
        self.lines.insert(instrument.id, line);
        (heard, outcome)
    }
}

/// Whether a file holds a host query.
fn asks(bytes: &[u8]) -> bool {
    bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .any(|line| line.starts_with(b"Q|") || line.starts_with(b"QPD|"))
}

fn said(told: &Told) -> String {
    let orders = match told.orders {
        1 => "1 order".to_owned(),
        count => format!("{count} orders"),
    };
    format!("{orders}, `{}`", told.end.replace('|', "\\|"))
}

const HEAD: &str = "# What becomes of the files of the lab corpus

Written by `UPDATE_DOCS=1 cargo test -p tests lab_corpus` from the files of the corpus (`lab/`), which are not in this
repository. Each is played against the running program over its instrument's link (TCP, or a pseudo terminal for serial) as
the instrument would: frames that the capture lost are added, each answer is awaited. What became of it is read over REST.

*Unmatched*: on the worklist, with the reason, until an order for the tube comes or somebody claims it. *Held*: filed and
visible, waits for a mapping of its code or unit. The last column is after something was ordered on the tube. Where an
instrument has a pack the channel names it and says no more; what is still held there are codes that every site gives itself
(channel numbers, host codes, names of curves) and that an engineer maps once.

| File | Channel, link | Settings beside the defaults | Answered | Ends as | Once its tube is ordered |
|---|---|---|---|---|---|
";

fn row(
    page: &mut String,
    name: &str,
    instrument: &Instrument,
    repair: &str,
    heard: &Heard,
    outcome: &Outcome,
    then: &str,
) {
    let link = match instrument.link {
        Link::Tcp => "TCP",
        Link::Serial => "serial",
    };
    let pack = instrument.pack.map(|pack| format!("pack `{pack}`"));
    let said: Vec<&str> = [pack.as_deref().unwrap_or_default(), instrument.said, repair]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    writeln!(
        page,
        "| {name} | `{}`, {link} | {} | {} | {} | {then} |",
        instrument.id,
        said.join("; "),
        answers(heard),
        outcome.text().replace('|', "\\|"),
    )
    .unwrap();
}

/// Equal answers are counted.
fn answers(heard: &Heard) -> String {
    let mut text: Vec<(usize, &str)> = Vec::new();
    for answer in &heard.answers {
        match text.last_mut() {
            Some((count, last)) if *last == answer => *count += 1,
            _ => text.push((1, answer)),
        }
    }
    let mut words: Vec<String> = text
        .iter()
        .map(|(count, word)| {
            if *count == 1 {
                (*word).to_owned()
            } else {
                format!("{count} × {word}")
            }
        })
        .collect();
    let told = heard.told.as_ref().map(said);
    let told = told.map(|told| format!("then told: {told}"));
    words.extend(told);
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

fn compare(page: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/LAB_CORPUS.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    for (written, now) in committed.lines().zip(page.lines()) {
        assert_eq!(
            written, now,
            "{path} says otherwise; UPDATE_DOCS=1 writes it, look at the difference"
        );
    }
    assert_eq!(
        committed.len(),
        page.len(),
        "{path} has other rows; UPDATE_DOCS=1 writes it"
    );
}

/// Every file of the corpus, its own README apart, in the order of names.
fn files(corpus: &Path) -> Vec<PathBuf> {
    let mut files = corpus::files(corpus);
    files.retain(|path| path.file_name().is_some_and(|name| name != "README.md"));
    files
}
