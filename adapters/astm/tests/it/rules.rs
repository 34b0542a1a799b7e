//! What the translator says of single messages: values of public samples, and bad input made by hand.

use std::fs;

use adapter_astm::settings::{AuColumns, Dialect, FieldPath, Mode};
use adapter_link::{LeadingZeros, TubeNumbers};
use serde_json::{Value, json};

use crate::corpus;
use crate::translating::{body, reports, translate, translate_with};

fn path(text: &str) -> FieldPath {
    FieldPath::try_from(text.to_owned()).unwrap()
}

/// The reports of a sample that holds records only.
fn sample(name: &str, dialect: Dialect) -> Option<Vec<Value>> {
    let bytes = fs::read(corpus::folder()?.join("lab").join(name)).unwrap();
    let done = translate_with(Mode::E1381, dialect, &bytes);
    Some(reports(
        &done.unwrap_or_else(|r| panic!("{name}: {}", r.refusal)),
    ))
}

fn result<'r>(report: &'r Value, code: &str) -> &'r Value {
    let all = report["results"].as_array().unwrap();
    all.iter().find(|r| r["code"]["code"] == code).unwrap()
}

#[test]
fn a_sysmex_count_is_coded_and_goes_by_its_tube() {
    let dialect = Dialect {
        specimen: vec![path("O.4.3")],
        ..Dialect::default()
    };
    let Some(found) = sample("lab_lis/xp_100_2024-08-02_17-25-53", dialect) else {
        return;
    };
    let report = &found[0];
    assert_eq!(report["specimen"], json!({"number": "5562071"}));
    assert_eq!(
        report["code"],
        json!({}),
        "twenty tests have no common name"
    );
    let wbc = result(report, "WBC");
    assert_eq!(wbc["value"], json!({"kind": "quantity", "number": "9.6"}));
    assert_eq!(wbc["mapped"]["loinc"], "6690-2");
    assert_eq!(wbc["held"], "no_patient");
    assert_eq!(wbc["observed_at"], "2024-07-31T12:03:34+05:30");
    let pdw = result(report, "PDW");
    assert_eq!(
        pdw["value"],
        json!({"kind": "absent", "reason": "no_value"})
    );
    assert_eq!(pdw["flags"], json!(["A"]));
    // the line that the logger broke is whole again
    assert_eq!(
        result(report, "MXD#")["observed_at"],
        "2024-07-31T12:03:34+05:30"
    );
}

#[test]
fn an_architect_tells_result_interpretation_and_raw_apart() {
    let dialect = Dialect {
        line_kind: Some(path("R.3.11")),
        side_kinds: vec!["P".to_owned()],
        ..Dialect::default()
    };
    let Some(found) = sample("transcribed/abbott-architect-multi.astm", dialect) else {
        return;
    };
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["specimen"]["number"], "276056250158121");
    assert_eq!(
        found[0]["code"],
        json!({"code": "580", "text": "Anti-HBcII"})
    );
    let results = found[0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(
        (&results[0]["sub_id"], &results[0]["value"]["number"]),
        (&json!("F"), &json!("0.15"))
    );
    assert_eq!(
        (&results[1]["sub_id"], &results[1]["value"]["text"]),
        (&json!("I"), &json!("Nonreactive"))
    );
    assert_eq!(
        results[1]["notes"],
        json!(["P: 1277 RLU"]),
        "the raw signal is kept beside them"
    );
    assert_eq!(results[0]["status"], "F", "R is a repeat of a final result");
}

#[test]
fn decimal_commas_and_comparators_become_numbers() {
    let dialect = Dialect {
        specimen: vec![path("P.4")],
        patient: Vec::new(),
        decimal_comma: true,
        ..Dialect::default()
    };
    let Some(found) = sample("go-astm/sampleigg.astm", dialect) else {
        return;
    };
    assert_eq!(found.len(), 20);
    assert_eq!(
        found[0]["results"][0]["value"],
        json!({"kind": "quantity", "comparator": ">", "number": "8"})
    );
    assert_eq!(
        found[1]["results"][0]["value"],
        json!({"kind": "quantity", "number": "7.41"})
    );
    assert_eq!(found[1]["specimen"]["number"], "TEST-27-077-5-1");
}

#[test]
fn a_named_patient_is_mentioned_and_her_results_wait_for_their_codes_only() {
    let done = translate(
        Dialect::default(),
        "H|\\^&|||XN^1||||HUB||P|LIS2-A2|20240731120334\n\
         P|1|MRN7|||Rao^Sita^K||19800517|F\n\
         O|1|T1||^^^WBC|R||20240731110000||||N||||BLD|||||||20240731120400|||F\n\
         R|1|^^^WBC|7.4|10*3/uL|4.0 to 10.0|N||F||op^chief|20240731120000|20240731120334|XN-1\n\
         C|1|I|clumps^seen|I\n\
         R|2|^^^NOSUCH|1|mg/dL|||||\n\
         R|3|^^^HGB|14|furlong||||F\n\
         L|1|N",
    )
    .unwrap();
    let names: Vec<_> = done.events.iter().map(|e| e.name).collect();
    assert_eq!(names, ["patients.patient.reported", "lis.result.received"]);
    let person = body(&done.events[0]);
    assert_eq!(
        person["name"],
        json!({"family": "Rao", "given": ["Sita", "K"]})
    );
    assert_eq!(
        (&person["birth_date"], &person["sex"]),
        (&json!("1980-05-17"), &json!("female"))
    );
    assert_eq!(
        done.events[0].aggregate, done.events[1].aggregate,
        "one lane for both"
    );
    let report = &reports(&done)[0];
    assert_eq!(report["code"], json!({"code": "WBC"}));
    assert_eq!(report["observed_at"], "2024-07-31T11:00:00+05:30");
    assert_eq!(report["issued_at"], "2024-07-31T12:04:00+05:30");
    assert_eq!(report["specimen"]["kind"], json!({"code": "BLD"}));
    let wbc = result(report, "WBC");
    assert_eq!(wbc.get("held"), None);
    assert_eq!(
        wbc["range"],
        json!({"text": "4.0 to 10.0", "low": "4.0", "high": "10.0"})
    );
    assert_eq!(
        (&wbc["notes"], &wbc["device"]),
        (&json!(["clumps seen"]), &json!("XN-1"))
    );
    assert_eq!(result(report, "NOSUCH")["held"], "unknown_code");
    assert_eq!(result(report, "HGB")["held"], "unknown_unit");
    assert_eq!(done.keys.patient_number.as_deref(), Some("MRN7"));
    assert_eq!(done.keys.accession.as_deref(), Some("T1"));
    assert_eq!(done.keys.message_type.as_deref(), Some("ASTM R"));
}

#[test]
fn alarms_go_to_the_notes_and_a_power_of_ten_keeps_its_exponent() {
    let dialect: Dialect = Dialect {
        side_codes: vec!["SCAT_*".into(), "Anemia".into()],
        ..Dialect::default()
    };
    let text = "H|\\^&\nP|1|MRN7\nO|1|T1\nR|1|^^^WBC|7.4|10^3/uL||N||F\nR|2|^^^Anemia||||A||F\nR|3|^^^SCAT_WDF|a.PNG||||F\nL|1";
    let done = translate(dialect, text).unwrap();
    let report = &reports(&done)[0];
    assert_eq!(report["results"].as_array().unwrap().len(), 1);
    let wbc = result(report, "WBC");
    assert_eq!(
        (&wbc["unit"], &wbc["mapped"]["ucum"]),
        (&json!("10^3/uL"), &json!("10*3/uL"))
    );
    assert_eq!(report["notes"], json!(["Anemia: A", "SCAT_WDF: a.PNG"]));
    assert_eq!(done.unmapped, [""; 0], "they are read");
}

#[test]
fn nameless_and_numberless_samples_are_held_and_typed_names_are_numbers_of_nobody() {
    let done = translate(
        Dialect::default(),
        "H|\\^&\nP|1\nO|1|||^^^WBC\nR|1|^^^WBC|7.4|10*3/uL||N||F\nO|2|Sita Rao||^^^WBC\nR|1|^^^WBC|7.4|10*3/uL||N||F\nL|1",
    )
    .unwrap();
    let found = reports(&done);
    assert_eq!(found[0].get("specimen"), None);
    assert_eq!(found[1]["specimen"]["number"], "Sita Rao");
    for report in &found {
        assert_eq!(report.get("subject"), None);
        assert_eq!(report["results"][0]["held"], "no_patient");
    }
    // the name must not leave the event: notes and keys that are logged or shown in lists carry none
    assert_eq!(done.notes, [""; 0]);
}

#[test]
fn yesterdays_results_under_a_new_control_id_say_the_same() {
    let message = |control: &str, time: &str| {
        format!(
            "H|\\^&|{control}||XN|||||||P|1|{time}\nP|1\nO|1|T1||^^^WBC\nR|1|^^^WBC|7.4|10*3/uL||N||F||||20240731120334\nL|1"
        )
    };
    let one = translate(Dialect::default(), &message("1", "20240731120334")).unwrap();
    let two = translate(Dialect::default(), &message("99", "20240801090000")).unwrap();
    let (mut first, mut second) = (reports(&one)[0].clone(), reports(&two)[0].clone());
    first["occurred_at"].take();
    second["occurred_at"].take();
    assert_eq!(
        first, second,
        "the worker finds the same report and changes nothing"
    );
    // R.9 R: sent before, final
    let again = message("2", "20240801090000").replace("||F||||", "||R||||");
    let again = translate(Dialect::default(), &again).unwrap();
    assert_eq!(reports(&again)[0]["results"][0]["status"], "F");
    assert_eq!(again.notes, ["1 results are marked as sent before (R.9 R)"]);
}

#[test]
fn controls_are_never_filed_on_a_person() {
    for text in [
        "H|\\^&\nP|1|MRN7\nO|1|LOT9||^^^WBC|||||||Q\nR|1|^^^WBC|7.4|10*3/uL||N||F\nL|1",
        "H|\\^&||||||||||Q\nP|1|MRN7\nO|1|LOT9||^^^WBC\nR|1|^^^WBC|7.4|10*3/uL||N||F\nL|1",
        "H|\\^&\nP|1|MRN7|||||||||Q\nO|1|LOT9||^^^WBC\nR|1|^^^WBC|7.4|10*3/uL||N||F\nL|1",
        "H|\\^&\nP|1|MRN7\nO|1|LOT9|^1^2^^^QC|^^^WBC\nR|1|^^^WBC|7.4|10*3/uL||N||F\nL|1",
    ] {
        let done = translate(Dialect::default(), text).unwrap();
        assert_eq!(done.events.len(), 1, "nobody is registered: {text}");
        let report = &reports(&done)[0];
        assert_eq!(report["specimen"]["role"], "Q", "{text}");
        assert_eq!(report.get("subject"), None, "{text}");
    }
}

#[test]
fn repeats_runs_and_patients_each_keep_their_own() {
    let done = translate(
        Dialect::default(),
        "H|\\^&\nP|1|A\nO|1|T1||^^^K\nR|1|^^^K|4.1|mmol/L||||F\nR|2|^^^K|4.2|mmol/L||||C\nP|2|B\nO|1|T2||^^^K\nR|1|^^^K|5|mmol/L||||F\nR|2|^^^NA|\"\"|mmol/L||||X\nL|1",
    )
    .unwrap();
    let found = reports(&done);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["subject"]["value"], "A");
    assert_eq!(found[1]["subject"]["value"], "B");
    let statuses: Vec<_> = found[0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["status"].clone())
        .collect();
    assert_eq!(statuses, ["F", "C"]);
    assert_eq!(found[1]["results"][1]["value"]["reason"], "deleted");
}

#[test]
fn a_batch_of_messages_is_translated_one_by_one_and_a_bad_one_is_said() {
    let done = translate(
        Dialect::default(),
        "H|\\^&\nO|1|T1||^^^K\nR|1|^^^K|4.1|mmol/L||||F\nL|1\nH|\\^&\nQ|1|GLU^LOT^NORMAL|102.5|mg/dL|20250115060100|N\nL|1",
    )
    .unwrap();
    assert_eq!(reports(&done).len(), 1);
    assert!(
        done.notes
            .iter()
            .any(|n| n.starts_with("message 2 of 2 refused: astm.not_a_query"))
    );
}

#[test]
fn what_is_no_record_is_refused_with_a_reason() {
    for (text, code) in [
        ("P|1\nR|1|^^^K|4|mmol/L", "astm.no_header"),
        ("mtrsl|pi|pn", "astm.no_header"),
        ("", "astm.no_header"),
        (
            "H|\\^&\nQ|1|GLU^LOT^NORMAL|102.5|mg/dL|20250115060100|N\nL|1",
            "astm.not_a_query",
        ),
    ] {
        let refused = translate(Dialect::default(), text).unwrap_err();
        assert_eq!(refused.refusal.code, code, "{text}");
    }
}

#[test]
fn an_au_block_is_read_by_its_columns_or_not_at_all() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let bytes = fs::read(folder.join("lab/lab_lis/au_480_2024-02-19-17-48-14-246703")).unwrap();
    let done = translate_with(Mode::Au, Dialect::default(), &bytes).unwrap();
    let report = &reports(&done)[0];
    assert_eq!(report["specimen"]["number"], "U1449");
    let found: Vec<_> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                r["code"]["code"].as_str().unwrap(),
                r["value"]["number"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [("097", "146.23"), ("098", "4.31"), ("099", "109.55")]
    );
    assert_eq!(done.notes, ["3 results are marked as sent before (r)"]);
    // the same without the mark is the same report
    let first = fs::read(folder.join("lab/lab_lis/au_480_2024-02-19-15-58-01-016562")).unwrap();
    let first = translate_with(Mode::Au, Dialect::default(), &first).unwrap();
    assert_eq!(&reports(&first)[0], report);
    let narrow = Dialect {
        au: AuColumns {
            id: 20,
            ..AuColumns::default()
        },
        ..Dialect::default()
    };
    let refused = translate_with(Mode::Au, narrow, &bytes).unwrap_err();
    assert_eq!(
        refused.refusal.code, "astm.au_columns",
        "a wrong id is worse than none"
    );
}

#[test]
fn a_dimension_block_is_filed_only_when_its_count_is_right() {
    let block =
        |content: &str| format!("\u{2}{}00\u{3}", content.replace('|', "\u{1c}")).into_bytes();
    let good = block("R|0|RAO SITA|S77|1|ICU|0|451523010124|1|1|2|GLU|98|mg/dL||NA|----|mmol/L|5|");
    let done = translate_with(Mode::Dimension, Dialect::default(), &good).unwrap();
    let report = &reports(&done)[0];
    assert_eq!(report["specimen"]["number"], "S77");
    let glucose = result(report, "GLU");
    assert_eq!(
        (&glucose["value"]["number"], &glucose["mapped"]["loinc"]),
        (&json!("98"), &json!("2345-7"))
    );
    assert_eq!(glucose["observed_at"], "2024-01-01T23:15:45+05:30");
    let sodium = result(report, "NA");
    assert_eq!(
        (&sodium["value"]["kind"], &sodium["flags"]),
        (&json!("absent"), &json!(["5"]))
    );
    assert_eq!(report.get("subject"), None, "a name is no number");
    let short = block("R|0|X|S77|1|ICU|0|451523010124|1|1|3|GLU|98|mg/dL||");
    let refused = translate_with(Mode::Dimension, Dialect::default(), &short).unwrap_err();
    assert_eq!(refused.refusal.code, "astm.dimension_count");
}

#[test]
fn a_dimension_marks_its_controls_by_sample_type_or_priority_and_pads_its_times_with_blanks() {
    let block =
        |content: &str| format!("\u{2}{}00\u{3}", content.replace('|', "\u{1c}")).into_bytes();
    let read = |kind: &str, priority: &str, time: &str| {
        let text = format!("R|0|LEVEL 1|QC1|{kind}||{priority}|{time}|1|1|1|GLU|98|mg/dL||");
        let done = translate_with(Mode::Dimension, Dialect::default(), &block(&text)).unwrap();
        reports(&done)[0].clone()
    };
    for (kind, priority, role) in [
        ("1", "0", None),
        ("4", "1", None),
        ("W", "2", None),
        ("5", "0", Some("Q")),
        ("7", "0", Some("Q")),
        ("9", "0", Some("Q")),
        ("1", "3", Some("Q")),
        ("2", "4", Some("Q")),
    ] {
        let report = read(kind, priority, "000012010124");
        assert_eq!(
            report["specimen"]["role"].as_str(),
            role,
            "type {kind}, priority {priority}"
        );
    }
    for (time, at) in [
        ("451523010124", Some("2024-01-01T23:15:45+05:30")),
        ("4515 9 1 124", Some("2024-01-01T09:15:45+05:30")),
        (" 5 423311223", Some("2023-12-31T23:04:05+05:30")),
        ("4515230101", None),
        ("451523019924", None),
        ("", None),
    ] {
        let report = read("1", "0", time);
        assert_eq!(report["results"][0]["observed_at"].as_str(), at, "{time:?}");
    }
}

#[test]
fn results_that_an_au_measured_again_are_results() {
    for begin in ["D ", "d ", "DH", "dH"] {
        let text = format!(
            "\u{2}{begin}000801 0006{:>26}    E0     097   146.23        \u{3}",
            "U1450"
        );
        let done = translate_with(Mode::Au, Dialect::default(), text.as_bytes()).unwrap();
        let report = &reports(&done)[0];
        assert_eq!(report["specimen"]["number"], "U1450", "{begin}");
        assert_eq!(report["results"][0]["value"]["number"], "146.23");
    }
}

#[test]
fn the_number_on_a_tube_is_as_orders_have_it_in_every_form_of_result() {
    let dialect = Dialect {
        tube: TubeNumbers {
            leading_zeros: LeadingZeros::Drop,
            check_digits: 1,
        },
        ..Dialect::default()
    };
    let au = format!(
        "\u{2}D 000801 0006{:>26}    E0     097   146.23        \u{3}",
        "00047118"
    );
    let dimension =
        "\u{2}R|0|X|00047118|1||0|451523010124|1|1|1|GLU|98|mg/dL||00\u{3}".replace('|', "\u{1c}");
    let records = "H|\\^&\rP|1\rO|1|00047118||^^^GLU\rR|1|^^^GLU|98|mg/dL\rL|1|N\r";
    for (mode, text) in [
        (Mode::Au, au.as_str()),
        (Mode::Dimension, dimension.as_str()),
        (Mode::Bare, records),
    ] {
        let done = translate_with(mode, dialect.clone(), text.as_bytes()).unwrap();
        assert_eq!(reports(&done)[0]["specimen"]["number"], "4711", "{mode:?}");
    }
}
