//! What is the same for every operation.

use super::house::House;
use super::operations::{check, document, operations};
use super::samples::coded;

#[tokio::test]
async fn fields_narrow_a_list_and_a_thing_to_the_members_that_are_named() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let whole = house.get("/api/v1/patients?limit=1").await;
    let id = whole.items()[0]["id"].as_str().unwrap().to_owned();
    check("Page_Patient", whole.ok());
    let narrow = house
        .get("/api/v1/patients?limit=1&fields=id,version")
        .await;
    assert_eq!(narrow.items()[0].as_object().unwrap().len(), 2);
    assert_eq!(narrow.items()[0]["id"], id);
    assert_eq!(
        narrow.json.get("next_cursor"),
        whole.json.get("next_cursor")
    );
    let one = house
        .get(&format!("/api/v1/patients/{id}?fields=version"))
        .await;
    assert_eq!(one.ok().as_object().unwrap().len(), 1);
    let empty = house.get(&format!("/api/v1/patients/{id}?fields=")).await;
    assert_eq!(empty.ok()["id"], id.as_str());
    let wrong = house.get("/api/v1/patients?fields=id,secret").await;
    assert_eq!(wrong.problem(400), "request.invalid");
    assert_eq!(wrong.json["errors"][0]["field"], "fields");
    let twice = house.get("/api/v1/patients?fields=id&fields=version").await;
    assert_eq!(twice.problem(400), "request.invalid");
    // not a way around an error
    let missing = "/api/v1/patients/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c?fields=id";
    assert_eq!(house.get(missing).await.problem(404), "patients.unknown");
}

/// Pages are the same everywhere: what gives a `next_cursor` takes a `cursor` and a `limit`.
#[test]
fn every_list_is_a_page_by_key_or_whole() {
    let mut pages = 0;
    for operation in operations().iter().filter(|one| one.method == "GET") {
        let schema = operation
            .what
            .pointer("/responses/200/content/application~1json/schema/$ref");
        // a page may say more than its items: that a list of allergies is empty because none are known
        let is_page = schema.is_some_and(|name| {
            let of = &name.as_str().unwrap()[1..];
            let members = &document().pointer(of).unwrap()["properties"];
            members.get("items").is_some() && members.get("next_cursor").is_some()
        });
        let name = operation.name();
        assert_eq!(
            operation.takes("cursor"),
            operation.takes("limit") && is_page,
            "{name}"
        );
        if operation.takes("cursor") {
            assert!(is_page, "{name}");
            pages += 1;
        }
        let is_object = schema.is_some();
        if is_object {
            assert!(operation.takes("fields"), "{name}");
        }
    }
    println!("{pages} lists are pages by key");
}
