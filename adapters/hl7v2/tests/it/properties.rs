//! What holds for all inputs of a shape.

use std::time::Instant;

use adapter_hl7v2::frame::{FrameEvent, FrameReader, FrameSettings};
use adapter_hl7v2::{Charset, Formatting, Message, Separators, charset, dtm, escape};
use proptest::prelude::*;

fn events(settings: FrameSettings, pieces: &[&[u8]]) -> Vec<FrameEvent> {
    let now = Instant::now();
    let mut reader = FrameReader::new(settings);
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        found.extend(std::iter::from_fn(|| reader.next(now)));
    }
    reader.eof();
    found.extend(std::iter::from_fn(|| reader.next(now)));
    found
}

/// Bytes in which framing, line ends and headers are frequent.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\x0b".to_vec()),
        Just(b"\x1c\r".to_vec()),
        Just(b"\x1c".to_vec()),
        Just(b"MSH|^~\\&|A\rPID|1\r".to_vec()),
        Just(b"MSH|".to_vec()),
        prop::sample::select(b"\x0b\x1c\r\n\0\x02\x06MSH|A".to_vec()).prop_map(|b| vec![b]),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A value without anything that divides.
fn value() -> impl Strategy<Value = String> {
    "[ -~&&[^|^~\\\\&\"]]{0,8}|[अ-ह]{1,4}|[a-z]{0,3}\\\\[FSTRE]\\\\[a-z]{0,3}"
}

/// A message as rows of fields of components.
fn message() -> impl Strategy<Value = String> {
    let field =
        prop::collection::vec(prop::collection::vec(value(), 1..4), 1..3).prop_map(|repetitions| {
            let joined: Vec<_> = repetitions
                .iter()
                .map(|components| components.join("^"))
                .collect();
            joined.join("~")
        });
    let segment = ("[A-Z][A-Z0-9]{2}", prop::collection::vec(field, 1..8))
        .prop_filter("one header", |(id, _)| id != "MSH")
        .prop_map(|(id, fields)| format!("{id}|{}", fields.join("|")));
    let end = prop::sample::select(vec!["\r", "\n", "\r\n", "\r\r"]);
    (prop::collection::vec(segment, 1..6), end).prop_map(|(segments, end)| {
        let mut text = format!("MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5{end}");
        for segment in segments {
            text.push_str(&segment);
            text.push_str(end);
        }
        text
    })
}

/// Five different delimiters, the field separator first.
fn separators() -> impl Strategy<Value = Separators> {
    let usable: Vec<char> = (b'!'..b'~')
        .map(char::from)
        .filter(|c| c.is_ascii_punctuation() && *c != '"')
        .collect();
    prop::sample::subsequence(usable, 5..=6)
        .prop_shuffle()
        .prop_map(|chosen| {
            let field = chosen[0];
            let rest: String = chosen[1..].iter().collect();
            let header = format!("MSH{field}{rest}{field}");
            Separators::read(header.as_bytes())
                .expect("five different delimiters")
                .0
        })
}

/// All fields but one of one segment, with where they are.
fn others(message: &Message, segment: usize, field: usize) -> Vec<(usize, usize, &str)> {
    let mut found = Vec::new();
    for (s, at) in message.segments().enumerate() {
        for (f, value) in at.fields().enumerate() {
            if (s, f + 1) != (segment, field) && !value.is_empty() {
                found.push((s, f + 1, value.raw()));
            }
        }
    }
    found
}

proptest! {
    // The inputs that broke something are kept as unit tests, not as seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_a_stream_gives_the_same_events(
        bytes in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        bare in any::<bool>(),
        limit in prop_oneof![Just(6), Just(4096)],
    ) {
        let settings = FrameSettings { bare, limit, discard: 24, ..FrameSettings::default() };
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(events(settings, &pieces), events(settings, &[&bytes]));
    }

    #[test]
    fn parsing_never_panics_and_loses_nothing(text in "(MSH\\|\\^~\\\\&)?([ -~\r\n]|\\PC){0,200}") {
        if let Ok(message) = Message::parse(text.as_str()) {
            prop_assert_eq!(message.to_string(), text);
        }
    }

    #[test]
    fn a_message_is_written_as_it_was_read(text in message()) {
        let message = Message::parse(text.as_str()).expect("a well-formed message");
        prop_assert_eq!(message.to_bytes(), text.as_bytes());
    }

    #[test]
    fn setting_one_field_changes_only_this(
        text in message(),
        which in any::<prop::sample::Index>(),
        field in 1_usize..14,
        component in prop::option::of(1_usize..5),
        set in "\\PC{0,12}",
    ) {
        let before = Message::parse(text.as_str()).expect("a well-formed message");
        let segments: Vec<_> = before.segments().collect();
        let at = which.index(segments.len());
        let segment = segments[at];
        prop_assume!(segment.id() != "MSH" || field > 2);
        let occurrence = segments[..=at].iter().filter(|s| s.id() == segment.id()).count();
        let path = match component {
            Some(component) => format!("{}[{occurrence}]-{field}.{component}", segment.id()),
            None => format!("{}[{occurrence}]-{field}", segment.id()),
        };
        let mut after = before.clone();
        after.set(&path, &set).expect("the segment is there");
        prop_assert_eq!(after.path(&path).expect("the segment is there").text(), set);
        prop_assert_eq!(others(&before, at, field), others(&after, at, field));
        if let Some(component) = component {
            for other in (1..6).filter(|c| *c != component) {
                prop_assert_eq!(
                    segment.field(field).component(other).raw(),
                    after.segments().nth(at).expect("as many segments").field(field).component(other).raw()
                );
            }
        }
    }

    #[test]
    fn unescaping_undoes_escaping(text in "([ -~\r\n\t\\x0b\\x1c]|\\PC){0,60}", separators in separators()) {
        let escaped = escape::escape(&text, &separators);
        prop_assert!(!escaped.bytes().any(|b| separators.divides(b) || b == b'\r' || b == b'\n'));
        prop_assert_eq!(escape::unescape(&escaped, &separators, Formatting::Newlines), text.as_str());
    }

    #[test]
    fn decoding_undoes_encoding(text in "\\PC{0,60}") {
        for charset in [Charset::UTF_8, Charset::UTF_16LE, Charset::UTF_16BE] {
            let (bytes, replaced) = charset::encode(&text, charset);
            prop_assert_eq!(replaced, 0);
            let decoded = charset::decode(&bytes, Some(charset));
            prop_assert!(decoded.is_sound());
            prop_assert_eq!(decoded.text, text.as_str());
        }
    }

    #[test]
    fn a_time_stamp_never_panics_and_means_one_thing(text in "[0-9]{0,17}[.0-9]{0,6}[-+]?[0-9]{0,4}|\\PC{0,20}") {
        if let Ok(dtm::Reading::Known(read)) = dtm::read(&text) {
            let again = dtm::read(&read.iso(330)).expect("our own form").known().expect("a time");
            if read.precision() != dtm::Precision::Hour {
                prop_assert_eq!(read.instant(330).map(|i| i.0), again.instant(330).map(|i| i.0));
            }
        }
    }
}
