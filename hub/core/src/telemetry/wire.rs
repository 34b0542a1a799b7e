//! OTLP's messages in the binary encoding of Protocol Buffers: the few that spans need, written straight from them.
//! Field numbers are those of opentelemetry-proto (trace.proto, common.proto, resource.proto, trace_service.proto);
//! `tests/tests/it/traces.rs` reads what is written here with that project's own types.

use super::span::{Span, Value};

/// Name of the instrumentation scope.
const SCOPE: &str = "hub";

/// `ExportTraceServiceRequest` of spans that share a resource.
pub(super) fn request(resource: &[(&str, String)], spans: &[Span]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(256 + 384 * spans.len()));
    out.message(1, |out| {
        out.message(1, |out| {
            for (key, value) in resource {
                out.message(1, |out| {
                    out.text(1, key);
                    out.message(2, |out| out.text(1, value));
                });
            }
        });
        out.message(2, |out| {
            out.message(1, |out| {
                out.text(1, SCOPE);
                out.text(2, env!("CARGO_PKG_VERSION"));
            });
            for span in spans {
                out.message(2, |out| write_span(out, span));
            }
        });
    });
    out.0
}

fn write_span(out: &mut Writer, span: &Span) {
    out.bytes(1, &span.context.trace().to_be_bytes());
    out.bytes(2, &span.context.span().to_be_bytes());
    if let Some(parent) = span.parent {
        out.bytes(4, &parent.to_be_bytes());
    }
    match &span.what {
        None => out.text(5, span.name),
        Some(what) => out.text(5, &format!("{} {}", span.name, in_words(what))),
    }
    out.number(6, span.kind as u64);
    out.fixed64(7, span.start);
    out.fixed64(8, span.end);
    for (key, value) in &span.attributes {
        out.message(9, |out| {
            out.text(1, key);
            out.message(2, |out| match value {
                // int64: two's complement
                Value::Whole(number) => out.number(3, number.cast_unsigned()),
                Value::Word(text) => out.text(1, text),
                Value::Channel(channel) => out.text(1, channel.as_str()),
                Value::Tenant(tenant) => out.text(1, tenant.as_str()),
                Value::Route(route) => out.text(1, route),
                Value::Id(id) => out.text(1, id.hyphenated().encode_lower(&mut [0; 36])),
            });
        });
    }
    if let Some(code) = span.failed {
        out.message(15, |out| {
            out.text(2, code);
            // STATUS_CODE_ERROR
            out.number(3, 2);
        });
    }
    // sampled
    out.fixed32(16, 1);
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Word(text) => (*text).to_owned(),
        Value::Whole(number) => number.to_string(),
        Value::Id(id) => id.to_string(),
        Value::Channel(channel) => channel.to_string(),
        Value::Tenant(tenant) => tenant.to_string(),
        Value::Route(route) => route.clone(),
    }
}

/// How many spans an `ExportTraceServiceResponse` says were not taken (`partial_success.rejected_spans`); 0 when the
/// answer can't be read: a collector that says 200 has them.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    fields(answer)
        .find_map(|field| match field {
            (1, Field::Bytes(partial)) => fields(partial).find_map(|field| match field {
                (1, Field::Number(rejected)) => Some(rejected),
                _ => None,
            }),
            _ => None,
        })
        .unwrap_or(0)
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Number and content of each field, up to the first that can't be read.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut rest)?),
            1 => {
                rest = rest.get(8..)?;
                Field::Other
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (content, after) = rest.split_at_checked(length)?;
                rest = after;
                Field::Bytes(content)
            }
            5 => {
                rest = rest.get(4..)?;
                Field::Other
            }
            _ => return None,
        };
        Some((key >> 3, field))
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.key(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, number: u32) {
        self.key(field, 5);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message inside: its length is known, and put before it, when it is written.
    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.key(field, 2);
        let start = self.0.len();
        write(self);
        let end = self.0.len();
        self.varint((end - start) as u64);
        let length = self.0.len() - end;
        self.0[start..].rotate_right(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lengths_and_messages_are_those_of_the_encoding() {
        let mut out = Writer(Vec::new());
        // the examples of protobuf.dev/programming-guides/encoding
        out.number(1, 150);
        assert_eq!(out.0, [0x08, 0x96, 0x01]);
        out.0.clear();
        out.text(2, "testing");
        assert_eq!(out.0, b"\x12\x07testing");
        out.0.clear();
        out.message(3, |out| out.number(1, 150));
        assert_eq!(out.0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        out.0.clear();
        // a length of two bytes
        out.message(1, |out| out.bytes(1, &[7; 300]));
        assert_eq!(out.0[..6], [0x0a, 0xaf, 0x02, 0x0a, 0xac, 0x02]);
        assert_eq!(out.0.len(), 306);
    }

    #[test]
    fn what_a_collector_did_not_take_is_read_and_rubbish_says_nothing() {
        let mut answer = Writer(Vec::new());
        answer.fixed64(9, 1);
        answer.message(1, |out| {
            out.text(2, "too many");
            out.number(1, 17);
        });
        assert_eq!(rejected(&answer.0), 17);
        for rubbish in [&b""[..], b"\xff", b"\x0a\xff\x01", b"ok", &[0xff; 40]] {
            assert_eq!(rejected(rubbish), 0);
        }
        for end in 0..answer.0.len() {
            rejected(&answer.0[..end]);
        }
    }
}
