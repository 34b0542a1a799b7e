//! From what was said of an encounter's places to its stays in beds: pure, and the same whatever arrived first.
//!
//! The movements are taken in the order of their times. A cancellation takes back the newest movement of its kind before it, and
//! what only repeated it. Nothing is guessed: a discharge whose admission was never seen makes no stay.

use schemas::care::EncounterAction as Action;
use schemas::devices::Bed;
use time::{Duration, OffsetDateTime};

/// The time of discharge (PV1-45) counts instead of the message's own only so far away from it. The time of admission (PV1-44) never
/// does: it is when the patient was registered, and another may have been in the bed until the message.
const NEAR: Duration = Duration::hours(24);

/// What one message said of the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) action: Action,
    pub(crate) at: OffsetDateTime,
    pub(crate) discharged_at: Option<OffsetDateTime>,
    pub(crate) place: Place,
}

/// PV1-3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not said.
    Unsaid,
    /// Somewhere, in no bed that is named.
    NoBed,
    Bed(Bed),
}

/// A patient in a bed; `to` is exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) bed: Bed,
    pub(crate) from: OffsetDateTime,
    pub(crate) to: Option<OffsetDateTime>,
}

/// The stays of one encounter; `movements` in the order of their times.
pub(crate) fn stays(movements: &[Movement]) -> Vec<Stay> {
    let mut walk = Walk::default();
    for movement in standing(movements) {
        walk.take(movement);
    }
    walk.stays
}

/// The movements that were not taken back.
fn standing(movements: &[Movement]) -> Vec<&Movement> {
    let mut standing: Vec<&Movement> = Vec::with_capacity(movements.len());
    for movement in movements {
        match movement.action {
            Action::Preadmitted => {}
            Action::AdmitCancelled => standing.clear(),
            Action::TransferCancelled => {
                if let Some(place) = take_back(&mut standing, Action::Transferred) {
                    let repeats = |later: &&Movement| {
                        later.action == Action::Updated
                            && later.at >= place.at
                            && later.place == place.place
                    };
                    standing.retain(|later| !repeats(later));
                }
                standing.push(movement);
            }
            Action::DischargeCancelled => {
                if let Some(gone) = take_back(&mut standing, Action::Discharged) {
                    standing.retain(|later| later.at < gone.at || later.discharged_at.is_none());
                }
                standing.push(movement);
            }
            _ => standing.push(movement),
        }
    }
    standing
}

fn take_back<'m>(standing: &mut Vec<&'m Movement>, action: Action) -> Option<&'m Movement> {
    let newest = standing.iter().rposition(|one| one.action == action)?;
    Some(standing.remove(newest))
}

#[derive(Default)]
struct Walk {
    stays: Vec<Stay>,
    gone: bool,
}

impl Walk {
    fn take(&mut self, movement: &Movement) {
        match movement.action {
            Action::Admitted | Action::Registered => {
                self.gone = false;
                self.move_to(&movement.place, movement.at);
                if let Some(left) = movement.discharged_at {
                    self.leave(near(left, movement.at));
                }
            }
            Action::Transferred => self.move_to(&movement.place, movement.at),
            Action::Discharged => {
                self.leave(near(
                    movement.discharged_at.unwrap_or(movement.at),
                    movement.at,
                ));
            }
            // an update without a bed says nothing of the bed
            Action::Updated | Action::TransferCancelled | Action::DischargeCancelled => {
                if let Some(left) = movement
                    .discharged_at
                    .filter(|_| movement.action == Action::Updated)
                {
                    self.leave(near(left, movement.at));
                } else if !self.gone && matches!(movement.place, Place::Bed(_)) {
                    self.move_to(&movement.place, movement.at);
                }
            }
            Action::Preadmitted | Action::AdmitCancelled => {}
        }
    }

    fn now(&mut self) -> Option<&mut Stay> {
        self.stays.last_mut().filter(|stay| stay.to.is_none())
    }

    fn move_to(&mut self, place: &Place, at: OffsetDateTime) {
        let bed = match place {
            Place::Unsaid => return,
            Place::NoBed => None,
            Place::Bed(bed) => Some(bed),
        };
        if let (Some(now), Some(bed)) = (self.now(), bed)
            && now.bed.may_be(bed)
        {
            return;
        }
        self.end(at);
        if let Some(bed) = bed {
            self.stays.push(Stay {
                bed: bed.clone(),
                from: at,
                to: None,
            });
        }
    }

    fn leave(&mut self, at: OffsetDateTime) {
        self.gone = true;
        self.end(at);
    }

    /// A stay that ends before it began was none.
    fn end(&mut self, at: OffsetDateTime) {
        let Some(now) = self.now() else { return };
        if at > now.from {
            now.to = Some(at);
        } else {
            self.stays.pop();
        }
    }
}

fn near(said: OffsetDateTime, at: OffsetDateTime) -> OffsetDateTime {
    if (said - at).abs() <= NEAR { said } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::care::Location;
    use time::macros::datetime;

    const MIDNIGHT: OffsetDateTime = datetime!(2026-03-01 00:00 UTC);

    fn at(minute: i64) -> OffsetDateTime {
        MIDNIGHT + Duration::minutes(minute)
    }

    fn bed(name: &str) -> Bed {
        Bed::of(&Location {
            point_of_care: Some("ICU".into()),
            bed: Some(name.into()),
            ..Location::default()
        })
        .unwrap()
    }

    /// Trigger, minute, bed (`-` for a place without one).
    type Short<'s> = (Action, i64, &'s str);

    fn said(action: Action, minute: i64, place: &str) -> Movement {
        Movement {
            action,
            at: at(minute),
            discharged_at: None,
            place: match place {
                "" => Place::Unsaid,
                "-" => Place::NoBed,
                name => Place::Bed(bed(name)),
            },
        }
    }

    fn shown(movements: &[Movement]) -> String {
        stays(movements)
            .iter()
            .map(|stay| {
                let minute = |at: OffsetDateTime| (at - MIDNIGHT).whole_minutes();
                let to = stay.to.map_or(String::new(), |to| minute(to).to_string());
                format!("{}:{}-{to}", stay.bed.bed, minute(stay.from))
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_table_of_stays() {
        use Action::{
            AdmitCancelled as A11, Admitted as A01, DischargeCancelled as A13, Discharged as A03,
            Preadmitted as A05, Registered as A04, TransferCancelled as A12, Transferred as A02,
            Updated as A08,
        };
        #[rustfmt::skip]
        let table: &[(&[Short<'_>], &str)] = &[
            (&[(A01, 0, "1")],                                              "1:0-"),
            (&[(A05, 0, "1")],                                              ""),
            (&[(A05, 0, "1"), (A01, 5, "1")],                               "1:5-"),
            (&[(A01, 0, "1"), (A02, 5, "2")],                               "1:0-5 2:5-"),
            (&[(A01, 0, "1"), (A02, 5, "1")],                               "1:0-"),
            (&[(A01, 0, "1"), (A02, 5, "-")],                               "1:0-5"),
            (&[(A01, 0, "1"), (A03, 9, "1")],                               "1:0-9"),
            (&[(A01, 0, "1"), (A03, 9, ""), (A08, 10, "1")],                "1:0-9"),
            (&[(A03, 9, "1")],                                              ""),
            (&[(A01, 0, "1"), (A11, 4, "1")],                               ""),
            (&[(A01, 0, "1"), (A02, 2, "2"), (A11, 4, "")],                 ""),
            (&[(A01, 0, "1"), (A11, 4, ""), (A01, 6, "2")],                 "2:6-"),
            (&[(A01, 0, "1"), (A02, 5, "2"), (A12, 7, "1")],                "1:0-"),
            (&[(A01, 0, "1"), (A02, 5, "2"), (A12, 7, "")],                 "1:0-"),
            (&[(A01, 0, "1"), (A02, 5, "2"), (A08, 6, "2"), (A12, 7, "1")], "1:0-"),
            (&[(A01, 0, "1"), (A02, 5, "2"), (A02, 6, "3"), (A12, 7, "2")], "1:0-5 2:5-"),
            (&[(A01, 0, "1"), (A02, 5, "2"), (A12, 7, "4")],                "1:0-7 4:7-"),
            (&[(A01, 0, "1"), (A03, 5, ""), (A13, 7, "1")],                 "1:0-"),
            (&[(A01, 0, "1"), (A03, 5, ""), (A13, 7, "2")],                 "1:0-7 2:7-"),
            (&[(A01, 0, "1"), (A08, 5, "2")],                               "1:0-5 2:5-"),
            (&[(A01, 0, "1"), (A08, 5, "-")],                               "1:0-"),
            (&[(A08, 5, "2")],                                              "2:5-"),
            (&[(A04, 0, "ER1"), (A01, 30, "1")],                            "ER1:0-30 1:30-"),
            (&[(A01, 0, "1"), (A02, 0, "2")],                               "2:0-"),
        ];
        for (movements, expected) in table {
            let movements: Vec<Movement> = movements
                .iter()
                .map(|(action, minute, place)| said(*action, *minute, place))
                .collect();
            assert_eq!(shown(&movements), *expected, "{movements:?}");
        }
    }

    #[test]
    fn the_time_of_discharge_counts_where_it_is_near() {
        let admitted = said(Action::Admitted, 60, "1");
        let mut gone = said(Action::Discharged, 90, "");
        gone.discharged_at = Some(at(80));
        assert_eq!(shown(&[admitted.clone(), gone.clone()]), "1:60-80");
        gone.discharged_at = Some(at(9 * 24 * 60));
        assert_eq!(shown(&[admitted, gone]), "1:60-90");
    }
}
