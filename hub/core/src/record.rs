//! The record: one stored JetStream message that carries one or several messages.
//!
//! A record of one is CloudEvents binary mode: attributes are NATS headers, the body is the payload.
//! A record of several has what they share in the NATS headers, `content-type:
//! application/vnd.sangam.record`, `hub-record: 1` (the codec's version) and `hub-count`; its payload is,
//! for each: length of the attributes (u32 little-endian), attributes as `name: value` lines, length of
//! the body (u32 little-endian), body. A packed one has `content-encoding: lz4` and `hub-unpacked: <bytes>`, its payload is
//! the same as one LZ4 block. Why records: one durable write is shared by all who wait
//! (specs/rust-stack.md §2: 45,000 instead of 4,000 messages a second at 64 connections).

use async_nats::HeaderMap;
use bytes::{BufMut, Bytes, BytesMut};

mod shared;
pub(crate) use shared::Shared;

/// Version of the codec.
const VERSION: &str = "1";
const H_RECORD: &str = "hub-record";
const H_COUNT: &str = "hub-count";
const H_ENCODING: &str = "content-encoding";
const H_UNPACKED: &str = "hub-unpacked";
const LZ4: &str = "lz4";
const H_CONTENT_TYPE: &str = "content-type";
const CONTENT_TYPE: &str = "application/vnd.sangam.record";

/// Most messages in one record: the index is a small integer and a reader holds a record whole.
pub const MAX_PARTS: usize = 64;
/// Most bytes of payload in one record of several: well under the server's default limit of 1 MiB.
pub const MAX_BYTES: usize = 512 * 1024;

/// Below this packing gains nothing.
const PACK_FROM: usize = 1024;
/// No record of ours unpacks to more: the parts of one, whose attributes may come on top of [`MAX_BYTES`].
const MAX_UNPACKED: usize = 16 * 1024 * 1024;

/// A stored record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("record codec version {0} is not known to this release")]
    Version(String),
    #[error("record does not open under its key {0}")]
    Sealed(String),
    #[error("record can't be unpacked")]
    Packing,
    #[error("record is cut short at byte {0}")]
    Short(usize),
    #[error("record holds {found} messages, its header says {said}")]
    Count { said: String, found: usize },
}

/// One message of a record, as it is written.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// `name: value` lines.
    head: String,
    body: Bytes,
}

impl Part {
    /// A part with its body.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        Self {
            head: String::with_capacity(192),
            body,
        }
    }

    /// Adds an attribute. Line breaks in the value become spaces: a value is one line.
    pub fn attribute(&mut self, name: &str, value: &str) {
        self.head.push_str(name);
        self.head.push_str(": ");
        if value.contains(['\r', '\n']) {
            self.head.extend(
                value
                    .chars()
                    .map(|c| if c == '\r' || c == '\n' { ' ' } else { c }),
            );
        } else {
            self.head.push_str(value);
        }
        self.head.push('\n');
    }

    /// Bytes that it takes in a record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len() + 8
    }

    /// Never: a part has at least its lengths.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Puts parts into one record. `shared` are attributes that hold for all.
///
/// # Panics
/// When `parts` is empty: a record of nothing is a programming error.
#[must_use]
pub fn encode(shared: &[(&'static str, &str)], parts: &[Part]) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    for (name, value) in shared {
        headers.insert(*name, one_line(value).as_str());
    }
    if let [only] = parts {
        for (name, value) in lines(&only.head) {
            headers.append(name, value);
        }
        return (headers, only.body.clone());
    }
    assert!(!parts.is_empty(), "a record carries at least one message");
    headers.insert(H_CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(H_RECORD, VERSION);
    headers.insert(H_COUNT, parts.len().to_string().as_str());
    let mut payload = BytesMut::with_capacity(parts.iter().map(Part::len).sum());
    for part in parts {
        payload.put_u32_le(length(part.head.len()));
        payload.put_slice(part.head.as_bytes());
        payload.put_u32_le(length(part.body.len()));
        payload.put_slice(&part.body);
    }
    (headers, payload.freeze())
}

/// As [`encode`], with a payload of several packed: canonical JSON shrinks to a quarter, and it is written twice by an
/// atomic batch, synced, hashed and read again by each worker. Bytes from outside are never packed: what is stored in RAW
/// can be found there with any tool.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_packed(shared: &[(&'static str, &str)], parts: &[Part]) -> (HeaderMap, Bytes) {
    let (mut headers, payload) = encode(shared, parts);
    if parts.len() < 2 || payload.len() < PACK_FROM {
        return (headers, payload);
    }
    headers.insert(H_ENCODING, LZ4);
    headers.insert(H_UNPACKED, payload.len().to_string().as_str());
    (headers, lz4_flex::block::compress(&payload).into())
}

fn unpack(shared: &HeaderMap, payload: Bytes) -> Result<Bytes, RecordError> {
    match shared.get(H_ENCODING).map(async_nats::HeaderValue::as_str) {
        None => Ok(payload),
        Some(LZ4) => {
            let bytes = shared
                .get(H_UNPACKED)
                .and_then(|bytes| bytes.as_str().parse().ok())
                .filter(|bytes| *bytes <= MAX_UNPACKED)
                .ok_or(RecordError::Packing)?;
            lz4_flex::block::decompress(&payload, bytes)
                .ok()
                .filter(|unpacked| unpacked.len() == bytes)
                .map(Bytes::from)
                .ok_or(RecordError::Packing)
        }
        Some(_) => Err(RecordError::Packing),
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len)
        .expect("a part is far smaller than 4 GiB: bodies above 256 KiB go to the object store")
}

fn one_line(value: &str) -> String {
    value
        .chars()
        .map(|c| if c == '\r' || c == '\n' { ' ' } else { c })
        .collect()
}

/// One message of a record, as it is read: a slice of the record, nothing is copied.
#[derive(Debug, Clone)]
pub struct Decoded {
    head: Bytes,
    pub body: Bytes,
}

/// The messages of a stored record.
#[derive(Debug)]
pub struct Record {
    shared: HeaderMap,
    pub parts: Vec<Decoded>,
}

impl Record {
    /// Reads a stored message.
    ///
    /// # Errors
    /// [`RecordError`] when the codec is newer or the payload is damaged.
    pub fn decode(headers: Option<HeaderMap>, payload: Bytes) -> Result<Self, RecordError> {
        let shared = headers.unwrap_or_default();
        if let Some(key) = shared.get(crate::vault::HEADER) {
            return Err(RecordError::Sealed(key.as_str().to_owned()));
        }
        let Some(version) = shared.get(H_RECORD) else {
            return Ok(Self {
                shared,
                parts: vec![Decoded {
                    head: Bytes::new(),
                    body: payload,
                }],
            });
        };
        if version.as_str() != VERSION {
            return Err(RecordError::Version(version.as_str().to_owned()));
        }
        let payload = unpack(&shared, payload)?;
        let said = shared
            .get(H_COUNT)
            .map(|v| v.as_str().to_owned())
            .unwrap_or_default();
        let mut parts = Vec::with_capacity(said.parse::<usize>().unwrap_or(0).min(MAX_PARTS));
        let mut at = 0;
        while at < payload.len() {
            let head = take(&payload, &mut at)?;
            let body = take(&payload, &mut at)?;
            parts.push(Decoded { head, body });
        }
        if said.parse::<usize>() != Ok(parts.len()) {
            return Err(RecordError::Count {
                said,
                found: parts.len(),
            });
        }
        Ok(Self { shared, parts })
    }

    /// An attribute of a part: its own, or the shared one.
    #[must_use]
    pub fn attribute<'r>(&'r self, part: &'r Decoded, name: &str) -> Option<&'r str> {
        lines(std::str::from_utf8(&part.head).unwrap_or_default())
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .or_else(|| self.shared.get(name).map(async_nats::HeaderValue::as_str))
    }

    /// Every value of a repeated attribute of a part.
    pub fn attributes<'r>(
        &'r self,
        part: &'r Decoded,
        name: &'r str,
    ) -> impl Iterator<Item = &'r str> {
        lines(std::str::from_utf8(&part.head).unwrap_or_default())
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value)
            .chain(
                self.shared
                    .get_all(name)
                    .map(async_nats::HeaderValue::as_str),
            )
    }

    /// Own attributes of a part, in order.
    pub fn own_attributes<'r>(
        &'r self,
        part: &'r Decoded,
    ) -> impl Iterator<Item = (&'r str, &'r str)> {
        lines(std::str::from_utf8(&part.head).unwrap_or_default())
    }

    /// A shared attribute.
    #[must_use]
    pub fn shared(&self, name: &str) -> Option<&str> {
        self.shared.get(name).map(async_nats::HeaderValue::as_str)
    }
}

fn take(payload: &Bytes, at: &mut usize) -> Result<Bytes, RecordError> {
    let short = RecordError::Short(*at);
    let length = payload
        .get(*at..*at + 4)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_le_bytes)
        .ok_or_else(|| short.clone())?;
    let start = *at + 4;
    let end = start
        .checked_add(length as usize)
        .filter(|end| *end <= payload.len())
        .ok_or(short)?;
    *at = end;
    Ok(payload.slice(start..end))
}

fn lines(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.split('\n').filter_map(|line| line.split_once(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: &str, body: &'static [u8]) -> Part {
        let mut part = Part::new(Bytes::from_static(body));
        part.attribute("ce-id", id);
        part
    }

    #[test]
    fn a_record_of_one_is_binary_mode_and_of_several_comes_back_whole() {
        let (headers, payload) = encode(&[("hub-tenant", "demo")], &[part("a", b"MSH|")]);
        assert_eq!(&payload[..], b"MSH|");
        let one = Record::decode(Some(headers), payload).unwrap();
        assert_eq!(one.attribute(&one.parts[0], "ce-id"), Some("a"));

        let (headers, payload) = encode(
            &[("hub-tenant", "demo")],
            &[part("a", b"x"), part("b", b""), part("c\r\nd", b"zz")],
        );
        let three = Record::decode(Some(headers), payload).unwrap();
        assert_eq!(three.parts.len(), 3);
        assert_eq!(three.attribute(&three.parts[2], "ce-id"), Some("c  d"));
        assert_eq!(three.attribute(&three.parts[1], "hub-tenant"), Some("demo"));
        assert_eq!(&three.parts[2].body[..], b"zz");
    }

    #[test]
    fn a_packed_record_is_smaller_and_comes_back_whole_and_a_damaged_one_is_an_error() {
        let body = Bytes::from(br#"{"code":"6690-2","unit":"10*3/uL"}"#.repeat(20));
        let parts: Vec<Part> = (0..8).map(|_| Part::new(body.clone())).collect();
        let (_, plain) = encode(&[], &parts);
        let (headers, packed) = encode_packed(&[], &parts);
        assert!(packed.len() * 4 < plain.len());
        let record = Record::decode(Some(headers.clone()), packed.clone()).unwrap();
        assert_eq!(record.parts.len(), 8);
        assert!(record.parts.iter().all(|part| part.body == body));
        for end in 0..packed.len() {
            assert!(Record::decode(Some(headers.clone()), packed.slice(..end)).is_err());
        }
        let mut huge = headers.clone();
        huge.insert(H_UNPACKED, "99999999999");
        assert!(Record::decode(Some(huge), packed.clone()).is_err());
        let mut other = headers;
        other.insert(H_ENCODING, "br");
        assert!(Record::decode(Some(other), packed).is_err());
    }

    #[test]
    fn a_damaged_or_newer_record_is_an_error_and_never_a_panic() {
        let (headers, payload) = encode(&[], &[part("a", b"x"), part("b", b"y")]);
        for end in 0..payload.len() {
            assert!(
                Record::decode(Some(headers.clone()), payload.slice(..end)).is_err(),
                "{end}"
            );
        }
        let mut newer = headers;
        newer.insert("hub-record", "2");
        assert!(matches!(
            Record::decode(Some(newer), payload),
            Err(RecordError::Version(_))
        ));
    }
}
