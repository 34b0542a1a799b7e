//! Who is in a ward, for the lists of bedside devices.

use schemas::Patch;
use schemas::care::EncounterAction::{self, *};
use schemas::care::Location;
use time::{Duration, OffsetDateTime};
use worker_clinical::queries::in_ward;

use super::beds::adt;
use super::support::{Ward, at, key};

/// `ward^bed^facility`
fn place(text: &str) -> Location {
    let mut parts = text
        .split('^')
        .map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
    let mut next = || parts.next().flatten();
    Location {
        point_of_care: next(),
        room: None,
        bed: next(),
        facility: next(),
    }
}

async fn tell(
    ward: &Ward,
    minute: i64,
    action: EncounterAction,
    who: &str,
    where_: &str,
    class: &str,
) {
    let mut body = adt(action, who, Some(place(where_)));
    body.class = Patch::Set(class.into());
    ward.apply_one(at(minute, &body)).await;
}

async fn found(ward: &Ward, of: Option<&str>, facility: Option<&str>) -> Vec<&'static str> {
    let mut tx = ward.tx().await;
    let rows = in_ward(tx.conn(), of, facility, 100).await.unwrap();
    ["1", "2", "3", "4", "5", "6", "7"]
        .into_iter()
        .filter(|who| rows.iter().any(|row| row.subject_key == key(who).0))
        .collect()
}

#[tokio::test]
async fn a_ward_has_who_was_admitted_or_moved_to_it_and_has_not_left() {
    let ward = Ward::new().await;
    tell(&ward, 0, Admitted, "1", "ICU^1^SGM", "I").await;
    tell(&ward, 0, Admitted, "2", "icu ^2", "I").await;
    tell(&ward, 0, Admitted, "3", "MED^1", "I").await;
    tell(&ward, 5, Transferred, "3", "ICU", "I").await;
    tell(&ward, 0, Admitted, "4", "ICU^4", "I").await;
    tell(&ward, 5, Discharged, "4", "ICU^4", "I").await;
    tell(&ward, 0, Admitted, "5", "ICU^5^OTHER", "I").await;
    tell(&ward, 0, Preadmitted, "6", "ICU^6", "I").await;
    tell(&ward, 0, Admitted, "7", "ICU^7", "I").await;
    tell(&ward, 5, AdmitCancelled, "7", "ICU^7", "I").await;
    assert_eq!(found(&ward, Some("ICU"), None).await, ["1", "2", "3", "5"]);
    assert_eq!(
        found(&ward, Some("ICU"), Some("sgm")).await,
        ["1", "2", "3"],
        "where a facility is named it must be the one"
    );
    assert_eq!(found(&ward, Some("Icu"), None).await.len(), 4);
    assert_eq!(found(&ward, Some("MED"), None).await, [""; 0]);
    assert_eq!(found(&ward, None, None).await, ["1", "2", "3", "5"]);
}

#[tokio::test]
async fn who_is_treated_without_being_admitted_counts_for_three_days() {
    let ward = Ward::new().await;
    let now = OffsetDateTime::now_utc();
    for (who, days) in [("1", 1), ("2", 4)] {
        let mut body = adt(Registered, who, Some(place("ER^3")));
        body.class = Patch::Set("E".into());
        let mut envelope = at(0, &body);
        envelope.occurred_at = now - Duration::days(days);
        ward.apply_one(envelope).await;
    }
    assert_eq!(found(&ward, Some("ER"), None).await, ["1"]);
}
