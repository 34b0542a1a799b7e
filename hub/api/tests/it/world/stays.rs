//! Wards and beds, and for every step of a visit or a stay somebody who can take it.

use serde_json::{Value, json};

use super::World;
use crate::it::house::House;
use crate::it::stays::{Places, double, made, patient, places, request};

pub(super) async fn fill(world: &mut World) {
    let places = places(&world.house).await;
    for (what, id) in [
        ("facilities", &places.facility),
        ("departments", &places.med),
        ("wards", &places.ward),
        ("beds", &places.bed),
    ] {
        world.known(&format!("/{what}/{{id}}"), id);
    }
    new_places(world, &places);
    visits(world, &places).await;
    let mut stays = Stays {
        world,
        places,
        beds: 1,
    };
    stays.before_admission().await;
    stays.admitted().await;
    stays.leaving().await;
    stays.difference().await;
}

/// What is defined anew, and what an empty bed can be.
fn new_places(world: &mut World, places: &Places) {
    world.says(
        "POST /facilities",
        json!({ "code": "TWO", "name": "Second hospital" }),
    );
    world.says(
        "POST /departments",
        json!({ "facility_id": places.facility, "code": "PAED", "name": "Paediatrics" }),
    );
    world.says(
        "POST /wards",
        json!({ "department_id": places.med, "code": "WARD-B", "name": "Ward B" }),
    );
    world.says(
        "POST /beds",
        json!({ "ward_id": places.ward, "code": "99" }),
    );
    world.says(
        "POST /beds/{id}/state",
        json!({ "to": "cleaning", "reason": "dust" }),
    );
}

async fn visits(world: &mut World, places: &Places) {
    patient(&world.house, "3000").await;
    let visit = json!({ "patient_identifier": "3000", "department_id": places.med });
    world.says("POST /encounters", visit.clone());
    for (step, before) in [
        ("call", None),
        ("start-consultation", Some("call")),
        ("finish", Some("start-consultation")),
        ("no-show", Some("call")),
        ("requeue", Some("no-show")),
    ] {
        let id = made(&world.house, "encounters", &visit).await;
        if let Some(before) = before {
            take(&world.house, &id, before, &json!({})).await;
        }
        world.step(step, &id, json!({}));
    }
}

async fn take(house: &House, id: &str, step: &str, body: &Value) {
    let path = format!("/api/v1/encounters/{id}/{step}");
    house.post(&path, body).await.ok();
}

struct Stays<'w> {
    world: &'w mut World,
    places: Places,
    /// How many there are; each is a bed's code.
    beds: usize,
}

impl Stays<'_> {
    /// Another empty bed.
    async fn bed(&mut self) -> Value {
        self.beds += 1;
        let bed = json!({ "ward_id": self.places.ward, "code": self.beds.to_string() });
        json!({ "bed_id": made(&self.world.house, "beds", &bed).await })
    }

    /// Another patient who is to come.
    async fn requested(&self, number: &str) -> String {
        patient(&self.world.house, number).await;
        request(&self.world.house, number, &self.places.med).await
    }

    /// Another patient who is in a bed.
    async fn in_bed(&mut self, number: &str) -> String {
        let id = self.requested(number).await;
        let bed = self.bed().await;
        take(&self.world.house, &id, "admit", &bed).await;
        id
    }

    async fn before_admission(&mut self) {
        patient(&self.world.house, "3001").await;
        self.world.says(
            "POST /admissions",
            json!({ "patient_identifier": "3001", "department_id": self.places.med, "reason": "pneumonia" }),
        );
        for (step, number) in [("reserve-bed", "3002"), ("admit", "3003")] {
            let (id, bed) = (self.requested(number).await, self.bed().await);
            self.world.step(step, &id, bed);
        }
        let (kept, bed) = (self.requested("3004").await, self.bed().await);
        take(&self.world.house, &kept, "reserve-bed", &bed).await;
        self.world.step("release-bed", &kept, json!({}));
        let never = self.requested("3005").await;
        self.world
            .step("cancel", &never, json!({ "reason": "went home" }));
    }

    async fn admitted(&mut self) {
        let moves = self.in_bed("3011").await;
        let bed = self.bed().await;
        self.world.step("transfer", &moves, bed);
        let goes = self.in_bed("3012").await;
        let home = json!({ "disposition": "home" });
        self.world.step("discharge", &goes, home.clone());
        let remains = self.in_bed("3013").await;
        take(&self.world.house, &remains, "discharge", &home).await;
        self.world.step(
            "cancel-discharge",
            &remains,
            json!({ "reason": "fever again" }),
        );
    }

    async fn leaving(&mut self) {
        let home = json!({ "disposition": "home" });
        let insured = self.in_bed("3021").await;
        let path = format!("/api/v1/encounters/{insured}");
        let house = &self.world.house;
        house
            .write_as(
                house.token(),
                "PATCH",
                &path,
                &json!({ "payer": "insurer" }),
            )
            .await
            .ok();
        take(house, &insured, "discharge", &home).await;
        for gate in ["clinical", "pharmacy", "billing", "tpa"] {
            let note = json!({ "note": "done" });
            self.world.step(&format!("gates/{gate}"), &insured, note);
        }
        for operation in [
            "GET /encounters/{id}/gates",
            "GET /encounters/{id}/bed-days",
            "PATCH /encounters/{id}",
        ] {
            self.world.at(operation, &insured);
        }
        let against_advice = self.in_bed("3022").await;
        self.world
            .step("leave", &against_advice, json!({ "disposition": "lama" }));
        let gone = self.in_bed("3023").await;
        let house = &self.world.house;
        take(house, &gone, "discharge", &home).await;
        for gate in ["clinical", "pharmacy", "billing"] {
            take(house, &gone, &format!("gates/{gate}"), &json!({})).await;
        }
        take(house, &gone, "leave", &home).await;
        self.world.step("close", &gone, json!({}));
    }

    /// A hospital system puts somebody into a bed that is taken.
    async fn difference(&mut self) {
        let id = self.requested("3031").await;
        let into = json!({ "bed_id": self.places.bed });
        let house = &self.world.house;
        take(house, &id, "admit", &into).await;
        house.event(&double(&house.tenant, "3032")).await;
        let listed = house.get("/api/v1/adt-differences").await;
        let item = listed.items()[0]["id"].to_string();
        self.world.known("/adt-differences/{id}", &item);
        // the taken one stays with its patient
        for operation in ["POST /beds/{id}/state", "PATCH /beds/{id}"] {
            let free = self.bed().await["bed_id"].clone();
            self.world.at(operation, free.as_str().unwrap());
        }
    }
}
