//! ED: documents and images are decoded and kept beside the event, under their digest.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use hub_core::translator::meaning::NOT_SENT;
use schemas::care::{Attachment, Value as Measured};
use sha2::{Digest, Sha256};

use super::scope::{Scope, text};
use crate::message::Value;

/// Padding and left-over bits are the sender's business.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// ED: source application ^ type ^ subtype ^ encoding ^ data. Data that can't be decoded are kept as they stand.
pub(super) fn read(
    scope: &Scope<'_>,
    field: Value<'_>,
    attachments: &mut Vec<(String, Bytes)>,
) -> Measured {
    if field.repetitions().nth(1).is_some() {
        scope.bad("OBX-5", "only the first of several documents is read");
    }
    let parts: Vec<Value<'_>> = field.components().collect();
    let at = |n: usize| parts.get(n).copied();
    let words = |n| at(n).and_then(text).unwrap_or_default();
    let (application, kind, subtype, encoding) = (words(0), words(1), words(2), words(3));
    let data = at(4).map(Value::raw).unwrap_or_default();
    if data.trim().is_empty() {
        return Measured::Absent {
            reason: NOT_SENT.to_owned(),
        };
    }
    let label: Vec<&str> = [&application, &kind, &subtype]
        .into_iter()
        .map(AsRef::as_ref)
        .filter(|word: &&str| !word.is_empty())
        .collect();
    let decoded = match encoding.to_ascii_lowercase().as_str() {
        "base64" => base64_of(data),
        "hex" => hex_of(data),
        // `A`: no encoding; the text itself.
        "a" | "" => at(4).map(|value| value.text().into_owned().into_bytes()),
        _ => None,
    };
    let (bytes, media_type) = match decoded {
        Some(bytes) => (bytes, media_type(&kind, &subtype)),
        None => {
            scope.note(
                "OBX-5: the document is not in the encoding it names; kept as it came".to_owned(),
            );
            (data.as_bytes().to_vec(), "application/octet-stream")
        }
    };
    let sha256: String = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let attachment = Attachment {
        sha256: sha256.clone(),
        bytes: bytes.len() as u64,
        media_type: media_type.to_owned(),
        label: (!label.is_empty()).then(|| label.join(" ")),
    };
    if !attachments.iter().any(|(known, _)| *known == sha256) {
        attachments.push((sha256, Bytes::from(bytes)));
    }
    Measured::Attachment { attachment }
}

/// Base64 may be wrapped: by line ends, or by `\.br\` and `\X0D\` escapes.
fn base64_of(data: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = LENIENT.decode(data) {
        return Some(bytes);
    }
    let mut clean = Vec::with_capacity(data.len());
    let mut in_escape = false;
    for b in data.bytes() {
        match b {
            b'\\' => in_escape = !in_escape,
            _ if in_escape || b.is_ascii_whitespace() => {}
            _ => clean.push(b),
        }
    }
    LENIENT.decode(&clean).ok()
}

fn hex_of(data: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = data
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| {
            char::from(b)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        })
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Tables 0191 and 0291, and what devices write instead.
fn media_type(kind: &str, subtype: &str) -> &'static str {
    let subtype = subtype.to_ascii_lowercase();
    match subtype.as_str() {
        "pdf" | "application/pdf" => "application/pdf",
        "jpeg" | "jpg" | "jpe" | "image/jpeg" => "image/jpeg",
        "png" | "image/png" => "image/png",
        "gif" => "image/gif",
        "bmp" | "image/bmp" => "image/bmp",
        "tiff" | "tif" => "image/tiff",
        "rtf" => "application/rtf",
        "html" | "text/html" => "text/html",
        "xml" | "text/xml" => "application/xml",
        "plain" => "text/plain",
        "dicom" => "application/dicom",
        "x-hl7-cda-level-one" | "x-hl7-cda-level-1" | "cda" => "application/hl7-cda+xml",
        // Some put it the other way round, or all into the type.
        "" | "application" => match kind.to_ascii_lowercase().as_str() {
            "pdf" | "application/pdf" => "application/pdf",
            "text" | "tx" | "txt" => "text/plain",
            _ => "application/octet-stream",
        },
        _ => "application/octet-stream",
    }
}
