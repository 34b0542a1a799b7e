//! Row-level security on every table of the schema, and what that makes of another tenant's ids.

use schemas::identity::{BreakGlass, EndGrant, EndSessions, GiveGrant, SetUserState, UserState};
use sqlx::Row as _;
use test_support::{TestDatabase, tenant};
use uuid::Uuid;

use super::house::{answer, apply, hours, refusal, session, user};

#[tokio::test]
async fn every_table_with_a_tenant_has_a_policy_that_is_forced_and_the_rest_are_named() {
    let database = TestDatabase::new().await;
    let mut tx = database.tx(&tenant("demo")).await;
    let rows = sqlx::query(
        "select c.relname, c.relrowsecurity and c.relforcerowsecurity
                and exists (select from pg_policy p where p.polrelid = c.oid) as guarded,
                has_table_privilege('hub_app', c.oid, 'delete') as deletes
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'users' and c.relkind = 'r' order by 1",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert!(rows.len() >= 11);
    for row in rows {
        let name: String = row.get(0);
        // tokens and marks of challenges long out of date are pruned; nothing else ever goes
        assert_eq!(
            row.get::<bool, _>("deletes"),
            ["refresh_tokens", "used_challenges"].contains(&name.as_str()),
            "{name}: rows can be deleted"
        );
        // of the installation: no row of it is a tenant's
        if name != "signing_keys" {
            assert!(row.get::<bool, _>("guarded"), "{name}: no policy");
        }
    }
}

#[tokio::test]
async fn without_a_tenant_nothing_is_there() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let asha = user(&database, &demo, "asha").await;
    session(&database, &demo, asha, "token").await;
    for table in ["users", "sessions", "refresh_tokens"] {
        let count = format!("select count(*) from users.{table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert_eq!(seen, 0, "{table}");
    }
}

#[tokio::test]
async fn only_tokens_long_out_of_date_are_pruned() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let asha = user(&database, &demo, "asha").await;
    session(&database, &demo, asha, "old").await;
    let mut tx = database.tx(&demo).await;
    sqlx::query("update users.refresh_tokens set expires_at = now() - interval '31 days'")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    session(&database, &demo, asha, "new").await;
    let age = time::Duration::days(30);
    let prune = |name| {
        let (pool, tenant) = (database.pool(), tenant(name));
        async move {
            worker_identity::maintain::prune_refresh_tokens(pool, &tenant, age)
                .await
                .unwrap()
        }
    };
    assert_eq!(prune("other").await, 0);
    assert_eq!(prune("demo").await, 1);
    assert_eq!(prune("demo").await, 0);
}

#[tokio::test]
async fn another_tenants_ids_are_unknown() {
    let database = TestDatabase::new().await;
    let (demo, other) = (tenant("demo"), tenant("other"));
    let asha = user(&database, &demo, "asha").await;
    let open = session(&database, &demo, asha, "token").await;
    let give = GiveGrant {
        grant_id: Uuid::now_v7(),
        user_id: asha,
        role: "nurse".to_owned(),
        facility: None,
        department: None,
        starts_at: None,
        ends_at: None,
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &demo, &give).await);
    let foreign = GiveGrant {
        grant_id: Uuid::now_v7(),
        ..give.clone()
    };
    assert_eq!(
        refusal(apply(&database, &other, &foreign).await),
        "users.unknown"
    );
    let end = EndGrant {
        grant_id: give.grant_id,
        reason: "x".to_owned(),
        actor: "admin".to_owned(),
    };
    assert_eq!(
        refusal(apply(&database, &other, &end).await),
        "grants.unknown"
    );
    let lock = SetUserState {
        user_id: asha,
        state: UserState::Locked,
        reason: "x".to_owned(),
        actor: "admin".to_owned(),
    };
    assert_eq!(
        refusal(apply(&database, &other, &lock).await),
        "users.unknown"
    );
    let out = EndSessions {
        user_id: asha,
        session_id: Some(open),
        reason: "x".to_owned(),
        actor: "admin".to_owned(),
    };
    assert_eq!(
        refusal(apply(&database, &other, &out).await),
        "sessions.unknown"
    );
    let glass = BreakGlass {
        id: Uuid::now_v7(),
        user_id: asha,
        patient_id: Uuid::now_v7(),
        reason: "emergency".to_owned(),
        expires_at: hours(4),
        actor: "asha".to_owned(),
    };
    assert_eq!(
        refusal(apply(&database, &other, &glass).await),
        "users.unknown"
    );
    answer(apply(&database, &demo, &end).await);
}
