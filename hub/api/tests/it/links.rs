//! Links to identity providers: what ends one, what begins none, and how long a session lasts that a provider vouched for.

use hub_core::config::OidcSettings;
use serde_json::json;

use super::provider::FakeProvider;
use super::sso::{back, come_in, finish, house_of, invite, linked, person, start};

/// Whose link a person ended is not linked anew because the provider says the same of him as before.
#[tokio::test]
async fn a_claim_does_not_undo_an_unlinking_nor_does_an_invitation_that_was_open() {
    let provider = FakeProvider::start().await;
    let trusting = OidcSettings {
        link_by: Some("preferred_username".to_owned()),
        ..provider.settings()
    };
    let house = house_of(trusting).await;
    let (user, _) = house.staff("asha").await;
    let claims = |subject: &str| json!({ "sub": subject, "preferred_username": "asha" });
    come_in(&house, &provider, claims("sub-1")).await.ok();
    let open = invite(&house, &user).await;
    let path = format!("/api/v1/users/{user}/remove-identities");
    let why = json!({ "reason": "left the hospital" });
    let removed = house.post(&path, &why).await;
    assert_eq!(removed.ok()["answer"]["unlinked"], 1);
    assert_eq!(removed.json["answer"]["invitations_ended"], 1);
    // the same person, another with the name, and who has the paper of before
    for subject in ["sub-1", "sub-2"] {
        let answer = come_in(&house, &provider, claims(subject)).await;
        assert_eq!(answer.problem(403), "oidc.not_linked", "{subject}");
    }
    let begun = start(&house, &json!({ "invitation": open })).await;
    let answer = finish(&house, &back(&provider, &begun, claims("sub-1"))).await;
    assert_eq!(answer.problem(403), "oidc.not_linked");
    let failed = house
        .get("/api/v1/audit?action=auth.oidc_failed&actor=asha")
        .await;
    assert_eq!(failed.items().len(), 2);

    // an invitation that is open is taken back, also where nobody is linked; a new one links him
    invite(&house, &user).await;
    let removed = house.post(&path, &why).await;
    assert_eq!(removed.ok()["answer"]["unlinked"], 0);
    let none = house.post(&path, &why).await;
    assert_eq!(none.problem(404), "subjects.unknown");
    let fresh = invite(&house, &user).await;
    let begun = start(&house, &json!({ "invitation": fresh })).await;
    finish(&house, &back(&provider, &begun, claims("sub-1")))
        .await
        .ok();
    come_in(&house, &provider, claims("sub-1")).await.ok();
}

/// At many a provider somebody may be called `admin`.
#[tokio::test]
async fn no_claim_makes_anybody_of_who_may_do_everything() {
    let provider = FakeProvider::start().await;
    let trusting = OidcSettings {
        link_by: Some("preferred_username".to_owned()),
        ..provider.settings()
    };
    let house = house_of(trusting).await;
    let (user, _) = house.staff("ravi").await;
    let named = |name: &str| json!({ "sub": name, "preferred_username": name });
    let role = json!({ "role": "administrator", "facility": "MAIN" });
    let grant = house.grant(&user, &role).await;
    house.user(&house.tenant, &["users:read"]).await;
    for name in ["admin", "ravi", "nurse"] {
        let answer = come_in(&house, &provider, named(name)).await;
        assert_eq!(answer.problem(403), "oidc.not_linked", "{name}");
    }
    let end = json!({ "reason": "a mistake" });
    let path = format!("/api/v1/grants/{grant}/end");
    house.post(&path, &end).await.ok();
    come_in(&house, &provider, named("ravi")).await.ok();
}

/// Who is out of a group there, or shut out, is so here when the provider is asked again.
#[tokio::test]
async fn a_session_that_a_provider_vouched_for_is_short() {
    let provider = FakeProvider::start().await;
    for hours in [1_u16, 8, 100] {
        let settings = OidcSettings {
            session_hours: hours,
            ..provider.settings()
        };
        let house = house_of(settings).await;
        linked(&house, &provider).await;
        let answer = come_in(&house, &provider, person("sub-asha")).await;
        let expires = i64::from(hours.min(12)) * 3_600;
        assert_eq!(answer.ok()["refresh_expires_in"], expires, "{hours}");
        let mut tx = house.database.tx(&house.tenant).await;
        let lasting: Vec<i64> = sqlx::query_scalar(
            "select distinct round(extract(epoch from expires_at - created_at) / 3600)::bigint from users.sessions
             where 'federated' = any (amr)",
        )
        .fetch_all(tx.conn())
        .await
        .unwrap();
        assert_eq!(lasting, [i64::from(hours)]);
        // the end of the session is the end of what carries it on
        sqlx::query("update users.sessions set expires_at = now() + interval '10 minutes'")
            .execute(tx.conn())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let refresh = json!({ "refresh_token": answer.json["refresh_token"] });
        let next = house.post("/api/v1/auth/refresh", &refresh).await;
        let left = next.ok()["refresh_expires_in"].as_i64().unwrap();
        assert!((1..=600).contains(&left), "{left}");
    }
}
