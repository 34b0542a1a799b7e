//! W3C trace context (https://www.w3.org/TR/trace-context/, version 00): taken from the caller or made
//! here, carried into every command, returned in every answer.

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, request::Parts};
use hub_core::telemetry::SpanContext;
use uuid::Uuid;

use crate::problem::Problem;

/// Trace of one request.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// 32 lower-case hex digits.
    pub(crate) trace_id: String,
    /// This request's own span.
    pub(crate) context: SpanContext,
    /// The caller's span.
    pub(crate) caller: Option<u64>,
}

impl Trace {
    /// Continues the caller's trace and keeps to its decision whether it is exported, or begins one when there is none or it
    /// is malformed.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let caller = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .and_then(SpanContext::parse);
        let own: u128 = rand::random();
        let context = caller.map_or_else(
            || SpanContext::root(Uuid::from_u128(own)),
            |caller| caller.child("request", own),
        );
        Self {
            trace_id: context.trace_id(),
            context,
            caller: caller.map(|caller| caller.span()),
        }
    }

    /// The header's value for whatever this request causes.
    pub(crate) fn parent(&self) -> String {
        self.context.traceparent()
    }
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

    fn of(traceparent: &str) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        Trace::of(&headers)
    }

    #[test]
    fn a_well_formed_parent_is_continued_and_a_bad_one_replaced() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = of(good);
        assert_eq!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.caller, Some(0x00f0_67aa_0ba9_02b7));
        assert!(!trace.parent().contains("00f067aa0ba902b7"), "own span");
        assert_ne!(of(good).parent(), trace.parent(), "each request its own");
        for bad in [
            "",
            "00-0-0-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let trace = of(bad);
            assert_eq!(trace.caller, None, "{bad}");
            assert_ne!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        }
    }

    #[test]
    fn what_the_caller_does_not_record_we_do_not_either() {
        let trace = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        assert!(!trace.context.is_sampled());
        assert!(trace.parent().ends_with("-00"));
    }
}
