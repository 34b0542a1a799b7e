//! What tells control material, and what a code means by the specimen, in HL7.

use std::collections::BTreeMap;

use adapter_hl7v2::translate::{ControlMark, TranslatorSettings};
use schemas::integration::TranslationOutcome;
use serde_json::{Value, json};

use crate::translating::{bodies, message, repository, translate, translate_with};

fn reports(
    settings: &TranslatorSettings,
    kind: &str,
    processing: &str,
    segments: &str,
) -> Vec<Value> {
    let text = format!(
        "MSH|^~\\&|A|B|||20260115120334||{kind}|7|{processing}|2.3.1\r{}\r",
        segments.replace('\n', "\r")
    );
    let done = translate_with(settings.clone(), text.as_bytes()).unwrap();
    bodies(&done)
        .into_iter()
        .filter(|(name, _)| *name == "lis.result.received")
        .map(|(_, body)| body)
        .collect()
}

/// How a pack of ours reads.
fn pack(name: &str) -> TranslatorSettings {
    let path = repository().join(format!("mappings/analyzers/{name}.toml"));
    let text = std::fs::read_to_string(path).unwrap();
    let pack: toml::Table = toml::from_str(&text).unwrap();
    let settings: TranslatorSettings = pack["settings"]["translate"].clone().try_into().unwrap();
    settings.check().unwrap();
    settings
}

fn role(report: &Value) -> Option<&str> {
    report.pointer("/specimen/role").and_then(Value::as_str)
}

const COUNT: &str = "OBX|1|NM|6690-2^WBC^LN||7.2|10*9/L|||||F";

#[test]
fn a_control_of_a_counter_is_told_by_its_header_or_by_what_was_counted() {
    let of = |processing: &str, code: &str| {
        let text = format!("PID|1||MRN7^^^^MR\nOBR|1||7|{code}^x^99MRC\n{COUNT}");
        reports(&pack("mindray-bc"), "ORU^R01", processing, &text).remove(0)
    };
    for (processing, code) in [
        ("Q", "00001"),
        ("QR", "00001"),
        ("P", "00003"),
        ("P", "00008"),
    ] {
        let report = of(processing, code);
        assert_eq!(role(&report), Some("Q"), "{processing} {code}");
        assert_eq!(report.get("subject"), None, "a control is nobody");
    }
    for (processing, code) in [("P", "00001"), ("P", "00002"), ("P", "00009")] {
        let report = of(processing, code);
        assert_eq!(role(&report), None, "{processing} {code}");
        assert_eq!(report["subject"]["value"], "MRN7");
    }
}

#[test]
fn a_control_of_a_blood_gas_analyzer_is_told_by_the_kind_of_its_number() {
    let of = |number: &str| {
        let text = format!(
            "PID|1|||F87\nOBR|1||{number}||||||||O\nOBX|1|ST|^QCLevel||2|||||F\nOBX|2|ST|^pH^M||7.402|||N|||F"
        );
        reports(&pack("radiometer-abl"), "ORU^R01", "P^not present", &text).remove(0)
    };
    for number in ["12^QC #", "QC #^12"] {
        let report = of(number);
        assert_eq!(role(&report), Some("Q"), "{number}");
        let results = report["results"].as_array().unwrap();
        assert_eq!(results.len(), 1, "the level is no result");
        assert_eq!(report["notes"], json!(["QCLevel: 2"]));
    }
    assert_eq!(role(&of("6^Sample #")), None);
}

#[test]
fn a_mark_of_the_channel_may_stand_in_any_segment_of_the_group() {
    let marked = |path: &str, begins: &str| TranslatorSettings {
        control: vec![ControlMark {
            path: path.into(),
            is: Vec::new(),
            begins: vec![begins.into()],
        }],
        ..TranslatorSettings::default()
    };
    let text = "PID|1||7\nORC|RE|O1\nOBR|1|O1|9|QC-CBC\nOBX|1|NM|WBC||7|K/uL|||||F\nOBX|2|ST|LEVEL||NORMAL||||||F\nSPM|1|T1||SER";
    for (path, begins, control) in [
        ("MSH-3", "a", true),
        ("ORC-2", "O", true),
        ("OBR-4", "qc", true),
        ("OBX-5", "NORM", true),
        ("SPM-2", "T", true),
        ("OBR-4.2", "QC", false),
        ("SAC-3", "T", false),
    ] {
        let settings = marked(path, begins);
        settings.check().unwrap();
        let found = reports(&settings, "ORU^R01", "P", text);
        assert_eq!(role(&found[0]).is_some(), control, "{path} {begins}");
    }
    assert!(marked("PID-3", "7").check().is_err(), "a person is no mark");
    assert!(
        marked("OBR-4", "").check().is_err(),
        "it would take everybody"
    );
}

#[test]
fn a_code_of_urine_is_asked_about_apart_and_loinc_stands_for_itself() {
    let of = |settings: &TranslatorSettings, kind: &str, code: &str| {
        let text =
            format!("PID|1||7\nSPM|1|T1||{kind}\nOBR|1|||X\nOBX|1|NM|{code}||98|mg/dL|||||F");
        reports(settings, "OUL^R22", "P", &text)[0]["results"][0].clone()
    };
    let usual = TranslatorSettings::default();
    for kind in [
        "",
        "SER",
        "SER^Serum^HL70487",
        "122554006^Capillary blood specimen^SCT",
        "26^Serum",
    ] {
        assert_eq!(
            of(&usual, kind, "GLU")["mapped"]["loinc"],
            "2345-7",
            "{kind}"
        );
    }
    for (kind, system) in [("UR", "@UR"), ("URN^Urine", "@UR"), ("26", "@26")] {
        let result = of(&usual, kind, "GLU");
        assert_eq!(result.get("mapped"), None, "{kind}");
        assert_eq!(
            (&result["held"], &result["code"]["system"]),
            (&json!("unknown_code"), &json!(system)),
            "{kind}"
        );
    }
    let maker = of(&usual, "UR", "GLU^Glucose^99LAB");
    assert_eq!(maker["code"]["system"], "99LAB@UR");
    let loinc = of(&usual, "UR", "5792-7^Glucose^LN");
    assert_eq!(loinc["mapped"]["loinc"], "5792-7");
    assert_eq!(loinc["code"]["system"], "LN");
    let numbered = TranslatorSettings {
        specimen_types: BTreeMap::from([("26".to_owned(), "SER".to_owned())]),
        ..TranslatorSettings::default()
    };
    assert_eq!(of(&numbered, "26", "GLU")["mapped"]["loinc"], "2345-7");
}

#[test]
fn control_material_is_told_by_its_specimen_or_its_header_and_is_nobody() {
    let by_role = message(
        "OUL^R22",
        "PID|||QC^^^HOSP\nSPM|1|QC1||SER|||||||Q\nOBR|1|||GLU\nOBX|1|NM|GLU||99|mg/dL|||||F",
    );
    let by_header = message(
        "ORU^R01",
        "PID|||QC^^^HOSP\nOBR|1|7|8|GLU\nOBX|1|NM|GLU||99|mg/dL|||||F",
    )
    .replace("|P|2.5", "|Q|2.5");
    for text in [by_role, by_header] {
        let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
        let all = bodies(&done);
        assert_eq!(all.len(), 1, "nobody to report: {all:?}");
        assert_eq!(all[0].1["specimen"]["role"], "Q");
        assert!(all[0].1.get("subject").is_none());
    }
}

#[test]
fn control_material_is_told_by_how_its_number_begins_where_the_channel_says_so() {
    let text = message(
        "ORU^R01",
        "PID|||1\nOBR|1\nOBX|1|NM|WBC||1|K/uL\nSPM|1|QC-L1",
    )
    .replace('\n', "\r");
    let settings = TranslatorSettings {
        control_begins: vec!["QC-".into()],
        ..TranslatorSettings::default()
    };
    let done = translate_with(settings, text.as_bytes()).unwrap();
    let all = bodies(&done);
    assert_eq!(all.len(), 1, "nobody is mentioned");
    assert_eq!(all[0].1["specimen"]["role"], "Q");
    let nothing = TranslatorSettings {
        control_begins: vec![String::new()],
        ..TranslatorSettings::default()
    };
    assert!(
        nothing.check().is_err(),
        "an empty beginning would take every patient"
    );
}

#[test]
fn a_mindray_control_has_its_value_in_the_obr_and_is_nobodys() {
    let of_kind = |kind: &str, segments: &str| {
        format!(
            "MSH|^~\\&|Mindray|BS-480|||20260115120334||ORU^R01|7|P|2.3.1||||{kind}||ASCII\r{segments}\r"
        )
    };
    let qc = "OBR|1|2|ALT|Mindray^BS-480||20260115120000|||||||ConN^ConP|140403^140404|20270403^20270501||N^H|41.2^118|1.3^3|40.9^121.5|U/L";
    let done = translate(of_kind("2", qc).as_bytes()).unwrap();
    let all = bodies(&done);
    assert_eq!(all.len(), 2, "one report a material");
    let one = &all[1].1;
    assert_eq!(
        one["specimen"],
        json!({ "number": "140404/H", "role": "Q" })
    );
    assert_eq!(one["observed_at"], "2026-01-15T12:00:00+05:30");
    assert_eq!(one["code"]["code"], "2");
    let result = &one["results"][0];
    assert_eq!(result["code"], json!({ "code": "2", "text": "ALT" }));
    assert_eq!(result["value"]["number"], "121.5");
    assert_eq!(result["unit"], "U/L");
    assert_eq!(
        one["notes"],
        json!([
            "control: ConP",
            "expires: 20270501",
            "mean on the analyzer: 118",
            "deviation on the analyzer: 3"
        ])
    );
    assert_eq!(done.keys.more_accessions, ["140404/H"]);
    assert!(done.unmapped.is_empty(), "{:?}", done.unmapped);

    // with a patient's number typed in, and with OBX: nobody's all the same
    let named = "PID|1|77\rOBR|1|T1|2|Mindray^BS-480\rOBX|1|NM|2|ALT|40.9|U/L";
    for (kind, role, events) in [
        ("0", Value::Null, 2),
        ("1", json!("C"), 1),
        ("2", json!("Q"), 1),
    ] {
        let done = translate(of_kind(kind, named).as_bytes()).unwrap();
        let all = bodies(&done);
        assert_eq!(all.len(), events, "{kind}");
        assert_eq!(all[events - 1].1["specimen"]["role"], role, "{kind}");
    }
    // a calibration without results, a control without a value
    for (kind, obr) in [("1", qc), ("2", "OBR|1|2|ALT")] {
        let done = translate(of_kind(kind, obr).as_bytes()).unwrap();
        assert!(done.events.is_empty());
        assert_eq!(done.outcome, TranslationOutcome::NotTranslated);
        assert!(
            done.notes[0].contains("nothing to file"),
            "{:?}",
            done.notes
        );
    }
}
