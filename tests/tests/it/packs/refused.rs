//! What must not pass for good: a file in which nothing was understood, a pack that nothing proves, a sample that nobody can play.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::hub_binary;

use super::{json_of, project, text, try_pack};

const PACK: &str = r#"
title = "Demo D-1"
vendor = "Demo"
models = ["D-1"]
kind = "astm"
reach = ["dials"]
source = ["a test"]
[[proved_by]]
file = "lab/one.txt"
sample = "capture"
proves = ["results"]
shows = "one result"
[sample]
results = '''
H|\^&|||D-1
O|1|{specimen>WIDTH}||^^^WBC
R|1|^^^WBC|7.4|10*3/uL
L|1|N
'''
"#;

/// Runs a command on these mappings; the corpus is where it is said to be, or nowhere.
fn hub(mappings: &Path, corpus: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(hub_binary());
    command
        .args(arguments)
        .env("HUB_MAPPINGS", mappings)
        .env_remove("HUB_CONFIG")
        .env_remove("SANGAM_CORPUS");
    if let Some(corpus) = corpus {
        command.env("SANGAM_CORPUS", corpus);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn mappings(pack: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("analyzers")).unwrap();
    std::fs::write(folder.path().join("analyzers/demo.toml"), pack).unwrap();
    folder
}

#[test]
fn a_file_in_which_nothing_was_understood_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    let mut state = 20_261_122_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(300)
    .collect();
    // no byte of it begins or ends anything
    let quiet: Vec<u8> = noise.iter().map(|byte| byte | 0x80).collect();
    for (what, bytes) in [
        ("noise", noise),
        ("enq, quiet", [&[5][..], &quiet[..]].concat()),
    ] {
        std::fs::write(&file, bytes).unwrap();
        for pack in [
            "sysmex-xn",
            "beckman-au",
            "siemens-dimension",
            "radiometer-abl9",
        ] {
            let (good, tried) = try_pack(pack, &file, &[]);
            assert!(!good, "{pack}, {what}: {tried:#}");
        }
    }
    std::fs::write(&file, [&[5][..], &quiet[..]].concat()).unwrap();
    let (_, tried) = try_pack("sysmex-xn", &file, &[]);
    assert_eq!(tried["messages"], json!([]));
    let notes = tried["notes"].to_string();
    assert!(notes.contains("no message for pack sysmex-xn"), "{notes}");
    std::fs::write(&file, "").unwrap();
    assert!(!try_pack("mindray-bc", &file, &[]).0, "an empty file");
}

#[test]
fn what_proves_a_pack_is_looked_for_or_said_to_be_its_own_word() {
    let pack = PACK.replace("WIDTH", "15");
    let folder = mappings(&pack);
    let standing = |corpus: Option<&Path>| {
        let output = hub(folder.path(), corpus, &["packs", "demo", "--json"]);
        let pack = json_of(&output);
        let good = output.status.success();
        (good, text(&pack, "standing").to_owned(), said(&output))
    };
    let (good, claimed, _) = standing(None);
    assert!(good);
    assert_eq!(
        claimed,
        "as the pack claims, proved by lab/one.txt (results)"
    );

    let corpus = tempfile::tempdir().unwrap();
    let (good, unproven, why) = standing(Some(corpus.path()));
    assert!(!good);
    assert_eq!(unproven, "unproven");
    assert!(
        why.contains("analyzers/demo.toml:9:1") && why.contains("`lab/one.txt`"),
        "{why}"
    );
    std::fs::create_dir(corpus.path().join("lab")).unwrap();
    std::fs::write(corpus.path().join("lab/one.txt"), "H").unwrap();
    let (good, proved, _) = standing(Some(corpus.path()));
    assert!(good);
    assert_eq!(proved, "proved by lab/one.txt (results)");

    let nowhere = corpus.path().join("nowhere");
    let output = hub(folder.path(), Some(&nowhere), &["packs"]);
    assert!(!output.status.success() && said(&output).contains("no folder"));
}

#[test]
fn hub_check_looks_for_the_samples_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    let settings = format!(
        "[postgres]\nurl = \"postgres://x\"\n[mappings]\nfolder = {}\n[[tenant]]\nid = \"demo\"\n",
        json!(project().join("mappings"))
    );
    std::fs::write(&file, settings).unwrap();
    let check = |corpus: Option<&Path>| -> Value {
        let arguments = ["check", "--json", "--config", file.to_str().unwrap()];
        json_of(&hub(&project().join("mappings"), corpus, &arguments))
    };
    let said = check(None);
    assert_eq!(said["ok"], true, "{said:#}");
    let packs = said["packs"].as_array().unwrap();
    let xn = packs.iter().find(|pack| pack["name"] == "sysmex-xn");
    let standing = text(xn.unwrap(), "standing");
    assert!(
        standing.starts_with("as the pack claims, proved by lab/"),
        "{standing}"
    );
    let said = check(Some(folder.path()));
    assert_eq!(said["ok"], false);
    let problems = said["problems"].to_string();
    assert!(problems.contains("analyzers/sysmex-xn.toml:"), "{problems}");
    let said = check(Some(&folder.path().join("nowhere")));
    assert!(said["problems"].to_string().contains("no folder"), "{said}");
}

#[test]
fn a_place_that_is_too_wide_is_refused_in_words() {
    for width in ["1001", "65536", "18446744073709551615"] {
        let folder = mappings(&PACK.replace("WIDTH", width));
        for arguments in [&["packs"][..], &["simulate", "demo", "--print"]] {
            let output = hub(folder.path(), None, arguments);
            let why = said(&output);
            assert!(!output.status.success(), "{width} {arguments:?}");
            assert!(
                why.contains("more than 1000 characters") && !why.contains("panicked"),
                "{width} {arguments:?}: {why}"
            );
        }
    }
}

#[test]
fn what_a_pack_has_no_sample_of_is_said_with_what_it_has() {
    let arguments = ["simulate", "ortho-vitros", "--print", "--ask"];
    let output = hub(&project().join("mappings"), None, &arguments);
    assert!(!output.status.success());
    let why = said(&output);
    assert!(why.contains("no sample of query, only of results"), "{why}");
    let page = std::fs::read_to_string(project().join("mappings/analyzers/README.md")).unwrap();
    let (_, rest) = page
        .split_once("What a pack has no sample of is refused:")
        .unwrap();
    let (paragraph, _) = rest.split_once("\n\n").unwrap();
    let mut listed: Vec<&str> = paragraph
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.starts_with('-'))
        .collect();
    listed.sort_unstable();
    // packs are listed by name
    let packs = json_of(&hub(
        &project().join("mappings"),
        None,
        &["packs", "--json"],
    ));
    let silent: Vec<&str> = packs
        .as_array()
        .unwrap()
        .iter()
        .filter(|pack| !pack["plays"].as_array().unwrap().contains(&json!("query")))
        .map(|pack| text(pack, "name"))
        .collect();
    assert_eq!(listed, silent, "mappings/analyzers/README.md");
}
