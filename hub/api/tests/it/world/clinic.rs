//! A clinic that is open round the clock, and for every step of an appointment somebody who can take it.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::World;
use crate::it::appointments::patient;
use crate::it::house::House;

/// Where there are hours left of today, whenever the tests run.
fn zone() -> &'static str {
    // Kolkata's midnight is 18:30 UTC
    if (14..19).contains(&OffsetDateTime::now_utc().hour()) {
        "UTC"
    } else {
        "Asia/Kolkata"
    }
}

fn hours() -> Value {
    let hours: Vec<Value> = (1..=7)
        .map(|weekday| json!({ "weekday": weekday, "from": "00:00", "to": "24:00" }))
        .collect();
    json!({
        "name": "OPD", "facility": "MAIN", "department": "OPD", "practitioner": "D-7", "zone": zone(), "slot_minutes": 15,
        "horizon_days": 2, "hours": hours, "walk_ins": 20,
    })
}

struct Clinic<'h> {
    house: &'h House,
    schedule: String,
    /// Of today, free, the nearest last.
    slots: Vec<Value>,
}

pub(super) async fn fill(world: &mut World) {
    let mut clinic = Clinic::open(&world.house).await;
    let other = clinic.schedule().await;
    let tomorrow = (OffsetDateTime::now_utc() + time::Duration::days(1)).date();
    let leave = json!({ "kind": "leave", "first_day": tomorrow.to_string(), "last_day": tomorrow.to_string(), "reason": "conference" });
    let made = clinic
        .made(&format!("schedules/{other}/exceptions"), &leave)
        .await;
    let exception = id(&made, "exception_id");

    let mut steps = Vec::new();
    for (step, body) in [
        ("confirm", None),
        ("arrive", None),
        ("cancel", Some(json!({ "reason": "called off" }))),
    ] {
        steps.push((step, clinic.booked(false).await, body));
    }
    let to = json!({ "slot_id": clinic.slot()["id"] });
    steps.push(("reschedule", clinic.booked(false).await, Some(to)));
    steps.push(("book", clinic.booked(true).await, None));
    for (number, step) in [("4001", "start"), ("4002", "no-show"), ("4003", "finish")] {
        let arrived = clinic.walk_in(number).await;
        steps.push((step, id(&arrived, "appointment_id"), None));
    }
    let begun = format!("/api/v1/appointments/{}/start", steps[7].1);
    world.house.post(&begun, &json!({})).await.ok();
    let waits = clinic.walk_in("4004").await;
    patient(&world.house, "4005").await;

    let changed = clinic.booked(false).await;
    let mut waiting = Vec::new();
    for (number, step) in [
        ("4011", "accept"),
        ("4012", "decline"),
        ("4013", "withdraw"),
    ] {
        patient(&world.house, number).await;
        let entry = clinic.entry(number);
        waiting.push((step, id(&clinic.made("waitlist", &entry).await, "entry_id")));
    }
    let entry = clinic.entry("4000");
    let slot = clinic.slot();
    let schedule = clinic.schedule.clone();

    for (step, id, body) in steps {
        let operation = format!("POST /appointments/{{id}}/{step}");
        world.at(&operation, &id);
        if let Some(body) = body {
            world.says(&operation, body);
        }
    }
    for (step, id) in waiting {
        world.known("/waitlist/{id}", &id);
        world.at(&format!("POST /waitlist/{{id}}/{step}"), &id);
    }
    world.known("/appointments/{id}", &changed);
    world.known("/schedules/{id}", &schedule);
    world.known("/slots/{id}", slot["id"].as_str().unwrap());
    world.known("/queues/{id}", &id(&waits, "queue_id"));
    world.known("/schedule-exceptions/{id}", &exception);
    for operation in ["PUT /schedules/{id}", "POST /schedules/{id}/exceptions"] {
        world.at(operation, &other);
    }
    let mut new = hours();
    new["name"] = json!("Evening OPD");
    world.says("PUT /schedules/{id}", new);
    world.says("POST /schedules/{id}/exceptions", leave);
    world.says(
        "POST /schedules/{id}/walk-ins",
        json!({ "patient_identifier": "4005" }),
    );
    world.says(
        "POST /appointments",
        json!({ "slot_id": slot["id"], "patient_identifier": "4000" }),
    );
    world.says("POST /waitlist", entry);
}

fn id(made: &Value, member: &str) -> String {
    made[member].as_str().unwrap().to_owned()
}

impl<'h> Clinic<'h> {
    async fn open(house: &'h House) -> Self {
        patient(house, "4000").await;
        let mut clinic = Self {
            house,
            schedule: String::new(),
            slots: Vec::new(),
        };
        clinic.schedule = clinic.schedule().await;
        let list = format!(
            "/api/v1/slots?schedule_id={}&free=true&limit=500",
            clinic.schedule
        );
        let mut slots = house.get(&list).await.items().clone();
        slots.reverse();
        // that may begin any moment
        slots.pop();
        clinic.slots = slots;
        clinic
    }

    async fn schedule(&self) -> String {
        id(&self.made("schedules", &hours()).await, "schedule_id")
    }

    async fn made(&self, what: &str, body: &Value) -> Value {
        let answer = self.house.post(&format!("/api/v1/{what}"), body).await;
        assert_eq!(answer.status.as_u16(), 201, "{what}: {}", answer.json);
        answer.json
    }

    /// Another free slot.
    fn slot(&mut self) -> Value {
        self.slots.pop().unwrap()
    }

    async fn booked(&mut self, held: bool) -> String {
        let slot = self.slot();
        let body = json!({ "slot_id": slot["id"], "patient_identifier": "4000", "hold": held });
        id(&self.made("appointments", &body).await, "appointment_id")
    }

    async fn walk_in(&self, number: &str) -> Value {
        patient(self.house, number).await;
        let body = json!({ "patient_identifier": number });
        self.made(&format!("schedules/{}/walk-ins", self.schedule), &body)
            .await
    }

    /// Somebody who waits for a slot that is free: it is offered to him.
    fn entry(&mut self, number: &str) -> Value {
        let slot = self.slot();
        json!({
            "schedule_id": self.schedule, "patient_identifier": number, "from": slot["starts_at"], "to": slot["ends_at"],
        })
    }
}
