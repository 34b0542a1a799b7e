//! Places: never more than there are, never two of one patient's, never one that is lost.

use std::collections::BTreeMap;
use std::time::Instant;

use hub_core::Verdict;
use schemas::IdentifierKey;
use schemas::scheduling::{
    AppointmentAction, BookAppointment, ChangeAppointment, RescheduleAppointment,
};
use uuid::Uuid;
use worker_scheduling::queries;

use super::house::{House, answer, booking, later, noon, patient, refusal, said, step};

/// How often each outcome came: `applied`, or the code of the refusal.
fn outcomes(verdicts: &[Verdict]) -> BTreeMap<&'static str, usize> {
    let mut count = BTreeMap::new();
    for verdict in verdicts {
        let outcome = match verdict {
            Verdict::Refused(refusal) => refusal.code,
            _ => "applied",
        };
        *count.entry(outcome).or_default() += 1;
    }
    count
}

/// AP1
#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_book_a_slot_of_three_at_once_three_have_it_and_there_are_others() {
    let house = House::new().await;
    let schedule = house.schedule(|clinic| clinic.capacity = 3).await;
    let slots = house.slots(schedule).await;
    let verdicts = house
        .at_once((0..20).map(|_| booking(slots[5], patient())).collect())
        .await;
    assert_eq!(
        outcomes(&verdicts),
        BTreeMap::from([("applied", 3), ("slots.full_conflict", 17)])
    );
    house.every_place_is_counted().await;
    let mut tx = house.database.tx(&house.tenant).await;
    let full = queries::slot(tx.conn(), slots[5]).await.unwrap().unwrap();
    assert_eq!((full.capacity, full.free), (3, 0));
    let others = queries::alternatives(tx.conn(), slots[5], 5).await.unwrap();
    assert_eq!(others.len(), 5);
    assert!(others.iter().all(|one| one.free > 0 && one.id != slots[5]));
    let nearest = [slots[4], slots[6]];
    assert!(nearest.contains(&others[0].id) && nearest.contains(&others[1].id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overbook_quota_holds_too_and_who_has_it_moves_up_first() {
    let house = House::new().await;
    let schedule = house
        .schedule(|clinic| {
            clinic.capacity = 2;
            clinic.overbook = 2;
        })
        .await;
    let slot = house.slots(schedule).await[0];
    let overbooking = || BookAppointment {
        overbook: true,
        ..booking(slot, patient())
    };
    let first = house.book(slot, patient()).await;
    let verdicts = house
        .at_once((0..12).map(|_| overbooking()).collect())
        .await;
    assert_eq!(
        outcomes(&verdicts),
        BTreeMap::from([("applied", 3), ("slots.full_conflict", 9)])
    );
    house.every_place_is_counted().await;
    answer(house.advance(first, AppointmentAction::Cancel).await);
    house.every_place_is_counted().await;
    let kinds: Vec<String> = house
        .column(
            "select kind from clinical.appointments where slot_id = $1 and state = 'booked' order by kind",
            slot,
        )
        .await;
    assert_eq!(kinds, ["overbook", "slot", "slot"]);
    assert_eq!(
        refusal(&house.apply(&booking(slot, patient())).await),
        "slots.full_conflict"
    );
}

/// AP5
#[tokio::test(flavor = "multi_thread")]
async fn a_patient_has_a_slot_once_also_when_he_asks_twice_at_once_or_by_another_number() {
    let house = House::new().await;
    let schedule = house.schedule(|clinic| clinic.capacity = 50).await;
    let slot = house.slots(schedule).await[0];
    let (mrn, abha) = (patient(), patient());
    let verdicts = house
        .at_once((0..10).map(|_| booking(slot, mrn)).collect())
        .await;
    assert_eq!(
        outcomes(&verdicts),
        BTreeMap::from([("applied", 1), ("appointments.same_slot_exists", 9)])
    );
    let by_another = BookAppointment {
        person_keys: vec![IdentifierKey(mrn), IdentifierKey(abha)],
        ..booking(slot, abha)
    };
    assert_eq!(
        refusal(&house.apply(&by_another).await),
        "appointments.same_slot_exists"
    );
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn who_cancelled_may_book_the_slot_again_and_the_old_one_stays_on_file() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slot = house.slots(schedule).await[0];
    let asha = patient();
    let first = house.book(slot, asha).await;
    let cancelled = house.advance(first, AppointmentAction::Cancel).await;
    assert_eq!(said(&cancelled), ["scheduling.appointment.cancelled"]);
    let second = house.book(slot, asha).await;
    assert_eq!(
        (house.state(first).await, house.state(second).await),
        ("cancelled".to_owned(), "booked".to_owned())
    );
    let steps: Vec<String> = house
        .column(
            "select action from clinical.appointment_steps where appointment_id = $1 order by id",
            first,
        )
        .await;
    assert_eq!(steps, ["book", "cancel"]);
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn a_hold_is_over_after_its_time_and_not_before() {
    let house = House::new().await;
    let schedule = house.schedule(|clinic| clinic.zone = noon()).await;
    let slots = house.slots(schedule).await;
    let hold = BookAppointment {
        hold: true,
        ..booking(slots[0], patient())
    };
    let held = answer(house.apply(&hold).await);
    assert_eq!(held["state"], "held");
    assert!(held["held_until"].is_string());
    let kept = BookAppointment {
        hold: true,
        ..booking(slots[1], patient())
    };
    answer(house.apply(&kept).await);
    answer(
        house
            .advance(kept.appointment_id, AppointmentAction::Book)
            .await,
    );

    assert!(matches!(
        house.tend(schedule, later(4)).await,
        Verdict::Unchanged
    ));
    assert_eq!(house.state(hold.appointment_id).await, "held");
    let tended = house.tend(schedule, later(6)).await;
    assert_eq!(said(&tended), ["scheduling.appointment.state_changed"]);
    assert_eq!(house.state(hold.appointment_id).await, "expired");
    assert_eq!(house.state(kept.appointment_id).await, "booked");
    assert_eq!(
        refusal(
            &house
                .advance(hold.appointment_id, AppointmentAction::Book)
                .await
        ),
        "appointments.state_conflict"
    );
    house.book(slots[0], patient()).await;
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn a_hold_that_is_over_is_free_though_nobody_has_ended_it() {
    let house = House::new().await;
    let schedule = house.schedule(|clinic| clinic.hold_seconds = 1).await;
    let slot = house.slots(schedule).await[0];
    let hold = BookAppointment {
        hold: true,
        ..booking(slot, patient())
    };
    answer(house.apply(&hold).await);
    let began = Instant::now();
    let next = booking(slot, patient());
    while let Verdict::Refused(refusal) = house.apply(&next).await {
        assert_eq!(refusal.code, "slots.full_conflict");
        assert!(began.elapsed().as_secs() < 20, "it is never free");
    }
    assert_eq!(house.state(hold.appointment_id).await, "expired");
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn a_step_that_the_table_does_not_have_is_refused_with_from_to_and_allowed() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slot = house.slots(schedule).await[0];
    let id = house.book(slot, patient()).await;
    let refused = house.advance(id, AppointmentAction::Finish).await;
    assert_eq!(refusal(&refused), "appointments.state_conflict");
    let Verdict::Refused(refused) = refused else {
        unreachable!()
    };
    for word in [
        "booked",
        "done",
        "confirm",
        "arrive",
        "cancel",
        "reschedule",
    ] {
        assert!(refused.detail.contains(word), "{word}: {}", refused.detail);
    }
    let early = house.advance(id, AppointmentAction::NoShow).await;
    assert_eq!(refusal(&early), "appointments.early_conflict");
    let stale = schemas::scheduling::AdvanceAppointment {
        version: Some(7),
        ..step(id, AppointmentAction::Confirm)
    };
    assert_eq!(refusal(&house.apply(&stale).await), "appointments.stale");
    let unknown = house
        .advance(Uuid::now_v7(), AppointmentAction::Confirm)
        .await;
    assert_eq!(refusal(&unknown), "appointments.unknown");
    let change = ChangeAppointment {
        appointment_id: id,
        version: Some(1),
        mode: Some(schemas::scheduling::Mode::Video),
        reason: Some("cough".to_owned()),
        note: None,
        actor: "desk".to_owned(),
    };
    assert_eq!(answer(house.apply(&change).await)["version"], 2);
}

/// Everybody moves into the same slot at once, from slots of their own: one arrives, and the others still have theirs.
#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_move_to_one_place_at_once_one_has_it_and_the_others_stay() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slots = house.slots(schedule).await;
    let mut moves = Vec::new();
    for slot in &slots[1..7] {
        moves.push(RescheduleAppointment {
            appointment_id: house.book(*slot, patient()).await,
            slot_id: slots[0],
            person_keys: Vec::new(),
            overbook: false,
            version: None,
            reason: None,
            actor: "desk".to_owned(),
        });
    }
    let verdicts = house.at_once(moves.clone()).await;
    assert_eq!(
        outcomes(&verdicts),
        BTreeMap::from([("applied", 1), ("slots.full_conflict", 5)])
    );
    for one in &moves {
        assert_eq!(house.state(one.appointment_id).await, "booked");
    }
    house.every_place_is_counted().await;
}

#[tokio::test]
async fn what_is_refused_in_a_batch_leaves_no_trace_and_takes_nothing_with_it() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let slots = house.slots(schedule).await;
    let asha = patient();
    let batch = [
        booking(slots[0], asha),
        booking(slots[0], patient()),
        // a constraint of the database refuses this one: the id is taken
        BookAppointment {
            appointment_id: Uuid::nil(),
            ..booking(slots[1], asha)
        },
        BookAppointment {
            appointment_id: Uuid::nil(),
            ..booking(slots[2], asha)
        },
        booking(slots[3], asha),
    ];
    let verdicts = house.batch(&batch).await;
    assert_eq!(
        outcomes(&verdicts),
        BTreeMap::from([
            ("applied", 3),
            ("slots.full_conflict", 1),
            ("scheduling.value", 1)
        ])
    );
    house.every_place_is_counted().await;
    house.book(slots[2], asha).await;
}
