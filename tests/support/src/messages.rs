//! Envelopes as the runners hand them to workers.

use hub_core::{Envelope, Position};
use schemas::{Body, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

/// The tenant of most tests.
///
/// # Panics
/// When the name is no valid token.
#[must_use]
pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a valid token")
}

/// An event of the tenant `demo`, with a fresh id.
pub fn event<T: Body>(body: &T) -> Envelope {
    envelope(&tenant("demo"), "/channel/demo/his", body)
}

/// A command of the tenant `demo`, with a fresh id.
pub fn command<T: Body>(body: &T) -> Envelope {
    envelope(&tenant("demo"), "/api", body)
}

/// Any message, with a fresh id, of this moment.
///
/// # Panics
/// Never: canonical types serialise.
pub fn envelope<T: Body>(tenant: &TenantId, source: &str, body: &T) -> Envelope {
    let now = OffsetDateTime::now_utc();
    Envelope {
        id: Uuid::now_v7(),
        name: T::NAME.to_owned(),
        version: T::VERSION,
        source: source.to_owned(),
        aggregate: String::new(),
        occurred_at: now,
        recorded_at: now,
        tenant: tenant.clone(),
        lane: 0,
        causation: None,
        correlation: None,
        traceparent: None,
        reply_to: None,
        position: Position::default(),
        body: serde_json::to_vec(body)
            .expect("canonical types serialise")
            .into(),
    }
}
