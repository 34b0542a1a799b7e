//! The waiting list: a place that becomes free is kept for one, and then for the next.

use hub_core::Verdict;
use schemas::IdentifierKey;
use schemas::scheduling::{AnswerWaitlist, AppointmentAction, JoinWaitlist, Mode, WaitlistAnswer};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::house::{House, answer, booking, later, patient, refusal, said};

fn waiting(schedule: Uuid, from: OffsetDateTime) -> JoinWaitlist {
    JoinWaitlist {
        entry_id: Uuid::now_v7(),
        schedule_id: schedule,
        subject_key: IdentifierKey(patient()),
        person_keys: Vec::new(),
        priority: 0,
        from: from.format(&Rfc3339).unwrap(),
        to: (from + Duration::minutes(1)).format(&Rfc3339).unwrap(),
        mode: Mode::InPerson,
        note: None,
        actor: "desk".to_owned(),
    }
}

fn says(entry: Uuid, answer: WaitlistAnswer) -> AnswerWaitlist {
    AnswerWaitlist {
        entry_id: entry,
        answer,
        actor: "desk".to_owned(),
    }
}

impl House {
    async fn entry(&self, id: Uuid) -> String {
        self.column("select state from clinical.waitlist where id = $1", id)
            .await
            .remove(0)
    }

    /// Who holds the place of a slot of one, by the entry that was offered it.
    async fn holders(&self, slot: Uuid) -> Vec<Uuid> {
        self.column(
            "select o.entry_id from clinical.waitlist_offers o join clinical.appointments a on a.id = o.appointment_id
             where o.slot_id = $1 and a.state = 'held'",
            slot,
        )
        .await
    }
}

/// AP2
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_place_is_offered_to_the_head_then_to_the_next_and_never_to_two() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slot = house.slots(schedule).await[9];
    let start = house.starts_at(slot).await;
    let taken = house.book(slot, patient()).await;
    let (first, second) = (waiting(schedule, start), waiting(schedule, start));
    let urgent = JoinWaitlist {
        priority: 5,
        ..waiting(schedule, start)
    };
    for one in [&first, &second, &urgent] {
        assert_eq!(answer(house.apply(one).await)["state"], "waiting");
    }
    let again = JoinWaitlist {
        entry_id: Uuid::now_v7(),
        ..first.clone()
    };
    assert_eq!(
        refusal(&house.apply(&again).await),
        "waitlist.already_waiting"
    );

    let cancelled = house.advance(taken, AppointmentAction::Cancel).await;
    assert!(said(&cancelled).contains(&"scheduling.waitlist.offered"));
    assert_eq!(house.holders(slot).await, [urgent.entry_id]);
    // who asks at the desk meanwhile does not get it, however many ask
    let verdicts = house
        .at_once((0..6).map(|_| booking(slot, patient())).collect())
        .await;
    for verdict in &verdicts {
        assert_eq!(refusal(verdict), "slots.full_conflict");
    }

    // its time is over: the next one, and only he
    answer(house.tend(schedule, later(31)).await);
    assert_eq!(house.holders(slot).await, [first.entry_id]);
    assert_eq!(house.entry(urgent.entry_id).await, "waiting");
    let refused = house
        .apply(&says(second.entry_id, WaitlistAnswer::Accept))
        .await;
    assert_eq!(refusal(&refused), "waitlist.state_conflict");
    answer(
        house
            .apply(&says(first.entry_id, WaitlistAnswer::Decline))
            .await,
    );
    assert_eq!(house.holders(slot).await, [second.entry_id]);
    let accepted = answer(
        house
            .apply(&says(second.entry_id, WaitlistAnswer::Accept))
            .await,
    );
    assert_eq!(accepted["state"], "booked");
    let appointment: Uuid = accepted["appointment_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(house.state(appointment).await, "booked");
    assert!(house.holders(slot).await.is_empty());
    house.every_place_is_counted().await;

    // nobody is asked about the same slot twice: it is free for whoever comes
    answer(house.advance(appointment, AppointmentAction::Cancel).await);
    assert!(house.holders(slot).await.is_empty());
    house.book(slot, patient()).await;
    house.every_place_is_counted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_become_free_at_once_go_to_different_people_of_the_list() {
    let house = House::new().await;
    let schedule = house.schedule(|clinic| clinic.capacity = 4).await;
    let slot = house.slots(schedule).await[3];
    let start = house.starts_at(slot).await;
    let mut booked = Vec::new();
    for _ in 0..4 {
        booked.push(house.book(slot, patient()).await);
    }
    let mut list = Vec::new();
    for _ in 0..6 {
        let one = waiting(schedule, start);
        answer(house.apply(&one).await);
        list.push(one.entry_id);
    }
    let steps = booked
        .iter()
        .map(|id| super::house::step(*id, AppointmentAction::Cancel))
        .collect();
    for verdict in house.at_once(steps).await {
        answer(verdict);
    }
    let mut holders = house.holders(slot).await;
    holders.sort_unstable();
    assert_eq!(holders, list[..4]);
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn who_leaves_the_list_gives_the_place_to_the_next_and_who_waits_too_long_lapses() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slot = house.slots(schedule).await[9];
    let start = house.starts_at(slot).await;
    let taken = house.book(slot, patient()).await;
    let (first, second) = (waiting(schedule, start), waiting(schedule, start));
    for one in [&first, &second] {
        answer(house.apply(one).await);
    }
    answer(house.advance(taken, AppointmentAction::Cancel).await);
    let left = answer(
        house
            .apply(&says(first.entry_id, WaitlistAnswer::Withdraw))
            .await,
    );
    assert_eq!(left["state"], "withdrawn");
    assert_eq!(house.holders(slot).await, [second.entry_id]);
    let over = house
        .apply(&says(first.entry_id, WaitlistAnswer::Withdraw))
        .await;
    assert_eq!(refusal(&over), "waitlist.state_conflict");
    answer(house.tend(schedule, start + Duration::minutes(2)).await);
    assert_eq!(house.entry(second.entry_id).await, "lapsed");
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn who_joins_while_a_place_is_free_is_offered_it_and_so_is_who_waits_for_new_hours() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slots = house.slots(schedule).await;
    let one = waiting(schedule, house.starts_at(slots[4]).await);
    let told = answer(house.apply(&one).await);
    assert_eq!(
        (told["state"].as_str(), told["slot_id"].as_str()),
        (Some("offered"), Some(slots[4].to_string().as_str()))
    );
    let Verdict::Applied { outgoing, .. } = house
        .apply(&says(one.entry_id, WaitlistAnswer::Accept))
        .await
    else {
        panic!("refused");
    };
    assert_eq!(outgoing.len(), 1);
    house.every_place_is_counted().await;
}
