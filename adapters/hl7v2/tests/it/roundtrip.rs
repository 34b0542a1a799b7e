//! Every HL7 file of the corpus is read whole and written byte for byte.

use std::collections::BTreeMap;
use std::time::Instant;

use adapter_hl7v2::frame::{Broken, FrameEvent, FrameReader, FrameSettings};
use adapter_hl7v2::{Message, ParseError, batch, charset};

use crate::corpus;

/// The messages of a file that may be framed, a batch, or bare.
pub(crate) fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let framed =
        bytes.contains(&0x0B) && !bytes.starts_with(b"\xFF\xFE") && !bytes.starts_with(b"\xFE\xFF");
    let frames = if framed {
        unframe(bytes)
    } else {
        vec![bytes.to_vec()]
    };
    let mut found = Vec::new();
    for frame in frames {
        let split = batch::split(&frame);
        if split.messages.is_empty() {
            found.push(frame);
        } else {
            found.extend(
                split
                    .messages
                    .iter()
                    .map(|range| frame[range.clone()].to_vec()),
            );
        }
    }
    found
}

fn unframe(bytes: &[u8]) -> Vec<Vec<u8>> {
    let now = Instant::now();
    let mut reader = FrameReader::new(FrameSettings::default());
    reader.push(bytes);
    reader.eof();
    std::iter::from_fn(|| reader.next(now))
        .filter_map(|event| match event {
            FrameEvent::Message { bytes, .. }
            | FrameEvent::Quarantined {
                bytes,
                reason: Broken::Unframed | Broken::Eof,
                ..
            } => Some(bytes.to_vec()),
            _ => None,
        })
        .collect()
}

#[test]
fn every_file_is_written_as_it_was_read() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let mut read = 0;
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in corpus::files(&folder.join("hl7v2"))
        .into_iter()
        .chain(corpus::files(&folder.join("lab")))
    {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let bytes = std::fs::read(&path).unwrap();
        let known = ["gz", "json", "tsv", "md"]
            .iter()
            .any(|ext| name.ends_with(ext));
        if known || memchr::memmem::find(&bytes, b"MSH").is_none() {
            continue;
        }
        for (n, bytes) in messages(&bytes).iter().enumerate() {
            let decoded = charset::decode(bytes, None);
            if decoded.is_sound() {
                assert_eq!(
                    charset::encode(&decoded.text, decoded.charset).0,
                    *bytes,
                    "{name}#{n}"
                );
            }
            match Message::parse(decoded.text.as_ref()) {
                Ok(message) => {
                    assert_eq!(message.to_bytes(), decoded.text.as_bytes(), "{name}#{n}");
                    let length: usize = message.segments().map(|s| s.raw().len()).sum();
                    let blanks =
                        |c: char| matches!(c, '\r' | '\n' | ' ' | '\t' | '\0' | '\u{FEFF}');
                    let most = decoded.text.chars().filter(|c| blanks(*c)).count();
                    assert!(
                        length + most * 3 >= decoded.text.len(),
                        "{name}#{n} is incomplete"
                    );
                    read += 1;
                }
                Err(error) => {
                    let error = match error {
                        ParseError::SecondHeader { .. } => "second header".to_owned(),
                        other => other.to_string(),
                    };
                    refused
                        .entry(error)
                        .or_default()
                        .push(format!("{name}#{}", n + 1));
                }
            }
        }
    }
    println!("round trip: {read} messages byte for byte");
    for (why, which) in &refused {
        println!("refused, {why}: {}", which.join(" "));
    }
    assert!(read >= 1626, "{read} messages");
}
