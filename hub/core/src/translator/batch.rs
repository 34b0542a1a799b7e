//! What a batch of raw messages becomes: events by lane, rows of the ledger, dead letters.
//! Bodies too large for a record are put aside on the way; nothing is published here, the runner does that.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;
use schemas::integration::{
    DeadLettered, MessageRefused, MessageTranslated, Stage, TranslationOutcome,
};
use schemas::{Body, CatalogueEntry, ChannelId, OrderGroup, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::runner::TranslatorRunner;
use super::{RawMessage, Translation, Translator};
use crate::backbone::{Backbone, PublishError, ToPublish};
use crate::claim;
use crate::lane::lane_of;
use crate::mappings::Mappings;
use crate::record::{self, Part, Shared};
use crate::subject::{self, StreamName};
use crate::telemetry::{Kind, Span, SpanContext, Value, export, waited_ms};

/// What a batch became, grouped for few durable writes with the order of each lane kept.
#[derive(Default)]
pub(super) struct Made {
    /// Per lane and order group, runs of messages of the same type.
    lanes: BTreeMap<(u16, OrderGroup), Vec<Run>>,
    ledger: Vec<Part>,
    pub(super) attachments: Vec<(String, Bytes)>,
}

struct Run {
    name: &'static str,
    version: u16,
    parts: Vec<Part>,
    bytes: usize,
    /// Body too large for a record: goes to the object store.
    large: Option<Bytes>,
}

impl<T: Translator> TranslatorRunner<T> {
    pub(super) fn translate_batch(
        &self,
        batch: &[RawMessage],
        maps: &Mappings,
    ) -> (Made, Vec<ToPublish>, Vec<(SpanContext, Span)>) {
        let mut made = Made::default();
        let mut dead = Vec::new();
        let mut spans = Vec::new();
        for raw in batch {
            let parent = SpanContext::of(raw.traceparent.as_deref());
            let trace = translation_of(raw, parent);
            let began = OffsetDateTime::now_utc();
            let (translation, refusal) = self.translate_one(raw, maps);
            if export::records(trace) {
                let span = Span::new(
                    trace,
                    parent.map(|p| p.span()),
                    Kind::Consumer,
                    "translate",
                    began,
                )
                .with("hub.tenant", Value::Tenant(self.tenant.clone()))
                .with("hub.channel", Value::Channel(self.channel.clone()))
                .with("hub.message_id", Value::Id(raw.id.0))
                .with("hub.queue_ms", waited_ms(raw.received_at, began))
                .with("hub.outcome", Value::Word(translation.outcome.as_str()))
                .with("hub.events", Value::whole(translation.events.len()));
                let span = match &refusal {
                    Some((_, refusal)) => span.failed(refusal.code),
                    None => span,
                };
                spans.push((trace, span));
            }
            let refused = refusal.map(|(stage, refusal)| self.refused(stage, refusal));
            if let Some(refused) = &refused {
                dead.push(self.dead_letter(raw, refused, trace));
            }
            made.add(raw, translation, refused, &self.channel, trace);
        }
        (made, dead, spans)
    }

    fn translate_one(
        &self,
        raw: &RawMessage,
        maps: &Mappings,
    ) -> (Translation, Option<(Stage, crate::Refusal)>) {
        let empty = |keys, notes| Translation {
            outcome: TranslationOutcome::Refused,
            keys,
            events: Vec::new(),
            attachments: Vec::new(),
            unmapped: Vec::new(),
            notes,
        };
        // a translator is total by contract; a defect in one must stop one message and not the channel
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.translator.translate(raw, maps)
        }));
        match (outcome, &raw.quarantine) {
            (Ok(Ok(translation)), None) => (translation, None),
            (Ok(Ok(translation)), Some(reason)) => {
                let refusal = crate::Refusal::new(
                    "edge.quarantined",
                    format!("the edge could not take it for a message: {reason}"),
                );
                (
                    empty(translation.keys, translation.notes),
                    Some((Stage::Edge, refusal)),
                )
            }
            (Ok(Err(refused)), quarantine) => {
                let (stage, refusal) = match quarantine {
                    Some(reason) => (
                        Stage::Edge,
                        crate::Refusal::new(
                            "edge.quarantined",
                            format!("the edge could not take it for a message: {reason}"),
                        ),
                    ),
                    None => (Stage::Translate, refused.refusal),
                };
                (empty(refused.keys, refused.notes), Some((stage, refusal)))
            }
            (Err(_), _) => {
                metrics::counter!("hub_translator_panics_total", "channel" => self.channel.to_string()).increment(1);
                let refusal = crate::Refusal::new(
                    "translator.defect",
                    "the translator failed on this message; report it with the message's id"
                        .to_owned(),
                );
                (
                    empty(schemas::integration::SearchKeys::default(), Vec::new()),
                    Some((Stage::Translate, refusal)),
                )
            }
        }
    }

    fn refused(&self, stage: Stage, refusal: crate::Refusal) -> MessageRefused {
        MessageRefused {
            stage,
            by: format!("translator.{}", self.channel),
            reason: refusal.code.to_owned(),
            detail: refusal.detail,
        }
    }

    fn dead_letter(
        &self,
        raw: &RawMessage,
        refused: &MessageRefused,
        trace: SpanContext,
    ) -> ToPublish {
        let stage = refused.stage;
        let body = DeadLettered {
            stage,
            by: refused.by.clone(),
            reason: refused.reason.clone(),
            detail: refused.detail.clone(),
            event_id: None,
            event_type: None,
            raw_id: Some(raw.id),
            channel: Some(self.channel.clone()),
            stream: StreamName::Raw.as_str().to_owned(),
            stream_seq: raw.position.seq,
            index: raw.position.index,
            attempts: 1,
            in_ledger: true,
        };
        let lane = lane_of(raw.id.0.as_bytes());
        let mut part = Part::new(
            serde_json::to_vec(&body)
                .expect("canonical types serialise")
                .into(),
        );
        part.attribute("ce-id", &arrival_id(raw, "dead").to_string());
        part.attribute("ce-subject", &raw.id.to_string());
        part.attribute("ce-time", &rfc3339(raw.received_at));
        part.attribute("hub-causation", &raw.id.to_string());
        part.attribute("traceparent", &trace.traceparent());
        let (headers, payload) = record::encode(
            &shared_attributes::<DeadLettered>(
                &self.tenant,
                &format!("/translator/{}", self.channel),
                &rfc3339(OffsetDateTime::now_utc()),
            )
            .each(),
            &[part],
        );
        ToPublish {
            subject: subject::dead(&self.tenant, lane, stage.as_str()),
            headers,
            payload,
        }
    }
}

/// Context of a translation: its own for each arrival, and the same when it is repeated after a crash.
fn translation_of(raw: &RawMessage, parent: Option<SpanContext>) -> SpanContext {
    let arrival = (u128::from(raw.position.seq) << 16) | u128::from(raw.position.index);
    parent.map_or_else(
        || SpanContext::root(raw.id.0),
        |parent| parent.child("translate", raw.id.0.as_u128() ^ arrival),
    )
}

impl Made {
    fn add(
        &mut self,
        raw: &RawMessage,
        translation: Translation,
        refused: Option<MessageRefused>,
        channel: &ChannelId,
        trace: SpanContext,
    ) {
        let traceparent = trace.traceparent();
        let received_at = rfc3339(raw.received_at);
        let raw_id = raw.id.to_string();
        let mut types = Vec::with_capacity(translation.events.len());
        for (index, event) in translation.events.into_iter().enumerate() {
            let id = schemas::event_id(raw.id.0, u32::try_from(index).unwrap_or(u32::MAX));
            types.push(event.name.to_owned());
            let lane = lane_of(event.aggregate.as_bytes());
            let group =
                CatalogueEntry::find(event.name).map_or(OrderGroup::Care, |entry| entry.group);
            let large = (event.body.len() > claim::LIMIT).then(|| event.body.clone());
            let mut part = Part::new(if large.is_some() {
                Bytes::new()
            } else {
                event.body
            });
            part.attribute("ce-id", &id.to_string());
            part.attribute("ce-subject", &event.aggregate);
            match event.occurred_at {
                Some(at) => part.attribute("ce-time", &rfc3339(at)),
                None => part.attribute("ce-time", &received_at),
            }
            part.attribute("hub-causation", &raw_id);
            part.attribute("traceparent", &traceparent);
            let runs = self.lanes.entry((lane, group)).or_default();
            let fits = runs.last().is_some_and(|run| {
                run.name == event.name
                    && run.version == event.version
                    && run.large.is_none()
                    && large.is_none()
                    && run.parts.len() < record::MAX_PARTS
                    && run.bytes + part.len() <= record::MAX_BYTES
            });
            if !fits {
                runs.push(Run {
                    name: event.name,
                    version: event.version,
                    parts: Vec::new(),
                    bytes: 0,
                    large,
                });
            }
            if let Some(run) = runs.last_mut() {
                run.bytes += part.len();
                run.parts.push(part);
            }
        }
        self.attachments.extend(translation.attachments);
        let mut notes = raw.notes.clone();
        notes.extend(translation.notes);
        let body = MessageTranslated {
            raw_id: raw.id,
            channel: channel.clone(),
            stream_seq: raw.position.seq,
            index: raw.position.index,
            received_at: received_at.clone(),
            size: u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX),
            peer: raw.peer.clone(),
            outcome: translation.outcome,
            keys: translation.keys,
            events: types,
            unmapped: translation.unmapped,
            notes,
            parent: raw.parent,
            refused,
        };
        let mut part = Part::new(
            serde_json::to_vec(&body)
                .expect("canonical types serialise")
                .into(),
        );
        part.attribute("ce-id", &arrival_id(raw, "ledger").to_string());
        part.attribute("ce-subject", channel.as_str());
        part.attribute("ce-time", &received_at);
        part.attribute("hub-causation", &raw_id);
        // a row for every message of the hub: these bytes are written only where somebody sees them
        if export::records(trace) {
            part.attribute("traceparent", &traceparent);
        }
        self.ledger.push(part);
    }

    pub(super) async fn into_messages(
        self,
        backbone: &Backbone,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<(Vec<ToPublish>, Vec<ToPublish>), PublishError> {
        let source = format!("/channel/{tenant}/{channel}");
        let now = rfc3339(OffsetDateTime::now_utc());
        let mut messages = Vec::new();
        for ((lane, _), runs) in self.lanes {
            for mut run in runs {
                if let Some(body) = run.large.take() {
                    let name = claim::put(backbone, tenant, &body)
                        .await
                        .map_err(|error| PublishError::Unreachable(error.to_string()))?;
                    for part in &mut run.parts {
                        part.attribute(claim::HEADER, &name);
                    }
                }
                let shared = Shared::new(run.name, run.version, tenant, &source, &now);
                let (headers, payload) = record::encode_packed(&shared.each(), &run.parts);
                messages.push(ToPublish {
                    subject: subject::message(schemas::MessageKind::Event, tenant, lane, run.name),
                    headers,
                    payload,
                });
            }
        }
        let shared = shared_attributes::<MessageTranslated>(tenant, &source, &now);
        let subject = subject::translated(tenant, channel);
        let mut ledger = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        let mut bytes = 0;
        for part in self.ledger {
            if bytes + part.len() > record::MAX_BYTES {
                ledger.push(ledger_message(&subject, &shared, &parts));
                parts.clear();
                bytes = 0;
            }
            bytes += part.len();
            parts.push(part);
        }
        if !parts.is_empty() {
            ledger.push(ledger_message(&subject, &shared, &parts));
        }
        Ok((messages, ledger))
    }
}

fn ledger_message(subject: &str, shared: &Shared<'_>, parts: &[Part]) -> ToPublish {
    let (headers, payload): (HeaderMap, Bytes) = record::encode_packed(&shared.each(), parts);
    ToPublish {
        subject: subject.to_owned(),
        headers,
        payload,
    }
}

fn shared_attributes<'a, B: Body>(
    tenant: &'a TenantId,
    source: &'a str,
    now: &'a str,
) -> Shared<'a> {
    Shared::new(B::NAME, B::VERSION, tenant, source, now)
}

/// Identity of one arrival (the same bytes may arrive several times; each arrival has its ledger row).
fn arrival_id(raw: &RawMessage, what: &str) -> Uuid {
    Uuid::new_v5(
        &raw.id.0,
        format!("{what}:{}.{}", raw.position.seq, raw.position.index).as_bytes(),
    )
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
