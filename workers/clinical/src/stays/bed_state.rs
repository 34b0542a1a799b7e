//! How a bed is: what may follow what. Data; the write is guarded by it.

use hub_core::{Refusal, Tx};
use schemas::house::BedState;
use schemas::stays::BedStateChanged;
use serde_json::Value;
use uuid::Uuid;

use BedState::{Blocked, Cleaning, Occupied, Reserved, Vacant};

use crate::batch::Batch;

/// Who makes a bed change its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Housekeeping, the bed desk.
    Person,
    /// A bed is kept for a patient, or let go.
    Reservation,
    /// A patient came or went.
    Patient,
}

/// Everything that is possible.
#[rustfmt::skip]
pub(crate) const TABLE: &[(By, BedState, BedState)] = &[
    (By::Person,      Cleaning, Vacant),
    (By::Person,      Vacant,   Cleaning),
    (By::Person,      Vacant,   Blocked),
    (By::Person,      Cleaning, Blocked),
    (By::Person,      Blocked,  Vacant),
    (By::Person,      Blocked,  Cleaning),
    (By::Reservation, Vacant,   Reserved),
    (By::Reservation, Reserved, Vacant),
    (By::Patient,     Vacant,   Occupied),
    (By::Patient,     Reserved, Occupied),
    // a hospital system says that somebody is in it, ready or not: that is listed
    (By::Patient,     Cleaning, Occupied),
    (By::Patient,     Blocked,  Occupied),
    (By::Patient,     Occupied, Cleaning),
];

/// The states from which `by` may make it `to`.
fn sources(by: By, to: BedState) -> Vec<&'static str> {
    TABLE
        .iter()
        .filter(|(who, _, aim)| *who == by && *aim == to)
        .map(|(_, from, _)| from.as_str())
        .collect()
}

/// Changes the state of a bed, guarded by the table, and says so. `Err` names what it is instead.
pub(crate) async fn change(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    by: By,
    bed: Uuid,
    to: BedState,
) -> Result<Result<BedState, Refusal>, sqlx::Error> {
    let found: Option<(Uuid, String, bool)> = sqlx::query_as(
        "select ward_id, state, retired from clinical.ward_beds where id = $1 for update",
    )
    .bind(bed)
    .fetch_optional(tx.conn())
    .await?;
    let Some((ward_id, state, retired)) = found else {
        return Ok(Err(Refusal::new("adt.bed_unknown", "no bed has this id")));
    };
    if !sources(by, to).contains(&state.as_str()) || (retired && by != By::Patient) {
        return Ok(Err(refused(by, &state, retired, to)));
    }
    let from = stored(&state);
    sqlx::query(
        "update clinical.ward_beds set state = $2, state_at = now(), state_reason = null, version = version + 1, \
         retired = retired and $2 <> 'occupied', updated_at = now() where id = $1",
    )
    .bind(bed)
    .bind(to.as_str())
    .execute(tx.conn())
    .await?;
    batch.say_of(
        slot,
        bed,
        &BedStateChanged {
            bed_id: bed,
            ward_id,
            from,
            to,
        },
    );
    Ok(Ok(from))
}

fn refused(by: By, state: &str, retired: bool, to: BedState) -> Refusal {
    let allowed: Vec<&str> = TABLE
        .iter()
        .filter(|(who, from, _)| *who == by && from.as_str() == state && !retired)
        .map(|(_, _, aim)| aim.as_str())
        .collect();
    Refusal::new(
        "adt.bed_conflict",
        format!(
            "the bed is {}; from: {state}; to: {}; allowed: {}",
            if retired {
                "retired"
            } else {
                "not in a state for this"
            },
            to.as_str(),
            if allowed.is_empty() {
                "nothing".to_owned()
            } else {
                allowed.join(", ")
            }
        ),
    )
}

/// The state as stored; the table's check allows no other word.
pub(crate) fn stored(text: &str) -> BedState {
    serde_json::from_value(Value::from(text)).unwrap_or(Vacant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_a_patient_who_comes_or_goes_changes_an_occupied_bed() {
        for (by, from, to) in TABLE {
            if [*from, *to].contains(&Occupied) {
                assert_eq!(*by, By::Patient, "{from:?} {to:?}");
            }
            if [*from, *to].contains(&Reserved) {
                assert_ne!(*by, By::Person, "{from:?} {to:?}");
            }
        }
        for state in BedState::ALL {
            assert_eq!(stored(state.as_str()), state);
        }
    }

    #[test]
    fn a_refusal_names_from_to_and_what_is_allowed() {
        let refusal = refused(By::Person, "occupied", false, Vacant);
        assert_eq!(refusal.code, "adt.bed_conflict");
        assert!(
            refusal
                .detail
                .ends_with("from: occupied; to: vacant; allowed: nothing")
        );
        let refusal = refused(By::Person, "cleaning", false, Reserved);
        assert!(refusal.detail.ends_with("allowed: vacant, blocked"));
    }
}
