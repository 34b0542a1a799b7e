//! TOTP: enrolled, confirmed, asked for, never twice; recovery codes for the day the telephone is lost.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::backbone::Mood;
use super::house::{Answer, House, PASSWORD};
use super::passkeys::by_password;

/// RFC 6238 and RFC 4226, written from the standards and not from our code.
fn totp(secret: &[u8], step: i64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = ring::hmac::sign(&key, &u64::try_from(step).unwrap().to_be_bytes());
    let hash = tag.as_ref();
    let at = (hash[hash.len() - 1] & 15) as usize;
    let number = (u32::from(hash[at]) << 24
        | u32::from(hash[at + 1]) << 16
        | u32::from(hash[at + 2]) << 8
        | u32::from(hash[at + 3]))
        & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn from_base32(text: &str) -> Vec<u8> {
    let mut bits = String::new();
    for sign in text.chars() {
        let value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(sign).unwrap();
        bits.push_str(&format!("{value:05b}"));
    }
    bits.as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

fn step() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp() / 30
}

/// A user with a second factor: token, secret, recovery codes.
struct Enrolled {
    id: String,
    token: String,
    secret: Vec<u8>,
    codes: Vec<String>,
}

/// The first code is of the step before: the present one and the next are left for the test.
async fn enrol(house: &House) -> Enrolled {
    let (id, tokens) = house.staff("asha").await;
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    let begun = house
        .post_as(&token, "/api/v1/me/totp", &by_password())
        .await;
    let secret = from_base32(begun.ok()["secret"].as_str().unwrap());
    assert_eq!(secret.len(), 20);
    assert!(
        begun.json["uri"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://totp/")
    );
    let wrong = json!({ "code": "000000" });
    let path = "/api/v1/me/totp/confirm";
    if totp(&secret, step()) != "000000" {
        assert_eq!(
            house.post_as(&token, path, &wrong).await.problem(403),
            "auth.mfa"
        );
    }
    let code = json!({ "code": totp(&secret, step() - 1) });
    let confirmed = house.post_as(&token, path, &code).await;
    let codes: Vec<String> = confirmed.ok()["recovery_codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 10);
    Enrolled {
        id,
        token,
        secret,
        codes,
    }
}

async fn ticket(house: &House) -> String {
    let answer = house
        .login(&json!({ "username": "asha", "password": PASSWORD }))
        .await;
    assert_eq!(answer.ok()["mfa_required"], true);
    assert!(answer.json.get("access_token").is_none());
    answer.json["mfa_ticket"].as_str().unwrap().to_owned()
}

async fn show(house: &House, body: Value) -> Answer {
    house.post("/api/v1/auth/mfa", &body).await
}

/// AU1
#[tokio::test]
async fn a_code_is_asked_for_and_good_once() {
    let house = House::new().await;
    let enrolled = enrol(&house).await;
    let first = ticket(&house).await;
    // a ticket is no token, and a token no ticket
    assert_eq!(
        house.get_as(&first, "/api/v1/me").await.problem(401),
        "auth.token"
    );
    let body = json!({ "ticket": enrolled.token, "code": "123456" });
    assert_eq!(show(&house, body).await.problem(401), "auth.ticket");

    let code = totp(&enrolled.secret, step());
    let answer = show(&house, json!({ "ticket": first, "code": code })).await;
    let token = answer.ok()["access_token"].as_str().unwrap();
    let me = house.get_as(token, "/api/v1/me").await;
    assert_eq!(me.ok()["amr"], json!(["pwd", "otp"]));
    // how it was proved stays with the session
    let refresh = json!({ "refresh_token": answer.json["refresh_token"] });
    let next = house.post("/api/v1/auth/refresh", &refresh).await;
    let token = next.ok()["access_token"].as_str().unwrap();
    let me = house.get_as(token, "/api/v1/me").await;
    assert_eq!(me.ok()["amr"], json!(["pwd", "otp"]));

    // the same code, with the same ticket or a new one
    for ticket in [first, ticket(&house).await] {
        let replayed = show(&house, json!({ "ticket": ticket, "code": code })).await;
        assert_eq!(replayed.problem(401), "auth.mfa");
    }
    // nor the one that confirmed the enrolment, nor one before
    let old = totp(&enrolled.secret, step() - 1);
    let answer = show(
        &house,
        json!({ "ticket": ticket(&house).await, "code": old }),
    )
    .await;
    assert_eq!(answer.problem(401), "auth.mfa");
    let failed = house
        .get("/api/v1/audit?action=auth.mfa_failed&actor=asha")
        .await;
    assert!(failed.items().len() >= 3);
}

#[tokio::test]
async fn two_who_show_one_code_at_once_are_one_too_many() {
    let house = House::new().await;
    let enrolled = enrol(&house).await;
    let (one, other) = (ticket(&house).await, ticket(&house).await);
    let code = totp(&enrolled.secret, step());
    let (first, second) = tokio::join!(
        show(&house, json!({ "ticket": one, "code": code })),
        show(&house, json!({ "ticket": other, "code": code })),
    );
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_guesses_are_stopped() {
    let house = House::new().await;
    let enrolled = enrol(&house).await;
    let code = &enrolled.codes[0];
    let answer = show(
        &house,
        json!({ "ticket": ticket(&house).await, "recovery_code": code }),
    )
    .await;
    let token = answer.ok()["access_token"].as_str().unwrap();
    let me = house.get_as(token, "/api/v1/me").await;
    assert_eq!(me.ok()["amr"], json!(["pwd", "kba"]));
    let again = json!({ "ticket": ticket(&house).await, "recovery_code": code });
    assert_eq!(show(&house, again).await.problem(401), "auth.mfa");
    let both = json!({ "ticket": ticket(&house).await, "recovery_code": code, "code": "123456" });
    assert_eq!(show(&house, both).await.problem(400), "request.invalid");
    let guess = json!({ "ticket": ticket(&house).await, "code": "abcdef" });
    for _ in 0..4 {
        show(&house, guess.clone()).await.problem(401);
    }
    assert_eq!(show(&house, guess).await.problem(429), "auth.throttled");
}

/// Who confirms is shown recovery codes, which are proofs: a token that was found is not enough to guess for them.
#[tokio::test]
async fn guesses_of_the_code_that_confirms_are_stopped() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let token = tokens["access_token"].as_str().unwrap();
    let begun = house
        .post_as(token, "/api/v1/me/totp", &by_password())
        .await;
    let secret = from_base32(begun.ok()["secret"].as_str().unwrap());
    let path = "/api/v1/me/totp/confirm";
    let guess = json!({ "code": "abcdef" });
    for _ in 0..5 {
        let answer = house.post_as(token, path, &guess).await;
        assert_eq!(answer.problem(403), "auth.mfa");
    }
    let right = json!({ "code": totp(&secret, step()) });
    let answer = house.post_as(token, path, &right).await;
    assert_eq!(answer.problem(429), "auth.throttled");
    house.sign_in("asha", PASSWORD, None).await;
}

#[tokio::test]
async fn a_second_factor_goes_with_a_code_of_it_or_by_an_administrator() {
    let house = House::new().await;
    let enrolled = enrol(&house).await;
    let enrol = "/api/v1/me/totp";
    let weak = house.post_as(&enrolled.token, enrol, &by_password()).await;
    assert_eq!(weak.problem(403), "auth.proof_weak");
    let proof = json!({ "proof": { "recovery_code": enrolled.codes[2] } });
    let again = house.post_as(&enrolled.token, enrol, &proof).await;
    assert_eq!(again.problem(409), "factors.exists");
    let used = house.post_as(&enrolled.token, enrol, &proof).await;
    assert_eq!(used.problem(403), "auth.proof");
    let proof = json!({ "proof": { "code": totp(&enrolled.secret, step()) } });
    let keys = "/api/v1/me/passkeys/options";
    house.post_as(&enrolled.token, keys, &proof).await.ok();
    let used = house.post_as(&enrolled.token, keys, &proof).await;
    assert_eq!(used.problem(403), "auth.proof");
    let path = "/api/v1/me/totp/remove";
    let guess = json!({ "code": "abcdef" });
    let answer = house.post_as(&enrolled.token, path, &guess).await;
    assert_eq!(answer.problem(403), "auth.mfa");
    let right = json!({ "recovery_code": enrolled.codes[1] });
    house.post_as(&enrolled.token, path, &right).await.ok();
    house.sign_in("asha", PASSWORD, None).await;

    let begun = house.post_as(&enrolled.token, enrol, &by_password()).await;
    let secret = from_base32(begun.ok()["secret"].as_str().unwrap());
    let code = json!({ "code": totp(&secret, step()) });
    house
        .post_as(&enrolled.token, "/api/v1/me/totp/confirm", &code)
        .await
        .ok();
    ticket(&house).await;
    let removed = house
        .post(
            &format!("/api/v1/users/{}/remove-second-factor", enrolled.id),
            &json!({ "reason": "telephone lost" }),
        )
        .await;
    removed.ok();
    house.sign_in("asha", PASSWORD, None).await;
    let rows = house
        .get("/api/v1/audit?action=auth.factor.remove&actor=admin")
        .await;
    assert_eq!(rows.items()[0]["reason"], "telephone lost");
}

#[tokio::test]
async fn a_secret_is_sealed_where_it_lies_and_a_code_that_can_not_be_used_up_is_worth_nothing() {
    let house = House::new().await;
    let enrolled = enrol(&house).await;
    let mut tx = house.database.tx(&house.tenant).await;
    let sealed: Vec<u8> =
        sqlx::query_scalar("select sealed from users.factors where state = 'active'")
            .fetch_one(tx.conn())
            .await
            .unwrap();
    drop(tx);
    assert!(!sealed.windows(20).any(|part| part == enrolled.secret));
    let ticket = ticket(&house).await;
    let body = json!({ "ticket": ticket, "code": totp(&enrolled.secret, step()) });
    house.backbone.be(Mood::Busy);
    assert_eq!(
        show(&house, body.clone()).await.problem(503),
        "auth.factor_pending"
    );
    house.backbone.be(Mood::Down);
    assert_eq!(
        show(&house, body).await.problem(503),
        "backbone.unavailable"
    );
}
