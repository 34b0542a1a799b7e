//! Our reading of 1,402 public messages against the leaves on which HAPI 2.3 and python-hl7 0.4.5 agree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;

use adapter_hl7v2::{Formatting, Message, batch, charset};

use crate::corpus;

/// Messages where our reading differs on purpose, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("linuxforhealth/sample_unix.hl7#1", DOUBLED_ESCAPE),
    ("linuxforhealth/sample_win.hl7#1", DOUBLED_ESCAPE),
];

/// MSH-2 is `^~\\&`. HAPI takes the second backslash for the subcomponent separator and cuts the literal `VOMITING\r` of the
/// file in two; to us the escape character was doubled by mistake, and a lone backslash is text.
const DOUBLED_ESCAPE: &str = "doubled escape character in MSH-2";

#[test]
fn our_leaves_agree_with_the_golden_ones() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let folder = folder.join("hl7v2");
    let packed = std::fs::File::open(folder.join("golden/leaves.jsonl.gz")).unwrap();
    let mut lines = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut lines)
        .unwrap();

    let mut agree = 0;
    let mut total = 0;
    let mut excepted = Vec::new();
    let mut differ = String::new();
    let mut leaves = 0;
    for line in lines.lines() {
        let golden: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = golden["id"].as_str().unwrap();
        let (file, n) = id.rsplit_once('#').unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        total += 1;
        let expected: BTreeMap<String, String> = golden["leaves"]
            .as_array()
            .unwrap()
            .iter()
            .map(|leaf| {
                (
                    leaf[0].as_str().unwrap().to_owned(),
                    leaf[1].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        leaves += expected.len();
        match compare(&bytes, n.parse().unwrap(), &expected) {
            None => agree += 1,
            Some(_) if EXCEPTIONS.iter().any(|(known, _)| *known == id) => {
                excepted.push(id.to_owned());
            }
            Some(difference) => writeln!(differ, "{id}: {difference}").unwrap(),
        }
    }
    println!(
        "golden leaves: {agree} of {total} messages agree ({leaves} leaves), {} excepted",
        excepted.len()
    );
    assert!(differ.is_empty(), "{differ}");
    assert_eq!(total, 1402);
    let stale: Vec<_> = EXCEPTIONS
        .iter()
        .filter(|(id, _)| !excepted.iter().any(|e| e == id))
        .collect();
    assert!(stale.is_empty(), "no exceptions any more: {stale:?}");
}

/// The first difference between our reading of the `n`th message of a file and the expected leaves.
fn compare(bytes: &[u8], n: usize, expected: &BTreeMap<String, String>) -> Option<String> {
    let batch = batch::split(bytes);
    let Some(part) = batch.messages.get(n - 1) else {
        return Some(format!("only {} messages", batch.messages.len()));
    };
    let decoded = charset::decode(&bytes[part.clone()], None);
    let message = match Message::parse(decoded.text) {
        Ok(message) => message,
        Err(error) => return Some(error.to_string()),
    };
    let found = leaves(&message);
    let differs = |path: &&String| found.get(*path) != expected.get(*path);
    let path = expected.keys().chain(found.keys()).find(differs)?;
    Some(format!(
        "{path}: ours {:?}, golden {:?} {:?}",
        found.get(path),
        expected.get(path),
        message.notes()
    ))
}

/// Every non-empty leaf but the delimiters, in the form of the golden file.
fn leaves(message: &Message) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for segment in message.segments() {
        let k = seen.entry(segment.id()).or_default();
        *k += 1;
        for (f, field) in segment.fields().enumerate() {
            if segment.id() == "MSH" && f < 2 {
                continue;
            }
            for (r, repetition) in field.repetitions().enumerate() {
                for (c, component) in repetition.components().enumerate() {
                    for (s, leaf) in component.subcomponents().enumerate() {
                        if !leaf.is_empty() {
                            found.insert(
                                format!(
                                    "{}[{k}]-{}[{}].{}.{}",
                                    segment.id(),
                                    f + 1,
                                    r + 1,
                                    c + 1,
                                    s + 1
                                ),
                                leaf.text_with(Formatting::Verbatim).into_owned(),
                            );
                        }
                    }
                }
            }
        }
    }
    found
}
