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
async fn what_is_taken_away_at_one_process_is_gone_at_the_other_within_a_minute() {
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
