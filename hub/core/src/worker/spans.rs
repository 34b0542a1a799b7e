//! One span a message that a worker applied, from the beginning of the transaction to its commit; exported only when it
//! has committed, as nothing else has happened.

use std::collections::HashSet;

use time::OffsetDateTime;

use super::{Verdict, Worker};
use crate::envelope::Envelope;
use crate::telemetry::{Kind, Span, SpanContext, Value, export, waited_ms};

/// Spans of one transaction.
pub(super) struct Spans {
    worker: &'static str,
    began: OffsetDateTime,
    finished: Vec<(SpanContext, Span)>,
}

impl Spans {
    pub(super) fn begin<W: Worker>() -> Self {
        Self {
            worker: W::NAME,
            began: OffsetDateTime::now_utc(),
            finished: Vec::new(),
        }
    }

    /// What became of a message. Returns its context: that of all that it caused.
    pub(super) fn settled(&mut self, message: &Envelope, verdict: &Verdict) -> SpanContext {
        let (outcome, code) = match verdict {
            Verdict::Applied { .. } => ("applied", None),
            Verdict::Unchanged => ("unchanged", None),
            Verdict::Refused(refusal) => ("refused", Some(refusal.code)),
        };
        self.add(message, outcome, code)
    }

    /// Those of `messages` that are not in `fresh`: applied before.
    pub(super) fn repeated(&mut self, messages: &[Envelope], fresh: &[Envelope]) {
        if !export::is_on() {
            return;
        }
        let fresh: HashSet<_> = fresh
            .iter()
            .map(|message| (message.id, message.position))
            .collect();
        for message in messages {
            if !fresh.contains(&(message.id, message.position)) {
                self.add(message, "repeat", None);
            }
        }
    }

    fn add(
        &mut self,
        message: &Envelope,
        outcome: &'static str,
        code: Option<&'static str>,
    ) -> SpanContext {
        let parent = SpanContext::of(message.traceparent.as_deref());
        let trace = self.context_of(message, parent);
        if export::records(trace) {
            let parent = parent.map(|parent| parent.span());
            let span = Span::new(trace, parent, Kind::Consumer, "apply", self.began)
                .on(Value::Word(self.worker))
                .with("hub.tenant", Value::Tenant(message.tenant.clone()))
                .with("hub.worker", Value::Word(self.worker))
                .with("hub.message_type", Value::message_type(&message.name))
                .with("hub.message_id", Value::Id(message.id))
                .with("hub.lane", Value::whole(message.lane))
                .with("hub.queue_ms", waited_ms(message.recorded_at, self.began))
                .with("hub.outcome", Value::Word(outcome));
            let span = match code {
                Some(code) => span.failed(code),
                None => span,
            };
            self.finished.push((trace, span));
        }
        trace
    }

    /// A message may be applied by several workers, and again after a replay: each time is a span of its own.
    fn context_of(&self, message: &Envelope, parent: Option<SpanContext>) -> SpanContext {
        let place = (u128::from(message.position.seq) << 16) | u128::from(message.position.index);
        parent.map_or_else(
            || SpanContext::root(message.correlation.unwrap_or(message.id)),
            |parent| parent.child(self.worker, message.id.as_u128() ^ place),
        )
    }

    /// The transaction has committed.
    pub(super) fn committed(self) {
        for (trace, span) in self.finished {
            export::record(trace, || span.ended_now());
        }
    }
}
