//! Rules of translation, each on a message small enough to read.

use adapter_hl7v2::translate::{Possible, SpecimenSource, TranslatorSettings};
use schemas::integration::TranslationOutcome;
use serde_json::{Value, json};

use crate::translating::{bodies, events, translate, translate_with};

const MSH: &str = "MSH|^~\\&|DEV|LAB|||20260112100000||";

fn message(kind: &str, rest: &str) -> String {
    format!("{MSH}{kind}|7|P|2.5.1\n{rest}")
}

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
fn a_message_is_found_by_each_of_its_orders() {
    let text = message(
        "ORU^R01",
        "PID|||12^^^H^MR\nORC|RE|P1|F1\nOBR|1|P1|F1|CBC^^L\nORC|RE\nOBR|2|P2||GLU^^L\n\
         OBR|3||F3|TSH^^L\nORC|RE||F4\nOBR|4|P1||ESR^^L\nORC|RE|P5",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    assert_eq!(done.keys.order_number.as_deref(), Some("P1"));
    assert_eq!(done.keys.more_orders, ["P2", "F3", "P5"]);
}

#[test]
fn a_result_without_patient_is_held_and_goes_by_its_specimen() {
    let text = message(
        "OUL^R22",
        "PID|1\nSPM|1|S77&HIS\nOBR|1|||TSH\nOBX|1|NM|TSH||2.1|uIU/mL|||||F",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    let all = bodies(&done);
    assert_eq!(all.len(), 1, "nobody to report");
    assert_eq!(all[0].1["results"][0]["held"], "no_patient");
    assert_eq!(all[0].1["results"][0]["mapped"]["loinc"], "3016-3");
    assert_eq!(all[0].1["specimen"]["number"], "S77");
    assert_eq!(done.keys.accession.as_deref(), Some("S77"));
    assert!(!done.events[0].aggregate.contains("S77"), "opaque");
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
fn the_number_on_the_tube_is_looked_for_where_the_channel_says() {
    let text =
        message("ORU^R01", "PID|||1\nOBR|1|BAR1|2|CBC\nOBX|1|NM|WBC||1|K/uL").replace('\n', "\r");
    let settings = TranslatorSettings {
        specimen_number: vec![SpecimenSource::Spm2, SpecimenSource::Obr2],
        ..TranslatorSettings::default()
    };
    let done = translate_with(settings, text.as_bytes()).unwrap();
    assert_eq!(bodies(&done)[1].1["specimen"]["number"], "BAR1");
    let done = translate(text.as_bytes()).unwrap();
    assert_eq!(bodies(&done)[1].1["specimen"], Value::Null, "not guessed");
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

#[test]
fn empty_keeps_and_two_quotes_clear() {
    let all = events(&message("ADT^A31", "PID|||12||Doe^\"\"||\"\"|\"\""));
    let patient = &all[0].1;
    assert_eq!(patient["name"], json!({"family": "Doe"}));
    assert_eq!(patient.get("birth_date"), Some(&Value::Null), "cleared");
    assert_eq!(patient.get("sex"), Some(&Value::Null), "cleared");
    assert_eq!(patient.get("addresses"), None, "kept");
    assert_eq!(patient.get("telecoms"), None, "kept");
}

#[test]
fn the_patient_is_found_in_pid_3_then_2_then_4_and_its_series_by_the_assigner() {
    for (pid, value, system) in [
        ("PID|1|77|~12^^^HOSP^MR|88", "12", "HOSP"),
        ("PID|1|77||88", "77", "mrn"),
        ("PID|1|||F872518654", "F872518654", "mrn"),
        ("PID|1||5^^^&1.2.3&ISO", "5", "1.2.3"),
        ("PID|1||91-1^^^ABDM", "91-1", "abha"),
    ] {
        let all = events(&message("ADT^A28", pid));
        let first = &all[0].1["identifiers"][0];
        assert_eq!(
            (&first["value"], &first["system"]),
            (&json!(value), &json!(system)),
            "{pid}"
        );
    }
}

#[test]
fn triggers_say_what_happened_and_only_visits_make_encounters() {
    for (trigger, action) in [
        ("A01", "admitted"),
        ("A02", "transferred"),
        ("A03", "discharged"),
        ("A04", "registered"),
        ("A05", "preadmitted"),
        ("A08", "updated"),
        ("A11", "admit_cancelled"),
        ("A12", "transfer_cancelled"),
        ("A13", "discharge_cancelled"),
    ] {
        let all = events(&message(
            &format!("ADT^{trigger}"),
            "PID|||1\nPV1|1|I|||||||||||||||||V9",
        ));
        assert_eq!(all[1].1["action"], action);
        assert_eq!(all[1].1["visit_number"], "V9");
    }
    for (trigger, pv1) in [
        ("A28", "PV1|1|I|||||||||||||||||V9"),
        ("A31", "PV1|1|I"),
        ("A08", "PV1|1|N"),
        ("A08", "PV1|1"),
        ("A08", "ZZZ|1"),
    ] {
        let all = events(&message(
            &format!("ADT^{trigger}"),
            &format!("PID|||1\n{pv1}"),
        ));
        assert_eq!(all.len(), 1, "{trigger} {pv1}");
    }
    let account = events(&message(
        "ADT^A01",
        "PID|||1|||||||||||||||ACC7\nPV1|1|I|W1",
    ));
    assert_eq!(account[1].1["visit_number"], "ACC7");
}

#[test]
fn each_pair_of_a_merge_is_its_own() {
    let text = message(
        "ADT^A40^ADT_A39",
        "EVN|A40|20260112\nPID|||1^^^H~2^^^N\nMRG|9^^^H\nPID|||5^^^H\nMRG|6^^^H~7^^^H",
    );
    let all = events(&text);
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "patients.patient.reported",
            "patients.patient.merge_reported",
            "patients.patient.reported",
            "patients.patient.merge_reported"
        ]
    );
    assert_eq!(all[1].1["survivor"].as_array().unwrap().len(), 2);
    assert_eq!(all[1].1["retired"][0]["value"], "9");
    assert_eq!(all[3].1["retired"].as_array().unwrap().len(), 2);
    let itself = events(&message("ADT^A40", "PID|||1^^^H\nMRG|1^^^H"));
    assert_eq!(itself.len(), 1, "a record is not merged into itself");
}

#[test]
fn every_obr_is_an_order_with_its_own_specimens() {
    // Specimen first (O33), and after the order (O21).
    let first = events(&message(
        "OML^O33",
        "PID|||1\nSPM|1|T1||SER\nORC|NW|A\nTQ1|||||||||S\nOBR|1|A||GLU\nORC|NW|B\nOBR|2|B||UREA\nSPM|2|T2||UR\nORC|HD|C\nOBR|3|C||UACR",
    ));
    let after = events(&message(
        "OML^O21",
        "PID|||1\nORC|NW|A\nTQ1|||||||||S\nOBR|1|A||GLU\nSPM|1|T1||SER\nORC|NW|B\nOBR|2|B||UREA\nSPM|1|T1||SER\nORC|HD|C\nOBR|3|C||UACR\nSPM|2|T2||UR",
    ));
    assert_eq!(first.len(), 4);
    for (one, two) in first.iter().zip(&after).skip(1) {
        assert_eq!(one, two);
    }
    assert_eq!(first[1].1["priority"], "stat");
    assert_eq!(first[2].1["priority"], Value::Null);
    assert_eq!(first[2].1["specimens"][0]["number"], "T1");
    assert_eq!(first[3].1["specimens"][0]["number"], "T2");
    assert_eq!(first[3].1["control"], "hold");
    let alone = events(&message("ORM^O01", "PID|||1\nORC|CA|A1\nORC|DC|A2"));
    assert_eq!(alone[1].1["control"], "cancel_request");
    assert_eq!(alone[2].1["control"], "discontinued");
}

#[test]
fn every_group_has_its_own_numbers_and_never_those_of_another() {
    // (what stands behind PID, placer and filler number of each group)
    type Numbers = [Option<&'static str>; 2];
    let table: [(&str, &str, &[Numbers]); 9] = [
        (
            "two groups, all numbers",
            "ORC|RE|P1|F1\nOBR|1|P1|F1|CBC\nOBX|1|NM|WBC||1\nORC|RE|P2|F2\nOBR|2|P2|F2|GLU\nOBX|1|NM|GLU||2",
            &[[Some("P1"), Some("F1")], [Some("P2"), Some("F2")]],
        ),
        (
            "the second has no ORC",
            "ORC|RE|P1|F1\nOBR|1|P1|F1|CBC\nOBX|1|NM|WBC||1\nOBR|2|P2|F2|GLU\nOBX|1|NM|GLU||2",
            &[[Some("P1"), Some("F1")], [Some("P2"), Some("F2")]],
        ),
        (
            "the second has no ORC and a filler number alone",
            "ORC|RE|P1|F1\nOBR|1|P1|F1|CBC\nOBX|1|NM|WBC||1\nOBR|2||F2|GLU\nOBX|1|NM|GLU||2",
            &[[Some("P1"), Some("F1")], [None, Some("F2")]],
        ),
        (
            "the second has no ORC and a placer number alone",
            "ORC|RE|P1|F1\nOBR|1|||CBC\nOBX|1|NM|WBC||1\nOBR|2|P2||GLU\nOBX|1|NM|GLU||2",
            &[[Some("P1"), Some("F1")], [Some("P2"), None]],
        ),
        (
            "the first has no ORC",
            "OBR|1||F1|CBC\nOBX|1|NM|WBC||1\nORC|RE|P2|F2\nOBR|2|||GLU\nOBX|1|NM|GLU||2",
            &[[None, Some("F1")], [Some("P2"), Some("F2")]],
        ),
        (
            "an own ORC with one number is completed by its own OBR",
            "ORC|RE|P1|F1\nOBR|1|||CBC\nOBX|1|NM|WBC||1\nORC|RE|P2\nOBR|2||F2|GLU\nOBX|1|NM|GLU||2",
            &[[Some("P1"), Some("F1")], [Some("P2"), Some("F2")]],
        ),
        (
            "an own ORC without numbers leaves none of the first",
            "ORC|RE|P1|F1\nOBR|1|||CBC\nOBX|1|NM|WBC||1\nORC|RE\nOBR|2||F2|GLU\nOBX|1|NM|GLU||2",
            &[[Some("P1"), Some("F1")], [None, Some("F2")]],
        ),
        (
            "three, the middle one with nothing but OBR-3",
            "ORC|RE|P1|F1\nOBR|1|P1|F1|A\nOBX|1|NM|A||1\nOBR|2||F2|B\nOBX|1|NM|B||2\nORC|RE|P3|F3\nOBR|3|||C\nOBX|1|NM|C||3",
            &[
                [Some("P1"), Some("F1")],
                [None, Some("F2")],
                [Some("P3"), Some("F3")],
            ],
        ),
        (
            "one order of several tests, which have no numbers of their own",
            "ORC|RE|P1|F1\nOBR|1|||A\nOBX|1|NM|A||1\nOBR|2|||B\nOBX|1|NM|B||2",
            &[[Some("P1"), Some("F1")], [Some("P1"), Some("F1")]],
        ),
    ];
    let numbers = |kind: &str, rest: &str| -> Vec<[Option<String>; 2]> {
        events(&message(kind, &format!("PID|||12^^^H^MR\n{rest}")))
            .iter()
            .filter(|(name, _)| *name != "patients.patient.reported")
            .map(|(_, body)| {
                ["placer_number", "filler_number"].map(|n| body[n].as_str().map(str::to_owned))
            })
            .collect()
    };
    for (what, rest, expected) in table {
        let expected: Vec<_> = expected
            .iter()
            .map(|group| group.map(|number| number.map(str::to_owned)))
            .collect();
        assert_eq!(numbers("ORU^R01", rest), expected, "results: {what}");
        let orders: String = rest
            .replace("|RE", "|NW")
            .lines()
            .filter(|line| !line.starts_with("OBX"))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(numbers("ORM^O01", &orders), expected, "orders: {what}");
    }
    // an ORC behind its OBR (OUL)
    assert_eq!(
        numbers(
            "OUL^R22",
            "SPM|1|T1||SER\nOBR|1|||A\nORC|RE|P1|F1\nOBX|1|NM|A||1\nOBR|2||F2|B\nOBX|1|NM|B||2\nOBR|3|||C\nORC|RE|P3\nOBX|1|NM|C||3"
        ),
        [
            [Some("P1".into()), Some("F1".into())],
            [None, Some("F2".to_owned())],
            [Some("P3".into()), None],
        ]
    );
}

#[test]
fn prior_results_in_an_order_are_not_ordered_again() {
    let text = message(
        "OML^O21",
        "PID|||1\nORC|NW|A\nOBR|1|A||GLU\nPID|||1\nORC|PR|Z\nOBR|1|Z||OLD\nOBX|1|NM|GLU||90\nORC|NW|B\nOBR|1|B||UREA",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    let placers: Vec<_> = bodies(&done)
        .iter()
        .filter_map(|(_, b)| b["placer_number"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(placers, ["A", "B"]);
    assert!(done.unmapped.contains(&"OBX".to_owned()));
}

#[test]
fn zeros_and_check_digits_are_no_part_of_the_number_where_the_channel_says_so() {
    let text = message(
        "ORU^R01",
        "PID|||1\nSPM|1|00047118||SER\nOBR|1|||GLU\nOBX|1|NM|GLU||98",
    );
    let number = |settings: TranslatorSettings| {
        let done = translate_with(settings, text.replace('\n', "\r").as_bytes()).unwrap();
        let report = bodies(&done).pop().unwrap().1;
        report["specimen"]["number"].as_str().unwrap().to_owned()
    };
    assert_eq!(number(TranslatorSettings::default()), "00047118");
    let tube = toml::from_str("leading_zeros = \"drop\"\ncheck_digits = 1").unwrap();
    assert_eq!(
        number(TranslatorSettings {
            tube,
            ..TranslatorSettings::default()
        }),
        "4711"
    );
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

#[test]
fn what_no_event_carries_is_listed() {
    let text = message(
        "ORU^R01",
        "PID|||1||||||||||||||||SSN\nNTE|1||x\nOBX|1|NM|EARLY||1\nOBR|1|||CBC|||||||||||||||||||HM\nOBX|1|NM|WBC||1|K/uL|||||||||TECH\nZPD|1|x\nZZ1",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    assert_eq!(
        done.unmapped,
        ["PID-19", "NTE", "OBX", "OBR-23", "OBX-15", "ZPD"]
    );
    assert!(
        done.notes
            .iter()
            .any(|n| n.contains("1 OBX stand before the first OBR"))
    );
}

#[test]
fn results_without_any_obr_are_one_report() {
    let all = events(&message(
        "ORU^R01",
        "PID|||1\nOBX|1|NM|WBC||1|K/uL\nOBX|2|NM|RBC||4|M/uL",
    ));
    assert_eq!(all[1].1["results"].as_array().unwrap().len(), 2);
}

#[test]
fn two_patients_in_one_result_message_are_kept_apart() {
    let all = events(&message(
        "ORU^R01",
        "PID|||1\nOBR|1|||A\nOBX|1|NM|WBC||1|K/uL\nPID|||2\nOBR|1|||B\nOBX|1|NM|WBC||2|K/uL",
    ));
    let subjects: Vec<_> = all
        .iter()
        .filter(|(name, _)| *name == "lis.result.received")
        .map(|(_, b)| b["subject"]["value"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(subjects, ["1", "2"]);
}

#[test]
fn times_that_cannot_be_are_listed_and_not_used() {
    let text = message(
        "ADT^A08",
        "EVN|A08|99991231\nPID|||1||||18001332\nPV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||00000000|20260230",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    let all = bodies(&done);
    assert_eq!(
        all[0].1["occurred_at"], "2026-01-12T10:00:00+05:30",
        "MSH-7 instead"
    );
    assert_eq!(all[0].1.get("birth_date"), None);
    assert_eq!(all[1].1.get("admitted_at"), None, "a placeholder");
    assert_eq!(all[1].1.get("discharged_at"), None);
    assert_eq!(done.unmapped, ["EVN-2", "PID-7", "PV1-45"]);
}

#[test]
fn other_types_are_kept_with_their_keys() {
    let done = translate(
        message("SIU^S12", "SCH|1\nPID|||12")
            .replace('\n', "\r")
            .as_bytes(),
    )
    .unwrap();
    assert_eq!(done.outcome, TranslationOutcome::NotTranslated);
    assert!(done.events.is_empty());
    assert_eq!(done.keys.message_type.as_deref(), Some("SIU^S12"));
    assert_eq!(done.keys.patient_number.as_deref(), Some("12"));
    assert_eq!(done.keys.control_id.as_deref(), Some("7"));
}

#[test]
fn one_bad_message_does_not_disturb_the_batch() {
    let good = message("ADT^A28", "PID|||1");
    let text =
        format!("BHS|^~\\&\n{good}\nMSH|^^\\&|bad|\nPID|||2\n{good}\nBTS|3").replace('\n', "\r");
    let done = translate(text.as_bytes()).unwrap();
    assert_eq!(done.events.len(), 2);
    assert!(
        done.notes
            .iter()
            .any(|n| n.starts_with("message 2 of 3 refused: hl7.separators")),
        "{:?}",
        done.notes
    );
    let none = translate(b"BHS|^~\\&\rMSH|^^\\&|bad|\rBTS|1\r").unwrap_err();
    assert_eq!(none.refusal.code, "hl7.separators");
}

#[test]
fn a_version_is_refused_only_where_the_channel_says_so() {
    let text = format!("{MSH}ADT^A28|7|P|3.9\rPID|||1");
    assert!(translate(text.as_bytes()).is_ok());
    let strict = TranslatorSettings {
        accept_any_version: false,
        ..TranslatorSettings::default()
    };
    let refused = translate_with(strict, text.as_bytes()).unwrap_err();
    assert_eq!(refused.refusal.code, "hl7.version");
    assert_eq!(refused.keys.control_id.as_deref(), Some("7"));
}
