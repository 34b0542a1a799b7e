//! What instruments are told, segment by segment.

use std::cell::Cell;

use schemas::care::Code;
use schemas::patients::{HumanName, Identifier};
use schemas::sending::SendingAnswer;
use schemas::worklist::{SpecimenStanding, TestAction, WorklistPatient, WorklistTest};
use schemas::{IdentifierKey, TenantId};
use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::ack::ReceivedAck;
use crate::settings::{NothingFound, OrderSettings, TubeField};

mod law;
mod mindray;

const NOW: OffsetDateTime = datetime!(2026-03-01 06:30 UTC);

pub(crate) const LAW_QUERY: &str = "MSH|^~\\&|BA400|Biosystems|Host|Host provider|20230511180307||QBP^Q11^QBP_Q11|105c0474-b00b|P|2.5.1|||ER|AL||UNICODE UTF-8|||LAB-27^IHE\rQPD|WOS^Work Order Step^IHE_LABTF|105c0474b00b|32971968\rRCP|I||R\r";
pub(crate) const CHEMISTRY_QUERY: &str = "MSH|^~\\&|Mindray|BS-400|||20120508094823||QRY^Q02|4|P|2.3.1||||||ASCII|||\rQRD|20120508094823|R|D|2|||RD|0019|OTH|||T|\rQRF|BS-400|20120508094823|20120508094823|||RCT|COR|ALL||\r";
pub(crate) const HAEMATOLOGY_QUERY: &str =
    "MSH|^~\\&|||||20190504060725||ORM^O01|389|P|2.3.1||||||UNICODE\rORC|RF||raisya||IP\r";

struct Counted(Cell<u32>);

impl ControlIds for Counted {
    fn next(&self, _dialect: OrderDialect) -> String {
        self.0.set(self.0.get() + 1);
        format!("M{}", self.0.get())
    }
}

pub(crate) fn settings(dialect: OrderDialect) -> Hl7v2Settings {
    let mut settings = Hl7v2Settings::listening("127.0.0.1:0".parse().unwrap());
    settings.orders = Some(OrderSettings::of(dialect));
    settings
}

pub(crate) fn test(order: u128, codes: &[&str], action: TestAction) -> WorklistTest {
    WorklistTest {
        order: Uuid::from_u128(order),
        action,
        code: Code {
            code: "2345-7".into(),
            text: Some("Glucose".into()),
            system: Some("LN".into()),
        },
        instrument_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        priority: Some("stat".into()),
        placer_number: Some(format!("P{order}")),
        filler_number: None,
        ordered_at: None,
    }
}

pub(crate) fn specimen(number: &str, tests: Vec<WorklistTest>) -> WorklistSpecimen {
    let standing = if tests.is_empty() {
        SpecimenStanding::Unknown
    } else {
        SpecimenStanding::Pending
    };
    let patient = (!tests.is_empty()).then(|| WorklistPatient {
        identifier: Some(Identifier {
            key: IdentifierKey::of(&TenantId::new("demo").unwrap(), "mrn", "12"),
            system: "mrn".into(),
            value: "12".into(),
            kind: None,
        }),
        name: Some(HumanName {
            family: Some("O|Neil".into()),
            given: vec!["Ann".into(), "B".into()],
            ..HumanName::default()
        }),
        birth_date: Some("1990-02-28".into()),
        sex: Some("F".into()),
    });
    WorklistSpecimen {
        number: number.into(),
        standing,
        patient,
        kind: (!tests.is_empty()).then(|| Code {
            code: "SER".into(),
            text: None,
            system: None,
        }),
        collected_at: (!tests.is_empty()).then(|| "2026-03-01T05:00:00Z".into()),
        tests,
    }
}

pub(crate) fn worklist(specimens: Vec<WorklistSpecimen>) -> WorklistAnswer {
    WorklistAnswer { specimens }
}

fn ask(settings: &Hl7v2Settings, query: &str, worklist: &WorklistAnswer) -> Reply {
    let question = question::of_message(settings, query.as_bytes()).expect("a query");
    let ids = Counted(Cell::new(0));
    answer(settings, Occasion::Query(&question), worklist, &ids, NOW)
}

fn text(content: &Bytes) -> Vec<String> {
    let text = String::from_utf8(content.to_vec()).unwrap();
    assert!(text.ends_with('\r'));
    text.split_terminator('\r').map(str::to_owned).collect()
}

#[test]
fn each_dialect_knows_its_queries_and_no_others() {
    use OrderDialect::{Law, MindrayChemistry, MindrayHaematology};
    for (dialect, query, specimens) in [
        (Law, LAW_QUERY, Some("32971968")),
        (MindrayChemistry, CHEMISTRY_QUERY, Some("0019")),
        (MindrayHaematology, HAEMATOLOGY_QUERY, Some("raisya")),
        (Law, CHEMISTRY_QUERY, None),
        (MindrayChemistry, HAEMATOLOGY_QUERY, None),
        (MindrayHaematology, LAW_QUERY, None),
    ] {
        let found = question::of_message(&settings(dialect), query.as_bytes());
        assert_eq!(
            found.map(|question| question.specimens),
            specimens.map(|number| vec![number.to_owned()]),
            "{dialect:?}"
        );
    }
    // with a placer's number and settings behind it
    let long = HAEMATOLOGY_QUERY.replace(
        "ORC|RF||raisya||IP\r",
        "ORC|RF|C1|wbl1||IP\rOBX|1|IS|^Take Mode^||||||||F\r",
    );
    let question = question::of_message(&settings(MindrayHaematology), long.as_bytes()).unwrap();
    assert_eq!(question.specimens, ["wbl1"]);
    // an order is no query, whatever its control says
    for order in [
        "ORC|NW|1\rOBR|1|1||CBC\r",
        "ORC|RF||raisya||IP\rOBR|1|1||CBC\r",
        "PID|1\r",
    ] {
        let message = HAEMATOLOGY_QUERY.replace("ORC|RF||raisya||IP\r", order);
        let found = question::of_message(&settings(MindrayHaematology), message.as_bytes());
        assert_eq!(found, None, "{order}");
    }
    let mut off = settings(Law);
    off.orders.as_mut().unwrap().mode = crate::settings::OrderMode::Off;
    assert_eq!(question::of_message(&off, LAW_QUERY.as_bytes()), None);
}

/// One order with a slip of the hand in it must not cost the instrument its answer.
#[test]
fn an_hour_that_the_instrument_s_zone_does_not_have_is_left_out() {
    use OrderDialect::{Law, MindrayChemistry, MindrayHaematology};
    for (dialect, query) in [
        (Law, LAW_QUERY),
        (MindrayChemistry, CHEMISTRY_QUERY),
        (MindrayHaematology, HAEMATOLOGY_QUERY),
    ] {
        let settings = settings(dialect);
        let question = question::of_message(&settings, query.as_bytes()).unwrap();
        let told = |at: &str| -> String {
            let tests = vec![test(1, &["GLU"], TestAction::Perform)];
            let mut tube = specimen(&question.specimens[0], tests);
            tube.collected_at = Some(at.to_owned());
            let reply = ask(&settings, query, &worklist(vec![tube]));
            format!("{reply:?}")
        };
        // as it is told where the hour is known
        assert!(
            told("2026-03-01T05:00:00Z").contains("20260301"),
            "{dialect:?}"
        );
        for no_time in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"] {
            let told = told(no_time);
            assert!(told.contains("GLU") || told.contains("2345-7"), "{told}");
            assert!(
                !told.contains("99991231") && !told.contains("10000"),
                "{told}"
            );
        }
    }
}

#[test]
fn the_specimen_is_looked_for_where_the_channel_says() {
    let mut settings = settings(OrderDialect::Law);
    settings.orders.as_mut().unwrap().specimen = vec!["QPD-9".into(), "QPD-3.2".into()];
    let query = LAW_QUERY.replace("|32971968\r", "| ^ S 1 &x~^S2~^S2\r");
    let question = question::of_message(&settings, query.as_bytes()).unwrap();
    assert_eq!(question.specimens, ["S 1", "S2"]);
}

#[test]
fn what_law_asks_otherwise_is_known_or_refused_with_words() {
    let settings = settings(OrderDialect::Law);
    let of = |query: String| question::of_message(&settings, query.as_bytes()).unwrap();
    let all = of(LAW_QUERY.replace("WOS^Work Order Step", "WOS_ALL^Work Order Step All"));
    assert_eq!((all.asks, all.specimens.len()), (Asks::All, 0));
    let rack = of(LAW_QUERY.replace("|32971968", "||RACK7|3"));
    assert!(matches!(rack.asks, Asks::Other(_)));
    let inventory = of(LAW_QUERY.replace("WOS^Work Order Step^IHE_LABTF", "INV^Inventory^99ROC"));
    assert!(matches!(inventory.asks, Asks::Other(_)));
    let ids = Counted(Cell::new(0));
    let reply = answer(
        &settings,
        Occasion::Query(&inventory),
        &WorklistAnswer::default(),
        &ids,
        NOW,
    );
    let lines = text(&reply.content);
    assert!(lines[1].starts_with("MSA|AR|105c0474-b00b|"), "{lines:?}");
    assert_eq!(
        lines[2],
        "ERR|||103^Table value not found^HL70357|E||||a query name that is not WOS or WOS_ALL"
    );
    assert_eq!(lines[3], "QAK|105c0474b00b|AR|INV^Inventory^99ROC");
    assert!(reply.follow.is_empty());
    let withdrawn = of(
        "MSH|^~\\&|BA400||Host||1||QCN^J01^QCN_J01|7|P|2.5.1\rQID|105c0474b00b|WOS^x^y\r"
            .to_owned(),
    );
    assert_eq!(
        (withdrawn.asks, withdrawn.tag.as_str()),
        (Asks::Withdraw, "105c0474b00b")
    );
    let reply = answer(
        &settings,
        Occasion::Query(&withdrawn),
        &WorklistAnswer::default(),
        &ids,
        NOW,
    );
    let lines = text(&reply.content);
    assert!(
        lines[0].contains("|ACK^J01^ACK|") && lines[1] == "MSA|AA|7",
        "{lines:?}"
    );
}

fn taken(answer: &str, lines: &[OrderLine]) -> Option<Vec<(u128, SendingAnswer, Option<String>)>> {
    let content = Bytes::from(format!(
        "MSH|^~\\&|A||H||1||ORL^O34^ORL_O42|9|P|2.5.1\r{answer}"
    ));
    let ack = ReceivedAck::read(&content).unwrap();
    Some(
        taken::read(&ack, &content, lines)?
            .into_iter()
            .map(|sent| (sent.order.as_u128(), sent.answer, sent.reason))
            .collect(),
    )
}

#[test]
fn how_orders_were_taken_is_read_order_by_order() {
    use SendingAnswer::{Accepted, Refused};
    let line = |order: u128, code: &str, cancel| OrderLine {
        number: format!("P{order}/{code}"),
        order: Uuid::from_u128(order),
        cancel,
        code: code.into(),
    };
    let lines = [
        line(1, "GLU", false),
        line(2, "CHOL", false),
        line(2, "TRIG", false),
        line(3, "NA", true),
    ];
    let why = |text: &str| Some(text.to_owned());
    for (answer, expected) in [
        // an acknowledgement of the whole
        (
            "MSA|AA|1\r",
            vec![
                (1, Accepted, None),
                (2, Accepted, None),
                (3, Accepted, None),
            ],
        ),
        (
            "MSA|AE|1\rERR|||207^Application internal error^HL70357|E||||no reagent\r",
            vec![
                (
                    1,
                    Refused,
                    why("AE: Application internal error; no reagent"),
                ),
                (
                    2,
                    Refused,
                    why("AE: Application internal error; no reagent"),
                ),
                (
                    3,
                    Refused,
                    why("AE: Application internal error; no reagent"),
                ),
            ],
        ),
        // by number, some not mentioned
        (
            "MSA|AA|1\rSPM|1|S1\rORC|UA|P2/TRIG|||CA\rORC|CR|P3/NA\r",
            vec![
                (1, Accepted, None),
                (2, Refused, why("UA: unable to accept the order (TRIG)")),
                (3, Accepted, None),
            ],
        ),
        // the number stands in OBR, the reason in ORC-16
        (
            "MSA|AA|1\rORC|UA|||||||||||||||R7^blocked\rOBR||P1/GLU\rORC|UC\rOBR||P3/NA\r",
            vec![
                (
                    1,
                    Refused,
                    why("UA: unable to accept the order (GLU): blocked"),
                ),
                (2, Accepted, None),
                (3, Refused, why("UC: unable to cancel (NA)")),
            ],
        ),
        // no numbers at all: by place
        (
            "MSA|AA|1\rORC|OK||||SC\rORC|UA||||CA\rORC|CR\rORC|OK\r",
            vec![
                (1, Accepted, None),
                (
                    2,
                    Refused,
                    why(
                        "UA: unable to accept the order (CHOL); CR: cancelled by the instrument (TRIG)",
                    ),
                ),
                (3, Accepted, None),
            ],
        ),
    ] {
        assert_eq!(taken(answer, &lines), Some(expected), "{answer}");
    }
    assert_eq!(taken("MSA|CA|1\r", &lines), None, "stored, no more");
}
