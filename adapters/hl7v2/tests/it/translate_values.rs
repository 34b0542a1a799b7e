//! Values, codes, units and notes of results, each rule on a message small enough to read.

use adapter_hl7v2::translate::{Possible, TranslatorSettings};
use serde_json::{Value, json};

use crate::translating::{bodies, events, message, translate, translate_with};

/// The results of an ORU with one OBR.
fn results(obx: &str) -> Vec<Value> {
    let text = message(
        "ORU^R01",
        &format!("PID|||12^^^H^MR\nOBR|1|P1|F1|CBC^^L\n{obx}"),
    );
    let all = events(&text);
    let (name, report) = all.last().unwrap();
    assert_eq!(*name, "lis.result.received");
    report["results"].as_array().unwrap().clone()
}

fn value(obx_2: &str, obx_5: &str) -> Value {
    results(&format!("OBX|1|{obx_2}|WBC||{obx_5}|10*3/uL|||||F"))[0]["value"].clone()
}

fn quantity(number: &str) -> Value {
    json!({"kind": "quantity", "number": number})
}

#[test]
fn values_are_read_by_their_type_and_never_guessed() {
    for (kind, sent, read) in [
        ("NM", "7.20", quantity("7.20")),
        ("NM", " 7.2 ", quantity("7.2")),
        ("", "4.53^", quantity("4.53")),
        (
            "NM",
            "<0.1",
            json!({"kind": "quantity", "comparator": "<", "number": "0.1"}),
        ),
        (
            "ST",
            "> 15000.00",
            json!({"kind": "quantity", "comparator": ">", "number": "15000.00"}),
        ),
        (
            "SN",
            ">=^100",
            json!({"kind": "quantity", "comparator": ">=", "number": "100"}),
        ),
        (
            "SN",
            "^1^:^128",
            json!({"kind": "ratio", "numerator": "1", "denominator": "128"}),
        ),
        (
            "SN",
            "^2^-^5",
            json!({"kind": "range", "low": "2", "high": "5"}),
        ),
        ("SN", "^1^+", json!({"kind": "text", "text": "1+"})),
        ("SN", "<>^5", json!({"kind": "text", "text": "<>^5"})),
        (
            "NM",
            "----",
            json!({"kind": "absent", "reason": "no_value"}),
        ),
        (
            "NM",
            "++++",
            json!({"kind": "absent", "reason": "no_value"}),
        ),
        (
            "ST",
            ".....",
            json!({"kind": "absent", "reason": "no_value"}),
        ),
        ("ST", "+++", json!({"kind": "text", "text": "+++"})),
        ("ST", "", json!({"kind": "absent", "reason": "not_sent"})),
        ("NM", "7,41", json!({"kind": "text", "text": "7,41"})),
        ("NM", "1~2", json!({"kind": "text", "text": "1\n2"})),
        (
            "TX",
            "line one~line \\T\\ two",
            json!({"kind": "text", "text": "line one\nline & two"}),
        ),
        ("FT", "a\\.br\\b", json!({"kind": "text", "text": "a\nb"})),
        (
            "DT",
            "20260112",
            json!({"kind": "date_time", "value": "2026-01-12"}),
        ),
        (
            "TS",
            "202601121030",
            json!({"kind": "date_time", "value": "2026-01-12T10:30:00+05:30"}),
        ),
        ("TM", "0930", json!({"kind": "date_time", "value": "09:30"})),
        (
            "DT",
            "20260230",
            json!({"kind": "text", "text": "20260230"}),
        ),
        (
            "CE",
            "POS^Positive^L",
            json!({"kind": "coded", "codes": [{"code": "POS", "text": "Positive", "system": "L"}]}),
        ),
        (
            "CWE",
            "^Seen under microscope",
            json!({"kind": "coded", "codes": [{"text": "Seen under microscope"}]}),
        ),
        (
            "IS",
            "H~A",
            json!({"kind": "coded", "codes": [{"code": "H"}, {"code": "A"}]}),
        ),
        (
            "NR",
            "3^5",
            json!({"kind": "range", "low": "3", "high": "5"}),
        ),
        (
            "RP",
            "img1^PACS^IM^JPEG",
            json!({"kind": "text", "text": "img1^PACS^IM^JPEG"}),
        ),
        ("QQ", "x^y", json!({"kind": "text", "text": "x^y"})),
    ] {
        assert_eq!(value(kind, sent), read, "{kind} {sent}");
    }
    assert_eq!(
        results("OBX|1|ST|LOT||26011")[0]["value"],
        json!({"kind": "text", "text": "26011"}),
        "digits without unit and range"
    );
    assert_eq!(
        results("OBX|1|NM|WBC|||10*3/uL|||||X")[0]["value"],
        json!({"kind": "absent", "reason": "cancelled"})
    );
}

#[test]
fn what_was_sent_stays_beside_what_was_read() {
    let one =
        &results("OBX|1|NM|HGB^Haemoglobin^99X||128|g/L|120-150|H~A|||C|||202601121000||||DEV9~X")
            [0];
    assert_eq!(one["raw_value"], "128");
    assert_eq!(one["unit"], "g/L");
    assert_eq!(one["mapped"]["factor"], "0.1");
    assert_eq!(one["mapped"]["ucum"], "g/dL");
    assert_eq!(one["flags"], json!(["H", "A"]));
    assert_eq!(
        one["range"],
        json!({"text": "120-150", "low": "120", "high": "150"})
    );
    assert_eq!(one["status"], "C");
    assert_eq!(one["device"], "DEV9");
    assert_eq!(one["observed_at"], "2026-01-12T10:00:00+05:30");
}

#[test]
fn an_unknown_code_or_unit_is_held_and_a_known_alternate_code_is_used() {
    for (obx, held, loinc) in [
        (
            "OBX|1|NM|NEWTEST||1|mg/dL|||||F",
            json!("unknown_code"),
            Value::Null,
        ),
        (
            "OBX|1|NM|WBC||1|furlong|||||F",
            json!("unknown_unit"),
            Value::Null,
        ),
        ("OBX|1|NM|WBC||1||||||F", json!("unknown_unit"), Value::Null),
        ("OBX|1|NM|WBC||1|K/uL|||||F", Value::Null, json!("6690-2")),
        (
            "OBX|1|NM|^^^WBC^WHITE BLOOD CELL||1|10*9/L|||||F",
            Value::Null,
            json!("6690-2"),
        ),
        (
            "OBX|1|NM|X1^own^99Q^2345-7^Glucose^LN||90|mg/dl|||||F",
            Value::Null,
            json!("2345-7"),
        ),
        (
            "OBX|1|NM|^pO2^M||127|mmHg|||||F",
            Value::Null,
            json!("11556-8"),
        ),
        (
            "OBX|1|ED|IMG||^Image^BMP^Base64^Qk0=|||||||F",
            Value::Null,
            Value::Null,
        ),
        ("OBX|1||MDS.VMD|1.0.0.0|||||||X", Value::Null, Value::Null),
    ] {
        let one = &results(obx)[0];
        assert_eq!(
            (&one["held"], &one["mapped"]["loinc"]),
            (&held, &loinc),
            "{obx}"
        );
    }
}

#[test]
fn settings_and_alarms_go_to_the_notes_where_the_channel_names_them() {
    let text = message(
        "ORU^R01",
        "PID|||1\nOBR|1|BAR1|2|CBC\nOBX|1|IS|08001^Take Mode^99MRC||O||||||F\nOBX|2|NM|WBC||1|K/uL\nOBX|3|NM|15051^Low line^99MRC||7\n\
         OBX|4|ED|15008^Picture^99MRC||^Image^BMP^Base64^AAAA",
    )
    .replace('\n', "\r");
    let settings = TranslatorSettings {
        side_types: vec!["IS".into()],
        side_codes: vec!["15*".into()],
        ..TranslatorSettings::default()
    };
    let done = translate_with(settings, text.as_bytes()).unwrap();
    let report = &bodies(&done)[1].1;
    let codes: Vec<&Value> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["code"]["code"])
        .collect();
    assert_eq!(codes, ["WBC", "15008"], "a picture is filed");
    assert_eq!(report["notes"], json!(["Take Mode: O", "Low line: 7"]));
    let plain = translate(text.as_bytes()).unwrap();
    assert_eq!(bodies(&plain)[1].1["results"].as_array().unwrap().len(), 4);
}

#[test]
fn a_number_that_cannot_be_is_filed_as_not_measured_and_shown_as_sent() {
    let text = message(
        "ORU^R01",
        "PID|||1\nOBR|1|BAR1|2|BGA\nOBX|1|ST|^COHb^M||110.4|%||>\nOBX|2|ST|^pO2^M||-3|mmHg||<\nOBX|3|ST|^pO2^M||92.1|mmHg\n\
         OBX|4|ST|^SBE^C||-1.5|mmol/L\nOBX|5|ST|^sO2^M||.....|%",
    )
    .replace('\n', "\r");
    let limits = |codes: &str, high: Option<&str>| Possible {
        codes: vec![codes.into()],
        low: Some("0".into()),
        high: high.map(str::to_owned),
    };
    let settings = TranslatorSettings {
        possible: vec![limits("COHb", Some("100")), limits("pO2", None)],
        ..TranslatorSettings::default()
    };
    settings.check().unwrap();
    let done = translate_with(settings, text.as_bytes()).unwrap();
    let results = bodies(&done)[1].1["results"].as_array().unwrap().clone();
    let of = |result: &Value, name: &str| result["value"][name].clone();
    let seen: Vec<[Value; 3]> = results
        .iter()
        .map(|result| {
            let raw = result["raw_value"].clone();
            [raw, of(result, "number"), of(result, "reason")]
        })
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["110.4", null, "impossible"],
            ["-3", null, "impossible"],
            ["92.1", "92.1", null],
            ["-1.5", "-1.5", null],
            [".....", null, "no_value"],
        ])
    );
    assert_eq!(results[0]["flags"], json!([">"]));
    let nothing = TranslatorSettings {
        possible: vec![Possible::default()],
        ..TranslatorSettings::default()
    };
    assert!(nothing.check().is_err());
}

#[test]
fn notes_belong_to_what_stands_before_them() {
    let all = events(&message(
        "ORU^R01",
        "PID|||1\nNTE|1||about the patient\nOBR|1|||CBC\nNTE|1||about the report~second line\nOBX|1|NM|WBC||1|K/uL\nNTE|1||about WBC\nNTE|2",
    ));
    assert_eq!(
        all[1].1["notes"],
        json!(["about the report", "second line"])
    );
    assert_eq!(all[1].1["results"][0]["notes"], json!(["about WBC"]));
}
