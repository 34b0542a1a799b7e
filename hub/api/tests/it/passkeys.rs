//! Passkeys: added, alone at sign-in, as second factor; what does not hold is refused, and nothing is good twice.

use serde_json::{Value, json};

use super::authenticator::{Authenticator, Lie};
use super::backbone::Mood;
use super::house::{Answer, House, PASSWORD};

/// A user, his token, and an authenticator that he has registered.
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) key: Authenticator,
}

pub(crate) const ADD: &str = "/api/v1/me/passkeys/options";
pub(crate) const PROVE: &str = "/api/v1/me/proof/options";

/// The proof of somebody who has no second factor.
pub(crate) fn by_password() -> Value {
    json!({ "proof": { "current_password": PASSWORD } })
}

/// The proof of somebody who has this passkey.
pub(crate) async fn by_passkey(house: &House, token: &str, key: &Authenticator) -> Value {
    let begun = house.post_as(token, PROVE, &json!({})).await;
    let credential = key.get(&begun.ok()["options"]);
    json!({ "proof": { "passkey": { "ceremony": begun.json["ceremony"], "credential": credential } } })
}

pub(crate) async fn begin_to_add(house: &House, token: &str, proof: &Value) -> Value {
    house.post_as(token, ADD, proof).await.ok().clone()
}

async fn add(house: &House, token: &str, ceremony: &Value, credential: &Value) -> Answer {
    let body =
        json!({ "ceremony": ceremony["ceremony"], "name": "Telephone", "credential": credential });
    house.post_as(token, "/api/v1/me/passkeys", &body).await
}

/// Somebody with a passkey.
pub(crate) async fn owner(house: &House, name: &str) -> Owner {
    let (id, tokens) = house.staff(name).await;
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    let mut key = Authenticator::new();
    let begun = begin_to_add(house, &token, &by_password()).await;
    let credential = key.create(&begun["options"]);
    let added = add(house, &token, &begun, &credential).await;
    assert_eq!(added.status.as_u16(), 201, "{}", added.json);
    assert_eq!(added.json["name"], "Telephone");
    Owner { id, token, key }
}

pub(crate) async fn begin(house: &House) -> Value {
    let path = "/api/v1/auth/passkey/options";
    house.post(path, &json!({})).await.ok().clone()
}

pub(crate) async fn show(house: &House, body: &Value) -> Answer {
    house.post("/api/v1/auth/passkey", body).await
}

/// From the challenge to the answer.
pub(crate) async fn come_in(house: &House, key: &Authenticator, ticket: Option<&str>) -> Answer {
    let begun = begin(house).await;
    let mut body =
        json!({ "ceremony": begun["ceremony"], "credential": key.get(&begun["options"]) });
    if let Some(ticket) = ticket {
        body["ticket"] = json!(ticket);
    }
    show(house, &body).await
}

#[track_caller]
fn token_of(answer: &Answer) -> &str {
    answer.ok()["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_passkey_lets_its_owner_in_until_it_is_removed() {
    let house = House::new().await;
    let owner = owner(&house, "asha").await;
    let answer = come_in(&house, &owner.key, None).await;
    let me = house.get_as(token_of(&answer), "/api/v1/me").await;
    assert_eq!(me.ok()["username"], "asha");
    assert_eq!(me.json["amr"], json!(["pop", "mfa"]));

    let list = house.get_as(&owner.token, "/api/v1/me/passkeys").await;
    let passkey = &list.items()[0];
    assert_eq!(passkey["name"], "Telephone");
    assert_eq!(passkey["synced"], false);
    assert!(passkey["last_used_at"].is_string());
    let path = format!("/api/v1/me/passkeys/{}", passkey["id"].as_str().unwrap());
    let rename = json!({ "name": "Old telephone" });
    house
        .post_as(&owner.token, &format!("{path}/rename"), &rename)
        .await
        .ok();
    let user = house.get(&format!("/api/v1/users/{}", owner.id)).await;
    assert_eq!(user.ok()["second_factor"], true);
    let seen = house
        .get(&format!("/api/v1/users/{}/passkeys", owner.id))
        .await;
    assert_eq!(seen.items()[0]["name"], "Old telephone");

    // the same key again is left out by the browser, and refused when it is not
    let proof = by_passkey(&house, &owner.token, &owner.key).await;
    let begun = begin_to_add(&house, &owner.token, &proof).await;
    assert_eq!(
        begun["options"]["excludeCredentials"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let mut same = owner.key;
    let credential = same.create(&begun["options"]);
    let again = add(&house, &owner.token, &begun, &credential).await;
    assert_eq!(again.problem(409), "passkeys.exists");

    let remove = format!("{path}/remove");
    let proof = by_passkey(&house, &owner.token, &same).await;
    house.post_as(&owner.token, &remove, &proof).await.ok();
    let gone = come_in(&house, &same, None).await;
    assert_eq!(gone.problem(401), "auth.passkey");
    let twice = house.post_as(&owner.token, &remove, &by_password()).await;
    assert_eq!(twice.problem(404), "passkeys.unknown");
    // whoever came in with it is out, and the session that removed it goes on
    let ended = house.get_as(token_of(&answer), "/api/v1/me").await;
    assert_eq!(ended.problem(401), "auth.token");
    for action in ["add", "rename", "remove"] {
        let rows = house
            .get(&format!(
                "/api/v1/audit?action=auth.passkey.{action}&actor=asha"
            ))
            .await;
        assert_eq!(rows.items().len(), 1, "{action}");
    }
}

#[tokio::test]
async fn a_password_alone_is_not_enough_where_there_is_a_passkey() {
    let house = House::new().await;
    let owner = owner(&house, "asha").await;
    let login = json!({ "username": "asha", "password": PASSWORD });
    let first = house.login(&login).await;
    assert_eq!(first.ok()["mfa_required"], true);
    assert_eq!(first.json["methods"], json!(["passkey"]));
    assert!(first.json.get("access_token").is_none());
    let ticket = first.json["mfa_ticket"].as_str().unwrap();
    let answer = come_in(&house, &owner.key, Some(ticket)).await;
    let me = house.get_as(token_of(&answer), "/api/v1/me").await;
    assert_eq!(me.ok()["amr"], json!(["pwd", "pop"]));

    // somebody else's key is no second factor of hers, and an access token no ticket
    let other = self::owner(&house, "ravi").await;
    let wrong = come_in(&house, &other.key, Some(ticket)).await;
    assert_eq!(wrong.problem(401), "auth.passkey");
    let wrong = come_in(&house, &owner.key, Some(&owner.token)).await;
    assert_eq!(wrong.problem(401), "auth.ticket");

    let path = format!("/api/v1/users/{}/remove-passkeys", owner.id);
    let why = json!({ "reason": "telephone lost" });
    let removed = house.post(&path, &why).await;
    assert_eq!(removed.ok()["answer"]["sessions_ended"], 1);
    let ended = house.get_as(token_of(&answer), "/api/v1/me").await;
    assert_eq!(ended.problem(401), "auth.token");
    house.get_as(&owner.token, "/api/v1/me").await.ok();
    assert_eq!(
        house.post(&path, &why).await.problem(404),
        "passkeys.unknown"
    );
    assert!(house.login(&login).await.ok()["access_token"].is_string());
}

#[tokio::test]
async fn a_registration_that_does_not_hold_adds_nothing() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let token = tokens["access_token"].as_str().unwrap();
    for lie in [Lie::Origin, Lie::Domain, Lie::NotVerified, Lie::Challenge] {
        let mut key = Authenticator::new();
        key.lie = lie;
        let begun = begin_to_add(&house, token, &by_password()).await;
        let credential = key.create(&begun["options"]);
        let answer = add(&house, token, &begun, &credential).await;
        assert_eq!(answer.problem(422), "passkeys.refused", "{lie:?}");
    }
    let begun = begin_to_add(&house, token, &by_password()).await;
    for odd in [json!({}), json!(7), json!({ "response": {} })] {
        let answer = add(&house, token, &begun, &odd).await;
        assert_eq!(answer.problem(400), "request.invalid", "{odd}");
    }
    let list = house.get_as(token, "/api/v1/me/passkeys").await;
    assert!(list.items().is_empty());

    // a challenge of hers is nobody else's, one of a sign-in is none of these, and none is good twice
    let mut key = Authenticator::new();
    let credential = key.create(&begun["options"]);
    let (_, others) = house.staff("ravi").await;
    let other = others["access_token"].as_str().unwrap();
    let stolen = add(&house, other, &begun, &credential).await;
    assert_eq!(stolen.problem(422), "auth.ceremony");
    let sign_in = begin(&house).await;
    let mixed = add(&house, token, &sign_in, &credential).await;
    assert_eq!(mixed.problem(422), "auth.ceremony");
    let added = add(&house, token, &begun, &credential).await;
    assert_eq!(added.status.as_u16(), 201, "{}", added.json);
    let mut second = Authenticator::new();
    let credential = second.create(&begun["options"]);
    let twice = add(&house, token, &begun, &credential).await;
    assert_eq!(twice.problem(409), "challenges.already_used");
}

#[tokio::test]
async fn an_assertion_that_does_not_hold_lets_nobody_in() {
    let house = House::new().await;
    let mut owner = owner(&house, "asha").await;
    for lie in [
        Lie::Origin,
        Lie::Domain,
        Lie::NotVerified,
        Lie::Challenge,
        Lie::Signature,
        Lie::Handle,
    ] {
        owner.key.lie = lie;
        let answer = come_in(&house, &owner.key, None).await;
        assert_eq!(answer.problem(401), "auth.passkey", "{lie:?}");
        // and the key is as good as before
        owner.key.lie = Lie::Nothing;
        come_in(&house, &owner.key, None).await.ok();
    }
    let stranger = come_in(&house, &Authenticator::new(), None).await;
    assert_eq!(stranger.status.as_u16(), 400, "it has no handle");
    let failed = house
        .get("/api/v1/audit?action=auth.passkey_failed&actor=asha")
        .await;
    assert_eq!(failed.items().len(), 6);

    let begun = begin(&house).await;
    let credential = owner.key.get(&begun["options"]);
    let text = begun["ceremony"].as_str().unwrap();
    for bad in ["", "x", &text[1..], &format!("{text}A")] {
        let body = json!({ "ceremony": bad, "credential": credential });
        assert_eq!(show(&house, &body).await.problem(401), "auth.ceremony");
    }
    let proof = by_passkey(&house, &owner.token, &owner.key).await;
    let adding = begin_to_add(&house, &owner.token, &proof).await;
    let body = json!({ "ceremony": adding["ceremony"], "credential": credential });
    assert_eq!(show(&house, &body).await.problem(401), "auth.ceremony");
}

#[tokio::test]
async fn of_two_who_show_one_assertion_at_once_one_comes_in() {
    let house = House::new().await;
    let owner = owner(&house, "asha").await;
    let begun = begin(&house).await;
    let body =
        json!({ "ceremony": begun["ceremony"], "credential": owner.key.get(&begun["options"]) });
    let (one, other) = tokio::join!(show(&house, &body), show(&house, &body));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(show(&house, &body).await.problem(401), "auth.passkey");
}

#[tokio::test]
async fn a_counter_that_does_not_go_on_is_refused_and_on_record() {
    let house = House::new().await;
    let mut owner = owner(&house, "asha").await;
    for (count, comes_in) in [
        (0, true),
        (5, true),
        (5, false),
        (4, false),
        (0, false),
        (6, true),
    ] {
        owner.key.count = count;
        let answer = come_in(&house, &owner.key, None).await;
        assert_eq!(answer.status.is_success(), comes_in, "{count}");
    }
    let rows = house
        .get("/api/v1/audit?action=auth.passkey_counter&actor=asha")
        .await;
    assert_eq!(rows.items().len(), 3);
}

#[tokio::test]
async fn whoever_made_the_password_leaves_no_key_behind() {
    let house = House::new().await;
    let made = house
        .post(
            "/api/v1/users",
            &json!({ "username": "asha", "display_name": "Asha" }),
        )
        .await;
    let one_time = made.json["one_time_password"].as_str().unwrap();
    let token = house.sign_in("asha", one_time, None).await;
    for path in [ADD, PROVE] {
        let proof = json!({ "proof": { "current_password": one_time } });
        let answer = house.post_as(&token, path, &proof).await;
        assert_eq!(answer.problem(403), "auth.password_change", "{path}");
    }
}

#[tokio::test]
async fn a_passkey_that_can_not_be_used_up_is_worth_nothing() {
    let house = House::new().await;
    let owner = owner(&house, "asha").await;
    house.backbone.be(Mood::Busy);
    let answer = come_in(&house, &owner.key, None).await;
    assert_eq!(answer.problem(503), "auth.factor_pending");
    house.backbone.be(Mood::Down);
    let answer = come_in(&house, &owner.key, None).await;
    assert_eq!(answer.problem(503), "backbone.unavailable");
}

#[tokio::test]
async fn where_no_domain_is_configured_there_are_no_passkeys() {
    let house = House::with(|state| state.with_passkeys(None)).await;
    let answer = house.post("/api/v1/auth/passkey/options", &json!({})).await;
    assert_eq!(answer.problem(409), "auth.passkeys_off");
    for path in [ADD, PROVE] {
        let answer = house.post(path, &by_password()).await;
        assert_eq!(answer.problem(409), "auth.passkeys_off", "{path}");
    }
}
