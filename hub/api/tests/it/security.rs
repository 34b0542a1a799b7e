//! What an attacker tries first: forged and stale tokens, stolen refresh tokens, guesses.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use time::OffsetDateTime;
use worker_identity::keys::{self, SigningKey};
use worker_identity::sealing::Sealer;

use super::backbone::Mood;
use super::house::{House, PASSWORD, SECRET, signing_key};

fn claims_of(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

fn header_of(token: &str) -> Value {
    let head = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap()
}

/// A token as the hub signs it, with these claims and this key.
fn signed(claims: &Value, key: &SigningKey, kid: Option<&str>) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_der(&key.private)).unwrap()
}

/// A token of hand-made parts.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.{}",
        part(header),
        part(claims),
        URL_SAFE_NO_PAD.encode(signature)
    )
}

#[tokio::test]
async fn a_token_is_rs256_has_its_key_and_lives_for_fifteen_minutes_and_holds_no_right() {
    let house = House::new().await;
    let header = header_of(house.token());
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["kid"], signing_key().await.kid.as_str());
    let claims = claims_of(house.token());
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 900);
    assert!(claims.get("permissions").is_none());
    for path in ["/api/v1/auth/jwks.json", "/.well-known/jwks.json"] {
        let jwks = house.get(path).await;
        let key = &jwks.ok()["keys"][0];
        assert_eq!(key["kid"], header["kid"]);
        assert_eq!(key["alg"], "RS256");
        assert!(key.get("d").is_none() && key.get("p").is_none());
        assert!(jwks.header("cache-control").contains("max-age"));
    }
}

#[tokio::test]
async fn a_token_that_is_not_signed_as_it_must_be_is_none() {
    let house = House::new().await;
    let key = signing_key().await;
    let claims = claims_of(house.token());
    let kid = header_of(house.token())["kid"].clone();
    let right = signed(&claims, key, kid.as_str());
    house.get_as(&right, "/api/v1/me").await.ok();
    let signature = URL_SAFE_NO_PAD
        .decode(right.rsplit('.').next().unwrap())
        .unwrap();

    let mut bad = Vec::new();
    for alg in [
        "none", "None", "NONE", "", "HS256", "HS512", "RS512", "PS256", "ES256", "EdDSA",
    ] {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": kid });
        bad.push((
            format!("alg {alg}, no signature"),
            raw(&header, &claims, &[]),
        ));
        bad.push((format!("alg {alg}"), raw(&header, &claims, &signature)));
    }
    // key confusion: the public key as the secret of an HMAC (RFC 8725 §2.1)
    for secret in [
        key.modulus.clone(),
        URL_SAFE_NO_PAD.encode(&key.modulus).into_bytes(),
    ] {
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
        let unsigned = raw(&header, &claims, &[]);
        let message = unsigned.trim_end_matches('.');
        let mac = ring::hmac::sign(
            &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret),
            message.as_bytes(),
        );
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
        bad.push(("key confusion".to_owned(), token));
    }
    // a key of somebody else, under our key's name, under its own, and brought along in the header
    let other = SigningKey::generate().await.unwrap();
    bad.push((
        "another key, our kid".to_owned(),
        signed(&claims, &other, kid.as_str()),
    ));
    bad.push((
        "another key, its kid".to_owned(),
        signed(&claims, &other, Some(&other.kid)),
    ));
    bad.push(("no kid".to_owned(), signed(&claims, key, None)));
    bad.push((
        "kid of a path".to_owned(),
        signed(&claims, key, Some("../../dev/null")),
    ));
    bad.push((
        "kid of a query".to_owned(),
        signed(&claims, key, Some("x' or '1'='1")),
    ));
    let mut altered = claims.clone();
    altered["sub"] = json!("018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c");
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
    bad.push(("altered".to_owned(), raw(&header, &altered, &signature)));
    for junk in ["", ".", "..", "...", "a.b.c", "é"] {
        bad.push((format!("junk {junk}"), junk.to_owned()));
    }
    bad.push(("long".to_owned(), "a".repeat(6_000)));
    for (what, token) in bad {
        let answer = house
            .send(
                axum::http::Request::get("/api/v1/me")
                    .header(
                        "authorization",
                        axum::http::HeaderValue::from_bytes(format!("Bearer {token}").as_bytes())
                            .unwrap(),
                    )
                    .body(axum::body::Body::empty())
                    .unwrap(),
            )
            .await;
        assert_eq!(answer.problem(401), "auth.token", "{what}");
    }
}

#[tokio::test]
async fn a_token_out_of_its_time_for_another_or_of_another_kind_is_none() {
    let house = House::new().await;
    let key = signing_key().await;
    let claims = claims_of(house.token());
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let changed = |changes: Value| {
        let mut claims = claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name.as_str()] = value.clone();
        }
        signed(&claims, key, Some(&key.kid))
    };
    for (what, changes, good) in [
        ("as it is", json!({}), true),
        (
            "clocks differ a little",
            json!({ "nbf": now + 20, "iat": now + 20, "exp": now + 900 }),
            true,
        ),
        ("just over", json!({ "exp": now - 20 }), true),
        ("expired", json!({ "exp": now - 61 }), false),
        ("long expired", json!({ "exp": now - 86_400 }), false),
        ("not yet valid", json!({ "nbf": now + 61 }), false),
        ("no end", json!({ "exp": null }), false),
        ("another issuer", json!({ "iss": "evil" }), false),
        ("another audience", json!({ "aud": "hub-mfa" }), false),
        (
            "a person who is none",
            json!({ "sub": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c" }),
            false,
        ),
        ("another tenant", json!({ "tenant": "other" }), false),
        ("no tenant", json!({ "tenant": "../x" }), false),
        ("a program who is none", json!({ "kind": "client" }), false),
    ] {
        let token = changed(changes);
        let answer = house.get_as(&token, "/api/v1/me").await;
        if good {
            answer.ok();
        } else {
            assert_eq!(answer.problem(401), "auth.token", "{what}");
        }
    }
    let twice = house
        .send(
            axum::http::Request::get("/api/v1/me")
                .header("authorization", format!("Bearer {}", house.token()))
                .header("authorization", "Bearer x")
                .body(axum::body::Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(twice.problem(401), "auth.token");
}

#[tokio::test]
async fn keys_are_exchanged_without_anybody_noticing_and_a_stolen_one_is_worth_nothing_at_once() {
    let house = House::new().await;
    let pool = house.database.pool();
    let sealer = Sealer::new(&SECRET);
    let before = house.token().to_owned();
    let new = keys::rotate(pool, &sealer, false).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let ring = keys::load(&mut connection, &sealer).await.unwrap();
    assert_eq!(ring.len(), 2, "two keys live");
    assert_eq!(ring[0].kid, new);
    let token = signed(&claims_of(&before), &ring[0], Some(&new));
    // the house has its keys in memory: an unknown one makes it look again, not more often than every few seconds
    let began = Instant::now();
    while house.get_as(&token, "/api/v1/me").await.status != StatusCode::OK {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the new key is not known"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.get_as(&before, "/api/v1/me").await.ok();
    let jwks = house.get("/api/v1/auth/jwks.json").await;
    assert_eq!(jwks.ok()["keys"].as_array().unwrap().len(), 2);

    // whoever can write the table but does not know the secret adds no key
    let forged = SigningKey::generate().await.unwrap();
    keys::store(&mut connection, &Sealer::new(&[9; 32]), &forged)
        .await
        .unwrap();
    assert_eq!(keys::load(&mut connection, &sealer).await.unwrap().len(), 2);
    let sealed: Vec<u8> =
        sqlx::query_scalar("select sealed from users.signing_keys where kid = $1")
            .bind(&new)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    assert!(
        !sealed
            .windows(16)
            .any(|part| ring[0].private.windows(16).next() == Some(part))
    );

    keys::rotate(pool, &sealer, true).await.unwrap();
    let left = keys::load(&mut connection, &sealer).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].kid != new);
    assert_eq!(
        keys::ensure(pool, &sealer).await.unwrap(),
        None,
        "none is due"
    );
}

/// AU2
#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_stolen_one_ends_the_session() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let first = json!({ "refresh_token": tokens["refresh_token"] });
    let second = house.post("/api/v1/auth/refresh", &first).await;
    let second = second.ok().clone();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(
        claims_of(second["access_token"].as_str().unwrap())["sid"],
        claims_of(tokens["access_token"].as_str().unwrap())["sid"]
    );
    let access = second["access_token"].as_str().unwrap();
    house.get_as(access, "/api/v1/me").await.ok();

    // the thief
    let stolen = house.post("/api/v1/auth/refresh", &first).await;
    assert_eq!(stolen.problem(401), "auth.refresh");
    // and whoever he stole it from: neither goes on
    let next = json!({ "refresh_token": second["refresh_token"] });
    let refused = house.post("/api/v1/auth/refresh", &next).await;
    assert_eq!(refused.problem(401), "auth.refresh");
    assert_eq!(
        house.get_as(access, "/api/v1/me").await.problem(401),
        "auth.token"
    );
    let found = house
        .get(&format!(
            "/api/v1/audit?action=auth.refresh_reused&touched={id}"
        ))
        .await;
    assert_eq!(found.items().len(), 1);

    let tenant = "hr.other.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for token in ["", "x", "hr.demo.short", tenant, house.token()] {
        let given = json!({ "refresh_token": token });
        let answer = house.post("/api/v1/auth/refresh", &given).await;
        assert_eq!(answer.problem(401), "auth.refresh", "{token}");
    }
}

#[tokio::test]
async fn refresh_tokens_end_with_their_time_and_none_is_given_that_could_not_be_stored() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let mut tx = house.database.tx(&house.tenant).await;
    sqlx::query("update users.refresh_tokens set expires_at = now() - interval '1 second'")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let late = house.post("/api/v1/auth/refresh", &refresh).await;
    assert_eq!(late.problem(401), "auth.refresh");

    house.backbone.be(Mood::Down);
    let signed_in = house
        .login(&json!({ "username": "asha", "password": PASSWORD }))
        .await;
    assert!(signed_in.ok().get("refresh_token").is_none());
    let token = signed_in.json["access_token"].as_str().unwrap();
    house.get_as(token, "/api/v1/me").await.ok();
}

#[tokio::test]
async fn digests_are_all_that_the_database_has() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let program = json!({ "name": "board", "permissions": ["channels:read"] });
    let client = house.post("/api/v1/clients", &program).await;
    let mut tx = house.database.tx(&house.tenant).await;
    let mut dump = String::new();
    for table in [
        "users",
        "sessions",
        "refresh_tokens",
        "clients",
        "client_secrets",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select row_to_json(t)::text from users.{table} t"
        )))
        .fetch_all(tx.conn())
        .await
        .unwrap();
        dump.push_str(&rows.join("\n"));
    }
    let sent: String = house
        .backbone
        .commands
        .lock()
        .unwrap()
        .iter()
        .map(|command| String::from_utf8_lossy(&command.body).into_owned())
        .collect();
    for secret in [
        tokens["refresh_token"].as_str().unwrap(),
        client.json["client_secret"].as_str().unwrap(),
        PASSWORD,
    ] {
        assert!(!dump.contains(secret), "in the database");
        assert!(!sent.contains(secret), "in a command");
    }
}

/// Argon2 dominates; whether the name exists must not show. The medians of tries that alternate are compared, with
/// much room: a missing decoy would make one a hundred times faster.
#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let house = House::new().await;
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..5 {
        for (slot, name) in [(0, format!("known-{n}")), (1, format!("stranger-{n}"))] {
            if slot == 0 {
                let user = json!({ "username": name, "display_name": "X" });
                house.post("/api/v1/users", &user).await;
            }
            let body = json!({ "username": name, "password": "not the password" });
            let began = Instant::now();
            let answer = house.login(&body).await;
            times[slot].push(began.elapsed());
            assert_eq!(answer.problem(401), "auth.login");
        }
    }
    let [known, stranger] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    let ratio = known / stranger;
    assert!(
        (0.4..2.5).contains(&ratio),
        "known {known}, unknown {stranger}"
    );
    // and both leave a row, in which a name that nobody has does not stand
    let found = house.get("/api/v1/audit?action=auth.login_failed").await;
    assert_eq!(found.items().len(), 10);
    assert!(!found.json.to_string().contains("stranger"));
}

#[tokio::test]
async fn guesses_of_strangers_do_not_shut_out_who_was_in_before() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    for _ in 0..5 {
        let wrong = json!({ "username": "asha", "password": "wrong" });
        house.login(&wrong).await.problem(401);
    }
    let plain = json!({ "username": "asha", "password": PASSWORD });
    assert_eq!(house.login(&plain).await.problem(429), "auth.throttled");
    let mut known = plain.clone();
    known["known_session"] = tokens["refresh_token"].clone();
    house.login(&known).await.ok();
    // somebody else's session opens no other door
    let (_, of_ravi) = house.staff("ravi").await;
    known["known_session"] = of_ravi["refresh_token"].clone();
    assert_eq!(house.login(&known).await.problem(429), "auth.throttled");
    known["known_session"] = json!("hr.demo.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(house.login(&known).await.problem(429), "auth.throttled");
}

#[tokio::test]
async fn what_a_name_holds_is_a_value_and_never_a_query() {
    let house = House::new().await;
    for text in [
        "' or '1'='1",
        "admin'--",
        "admin\"; drop table users.users; --",
        "{\"$gt\": \"\"}",
        "admin\r\nX-Admin: true",
        "*)(uid=*",
        "%00",
        "../../../etc/passwd",
    ] {
        let body = json!({ "username": text, "password": text });
        assert_eq!(
            house.login(&body).await.problem(401),
            "auth.login",
            "{text}"
        );
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let found = house.get(&format!("/api/v1/users?name={escaped}")).await;
        if text.contains('\0') {
            found.problem(400);
        } else {
            assert!(found.items().is_empty(), "{text}");
        }
    }
    let body = json!({ "username": { "$ne": "" }, "password": "x" });
    assert_eq!(house.login(&body).await.problem(400), "request.invalid");
    house.sign_in("admin", PASSWORD, None).await;
    house.sign_in("ADMIN", PASSWORD, None).await;
}

#[tokio::test]
async fn a_token_outlives_a_short_absence_of_the_database_and_no_long_one() {
    let house = House::new().await;
    let (_, tokens) = house.staff("asha").await;
    let token = tokens["access_token"].as_str().unwrap();
    house.get_as(token, "/api/v1/me").await.ok();
    house.database.pool().close().await;
    // known a moment ago: who he is can still be told; anything read is a 503
    house.get_as(token, "/api/v1/me").await.ok();
    let fresh = house.get_as(house.token(), "/api/v1/patients").await;
    assert_eq!(fresh.status, StatusCode::SERVICE_UNAVAILABLE);
}
