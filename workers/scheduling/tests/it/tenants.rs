//! Another tenant's ids are nobody's.

use schemas::scheduling::{AppointmentAction, CallToken};
use test_support::tenant;

use super::house::{House, booking, patient, refusal, step};

#[tokio::test]
async fn what_is_another_tenants_is_unknown() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slot = house.slots(schedule).await[0];
    let appointment = house.book(slot, patient()).await;
    let other = House {
        tenant: tenant("other"),
        ..house.clone()
    };
    let codes = [
        refusal(&other.apply(&booking(slot, patient())).await),
        refusal(
            &other
                .apply(&step(appointment, AppointmentAction::Cancel))
                .await,
        ),
        refusal(&other.tend(schedule, time::OffsetDateTime::now_utc()).await),
        refusal(
            &other
                .apply(&CallToken {
                    queue_id: schedule,
                    number: None,
                    room: None,
                    actor: "desk".to_owned(),
                })
                .await,
        ),
    ];
    assert_eq!(
        codes,
        [
            "slots.unknown",
            "appointments.unknown",
            "schedules.unknown",
            "queues.unknown"
        ]
    );
    assert!(other.slots(schedule).await.is_empty());
    assert_eq!(house.state(appointment).await, "booked");
}
