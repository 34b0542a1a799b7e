//! What a translation must hold to, whatever the fixtures pin.

use adapter_poct1a::settings::Dialect;
use schemas::integration::TranslationOutcome;
use serde_json::Value;

use crate::messages::{fixture, message};
use crate::translating::{body, reports, translate};

fn of(name: &str) -> Vec<Value> {
    reports(&translate(Dialect::default(), &fixture(name)).unwrap())
}

fn one(dialect: Dialect, kind: &str, service: &str) -> Value {
    let text = message(kind, "1", &format!("<SVC>{service}</SVC>"));
    let mut reports = reports(&translate(dialect, text.as_bytes()).unwrap());
    assert_eq!(reports.len(), 1, "{text}");
    reports.remove(0)
}

const GLUCOSE: &str =
    "<OBS><OBS.observation_id V=\"2339-0\" SN=\"LN\"/><OBS.value V=\"98\" U=\"mg/dL\"/></OBS>";

#[test]
fn a_result_names_device_operator_patient_time_method_flags_and_meaning() {
    let report = &of("100-")[0];
    assert_eq!(report["subject"]["value"], "SGM100007");
    assert_eq!(report["placer_number"], "POC-88121");
    assert_eq!(report["specimen"]["number"], "POC-88121");
    assert_eq!(report["observed_at"], "2026-01-15T11:57:30+05:30");
    let result = &report["results"][0];
    assert_eq!(result["device"], "EXAMPLE GlucoPoint 2 GP-004711");
    assert_eq!(result["mapped"]["loinc"], "2339-0");
    assert_eq!(result["flags"], serde_json::json!(["H"]));
    assert_eq!(result["range"]["high"], "140");
    let notes = format!("{}{}", report["notes"], result["notes"]);
    for said in [
        "operator: N-2201",
        "method: measured",
        "lot 0310010249",
        "before lunch",
        "critical limits of the device: [50;400]",
    ] {
        assert!(notes.contains(said), "{said} in {notes}");
    }
}

#[test]
fn the_same_observation_sent_again_says_the_same() {
    let strip = |mut report: Value| {
        report["occurred_at"] = Value::Null;
        report
    };
    let first: Vec<_> = of("100-").into_iter().map(strip).collect();
    let again: Vec<_> = of("105-").into_iter().map(strip).collect();
    assert_eq!(first, again, "but when it was sent");
}

#[test]
fn control_and_calibration_are_told_by_message_and_object_never_by_role_code() {
    let role = |kind: &str, service: &str| one(Dialect::default(), kind, service);
    let pt = format!("<PT><PT.patient_id V=\"SGM1\"/>{GLUCOSE}</PT>");
    let ctc = format!("<CTC><CTC.lot_number V=\"L1\"/><CTC.level_cd V=\"2\"/>{GLUCOSE}</CTC>");
    let cvc = format!("<CVC><CVC.lot_number V=\"L9\"/>{GLUCOSE}</CVC>");
    let as_role = |code: &str, rest: &str| format!("<SVC.role_cd V=\"{code}\"/>{rest}");
    for (kind, service, expected) in [
        ("OBS.R01", as_role("OBS", &pt), None),
        // a patient's result is one, whatever the role says
        ("OBS.R01", as_role("LQC", &pt), None),
        ("OBS.R02", as_role("OBS", &ctc), Some("Q")),
        ("OBS.R01", as_role("OBS", &ctc), Some("Q")),
        ("OBS.R02", as_role("OBS", &cvc), Some("V")),
        ("OBS.R02", as_role("OBS", &pt), Some("Q")),
        ("OBS.R02", as_role("LQC", GLUCOSE), Some("Q")),
    ] {
        let report = role(kind, &service);
        assert_eq!(
            report["specimen"]["role"].as_str(),
            expected,
            "{kind} {service}"
        );
        assert_eq!(report["subject"].is_null(), expected.is_some());
        if expected.is_some() {
            assert_eq!(
                report["results"][0]["held"],
                Value::Null,
                "nobody is missing"
            );
        }
    }
    let report = role("OBS.R02", &ctc);
    assert_eq!(report["specimen"]["number"], "L1/2", "lot and level");
    let by_name = Dialect {
        control_material: vec!["serial".to_owned()],
        ..Dialect::default()
    };
    let named = format!("<CTC><CTC.name V=\"Low\"/>{GLUCOSE}</CTC>");
    assert_eq!(one(by_name, "OBS.R02", &named)["specimen"]["number"], "Low");
}

#[test]
fn a_word_for_nobody_is_no_patient_and_the_order_number_remains() {
    let reports = of("140-");
    assert_eq!(reports[0]["results"][0]["status"], "X");
    assert_eq!(reports[0]["results"][0]["value"]["reason"], "cancelled");
    assert_eq!(reports[0]["results"][0]["raw_value"], "43");
    assert_eq!(reports[1]["subject"], Value::Null);
    assert_eq!(reports[1]["specimen"]["number"], "POC-88130");
    assert_eq!(reports[1]["results"][0]["value"]["reason"], "no_value");
    assert_eq!(reports[1]["results"][0]["held"], "no_patient");
}

#[test]
fn a_device_that_asks_for_a_sample_in_the_patients_place_is_told_so_by_its_dialect() {
    let dialect = Dialect {
        patient: Vec::new(),
        specimen: vec!["PT.patient_id".to_owned()],
        ..Dialect::default()
    };
    let pt = format!("<PT><PT.patient_id V=\"T-4711\"/>{GLUCOSE}</PT>");
    let report = one(dialect, "OBS.R01", &pt);
    assert_eq!(report["subject"], Value::Null);
    assert_eq!(report["specimen"]["number"], "T-4711");
}

#[test]
fn what_was_measured_decides_what_a_code_means() {
    let local = GLUCOSE.replace("V=\"2339-0\" SN=\"LN\"", "V=\"GLU\"");
    let of = |kind: &str| {
        let service = format!(
            "<PT><PT.patient_id V=\"SGM1\"/>{local}</PT><SPC><SPC.type_cd V=\"{kind}\"/></SPC>"
        );
        one(Dialect::default(), "OBS.R01", &service)["results"][0].clone()
    };
    let blood = of("BLDC");
    assert!(blood["mapped"].is_object(), "{blood}");
    let urine = of("UR");
    assert_eq!(urine["mapped"], Value::Null);
    assert_eq!(urine["held"], "unknown_code");
    assert!(urine["code"]["system"].as_str().unwrap().ends_with("@UR"));
}

#[test]
fn the_end_of_a_scale_is_no_measurement() {
    let result = &of("130-")[0]["results"][0];
    assert_eq!(result["value"]["comparator"], ">");
    assert_eq!(result["value"]["number"], "600");
    assert_eq!(result["flags"], serde_json::json!([">", "HH"]));
}

#[test]
fn an_edited_observation_is_a_correction() {
    let service =
        format!("<SVC.reason_cd V=\"EDT\"/><PT><PT.patient_id V=\"SGM1\"/>{GLUCOSE}</PT>");
    let report = one(Dialect::default(), "OBS.R01", &service);
    assert_eq!(report["results"][0]["status"], "C");
}

#[test]
fn what_nobody_reads_is_listed_and_what_cannot_be_used_is_said() {
    let done = translate(Dialect::default(), &fixture("100-")).unwrap();
    assert_eq!(done.unmapped, ["PT.location"]);
    let text = message(
        "OBS.R01",
        "1",
        &format!(
            "<SVC><SVC.observation_dttm V=\"yesterday\"/><PT><PT.patient_id V=\"SGM1\"/>\
             <PT.gender_cd V=\"X?\"/>{GLUCOSE}<NEW><NEW.thing V=\"1\"/></NEW></PT></SVC>"
        ),
    );
    let done = translate(Dialect::default(), text.as_bytes()).unwrap();
    assert!(
        done.notes
            .contains(&"SVC.observation_dttm: not a time stamp".to_owned())
    );
    assert!(
        done.notes
            .contains(&"PT.gender_cd: not M, F or U".to_owned())
    );
    assert!(
        done.notes
            .iter()
            .all(|n| !n.contains("yesterday") && !n.contains("X?")),
        "no values: {:?}",
        done.notes
    );
    for name in ["NEW.thing", "SVC.observation_dttm", "PT.gender_cd"] {
        assert!(done.unmapped.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn what_is_no_observation_is_kept_and_named() {
    for (name, kind) in [
        ("010-", "POCT1 HEL.R01"),
        ("020-", "POCT1 DST.R01"),
        ("300-", "POCT1 EVS.R01"),
        ("400-", "POCT1 EXAMPLE.LOCKSTATUS"),
    ] {
        let done = translate(Dialect::default(), &fixture(name)).unwrap();
        assert_eq!(done.outcome, TranslationOutcome::NotTranslated, "{name}");
        assert_eq!(done.keys.message_type.as_deref(), Some(kind));
        assert!(done.events.is_empty() && done.keys.control_id.is_some());
    }
    for (name, code) in [("900-", "poct1a.dtd"), ("910-", "poct1a.malformed")] {
        let refused = translate(Dialect::default(), &fixture(name)).unwrap_err();
        assert_eq!(refused.refusal.code, code, "{name}");
    }
}

#[test]
fn a_number_that_no_index_can_hold_is_listed_and_not_used() {
    let long = "9".repeat(300);
    let pt = format!("<PT><PT.patient_id V=\"{long}\"/>{GLUCOSE}</PT>");
    let text = message("OBS.R01", "1", &format!("<SVC>{pt}</SVC>"));
    let done = translate(Dialect::default(), text.as_bytes()).unwrap();
    assert_eq!(done.events.len(), 1, "no person is made of it");
    assert_eq!(body(&done.events[0])["subject"], Value::Null);
    assert!(done.unmapped.contains(&"PT.patient_id".to_owned()));
}
