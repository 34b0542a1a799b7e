//! Publishing single messages from outside a worker: the edge's reports, commands of the API, replays.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use schemas::{Body, MessageKind, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::backbone::{Backbone, BackboneError, PublishError};
use crate::claim;
use crate::lane::lane_of;
use crate::record::{self, Part, Record, Shared};
use crate::subject::{self, StreamName};
use crate::telemetry::{Kind, Span, SpanContext, Value, export};
use crate::worker::CommandOutcome;

/// A message on its way, before it has an envelope.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub id: Uuid,
    pub kind: MessageKind,
    pub name: &'static str,
    pub version: u16,
    pub tenant: TenantId,
    /// `ce-source`: `/api`, `/edge/<channel>` …
    pub source: String,
    /// Opaque aggregate id; decides the lane.
    pub aggregate: String,
    /// Canonical JSON.
    pub body: Bytes,
    pub traceparent: Option<String>,
}

impl NewMessage {
    /// An event with a random id (reports that may be repeated without harm).
    ///
    /// # Panics
    /// Never: a canonical type always serialises.
    pub fn event<B: Body>(
        tenant: &TenantId,
        source: impl Into<String>,
        aggregate: impl Into<String>,
        body: &B,
    ) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind: MessageKind::Event,
            name: B::NAME,
            version: B::VERSION,
            tenant: tenant.clone(),
            source: source.into(),
            aggregate: aggregate.into(),
            body: serde_json::to_vec(body)
                .expect("canonical types serialise")
                .into(),
            traceparent: None,
        }
    }

    /// A command with a random id.
    ///
    /// # Panics
    /// Never: a canonical type always serialises.
    pub fn command<B: Body>(
        tenant: &TenantId,
        source: impl Into<String>,
        aggregate: impl Into<String>,
        body: &B,
    ) -> Self {
        Self {
            kind: MessageKind::Command,
            ..Self::event(tenant, source, aggregate, body)
        }
    }
}

/// Stores a message; returns when it is on disk.
///
/// # Errors
/// Not known to be stored.
pub async fn publish(
    backbone: &Backbone,
    message: &NewMessage,
    reply_to: Option<&str>,
) -> Result<u64, PublishError> {
    let began = OffsetDateTime::now_utc();
    let now = began.format(&Rfc3339).unwrap_or_default();
    let id = message.id.to_string();
    let mut part = Part::new(message.body.clone());
    part.attribute("ce-id", &id);
    part.attribute("ce-subject", &message.aggregate);
    part.attribute("ce-time", &now);
    let parent = SpanContext::of(message.traceparent.as_deref());
    let trace = parent.map_or_else(
        || SpanContext::root(message.id),
        |parent| parent.child("publish", message.id.as_u128()),
    );
    part.attribute("traceparent", &trace.traceparent());
    if let Some(reply_to) = reply_to {
        part.attribute("hub-reply-to", reply_to);
    }
    let shared = Shared::new(
        message.name,
        message.version,
        &message.tenant,
        &message.source,
        &now,
    );
    let (headers, payload) = record::encode(&shared.each(), &[part]);
    let subject = subject::message(
        message.kind,
        &message.tenant,
        lane_of(message.aggregate.as_bytes()),
        message.name,
    );
    let published = backbone.publish(subject, headers, payload, Some(&id)).await;
    export::record(trace, || {
        let parent = parent.map(|parent| parent.span());
        let span = Span::new(trace, parent, Kind::Producer, "publish", began)
            .on(Value::Word(message.name))
            .with("hub.tenant", Value::Tenant(message.tenant.clone()))
            .with("hub.message_type", Value::Word(message.name))
            .with("hub.message_id", Value::Id(message.id));
        match &published {
            Ok(_) => span.with("hub.outcome", Value::Word("stored")),
            Err(_) => span.failed("publish.store"),
        }
    });
    published.map(|published| published.seq)
}

/// Publishes a command durably and waits up to `wait` for its outcome; `None` when the worker is busy or down.
///
/// # Errors
/// The command is not known to be stored.
pub async fn command(
    backbone: &Backbone,
    message: &NewMessage,
    wait: Duration,
) -> Result<Option<CommandOutcome>, PublishError> {
    let inbox = backbone.client().new_inbox();
    let mut answers = backbone
        .client()
        .subscribe(inbox.clone())
        .await
        .map_err(|error| PublishError::Unreachable(error.to_string()))?;
    let deadline = tokio::time::Instant::now() + wait;
    publish(backbone, message, Some(&inbox)).await?;
    let answer = tokio::time::timeout_at(deadline, answers.next()).await;
    Ok(match answer {
        Ok(Some(answer)) => serde_json::from_slice(&answer.payload).ok(),
        Ok(None) | Err(_) => None,
    })
}

/// One message of a stored record, as it is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    pub subject: String,
    /// Own and shared attributes.
    pub attributes: Vec<(String, String)>,
    pub body: Bytes,
}

impl Kept {
    /// First value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Reads one message back from a stream; `None` when it has aged out or there is none at that place.
///
/// # Errors
/// The stream or the object store is out of reach, or the record is damaged.
pub async fn kept(
    backbone: &Backbone,
    stream: StreamName,
    position: crate::Position,
) -> Result<Option<Kept>, BackboneError> {
    let Some(stored) = backbone.by_sequence(stream, position.seq).await? else {
        return Ok(None);
    };
    let record = Record::decode(Some(stored.headers.clone()), stored.payload)
        .map_err(|error| BackboneError::JetStream(error.to_string()))?;
    let Some(part) = record.parts.get(usize::from(position.index)) else {
        return Ok(None);
    };
    let mut attributes: Vec<(String, String)> = record
        .own_attributes(part)
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    for (name, values) in stored.headers.iter() {
        for value in values {
            attributes.push((name.to_string(), value.as_str().to_owned()));
        }
    }
    let claimed = attributes
        .iter()
        .find(|(name, _)| name == claim::HEADER)
        .map(|(_, value)| value.clone());
    let body = match claimed {
        None => part.body.clone(),
        Some(name) => {
            let Some(tenant) = subject::tenant_of_subject(&stored.subject) else {
                return Ok(None);
            };
            match claim::get(backbone, &tenant, &name).await? {
                Some(body) => body,
                None => return Ok(None),
            }
        }
    };
    Ok(Some(Kept {
        subject: stored.subject.to_string(),
        attributes,
        body,
    }))
}

/// Stores an event or a command once more under its own id, at the end of its stream.
///
/// # Errors
/// Not known to be stored.
pub async fn again(backbone: &Backbone, kept: &Kept) -> Result<u64, PublishError> {
    let large = kept.body.len() > claim::LIMIT;
    let mut part = Part::new(if large {
        Bytes::new()
    } else {
        kept.body.clone()
    });
    for (name, value) in &kept.attributes {
        // of the old record, or of the old publish
        if name.starts_with("Nats-")
            || [
                "hub-record",
                "hub-count",
                "content-type",
                "hub-reply-to",
                "hub-raw-seq",
            ]
            .contains(&name.as_str())
        {
            continue;
        }
        part.attribute(name, value);
    }
    let (headers, payload) = record::encode(&[], &[part]);
    // no Nats-Msg-Id: the window of duplicates must not swallow a deliberate repeat
    backbone
        .publish(kept.subject.clone(), headers, payload, None)
        .await
        .map(|published| published.seq)
}
