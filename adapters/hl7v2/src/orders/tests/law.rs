//! IHE LAW, segment by segment.

use super::*;

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
