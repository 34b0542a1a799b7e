//! Places from all that was said of an encounter, in the order of its times.
//!
//! A cancelled transfer takes back a place that may not be known yet, or that later places were built upon. Where a transfer was
//! taken back and something comes late, the places are therefore what the same messages in their order would have made, and not
//! what was there and one more.

use std::collections::{HashMap, HashSet};

use hub_core::Tx;
use schemas::care::EncounterAction;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Reported;
use super::stay::{Place, PlaceState, Stay};
use super::stored::Encounter;
use super::transition::{Visit, transition};

/// What one message said of the place.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) action: EncounterAction,
    pub(super) at: OffsetDateTime,
    pub(super) discharged: bool,
    pub(super) place: Option<Value>,
    pub(super) event: Uuid,
}

impl Moved {
    fn of(one: &Reported<'_>) -> Self {
        Self {
            action: one.said.action,
            at: one.at,
            discharged: one.discharged_at.as_set().is_some(),
            place: super::location(&one.said.location),
            event: one.envelope.id,
        }
    }
}

/// What was said before of those encounters of a batch for which something comes late.
#[derive(Debug, Default)]
pub(super) struct History(HashMap<Uuid, Vec<Moved>>);

#[derive(sqlx::FromRow)]
struct Row {
    encounter_key: Uuid,
    action: String,
    at: OffsetDateTime,
    discharged: bool,
    place: Option<Value>,
    source_event: Uuid,
}

impl History {
    pub(super) async fn load(
        tx: &mut Tx<'_>,
        reported: &[Reported<'_>],
        encounters: &HashMap<Uuid, (Encounter, Stay)>,
    ) -> Result<Self, sqlx::Error> {
        let mut newest: HashMap<Uuid, OffsetDateTime> = encounters
            .iter()
            .map(|(key, (encounter, _))| (*key, encounter.fact_at.max(encounter.status_at)))
            .collect();
        let mut late = HashSet::new();
        for one in reported.iter().filter(|one| one.desk.is_none()) {
            let newest = newest.entry(one.key).or_insert(one.at);
            if one.at < *newest {
                late.insert(one.key);
            }
            *newest = one.at.max(*newest);
        }
        if late.is_empty() {
            return Ok(Self::default());
        }
        let keys: Vec<Uuid> = late.iter().copied().collect();
        let rows: Vec<Row> = sqlx::query_as(
            "select encounter_key, action, at, discharged_at is not null as discharged, place, source_event \
             from clinical.bed_movements where encounter_key = any($1) order by encounter_key, at, id",
        )
        .bind(&keys)
        .fetch_all(tx.conn())
        .await?;
        let mut said: HashMap<Uuid, Vec<Moved>> =
            late.into_iter().map(|key| (key, Vec::new())).collect();
        for row in rows {
            let Ok(action) = serde_json::from_value(Value::from(row.action)) else {
                continue;
            };
            said.entry(row.encounter_key).or_default().push(Moved {
                action,
                at: row.at,
                discharged: row.discharged,
                place: row.place,
                event: row.source_event,
            });
        }
        Ok(Self(said))
    }

    /// All that was said of the encounter up to this message; absent where nothing comes late.
    pub(super) fn with(&mut self, one: &Reported<'_>) -> Option<&[Moved]> {
        let said = self.0.get_mut(&one.key)?;
        if said.iter().all(|moved| moved.event != one.envelope.id) {
            said.push(Moved::of(one));
            said.sort_by_key(|moved| moved.at);
        }
        Some(said)
    }
}

/// Whether the order of arrival tells the wrong story.
pub(super) fn is_needed(said: &[Moved]) -> bool {
    said.iter()
        .any(|moved| moved.action == EncounterAction::TransferCancelled)
}

/// The places as these messages make them in their order.
pub(super) fn places(said: &[Moved], started: Option<OffsetDateTime>) -> Stay {
    let mut stay = Stay::default();
    let mut state = None;
    for moved in said {
        let visit = Visit {
            class: None,
            discharged: moved.discharged,
        };
        let to = transition(state, moved.action, visit);
        stay.follow(
            moved.action,
            moved.place.as_ref(),
            to,
            (moved.at, moved.event),
            started,
        );
        state = Some(to);
    }
    stay
}

/// The stored places, made to say the same. One that nobody was in stays, as cancelled.
pub(super) fn settled(stored: &Stay, told: Stay) -> Stay {
    let mut left: Vec<Place> = stored.0.clone();
    let mut places = Vec::with_capacity(left.len().max(told.0.len()));
    for place in told.0 {
        let same = |one: &Place| one.location == place.location;
        let found = left
            .iter()
            .position(|one| same(one) && one.source_event == place.source_event)
            .or_else(|| {
                left.iter()
                    .position(|one| same(one) && one.from_at == place.from_at)
            })
            .or_else(|| left.iter().position(same));
        let Some(found) = found else {
            places.push(place);
            continue;
        };
        let was = left.remove(found);
        let now = (place.state, place.from_at, place.to_at);
        places.push(Place {
            id: was.id,
            source_event: was.source_event,
            changed: was.changed || now != (was.state, was.from_at, was.to_at),
            ..place
        });
    }
    places.extend(left.into_iter().map(|place| Place {
        changed: place.changed || place.state != PlaceState::Cancelled,
        to_at: place.to_at.or(place.from_at),
        state: PlaceState::Cancelled,
        ..place
    }));
    places.sort_by_key(|place| place.from_at);
    Stay(places)
}
