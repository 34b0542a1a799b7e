//! Both Mindray forms, segment by segment.

use super::*;

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
fn chemistry_asks_for_all_only_with_an_empty_field() {
    let settings = settings(OrderDialect::MindrayChemistry);
    let of = |number: &str| {
        let text = CHEMISTRY_QUERY.replace("|RD|0019|", &format!("|RD|{number}|"));
        question::of_message(&settings, text.as_bytes()).unwrap()
    };
    assert_eq!(of("").asks, Asks::All);
    assert_eq!(of("0019").asks, Asks::Specimens);
    let long = "9".repeat(81);
    for unread in ["   ", "^", "\"\"", long.as_str()] {
        let question = of(unread);
        assert!(
            matches!(question.asks, Asks::Other(_)) && question.specimens.is_empty(),
            "{unread:?}: {:?}",
            question.asks
        );
        // as for a tube that nobody knows
        let reply = answer(
            &settings,
            Occasion::Query(&question),
            &WorklistAnswer::default(),
            &Counted(Cell::new(0)),
            NOW,
        );
        assert_eq!(text(&reply.content)[3], "QAK|SR|NF|", "{unread:?}");
        assert!(reply.follow.is_empty());
    }
}
