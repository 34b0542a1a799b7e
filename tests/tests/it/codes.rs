//! Code systems from outside: files of their publishers in, codes and coded charts over REST; on the built program.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Servers, unique};

use super::audit::hub;

fn fixture(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/codes")
        .join(name)
        .display()
        .to_string()
}

fn import(config: &Path, system: &str, file: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["codes", "import", system, file, "--json"];
    arguments.extend(more);
    hub(config, &arguments)
}

#[track_caller]
fn said(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn releases_are_imported_while_the_hub_runs_and_charts_are_coded_by_them() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let hub_process = HubProcess::start(&servers, &settings).await;
    let rest = hub_process.sign_in().await;
    let config = hub_process.config();
    let number = unique("MRN");
    let person = json!({
        "identifiers": [{ "value": number }],
        "demographics": { "name": { "family": number, "given": ["Asha"] }, "birth_date": "1980-05-17", "sex": "female" } });
    let (status, patient) = rest.post("/api/v1/patients", &person).await;
    assert_eq!(status, 201, "{patient}");
    let patient = patient["answer"]["id"].as_str().unwrap();
    let conditions = format!("/api/v1/patients/{patient}/conditions");
    let condition = |code: &str| json!({ "content": { "code": { "code": code, "system": "I10" }, "text": "Diabetes" } });

    let (status, none) = rest.try_get("/api/v1/codes?system=I10").await;
    assert_eq!((status, &none["code"]), (404, &json!("codes.not_imported")));
    let (status, _) = rest.post(&conditions, &condition("E11.5")).await;
    assert_eq!(status, 201);

    // a rehearsal changes nothing, and what is no ICD-10 is refused
    let icd10 = fixture("icd10.claml.xml");
    let read = said(&import(config, "icd10", &icd10, &["--dry-run"]));
    assert_eq!(
        (&read["imported"], &read["codes"]),
        (&json!(false), &json!(27))
    );
    let words = complaint(&import(config, "icd10", &fixture("Loinc.csv"), &[]));
    assert!(words.contains("this is the table of LOINC"), "{words}");
    let words = complaint(&import(config, "I10C", &fixture("icd10cm_order.txt"), &[]));
    assert!(words.contains("--release names it"), "{words}");
    let cut = std::env::temp_dir().join(unique("icd10-cut"));
    let whole = std::fs::read_to_string(&icd10).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 40]).unwrap();
    let words = complaint(&import(config, "icd10", &cut.display().to_string(), &[]));
    std::fs::remove_file(&cut).unwrap();
    assert!(words.contains("line "), "{words}");
    let (status, _) = rest.try_get("/api/v1/codes?system=I10").await;
    assert_eq!(status, 404);

    let first = said(&import(config, "icd10", &icd10, &[]));
    assert_eq!(first["imported"], true);
    assert_eq!(first["release"], "2019");
    assert_eq!(first["added"], 27);
    // the same file again changes nothing
    let again = said(&import(config, "icd10", &icd10, &[]));
    assert_eq!(again["imported"], false);
    said(&import(config, "loinc", &fixture("Loinc.csv"), &[]));
    let order = fixture("icd10cm_order.txt");
    said(&import(config, "I10C", &order, &["--release", "2026"]));

    let systems = rest.items("/api/v1/code-systems").await;
    let listed: Vec<String> = systems
        .iter()
        .map(|system| {
            let text = |name: &str| system[name].as_str().unwrap().to_owned();
            format!("{} {}", text("system"), text("release"))
        })
        .collect();
    assert_eq!(listed, ["I10 2019", "I10C 2026", "LN 2.80"]);
    let shown = hub(config, &["codes", "list"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("Regenstrief"), "{shown}");

    let found = rest.items("/api/v1/codes?system=I10&q=second%20sug").await;
    let codes: Vec<&str> = found
        .iter()
        .map(|code| code["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["E11", "E11.0", "E11.9"]);

    let (status, refused) = rest.post(&conditions, &condition("E11.5")).await;
    assert_eq!(status, 422, "{refused}");
    assert_eq!(refused["code"], "clinical.icd10_no_such_code");
    let (status, recorded) = rest.post(&conditions, &condition("E11.9")).await;
    assert_eq!(status, 201, "{recorded}");
    let newest = &rest.items(&conditions).await[0];
    assert_eq!(newest["content"]["code_check"]["result"], "known");
    assert_eq!(
        newest["content"]["code"]["text"],
        "Second sugar disease: Without more"
    );
}
