//! What changed, for live boards and for programs that keep a copy: which fact is of which topic, who may see it, and how it is
//! told. A change names things and says nothing of them: who is told reads them by the ordinary routes, with his own rights.

use std::collections::BTreeMap;

use hub_core::Position;
use hub_core::facts::Fact;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries as clinical;
use worker_scheduling::queries as scheduling;

use crate::auth::identity::{Identity, Place, Reach};
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
pub(crate) use topics::names;
use topics::{TOPICS, Topic, Where};

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
    /// What tells where it happened; for us alone.
    #[serde(skip)]
    place: Option<(Where, Uuid)>,
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
            place: topic
                .place
                .and_then(|place| Some((place, body[place.member()].as_str()?.parse().ok()?))),
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

/// Facts that this caller is told of: of those that he asks for, those that he may see, in the whole hospital or at his places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Followed(BTreeMap<&'static str, Whence>);

/// Whence he is told of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whence {
    Everywhere,
    Places(Vec<Place>),
}

impl Followed {
    /// `wanted` is a list with commas; nothing is everything that the caller may.
    ///
    /// # Errors
    /// 400 for what is no topic; 403 for one that is asked for by name and is not the caller's, or when nothing is.
    pub(crate) fn of(
        state: &ApiState,
        who: &Identity,
        wanted: Option<&str>,
    ) -> Result<Self, Problem> {
        let told = |topic: &Topic| Some((topic.event, whence(state, who, topic)?));
        let Some(wanted) = wanted else {
            let all: BTreeMap<_, _> = TOPICS.iter().filter_map(told).collect();
            if all.is_empty() {
                return Err(scope(
                    "nothing of what is told is yours to list: no topic, nowhere",
                ));
            }
            return Ok(Self(all));
        };
        let mut followed = BTreeMap::new();
        for name in wanted.split(',').map(str::trim) {
            let rows: Vec<&Topic> = TOPICS.iter().filter(|topic| topic.name == name).collect();
            let Some(first) = rows.first() else {
                return Err(Problem::invalid(
                    "topics",
                    format!("must be some of: {}", names().join(", ")),
                ));
            };
            let before = followed.len();
            followed.extend(rows.iter().filter_map(|topic| told(topic)));
            if followed.len() == before && !rows.iter().any(|row| followed.contains_key(row.event))
            {
                return Err(match who.reach(first.permission) {
                    Reach::Nowhere => Problem::forbidden(first.permission),
                    _ => scope(&format!(
                        "{name} has no places: it needs {} for the whole hospital",
                        first.permission
                    ))
                    .lacking(first.permission),
                });
            }
        }
        Ok(Self(followed))
    }

    /// Names of the facts.
    pub(crate) fn events(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// Is the caller told of this change? Where he has the permission at some places only, the database says where it happened.
    ///
    /// # Errors
    /// It could not be told.
    pub(crate) async fn has(
        &self,
        state: &ApiState,
        who: &Identity,
        change: &Change,
    ) -> Result<bool, Problem> {
        let places = match self.0.get(change.kind.as_str()) {
            None => return Ok(false),
            Some(Whence::Everywhere) => return Ok(true),
            Some(Whence::Places(places)) => places,
        };
        let Some((place, id)) = change.place else {
            return Ok(false);
        };
        let mut tx = state.read(&who.tenant).await?;
        match place {
            Where::Ward(_) => {
                let ward = clinical::ward(tx.conn(), id).await?;
                Ok(ward.is_some_and(|ward| {
                    places.iter().any(|held| {
                        held.facility == ward.facility
                            && held.department.as_ref().is_none_or(|department| {
                                [&ward.department, &ward.code].contains(&department)
                            })
                    })
                }))
            }
            Where::Encounter(_) => {
                let (facilities, departments): (Vec<String>, Vec<String>) = places
                    .iter()
                    .map(|held| {
                        let department = held.department.clone().unwrap_or_default();
                        (held.facility.clone(), department)
                    })
                    .unzip();
                Ok(clinical::is_encounter_at(tx.conn(), id, &facilities, &departments).await?)
            }
            Where::Schedule(_) => {
                let schedule = scheduling::schedule(tx.conn(), id).await?;
                Ok(schedule.is_some_and(|schedule| {
                    places.iter().any(|held| {
                        Some(&held.facility) == schedule.facility.as_ref()
                            && (held.department.is_none() || held.department == schedule.department)
                    })
                }))
            }
        }
    }
}

fn whence(state: &ApiState, who: &Identity, topic: &Topic) -> Option<Whence> {
    let by_places = is_chart(topic.permission) && state.demands_relationship(who);
    if who.reach(topic.permission) == Reach::Everywhere && !by_places {
        return Some(Whence::Everywhere);
    }
    topic.place?;
    let places = who.places(topic.permission);
    (!places.is_empty()).then_some(Whence::Places(places))
}

fn scope(detail: &str) -> Problem {
    Problem::new(axum::http::StatusCode::FORBIDDEN, "auth.scope", detail)
}
