//! What changed, for live boards and for programs that keep a copy: which fact is of which topic, who may see it, and how it is
//! told. A change names things and says nothing of them: who is told reads them by the ordinary routes, with his own rights.

use std::collections::BTreeSet;

use hub_core::Position;
use hub_core::facts::Fact;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::identity::{Identity, Reach};
use crate::auth::permission::is_chart;
use crate::problem::Problem;
use crate::state::ApiState;

mod live;
mod session;
#[cfg(test)]
mod tests;
mod topics;

pub(crate) use live::Feed;
pub(crate) use session::{Session, gone};
pub(crate) use topics::{TOPICS, Topic};

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "position": "20714.3", "topic": "orders", "type": "clinical.order.changed", "at": "2026-01-31T08:30:00Z",
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "resource": "/api/v1/orders/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"
}))]
pub(crate) struct Change {
    /// Where it stands among all changes: `since`, and the id of the event in the stream.
    pub position: String,
    pub topic: &'static str,
    /// Name of the fact.
    #[serde(rename = "type")]
    pub kind: String,
    #[schema(format = DateTime)]
    pub at: String,
    /// Of what changed.
    pub id: String,
    /// Where it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Its version, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Ids of what changed with it: the other record of a merge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
}

impl Change {
    /// A fact as a change; `None` for what is no change of a topic.
    pub(crate) fn of(fact: &Fact) -> Option<Self> {
        let topic = topics::of(&fact.name)?;
        // the ids alone are taken: whatever else a fact says is for who may read it
        let body: Value = serde_json::from_slice(&fact.body).ok()?;
        let text = |name: &str| match &body[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let id = text(topic.id)?;
        Some(Self {
            position: write(fact.position),
            topic: topic.name,
            kind: fact.name.clone(),
            at: fact.at.clone(),
            resource: topic.read_at.map(|path| format!("{path}{id}")),
            version: topic.version.and_then(|name| body[name].as_i64()),
            related: topic.also.iter().filter_map(|name| text(name)).collect(),
            id,
        })
    }
}

/// `<sequence>.<place>`: opaque to callers.
pub(crate) fn write(position: Position) -> String {
    format!("{}.{}", position.seq, position.index)
}

/// What [`write`] wrote.
pub(crate) fn read(text: &str) -> Option<Position> {
    let (seq, index) = text.split_once('.')?;
    Some(Position {
        seq: seq.parse().ok()?,
        index: index.parse().ok()?,
    })
}

/// Topics that this caller follows: of those that he asks for, those that he may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Followed(BTreeSet<&'static str>);

impl Followed {
    /// `wanted` is a list with commas; nothing is everything that the caller may.
    ///
    /// # Errors
    /// 400 for what is no topic; 403 for one that is asked for by name and is not the caller's.
    pub(crate) fn of(
        state: &ApiState,
        who: &Identity,
        wanted: Option<&str>,
    ) -> Result<Self, Problem> {
        let may = |topic: &Topic| {
            who.reach(topic.permission) == Reach::Everywhere
                && !(is_chart(topic.permission) && state.demands_relationship(who))
        };
        let Some(wanted) = wanted else {
            let all = TOPICS.iter().filter(|topic| may(topic));
            return Ok(Self(all.map(|topic| topic.name).collect()));
        };
        let mut followed = BTreeSet::new();
        for name in wanted.split(',').map(str::trim) {
            let rows: Vec<&Topic> = TOPICS.iter().filter(|topic| topic.name == name).collect();
            let Some(first) = rows.first() else {
                let known: BTreeSet<&str> = TOPICS.iter().map(|topic| topic.name).collect();
                let known: Vec<&str> = known.into_iter().collect();
                return Err(Problem::invalid(
                    "topics",
                    format!("must be some of: {}", known.join(", ")),
                ));
            };
            if !rows.iter().all(|topic| may(topic)) {
                return Err(Problem::forbidden(first.permission));
            }
            followed.insert(first.name);
        }
        Ok(Self(followed))
    }

    pub(crate) fn has(&self, change: &Change) -> bool {
        self.names(change.topic)
    }

    pub(crate) fn names(&self, topic: &str) -> bool {
        self.0.contains(topic)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
