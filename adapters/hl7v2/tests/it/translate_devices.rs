//! Rules of messages of bedside devices and of the point of care.

use adapter_hl7v2::translate::{Observations, TranslatorSettings};
use schemas::integration::TranslationOutcome;
use serde_json::{Value, json};

use crate::translating::{bodies, events, translate, translate_with};

const MSH: &str = "MSH|^~\\&|CENTRAL^0009FB0A0B0C0D0E^EUI-64||||20260113081501+0530||";
const PROFILE: &str = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO";

fn message(rest: &str) -> String {
    format!(
        "{MSH}ORU^R01^ORU_R01|7|P|2.6|||AL|NE|||||{PROFILE}\nPID|||\nPV1||I|ICU^^5\n\
         OBR|1||F|182777000^monitoring of patient^SCT|||20260113081500+0530\n{rest}"
    )
}

fn vitals(rest: &str) -> Value {
    let all = events(&message(rest));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, "clinical.vitals.observed");
    all[0].1.clone()
}

fn observations(rest: &str) -> Vec<Value> {
    vitals(rest)["observations"].as_array().unwrap().clone()
}

/// One heart rate as `code`, so that a message with nothing else to say has an event.
const RATE: &str =
    "OBX|9|NM|147842^MDC_ECG_HEART_RATE^MDC|1.2.1.1|86|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R";

#[test]
fn what_stands_for_no_value_is_dropped_and_counted_and_real_values_are_not() {
    for (row, kept) in [
        ("NM|147842^^MDC|1|8388607|264864^^MDC|||||R", false),
        ("NM|147842^^MDC|1|-999|264864^^MDC|||||R", false),
        ("NM|147842^^MDC|1|-99.90|264864^^MDC|||||R", false),
        ("NM|147842^^MDC|1|-100.00|264864^^MDC|||||R", false),
        ("NM|147842^^MDC|1||264864^^MDC|||||X", false),
        ("NM|147842^^MDC|1|80|264864^^MDC|||||X", false),
        ("NM|147842^^MDC|1|---|264864^^MDC|||||R", false),
        ("NM|150344^^MDC|1|0|268192^^MDC|||||R", false),
        ("NM|150344^^MDC|1|0.00|268192^^MDC|||||R", false),
        // no beat in a minute, and a negative pressure, are values
        ("NM|147842^^MDC|1|0|264864^^MDC|||||R", true),
        ("NM|150087^^MDC|1|-2|266016^^MDC|||||R", true),
        ("NM|147842^^MDC|1|99.9|264864^^MDC|||||R", true),
        // taken back: that is news even without a value
        ("NM|147842^^MDC|1||264864^^MDC|||||W", true),
    ] {
        let text = message(&format!("{RATE}\nOBX|10|{row}"));
        let translation = translate(text.replace('\n', "\r").as_bytes()).unwrap();
        let count = bodies(&translation)[0].1["observations"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(count, if kept { 2 } else { 1 }, "{row}");
        let noted = translation
            .notes
            .contains(&"vitals: 1 values that mean there is none, dropped".to_owned());
        assert_eq!(noted, !kept, "{row}: {:?}", translation.notes);
    }
}

#[test]
fn a_site_may_add_what_its_monitors_send_for_no_value() {
    let settings = TranslatorSettings {
        no_value: vec!["511".to_owned()],
        ..TranslatorSettings::default()
    };
    assert!(settings.check().is_ok());
    let wrong = TranslatorSettings {
        no_value: vec!["none".to_owned()],
        ..TranslatorSettings::default()
    };
    assert!(wrong.check().unwrap_err().to_string().contains("`none`"));
    let text = message(&format!(
        "{RATE}\nOBX|10|NM|147842^^MDC|2|511|264864^^MDC|||||R"
    ));
    let translation = translate_with(settings, text.replace('\n', "\r").as_bytes()).unwrap();
    let body = &bodies(&translation)[0].1;
    assert_eq!(body["observations"].as_array().unwrap().len(), 1);
}

#[test]
fn parts_of_a_device_contain_by_their_place_and_are_no_measurements() {
    let rows = observations(
        "OBX|1||69965^MDC_DEV_MON_MDS^MDC|1.0.0.0|||||||X|||||||Mon^^0009FB0A0B0C0001^EUI-64\n\
         OBX|2||69642^MDC_DEV_SAT_VMD^MDC|1.1.0.0|||||||X\n\
         OBX|3|NM|150456^^MDC|1.1.1.7|96|262688^^MDC|||||R\n\
         OBX|4|NM|150456^^MDC|1.10.1.7|95|262688^^MDC|||||R\n\
         OBX|5|NM|150456^^MDC|1.1.1.8|94|262688^^MDC|||||R|||||||0009FB0A0B0C0002^^0009FB0A0B0C0002^EUI-64",
    );
    let seen: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["container"]["text"].as_str().unwrap(),
                row["device"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("MDC_DEV_SAT_VMD", "Mon^0009FB0A0B0C0001"),
            // 1.10 is not below 1.1
            ("MDC_DEV_MON_MDS", "Mon^0009FB0A0B0C0001"),
            ("MDC_DEV_SAT_VMD", "0009FB0A0B0C0002"),
        ]
    );
}

#[test]
fn a_row_has_its_own_time_else_that_of_the_report_else_of_the_message() {
    let rows = observations(
        "OBX|1|NM|147842^^MDC|1|80|264864^^MDC|||||R|||20260113080000+0530\nOBX|2|NM|147842^^MDC|2|81|264864^^MDC|||||R",
    );
    assert_eq!(rows[0]["observed_at"], "2026-01-13T08:00:00+05:30");
    assert_eq!(rows[0]["timed_by"], "observation");
    assert_eq!(rows[1]["observed_at"], "2026-01-13T08:15:00+05:30");
    assert_eq!(rows[1]["timed_by"], "report");
    // rows alone, as a monitor's own interface sends them
    let settings = TranslatorSettings {
        observations: Observations::MindrayMonitor,
        ..TranslatorSettings::default()
    };
    let bare = "MSH|^~\\&|||||||ORU^R01|204|P|2.3.1|\rOBX||NM|101^HR|2101|60||||||F\r";
    let translation = translate_with(settings, bare.as_bytes()).unwrap();
    assert_eq!(translation.events[0].occurred_at, None);
    let row = &bodies(&translation)[0].1["observations"][0];
    assert_eq!(row["timed_by"], "arrival");
    assert!(row.get("observed_at").is_none());
    assert_eq!(row["mapped"]["loinc"], "8867-4");
}

#[test]
fn a_unit_is_taken_in_whichever_of_its_forms_the_tables_know_and_never_guessed() {
    let unit = |field: &str| {
        let row = &observations(&format!("OBX|1|NM|147842^^MDC|1|80|{field}|||||R"))[0];
        (row["mapped"]["ucum"].clone(), row["held"].clone())
    };
    assert_eq!(
        unit("264864^MDC_DIM_BEAT_PER_MIN^MDC"),
        (json!("/min"), Value::Null)
    );
    assert_eq!(
        unit("999999^MDC_X^MDC^/min^^UCUM"),
        (json!("/min"), Value::Null)
    );
    assert_eq!(unit("/min"), (json!("/min"), Value::Null));
    assert_eq!(
        unit("268192^MDC_DIM_DEGC^MDC"),
        (Value::Null, json!("unknown_unit"))
    );
    assert_eq!(unit(""), (Value::Null, json!("unknown_unit")));
    // kilopascal is converted, Fahrenheit can't be by a factor
    let rows = observations(
        "OBX|1|NM|150021^^MDC|1|16|265987^^MDC|||||R\nOBX|2|NM|150344^^MDC|2|98.6|266560^^MDC|||||R",
    );
    assert_eq!(rows[0]["mapped"]["factor"], "7.5006");
    assert_eq!(rows[1]["held"], "unknown_unit");
}

#[test]
fn beds_are_read_in_the_forms_that_monitors_write() {
    for (pv1, ward, bed) in [
        ("ICU^^5", json!("ICU"), json!("5")),
        ("^^ICU&Bed5&3232241659&0&0", json!("ICU"), json!("Bed5")),
        ("^^&24", Value::Null, json!("24")),
        ("ICU^B1^B1^GE_BLR_LAB", json!("ICU"), json!("B1")),
    ] {
        let text = message(RATE).replace("ICU^^5", pv1);
        let place = events(&text)[0].1["location"].clone();
        assert_eq!(
            (&place["point_of_care"], &place["bed"]),
            (&ward, &bed),
            "{pv1}"
        );
    }
}

#[test]
fn a_monitor_registers_nobody_and_its_lane_is_the_bed_also_without_pid() {
    let with = message(RATE).replace("PID|||", "PID|||4711^^^H^MR||Doe^John");
    let all = events(&with);
    assert_eq!(all.len(), 1, "no patient is reported");
    assert_eq!(all[0].1["subject"]["value"], "4711");
    let lane = |text: &str| {
        translate(text.replace('\n', "\r").as_bytes())
            .unwrap()
            .events[0]
            .aggregate
            .clone()
    };
    let without = message(RATE).replace("PID|||\n", "");
    assert_eq!(lane(&with), lane(&without));
    assert_eq!(lane(&with), lane(&message(RATE).replace("ICU^^5", "icu^5")));
}

#[test]
fn laboratory_results_and_interrogations_stay_what_they_were() {
    let lab = "MSH|^~\\&|LAB|A|||20260112||ORU^R01|7|P|2.5.1\nPID|||12^^^H^MR\nOBR|1|P1|F1|CBC^^L\nOBX|1|NM|WBC^^L||7|10*3/uL|||||F";
    assert_eq!(events(lab)[1].0, "lis.result.received");
    let implanted = "MSH|^~\\&|X||||20260112||ORU^R01|7|P|2.6|||||||||IHE_PCD_ORU_R01^IHE PCD^1.3.6.1.4.1.19376.1.6.1.9.1^ISO\n\
        PID|||12^^^H^MR\nOBR|1||F1|754050^X^MDC\nOBX|1|NM|721025^MDC_IDC_SESS_DTM^MDC||1|||||F";
    assert_eq!(events(implanted)[1].0, "lis.result.received");
    let told = TranslatorSettings {
        observations: Observations::Laboratory,
        ..TranslatorSettings::default()
    };
    let text = message(RATE)
        .replace("PID|||", "PID|||12^^^H^MR")
        .replace('\n', "\r");
    let translation = translate_with(told, text.as_bytes()).unwrap();
    assert_eq!(bodies(&translation)[1].0, "lis.result.received");
}

fn alarm(rows: &str) -> String {
    format!(
        "{MSH}ORU^R40^ORU_R40|7|P|2.6|||AL|NE|||||IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.4.1^ISO\nPID|||\n\
         PV1||I|ICU^^5\nOBR|1||a1^^0009FB0A0B0C0001^EUI-64|196616^MDC_EVT_ALARM^MDC|||20260113084000+0530\n{rows}"
    )
}

#[test]
fn facets_of_an_alarm_are_found_by_name_or_number_and_marks_fill_what_has_no_row() {
    // the event under MDC_EVT_ALARM, facets with the numbers that older gateways used, marks in OBX-8
    let text = alarm(
        "OBX|1|CWE|196616^MDC_EVT_ALARM^MDC|1.1.0.0.1|196670^MDC_EVT_PUMP_GENERAL_ALARM^MDC|||A~PM~ST|||F\n\
         OBX|2|ST|68165^MDC_ATTR_EVENT_PHASE^MDC|1.1.0.0.3|present||||||F\n\
         OBX|3|ST|68166^MDC_ATTR_ALERT_STATE^MDC|1.1.0.0.4|Active||||||F\n\
         OBX|4|ST|68546^MDC_ATTR_ALERT_TEXT^MDC|1.1.0.0.8|Line blocked||||||F",
    );
    let body = &events(&text)[0].1;
    assert_eq!(body["code"]["code"], "196670");
    assert_eq!(body["phase"], "continue");
    assert_eq!(body["state"], "active");
    assert_eq!(body["text"], "Line blocked");
    assert_eq!(
        (&body["priority"], &body["kind"]),
        (&json!("PM"), &json!("ST"))
    );
    for (said, phase) in [
        ("start", "start"),
        ("end", "end"),
        ("escalate", "update"),
        ("tpoint", "point"),
        ("what is this", "update"),
    ] {
        let text = alarm(&format!(
            "OBX|1|ST|196674^MDC_EVT_LO_VAL_LT_LIM^MDC|1|low\nOBX|2|ST|68481|2|{said}"
        ));
        assert_eq!(events(&text)[0].1["phase"], phase, "{said}");
    }
}

#[test]
fn an_alarm_names_itself_and_its_parent_so_that_both_are_comparable() {
    let rows = "OBX|1|ST|196674^MDC_EVT_LO_VAL_LT_LIM^MDC|1|low";
    let named = |obr_3: &str, obr_29: &str| {
        let text = alarm(rows).replace(
            "a1^^0009FB0A0B0C0001^EUI-64|196616^MDC_EVT_ALARM^MDC|||20260113084000+0530",
            &format!(
                "{obr_3}|196616^MDC_EVT_ALARM^MDC|||20260113084000+0530{}{obr_29}",
                "|".repeat(22)
            ),
        );
        let body = events(&text)[0].1.clone();
        (body["event_name"].clone(), body["parent_name"].clone())
    };
    let name = json!("a1^^E1^EUI-64");
    assert_eq!(named("a1^^E1^EUI-64", ""), (name.clone(), Value::Null));
    assert_eq!(named("a2^^E1^EUI-64", "^a1&&E1&EUI-64").1, name);
    assert_eq!(named("u1", "u1^u1"), (json!("u1"), json!("u1")));
    let nameless = alarm(rows).replace("a1^^0009FB0A0B0C0001^EUI-64", "");
    let refused = translate(nameless.replace('\n', "\r").as_bytes()).unwrap_err();
    assert_eq!(refused.refusal.code, "hl7.alarm_without_id");
}

#[test]
fn a_heartbeat_is_no_alarm_and_a_waveform_is_kept_untranslated() {
    let beat = alarm("OBX|1|ST|196614^MDC_EVT_ACTIVE^MDC|1.0.0.0.1|");
    let translation = translate(beat.replace('\n', "\r").as_bytes()).unwrap();
    assert_eq!(translation.outcome, TranslationOutcome::Translated);
    assert!(translation.events.is_empty());
    assert_eq!(translation.notes, ["alarms: 1 heartbeats, no alarm"]);
    let wave = message("OBX|1|NA|131329^MDC_ECG^MDC|1|1^2^3")
        .replace("ORU^R01^ORU_R01", "ORU^W01^ORU_W01");
    let translation = translate(wave.replace('\n', "\r").as_bytes()).unwrap();
    assert_eq!(translation.outcome, TranslationOutcome::NotTranslated);
    // a curve among the rows of a monitor is no measurement either
    assert_eq!(
        observations(&format!("{RATE}\nOBX|10|NA|131329^MDC_ECG^MDC|1|1^2^3")).len(),
        1
    );
}

#[test]
fn results_of_the_point_of_care_bring_their_order_and_pre_ordered_ones_do_not() {
    let of = |trigger: &str, numbers: &str, pid: &str| {
        let text = format!(
            "MSH|^~\\&|POCT||||20260113090000||ORU^{trigger}^ORU_R30|7|P|2.5.1\nPID|||{pid}\nOBR|1|{numbers}|2339-0^^LN|||20260113085900\n\
             OBX|1|NM|2339-0^^LN||162|mg/dL|||||F"
        );
        events(&text)
    };
    for (trigger, or_open) in [("R30", Value::Null), ("R31", json!(true))] {
        let all = of(trigger, "|POC-1", "12^^^H^MR");
        assert_eq!(all[1].0, "clinical.order.reported", "{trigger}");
        assert_eq!(all[1].1["or_open"], or_open);
        assert_eq!(all[1].1["filler_number"], all[2].1["filler_number"]);
        // a device that counts nothing gets one number for all repeats
        let (one, two) = (of(trigger, "|", "12^^^H^MR"), of(trigger, "|", "12^^^H^MR"));
        assert!(one[1].1["filler_number"].as_str().unwrap().starts_with('P'));
        assert_eq!(one[1].1["filler_number"], one[2].1["filler_number"]);
        assert_eq!(one, two);
        // nobody is named: no order can be for nobody
        assert_eq!(of(trigger, "|POC-1", "").len(), 1);
    }
    let pre_ordered = of("R32", "ORD-1|", "12^^^H^MR");
    assert_eq!(pre_ordered.len(), 2);
    assert_eq!(pre_ordered[1].1["placer_number"], "ORD-1");
}
