//! The lists that a device is given: whole or changed, when, and what happens when one can't be made or is not taken.

use std::sync::Arc;
use std::time::Duration;

use adapter_poct1a::link::{Conversation, Given, List, Note, Wanted};
use adapter_poct1a::settings::{DevicePlace, Give, Poct1aSettings};
use schemas::care::Location;
use schemas::patients::HumanName;
use schemas::rosters::{RosterAnswer, RosterOperator, RosterPatient};

use crate::conversation::Bench;
use crate::messages::{ack, escape, message, observation, status};

const SECOND: Duration = Duration::from_secs(1);

/// A meter as its maker's manual shows it: topics and sizes beside the directives, its place as text beside an empty value.
fn hello(id: &str, directives: &[&str], topics: &[&str], more: &str) -> String {
    let list = |name: &str, all: &[&str]| -> String {
        all.iter()
            .map(|one| format!("<{name} V=\"{one}\" SN=\"POCT1\" SV=\"1\"/>"))
            .collect()
    };
    message(
        "HEL.R01",
        id,
        &format!(
            "<DEV><DEV.device_id V=\"\">MGH^ICU</DEV.device_id><DEV.vendor_id V=\"NOVABIO\"/><DEV.model_id V=\"StatStrip\"/>\
             <DEV.serial_id V=\"0600100736\"/><DCP><DCP.application_timeout V=\"120\"/></DCP>\
             <DSC><DSC.connection_profile_cd V=\"SA\"/>{}{}{more}</DSC></DEV>",
            list("DSC.topics_supported_cd", topics),
            list("DSC.directives_supported_cd", directives)
        ),
    )
}

const START: &[&str] = &["START_CONTINUOUS", "SET_TIME"];
const BOTH: &[&str] = &["D_EV", "OP_LST", "OP_LST_I", "PT_LST", "PT_LST_I"];

fn operators(ids: &[&str]) -> RosterAnswer {
    RosterAnswer::Operators {
        operators: ids
            .iter()
            .map(|id| RosterOperator {
                id: (*id).into(),
                name: None,
                level: "1".into(),
                methods: vec!["ALL".into()],
                until: Some("2027-03-31".into()),
            })
            .collect(),
    }
}

fn patients(numbers: &[&str]) -> RosterAnswer {
    RosterAnswer::Patients {
        patients: numbers
            .iter()
            .map(|number| RosterPatient {
                number: (*number).into(),
                ..RosterPatient::default()
            })
            .collect(),
    }
}

fn only_operators(settings: &mut Poct1aSettings) {
    settings.lists.operators = Give::Supported;
}

fn only_patients(settings: &mut Poct1aSettings) {
    settings.lists.patients = Give::Supported;
    settings.lists.ward = Some("ICU".into());
}

/// Up to the question for the first list.
fn begun(set: impl FnOnce(&mut Poct1aSettings), directives: &[&str]) -> Bench {
    let mut bench = Bench::new(set);
    assert_eq!(bench.say(&hello("1", directives, BOTH, "")), "AA 1");
    assert_eq!(bench.say(&status("2", "0", "0")), "AA 2");
    bench
}

#[test]
fn lists_come_after_the_results_one_after_the_other_each_message_acknowledged() {
    let mut bench = Bench::new(|s| {
        s.lists.operators = Give::Supported;
        only_patients(s);
        s.lists.a_message = 2;
    });
    bench.say(&hello("1", START, BOTH, ""));
    assert_eq!(bench.say(&status("2", "1", "0")), "AA 2, ROBS");
    bench.say(&observation("3"));
    assert_eq!(
        bench.say(&message(
            "EOT.R01",
            "4",
            "<EOT><EOT.topic_cd V=\"OBS\"/></EOT>"
        )),
        "",
        "the hub is asked"
    );
    assert_eq!(bench.asked[0].1, Wanted::Operators);
    assert_eq!(bench.answer(Ok(operators(&["A", "B", "C"]))), "OPL.R01#5");
    assert_eq!(bench.say(&ack("5", "5")), "OPL.R01#6");
    // a result in between is answered, and is no answer to the list
    assert_eq!(bench.say(&observation("6")), "AA 6");
    assert_eq!(bench.say(&ack("7", "6")), "EOT OPL#8");
    assert_eq!(bench.say(&ack("8", "8")), "");
    assert_eq!(
        bench.asked[1].1,
        Wanted::Patients {
            ward: "ICU".into(),
            facility: None
        }
    );
    assert_eq!(
        bench.answer(Ok(patients(&[]))),
        "PTL.R01#9",
        "an empty ward"
    );
    assert_eq!(bench.lists[2], ("PTL.R01", String::new()));
    assert_eq!(bench.say(&ack("9", "9")), "EOT PTL#10");
    // this one does not acknowledge the end of a topic
    assert_eq!(bench.wait(SECOND), "");
    assert_eq!(bench.wait(2 * SECOND), "DTV.R01#11");
    assert_eq!(bench.say(&ack("10", "11")), "");
    assert!(bench.notes.contains(&Note::Given(List::Operators, 3)));
    assert!(bench.notes.contains(&Note::Given(List::Patients, 0)));
    assert!(bench.missing.iter().all(|(_, reason)| reason.is_none()));
}

#[test]
fn an_entry_says_what_a_device_shows_and_escapes_what_people_are_called() {
    let mut bench = begun(only_patients, START);
    bench.answer(Ok(RosterAnswer::Patients {
        patients: vec![
            RosterPatient {
                number: "SGM100002".into(),
                name: Some(HumanName {
                    family: Some("D'Souza & Söhne".into()),
                    given: vec!["Anita\u{1}".into()],
                    prefix: Some("Dr.".into()),
                    ..HumanName::default()
                }),
                birth_date: Some("1975-10-21".into()),
                sex: Some("F".into()),
                place: Some(Location {
                    point_of_care: Some("ICU".into()),
                    room: None,
                    bed: Some("5".into()),
                    facility: None,
                }),
            },
            RosterPatient {
                number: "SGM100003".into(),
                birth_date: Some("1950".into()),
                sex: Some("U".into()),
                ..RosterPatient::default()
            },
        ],
    }));
    assert_eq!(
        bench.lists,
        [(
            "PTL.R01",
            "<PT><PT.patient_id V=\"SGM100002\"/><PT.location V=\"ICU^^5\"/>\
             <PT.name V=\"Dr. Anita  D&apos;Souza &amp; Söhne\"><GIV V=\"Anita\"/><FAM V=\"D&apos;Souza &amp; Söhne\"/></PT.name>\
             <PT.birth_date V=\"1975-10-21\"/><PT.gender_cd V=\"F\"/></PT>\
             <PT><PT.patient_id V=\"SGM100003\"/></PT>"
                .to_owned()
        )]
    );
}

#[test]
fn a_vendors_spellings_of_level_and_end_are_settings() {
    let mut bench = begun(
        |s| {
            only_operators(s);
            s.lists.permission_level = "ACC.permision_level_cd".into();
            s.lists.operator_until = Some("ACC.expiration_date".into());
            s.lists.operator_topic = "OP_LST".into();
        },
        START,
    );
    let said = bench.answer(Ok(operators(&["5047"])));
    assert_eq!(said, "OPL.R01#3");
    assert_eq!(
        bench.lists[0].1,
        "<OPR><OPR.operator_id V=\"5047\"/><ACC><ACC.method_cd V=\"ALL\"/><ACC.permision_level_cd V=\"1\"/>\
         <ACC.expiration_date V=\"2027-03-31\"/></ACC></OPR>"
    );
    let sofia = "<ACK><ACK.type_id V=\"AA\"/><ACK.control_id V=\"0003\"/></ACK>";
    assert_eq!(bench.say(&message("ACK.R01", "3", sofia)), "EOT OP_LST#4");
}

#[test]
fn a_message_is_no_longer_than_the_device_takes() {
    let mut bench = Bench::new(only_operators);
    bench.roster = Some(Ok(operators(&["A", "B", "C", "D", "E"])));
    let small = "<DSC.max_message_sz V=\"700\"/>";
    bench.say(&hello("1", START, &["OP_LST_I"], small));
    bench.say(&status("2", "0", "0"));
    for n in 3..20 {
        bench.say(&ack(&n.to_string(), &n.to_string()));
    }
    assert_eq!(bench.lists.len(), 2, "{:?}", bench.lists);
    assert!(bench.lists.iter().all(|(_, body)| body.len() <= 340));
    let all: String = bench.lists.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(all.matches("<OPR>").count(), 5);
}

#[test]
fn what_cannot_be_looked_up_is_not_sent_and_nothing_empty_instead() {
    let too_many = RosterAnswer::TooMany { limit: 500 };
    type Case = (
        fn(&mut Poct1aSettings),
        Result<RosterAnswer, String>,
        &'static str,
    );
    let cases: [Case; 5] = [
        (
            only_operators,
            Err("nobody answers".to_owned()),
            "nobody answers",
        ),
        (only_operators, Ok(operators(&[])), "nobody is certified"),
        (only_operators, Ok(patients(&["M1"])), "something else"),
        (only_patients, Ok(too_many), "more than 500 patients"),
        (only_patients, Ok(operators(&["A"])), "something else"),
    ];
    for (set, answer, why) in cases {
        let mut bench = begun(set, START);
        assert_eq!(bench.answer(answer), "DTV.R01#3", "{why}");
        assert_eq!(bench.lists, [], "{why}");
        let reason = bench.missing[0].1.as_deref().unwrap();
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn a_device_that_does_not_list_the_topic_is_not_given_it_unless_it_is_to_be() {
    let mut bench = Bench::new(|s| {
        s.lists.operators = Give::Supported;
        s.lists.patients = Give::Always;
        s.lists.ward = Some("ICU".into());
    });
    bench.say(&hello("1", START, &["D_EV"], ""));
    bench.say(&status("2", "0", "0"));
    assert_eq!(
        bench.missing,
        [(
            List::Operators,
            Some("its hello does not list the topic OP_LST".to_owned())
        )]
    );
    assert!(matches!(bench.asked[0].1, Wanted::Patients { .. }));
}

#[test]
fn whose_patients_is_said_by_the_device_s_row_its_hello_or_the_channel() {
    let row = |device: &str| DevicePlace {
        device: device.into(),
        ward: "HDU".into(),
        facility: None,
    };
    type Set = Box<dyn FnOnce(&mut Poct1aSettings)>;
    type Stands = Option<(&'static str, Option<&'static str>)>;
    let cases: [(Set, Stands); 5] = [
        (
            Box::new(|s| s.lists.ward = Some("A1".into())),
            Some(("A1", None)),
        ),
        (
            Box::new(|s| {
                s.lists.ward = Some("A1".into());
                s.lists.place_element = Some("DEV.device_id".into());
            }),
            Some(("ICU", Some("MGH"))),
        ),
        (
            Box::new(move |s| {
                s.lists.place_element = Some("DEV.device_id".into());
                s.lists.facility = Some("SGM".into());
                s.lists.device = vec![row("0600100736")];
            }),
            Some(("HDU", Some("SGM"))),
        ),
        (Box::new(move |s| s.lists.device = vec![row("other")]), None),
        (
            Box::new(|s| s.lists.place_element = Some("DEV.location".into())),
            None,
        ),
    ];
    for (n, (set, expected)) in cases.into_iter().enumerate() {
        let mut bench = Bench::new(|s| {
            s.lists.patients = Give::Supported;
            set(s);
        });
        bench.say(&hello("1", START, BOTH, ""));
        let said = bench.say(&status("2", "0", "0"));
        match expected {
            Some((ward, facility)) => assert_eq!(
                bench.asked[0].1,
                Wanted::Patients {
                    ward: ward.into(),
                    facility: facility.map(str::to_owned)
                },
                "case {n}"
            ),
            None => {
                assert_eq!(said, "AA 2, DTV.R01#3", "case {n}");
                let reason = bench.missing[0].1.as_deref().unwrap();
                assert!(reason.contains("in which ward"), "{reason}");
            }
        }
    }
}

/// Took its operators and is in continuous mode.
fn continuous(set: impl FnOnce(&mut Poct1aSettings)) -> Bench {
    let mut bench = begun(set, START);
    assert_eq!(bench.answer(Ok(operators(&["A", "B"]))), "OPL.R01#3");
    assert_eq!(bench.say(&ack("3", "3")), "EOT OPL#4");
    assert_eq!(bench.say(&ack("4", "4")), "DTV.R01#5");
    assert_eq!(bench.say(&ack("5", "5")), "");
    bench
}

#[test]
fn a_connected_device_is_given_the_list_again_when_it_has_changed_and_only_then() {
    let mut bench = continuous(only_operators);
    assert_eq!(bench.wait(59 * SECOND), "");
    assert_eq!(bench.asked.len(), 1);
    bench.wait(2 * SECOND);
    assert_eq!(bench.asked.len(), 2, "looked at again");
    assert_eq!(bench.answer(Ok(operators(&["A", "B"]))), "", "the same");
    bench.roster = Some(Ok(operators(&["A", "C"])));
    assert_eq!(bench.wait(61 * SECOND), "OPL.R01#6");
    assert!(bench.lists[1].1.contains("V=\"C\"") && !bench.lists[1].1.contains("V=\"B\""));
    // broken off: it is offered again, but not every minute
    assert_eq!(bench.say(&escape("6", "6")), "");
    assert_eq!(
        bench.missing.last(),
        Some(&(List::Operators, Some("it did not take it".to_owned())))
    );
    assert_eq!(bench.wait(540 * SECOND), "");
    assert_eq!(bench.wait(120 * SECOND), "OPL.R01#7");
    bench.say(&ack("7", "7"));
    assert_eq!(bench.say(&ack("8", "8")), "");
    assert_eq!(
        bench.missing.last(),
        Some(&(List::Operators, None)),
        "it has it"
    );
    // it still is a device in continuous mode
    assert_eq!(bench.say(&observation("9")), "AA 9");
}

#[test]
fn a_look_that_finds_nothing_new_is_no_sign_of_life() {
    let mut bench = continuous(|s| {
        only_operators(s);
        s.conversation.keep_alive_s = 150;
    });
    bench.roster = Some(Ok(operators(&["A", "B"])));
    assert_eq!(bench.wait(149 * SECOND), "");
    assert_eq!(bench.wait(2 * SECOND), "KPA.R01#6");
    assert_eq!(bench.wait(31 * SECOND), "close silent");
}

#[test]
fn changes_alone_go_to_a_device_that_takes_them_and_has_what_they_are_counted_from() {
    let mut bench = continuous(|s| {
        only_operators(s);
        s.lists.incremental = true;
    });
    let RosterAnswer::Operators { mut operators } = operators(&["A", "B", "C"]) else {
        unreachable!()
    };
    operators.remove(0);
    operators[0].level = "4".into();
    bench.roster = Some(Ok(RosterAnswer::Operators { operators }));
    assert_eq!(bench.wait(61 * SECOND), "OPL.R02#6");
    assert_eq!(
        bench.lists[1].1,
        "<UPD><UPD.action_cd V=\"D\"/><OPR><OPR.operator_id V=\"A\"/></OPR><OPR><OPR.operator_id V=\"B\"/></OPR></UPD>"
    );
    assert_eq!(bench.say(&ack("6", "6")), "OPL.R02#7");
    let added = &bench.lists[2].1;
    assert!(added.starts_with("<UPD><UPD.action_cd V=\"I\"/><OPR><OPR.operator_id V=\"B\"/>"));
    assert!(added.contains("level_cd V=\"4\"") && added.contains("operator_id V=\"C\""));
    // half of the changes arrived: what it has nobody knows, so it is given all
    assert_eq!(bench.say(&escape("7", "7")), "");
    assert_eq!(bench.wait(661 * SECOND), "OPL.R01#8");
}

#[test]
fn a_device_that_comes_back_with_the_list_of_that_time_is_not_given_it_again() {
    let given = Arc::new(Given::default());
    let set = |s: &mut Poct1aSettings| {
        only_operators(s);
        s.lists.incremental = true;
    };
    let dock = |says: &str, roster: RosterAnswer| {
        let mut bench = Bench::new(set);
        let mut settings = Poct1aSettings::listening(([127, 0, 0, 1], 1).into());
        set(&mut settings);
        bench.line = Conversation::new(&settings, bench.now).with_given(Arc::clone(&given));
        bench.roster = Some(Ok(roster));
        bench.say(&hello("1", &[], BOTH, ""));
        let status = format!(
            "<DST><DST.new_observations_qty V=\"0\"/><DST.operators_update_dttm V=\"{says}\"/></DST>"
        );
        let said = bench.say(&message("DST.R01", "2", &status));
        for n in 3..8 {
            bench.say(&ack(&n.to_string(), &n.to_string()));
        }
        said
    };
    let never = "2000-01-01T00:00:00.00-05:00";
    // the time that our EOT gave it: 06:30 UTC, in its own zone
    let then = "2026-01-15T12:00:00.00+05:30";
    assert_eq!(dock(never, operators(&["A"])), "AA 2, OPL.R01#3");
    assert_eq!(dock(then, operators(&["A"])), "AA 2, END.R01#3");
    assert_eq!(dock(then, operators(&["A", "B"])), "AA 2, OPL.R02#3");
    // somebody reset it
    assert_eq!(dock(never, operators(&["A", "B"])), "AA 2, OPL.R01#3");
}

#[test]
fn a_device_asks_who_is_behind_a_number_and_unknown_is_said_only_when_it_is_known() {
    let ask = |id: &str, number: &str| {
        message(
            "REQ.R01",
            id,
            &format!(
                "<REQ><REQ.request_cd V=\"RPAT\"/><PT><PT.patient_id V=\"{number}\"/></PT></REQ>"
            ),
        )
    };
    let mut bench = continuous(only_operators);
    assert_eq!(bench.say(&ask("6", "T-1")), "ESC 6", "not on this channel");

    let mut bench = Bench::new(only_patients);
    bench.say(&hello("1", START, BOTH, ""));
    bench.roster = Some(Ok(patients(&[])));
    assert_eq!(bench.say(&ask("2", "T-1")), "PTL.R01#2");
    assert_eq!(
        bench.asked[0].1,
        Wanted::Person {
            number: "T-1".into()
        }
    );
    assert_eq!(bench.lists[0].1, "", "nobody of that number");
    bench.roster = Some(Ok(patients(&["T-2"])));
    assert_eq!(bench.say(&ask("3", "T-2")), "PTL.R01#3");
    assert_eq!(bench.lists[1].1, "<PT><PT.patient_id V=\"T-2\"/></PT>");
    assert_eq!(bench.say(&ack("4", "3")), "");
    assert!(
        !bench.notes.contains(&Note::LateAnswer),
        "{:?}",
        bench.notes
    );
    bench.roster = Some(Err("the database is away".into()));
    assert_eq!(
        bench.say(&ask("5", "T-3")),
        "ESC 5",
        "never unknown instead"
    );
    // one question at a time; answers come in their order
    bench.roster = None;
    assert_eq!(bench.say(&ask("6", "T-6")), "");
    assert_eq!(bench.say(&ask("7", "T-7")), "");
    assert_eq!(bench.asked.len(), 4);
    assert_eq!(bench.answer(Ok(patients(&["T-6"]))), "PTL.R01#5");
    assert_eq!(bench.answer(Ok(patients(&["T-7"]))), "PTL.R01#6");
}

#[test]
fn an_answer_that_comes_after_the_device_began_anew_is_for_nobody() {
    let mut bench = begun(only_operators, START);
    let (late, _) = bench.asked[0].clone();
    assert_eq!(bench.say(&hello("1", START, BOTH, "")), "AA 1");
    bench
        .line
        .roster(bench.now, late, bench.as_of, Ok(operators(&["A"])));
    assert_eq!(bench.heard(), "");
    assert_eq!(bench.say(&status("2", "0", "0")), "AA 2");
    assert_eq!(bench.answer(Ok(operators(&["A"]))), "OPL.R01#5");
    assert_eq!(bench.wait(31 * SECOND), "close silent", "it owes an answer");
}

#[test]
fn a_stop_ends_a_conversation_in_the_middle_of_a_list() {
    let mut bench = begun(only_operators, START);
    bench.line.stop(bench.now);
    assert_eq!(bench.heard(), "END.R01#3");
    assert_eq!(bench.answer(Ok(operators(&["A"]))), "");
    assert_eq!(bench.say(&ack("3", "3")), "close ended");
}
