use super::*;

const MSH: &str = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|LE1|P|2.5";

fn parse(text: &str) -> Message {
    let message = Message::parse(text).unwrap();
    let other = Message::parse_with(text, &Limits::default(), &FlatTokeniser).unwrap();
    assert_eq!(message, other, "both tokenisers agree");
    assert_eq!(message.to_string(), text);
    message
}

fn ids(message: &Message) -> Vec<&str> {
    message.segments().map(|s| s.id()).collect()
}

fn raw<'m>(message: &'m Message, path: &str) -> &'m str {
    message.path(path).unwrap().raw()
}

#[test]
fn all_line_ends_give_the_same_segments() {
    for end in [
        "\r", "\n", "\r\n", "\n\r", "\r\r", "\r\n\r\n", "\n\n", "\r \r",
    ] {
        let message = parse(&format!(
            "{MSH}{end}EVN|A01{end}PID|1||1^^^H~2{end}PV1|1|I{end}"
        ));
        assert_eq!(ids(&message), ["MSH", "EVN", "PID", "PV1"], "{end:?}");
        assert_eq!(raw(&message, "PV1-2"), "I");
        assert_eq!(raw(&message, "PID-3[2]"), "2");
        assert_eq!(raw(&message, "MSH-12"), "2.5");
    }
    let mixed = parse(&format!("\u{FEFF}\r\n{MSH}\rEVN|A01\nPID|1\r\nPV1|1|I"));
    assert_eq!(ids(&mixed), ["MSH", "EVN", "PID", "PV1"]);
    assert_eq!(raw(&mixed, "MSH-10"), "LE1");
    assert!(
        mixed
            .notes()
            .iter()
            .any(|n| n.oddity == Oddity::BeforeHeader)
    );
    assert_eq!(parse(&format!("{MSH}\rPID|1\r")).notes(), []);
}

#[test]
fn line_feeds_in_text_stay_in_the_field() {
    let message = parse(&format!(
        "{MSH}\rOBX|1|TX|1||first\nsecond|x\nthird||||||F\rOBX|2|TX\r"
    ));
    assert_eq!(ids(&message), ["MSH", "OBX", "OBX"]);
    assert_eq!(raw(&message, "OBX-5"), "first\nsecond");
    assert_eq!(message.notes(), []);
}

#[test]
fn a_line_without_id_continues_the_field_before() {
    let message = parse(&format!(
        "{MSH}\rNTE|1||first\rno id here\r\nnor here\rNTE|2||last\r"
    ));
    assert_eq!(ids(&message), ["MSH", "NTE", "NTE"]);
    assert_eq!(
        message.path("NTE-3").unwrap().text(),
        "first\nno id here\nnor here"
    );
    assert_eq!(raw(&message, "NTE[2]-3"), "last");
    assert_eq!(
        message
            .notes()
            .first()
            .map(|n| (n.oddity, n.segment, n.count)),
        Some((Oddity::Continuation, 2, 2))
    );
}

#[test]
fn odd_segments_are_kept_and_noted() {
    let message = parse(&format!(
        "{MSH}\rZ1|a\rpv2|b\rZLONG|c^d\rOBX\r  NTE|1||x\rOBX|1|ST|1||y\r"
    ));
    assert_eq!(
        ids(&message),
        ["MSH", "Z1", "pv2", "ZLONG", "OBX", "NTE", "OBX"]
    );
    assert_eq!(raw(&message, "Z1-1"), "a");
    assert_eq!(raw(&message, "ZLONG-1.2"), "d");
    assert_eq!(raw(&message, "NTE-3"), "x");
    assert_eq!(raw(&message, "OBX[2]-5"), "y");
    assert_eq!(message.segment("OBX").map(|s| s.len()), Some(0));
    let found: Vec<_> = message
        .notes()
        .iter()
        .map(|n| (n.oddity, n.count))
        .collect();
    assert_eq!(
        found,
        [
            (Oddity::SegmentId, 3),
            (Oddity::NoFields, 1),
            (Oddity::Indented, 1)
        ]
    );
}

#[test]
fn msh_2_of_any_length_shifts_nothing() {
    for (head, msh2) in [
        ("MSH|^~\\&|", "^~\\&"),
        ("MSH|^~\\&#|", "^~\\&#"),
        ("MSH|^~\\|", "^~\\"),
        ("MSH|^~|", "^~"),
        ("MSH||", ""),
    ] {
        let message = parse(&format!("{head}LAB||||||ORU^R01|ID\rPID|1||a^b\r"));
        assert_eq!(raw(&message, "MSH-1"), "|");
        let two = message.path("MSH-2").unwrap();
        assert_eq!((two.raw(), two.text().as_ref()), (msh2, msh2));
        assert_eq!(raw(&message, "MSH-3"), "LAB");
        assert_eq!(raw(&message, "MSH-9.2"), "R01");
        assert_eq!(raw(&message, "MSH-10"), "ID");
        assert_eq!(raw(&message, "PID-3.2"), "b");
    }
}

#[test]
fn what_is_not_one_message_is_refused() {
    for (text, error) in [
        ("", ParseError::NoHeader),
        ("PID|1\r", ParseError::NoHeader),
        ("FHS|^~\\&|\rMSH|^~\\&|A\r", ParseError::NoHeader),
        (
            "MSH|^~\\&",
            ParseError::Separators(SeparatorError::Truncated),
        ),
        (
            "MSH|^^\\&|A\r",
            ParseError::Separators(SeparatorError::Duplicate(b'^')),
        ),
        (
            "MSH|^~\\&|A\rMSH|^~\\&|B\r",
            ParseError::SecondHeader { at: 11 },
        ),
    ] {
        assert_eq!(Message::parse(text), Err(error), "{text:?}");
    }
    let many = format!("{MSH}\r{}", "|".repeat(100_001));
    assert!(matches!(
        Message::parse(many),
        Err(ParseError::TooManyDelimiters { .. })
    ));
}

#[test]
fn asking_deeper_than_written_is_right() {
    let message = parse(&format!("{MSH}\rPID|1||12^^^H&1.2&ISO~34^X||\"\"^|||\r"));
    let pid = message.segment("PID").unwrap();
    assert_eq!(pid.field(3).repetitions().count(), 2);
    assert_eq!(
        pid.field(3)
            .component(4)
            .subcomponents()
            .map(Value::raw)
            .collect::<Vec<_>>(),
        ["H", "1.2", "ISO"]
    );
    assert_eq!(pid.field(3).component(4).subcomponent(2).raw(), "1.2");
    assert_eq!(pid.field(3).repetition(2).component(2).raw(), "X");
    assert_eq!(
        pid.field(1)
            .repetition(1)
            .component(1)
            .subcomponent(1)
            .raw(),
        "1"
    );
    assert_eq!(pid.field(1).component(2).raw(), "");
    assert!(pid.field(5).component(1).is_null());
    assert!(pid.field(7).is_empty() && pid.field(99).is_empty() && pid.field(0).is_empty());
    assert_eq!(pid.field(4).repetitions().count(), 0);
    assert_eq!(pid.field(5).component(1).value(), None);
    assert_eq!(message.path("ZZZ-1"), None);
}

#[test]
fn setting_one_field_changes_only_that() {
    let text = format!("{MSH}\r\n\r\nPID|1||1^^^H~2||Doe^Jane\r\nOBX\rno id\r");
    for (path, value, expected) in [
        ("PID-5.2", "Jane|Ann", text.replace("Jane", "Jane\\F\\Ann")),
        ("PID-3[2].1", "9", text.replace("~2", "~9")),
        ("PID-3[3].4.2", "1.2", text.replace("~2", "~2~^^^&1.2")),
        ("PID-3", "7", text.replace("1^^^H~2", "7")),
        ("PID-7", "2026", text.replace("Jane", "Jane||2026")),
        ("PID-5.2.2", "x", text.replace("Jane", "Jane&x")),
        ("MSH-10", "NEW", text.replace("LE1", "NEW")),
        ("MSH-15", "AL", text.replace("2.5", "2.5|||AL")),
    ] {
        let mut message = parse(&text);
        message.set(path, value).unwrap();
        assert_eq!(message.to_string(), expected, "{path}");
        assert_eq!(message.path(path).unwrap().text(), value);
    }
    let mut bare = parse(&format!("{MSH}\rOBX\rPID|1\r"));
    bare.set("OBX-2", "ST").unwrap();
    assert_eq!(raw(&bare, "OBX-2"), "ST");
    assert_eq!(bare.to_string(), format!("{MSH}\rOBX||ST\rPID|1\r"));
    let mut message = parse(&text);
    assert_eq!(message.set("MSH-2", "x"), Err(EditError::Delimiters));
    assert_eq!(message.set("ZZZ-2", "x"), Err(EditError::NoSegment));
    assert_eq!(message.set_raw("PID-5", "a|b"), Err(EditError::Raw));
    message.set_raw("PID-5", "Roe^Ann").unwrap();
    assert_eq!(raw(&message, "PID-5.2"), "Ann");
}
