//! Tubes of a patient, one for each step that is taken with one.

use serde_json::json;

use super::{World, text};
use crate::it::orders::order;

/// Places an order on a tube; the ids of both.
async fn tube(world: &World, number: &str) -> (String, String) {
    let house = &world.house;
    let placed = house.post("/api/v1/orders", &order("12345", number)).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    let list = format!("/api/v1/specimens?number={number}");
    let found = house.get(&list).await;
    (text(&placed.json["id"]), text(&found.items()[0]["id"]))
}

pub(super) async fn fill(world: &mut World) {
    let (waiting, specimen) = tube(world, "A-80").await;
    world.known("/specimens/{id}", &specimen);
    for (step, number) in [("collect", "A-81"), ("receive", "A-82"), ("reject", "A-83")] {
        let (_, specimen) = tube(world, number).await;
        world.at(&format!("POST /specimens/{{id}}/{step}"), &specimen);
    }
    let another = json!({ "number": "A-84", "orders": [waiting] });
    world.says("POST /specimens", another);
    // the example is of a day long gone
    world.says("POST /specimens/{id}/receive", json!({}));
}
