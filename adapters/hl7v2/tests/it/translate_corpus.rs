//! Values of public samples, each checked by reading the file (or told by the corpus' own `expected.json`).

use std::fs;

use adapter_hl7v2::translate::TranslatorSettings;
use hub_core::translator::Translation;
use serde_json::{Value, json};

use crate::corpus;
use crate::translating::{bodies, translate_with};

/// Translates a file of the corpus, without MLLP bytes; `None` where there is no corpus.
fn sample(name: &str) -> Option<Translation> {
    sample_with(TranslatorSettings::default(), name)
}

fn sample_with(settings: TranslatorSettings, name: &str) -> Option<Translation> {
    let bytes = fs::read(corpus::folder()?.join(name)).unwrap();
    let bytes: Vec<u8> = bytes
        .into_iter()
        .filter(|b| !matches!(b, 0x0B | 0x1C))
        .collect();
    Some(translate_with(settings, &bytes).unwrap_or_else(|r| panic!("{name}: {}", r.refusal)))
}

fn named(done: &Translation, name: &str) -> Vec<Value> {
    bodies(done)
        .into_iter()
        .filter(|(event, _)| *event == name)
        .map(|(_, body)| body)
        .collect()
}

fn reports(done: &Translation) -> Vec<Value> {
    named(done, "lis.result.received")
}

#[test]
fn a_mindray_count_with_its_codes_in_the_fourth_component_is_coded() {
    let Some(done) = sample("lab/openelis/bc5380-cbc-result.hl7") else {
        return;
    };
    let report = &reports(&done)[0];
    assert_eq!(report["placer_number"], "PLACER123");
    assert_eq!(
        report["code"],
        json!({"code": "CBC", "text": "COMPLETE BLOOD COUNT"})
    );
    let found: Vec<_> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                r["mapped"]["loinc"].as_str().unwrap(),
                r["value"]["number"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("6690-2", "7.5"),
            ("789-8", "4.82"),
            ("718-7", "14.2"),
            ("4544-3", "42.0")
        ]
    );
    assert_eq!(report["subject"]["system"], "HOSPITAL");
}

#[test]
fn a_blood_gas_analyzer_names_its_patient_in_pid_4_and_sends_dots_for_no_value() {
    let Some(done) = sample("lab/transcribed/radiometer-abl735.hl7") else {
        return;
    };
    let report = &reports(&done)[0];
    assert_eq!(report["subject"]["value"], "F872518654");
    assert_eq!(report["notes"], json!(["443"]));
    let result = |code: &str| {
        let all = report["results"].as_array().unwrap();
        all.iter()
            .find(|r| r["code"]["code"] == code)
            .unwrap()
            .clone()
    };
    assert_eq!(result("pO2")["mapped"]["loinc"], "11556-8");
    assert_eq!(
        result("pO2")["value"],
        json!({"kind": "quantity", "number": "127"})
    );
    assert_eq!(
        result("sO2")["value"],
        json!({"kind": "absent", "reason": "no_value"})
    );
    assert_eq!(result("sO2")["notes"], json!(["314"]));
    assert_eq!(result("O2Hb")["flags"], json!(["<"]));
    assert_eq!(result("O2Hb")["held"], "unknown_code");
    assert_eq!(result("O2Hb")["notes"], json!(["314^94"]));
    assert_eq!(result("pH")["observed_at"], "2001-05-03T15:14:00+05:30");
}

#[test]
fn a_maglumi_result_without_patient_is_held_under_its_specimen() {
    let Some(done) = sample("lab/lab_lis/snibe_2024-08-29_15-01-36.txt") else {
        return;
    };
    let report = &reports(&done)[0];
    assert_eq!(report["specimen"]["number"], "h1");
    assert_eq!(report["specimen"]["role"], "P");
    let tsh = &report["results"][0];
    assert_eq!(tsh["value"], json!({"kind": "quantity", "number": "4.53"}));
    assert_eq!(
        tsh["range"],
        json!({"text": "0.3 to 4.5", "low": "0.3", "high": "4.5"})
    );
    assert_eq!(tsh["mapped"]["loinc"], "3016-3");
    assert_eq!(
        (&tsh["held"], &tsh["flags"]),
        (&json!("no_patient"), &json!(["H"]))
    );
    let Some(two) = sample("lab/lab_lis/snibe_2024-08-29_15-09-10.txt") else {
        return;
    };
    assert_eq!(reports(&two).len(), 2, "a burst of two messages");
}

#[test]
fn a_qualitative_result_keeps_its_code_and_the_cycle_count_its_number() {
    let Some(done) = sample("lab/openelis/genexpert-result.hl7") else {
        return;
    };
    let results = &reports(&done)[0]["results"];
    assert_eq!(results[0]["mapped"]["loinc"], "94500-6");
    assert_eq!(
        results[0]["value"],
        json!({"kind": "coded", "codes": [{"code": "260415000", "text": "Not detected", "system": "SCT"}]})
    );
    assert_eq!(results[1]["value"]["number"], "28.5");
    assert_eq!(results[1]["unit"], "Ct");
    assert_eq!(
        results[1]["mapped"],
        json!({"loinc": "94745-7"}),
        "no UCUM for a unit nobody knows"
    );
}

#[test]
fn orders_by_specimen_know_their_tubes() {
    let Some(done) = sample("lab/transcribed/oml-o33-multi-spm.hl7") else {
        return;
    };
    let orders: Vec<_> = named(&done, "clinical.order.reported")
        .iter()
        .map(|o| {
            [
                &o["placer_number"],
                &o["code"]["code"],
                &o["specimens"][0]["number"],
                &o["priority"],
            ]
            .map(|v| v.as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(
        orders,
        [
            ["83428", "TPO", "100187400201", "routine"],
            ["83425", "CA", "100187400101", "routine"],
            ["83426", "HDL", "100187400101", "routine"],
            ["83427", "LDL", "100187400101", "routine"],
        ]
    );
}

#[test]
fn documents_are_decoded_whatever_their_wrapping() {
    for (name, digest, size) in [
        (
            "ed-base64-1500kB",
            "6e57824d4202742ead359e0bec3bd8cd7b271a3fd5411eb3093c12d7db349c6d",
            Some(1_100_009),
        ),
        (
            "ed-base64-wrapped-lines",
            "ebf4ab3fbf55b19bb6651869c992f7a3660e9de82707778e2649e0355266a100",
            None,
        ),
        (
            "ed-hex",
            "7940d5936187a57620f75e3b2733f25b6f324d2794d0f0b685d65cfadaae2269",
            None,
        ),
    ] {
        let Some(done) = sample(&format!("hl7v2/synthetic/{name}.hl7")) else {
            return;
        };
        assert_eq!(done.attachments[0].0, digest, "{name}");
        let body = &done.events.last().unwrap().body;
        assert!(body.len() < 4096, "{name}: the bytes are not in the event");
        if let Some(size) = size {
            assert_eq!(done.attachments[0].1.len(), size);
        }
    }
}

#[test]
fn names_arrive_in_every_character_set() {
    for (name, family, given) in [
        ("charset-utf8-devanagari", "कुमारी", "सीता"),
        ("charset-utf8-tamil-emoji-bom", "முருகன்", "வேலு😀"),
        ("charset-8859-1", "Müller", "Zoë"),
        ("charset-gb18030-trail-bytes", "乗亅", "乛亊"),
        ("charset-big5-trail-5c", "許", "功蓋"),
        ("charset-iso-ir87-2022jp", "山田", "太郎"),
        ("charset-ks-x-1001", "김", "영희"),
        ("charset-utf16le-bom", "राव", "अनिता"),
        ("charset-undeclared-windows1252", "O’Brien", "Zoë"),
    ] {
        let Some(done) = sample(&format!("hl7v2/synthetic/{name}.hl7")) else {
            return;
        };
        let patient = &named(&done, "patients.patient.reported")[0];
        assert_eq!(
            (&patient["name"]["family"], &patient["name"]["given"][0]),
            (&json!(family), &json!(given)),
            "{name}"
        );
    }
    let settings = TranslatorSettings {
        charset: Some("Shift_JIS".to_owned()),
        ..TranslatorSettings::default()
    };
    assert_eq!(settings.check(), Ok(()));
    let Some(done) = sample_with(
        settings,
        "hl7v2/synthetic/charset-sjis-undeclared-trail-5c.hl7",
    ) else {
        return;
    };
    assert_eq!(
        named(&done, "patients.patient.reported")[0]["name"]["family"],
        "表"
    );
}

#[test]
fn a_guessed_character_set_is_said_aloud() {
    let Some(done) = sample("hl7v2/synthetic/charset-declared-utf8-but-latin1.hl7") else {
        return;
    };
    assert!(
        done.notes.iter().any(|n| n.starts_with("charset: byte ")),
        "{:?}",
        done.notes
    );
}

#[test]
fn null_and_empty_are_told_apart() {
    let Some(done) = sample("hl7v2/synthetic/null-vs-empty.hl7") else {
        return;
    };
    let patient = &named(&done, "patients.patient.reported")[0];
    assert_eq!(patient["name"], json!({"family": "Doe"}));
    assert_eq!(patient.get("birth_date"), None, "empty keeps");
    assert_eq!(patient.get("sex"), Some(&Value::Null), "two quotes clear");
}

#[test]
fn merges_of_both_kinds_give_survivor_and_retired() {
    let Some(done) = sample("hl7v2/synthetic/merge-a40-two-pairs.hl7") else {
        return;
    };
    assert_eq!(named(&done, "patients.patient.merge_reported").len(), 2);
    let Some(done) = sample("hl7v2/synthetic/merge-a34.hl7") else {
        return;
    };
    let merge = &named(&done, "patients.patient.merge_reported")[0];
    assert_ne!(merge["survivor"][0]["value"], merge["retired"][0]["value"]);
}

#[test]
fn two_thousand_results_are_all_there() {
    let Some(done) = sample("hl7v2/synthetic/obx-2000.hl7") else {
        return;
    };
    assert_eq!(reports(&done)[0]["results"].as_array().unwrap().len(), 2000);
}

#[test]
fn what_nobody_reads_is_listed() {
    let Some(done) = sample("hl7v2/synthetic/z-segments.hl7") else {
        return;
    };
    assert_eq!(done.unmapped, ["ZPD", "ZIN"]);
}
