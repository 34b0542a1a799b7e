//! Identity through the whole program: two processes, the real bus, the command line.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Rest, Servers, eventually, hub_binary};

const SOON: Duration = Duration::from_secs(20);
const PASSWORD: &str = "blue kettle under the stairs";

/// A user who has changed his password: his id, and what his sign-in answered.
async fn staff(admin: &Rest, nobody: &Rest, name: &str) -> (String, Value) {
    let user = json!({ "username": name, "display_name": "Asha Sharma" });
    let (status, made) = admin.post("/api/v1/users", &user).await;
    assert_eq!(status, 201, "{made}");
    let one_time = &made["one_time_password"];
    let login = json!({ "username": name, "password": one_time });
    let (status, first) = nobody.post("/api/v1/auth/login", &login).await;
    assert_eq!(
        (status, &first["must_change_password"]),
        (200, &json!(true))
    );
    let me = nobody.clone().with_token(first["access_token"].as_str());
    let (status, problem) = me.post("/api/v1/orders", &json!({})).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (403, Some("auth.password_change"))
    );
    let change = json!({ "current_password": one_time, "new_password": PASSWORD });
    let (status, answer) = me.post("/api/v1/me/password", &change).await;
    if status == 202 {
        // he may not ask what became of a command; an administrator may
        let path = answer["status_url"].as_str().unwrap().to_owned();
        eventually("the password is changed", SOON, || async {
            (admin.get(&path).await["state"] != "pending").then_some(())
        })
        .await;
    } else {
        assert_eq!(status, 200, "{answer}");
    }
    let login = json!({ "username": name, "password": PASSWORD });
    let (status, tokens) = nobody.post("/api/v1/auth/login", &login).await;
    assert_eq!(status, 200, "{tokens}");
    (made["id"].as_str().unwrap().to_owned(), tokens)
}

/// AU2 and AU6: what one process takes away is gone in the other within a minute.
#[tokio::test]
async fn au2_au6_what_is_taken_away_at_one_process_is_gone_at_the_other_within_a_minute() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let hub = HubProcess::start(&servers, &settings).await;
    let second = HubProcess::start_only(&servers, &settings.elsewhere(), Some("api")).await;
    let admin = hub.sign_in().await;
    let nobody = admin.clone().with_token(None);
    let (id, tokens) = staff(&admin, &nobody, "asha").await;
    let asha = nobody
        .clone()
        .with_token(tokens["access_token"].as_str())
        .at(second.api());
    let (status, _) = asha.try_get("/api/v1/channels").await;
    assert_eq!(status, 403);

    let path = format!("/api/v1/users/{id}/grants");
    let role = json!({ "role": "integration_engineer" });
    let (status, given) = admin.post(&path, &role).await;
    assert_eq!(status, 201, "{given}");
    eventually("the grant holds", SOON, || async {
        (asha.try_get("/api/v1/channels").await.0 == 200).then_some(())
    })
    .await;

    let grant = given["answer"]["grant_id"].as_str().unwrap();
    let began = Instant::now();
    admin
        .command(
            &format!("/api/v1/grants/{grant}/end"),
            &json!({ "reason": "moved" }),
        )
        .await;
    eventually("the grant is gone", Duration::from_secs(60), || async {
        (asha.try_get("/api/v1/channels").await.0 == 403).then_some(())
    })
    .await;
    println!("a grant was gone after {:?}", began.elapsed());

    // a refresh token of one process is good at the other, once
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let (status, next) = asha.post("/api/v1/auth/refresh", &refresh).await;
    assert_eq!(status, 200, "{next}");
    let (status, problem) = nobody.post("/api/v1/auth/refresh", &refresh).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (401, Some("auth.refresh"))
    );
    let renewed = nobody.clone().with_token(next["access_token"].as_str());
    for api in [hub.api(), second.api()] {
        let renewed = renewed.at(api);
        eventually("the session is dead", Duration::from_secs(60), || async {
            (renewed.try_get("/api/v1/me").await.0 == 401).then_some(())
        })
        .await;
    }
    let stolen = admin
        .items(&format!(
            "/api/v1/audit?action=auth.refresh_reused&touched={id}"
        ))
        .await;
    assert_eq!(stolen.len(), 1);
}

/// RFC 6238 and RFC 4226, six digits, SHA-1, steps of 30 s, written from the standards and not from our code.
fn totp(secret: &[u8], step: u64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let hash = tag.as_ref();
    let at = usize::from(hash[hash.len() - 1] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn from_base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for sign in text.chars() {
        let value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(sign).unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn step() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    now.as_secs() / 30
}

/// AU1: a code is good once, also at another process than the one that took it.
#[tokio::test]
async fn au1_the_same_totp_twice_is_refused_the_second_time_at_every_process() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let hub = HubProcess::start(&servers, &settings).await;
    let second = HubProcess::start_only(&servers, &settings.elsewhere(), Some("api")).await;
    let admin = hub.sign_in().await;
    let nobody = admin.clone().with_token(None);
    let (_, tokens) = staff(&admin, &nobody, "asha").await;
    let asha = nobody.clone().with_token(tokens["access_token"].as_str());
    let proof = json!({ "proof": { "current_password": PASSWORD } });
    let (status, begun) = asha.post("/api/v1/me/totp", &proof).await;
    assert_eq!(status, 200, "{begun}");
    let secret = from_base32(begun["secret"].as_str().unwrap());
    // of the step before: the present one is left
    let code = json!({ "code": totp(&secret, step() - 1) });
    let (status, confirmed) = asha.post("/api/v1/me/totp/confirm", &code).await;
    assert_eq!(status, 200, "{confirmed}");

    let login = json!({ "username": "asha", "password": PASSWORD });
    let ticket = async |rest: &Rest| {
        let (status, answer) = rest.post("/api/v1/auth/login", &login).await;
        assert_eq!((status, &answer["mfa_required"]), (200, &json!(true)));
        answer["mfa_ticket"].clone()
    };
    let code = totp(&secret, step());
    let there = nobody.at(second.api());
    let (first, again) = (ticket(&nobody).await, ticket(&there).await);
    let body = json!({ "ticket": first, "code": code });
    let (status, answer) = nobody.post("/api/v1/auth/mfa", &body).await;
    assert_eq!(status, 200, "{answer}");
    for (rest, ticket) in [(&there, again), (&nobody, ticket(&nobody).await)] {
        let body = json!({ "ticket": ticket, "code": code });
        let (status, problem) = rest.post("/api/v1/auth/mfa", &body).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (401, Some("auth.mfa")),
            "{problem}"
        );
    }
}

/// AU5, for what the hub has to approve: who opened a chart in an emergency does not review it, whatever roles he has.
#[tokio::test]
async fn au5_nobody_approves_what_he_did_himself() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let admin = hub.sign_in().await;
    let nobody = admin.clone().with_token(None);
    let (id, tokens) = staff(&admin, &nobody, "asha").await;
    for role in ["doctor", "auditor"] {
        let path = format!("/api/v1/users/{id}/grants");
        let (status, given) = admin.post(&path, &json!({ "role": role })).await;
        assert_eq!(status, 201, "{given}");
    }
    let asha = nobody.clone().with_token(tokens["access_token"].as_str());
    let body = json!({ "identifiers": [{ "value": "AU5" }], "demographics": { "name": { "family": "Iyer", "given": ["Meena"] } } });
    let (status, made) = admin.post("/api/v1/patients", &body).await;
    assert_eq!(status, 201, "{made}");
    let emergency =
        json!({ "patient_id": made["answer"]["id"], "reason": "unconscious, allergies unknown" });
    eventually("the grants hold", SOON, || async {
        let (status, answer) = asha.post("/api/v1/break-glass", &emergency).await;
        assert!([201, 403].contains(&status), "{answer}");
        (status == 201).then_some(())
    })
    .await;
    let open = asha.items("/api/v1/break-glass").await;
    let path = format!(
        "/api/v1/break-glass/{}/review",
        open[0]["id"].as_str().unwrap()
    );
    let finding = json!({ "finding": "justified", "note": "brought in by ambulance" });
    let (status, problem) = asha.post(&path, &finding).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (403, Some("approval.own_work_forbidden")),
        "{problem}"
    );
    assert_eq!(asha.items("/api/v1/break-glass").await.len(), 1);
    admin.command(&path, &finding).await;
    assert!(asha.items("/api/v1/break-glass").await.is_empty());
}

#[tokio::test]
async fn keys_are_exchanged_by_the_command_line_while_people_work() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let hub = HubProcess::start(&servers, &settings).await;
    let admin = hub.sign_in().await;
    let keys = |arguments: &[&str]| {
        let output = Command::new(hub_binary())
            .arg("keys")
            .arg("--config")
            .arg(hub.config())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(keys(&["list"]).lines().count(), 1);
    let kid = keys(&["rotate"]);
    let kid = kid.split_whitespace().next().unwrap().to_owned();
    assert_eq!(keys(&["list"]).lines().count(), 2);
    // the token of the old key is good on, and new ones are of the new key
    admin.get("/api/v1/me").await;
    eventually("the new key is published", SOON + SOON, || async {
        let jwks = admin.get("/.well-known/jwks.json").await;
        (jwks["keys"][0]["kid"] == kid.as_str()).then_some(())
    })
    .await;
    let old = admin.token().unwrap().to_owned();
    let fresh = hub.sign_in().await;
    assert_ne!(
        old.split('.').next(),
        fresh.token().unwrap().split('.').next(),
        "another kid"
    );
    keys(&["rotate", "--distrust"]);
    let stale = admin.clone().with_token(Some(&old));
    eventually("the old keys are worth nothing", SOON + SOON, || async {
        (stale.try_get("/api/v1/me").await.0 == 401).then_some(())
    })
    .await;
    hub.sign_in().await.get("/api/v1/me").await;
}

#[tokio::test]
async fn an_api_client_works_with_the_standards_token_endpoint() {
    let world = tests::shared().await;
    let admin = world.hub.sign_in().await;
    let name = tests::unique("board").to_lowercase();
    let program =
        json!({ "name": name, "permissions": ["channels:read"], "allowed_from": ["127.0.0.0/8"] });
    let (status, made) = admin.post("/api/v1/clients", &program).await;
    assert_eq!(status, 201, "{made}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        made["client_id"].as_str().unwrap(),
        made["client_secret"].as_str().unwrap()
    );
    let answer = client
        .post(format!("http://{}/oauth/token", world.hub.api()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let token: Value = answer.json().await.unwrap();
    let board = admin.clone().with_token(token["access_token"].as_str());
    assert_eq!(board.try_get("/api/v1/channels").await.0, 200);
    assert_eq!(board.try_get("/api/v1/patients").await.0, 403);
    // changes are on record, and nothing of the secret is in the log
    let rows = admin
        .items(&format!(
            "/api/v1/audit?action=auth.client.create&touched={}",
            made["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(rows.len(), 1);
    assert!(
        !world
            .hub
            .log()
            .contains(made["client_secret"].as_str().unwrap())
    );
}
