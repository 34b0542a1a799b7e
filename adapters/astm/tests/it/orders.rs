//! What instruments are told, in their own words.

use adapter_astm::orders::{Occasion, Question, answer};
use adapter_astm::records::decode;
use adapter_astm::settings::{AstmSettings, FieldPath, Mode, UnknownAnswer};
use schemas::TenantId;
use schemas::care::Code;
use schemas::patients::{HumanName, Identifier};
use schemas::worklist::{
    SpecimenStanding, TestAction, WorklistAnswer, WorklistPatient, WorklistSpecimen, WorklistTest,
};
use time::macros::datetime;
use uuid::Uuid;

pub(crate) fn test(n: u128, codes: &[&str], action: TestAction, priority: &str) -> WorklistTest {
    WorklistTest {
        order: Uuid::from_u128(n),
        action,
        code: Code::default(),
        instrument_codes: codes.iter().map(|c| (*c).to_owned()).collect(),
        priority: Some(priority.to_owned()),
        placer_number: None,
        filler_number: None,
        ordered_at: Some("2026-11-21T10:00:00Z".to_owned()),
    }
}

pub(crate) fn specimen(number: &str, tests: Vec<WorklistTest>) -> WorklistSpecimen {
    let tenant = TenantId::new("demo").unwrap();
    WorklistSpecimen {
        number: number.to_owned(),
        standing: if tests.is_empty() {
            SpecimenStanding::Unknown
        } else {
            SpecimenStanding::Pending
        },
        patient: Some(WorklistPatient {
            identifier: Some(Identifier {
                key: schemas::IdentifierKey::of(&tenant, "mrn", "MRN7"),
                system: "mrn".to_owned(),
                value: "MRN7".to_owned(),
                kind: None,
            }),
            name: Some(HumanName {
                family: Some("Rao|K".to_owned()),
                given: vec!["Sita".to_owned()],
                ..HumanName::default()
            }),
            birth_date: Some("1980-05-17".to_owned()),
            sex: Some("female".to_owned()),
        }),
        kind: Some(Code {
            code: "SER".to_owned(),
            ..Code::default()
        }),
        collected_at: None,
        tests,
    }
}

fn settings() -> AstmSettings {
    AstmSettings::listening("127.0.0.1:0".parse().unwrap())
}

fn written(
    settings: &AstmSettings,
    occasion: Occasion<'_>,
    worklist: &WorklistAnswer,
) -> Vec<String> {
    answer(
        settings,
        occasion,
        worklist,
        datetime!(2026-11-21 12:00:00 UTC),
    )
    .into_iter()
    .map(|records| {
        let texts: Vec<_> = records.iter().map(|r| decode(r, None).text).collect();
        texts.join("\n")
    })
    .collect()
}

fn asked(numbers: &[&str]) -> Question {
    Question {
        specimens: numbers.iter().map(|n| (*n).to_owned()).collect(),
        ..Question::default()
    }
}

#[test]
fn a_query_is_answered_with_an_order_for_each_action_and_priority() {
    let worklist = WorklistAnswer {
        specimens: vec![specimen(
            "T1",
            vec![
                test(1, &["WBC", "RBC"], TestAction::Perform, "routine"),
                test(2, &["HGB"], TestAction::Perform, "routine"),
                test(3, &["CRP"], TestAction::Perform, "stat"),
                test(4, &["K"], TestAction::Cancel, "routine"),
                test(5, &[], TestAction::Perform, "routine"),
            ],
        )],
    };
    let question = asked(&["T1"]);
    assert_eq!(
        written(&settings(), Occasion::Query(&question), &worklist),
        ["H|\\^&|||HUB|||||||P|LIS2-A2|20261121173000\n\
          P|1|MRN7|||Rao&F&K^Sita||19800517|F\n\
          O|1|T1||^^^WBC\\^^^RBC\\^^^HGB|R|20261121153000|||||N||||SER||||||||||Q\n\
          O|2|T1||^^^CRP|S|20261121153000|||||N||||SER||||||||||Q\n\
          O|3|T1||^^^K|R|20261121153000|||||C||||SER||||||||||Q\n\
          L|1|F"]
    );
}

/// One order with a slip of the hand in it must not cost the instrument its answer.
#[test]
fn an_hour_that_the_instrument_s_zone_does_not_have_is_left_out() {
    for no_time in [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00Z",
    ] {
        let mut tube = specimen(
            "T1",
            vec![test(1, &["WBC"], TestAction::Perform, "routine")],
        );
        tube.tests[0].ordered_at = Some(no_time.to_owned());
        tube.collected_at = Some(no_time.to_owned());
        let worklist = WorklistAnswer {
            specimens: vec![tube],
        };
        let question = asked(&["T1"]);
        assert_eq!(
            written(&settings(), Occasion::Query(&question), &worklist),
            ["H|\\^&|||HUB|||||||P|LIS2-A2|20261121173000\n\
              P|1|MRN7|||Rao&F&K^Sita||19800517|F\n\
              O|1|T1||^^^WBC|R||||||N||||SER||||||||||Q\n\
              L|1|F"],
            "{no_time}"
        );
    }
}

#[test]
fn an_unknown_specimen_is_answered_at_once_in_the_way_the_instrument_knows() {
    let worklist = WorklistAnswer {
        specimens: vec![specimen("T9", Vec::new())],
    };
    let question = asked(&["T9"]);
    let header = "H|\\^&|||HUB|||||||P|LIS2-A2|20261121173000";
    assert_eq!(
        written(&settings(), Occasion::Query(&question), &worklist),
        [format!("{header}\nL|1|I")]
    );
    let mut sysmex = settings();
    sysmex.orders.unknown = UnknownAnswer::Order;
    sysmex.orders.specimen_fields = vec![FieldPath::component('O', 3, 3)];
    assert_eq!(
        written(&sysmex, Occasion::Query(&question), &worklist),
        [format!(
            "{header}\nP|1\nO|1|^^T9|||||||||||||||||||||||Y\nL|1|I"
        )]
    );
    assert_eq!(
        written(
            &settings(),
            Occasion::Failed(&question),
            &WorklistAnswer::default()
        ),
        [format!("{header}\nL|1|Q")],
        "an error is never nothing found"
    );
}

#[test]
fn a_dialect_sets_delimiters_codes_and_letters() {
    let mut roche = settings();
    roche.orders.delimiters = "@!~\\".to_owned();
    roche.orders.code_ending = "/".to_owned();
    roche.orders.action_new = "A".to_owned();
    roche.orders.report_download = "O".to_owned();
    roche.orders.names = false;
    let worklist = WorklistAnswer {
        specimens: vec![specimen(
            "T1",
            vec![test(1, &["717", "413"], TestAction::Perform, "asap")],
        )],
    };
    assert_eq!(
        written(&roche, Occasion::Download, &worklist),
        ["H@!~\\@@@HUB@@@@@@@P@LIS2-A2@20261121173000\n\
          P@1\n\
          O@1@T1@@~~~717/!~~~413/@A@20261121153000@@@@@A@@@@SER@@@@@@@@@@O\n\
          L@1@F"]
    );
    assert_eq!(
        written(&roche, Occasion::Download, &WorklistAnswer::default()),
        [""; 0],
        "nothing to say, nothing said"
    );
}

#[test]
fn blocks_are_written_by_their_own_rules() {
    let worklist = WorklistAnswer {
        specimens: vec![specimen(
            "S77",
            vec![test(1, &["GLU", "NA"], TestAction::Perform, "stat")],
        )],
    };
    let mut dimension = settings();
    dimension.link.mode = Mode::Dimension;
    let question = asked(&["S77"]);
    assert_eq!(
        written(&dimension, Occasion::Query(&question), &worklist),
        ["D|0|0|A|Sita Rao|K|S77|1||1|1|**|1|2|GLU|NA|"
            .replace('|', "\u{1c}")
            .replace("Rao\u{1c}K", "Rao|K")]
    );
    assert_eq!(
        written(
            &dimension,
            Occasion::Query(&question),
            &WorklistAnswer::default()
        ),
        [""]
    );
    let mut au = settings();
    au.link.mode = Mode::Au;
    let head = format!(" 000601 0013{:>26}", "S77");
    let question = Question {
        echo: head.clone().into_bytes(),
        ..asked(&["S77"])
    };
    let mut worklist = worklist;
    worklist.specimens[0].tests[0].instrument_codes = vec!["97".to_owned(), "098".to_owned()];
    assert_eq!(
        written(&au, Occasion::Query(&question), &worklist),
        [format!("S{head}    E      097098")]
    );
    assert_eq!(
        written(&au, Occasion::Query(&question), &WorklistAnswer::default()),
        ["SE"]
    );
}
