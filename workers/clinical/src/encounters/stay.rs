//! Where a patient was during an encounter: at most one place at a time, and every place kept.

use schemas::care::EncounterAction;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::EncounterState;

/// State of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceState {
    Active,
    Completed,
    Cancelled,
}

impl PlaceState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn stored(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "completed" => Self::Completed,
            _ => Self::Cancelled,
        }
    }
}

/// One place of one encounter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// Absent until written.
    pub(crate) id: Option<i64>,
    pub(crate) location: Value,
    pub(crate) state: PlaceState,
    pub(crate) from_at: Option<OffsetDateTime>,
    pub(crate) to_at: Option<OffsetDateTime>,
    pub(crate) source_event: Uuid,
    pub(crate) changed: bool,
}

/// All places of one encounter, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stay(pub(crate) Vec<Place>);

impl Stay {
    fn active(&mut self) -> Option<&mut Place> {
        self.0
            .iter_mut()
            .find(|place| place.state == PlaceState::Active)
    }

    /// The patient is at `location` from `at` on (A01, A04, A02, A08): the place before is completed.
    pub(crate) fn move_to(&mut self, location: &Value, at: OffsetDateTime, event: Uuid) {
        if self
            .active()
            .is_some_and(|place| place.location == *location)
        {
            return;
        }
        self.end(PlaceState::Completed, at);
        self.0.push(Place {
            id: None,
            location: location.clone(),
            state: PlaceState::Active,
            from_at: Some(at),
            to_at: None,
            source_event: event,
            changed: true,
        });
    }

    /// The patient left (A03), or was never there (A11, A12).
    pub(crate) fn end(&mut self, state: PlaceState, at: OffsetDateTime) {
        if let Some(place) = self.active() {
            place.state = state;
            place.to_at = Some(at);
            place.changed = true;
        }
    }

    /// Back to the place before (A12, A13): the newest completed one, or the one that the message names.
    pub(crate) fn back(&mut self, named: Option<&Value>, at: OffsetDateTime, event: Uuid) {
        let newest = self
            .0
            .iter_mut()
            .rev()
            .find(|place| place.state == PlaceState::Completed);
        match (newest, named) {
            (Some(place), None) => place.reopen(),
            (Some(place), Some(named)) if place.location == *named => place.reopen(),
            (_, Some(named)) => self.move_to(named, at, event),
            (None, None) => {}
        }
    }

    /// A message that comes late adds the place to the history without moving the patient; `known` is the time of the newest
    /// fact, which stands. The place before ends at `at`: nobody is in two places.
    pub(crate) fn was_at(
        &mut self,
        location: &Value,
        at: OffsetDateTime,
        known: OffsetDateTime,
        event: Uuid,
    ) {
        let told = |place: &Place| {
            let withdrawn =
                place.state == PlaceState::Cancelled && place.from_at.is_none_or(|from| from >= at);
            place.location == *location && (withdrawn || place.holds(at))
        };
        if self.0.iter().any(told) {
            return;
        }
        let next = |place: &&mut Place| {
            place.state != PlaceState::Cancelled && place.from_at.is_some_and(|from| from > at)
        };
        let next = self.0.iter_mut().filter(next);
        let next = next.min_by_key(|place| place.from_at);
        let mut until = next.as_ref().and_then(|place| place.from_at);
        // what is known of it from later on began here
        let known_later = next.filter(|place| place.location == *location);
        let begun = known_later.map(|place| place.starts(at)).is_some();
        let mut left = None;
        if let Some(before) = self
            .0
            .iter_mut()
            .find(|place| place.holds(at) && place.location != *location)
        {
            if before.state == PlaceState::Active {
                // the patient was there again by the newest fact
                left = Some(Place {
                    id: None,
                    state: PlaceState::Completed,
                    to_at: Some(at),
                    changed: true,
                    ..before.clone()
                });
                before.starts(known);
                until = Some(known);
            } else {
                until = until.or(before.to_at).min(before.to_at.or(until));
                before.to_at = Some(at);
                before.changed = true;
            }
        }
        self.0.extend(left);
        if !begun {
            self.0.push(Place {
                id: None,
                location: location.clone(),
                state: PlaceState::Completed,
                from_at: Some(at),
                to_at: until,
                source_event: event,
                changed: true,
            });
        }
        self.0.sort_by_key(|place| place.from_at);
    }

    /// What a message in its order does to the places; `state` is the encounter's after it, `event` its time and id. Whether it
    /// named a place to go to, or took one back.
    pub(crate) fn follow(
        &mut self,
        action: EncounterAction,
        named: Option<&Value>,
        state: EncounterState,
        (at, event): (OffsetDateTime, Uuid),
        started: Option<OffsetDateTime>,
    ) -> bool {
        match action {
            EncounterAction::Preadmitted => false,
            EncounterAction::Admitted
            | EncounterAction::Registered
            | EncounterAction::Transferred
            | EncounterAction::Updated => {
                let here = matches!(state, EncounterState::InProgress | EncounterState::Unknown);
                let named = named.filter(|_| here);
                if let Some(named) = named {
                    self.move_to(named, at, event);
                }
                if state == EncounterState::Finished {
                    self.end(PlaceState::Completed, at);
                }
                named.is_some()
            }
            EncounterAction::Discharged => {
                if let Some(named) = named {
                    let since = started.filter(|_| self.0.is_empty());
                    self.move_to(named, since.unwrap_or(at), event);
                }
                self.end(PlaceState::Completed, at);
                named.is_some()
            }
            EncounterAction::AdmitCancelled => {
                self.end(PlaceState::Cancelled, at);
                true
            }
            EncounterAction::TransferCancelled => {
                let back = named.is_some()
                    || self
                        .0
                        .iter()
                        .any(|place| place.state == PlaceState::Completed);
                // back where he is: its transfer is not known yet
                let is_there = named.is_some() && self.now() == named;
                let acts = state == EncounterState::InProgress && back && !is_there;
                if acts {
                    self.end(PlaceState::Cancelled, at);
                    self.back(named, at, event);
                }
                acts
            }
            EncounterAction::DischargeCancelled => {
                let acts = state == EncounterState::InProgress && self.now().is_none();
                if acts {
                    self.back(named, at, event);
                }
                acts
            }
        }
    }

    /// Where the patient is now.
    pub(crate) fn now(&self) -> Option<&Value> {
        self.0
            .iter()
            .find(|place| place.state == PlaceState::Active)
            .map(|place| &place.location)
    }
}

impl Place {
    /// Whether the patient was there at that moment.
    fn holds(&self, at: OffsetDateTime) -> bool {
        self.state != PlaceState::Cancelled
            && self.from_at.is_none_or(|from| from <= at)
            && self.to_at.is_none_or(|to| at < to)
    }

    fn starts(&mut self, at: OffsetDateTime) {
        self.from_at = Some(at);
        self.changed = true;
    }

    fn reopen(&mut self) {
        self.state = PlaceState::Active;
        self.to_at = None;
        self.changed = true;
    }
}
