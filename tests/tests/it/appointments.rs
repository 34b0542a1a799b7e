//! Appointments through the whole program, by the names of specs/hms-modules.md §1.13.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Mllp, Rest, World, adt, eventually, shared, unique};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const SOON: Duration = Duration::from_secs(20);
/// The clock looks every five seconds; a reminder stands on a full minute.
const BY_THE_CLOCK: Duration = Duration::from_secs(150);

/// A front desk of the shared hub.
struct Desk {
    world: Arc<World>,
    rest: Rest,
}

/// A zone in which it is about noon, so that there is a today before and after now.
fn noon() -> String {
    let offset = 12 - i16::from(OffsetDateTime::now_utc().hour());
    match offset {
        0 => "UTC".to_owned(),
        // the signs of these names are POSIX's: west is plus
        east @ 1.. => format!("Etc/GMT-{east}"),
        west => format!("Etc/GMT+{}", -west),
    }
}

fn every_day(from: &str, to: &str) -> Vec<Value> {
    (1..=7)
        .map(|weekday| json!({ "weekday": weekday, "from": from, "to": to }))
        .collect()
}

impl Desk {
    async fn open() -> Self {
        let world = shared().await;
        let rest = world.hub.sign_in().await;
        Self { world, rest }
    }

    async fn patient(&self) -> String {
        let patient = unique("AP");
        let sent = Mllp::connect(self.world.hub.mllp("adt"))
            .await
            .send(&adt("A04", &unique("C"), &patient))
            .await;
        assert_eq!(sent.code, "AA");
        let path = format!("/api/v1/patients?identifier={patient}");
        eventually("the patient is registered", SOON, || async {
            (!self.rest.items(&path).await.is_empty()).then_some(())
        })
        .await;
        patient
    }

    async fn patients(&self, count: usize) -> Vec<String> {
        join_all((0..count).map(|_| self.patient())).await
    }

    /// 08:00 to 20:00 by ten minutes every day, with changes.
    async fn schedule(&self, change: Value) -> String {
        let mut schedule = json!({
            "name": "General OPD", "service": unique("S"), "room": "12", "slot_minutes": 10, "horizon_days": 3,
            "hours": every_day("08:00", "20:00"),
        });
        for (name, value) in change.as_object().unwrap() {
            schedule[name] = value.clone();
        }
        let made = self.made("/api/v1/schedules", &schedule).await;
        made["schedule_id"].as_str().unwrap().to_owned()
    }

    /// What a POST made, also when its worker was busy.
    async fn made(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.write(Method::POST, path, Some(body)).await;
        assert!(
            status == 201 || status == 200,
            "POST {path}: {status} {answer}"
        );
        answer
    }

    /// A write and its outcome, waited for where it was answered with 202.
    async fn write(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let response = self.rest.response(method, path, body, &[]).await;
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        if status != 202 {
            return (status, answer);
        }
        let id = answer["command_id"].as_str().unwrap().to_owned();
        let decided = eventually("the command is decided", SOON, || async {
            let state = self.rest.get(&format!("/api/v1/commands/{id}")).await;
            (state["state"] != "pending").then_some(state)
        })
        .await;
        match decided["state"].as_str() {
            Some("refused") => (409, decided),
            _ => (200, decided["answer"].clone()),
        }
    }

    async fn step(&self, appointment: &str, step: &str) -> (u16, Value) {
        let path = format!("/api/v1/appointments/{appointment}/{step}");
        self.write(Method::POST, &path, None).await
    }

    async fn book(&self, slot: &str, patient: &str) -> (u16, Value) {
        let body = json!({ "slot_id": slot, "patient_identifier": patient });
        self.write(Method::POST, "/api/v1/appointments", Some(&body))
            .await
    }

    async fn booked(&self, slot: &str, patient: &str) -> String {
        let (status, answer) = self.book(slot, patient).await;
        assert!(status == 201 || status == 200, "{status} {answer}");
        answer["appointment_id"].as_str().unwrap().to_owned()
    }

    async fn slots(&self, schedule: &str) -> Vec<Value> {
        self.rest
            .all_items(&format!("/api/v1/slots?schedule_id={schedule}&limit=500"))
            .await
    }

    async fn appointment(&self, id: &str) -> Value {
        self.rest.get(&format!("/api/v1/appointments/{id}")).await
    }
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test]
async fn ap1_of_twenty_parallel_bookings_of_a_slot_of_three_three_hold_and_the_others_are_told_of_free_ones()
 {
    let desk = Desk::open().await;
    let schedule = desk.schedule(json!({ "capacity": 3 })).await;
    let slots = desk.slots(&schedule).await;
    let slot = id(&slots[20]);
    let patients = desk.patients(20).await;
    let answers = join_all(patients.iter().map(|patient| desk.book(slot, patient))).await;
    let taken = answers.iter().filter(|(status, _)| *status < 300).count();
    let full: Vec<&Value> = answers
        .iter()
        .filter(|(status, _)| *status == 409)
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!((taken, full.len()), (3, 17), "{answers:?}");
    for problem in full {
        assert_eq!(problem["code"], "slots.full_conflict");
    }
    // an answer that came late was fetched as a command's outcome, which is no problem: one that came at once is
    let late = desk.patient().await;
    let problem = eventually("an answer comes at once", SOON, || async {
        let (_, answer) = desk.book(slot, &late).await;
        assert_eq!(answer["code"], "slots.full_conflict");
        (answer["title"] == "Conflict").then_some(answer)
    })
    .await;
    let others = problem["alternatives"].as_array().unwrap();
    assert_eq!(others.len(), 5, "{problem}");
    assert!(others.iter().all(|one| one["slot_id"] != slot));
    let now = desk.rest.get(&format!("/api/v1/slots/{slot}")).await;
    assert_eq!(now["free"], 0);
    let listed = desk
        .rest
        .items(&format!(
            "/api/v1/appointments?schedule_id={schedule}&state=booked"
        ))
        .await;
    assert_eq!(listed.len(), 3);
}

#[tokio::test]
async fn ap2_a_cancelled_place_goes_to_the_head_of_the_list_then_to_the_next_and_never_to_two() {
    let desk = Desk::open().await;
    let schedule = desk.schedule(json!({ "offer_seconds": 8 })).await;
    let slots = desk.slots(&schedule).await;
    let slot = slots[90].clone();
    let patients = desk.patients(4).await;
    let taken = desk.booked(id(&slot), &patients[0]).await;
    let mut entries = Vec::new();
    for patient in &patients[1..3] {
        let body = json!({
            "schedule_id": schedule, "patient_identifier": patient, "from": slot["starts_at"], "to": slot["ends_at"],
        });
        let entry = desk.made("/api/v1/waitlist", &body).await;
        assert_eq!(entry["state"], "waiting");
        entries.push(entry["entry_id"].as_str().unwrap().to_owned());
    }
    let cancel = json!({ "reason": "called off" });
    desk.made(&format!("/api/v1/appointments/{taken}/cancel"), &cancel)
        .await;
    // at every look there is one holder at most, and the place is never free for the desk meanwhile
    let held = format!("/api/v1/appointments?schedule_id={schedule}&state=held");
    let second = eventually("the next one is offered it", SOON + SOON, || async {
        assert!(desk.rest.items(&held).await.len() <= 1);
        let entry = desk
            .rest
            .get(&format!("/api/v1/waitlist/{}", entries[1]))
            .await;
        (entry["state"] == "offered").then_some(entry)
    })
    .await;
    let (status, accepted) = desk
        .write(
            Method::POST,
            &format!("/api/v1/waitlist/{}/accept", entries[1]),
            None,
        )
        .await;
    assert_eq!(
        (status, accepted["state"].as_str()),
        (200, Some("booked")),
        "{accepted}"
    );
    let appointment = desk
        .appointment(second["appointment_id"].as_str().unwrap())
        .await;
    assert_eq!(appointment["state"], "booked");
    let (status, problem) = desk.book(id(&slot), &patients[3]).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("slots.full_conflict"))
    );
    let expired = desk
        .rest
        .items(&format!(
            "/api/v1/appointments?schedule_id={schedule}&state=expired"
        ))
        .await;
    assert!(!expired.is_empty(), "the first offer ran out");
    let first = desk.appointment(id(&expired[0])).await;
    let last = first["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (last["to"].as_str(), last["by"].as_str()),
        (Some("expired"), Some("hub"))
    );
}

#[tokio::test]
async fn ap3_who_is_rescheduled_leaves_the_old_queue_is_in_the_new_one_and_is_reminded_once() {
    let desk = Desk::open().await;
    // a reminder that is due on the next full minute that is not too near
    let now = OffsetDateTime::now_utc();
    let start = (now.unix_timestamp() / 60 + 1) * 60;
    let start = if start - now.unix_timestamp() < 45 {
        start + 60
    } else {
        start
    };
    let today = json!({
        "zone": noon(), "slot_minutes": 10, "capacity": 5, "hours": every_day("00:00", "24:00"), "horizon_days": 1,
    });
    let old = desk.schedule(today.clone()).await;
    let mut with_reminder = today;
    let free = desk.slots(&old).await;
    let slot_of = |slots: &[Value], at: usize| slots[at].clone();
    // the fourth slot from now begins on a full ten minutes: so many minutes after the reminder
    let target = OffsetDateTime::parse(slot_of(&free, 4)["starts_at"].as_str().unwrap(), &Rfc3339)
        .unwrap()
        .unix_timestamp();
    with_reminder["reminder_minutes"] = json!([(target - start) / 60]);
    let new = desk.schedule(with_reminder).await;
    let to = desk
        .slots(&new)
        .await
        .into_iter()
        .find(|slot| slot["starts_at"] == free[4]["starts_at"])
        .unwrap();
    let patient = desk.patient().await;
    let appointment = desk.booked(id(&free[1]), &patient).await;
    let (status, arrived) = desk.step(&appointment, "arrive").await;
    assert_eq!((status, &arrived["token"]), (200, &json!(1)), "{arrived}");

    let body = json!({ "slot_id": to["id"], "reason": "another doctor" });
    let path = format!("/api/v1/appointments/{appointment}/reschedule");
    let (status, moved) = desk.write(Method::POST, &path, Some(&body)).await;
    assert_eq!(status, 200, "{moved}");
    assert_eq!(
        moved["appointment_id"],
        appointment.as_str(),
        "the same one"
    );

    let queue = async |schedule: &str| {
        let queues = desk
            .rest
            .items(&format!("/api/v1/queues?schedule_id={schedule}"))
            .await;
        let id = queues[0]["id"].as_str().unwrap().to_owned();
        desk.rest.get(&format!("/api/v1/queues/{id}")).await
    };
    let left = queue(&old).await;
    assert_eq!(
        (&left["waiting"], &left["expected"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(left["tokens"][0]["state"], "gone");
    let entered = queue(&new).await;
    assert_eq!(entered["expected"], 1);
    assert_eq!(
        entered["expected_appointments"][0]["id"],
        appointment.as_str()
    );

    let reminders = async || desk.appointment(&appointment).await["reminders"].clone();
    eventually("the reminder is due", BY_THE_CLOCK, || async {
        (reminders().await.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    // the clock has looked again when a hold that was made after it is over
    let hold = json!({ "slot_id": free[6]["id"], "patient_identifier": patient, "hold": true });
    let short = json!({ "zone": noon(), "hours": every_day("00:00", "24:00"), "hold_seconds": 1, "horizon_days": 1 });
    let other = desk.schedule(short).await;
    let mut hold = hold;
    hold["slot_id"] = desk.slots(&other).await[3]["id"].clone();
    let held = desk.made("/api/v1/appointments", &hold).await;
    let held = held["appointment_id"].as_str().unwrap().to_owned();
    eventually("the hold is over by itself", SOON, || async {
        (desk.appointment(&held).await["state"] == "expired").then_some(())
    })
    .await;
    let said = reminders().await;
    assert_eq!(said.as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said[0]["starts_at"], to["starts_at"]);

    // in the new queue he is called and seen
    let (_, arrived) = desk.step(&appointment, "arrive").await;
    assert_eq!(arrived["token"], 1);
    let call = format!("/api/v1/queues/{}/next", entered["id"].as_str().unwrap());
    let (status, called) = desk.write(Method::POST, &call, Some(&json!({}))).await;
    assert_eq!(status, 200, "{called}");
    assert_eq!(called["appointment_id"], appointment.as_str());
    for step in ["start", "finish"] {
        let (status, answer) = desk.step(&appointment, step).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (status, problem) = desk.step(&appointment, "arrive").await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("appointments.state_conflict"))
    );
}

#[tokio::test]
async fn ap4_from_eight_to_twenty_by_ten_minutes_are_seventy_two_slots_and_booked_ones_outlive_new_hours()
 {
    let desk = Desk::open().await;
    let schedule = desk.schedule(json!({})).await;
    let slots = desk.slots(&schedule).await;
    let last = slots.last().unwrap()["day"].clone();
    let of_the_day: Vec<&Value> = slots.iter().filter(|slot| slot["day"] == last).collect();
    assert_eq!(of_the_day.len(), 72);
    for pair in of_the_day.windows(2) {
        assert_eq!(pair[0]["ends_at"], pair[1]["starts_at"]);
    }
    let patient = desk.patient().await;
    let appointment = desk.booked(id(of_the_day[0]), &patient).await;
    let path = format!("/api/v1/schedules/{schedule}");
    let response = desk.rest.response(Method::GET, &path, None, &[]).await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    let read: Value = response.json().await.unwrap();
    let changed = json!({
        "name": read["name"], "service": read["service"], "room": read["room"], "slot_minutes": 10, "horizon_days": 3,
        "hours": every_day("10:00", "12:00"),
    });
    let put = async |tag: &str| {
        let response = desk
            .rest
            .response(Method::PUT, &path, Some(&changed), &[("if-match", tag)])
            .await;
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    let (status, answer) = put(&tag).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["affected"], json!([appointment]));
    let (status, stale) = put(&tag).await;
    assert_eq!(
        (status, stale["code"].as_str()),
        (412, Some("schedules.stale"))
    );
    let kept = desk.appointment(&appointment).await;
    assert_eq!(
        (kept["state"].as_str(), kept["attention"].as_str()),
        (Some("booked"), Some("hours"))
    );
    let attention = desk
        .rest
        .items(&format!(
            "/api/v1/appointments?schedule_id={schedule}&attention=true"
        ))
        .await;
    assert_eq!(attention.len(), 1);
}

#[tokio::test]
async fn ap5_a_patient_books_a_slot_once_and_a_merge_loses_no_appointment() {
    let desk = Desk::open().await;
    let schedule = desk.schedule(json!({ "capacity": 4 })).await;
    let slots = desk.slots(&schedule).await;
    let (first, second) = (desk.patient().await, desk.patient().await);
    let mine = desk.booked(id(&slots[30]), &first).await;
    let (status, problem) = desk.book(id(&slots[30]), &first).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("appointments.same_slot_exists"))
    );
    let theirs = desk.booked(id(&slots[31]), &second).await;

    // both are one person: his list has both, and neither slot is to be had under either number
    let person = |number: String| {
        let rest = &desk.rest;
        async move {
            let found = rest
                .items(&format!("/api/v1/patients?identifier={number}"))
                .await;
            id(&found[0]).to_owned()
        }
    };
    let (survivor, retired) = (person(first.clone()).await, person(second.clone()).await);
    let merge = json!({ "retired": retired, "reason": "registered twice" });
    desk.rest
        .command(&format!("/api/v1/patients/{survivor}/merge"), &merge)
        .await;
    let list = desk
        .rest
        .items(&format!("/api/v1/appointments?patient_id={survivor}"))
        .await;
    let mut ids: Vec<&str> = list.iter().map(id).collect();
    ids.sort_unstable();
    let mut expected = [mine.as_str(), theirs.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(
        list.iter()
            .all(|one| one["patient_id"] == survivor.as_str())
    );
    for (slot, number) in [(&slots[31], &first), (&slots[30], &second)] {
        let (status, problem) = desk.book(id(slot), number).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (409, Some("appointments.same_slot_exists"))
        );
    }
}
