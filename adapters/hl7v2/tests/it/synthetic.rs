//! The files made for the odd cases, against what the corpus expects of each (`synthetic/expected.json`).

use std::fmt::Write as _;
use std::path::Path;

use adapter_hl7v2::batch::{self, BatchNote};
use adapter_hl7v2::charset::{self, CharsetNote};
use adapter_hl7v2::dtm::{self, Precision, Reading};
use adapter_hl7v2::message::Oddity;
use adapter_hl7v2::{Charset, Message, ParseError, SeparatorError};
use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{corpus, roundtrip};

/// Everything that came out of one file.
struct Found {
    decoded: Vec<(Charset, Vec<CharsetNote>)>,
    messages: Vec<Result<Message, ParseError>>,
    batch: batch::Batch,
}

impl Found {
    fn read(file: &Path, configured: Option<Charset>) -> Self {
        let bytes = std::fs::read(file).unwrap();
        let mut found = Self {
            decoded: Vec::new(),
            messages: Vec::new(),
            batch: batch::split(&bytes),
        };
        if found.batch.enveloped && found.batch.messages.is_empty() {
            return found;
        }
        for part in roundtrip::messages(&bytes) {
            let decoded = charset::decode(&part, configured);
            found.messages.push(Message::parse(decoded.text.as_ref()));
            found.decoded.push((decoded.charset, decoded.notes));
        }
        found
    }

    fn first(&self) -> &Message {
        self.messages[0].as_ref().unwrap()
    }

    fn text(&self, path: &str) -> String {
        self.first().path(path).unwrap().text().into_owned()
    }

    fn has(&self, oddity: Oddity) -> bool {
        self.first().notes().iter().any(|n| n.oddity == oddity)
    }
}

#[test]
fn every_synthetic_file_reads_as_expected() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let folder = folder.join("hl7v2/synthetic");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let mut wrong = String::new();
    let files = expected.as_object().unwrap();
    for (name, expected) in files {
        let configured = name
            .contains("sjis")
            .then(|| Charset::named("Shift_JIS").unwrap());
        let found = Found::read(&folder.join(name), configured);
        for complaint in check(name, expected, &found) {
            writeln!(wrong, "{name}: {complaint}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("synthetic: {} files read as expected", files.len());
}

fn check(name: &str, expected: &Value, found: &Found) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            wrong.push(format!("{what}: ours {ours:?}, expected {theirs:?}"));
        }
    };
    if let Some(count) = expected["segments"].as_u64() {
        same(
            "segments",
            found.first().segments().len().to_string(),
            count.to_string(),
        );
    }
    if let Some(count) = expected["messages"].as_u64() {
        same(
            "messages",
            found.messages.len().to_string(),
            count.to_string(),
        );
    }
    if let Some(count) = expected["batches"].as_u64() {
        same(
            "batches",
            found.batch.batches.to_string(),
            count.to_string(),
        );
    }
    if let Some(charset) = expected["charset"]
        .as_str()
        .filter(|c| !c.starts_with("not UTF-8"))
    {
        let name = charset.split(" by ").next().unwrap();
        same(
            "charset",
            found.decoded[0].0.name().to_owned(),
            name.to_owned(),
        );
        same(
            "charset notes",
            format!("{:?}", found.decoded[0].1),
            "[]".to_owned(),
        );
    }
    for (path, value) in expected["values"].as_object().into_iter().flatten() {
        let (path, prefix) = path
            .strip_suffix(" starts with")
            .map_or((path.as_str(), false), |p| (p, true));
        let read = found.first().path(path);
        let Some(read) = read else {
            same(path, "no segment".to_owned(), value.to_string());
            continue;
        };
        match value {
            Value::String(text) if prefix => {
                let ours = read.text();
                same(
                    path,
                    ours.chars().take(text.chars().count()).collect(),
                    text.clone(),
                );
            }
            Value::String(text) => same(path, read.text().into_owned(), text.clone()),
            other if other["hl7null"] == true => {
                same(path, read.is_null().to_string(), "true".to_owned());
            }
            other => {
                assert_eq!(
                    other["empty"], true,
                    "{name}: a form of expectation nobody reads"
                );
                same(path, read.is_empty().to_string(), "true".to_owned());
            }
        }
    }
    if let Some(digest) = expected["attachment_sha256"].as_str() {
        let bytes = attachment(found);
        same(
            "attachment",
            hex(&Sha256::digest(&bytes)),
            digest.to_owned(),
        );
    }
    if !in_words(name, found) {
        wrong.push("not what is expected in words".to_owned());
    }
    wrong
}

/// The expectations that are sentences.
fn in_words(name: &str, found: &Found) -> bool {
    let notes = &found.batch.notes;
    let charset_notes = found.decoded.first().map_or(&[][..], |(_, notes)| notes);
    match name {
        "charset-undeclared-windows1252.hl7" => charset_notes == [CharsetNote::Guessed],
        "charset-declared-utf8-but-latin1.hl7" => {
            matches!(charset_notes, [CharsetNote::NotAsDeclared { declared, .. }] if *declared == Charset::UTF_8)
                && !found.first().as_str().contains('\u{FFFD}')
        }
        "charset-unknown-name.hl7" => matches!(charset_notes, [CharsetNote::UnknownName(_)]),
        "escapes-charset-switch.hl7" => found.text("NTE-3") == "\\C2842\\ \\M1B2442\\",
        "separators-duplicate.hl7" => {
            found.messages == [Err(ParseError::Separators(SeparatorError::Duplicate(b'^')))]
        }
        "msh-truncated.hl7" => {
            found.messages == [Err(ParseError::Separators(SeparatorError::Truncated))]
        }
        "lines-raw-newline-in-obx5.hl7" => {
            found.text("OBX-5") == "first line\nsecond line\nthird line"
                && found.text("OBX[2]-5") == "next"
        }
        "lines-continuation-no-segment-id.hl7" => {
            found.text("NTE-3") == "first part\nthis line has no segment id"
                && found.text("NTE[2]-3") == "last"
                && found.has(Oddity::Continuation)
        }
        "lines-indented-segments.hl7" => found.has(Oddity::Indented),
        "segment-ids-odd.hl7" => {
            found.has(Oddity::SegmentId)
                && [("Z1-1", "a"), ("pv2-1", "b"), ("ZLONG-1", "c")]
                    .iter()
                    .all(|(path, text)| found.text(path) == *text)
        }
        "batch-wrong-count.hl7" => matches!(
            notes.as_slice(),
            [BatchNote::MessageCount {
                declared: 5,
                found: 2,
                ..
            }]
        ),
        "batch-no-trailer.hl7" => {
            notes.as_slice()
                == [
                    BatchNote::NoBatchTrailer { batch: 1 },
                    BatchNote::NoFileTrailer,
                ]
        }
        "batch-one-bad-message.hl7" => {
            matches!(found.messages.as_slice(), [Ok(_), Err(_), Ok(_)]) && notes.is_empty()
        }
        "batch-mixed-separators.hl7" => found.messages.iter().all(Result::is_ok),
        "merge-a40-two-pairs.hl7" => {
            let order: Vec<_> = found.first().segments().map(|s| s.id()).collect();
            order == ["MSH", "EVN", "PID", "MRG", "PID", "MRG"]
        }
        _ => {
            // Only text that is no frame and no UTF-16 can be split as it is.
            let text = name.starts_with("batch");
            found.messages.iter().all(Result::is_ok) && (!text || notes.is_empty())
        }
    }
}

/// OBX-5 of type ED: the bytes behind component 5, encoded as component 4 says.
fn attachment(found: &Found) -> Vec<u8> {
    let field = found.first().path("OBX-5").unwrap();
    let mut data = field.component(5).text().into_owned();
    data.retain(|c| !c.is_whitespace());
    if field.component(4).raw() == "Hex" {
        return data
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
    }
    base64::prelude::BASE64_STANDARD.decode(data).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_time_stamp_of_the_table_reads_as_expected() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let table = std::fs::read_to_string(folder.join("hl7v2/synthetic/timestamps.tsv")).unwrap();
    let mut checked = 0;
    for (input, rule) in table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
    {
        let read = dtm::read(input);
        let known = read.ok().and_then(Reading::known);
        let iso = known.map(|dtm| dtm.iso(330));
        let lenient = known.is_some_and(|dtm| dtm.lenient());
        let right = if rule.starts_with("20") {
            iso.as_deref() == Some(rule)
        } else if rule.starts_with("hour only") {
            iso.as_deref() == Some("2026-02-15")
                && known.map(|d| d.precision()) == Some(Precision::Hour)
        } else if rule.starts_with("needs a default zone") {
            iso.as_deref() == Some("2026-02-15T09:30:45+05:30")
        } else if rule.starts_with("2.3-2.8 allow 4 digits") {
            iso.as_deref() == Some("2026-02-15T09:30:45.123456+05:30") && lenient
        } else if rule.starts_with("zone without minutes") {
            iso.as_deref() == Some("2026-02-15T09:30:45+05:00") && lenient
        } else if rule.starts_with("leap second") {
            iso.as_deref() == Some("2026-02-15T09:30:59+05:30") && lenient
        } else if rule.starts_with("invalid") {
            read.is_err()
        } else if rule.contains("absent") {
            read == Ok(Reading::Absent)
        } else if rule.contains("null") {
            read == Ok(Reading::Null)
        } else if rule.contains("lenient") {
            lenient
        } else {
            rule.starts_with("accept") && known.is_some()
        };
        assert!(right, "{input}: {rule}, but {read:?} {iso:?}");
        checked += 1;
    }
    assert!(checked >= 22, "{checked}");
}
