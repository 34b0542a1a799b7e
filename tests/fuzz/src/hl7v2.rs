//! HL7 v2: each body takes any bytes and panics when a promise of the protocol layer is broken.
//!
//! Plain functions without fuzzing machinery, so that an ordinary test can run them too.

use std::time::Instant;

use adapter_hl7v2::ack::{Ack, AckCode, ReceivedAck};
use adapter_hl7v2::frame::{self, FrameEvent, FrameReader, FrameSettings, HybridReader, hybrid};
use adapter_hl7v2::message::{FlatTokeniser, Hl7Parser, Limits};
use adapter_hl7v2::orders::{self, Occasion, question, taken};
use adapter_hl7v2::settings::{Hl7v2Settings, OrderDialect, OrderSettings};
use adapter_hl7v2::{Formatting, Header, Message, Separators, Value};

/// The stream is read in pieces: the same events come out as when it is read at once, and no byte is lost.
pub fn frame(bytes: &[u8]) {
    let (mode, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let settings = FrameSettings {
        bare: mode & 1 == 1,
        limit: if mode & 2 == 2 { 8 } else { 1 << 20 },
        discard: 32,
        ..FrameSettings::default()
    };
    let whole = events(settings, [stream]);
    assert_eq!(whole, events(settings, stream.chunks(1)), "byte by byte");
    let step = usize::from(mode >> 2) + 1;
    assert_eq!(
        whole,
        events(settings, stream.chunks(step)),
        "in pieces of {step}"
    );
    for event in &whole {
        if let FrameEvent::Message { bytes, .. } = event
            && !bytes.iter().any(|b| matches!(*b, frame::VT | frame::FS))
        {
            let again = events(FrameSettings::default(), [frame::encode(bytes).as_ref()]);
            assert!(
                matches!(again.as_slice(), [FrameEvent::Message { bytes: same, .. }] if same == bytes),
                "what was framed is read again"
            );
        }
    }
}

fn events<'b>(
    settings: FrameSettings,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Vec<FrameEvent> {
    let now = Instant::now();
    let mut reader = FrameReader::new(settings);
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        found.extend(std::iter::from_fn(|| reader.next(now)));
    }
    reader.eof();
    found.extend(std::iter::from_fn(|| reader.next(now)));
    assert!(!reader.in_message(), "everything was decided at the end");
    found
}

/// A query is read or is none, and what answers it is one message that no block can end early; an acknowledgement of ours is read.
pub fn orders(bytes: &[u8]) {
    struct Ids;
    impl orders::ControlIds for Ids {
        fn next(&self, _dialect: OrderDialect) -> String {
            "1".to_owned()
        }
    }
    for dialect in [
        OrderDialect::Law,
        OrderDialect::MindrayChemistry,
        OrderDialect::MindrayHaematology,
    ] {
        let mut settings = Hl7v2Settings::listening(([127, 0, 0, 1], 0).into());
        settings.orders = Some(OrderSettings::of(dialect));
        let Some(question) = question::of_message(&settings, bytes) else {
            continue;
        };
        assert!(
            question
                .specimens
                .iter()
                .all(|number| !number.trim().is_empty())
        );
        let now = std::time::SystemTime::UNIX_EPOCH.into();
        for occasion in [Occasion::Query(&question), Occasion::Failed(&question)] {
            let reply = orders::answer(&settings, occasion, &Default::default(), &Ids, now);
            let follow = reply.follow.iter().map(|message| &message.content);
            for content in follow.chain([&reply.content]) {
                assert!(content.starts_with(b"MSH") && content.ends_with(b"\r"));
                let breaks = |b: &u8| [frame::VT, frame::FS].contains(b);
                assert!(!content.iter().any(breaks), "a block would end in it");
            }
        }
    }
    if let Ok(ack) = ReceivedAck::read(&bytes.to_vec().into()) {
        let _ = taken::read(&ack, &bytes.to_vec().into(), &[]);
    }
}

/// The same for blocks of the hybrid protocol; a block that passed its checks passes them again when it is written anew.
pub fn hybrid(bytes: &[u8]) {
    let (mode, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let settings = FrameSettings {
        limit: if mode & 1 == 1 { 8 } else { 1 << 20 },
        discard: 32,
        ..FrameSettings::default()
    };
    let whole = blocks(settings, [stream]);
    let step = usize::from(mode >> 1) + 1;
    assert_eq!(
        whole,
        blocks(settings, stream.chunks(step)),
        "in pieces of {step}"
    );
    let kept: usize = whole
        .iter()
        .map(|event| match event {
            FrameEvent::Message { bytes, .. }
            | FrameEvent::Quarantined { bytes, .. }
            | FrameEvent::BadBlock { bytes, .. } => bytes.len(),
            _ => 0,
        })
        .sum();
    assert!(kept <= stream.len(), "nothing is kept twice");
    for event in &whole {
        if let FrameEvent::Message { bytes, .. } = event
            && !bytes.iter().any(|b| matches!(*b, frame::VT | frame::FS))
        {
            let block = hybrid::encode(*b"23", bytes).expect("it came in a block");
            let again = blocks(FrameSettings::default(), [block.as_ref()]);
            assert!(
                matches!(again.as_slice(), [FrameEvent::Message { bytes: same, .. }] if same == bytes),
                "what was written is read again"
            );
        }
    }
}

fn blocks<'b>(
    settings: FrameSettings,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Vec<FrameEvent> {
    let now = Instant::now();
    let mut reader = HybridReader::new(settings);
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        found.extend(std::iter::from_fn(|| reader.next(now)));
    }
    reader.eof();
    found.extend(std::iter::from_fn(|| reader.next(now)));
    assert_eq!(reader.deadline(), None, "everything was decided at the end");
    found
}

/// Any text: parsed or refused; a parsed one is written byte for byte, complete, and the same for both tokenisers.
pub fn parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let limits = Limits::default();
    let parsed = Message::parse_with(text.as_str(), &limits, &Hl7Parser);
    let flat = Message::parse_with(text.as_str(), &limits, &FlatTokeniser);
    assert_eq!(parsed, flat, "both tokenisers agree");
    let header = Header::read(text.as_bytes()).ok();
    answer(header.as_ref(), bytes);
    let Ok(mut message) = parsed else { return };
    assert_eq!(message.as_str(), text);
    complete(&message);
    let header = header.expect("what the parser reads the edge reads too");
    for field in 1..=25 {
        let read = message
            .segment("MSH")
            .map(|msh| msh.field(field).raw().as_bytes());
        // The edge ends MSH at the first line end, the parser may know better.
        assert!(
            read.is_some_and(|read| read.starts_with(header.field(field))),
            "MSH-{field}"
        );
    }
    let before = message.clone();
    if message.set("MSH-3", "new|value").is_err() {
        // Only where MSH-3 holds a line end on which the rest depends.
        assert!(before.path("MSH-3").is_some_and(|v| v.raw().contains('\r')));
        assert_eq!(message, before, "a refused change changes nothing");
        return;
    }
    let set = message.path("MSH-3").map(|v| v.text().into_owned());
    assert_eq!(set.as_deref(), Some("new|value"));
    assert_eq!(message.segments().len(), before.segments().len());
}

/// Every character but line ends and blanks between segments is in a segment, and every one of a segment in a field.
fn complete(message: &Message) {
    let mut rest = message.as_str();
    for segment in message.segments() {
        let (before, after) = rest
            .split_once(segment.raw())
            .expect("segments are in order");
        assert!(
            before
                .chars()
                .all(|c| matches!(c, '\r' | '\n' | ' ' | '\t' | '\0' | '\u{FEFF}')),
            "only blanks between segments"
        );
        rest = after;
        let between = char::from(message.separators().field).to_string();
        let fields: Vec<_> = segment.fields().map(Value::raw).collect();
        for field in segment.fields() {
            let again: Vec<_> = field.repetitions().map(Value::raw).collect();
            let between = char::from(message.separators().repetition).to_string();
            assert_eq!(again.join(&between), field.raw());
            for part in field
                .repetitions()
                .flat_map(Value::components)
                .flat_map(Value::subcomponents)
            {
                let _ = (part.text(), part.value());
            }
        }
        if segment.id() == "MSH" {
            let tail = fields.get(1..).unwrap_or_default().join(&between);
            assert_eq!(format!("MSH{between}{tail}"), segment.raw());
        } else if !segment.is_empty() {
            assert_eq!(
                format!("{}{between}{}", segment.id(), fields.join(&between)),
                segment.raw()
            );
        }
    }
    assert!(
        rest.chars()
            .all(|c| matches!(c, '\r' | '\n' | ' ' | '\t' | '\0'))
    );
}

/// An answer can be written to anything and read by our own client.
fn answer(header: Option<&Header<'_>>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let at = std::time::UNIX_EPOCH.into();
    let ack = Ack::new(AckCode::AE, "1", at).text(&text).content(header);
    let read = ReceivedAck::read(&ack).expect("our own answer");
    assert_eq!(read.code, AckCode::AE);
    assert_eq!(read.control_id, header.map_or(&b""[..], Header::control_id));
}

/// Escaping is undone by unescaping; unescaping anything does no harm.
pub fn escape(bytes: &[u8]) {
    let (first, rest) = bytes.split_at_checked(8).unwrap_or((b"MSH|^~\\&", bytes));
    let own = [b"MSH", first, b"|"].concat();
    let separators = Separators::read(&own).map_or(Separators::STANDARD, |(own, _)| own);
    let text = String::from_utf8_lossy(rest);
    let escaped = adapter_hl7v2::escape::escape(&text, &separators);
    assert!(
        !escaped
            .bytes()
            .any(|b| separators.divides(b) || matches!(b, b'\r' | b'\n' | 0x0B | 0x1C))
    );
    assert_eq!(
        adapter_hl7v2::escape::unescape(&escaped, &separators, Formatting::Newlines),
        text
    );
    for formatting in [Formatting::Newlines, Formatting::Verbatim] {
        let _ = adapter_hl7v2::escape::unescape(&text, &separators, formatting);
    }
    let _ = adapter_hl7v2::dtm::read(&text);
    let _ = adapter_hl7v2::Path::parse(&text);
}

/// Any bytes become text; sound text becomes the same bytes again where the set has one way to write them.
pub fn charset(bytes: &[u8]) {
    let decoded = adapter_hl7v2::charset::decode(bytes, None);
    let (again, replaced) = adapter_hl7v2::charset::encode(&decoded.text, decoded.charset);
    if decoded.is_sound() {
        // what is read can be written, but for two sets: the encoders of the WHATWG Encoding Standard leave out what their decoders
        // read: of Big5 the characters of Hong Kong, of Shift_JIS those of the user's own (U+E000 to U+E757)
        assert!(
            replaced == 0 || matches!(decoded.charset.name(), "Big5" | "Shift_JIS"),
            "{}",
            decoded.charset
        );
        if matches!(
            decoded.charset.name(),
            "UTF-8" | "ASCII" | "UTF-16LE" | "UTF-16BE" | "ISO-8859-1"
        ) {
            assert_eq!(again, bytes, "{}", decoded.charset);
        }
    } else {
        assert!(!decoded.notes.is_empty());
    }
}

/// Any bytes: the messages found do not overlap, start with a header and leave nothing out but envelopes.
pub fn batch(bytes: &[u8]) {
    let batch = adapter_hl7v2::batch::split(bytes);
    let mut end = 0;
    for range in &batch.messages {
        assert!(range.start >= end && range.end <= bytes.len());
        end = range.end;
        let message = &bytes[range.clone()];
        let message = message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message);
        assert!(message.starts_with(b"MSH"));
        assert!(
            !adapter_hl7v2::batch::is_batch(message),
            "a message of a batch is one message"
        );
    }
    if !batch.messages.is_empty() && !adapter_hl7v2::batch::is_batch(bytes) {
        assert_eq!(batch.messages.len(), 1);
        assert!(batch.notes.is_empty());
    }
}
