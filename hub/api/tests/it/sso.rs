//! Sign-in by an identity provider: who is linked comes in, who is not does not, and a provider that misbehaves is believed nothing.

use hub_api::Provider;
use hub_core::config::OidcSettings;
use serde_json::{Value, json};
use test_support::tenant;

use super::house::{Answer, House};
use super::passkeys;
use super::provider::{FakeProvider, Misdeed};

pub(super) async fn house_of(settings: OidcSettings) -> House {
    let provider = Provider::new(settings).unwrap();
    House::with(|state| state.with_providers([(tenant("demo"), provider)])).await
}

pub(super) async fn start(house: &House, more: &Value) -> Value {
    let mut body = json!({ "provider": "staff" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    house
        .post("/api/v1/auth/oidc/start", &body)
        .await
        .ok()
        .clone()
}

/// What the page sends when somebody is back.
pub(super) fn back(provider: &FakeProvider, begun: &Value, claims: Value) -> Value {
    let url = begun["authorization_url"].as_str().unwrap();
    let (code, state) = provider.approve(url, claims);
    json!({ "flow": begun["flow"], "code": code, "state": state })
}

pub(super) async fn finish(house: &House, body: &Value) -> Answer {
    house.post("/api/v1/auth/oidc/finish", body).await
}

pub(super) async fn come_in(house: &House, provider: &FakeProvider, claims: Value) -> Answer {
    let begun = start(house, &json!({})).await;
    finish(house, &back(provider, &begun, claims)).await
}

pub(super) fn person(subject: &str) -> Value {
    json!({ "sub": subject })
}

pub(super) async fn invite(house: &House, user: &str) -> String {
    let path = format!("/api/v1/users/{user}/identity-invitations");
    let made = house.post(&path, &json!({ "provider": "staff" })).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    made.json["invitation"].as_str().unwrap().to_owned()
}

/// A user who is linked as `sub-asha`; his id.
pub(super) async fn linked(house: &House, provider: &FakeProvider) -> String {
    let (user, _) = house.staff("asha").await;
    let invitation = invite(house, &user).await;
    let begun = start(house, &json!({ "invitation": invitation })).await;
    finish(house, &back(provider, &begun, person("sub-asha")))
        .await
        .ok();
    user
}

#[tokio::test]
async fn somebody_who_was_invited_comes_in_and_is_known_from_then_on() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    let listed = house.get("/api/v1/auth/oidc/providers").await;
    assert_eq!(listed.items()[0]["id"], "staff");
    let elsewhere = house.get("/api/v1/auth/oidc/providers?tenant=other").await;
    assert!(elsewhere.items().is_empty());

    let (user, _) = house.staff("asha").await;
    let invitation = invite(&house, &user).await;
    let begun = start(&house, &json!({ "invitation": invitation })).await;
    let answer = finish(&house, &back(&provider, &begun, person("sub-asha"))).await;
    let token = answer.ok()["access_token"].as_str().unwrap();
    let me = house.get_as(token, "/api/v1/me").await;
    assert_eq!(me.ok()["username"], "asha");
    assert_eq!(me.json["amr"], json!(["federated"]));
    let links = house.get_as(token, "/api/v1/me/identities").await;
    assert_eq!(links.items()[0]["subject"], "sub-asha");
    assert_eq!(links.items()[0]["linked"], "invitation");

    come_in(&house, &provider, person("sub-asha")).await.ok();
    // the invitation was good once
    let begun = start(&house, &json!({ "invitation": invitation })).await;
    let answer = finish(&house, &back(&provider, &begun, person("sub-other"))).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");

    let seen = house.get(&format!("/api/v1/users/{user}/identities")).await;
    assert_eq!(seen.items().len(), 1);
    let path = format!("/api/v1/users/{user}/remove-identities");
    let why = json!({ "reason": "left" });
    house.post(&path, &why).await.ok();
    assert_eq!(
        house.post(&path, &why).await.problem(404),
        "subjects.unknown"
    );
    let ended = house.get_as(token, "/api/v1/me").await;
    assert_eq!(ended.problem(401), "auth.token");
    let answer = come_in(&house, &provider, person("sub-asha")).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");
}

#[tokio::test]
async fn an_address_or_a_name_links_nobody_unless_the_configuration_trusts_it() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    house.staff("asha@hospital.example").await;
    let claims = json!({
        "sub": "sub-1", "email": "asha@hospital.example", "email_verified": true, "preferred_username": "asha@hospital.example",
    });
    let answer = come_in(&house, &provider, claims.clone()).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");
    let failed = house.get("/api/v1/audit?action=auth.oidc_failed").await;
    assert_eq!(failed.items().len(), 1);

    let trusting = OidcSettings {
        link_by: Some("email".to_owned()),
        ..provider.settings()
    };
    let house = house_of(trusting).await;
    house.staff("asha@hospital.example").await;
    let mut unverified = claims.clone();
    unverified["email_verified"] = json!(false);
    let answer = come_in(&house, &provider, unverified).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");
    let mut capitals = claims.clone();
    capitals["email"] = json!("Asha@Hospital.example");
    come_in(&house, &provider, capitals).await.ok();
    // from now on the subject counts: another person with the address is not she
    let mut other = claims;
    other["sub"] = json!("sub-2");
    let answer = come_in(&house, &provider, other).await;
    assert_eq!(answer.problem(409), "subjects.exists");
}

#[tokio::test]
async fn a_provider_that_misbehaves_is_not_believed() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    linked(&house, &provider).await;
    for misdeed in [
        Misdeed::AlgNone,
        Misdeed::KeyConfusion,
        Misdeed::WrongAudience,
        Misdeed::SecondAudience,
        Misdeed::WrongParty,
        Misdeed::WrongNonce,
        Misdeed::NoNonce,
        Misdeed::WrongIssuer,
        Misdeed::Expired,
        Misdeed::Old,
        Misdeed::NotYet,
        Misdeed::NoSubject,
        Misdeed::Altered,
        Misdeed::StrangeKey,
    ] {
        provider.misbehave(misdeed);
        let answer = come_in(&house, &provider, person("sub-asha")).await;
        assert_eq!(answer.problem(401), "oidc.refused", "{misdeed:?}");
    }
    for misdeed in [Misdeed::Nonsense, Misdeed::Silent] {
        provider.misbehave(misdeed);
        let answer = come_in(&house, &provider, person("sub-asha")).await;
        assert_eq!(answer.problem(503), "oidc.unavailable", "{misdeed:?}");
    }
    provider.misbehave(Misdeed::Nothing);
    come_in(&house, &provider, person("sub-asha")).await.ok();
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_learnt_when_it_is_needed() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    linked(&house, &provider).await;
    provider.change_key();
    come_in(&house, &provider, person("sub-asha")).await.ok();
    // an algorithm that the configuration does not name is none
    let strict = OidcSettings {
        algorithms: vec!["RS256".to_owned()],
        ..provider.settings()
    };
    let house = house_of(strict).await;
    let answer = come_in(&house, &provider, person("sub-asha")).await;
    assert_eq!(answer.problem(401), "oidc.refused");
}

#[tokio::test]
async fn a_flow_is_good_once_and_for_what_it_was_begun_for() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    linked(&house, &provider).await;
    let begun = start(&house, &json!({})).await;
    let body = back(&provider, &begun, person("sub-asha"));

    let mut wrong = body.clone();
    wrong["state"] = json!("of somebody else");
    assert_eq!(finish(&house, &wrong).await.problem(401), "oidc.refused");
    let mut wrong = body.clone();
    wrong["iss"] = json!("https://evil.example");
    assert_eq!(finish(&house, &wrong).await.problem(401), "oidc.refused");
    let mut wrong = body.clone();
    wrong["flow"] = json!("AAAA");
    assert_eq!(finish(&house, &wrong).await.problem(401), "auth.ceremony");
    let mut wrong = body.clone();
    wrong["code"] = json!("code-of-another");
    assert_eq!(finish(&house, &wrong).await.problem(401), "oidc.refused");

    finish(&house, &body).await.ok();
    // the provider takes no code twice, and the hub no flow
    assert_eq!(finish(&house, &body).await.problem(401), "oidc.refused");
    let again = back(&provider, &begun, person("sub-asha"));
    assert_eq!(
        finish(&house, &again).await.problem(409),
        "challenges.already_used"
    );
    // a code that was stolen from another's page does not fit his verifier
    let (mine, hers) = (
        start(&house, &json!({})).await,
        start(&house, &json!({})).await,
    );
    let stolen = back(&provider, &hers, person("sub-asha"));
    let mut mixed = back(&provider, &mine, person("sub-x"));
    mixed["code"] = stolen["code"].clone();
    assert_eq!(finish(&house, &mixed).await.problem(401), "oidc.refused");
    let elsewhere = json!({ "provider": "staff", "redirect_uri": "https://evil.example/back" });
    let answer = house.post("/api/v1/auth/oidc/start", &elsewhere).await;
    assert_eq!(answer.problem(400), "request.invalid");
}

#[tokio::test]
async fn who_is_signed_in_links_himself_and_nobody_else() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    let (_, tokens) = house.staff("asha").await;
    let asha = tokens["access_token"].as_str().unwrap();
    let (_, tokens) = house.staff("ravi").await;
    let ravi = tokens["access_token"].as_str().unwrap();
    let begin = |token: String| {
        let house = &house;
        async move {
            let path = "/api/v1/me/identities/start";
            let mut body = passkeys::by_password();
            body["provider"] = json!("staff");
            house.post_as(&token, path, &body).await.ok().clone()
        }
    };
    let begun = begin(asha.to_owned()).await;
    let body = back(&provider, &begun, person("sub-asha"));
    let path = "/api/v1/me/identities";
    // begun by her: no sign-in, and not his
    assert_eq!(finish(&house, &body).await.problem(401), "auth.ceremony");
    let body = back(&provider, &begun, person("sub-asha"));
    let answer = house.post_as(ravi, path, &body).await;
    assert_eq!(answer.problem(422), "auth.ceremony");
    let body = back(&provider, &begun, person("sub-asha"));
    let answer = house.post_as(asha, path, &body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.json);
    come_in(&house, &provider, person("sub-asha")).await.ok();

    let begun = begin(ravi.to_owned()).await;
    let body = back(&provider, &begun, person("sub-asha"));
    let answer = house.post_as(ravi, path, &body).await;
    assert_eq!(answer.problem(409), "subjects.exists");
    let sign_in = start(&house, &json!({})).await;
    let body = back(&provider, &sign_in, person("sub-ravi"));
    let answer = house.post_as(ravi, path, &body).await;
    assert_eq!(answer.problem(422), "auth.ceremony");

    let links = house.get_as(asha, path).await;
    let remove = format!("{path}/{}/remove", links.items()[0]["id"].as_str().unwrap());
    let proof = passkeys::by_password();
    let other = house.post_as(ravi, &remove, &proof).await;
    assert_eq!(other.problem(404), "subjects.unknown");
    let bare = house.post_as(asha, &remove, &json!({})).await;
    assert_eq!(bare.problem(400), "request.invalid");
    house.post_as(asha, &remove, &proof).await.ok();
    let answer = come_in(&house, &provider, person("sub-asha")).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_here_unless_the_provider_asks() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    let owner = passkeys::owner(&house, "asha").await;
    let invitation = invite(&house, &owner.id).await;
    let begun = start(&house, &json!({ "invitation": invitation })).await;
    let first = finish(&house, &back(&provider, &begun, person("sub-asha"))).await;
    assert_eq!(first.ok()["mfa_required"], true);
    let ticket = first.json["mfa_ticket"].as_str().unwrap();
    let answer = passkeys::come_in(&house, &owner.key, Some(ticket)).await;
    let token = answer.ok()["access_token"].as_str().unwrap();
    let me = house.get_as(token, "/api/v1/me").await;
    assert_eq!(me.ok()["amr"], json!(["federated", "pop"]));

    let there = OidcSettings {
        second_factor_there: true,
        ..provider.settings()
    };
    let house = house_of(there).await;
    let owner = passkeys::owner(&house, "asha").await;
    let invitation = invite(&house, &owner.id).await;
    let begun = start(&house, &json!({ "invitation": invitation })).await;
    let answer = finish(&house, &back(&provider, &begun, person("sub-asha"))).await;
    assert!(answer.ok()["access_token"].is_string());
}

#[tokio::test]
async fn groups_give_what_they_stand_for_while_one_is_in_them() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.with_group("icu-nurses", "nurse")).await;
    let user = linked(&house, &provider).await;
    // what people gave is not the provider's
    house.grant(&user, &json!({ "role": "doctor" })).await;
    let grants = format!("/api/v1/users/{user}/grants");
    for (groups, standing) in [
        (json!(["icu-nurses", "choir"]), 2),
        (json!(["icu-nurses"]), 2),
        (json!(["choir"]), 1),
        (json!("icu-nurses"), 2),
        (json!(null), 1),
    ] {
        let claims = json!({ "sub": "sub-asha", "groups": groups });
        come_in(&house, &provider, claims).await.ok();
        let held = house.get(&grants).await;
        let held = held
            .items()
            .iter()
            .filter(|grant| grant["in_force"] == true)
            .count();
        assert_eq!(held, standing, "{groups}");
    }
    let all = house.get(&grants).await;
    let given = all
        .items()
        .iter()
        .filter(|grant| grant["granted_by"] == "provider:staff")
        .collect::<Vec<_>>();
    assert_eq!(given.len(), 2);
    assert!(given.iter().all(|grant| grant["facility"] == "MAIN"));
}

#[tokio::test]
async fn who_is_shut_out_here_is_shut_out_whatever_the_provider_says() {
    let provider = FakeProvider::start().await;
    let house = house_of(provider.settings()).await;
    let user = linked(&house, &provider).await;
    let lock = json!({ "state": "locked", "reason": "leave" });
    house
        .post(&format!("/api/v1/users/{user}/state"), &lock)
        .await
        .ok();
    let answer = come_in(&house, &provider, person("sub-asha")).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");
}

#[tokio::test]
async fn a_provider_is_believed_over_tls_by_whom_the_configuration_trusts() {
    let folder = tempfile::tempdir().unwrap();
    let (provider, authority) = FakeProvider::start_over_tls(folder.path()).await;
    let trusting = OidcSettings {
        ca_file: Some(authority),
        ..provider.settings()
    };
    let house = house_of(trusting).await;
    linked(&house, &provider).await;
    come_in(&house, &provider, person("sub-asha")).await.ok();

    // nobody whom this machine trusts has signed its certificate
    let house = house_of(provider.settings()).await;
    let body = json!({ "provider": "staff" });
    let answer = house.post("/api/v1/auth/oidc/start", &body).await;
    assert_eq!(answer.problem(503), "oidc.unavailable");
}
