//! Every public sample that speaks ASTM, played over a line and translated: what becomes of it stands in `PLAYED.md`
//! and, pinned to the last byte, in `tests/golden/corpus.tsv`. `UPDATE_GOLDEN=1` writes both anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use adapter_astm::settings::{Dialect, FieldPath, LinkSettings, Mark, Mode, Strictness};
use hub_core::translator::Translation;
use schemas::integration::TranslationOutcome;
use sha2::{Digest, Sha256};

use crate::bench::{Bench, ENQ, EOT, NAK};
use crate::corpus;
use crate::translating::{reports, translate_with};

/// How a file is played: what its instrument needs beyond the defaults.
struct How {
    link: LinkSettings,
    dialect: Dialect,
    /// What must be undone first: the logger's line ends (the corpus' own README says which).
    repair: fn(&[u8]) -> Vec<u8>,
    said: String,
}

fn path(text: &str) -> FieldPath {
    FieldPath::try_from(text.to_owned()).unwrap()
}

fn as_is(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn without_lf(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|b| *b != b'\n').collect()
}

fn lf_is_cr(bytes: &[u8]) -> Vec<u8> {
    let cr = |b: &u8| if *b == b'\n' { b'\r' } else { *b };
    bytes.iter().map(cr).collect()
}

fn how(name: &str) -> How {
    let mut how = How {
        link: LinkSettings::default(),
        dialect: Dialect::default(),
        repair: as_is,
        said: String::new(),
    };
    let d = &mut how.dialect;
    let said = if name.contains("/au_480") {
        how.link.mode = Mode::Au;
        "mode `au`"
    } else if name.contains("c_111") {
        how.repair = without_lf;
        // the logger lost bytes of one frame
        how.link.checksum = Some(Strictness::Warn);
        "logger's LF removed; `checksum = warn`"
    } else if name.contains("c_311") || name.contains("cobas") {
        if name.contains("c_311") {
            how.repair = without_lf;
        }
        d.code_endings = vec!["/".into()];
        d.silent_comments = vec!["0".into()];
        "Roche: code ending `/`, comment `0` says nothing"
    } else if name.contains("yumizen") {
        how.link.frame_number = Some(Strictness::Warn);
        "`frame_number = warn`: curves repeat number 1"
    } else if name.contains("h500.txt") && name.contains("lab_lis") {
        how.repair = lf_is_cr;
        "logger's LF made CR"
    } else if name.contains("mispa_nano") {
        how.repair = lf_is_cr;
        d.specimen = vec![path("O.4.1")];
        d.specimen_endings = vec!["/F".into()];
        d.test_code = vec![path("R.3.2"), path("R.3.1")];
        d.test_name = Vec::new();
        "Mispa Nano: specimen `O.4.1` without `/F`, code `R.3.2`; logger's LF made CR"
    } else if name.contains("xp_100") || name.contains("xn_330") || name.contains("sysmex") {
        d.specimen = vec![path("O.4.3")];
        "Sysmex: specimen `O.4.3`"
    } else if name.contains("architect-multi") {
        d.line_kind = Some(path("R.3.11"));
        d.side_kinds = vec!["P".into()];
        "ARCHITECT: line kind `R.3.11`, `P` is a side line"
    } else if name.contains("sampleigg") {
        d.specimen = vec![path("P.4")];
        d.patient = Vec::new();
        d.decimal_comma = true;
        "Euroimmun: specimen `P.4`, decimal comma"
    } else if name.contains("hema_580") {
        d.control.push(Mark {
            path: path("O.3.1"),
            is: Vec::new(),
            begins: vec!["Dil".into()],
        });
        "control: `O.3` begins with `Dil`"
    } else if name.contains("mini_vidas") || name.contains("spotchem") {
        how.link.mode = Mode::Bare;
        "mode `bare`; no E1394 records"
    } else {
        "defaults"
    };
    how.said = said.to_owned();
    how
}

/// Bytes as stored, and why they are no message.
type Kept = (Vec<u8>, Option<&'static str>);

/// Plays a file and gives back the stored units; records without frames are stored as they are.
fn play(how: &How, bytes: &[u8]) -> (Vec<Kept>, usize) {
    let bytes = (how.repair)(bytes);
    let framed = bytes.iter().any(|b| matches!(b, 2 | 5));
    if !framed {
        return (vec![(bytes, None)], 0);
    }
    let mut bench = Bench::new(&how.link);
    if how.link.mode == Mode::E1381 {
        bench.say(&[ENQ]);
    }
    let mut written = bench.say(&bytes);
    written.extend(bench.wait(100));
    let refused = written.iter().filter(|b| **b == NAK).count();
    if how.link.mode == Mode::E1381 {
        bench.say(&[EOT]);
    }
    bench.wait(60_000);
    bench.lost();
    let units = bench.stored.into_iter();
    let units = units.map(|u| (u.bytes.to_vec(), u.quarantine)).collect();
    (units, refused)
}

/// What became of a unit, for people.
fn ending(done: &Translation) -> String {
    if done.outcome == TranslationOutcome::Query {
        return "a query; nothing to file".to_owned();
    }
    if done.outcome != TranslationOutcome::Translated {
        let why = done.notes.last().cloned().unwrap_or_default();
        return format!("kept, nothing to file: {why}");
    }
    let reports = reports(done);
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    let (mut results, mut coded, mut filed, mut controls) = (0, 0, 0, 0);
    for report in &reports {
        controls += usize::from(report["specimen"]["role"] == "Q");
        for result in report["results"].as_array().unwrap() {
            results += 1;
            coded += usize::from(result["mapped"].is_object());
            match result["held"].as_str() {
                Some(reason) => *held.entry(reason.to_owned()).or_default() += 1,
                None => filed += 1,
            }
        }
    }
    let mut text = format!(
        "{} reports, {results} results, {coded} coded",
        reports.len()
    );
    if controls > 0 {
        write!(text, ", QC in {controls} reports").unwrap();
    }
    if filed > 0 {
        write!(text, ", {filed} filed").unwrap();
    }
    for (reason, count) in held {
        write!(text, ", {count} held `{reason}`").unwrap();
    }
    text
}

#[test]
fn every_public_sample_ends_as_the_page_says() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let mut page = String::from(
        "# What becomes of the public samples\n\n\
         Written by `UPDATE_GOLDEN=1 cargo test -p adapter-astm played` from the files of the corpus (`lab/`), which are not in\n\
         this repository. Framed files are played over a line, records without frames are translated as they are. Held\n\
         `no_patient` is the usual end of an analyzer's result: it names a specimen and no patient.\n\n\
         | File | Played with | Ends as |\n|---|---|---|\n",
    );
    let mut table =
        String::from("# file\tunit\tquarantine\toutcome\tunmapped\tnotes\tdigest of the events\n");
    for file in corpus::files(&folder.join("lab")) {
        let name = file
            .strip_prefix(&folder)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if !is_astm(&name) {
            continue;
        }
        let how = how(&name);
        let (units, refused) = play(&how, &fs::read(&file).unwrap());
        assert_eq!(refused, 0, "{name}: frames were refused");
        let mut ends = Vec::new();
        for (n, (bytes, quarantine)) in units.iter().enumerate() {
            let done = translate_with(how.link.mode, how.dialect.clone(), bytes);
            let (end, outcome, rest) = match &done {
                Ok(done) => (
                    ending(done),
                    done.outcome.as_str().to_owned(),
                    format!(
                        "{}\t{}\t{}",
                        done.unmapped.join(" "),
                        done.notes.len(),
                        digest(done)
                    ),
                ),
                Err(refused) => (
                    format!("refused `{}`", refused.refusal.code),
                    refused.refusal.code.to_owned(),
                    format!("\t{}\t", refused.notes.len()),
                ),
            };
            ends.push(quarantine.map_or(end, |q| format!("quarantined `{q}`")));
            writeln!(
                table,
                "{name}\t{}\t{}\t{outcome}\t{rest}",
                n + 1,
                quarantine.unwrap_or_default()
            )
            .unwrap();
        }
        assert!(!ends.is_empty(), "{name}: nothing was kept of it");
        let short = name.strip_prefix("lab/").unwrap();
        writeln!(page, "| {short} | {} | {} |", how.said, ends.join("; ")).unwrap();
    }
    let mut wrong = Vec::new();
    for (name, text) in [("PLAYED.md", &page), ("tests/golden/corpus.tsv", &table)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != *text {
            wrong.push(name);
        }
    }
    assert_eq!(
        wrong, [""; 0],
        "UPDATE_GOLDEN=1 writes them; look at the difference"
    );
}

fn is_astm(name: &str) -> bool {
    let folders = [
        "lab/senaite-astm/",
        "lab/go-astm/",
        "lab/senaite-lis2a/",
        "lab/ortho-vision/",
    ];
    folders.iter().any(|f| name.starts_with(f))
        || name == "lab/openelis/mindray-ba88a-result.txt"
        || (name.starts_with("lab/lab_lis/") && !name.contains("snibe"))
        || name.ends_with(".astm")
}

fn digest(done: &Translation) -> String {
    let mut hash = Sha256::new();
    for event in &done.events {
        hash.update(event.name);
        hash.update([0]);
        hash.update(&event.aggregate);
        hash.update([0]);
        hash.update(&event.body);
    }
    let digest = hash.finalize();
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}
