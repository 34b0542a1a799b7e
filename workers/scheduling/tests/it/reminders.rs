//! Reminders: each once, at its time, for the time that the appointment has.

use hub_core::Verdict;
use schemas::scheduling::RescheduleAppointment;
use time::{Duration, OffsetDateTime};
use worker_scheduling::queries;

use super::house::{House, patient};

impl House {
    /// Reminders that are said at a time, as minutes before.
    async fn reminders(&self, schedule: uuid::Uuid, at: OffsetDateTime) -> Vec<i64> {
        let Verdict::Applied { outgoing, .. } = self.tend(schedule, at).await else {
            return Vec::new();
        };
        outgoing
            .iter()
            .filter_map(|one| {
                let body: serde_json::Value = serde_json::from_slice(&one.body).unwrap();
                body["minutes_before"].as_i64()
            })
            .collect()
    }
}

/// AP3, the reminders of it.
#[tokio::test]
async fn each_reminder_is_said_once_and_after_a_reschedule_for_the_new_time_only() {
    let house = House::new().await;
    let schedule = house.schedule(|clinic| clinic.horizon_days = 6).await;
    let slots = house.slots(schedule).await;
    // two days from now and later: a day before is still to come
    let (old, new) = (slots[3 * 72], slots[4 * 72]);
    let id = house.book(old, patient()).await;
    let (at, then) = (house.starts_at(old).await, house.starts_at(new).await);
    let hours = Duration::hours;
    assert!(house.reminders(schedule, at - hours(25)).await.is_empty());
    assert_eq!(house.reminders(schedule, at - hours(24)).await, [1_440]);
    assert!(house.reminders(schedule, at - hours(23)).await.is_empty());

    let reschedule = RescheduleAppointment {
        appointment_id: id,
        slot_id: new,
        person_keys: Vec::new(),
        overbook: false,
        version: None,
        reason: None,
        actor: "desk".to_owned(),
    };
    super::house::answer(house.apply(&reschedule).await);
    assert!(
        house.reminders(schedule, at - hours(1)).await.is_empty(),
        "nothing of the old time"
    );
    assert_eq!(house.reminders(schedule, then - hours(23)).await, [1_440]);
    assert_eq!(house.reminders(schedule, then - hours(1)).await, [120]);
    assert!(house.reminders(schedule, then - hours(1)).await.is_empty());
    assert!(house.reminders(schedule, then).await.is_empty());
    let mut tx = house.database.tx(&house.tenant).await;
    let said = queries::reminders(tx.conn(), id).await.unwrap();
    assert_eq!(said.len(), 3);
}

#[tokio::test]
async fn a_hub_that_was_down_says_the_last_reminder_and_one_that_was_due_before_the_booking_is_none()
 {
    let house = House::new().await;
    let schedule = house
        .schedule(|clinic| clinic.hours = super::house::hours("00:00", "24:00"))
        .await;
    let slots = house.slots(schedule).await;
    let late = slots[2 * 144];
    house.book(late, patient()).await;
    let at = house.starts_at(late).await;
    assert_eq!(
        house.reminders(schedule, at - Duration::minutes(30)).await,
        [120]
    );
    // in about an hour and a half: neither a day nor two hours are ahead
    let soon = slots[8];
    house.book(soon, patient()).await;
    let at = house.starts_at(soon).await;
    assert!(
        house
            .reminders(schedule, at - Duration::minutes(10))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn the_clock_asks_only_where_something_is_due() {
    let house = House::new().await;
    let schedule = house
        .schedule(|clinic| {
            clinic.zone = super::house::noon();
            clinic.hours = super::house::hours("00:00", "24:00");
        })
        .await;
    let slots = house.slots(schedule).await;
    let slot = slots[2 * 144];
    house.book(slot, patient()).await;
    let at = house.starts_at(slot).await;
    let due = async |when: OffsetDateTime| {
        let mut tx = house.database.tx(&house.tenant).await;
        queries::due(tx.conn(), when).await.unwrap()
    };
    assert!(due(OffsetDateTime::now_utc()).await.is_empty());
    let hold = schemas::scheduling::BookAppointment {
        hold: true,
        ..super::house::booking(slots[0], patient())
    };
    super::house::answer(house.apply(&hold).await);
    assert!(due(super::house::later(1)).await.is_empty());
    assert_eq!(due(super::house::later(6)).await, [schedule]);
    house.tend(schedule, super::house::later(6)).await;
    let before = at - Duration::minutes(119);
    assert_eq!(due(before).await, [schedule]);
    house.tend(schedule, before).await;
    assert!(due(before).await.is_empty());
}
