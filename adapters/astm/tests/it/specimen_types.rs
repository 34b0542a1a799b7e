//! What a code means depends on what was measured: urine is not filed as serum, a control not as a patient, and what an instrument
//! calls no result is none.

use std::collections::BTreeMap;

use adapter_astm::orders::{Occasion, Question, answer};
use adapter_astm::records::decode;
use adapter_astm::settings::{AstmSettings, Dialect, FieldPath, Mark, Mode};
use schemas::worklist::{TestAction, WorklistAnswer};
use serde_json::{Value, json};
use time::macros::datetime;

use crate::orders::{specimen, test};
use crate::translating::{reports, translate, translate_with};

fn path(text: &str) -> FieldPath {
    FieldPath::try_from(text.to_owned()).unwrap()
}

/// The first result of a message with this in O.16.
fn glucose(dialect: Dialect, kind: &str) -> Value {
    let text = format!("H|\\^&\nP|1\nO|1|T1||^^^GLU|||||||||||{kind}\nR|1|^^^GLU|98|mg/dL\nL|1|N");
    let done = translate(dialect, &text).unwrap();
    reports(&done)[0]["results"][0].clone()
}

#[test]
fn glucose_of_urine_waits_for_a_row_of_its_own() {
    for kind in ["", "Serum", "SER", "PLAS", "Whole blood", "Arterial^x"] {
        let result = glucose(Dialect::default(), kind);
        assert_eq!(result["mapped"]["loinc"], "2345-7", "{kind}");
        assert_eq!(result["code"].get("system"), None, "{kind}");
    }
    for (kind, system) in [
        ("Urine", "@UR"),
        ("UR", "@UR"),
        ("CSF", "@CSF"),
        ("3", "@3"),
    ] {
        let result = glucose(Dialect::default(), kind);
        assert_eq!(result.get("mapped"), None, "{kind}");
        assert_eq!(result["code"]["system"], system, "asked about apart");
        assert_eq!(result["value"]["number"], "98");
    }
}

#[test]
fn an_instrument_that_numbers_its_specimens_says_so_in_its_pack() {
    let roche = Dialect {
        specimen_type: vec![path("O.4.5")],
        specimen_types: BTreeMap::from([
            ("S1".to_owned(), "SER".to_owned()),
            ("S2".to_owned(), "UR".to_owned()),
        ]),
        ..Dialect::default()
    };
    let of = |kind: &str| {
        let text = format!(
            "H|\\^&\nP|1\nO|1|T1|0^50011^011^^{kind}^SC|^^^GLU|||||||||||1\nR|1|^^^GLU|98|mg/dL\nL|1|N"
        );
        let done = translate(roche.clone(), &text).unwrap();
        reports(&done)[0]["results"][0].clone()
    };
    assert_eq!(of("S1")["mapped"]["loinc"], "2345-7");
    assert_eq!(of("S2")["code"]["system"], "@UR");
    assert_eq!(of("S5")["code"]["system"], "@S5");
}

#[test]
fn a_control_that_is_marked_in_the_place_of_its_type_is_of_no_type() {
    let text =
        "H|\\^&\nP|1\nO|1|LOT1||^^^GLU|||||||||||CTRL^^CTRL MEDIUM\nR|1|^^^GLU|98|mg/dL\nL|1|N";
    let done = translate(Dialect::default(), text).unwrap();
    let report = &reports(&done)[0];
    assert_eq!(report["specimen"]["role"], "Q");
    assert_eq!(report["results"][0]["mapped"]["loinc"], "2345-7");
}

fn dimension(dialect: &Dialect, kind: &str, number: &str, error: &str) -> Value {
    let text = format!("R|0|RAO|{number}|{kind}|ICU|0|451523010124|1|1|1|GLU|98|mg/dL|{error}|");
    let block = format!("\u{2}{}00\u{3}", text.replace('|', "\u{1c}"));
    let done = translate_with(Mode::Dimension, dialect.clone(), block.as_bytes()).unwrap();
    reports(&done)[0].clone()
}

#[test]
fn what_a_dimension_calls_no_result_to_use_is_no_value() {
    let of = |error: &str| dimension(&Dialect::default(), "1", "S77", error)["results"][0].clone();
    for error in ["6", "7", "8", "9", "10", "11", "12", "19", "08"] {
        let result = of(error);
        assert_eq!(
            result["value"],
            json!({"kind": "absent", "reason": "no_value"}),
            "{error}"
        );
        assert_eq!(result["raw_value"], "98", "kept as it was sent");
        assert_eq!(result["flags"], json!([error]));
    }
    for error in ["", "0", "2", "13", "15", "17"] {
        assert_eq!(of(error)["value"]["number"], "98", "{error}");
    }
}

#[test]
fn a_dimension_and_an_au_say_what_was_measured_and_what_is_a_control() {
    let usual = Dialect::default();
    for (kind, system) in [
        ("1", None),
        ("2", None),
        ("W", None),
        ("3", Some("@UR")),
        ("4", Some("@CSF")),
    ] {
        let report = dimension(&usual, kind, "S77", "");
        let code = &report["results"][0]["code"];
        assert_eq!(code.get("system").and_then(Value::as_str), system, "{kind}");
        assert_eq!(report["specimen"].get("role"), None);
    }
    let urine = dimension(&usual, "8", "LOT1", "");
    assert_eq!(urine["specimen"]["role"], "Q");
    assert_eq!(urine["results"][0]["code"]["system"], "@UR");

    let marked = Dialect {
        control: vec![Mark {
            path: path("O.3"),
            is: Vec::new(),
            begins: vec!["QC-".to_owned()],
        }],
        specimen_endings: vec!["/F".to_owned()],
        ..Dialect::default()
    };
    let control = dimension(&marked, "1", "QC-7", "");
    assert_eq!(control["specimen"]["role"], "Q");
    let au = |kind: &str, number: &str| {
        let block =
            format!("\u{2}D 000801{kind}0006{number:>26}    E0     097   146.23        \u{3}");
        let done = translate_with(Mode::Au, marked.clone(), block.as_bytes()).unwrap();
        reports(&done)[0].clone()
    };
    assert_eq!(au(" ", "QC-7")["specimen"]["role"], "Q");
    let patient = au(" ", "U1450/F");
    assert_eq!(patient["specimen"], json!({"number": "U1450"}));
    assert_eq!(patient["results"][0]["code"].get("system"), None);
    assert_eq!(au("U", "U1450")["results"][0]["code"]["system"], "@UR");
}

#[test]
fn a_mindray_hears_in_the_header_whether_it_asked() {
    let pack: toml::Table = toml::from_str(
        &std::fs::read_to_string(
            crate::translating::repository().join("mappings/analyzers/mindray-bs-astm.toml"),
        )
        .unwrap(),
    )
    .unwrap();
    let mut settings = AstmSettings::listening("127.0.0.1:0".parse().unwrap());
    let worklist = WorklistAnswer {
        specimens: vec![specimen(
            "T1",
            vec![test(1, &["1"], TestAction::Perform, "routine")],
        )],
    };
    let question = Question {
        specimens: vec!["T1".to_owned()],
        ..Question::default()
    };
    let header = |settings: &AstmSettings, occasion: Occasion<'_>| {
        let now = datetime!(2026-11-21 12:00 UTC);
        let records = answer(settings, occasion, &worklist, now).remove(0);
        let text = decode(&records[0], None).text;
        text.split('|').nth(11).unwrap().to_owned()
    };
    assert_eq!(header(&settings, Occasion::Query(&question)), "P");
    assert_eq!(header(&settings, Occasion::Download), "P");
    settings.orders = pack["settings"]["orders"].clone().try_into().unwrap();
    assert_eq!(header(&settings, Occasion::Query(&question)), "QA");
    assert_eq!(header(&settings, Occasion::Failed(&question)), "QA");
    assert_eq!(header(&settings, Occasion::Download), "SA");
}
