//! Instrument packs, from outside: what is listed, what the samples of the public corpus become under each, what a channel
//! that names one is told; `simulated` and `asked` play instruments against a hub, `refused` is what must not pass for good.
//!
//! `UPDATE_GOLDEN=1` writes `tests/golden/packs.txt` (with the corpus), `UPDATE_DOCS=1` the tables in mappings/analyzers/README.md.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::{corpus, hub_binary};

mod asked;
mod refused;
mod simulated;

/// The instruments that a laboratory in India is likely to have: every pack of ours, so that none goes unseen.
const EXPECTED: [&str; 26] = [
    "abbott-alinity",
    "abbott-architect",
    "agappe-mispa",
    "beckman-access",
    "beckman-au",
    "biorad-d10",
    "biosystems-ba400",
    "erba-elite",
    "erba-em",
    "erba-h360",
    "horiba-yumizen",
    "mindray-bc",
    "mindray-bs",
    "mindray-bs-astm",
    "ortho-vision",
    "ortho-vitros",
    "radiometer-abl",
    "radiometer-abl9",
    "roche-c111",
    "roche-c311",
    "roche-e411",
    "siemens-atellica",
    "siemens-dimension",
    "snibe-maglumi",
    "sysmex-xn",
    "sysmex-xp",
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a command that needs no server, with the project's mappings.
fn hub(arguments: &[&str]) -> Output {
    Command::new(hub_binary())
        .args(arguments)
        .env("HUB_MAPPINGS", project().join("mappings"))
        .env_remove("HUB_CONFIG")
        .output()
        .unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn packs() -> Vec<Value> {
    let output = hub(&["packs", "--json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    json_of(&output).as_array().unwrap().clone()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

fn try_pack(pack: &str, file: &Path, more: &[&str]) -> (bool, Value) {
    let file = file.to_str().unwrap();
    let output = hub(&[&["try", "--json", "--pack", pack, file], more].concat());
    (output.status.success(), json_of(&output))
}

/// Compares a text with a file, or writes it.
fn committed(path: &Path, now: &str, variable: &str) {
    if std::env::var_os(variable).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, now).unwrap();
    }
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let differs = before.lines().zip(now.lines()).find(|(a, b)| a != b);
    assert!(
        before == *now,
        "{} is not what the program says; {variable}=1 writes it, look at the difference: {differs:?}",
        path.display()
    );
}

#[test]
fn every_pack_is_listed_with_what_proves_it_and_the_page_says_the_same() {
    let packs = packs();
    let names: Vec<&str> = packs.iter().map(|pack| text(pack, "name")).collect();
    assert_eq!(names, EXPECTED);
    let mut table =
        String::from("| Pack | Instruments | Kind | What proves it |\n|---|---|---|---|\n");
    for pack in &packs {
        let proofs = pack["proved_by"].as_array().unwrap();
        let real = proofs.iter().filter(|proof| proof["sample"] != "synthetic");
        let files: Vec<String> = real
            .map(|proof| format!("`{}`", text(proof, "file")))
            .collect();
        let what: Vec<&str> = pack["proven"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_str().unwrap())
            .collect();
        let proof = match (files.is_empty(), what.contains(&"results")) {
            (true, _) => format!("**{}**", text(pack, "standing")),
            (false, true) => format!("{}: {}", what.join(", "), files.join(", ")),
            (false, false) => format!(
                "{} only, results **unproven**: {}",
                what.join(", "),
                files.join(", ")
            ),
        };
        writeln!(
            table,
            "| `{}` | {} | {} | {proof} |",
            text(pack, "name"),
            text(pack, "title"),
            text(pack, "kind")
        )
        .unwrap();
    }
    let path = project().join("mappings/analyzers/README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        "<!-- packs: written by a test -->\n",
        "<!-- end of packs -->",
    );
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    committed(
        &path,
        &format!("{before}{begin}{table}{end}{after}"),
        "UPDATE_DOCS",
    );
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    for name in names {
        assert!(
            readme.contains(&format!("`{name}`")),
            "README.md names {name}"
        );
    }
}

#[test]
fn each_sample_that_a_pack_names_becomes_what_is_committed() {
    let Some(corpus) = corpus::folder() else {
        return;
    };
    let mut page = String::from(
        "# What the samples of the public corpus become under the packs that name them (hub try --pack … --json).\n\
         # Written by UPDATE_GOLDEN=1 cargo test -p tests --test it packs. The digest is of everything that try says.\n",
    );
    for pack in packs() {
        let name = text(&pack, "name");
        for proof in pack["proved_by"].as_array().unwrap() {
            let file = text(proof, "file");
            let repair: &[&str] = if proof["repair"] == true {
                &["--repair"]
            } else {
                &[]
            };
            let (good, tried) = try_pack(name, &corpus.join(file), repair);
            writeln!(page, "\n{name}  {file}").unwrap();
            page.push_str(&summary(good, &tried));
            if proof["sample"] != "synthetic" {
                for what in proof["proves"].as_array().unwrap() {
                    let what = what.as_str().unwrap();
                    assert!(shows(&tried, what), "{file} shows no {what}: {tried:#}");
                }
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/packs.txt");
    committed(&path, &page, "UPDATE_GOLDEN");
}

/// Whether a file shows what it is named for.
fn shows(tried: &Value, what: &str) -> bool {
    let messages = tried["messages"].as_array().unwrap();
    let reports = || {
        messages
            .iter()
            .flat_map(|message| message["reports"].as_array().unwrap())
    };
    let has_results = |report: &&Value| !report["results"].as_array().unwrap().is_empty();
    match what {
        "results" => reports()
            .filter(has_results)
            .any(|report| report["apart"].is_null()),
        "control" => reports()
            .filter(has_results)
            .any(|report| report["apart"] == "control"),
        // it asks, for a tube that it names, and nothing is filed
        "query" => {
            let asks = |message: &Value| {
                let kind = message["kind"].as_str().unwrap_or_default();
                (kind == "ASTM Q" || kind.starts_with("QBP") || kind.starts_with("QRY"))
                    && message["specimen"].is_string()
            };
            messages.iter().any(asks) && reports().next().is_none()
        }
        other => panic!("nobody knows what shows `{other}`"),
    }
}

#[test]
fn a_keep_alive_shows_no_query() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keep-alive");
    let header = "H|\\^&|||OCD^VISION^5.13.1.46935^SIM|||||||P|LIS2-A|20260101120000\r";
    std::fs::write(&file, format!("{header}L|1\r")).unwrap();
    assert!(!shows(&try_pack("ortho-vision", &file, &[]).1, "query"));
    std::fs::write(&file, format!("{header}Q|1|^T1||||||||||O\rL|1\r")).unwrap();
    assert!(shows(&try_pack("ortho-vision", &file, &[]).1, "query"));
}

/// What became of a file, without its values.
fn summary(good: bool, tried: &Value) -> String {
    let mut page = String::new();
    let list = |value: &Value| value.as_array().unwrap().clone();
    for note in list(&tried["notes"]) {
        writeln!(page, "  note: {}", note.as_str().unwrap()).unwrap();
    }
    let line: Vec<String> = list(&tried["line"])
        .iter()
        .map(|said| {
            // of an acknowledgement only what it says, not to which number
            let what: Vec<&str> = text(said, "what").split('|').take(2).collect();
            format!("{} × {}", what.join(" "), said["times"])
        })
        .collect();
    let mut runs: Vec<(String, usize)> = Vec::new();
    for said in line {
        match runs.last_mut() {
            Some((last, times)) if *last == said => *times += 1,
            _ => runs.push((said, 1)),
        }
    }
    let runs: Vec<String> = runs
        .iter()
        .map(|(said, times)| {
            if *times == 1 {
                said.clone()
            } else {
                format!("({said}) {times} times")
            }
        })
        .collect();
    writeln!(
        page,
        "  exit {}; written: {}",
        i32::from(!good),
        runs.join(", ")
    )
    .unwrap();
    let mut codes: Vec<String> = Vec::new();
    let mut outcomes: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let (mut apart, mut named) = (0, 0);
    for message in list(&tried["messages"]) {
        let reason = message["reason"]
            .as_str()
            .and_then(|r| r.split(':').next())
            .unwrap_or_default();
        *outcomes
            .entry(
                format!("{} {reason}", text(&message, "outcome"))
                    .trim()
                    .to_owned(),
            )
            .or_default() += 1;
        for report in list(&message["reports"]) {
            apart += usize::from(report["apart"].is_string());
            named += usize::from(report["patient"].is_string());
            for result in list(&report["results"]) {
                let meaning = match (result["loinc"].as_str(), result["held"].as_str()) {
                    (Some(loinc), _) => format!(
                        "{loinc}{}{}",
                        result["ucum"]
                            .as_str()
                            .map(|u| format!(" {u}"))
                            .unwrap_or_default(),
                        result["factor"]
                            .as_str()
                            .map(|f| format!(" × {f}"))
                            .unwrap_or_default()
                    ),
                    (None, Some(held)) => held.to_owned(),
                    (None, None) => "no code needed".to_owned(),
                };
                let said = format!("{} → {meaning}", text(&result, "code"));
                if !codes.contains(&said) {
                    codes.push(said);
                }
            }
        }
    }
    let outcomes: Vec<String> = outcomes
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    let held: Vec<String> = tried["held"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(why, count)| format!("{count} {why}"))
        .collect();
    writeln!(
        page,
        "  messages: {}; reports of controls or calibrations: {apart}, with a patient: {named}",
        outcomes.join(", ")
    )
    .unwrap();
    writeln!(
        page,
        "  {} results, {} with LOINC; held: {}; refused: {}",
        tried["results"],
        tried["coded"],
        held.join(", "),
        tried["refused"]
    )
    .unwrap();
    for said in codes {
        writeln!(page, "    {said}").unwrap();
    }
    let everything = tried["messages"].to_string();
    writeln!(
        page,
        "  digest {}",
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, everything.as_bytes())
    )
    .unwrap();
    page
}

#[test]
fn what_each_pack_would_play_is_understood_by_the_pack_itself() {
    let folder = tempfile::tempdir().unwrap();
    for pack in packs() {
        let name = text(&pack, "name");
        let whole = json_of(&hub(&["packs", name, "--json"]));
        let Some(samples) = whole["samples"].as_object() else {
            panic!("{name}")
        };
        for (kind, flag) in [
            ("results", None),
            ("control", Some("--qc")),
            ("query", Some("--ask")),
        ] {
            if samples.get(kind).is_none_or(Value::is_null) {
                continue;
            }
            let arguments = [
                "simulate",
                name,
                "--print",
                "--specimen",
                "T4711",
                "--patient",
                "MRN4711",
            ];
            let output = hub(&[&arguments[..], flag.as_slice()].concat());
            assert!(
                output.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let file = folder.path().join(format!("{name}.{kind}"));
            std::fs::write(&file, &output.stdout).unwrap();
            let (good, tried) = try_pack(name, &file, &[]);
            assert!(good, "{name} {kind}: {tried:#}");
            let message = &tried["messages"][0];
            let report = &message["reports"][0];
            match kind {
                "query" => {
                    assert!(
                        report.is_null(),
                        "{name}: a question is no result: {tried:#}"
                    );
                    assert_eq!(message["specimen"], "T4711", "{name}: {tried:#}");
                    continue;
                }
                "control" => assert_eq!(report["apart"], "control", "{name}: {tried:#}"),
                _ => assert!(report["apart"].is_null(), "{name}: {tried:#}"),
            }
            let number = report["specimen"].as_str();
            // blood gas analyzers send the patient and no tube
            // a lot of control material is followed by its level
            let tube = number.is_some_and(|n| n.ends_with("T4711") || n.starts_with("T4711/"));
            assert!(
                tube || (name == "radiometer-abl" && number.is_none()),
                "{name} {kind}: {tried:#}"
            );
            // what the pack says it knows is known
            let codes = whole["codes"].as_object().unwrap();
            for result in report["results"].as_array().unwrap() {
                let known = codes.contains_key(text(result, "code"));
                let unit = result["held"] == "unknown_unit" && name == "siemens-atellica";
                assert!(
                    !known || result["loinc"].is_string() || unit,
                    "{name}: {result:#}"
                );
            }
        }
    }
}

#[test]
fn a_damaged_capture_is_shown_as_refused_and_repaired_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    let frame = |text: &str| {
        let summed = format!("1{text}\u{3}");
        let sum: u32 = summed.bytes().map(u32::from).sum();
        format!("\u{5}\u{2}{summed}{:02X}\r\n\u{4}", sum % 256)
    };
    let whole = frame(
        "H|\\^&|||XP-300\rP|1\rO|1||^^  T1^B|^^^^WBC\rR|1|^^^^WBC^1| 7.4|10*3/uL||N\rL|1|N\r",
    );
    std::fs::write(&file, &whole).unwrap();
    let (good, tried) = try_pack("sysmex-xp", &file, &[]);
    assert!(good, "{tried:#}");
    assert_eq!(
        tried["messages"][0]["reports"][0]["results"][0]["loinc"],
        "6690-2"
    );

    std::fs::write(&file, whole.replace("7.4", "7.5")).unwrap();
    let (good, tried) = try_pack("sysmex-xp", &file, &[]);
    assert!(!good, "a wrong checksum is refused: {tried:#}");
    assert!(
        tried["line"]
            .as_array()
            .unwrap()
            .iter()
            .any(|said| said["what"] == "NAK")
    );

    // a logger in text mode, and one that writes words
    let logged = whole.replace("\r\n", "\r\r\n").replace("P|1\r", "P|1\r\n");
    std::fs::write(&file, logged).unwrap();
    assert!(!try_pack("sysmex-xp", &file, &[]).0);
    assert!(try_pack("sysmex-xp", &file, &["--repair"]).0);
    let words = [
        ("\u{5}", "<ENQ>"),
        ("\u{2}", "<STX>"),
        ("\u{3}", "<ETX>"),
        ("\u{4}", "<EOT>"),
        ("\r", "<CR>"),
        ("\n", "<LF>\n"),
    ];
    let spelled = words
        .iter()
        .fold(whole, |text, (byte, word)| text.replace(byte, word));
    std::fs::write(&file, spelled).unwrap();
    let (good, tried) = try_pack("sysmex-xp", &file, &["--repair"]);
    assert!(good, "{tried:#}");
    assert_eq!(tried["coded"], 1);
}

#[test]
fn a_channel_that_names_a_pack_gets_its_settings_and_mistakes_are_said_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    let check = |channel: &str| {
        let text = format!(
            "[postgres]\nurl = \"postgres://x\"\n[mappings]\nfolder = {}\n[[tenant]]\nid = \"demo\"\n[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"astm\"\n{channel}",
            json!(project().join("mappings"))
        );
        std::fs::write(&file, text).unwrap();
        let output = hub(&["check", "--json", "--config", file.to_str().unwrap()]);
        (output.status.success(), json_of(&output))
    };
    let serial = "[channel.settings.serial]\nport = \"/dev/ttyUSB0\"\n";
    let (good, said) = check(&format!("pack = \"roche-c311\"\n{serial}"));
    assert!(good, "{said:#}");
    assert!(
        said["packs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|pack| pack["standing"] == "unproven")
    );
    for (channel, line, words) in [
        (
            format!("pack = \"sysmex\"\n{serial}"),
            11,
            "known packs: abbott-alinity",
        ),
        (
            format!("pack = \"mindray-bc\"\n{serial}"),
            11,
            "of kind `hl7v2`",
        ),
        (
            format!("pack = \"roche-c311\"\n{serial}baud = 1\n"),
            14,
            "defaults of pack `roche-c311`",
        ),
        (
            format!("pack = \"roche-c311\"\n{serial}[channel.settings.dialect]\nspecimens = []\n"),
            15,
            "specimens",
        ),
    ] {
        let (good, said) = check(&channel);
        let problem = &said["problems"][0];
        assert!(
            !good && problem["line"] == line && text(problem, "message").contains(words),
            "{words}: {said:#}"
        );
    }
}
