//! What comes of every fixture and every public sample, pinned so that each change is seen.
//!
//! Fixtures: the whole translation as JSON under `tests/golden/`. Corpus: one line a file in `tests/golden/corpus.tsv`,
//! because the files themselves must not be copied here. `UPDATE_GOLDEN=1` writes both anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hub_core::translator::{Refused, Translation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;

use crate::corpus;
use crate::translating::{bodies, body, repository, translate};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Compares with the committed text, or writes it.
fn check(name: &str, found: &str) -> Result<(), String> {
    let path = golden(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    let line = expected
        .lines()
        .zip(found.lines())
        .position(|(e, f)| e != f)
        .unwrap_or_else(|| expected.lines().count().min(found.lines().count()));
    Err(format!(
        "{name} line {}:\n  was {}\n  now {}",
        line + 1,
        expected.lines().nth(line).unwrap_or("(end)"),
        found.lines().nth(line).unwrap_or("(end)")
    ))
}

fn as_json(done: &Result<Translation, Box<Refused>>) -> Value {
    match done {
        Ok(translation) => json!({
            "outcome": translation.outcome,
            "keys": translation.keys,
            "events": translation.events.iter().map(|event| json!({
                "name": event.name,
                "aggregate": event.aggregate,
                "occurred_at": event.occurred_at.map(|at| at.format(&Rfc3339).unwrap()),
                "body": body(event),
            })).collect::<Vec<_>>(),
            "attachments": translation.attachments.iter()
                .map(|(sha256, bytes)| json!({"sha256": sha256, "bytes": bytes.len()}))
                .collect::<Vec<_>>(),
            "unmapped": translation.unmapped,
            "notes": translation.notes,
        }),
        Err(refused) => json!({
            "refused": refused.refusal.code,
            "keys": refused.keys,
            "notes": refused.notes,
        }),
    }
}

#[test]
fn every_fixture_becomes_the_events_on_file() {
    let folder = repository().join("fixtures/hl7v2");
    let mut wrong = Vec::new();
    for path in corpus::files(&folder) {
        if path.extension().is_none_or(|e| e != "hl7") {
            continue;
        }
        let done = translate(&fs::read(&path).unwrap());
        let text = serde_json::to_string_pretty(&as_json(&done)).unwrap() + "\n";
        let name = path.file_stem().unwrap().to_string_lossy();
        if let Err(difference) = check(&format!("{name}.json"), &text) {
            wrong.push(difference);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_attachment_is_named_by_its_digest() {
    let path = repository().join("fixtures/hl7v2/240-oru-r01-pdf-report.hl7");
    let done = translate(&fs::read(path).unwrap()).unwrap();
    let [(digest, bytes)] = done.attachments.as_slice() else {
        panic!("one attachment");
    };
    assert!(bytes.starts_with(b"%PDF-"));
    assert_eq!(*digest, hex(bytes));
    let (_, report) = &bodies(&done)[1];
    assert_eq!(
        report["results"][0]["value"]["attachment"]["sha256"],
        *digest
    );
}

#[test]
fn every_public_sample_becomes_what_the_summary_says() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let mut table = String::from(
        "# file\toutcome\tevents\tresults\theld\tattachments\tunmapped\tnotes\tdigest of the events\n",
    );
    for path in corpus::files(&folder) {
        let name = path
            .strip_prefix(&folder)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let hl7 = name.starts_with("hl7v2/") || name.starts_with("lab/");
        // MLLP bytes are the frame reader's business.
        let bytes: Vec<u8> = fs::read(&path)
            .unwrap()
            .into_iter()
            .filter(|b| !matches!(b, 0x0B | 0x1C))
            .collect();
        if !hl7 || !is_hl7(&name, &bytes) {
            continue;
        }
        writeln!(table, "{name}\t{}", summary(&translate(&bytes))).unwrap();
    }
    check("corpus.tsv", &table).unwrap();
}

/// Files that hold HL7 messages: the rest of the corpus is other protocols and expectations.
fn is_hl7(name: &str, bytes: &[u8]) -> bool {
    let lists = [
        ".json", ".tsv", ".md", ".gz", ".fhir", ".xml", ".astm", ".tra",
    ];
    let synthetic = name.starts_with("hl7v2/synthetic/");
    let start: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|b| *b > b' ' && b.is_ascii())
        .take(3)
        .collect();
    !lists.iter().any(|end| name.ends_with(end))
        && (synthetic
            || [b"MSH", b"FHS", b"BHS"]
                .iter()
                .any(|id| start == id.as_slice()))
}

fn summary(done: &Result<Translation, Box<Refused>>) -> String {
    let translation = match done {
        Ok(translation) => translation,
        Err(refused) => {
            return format!(
                "{}\t\t0\t0\t0\t0\t{}\t-",
                refused.refusal.code,
                refused.notes.len()
            );
        }
    };
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut results, mut held) = (0, 0);
    let mut digest = Sha256::new();
    for event in &translation.events {
        *names.entry(event.name).or_default() += 1;
        digest.update(event.name);
        digest.update(&event.aggregate);
        digest.update(&event.body);
        if let Some(list) = body(event)["results"].as_array() {
            results += list.len();
            held += list.iter().filter(|r| !r["held"].is_null()).count();
        }
    }
    let names: Vec<String> = names
        .iter()
        .map(|(name, n)| format!("{name}:{n}"))
        .collect();
    format!(
        "{}\t{}\t{results}\t{held}\t{}\t{}\t{}\t{:.16}",
        translation.outcome.as_str(),
        names.join(" "),
        translation.attachments.len(),
        translation.unmapped.len(),
        translation.notes.len(),
        hex_of(&digest.finalize())
    )
}

fn hex(bytes: &[u8]) -> String {
    hex_of(&Sha256::digest(bytes))
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
