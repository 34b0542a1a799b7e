//! W3C trace context (https://www.w3.org/TR/trace-context/, version 00): taken from the caller or made
//! here, carried into every command, returned in every answer.

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, request::Parts};
use rand::RngCore;

use crate::problem::Problem;

/// Trace of one request.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// 32 lower-case hex digits.
    pub(crate) trace_id: String,
    /// 16 lower-case hex digits: this request's own span.
    span_id: String,
    flags: u8,
}

impl Trace {
    /// Continues the caller's trace, or begins one when there is none or it is malformed.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (trace_id, flags) = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .and_then(parse)
            .unwrap_or_else(|| (hex(&random::<16>()), 1));
        Self {
            trace_id,
            span_id: hex(&random::<8>()),
            flags,
        }
    }

    /// The header's value for whatever this request causes.
    pub(crate) fn parent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Trace id and flags of a header, if it is well formed.
fn parse(value: &str) -> Option<(String, u8)> {
    let mut parts = value.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
    // version ff is invalid; versions above 00 may have further parts
    let well_formed = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(span, 16)
        && !is_zero(span)
        && is_hex(flags, 2);
    well_formed.then_some(())?;
    Some((trace.to_owned(), u8::from_str_radix(flags, 16).ok()? & 1))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_parent_is_continued_and_a_bad_one_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .unwrap(),
        );
        let trace = Trace::of(&headers);
        assert_eq!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(!trace.parent().contains("00f067aa0ba902b7"), "own span");
        for bad in [
            "",
            "00-0-0-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
