//! A patient with a log-in of his own, and another who is to get one.

use serde_json::json;

use super::World;
use crate::it::portal::portal;

pub(super) async fn fill(world: &mut World) {
    let patient = world.ids["/api/v1/patients/{id}"][0].clone();
    let token = world.house.token().to_owned();
    world.patient = portal(&world.house, &token, &patient, "patient.12345").await;
    let other = world.other_patient.clone();
    world.at("POST /patients/{id}/login", &other);
    world.at("POST /patients/{id}/login/reset-password", &other);
    let name = json!({ "username": "patient.777" });
    world.says("POST /patients/{id}/login", name);
}
