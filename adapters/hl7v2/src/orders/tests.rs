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

#[test]
fn law_is_answered_and_then_told_of_the_work() {
    let tests = vec![
        test(1, &["GLU"], TestAction::Perform),
        test(2, &["CHOL", "TRIG"], TestAction::Perform),
        test(3, &["NA"], TestAction::Cancel),
        test(4, &[], TestAction::Perform),
    ];
    let reply = ask(
        &settings(OrderDialect::Law),
        LAW_QUERY,
        &worklist(vec![specimen("32971968", tests)]),
    );
    assert_eq!(
        text(&reply.content),
        [
            "MSH|^~\\&|Host|Host provider|BA400|Biosystems|20260301120000+0530||RSP^K11^RSP_K11|M1|P|2.5.1||||||UNICODE UTF-8|||LAB-27^IHE",
            "MSA|AA|105c0474-b00b",
            "QAK|105c0474b00b|OK|WOS^Work Order Step^IHE_LABTF",
            "QPD|WOS^Work Order Step^IHE_LABTF|105c0474b00b|32971968",
        ]
    );
    assert_eq!(reply.follow.len(), 1);
    let oml = &reply.follow[0];
    assert_eq!(oml.control_id, "M2");
    assert_eq!(
        text(&oml.content),
        [
            "MSH|^~\\&|Host|Host provider|BA400|Biosystems|20260301120000+0530||OML^O33^OML_O33|M2|P|2.5.1|||NE|AL||UNICODE UTF-8|||LAB-28^IHE",
            "PID|1||12^^^^MR||O\\F\\Neil^Ann^B^^^^L||19900228|F",
            "SPM|1|32971968||SER^^HL70487|||||||P^^HL70369||||||20260301103000+0530",
            "SAC|||32971968",
            "ORC|NW||||||||20260301120000+0530",
            "TQ1|||||||||S^^HL70485",
            "OBR||P1/GLU||GLU",
            "ORC|NW||||||||20260301120000+0530",
            "TQ1|||||||||S^^HL70485",
            "OBR||P2/CHOL||CHOL",
            "ORC|NW||||||||20260301120000+0530",
            "TQ1|||||||||S^^HL70485",
            "OBR||P2/TRIG||TRIG",
            "ORC|CA||||||||20260301120000+0530",
            "OBR||P3/NA||NA",
        ]
    );
    let numbers: Vec<&str> = oml.lines.iter().map(|line| line.number.as_str()).collect();
    assert_eq!(numbers, ["P1/GLU", "P2/CHOL", "P2/TRIG", "P3/NA"]);
    assert_eq!(order_of_step("P2/CHOL", "CHOL"), Some("P2"));
    assert_eq!(order_of_step("P2/CHOL", "TRIG"), None);
}

#[test]
fn law_is_told_at_once_when_there_is_nothing() {
    let mut settings = settings(OrderDialect::Law);
    let nothing = worklist(vec![specimen("32971968", Vec::new())]);
    let reply = ask(&settings, LAW_QUERY, &nothing);
    assert_eq!(
        text(&reply.content)[2],
        "QAK|105c0474b00b|NF|WOS^Work Order Step^IHE_LABTF"
    );
    assert_eq!(
        text(&reply.follow[0].content)[1..],
        [
            "SPM|1|||\"\"|||||||U^^HL70369",
            "SAC|||32971968",
            "ORC|DC||||||||20260301120000+0530"
        ]
    );
    assert!(reply.follow[0].specimen.is_none());
    settings.orders.as_mut().unwrap().nothing_found = NothingFound::Ok;
    let reply = ask(&settings, LAW_QUERY, &nothing);
    assert!(text(&reply.content)[2].contains("|OK|"));
    // everything pending is nothing: no tube to name
    let all = LAW_QUERY.replace("WOS^Work Order Step", "WOS_ALL^Work Order Step All");
    let reply = ask(&settings, &all, &WorklistAnswer::default());
    assert_eq!(text(&reply.follow[0].content).len(), 3);
    // the worklist could not be read: never "nothing"
    let question = question::of_message(&settings, LAW_QUERY.as_bytes()).unwrap();
    let ids = Counted(Cell::new(0));
    let reply = answer(
        &settings,
        Occasion::Failed(&question),
        &WorklistAnswer::default(),
        &ids,
        NOW,
    );
    let lines = text(&reply.content);
    assert!(
        lines[1].starts_with("MSA|AE|") && lines[3].contains("|AE|"),
        "{lines:?}"
    );
    assert!(reply.follow.is_empty());
}

#[test]
fn law_is_told_without_asking_in_the_names_of_the_channel() {
    let chemistry = settings(OrderDialect::MindrayChemistry);
    let mut settings = settings(OrderDialect::Law);
    let orders = settings.orders.as_mut().unwrap();
    orders.sender = ["HUB".into(), "LAB".into()];
    orders.receiver = ["Alinity".into(), String::new()];
    orders.code_system = "99ABT".into();
    orders.specimen_fields = vec![TubeField::Sac3];
    orders.names = false;
    let tests = vec![test(1, &["GLU"], TestAction::Perform)];
    let ids = Counted(Cell::new(0));
    let message = download(&settings, &specimen("S|1", tests), &ids, NOW).unwrap();
    assert_eq!(
        text(&message.content),
        [
            "MSH|^~\\&|HUB|LAB|Alinity||20260301120000+0530||OML^O33^OML_O33|M1|P|2.5.1|||NE|AL||UNICODE UTF-8|||LAB-28^IHE",
            "SPM|1|||SER^^HL70487|||||||P^^HL70369||||||20260301103000+0530",
            "SAC|||S\\F\\1",
            "ORC|NW||||||||20260301120000+0530",
            "TQ1|||||||||S^^HL70485",
            "OBR||P1/GLU||GLU^Glucose^99ABT",
        ]
    );
    assert!(download(&chemistry, &specimen("S1", Vec::new()), &ids, NOW).is_none());
}

#[test]
fn chemistry_gets_its_display_lines_as_the_device_counts_them() {
    let tests = vec![
        test(1, &["1"], TestAction::Perform),
        test(2, &["2", "5"], TestAction::Perform),
        test(3, &["9"], TestAction::Cancel),
    ];
    let reply = ask(
        &settings(OrderDialect::MindrayChemistry),
        CHEMISTRY_QUERY,
        &worklist(vec![specimen("0019", tests)]),
    );
    assert_eq!(
        text(&reply.content),
        [
            "MSH|^~\\&|||Mindray|BS-400|20260301120000||QCK^Q02|4|P|2.3.1||||||ASCII",
            "MSA|AA|4|Message accepted|||0|",
            "ERR|0|",
            "QAK|SR|OK|",
        ]
    );
    let dsr = text(&reply.follow[0].content);
    assert!(
        dsr[0].contains("||DSR^Q03|M1|P|2.3.1||||||ASCII"),
        "{}",
        dsr[0]
    );
    assert_eq!(dsr[4], "QRD|20120508094823|R|D|2|||RD|0019|OTH|||T|");
    assert!(dsr[5].starts_with("QRF|BS-400|"));
    let dsp: Vec<&str> = dsr
        .iter()
        .filter(|line| line.starts_with("DSP|"))
        .map(String::as_str)
        .collect();
    assert_eq!(dsp.len(), 31);
    for (n, line) in [
        (1, "DSP|1||12|||"),
        (2, "DSP|2|||||"),
        (3, "DSP|3||O\\F\\Neil Ann B|||"),
        (4, "DSP|4||19900228000000|||"),
        (5, "DSP|5||F|||"),
        (21, "DSP|21||0019|||"),
        (23, "DSP|23||20260301103000|||"),
        (24, "DSP|24||Y|||"),
        (26, "DSP|26||serum|||"),
        (29, "DSP|29||1^^^|||"),
        (30, "DSP|30||2^^^|||"),
        (31, "DSP|31||5^^^|||"),
    ] {
        assert_eq!(dsp[n - 1], line);
    }
    assert_eq!(dsr.last().unwrap(), "DSC||");
    let told = reply.follow[0].specimen.as_ref().unwrap();
    assert_eq!(told.tests.len(), 2, "a cancellation can't be said");
}

#[test]
fn chemistry_hears_of_all_in_a_chain_and_of_nothing_at_once() {
    let settings = settings(OrderDialect::MindrayChemistry);
    let all = CHEMISTRY_QUERY.replace("|RD|0019|", "|RD||");
    let one = |number: &str| specimen(number, vec![test(1, &["1"], TestAction::Perform)]);
    let reply = ask(&settings, &all, &worklist(vec![one("A"), one("B")]));
    let ends: Vec<String> = reply
        .follow
        .iter()
        .map(|message| text(&message.content).pop().unwrap())
        .collect();
    assert_eq!(ends, ["DSC|1|", "DSC||"]);
    for specimens in [Vec::new(), vec![specimen("0019", Vec::new())]] {
        let reply = ask(&settings, CHEMISTRY_QUERY, &worklist(specimens));
        assert_eq!(text(&reply.content)[3], "QAK|SR|NF|");
        assert!(reply.follow.is_empty());
    }
    let cancel = CHEMISTRY_QUERY.replace("|OTH|", "|CAN|");
    let reply = ask(&settings, &cancel, &worklist(vec![one("0019")]));
    assert_eq!(text(&reply.content)[3], "QAK|SR|OK|");
    assert!(reply.follow.is_empty());
    let question = question::of_message(&settings, CHEMISTRY_QUERY.as_bytes()).unwrap();
    let ids = Counted(Cell::new(0));
    let reply = answer(
        &settings,
        Occasion::Failed(&question),
        &WorklistAnswer::default(),
        &ids,
        NOW,
    );
    let lines = text(&reply.content);
    assert_eq!(lines[1], "MSA|AE|4|Application internal error|||207|");
    assert_eq!(lines[3], "QAK|SR|AE|");
}

#[test]
fn haematology_gets_the_orders_in_the_answer_itself() {
    let tests = vec![
        test(1, &["CBC+DIFF"], TestAction::Perform),
        test(2, &["CBC", "RET"], TestAction::Perform),
    ];
    let reply = ask(
        &settings(OrderDialect::MindrayHaematology),
        HAEMATOLOGY_QUERY,
        &worklist(vec![specimen("raisya", tests)]),
    );
    assert_eq!(
        text(&reply.content),
        [
            "MSH|^~\\&|||||20260301120000||ORR^O02|389|P|2.3.1||||||UNICODE",
            "MSA|AA|389",
            "PID|1||12^^^^MR||O\\F\\Neil^Ann||19900228000000|Female",
            "PV1|1",
            "ORC|AF|raisya||",
            "OBR|1|raisya||00001^Automated Count^99MRC||20260301103000||||||||||||||||||HM",
            "OBX|1|IS|08001^Take Mode^99MRC||A||||||F",
            "OBX|2|IS|08002^Blood Mode^99MRC||W||||||F",
            "OBX|3|IS|08003^Test Mode^99MRC||CBC+DIFF+RET||||||F",
            "OBX|4|NM|30525-0^Age^LN||36|yr|||||F",
        ]
    );
    assert_eq!(reply.inside.len(), 1);
    assert!(reply.follow.is_empty());
    let reply = ask(
        &settings(OrderDialect::MindrayHaematology),
        HAEMATOLOGY_QUERY,
        &worklist(vec![specimen("raisya", Vec::new())]),
    );
    assert_eq!(text(&reply.content)[1..], ["MSA|AR|389"]);
}

#[test]
fn parameters_are_counted_in_the_usual_mode_and_what_some_of_them_want() {
    let mut settings = settings(OrderDialect::MindrayHaematology);
    let orders = settings.orders.as_mut().unwrap();
    orders.modes.insert("60474-4".into(), "RET".into());
    for (codes, mode) in [
        (&["6690-2", "718-7"][..], "CBC+DIFF"),
        (&["6690-2", "60474-4"], "CBC+DIFF+RET"),
        (&["CBC"], "CBC"),
        (&["CBC", "6690-2"], "CBC+DIFF"),
        (&["RET", "718-7"], "CBC+DIFF+RET"),
    ] {
        let tests = vec![test(1, codes, TestAction::Perform)];
        let reply = ask(
            &settings,
            HAEMATOLOGY_QUERY,
            &worklist(vec![specimen("raisya", tests)]),
        );
        let counted = format!("OBX|3|IS|08003^Test Mode^99MRC||{mode}||||||F");
        assert!(text(&reply.content).contains(&counted), "{codes:?}");
    }
}

#[test]
fn an_answer_uses_the_delimiters_and_the_character_set_of_the_query() {
    let mut query = LAW_QUERY
        .replace('|', "$")
        .replace('^', "%")
        .replace("UNICODE UTF-8", "8859/1");
    query = query.replace("%~\\&", "%~?#");
    let mut tests = vec![test(1, &["GL%U"], TestAction::Perform)];
    tests[0].placer_number = Some("1$2".into());
    let mut tube = specimen("32971968", tests);
    tube.patient.as_mut().unwrap().name.as_mut().unwrap().family = Some("Müller".into());
    let settings = settings(OrderDialect::Law);
    let question = question::of_message(&settings, query.as_bytes()).unwrap();
    let ids = Counted(Cell::new(0));
    let reply = answer(
        &settings,
        Occasion::Query(&question),
        &worklist(vec![tube]),
        &ids,
        NOW,
    );
    let raw = &reply.follow[0].content;
    let (decoded, ..) = encoding_rs::WINDOWS_1252.decode(raw);
    assert!(decoded.contains("$Müller%Ann%B%%%%L$"), "{decoded}");
    assert!(
        decoded.contains("\rOBR$$1?F?2/GL?S?U$$GL?S?U\r"),
        "{decoded}"
    );
    assert!(raw.contains(&0xFC), "ü in ISO 8859-1");
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
