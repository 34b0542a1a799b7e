//! Queues: numbers in the order of arrival, called once each.

use hub_core::Verdict;
use schemas::IdentifierKey;
use schemas::scheduling::{
    AppointmentAction, CallToken, DelayQueue, RescheduleAppointment, WalkIn,
};
use uuid::Uuid;
use worker_scheduling::queries;

use super::house::{House, answer, hours, noon, patient, refusal, said};

/// A clinic that is open all day today, by the hour.
async fn today(house: &House) -> (Uuid, Vec<Uuid>, Uuid) {
    let schedule = house
        .schedule(|clinic| {
            clinic.zone = noon();
            clinic.slot_minutes = 60;
            clinic.capacity = 10;
            clinic.walk_ins = 2;
            clinic.hours = hours("00:00", "24:00");
        })
        .await;
    let slots = house.slots(schedule).await;
    let queue = house
        .column(
            "select q.id from clinical.queues q join clinical.schedules s on s.id = q.schedule_id
             where s.id = $1 and q.day = (now() at time zone s.zone)::date",
            schedule,
        )
        .await
        .remove(0);
    (schedule, slots, queue)
}

fn next(queue: Uuid) -> CallToken {
    CallToken {
        queue_id: queue,
        number: None,
        room: None,
        actor: "doctor".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrivals_have_numbers_and_each_is_called_once_however_many_call() {
    let house = House::new().await;
    let (_, slots, queue) = today(&house).await;
    let mut booked = Vec::new();
    for _ in 0..6 {
        booked.push(house.book(slots[0], patient()).await);
    }
    let arrivals = booked
        .iter()
        .map(|id| super::house::step(*id, AppointmentAction::Arrive))
        .collect();
    let mut numbers: Vec<i64> = house
        .at_once(arrivals)
        .await
        .into_iter()
        .map(|verdict| answer(verdict)["token"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let mut called: Vec<i64> = house
        .at_once((0..6).map(|_| next(queue)).collect())
        .await
        .into_iter()
        .map(|verdict| answer(verdict)["token"].as_i64().unwrap())
        .collect();
    called.sort_unstable();
    assert_eq!(called, [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        refusal(&house.apply(&next(queue)).await),
        "queues.empty_conflict"
    );
    let again = CallToken {
        number: Some(3),
        room: Some("4".to_owned()),
        ..next(queue)
    };
    let again = answer(house.apply(&again).await);
    assert_eq!(
        (again["calls"].as_i64(), again["room"].as_str()),
        (Some(2), Some("4"))
    );
    let third: Uuid = again["appointment_id"].as_str().unwrap().parse().unwrap();
    let started = answer(house.advance(third, AppointmentAction::Start).await);
    assert_eq!(started["token"], 3);
    let finished = house.advance(third, AppointmentAction::Finish).await;
    assert_eq!(said(&finished), ["scheduling.appointment.state_changed"]);
    let over = CallToken {
        number: Some(3),
        ..next(queue)
    };
    assert_eq!(refusal(&house.apply(&over).await), "queues.token_conflict");
}

#[tokio::test]
async fn an_appointment_of_another_day_is_in_no_queue_of_today() {
    let house = House::new().await;
    let (schedule, ..) = today(&house).await;
    let tomorrow: Uuid = house
        .column(
            "select o.id from clinical.slots o join clinical.schedules s on s.id = o.schedule_id
             where s.id = $1 and o.day > (now() at time zone s.zone)::date order by o.starts_at limit 1",
            schedule,
        )
        .await
        .remove(0);
    let id = house.book(tomorrow, patient()).await;
    let refused = house.advance(id, AppointmentAction::Arrive).await;
    assert_eq!(refusal(&refused), "appointments.day_conflict");
}

/// AP3, the queues of it.
#[tokio::test]
async fn who_is_rescheduled_leaves_the_old_queue_and_is_in_the_new_one() {
    let house = House::new().await;
    let (_, slots, queue) = today(&house).await;
    let (other, other_slots, other_queue) = today(&house).await;
    let id = house.book(slots[0], patient()).await;
    answer(house.advance(id, AppointmentAction::Arrive).await);
    let reschedule = RescheduleAppointment {
        appointment_id: id,
        slot_id: other_slots[1],
        person_keys: Vec::new(),
        overbook: false,
        version: None,
        reason: Some("another doctor".to_owned()),
        actor: "desk".to_owned(),
    };
    let verdict = house.apply(&reschedule).await;
    assert_eq!(said(&verdict), ["scheduling.appointment.rescheduled"]);
    let told = answer(verdict);
    assert_eq!(told["appointment_id"], id.to_string(), "the same one");
    assert_eq!(told["schedule_id"], other.to_string());
    assert_eq!(
        refusal(&house.apply(&next(queue)).await),
        "queues.empty_conflict"
    );
    let mut tx = house.database.tx(&house.tenant).await;
    let (left, entered) = (
        queries::queue(tx.conn(), queue).await.unwrap().unwrap(),
        queries::queue(tx.conn(), other_queue)
            .await
            .unwrap()
            .unwrap(),
    );
    drop(tx);
    assert_eq!((left.waiting, left.expected), (0, 0));
    assert_eq!((entered.waiting, entered.expected), (0, 1));
    let arrived = answer(house.advance(id, AppointmentAction::Arrive).await);
    assert_eq!(arrived["token"], 1);
    assert_eq!(
        answer(house.apply(&next(other_queue)).await)["appointment_id"],
        id.to_string()
    );
    let same = RescheduleAppointment {
        slot_id: other_slots[1],
        ..reschedule
    };
    assert_eq!(
        refusal(&house.apply(&same).await),
        "appointments.same_slot_exists"
    );
    house.every_place_is_counted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn walk_ins_are_taken_up_to_the_days_number_and_nobody_is_in_a_queue_twice() {
    let house = House::new().await;
    let (schedule, slots, queue) = today(&house).await;
    let walk_in = |patient: Uuid| WalkIn {
        appointment_id: Uuid::now_v7(),
        schedule_id: schedule,
        subject_key: IdentifierKey(patient),
        person_keys: Vec::new(),
        reason: None,
        actor: "desk".to_owned(),
    };
    let booked = patient();
    house.book(slots[0], booked).await;
    assert_eq!(
        refusal(&house.apply(&walk_in(booked)).await),
        "queues.appointment_conflict"
    );
    let asha = patient();
    answer(house.apply(&walk_in(asha)).await);
    assert_eq!(
        refusal(&house.apply(&walk_in(asha)).await),
        "queues.already_waiting"
    );
    let verdicts = house
        .at_once((0..5).map(|_| walk_in(patient())).collect())
        .await;
    let taken = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Applied { .. }))
        .count();
    assert_eq!(taken, 1, "two a day, one is there");
    for verdict in &verdicts {
        if matches!(verdict, Verdict::Refused(_)) {
            assert_eq!(refusal(verdict), "queues.walk_ins_conflict");
        }
    }
    let delay = DelayQueue {
        queue_id: queue,
        minutes: 30,
        reason: "emergency".to_owned(),
        actor: "desk".to_owned(),
    };
    let delayed = house.apply(&delay).await;
    assert_eq!(said(&delayed), ["scheduling.queue.delayed"]);
    assert_eq!(answer(delayed)["appointments"], 3);
}

#[tokio::test]
async fn who_does_not_come_is_a_no_show_once_the_time_has_begun() {
    let house = House::new().await;
    let (schedule, slots, _) = today(&house).await;
    let running: Uuid = house
        .column(
            "select id from clinical.slots where schedule_id = $1 and starts_at <= now() and ends_at > now()",
            schedule,
        )
        .await
        .remove(0);
    let missed = house.book(running, patient()).await;
    let verdict = house.advance(missed, AppointmentAction::NoShow).await;
    assert_eq!(said(&verdict), ["scheduling.appointment.no_show"]);
    let ahead = house.book(slots[2], patient()).await;
    assert_eq!(
        refusal(&house.advance(ahead, AppointmentAction::NoShow).await),
        "appointments.early_conflict"
    );
    // there, and gone again before he was seen
    answer(house.advance(ahead, AppointmentAction::Arrive).await);
    answer(house.advance(ahead, AppointmentAction::Cancel).await);
    house.every_place_is_counted().await;
}
