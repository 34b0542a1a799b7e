//! Roles and grants: what they give, take, and do not let anybody give.

use axum::http::StatusCode;
use schemas::identity::EndGrant;
use serde_json::{Value, json};
use test_support::envelope;
use uuid::Uuid;

use super::house::House;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// AU6, through this process: at once.
#[tokio::test]
async fn a_grant_gives_and_its_end_takes_from_tokens_that_are_about() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let token = text(&tokens, "access_token");
    let ask = || house.get_as(token, "/api/v1/channels");
    assert_eq!(ask().await.problem(403), "auth.permission");
    let grant = house
        .grant(&id, &json!({ "role": "integration_engineer" }))
        .await;
    ask().await.ok();
    let path = format!("/api/v1/grants/{grant}/end");
    house.post(&path, &json!({ "reason": "moved" })).await.ok();
    assert_eq!(ask().await.problem(403), "auth.permission");
    let grants = house.get(&format!("/api/v1/users/{id}/grants")).await;
    assert_eq!(grants.items()[0]["in_force"], false);
    assert_eq!(grants.items()[0]["end_reason"], "moved");
    // not yet, and not any more
    let later = json!({ "role": "integration_engineer", "starts_at": "2099-01-01T00:00:00Z" });
    house.grant(&id, &later).await;
    let earlier = json!({ "role": "integration_engineer", "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z" });
    house.grant(&id, &earlier).await;
    assert_eq!(ask().await.problem(403), "auth.permission");
    let backwards = json!({ "role": "auditor", "starts_at": "2021-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z" });
    let answer = house
        .post(&format!("/api/v1/users/{id}/grants"), &backwards)
        .await;
    assert_eq!(answer.problem(422), "grants.time");
    let answer = house
        .post(
            &format!("/api/v1/users/{id}/grants"),
            &json!({ "role": "nobody" }),
        )
        .await;
    assert_eq!(answer.problem(422), "grants.role");
    let place = json!({ "role": "nurse", "department": "ICU" });
    let answer = house
        .post(&format!("/api/v1/users/{id}/grants"), &place)
        .await;
    assert_eq!(answer.problem(400), "request.invalid");
}

/// AU6, when another process did it: within a minute (ten seconds).
#[tokio::test]
async fn a_grant_that_another_process_ended_is_gone_within_a_minute() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let token = text(&tokens, "access_token");
    let grant = house.grant(&id, &json!({ "role": "auditor" })).await;
    house.get_as(token, "/api/v1/audit").await.ok();
    let end = EndGrant {
        grant_id: Uuid::parse_str(&grant).unwrap(),
        reason: "moved".to_owned(),
        actor: "admin".to_owned(),
    };
    house
        .backbone
        .deliver(envelope(&house.tenant, "/api", &end))
        .await;
    let began = std::time::Instant::now();
    loop {
        let answer = house.get_as(token, "/api/v1/audit").await;
        if answer.status == StatusCode::FORBIDDEN {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "a minute is over");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn nobody_gives_what_he_does_not_have_nor_makes_a_password_for_one_who_may_do_more() {
    let house = House::new().await;
    let manager = json!({ "name": "Staff office", "permissions": [
        "users:read", "users:manage", "roles:read", "roles:manage", "grants:manage", "clients:manage", "results:read",
    ] });
    house
        .write_as(house.token(), "PUT", "/api/v1/roles/staff_office", &manager)
        .await
        .ok();
    let (id, tokens) = house.staff("clerk").await;
    house.grant(&id, &json!({ "role": "staff_office" })).await;
    let clerk = text(&tokens, "access_token");
    let (victim, _) = house.staff("asha").await;
    let grants = format!("/api/v1/users/{victim}/grants");
    for role in ["administrator", "integration_engineer"] {
        let answer = house
            .post_as(clerk, &grants, &json!({ "role": role }))
            .await;
        assert_eq!(answer.problem(403), "grants.exceeds_own", "{role}");
    }
    let more = json!({ "name": "More", "permissions": ["*"] });
    let answer = house
        .write_as(clerk, "PUT", "/api/v1/roles/more", &more)
        .await;
    assert_eq!(answer.problem(403), "grants.exceeds_own");
    let wider = json!({ "name": "Staff office", "permissions": ["users:read", "audit:read"] });
    let answer = house
        .write_as(clerk, "PUT", "/api/v1/roles/staff_office", &wider)
        .await;
    assert_eq!(answer.problem(403), "grants.exceeds_own");
    let program = json!({ "name": "mine", "permissions": ["channels:control"] });
    let answer = house.post_as(clerk, "/api/v1/clients", &program).await;
    assert_eq!(answer.problem(403), "grants.exceeds_own");
    let admin = house.get("/api/v1/users?name=admin").await;
    let admin = text(&admin.items()[0], "id").to_owned();
    for path in [
        "reset-password",
        "remove-second-factor",
        "remove-passkeys",
        "end-sessions",
        "state",
    ] {
        let body = match path {
            "reset-password" => json!({}),
            "state" => json!({ "state": "locked", "reason": "coup" }),
            _ => json!({ "reason": "coup" }),
        };
        let answer = house
            .post_as(clerk, &format!("/api/v1/users/{admin}/{path}"), &body)
            .await;
        assert_eq!(answer.problem(403), "users.outranked", "{path}");
    }
    let renamed = json!({ "display_name": "Nobody" });
    let answer = house
        .write_as(clerk, "PATCH", &format!("/api/v1/users/{admin}"), &renamed)
        .await;
    assert_eq!(answer.problem(403), "users.outranked");
    house.get("/api/v1/me").await.ok();
    // nobody outranks himself, and nobody goes around his own proofs as an administrator of himself
    for (path, body) in [
        ("reset-password", json!({})),
        ("remove-second-factor", json!({ "reason": "mine" })),
        ("remove-passkeys", json!({ "reason": "mine" })),
        ("identity-invitations", json!({ "provider": "staff" })),
    ] {
        for (token, own) in [(clerk, &id), (house.token(), &admin)] {
            let path = format!("/api/v1/users/{own}/{path}");
            let answer = house.post_as(token, &path, &body).await;
            assert_eq!(answer.problem(403), "users.own_not_allowed", "{path}");
        }
    }
    let renamed = json!({ "display_name": "Clerk of the office" });
    house
        .write_as(clerk, "PATCH", &format!("/api/v1/users/{id}"), &renamed)
        .await
        .ok();
    // what is his own he may give
    let small = json!({ "name": "Reader", "permissions": ["results:read"] });
    house
        .write_as(clerk, "PUT", "/api/v1/roles/reader", &small)
        .await
        .ok();
    let answer = house
        .post_as(clerk, &grants, &json!({ "role": "reader" }))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_role_of_ones_own_changes_what_its_holders_may_do() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let token = text(&tokens, "access_token");
    let define = |permissions: Value, retired: bool| {
        let role = json!({ "name": "Night desk", "permissions": permissions, "retired": retired });
        let house = &house;
        async move {
            let path = "/api/v1/roles/night_desk";
            let before = house.get(path).await;
            let tag = before.header("etag").to_owned();
            let seen = (!tag.is_empty()).then_some(("if-match", tag.as_str()));
            house
                .write_with(house.token(), "PUT", path, &role, seen.as_slice())
                .await
        }
    };
    define(json!(["held:read"]), false).await.ok();
    house.grant(&id, &json!({ "role": "night_desk" })).await;
    house.get_as(token, "/api/v1/held").await.ok();
    house.get_as(token, "/api/v1/channels").await.problem(403);
    define(json!(["channels:read"]), false).await.ok();
    house.get_as(token, "/api/v1/held").await.problem(403);
    house.get_as(token, "/api/v1/channels").await.ok();
    define(json!(["channels:read"]), true).await.ok();
    house.get_as(token, "/api/v1/channels").await.problem(403);
    let roles = house.get("/api/v1/roles").await;
    let codes: Vec<&str> = roles
        .items()
        .iter()
        .map(|role| text(role, "code"))
        .collect();
    assert_eq!(codes[0], "administrator");
    assert!(codes.contains(&"night_desk") && codes.contains(&"auditor"));
    for (code, permissions, problem, status) in [
        ("nurse", json!(["held:read"]), "roles.code_in_use", 409),
        ("x", json!(["held:read"]), "request.invalid", 400),
        ("desk", json!(["held:everything"]), "request.invalid", 400),
        ("desk", json!([]), "request.invalid", 400),
    ] {
        let role = json!({ "name": "X", "permissions": permissions });
        let answer = house
            .write_as(
                house.token(),
                "PUT",
                &format!("/api/v1/roles/{code}"),
                &role,
            )
            .await;
        assert_eq!(answer.problem(status), problem, "{code}");
    }
}

/// What only who runs the house, or the installation, does.
const ADMINISTRATION: [&str; 8] = [
    "users:manage",
    "roles:manage",
    "grants:manage",
    "clients:manage",
    "facilities:manage",
    "number_series:define",
    "tenants:read",
    "tenants:manage",
];

#[test]
fn whatever_is_done_for_patients_some_role_but_the_administrator_may_do() {
    let held = |permission: &str| {
        worker_identity::roles::built_in()
            .iter()
            .any(|role| role.permissions.iter().any(|one| one == permission))
    };
    for permission in hub_api::PERMISSIONS.iter().copied() {
        assert_ne!(
            held(permission),
            ADMINISTRATION.contains(&permission),
            "{permission}"
        );
    }
    // and what a topic of the feed shows, its reader may follow
    let auditor = worker_identity::roles::find("auditor").unwrap();
    for needed in ["glass:review", "changes:read"] {
        assert!(auditor.permissions.iter().any(|one| one == needed));
    }
}

#[tokio::test]
async fn every_permission_of_a_built_in_role_is_one() {
    for role in worker_identity::roles::built_in() {
        for permission in &role.permissions {
            assert!(
                permission == "*" || hub_api::PERMISSIONS.contains(&permission.as_str()),
                "{}: {permission}",
                role.code
            );
        }
    }
}
