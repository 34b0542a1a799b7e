//! Patients and visits: who a message is about, and what happened to him.

use serde_json::{Value, json};

use crate::translating::{bodies, events, message, translate};

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
