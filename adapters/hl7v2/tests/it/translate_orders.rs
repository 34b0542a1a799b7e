//! Orders and specimens: whose numbers a group has, and which number is the tube's.

use adapter_hl7v2::translate::{SpecimenSource, TranslatorSettings};
use serde_json::{Value, json};

use crate::translating::{bodies, events, message, translate, translate_with};

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
fn results_without_any_obr_are_one_report() {
    let all = events(&message(
        "ORU^R01",
        "PID|||1\nOBX|1|NM|WBC||1|K/uL\nOBX|2|NM|RBC||4|M/uL",
    ));
    assert_eq!(all[1].1["results"].as_array().unwrap().len(), 2);
}

#[test]
fn a_specimen_is_rejected_where_a_reason_stands_and_nothing_says_that_it_is_used_all_the_same() {
    let table = [
        (
            "N|RB^Broken container^HL70490",
            json!([{ "code": "RB", "text": "Broken container", "system": "HL70490" }]),
        ),
        ("|RH", json!([{ "code": "RH" }])),
        (
            "N|RH~X9^spilt^99LIS",
            json!([{ "code": "RH" }, { "code": "X9", "text": "spilt", "system": "99LIS" }]),
        ),
        ("N|^spilt", json!([{ "code": "spilt", "text": "spilt" }])),
        ("Y|RH", Value::Null),
        ("N", Value::Null),
        ("N|\"\"", Value::Null),
        ("", Value::Null),
    ];
    for (said, expected) in table {
        let spm = format!("SPM|1|T1||SER||||||||||||||||{said}");
        for (kind, rest) in [
            ("OML^O21", format!("PID|||1\nORC|SC|A\nOBR|1|A||GLU\n{spm}")),
            ("OML^O33", format!("PID|||1\n{spm}\nORC|SC|A\nOBR|1|A||GLU")),
            (
                "ORU^R01",
                format!("PID|||1\nORC|RE|A\nOBR|1|A||GLU\nOBX|1|NM|GLU||98\n{spm}"),
            ),
            (
                "OUL^R22",
                format!("PID|||1\n{spm}\nOBR|1|A||GLU\nORC|RE|A\nOBX|1|NM|GLU||98"),
            ),
        ] {
            let text = message(kind, &rest).replace('\n', "\r");
            let done = translate(text.as_bytes()).unwrap();
            let event = bodies(&done).pop().unwrap().1;
            let tube = if kind.starts_with("OML") {
                &event["specimens"][0]
            } else {
                &event["specimen"]
            };
            assert_eq!(tube["number"], "T1", "{kind} {said}");
            assert_eq!(tube["rejected_for"], expected, "{kind} {said}");
            // what is said and not read is listed
            let is_listed = done.unmapped.contains(&"SPM-21".to_owned());
            let is_left = expected.is_null() && said.contains('|');
            assert_eq!(is_listed, is_left, "{kind} {said}: {:?}", done.unmapped);
        }
    }
}
