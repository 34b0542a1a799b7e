//! The proof beside the token, for whatever makes or removes a way in.

use serde_json::json;

use super::authenticator::Lie;
use super::house::{House, PASSWORD};
use super::passkeys::{ADD, begin, begin_to_add, by_passkey, by_password, owner as owner_of, show};

/// A token that was found, or a screen that was left open, makes no way in that lasts and takes no second factor off.
#[tokio::test]
async fn whoever_has_nothing_but_a_token_makes_no_way_in_and_takes_none_off() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let token = tokens["access_token"].as_str().unwrap();
    let guess = json!({ "proof": { "current_password": "blue kettle under the stairs" } });
    let both = json!({ "proof": { "current_password": PASSWORD, "code": "123456" } });
    let (totp, link) = ("/api/v1/me/totp", "/api/v1/me/identities/start");
    for path in [ADD, totp, link] {
        for mut body in [json!({}), json!({ "proof": {} }), both.clone()] {
            if path == link {
                body["provider"] = json!("staff");
            }
            let answer = house.post_as(token, path, &body).await;
            assert_eq!(answer.problem(400), "request.invalid", "{path} {body}");
        }
        let mut body = guess.clone();
        if path == link {
            body["provider"] = json!("staff");
        }
        let answer = house.post_as(token, path, &body).await;
        assert_eq!(answer.problem(403), "auth.proof", "{path}");
    }
    // she has neither app nor key
    for proof in [json!({ "code": "123456" }), json!({ "recovery_code": "x" })] {
        let body = json!({ "proof": proof });
        let answer = house.post_as(token, ADD, &body).await;
        assert_eq!(answer.problem(403), "auth.proof", "{proof}");
    }
    // five that did not fit: the sixth is not looked at
    let answer = house.post_as(token, ADD, &by_password()).await;
    assert_eq!(answer.problem(429), "auth.throttled");
    let failed = "/api/v1/audit?action=auth.proof_failed&actor=asha";
    assert_eq!(house.get(failed).await.items().len(), 5);
}

#[tokio::test]
async fn where_there_is_a_second_factor_the_password_is_no_proof() {
    let house = House::new().await;
    let owner = owner_of(&house, "asha").await;
    let list = house.get_as(&owner.token, "/api/v1/me/passkeys").await;
    let id = list.items()[0]["id"].as_str().unwrap();
    let remove = format!("/api/v1/me/passkeys/{id}/remove");
    let unlink = format!("/api/v1/me/identities/{id}/remove");
    for path in [ADD, "/api/v1/me/totp", &remove, &unlink] {
        for password in [PASSWORD, "blue kettle under the stairs"] {
            let body = json!({ "proof": { "current_password": password } });
            let answer = house.post_as(&owner.token, path, &body).await;
            assert_eq!(answer.problem(403), "auth.proof_weak", "{path}");
        }
    }
    // a key of somebody else, one that lies, a challenge of a sign-in, one of somebody else
    let other = owner_of(&house, "ravi").await;
    let stolen = by_passkey(&house, &owner.token, &other.key).await;
    let answer = house.post_as(&owner.token, &remove, &stolen).await;
    assert_eq!(answer.problem(403), "auth.proof");
    let mut lying = owner.key;
    lying.lie = Lie::Signature;
    let body = by_passkey(&house, &owner.token, &lying).await;
    let answer = house.post_as(&owner.token, &remove, &body).await;
    assert_eq!(answer.problem(403), "auth.proof");
    lying.lie = Lie::Nothing;
    let key = lying;
    let begun = begin(&house).await;
    let credential = key.get(&begun["options"]);
    let body = json!({ "proof": { "passkey": { "ceremony": begun["ceremony"], "credential": credential } } });
    let answer = house.post_as(&owner.token, &remove, &body).await;
    assert_eq!(answer.problem(422), "auth.ceremony");
    let body = by_passkey(&house, &other.token, &key).await;
    let answer = house.post_as(&owner.token, &remove, &body).await;
    assert_eq!(answer.problem(422), "auth.ceremony");
    // one for a proof is none for a sign-in
    let body = by_passkey(&house, &owner.token, &key).await;
    let answer = show(&house, &body["proof"]["passkey"]).await;
    assert_eq!(answer.problem(401), "auth.ceremony");

    let begun = begin_to_add(&house, &owner.token, &body).await;
    assert!(begun["ceremony"].is_string());
    let answer = house.post_as(&owner.token, ADD, &body).await;
    assert_eq!(answer.problem(403), "auth.proof", "good once");
    let list = house.get_as(&owner.token, "/api/v1/me/passkeys").await;
    assert_eq!(list.items().len(), 1);
}

/// Under a key a proof that did not fit is no outcome: with the right one the same key goes on.
#[tokio::test]
async fn a_proof_that_did_not_fit_leaves_the_key_free() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let token = tokens["access_token"].as_str().unwrap();
    let key = [("idempotency-key", "k")];
    let guess = json!({ "proof": { "current_password": "blue kettle under the stairs" } });
    let refused = house.write_with(token, "POST", ADD, &guess, &key).await;
    assert_eq!(refused.problem(403), "auth.proof");
    let begun = house
        .write_with(token, "POST", ADD, &by_password(), &key)
        .await;
    assert!(begun.ok()["ceremony"].is_string());
}
