//! Customers of the installation: made once, moved only where the table says, limited as their plan says.

use std::collections::BTreeMap;

use hub_core::Verdict;
use schemas::TenantId;
use schemas::identity::{CreateUser, SetUserState, UserState};
use schemas::platform::{
    ChangeTenant, CreateTenant, DefinePlan, FirstAdministrator, RecordTenantExport, SetTenantState,
    TenantState, platform,
};
use test_support::{TestDatabase, tenant};
use uuid::Uuid;
use worker_identity::{queries, tenants};

use super::house::{answer, apply, hours, refusal, user};

fn order(id: &str, key: &str, administrator: bool) -> CreateTenant {
    CreateTenant {
        tenant: tenant(id),
        name: "Apollo Clinic".to_owned(),
        plan: "trial".to_owned(),
        limits: BTreeMap::from([("users".to_owned(), Some(2))]),
        provisioning_key: key.to_owned(),
        administrator: administrator.then(|| FirstAdministrator {
            user_id: Uuid::now_v7(),
            username: "admin".to_owned(),
            display_name: "Administrator".to_owned(),
            password_hash: "$argon2id$".to_owned(),
            one_time_until: hours(72),
        }),
        actor: "root".to_owned(),
    }
}

fn step(id: &str, state: TenantState) -> SetTenantState {
    SetTenantState {
        tenant: tenant(id),
        state,
        reason: "as agreed".to_owned(),
        actor: "root".to_owned(),
    }
}

async fn state_of(database: &TestDatabase, id: &str) -> TenantState {
    let mut tx = database.tx(&platform()).await;
    queries::tenant(tx.conn(), id)
        .await
        .unwrap()
        .unwrap()
        .state()
}

async fn count(database: &TestDatabase, of: &TenantId, statement: &'static str) -> i64 {
    let mut tx = database.tx(of).await;
    sqlx::query_scalar(statement)
        .fetch_one(tx.conn())
        .await
        .unwrap()
}

/// T4
#[tokio::test]
async fn one_provisioning_key_makes_one_tenant_however_often_it_comes() {
    let database = TestDatabase::new().await;
    let root = platform();
    let first = answer(apply(&database, &root, &order("apollo", "k1", true)).await);
    assert_eq!(
        (&first["created"], &first["provisioned"], &first["state"]),
        (&true.into(), &true.into(), &"trial".into())
    );
    let again = answer(apply(&database, &root, &order("apollo", "k1", true)).await);
    assert_eq!(
        (&again["created"], &again["provisioned"], &again["state"]),
        (&false.into(), &false.into(), &"trial".into())
    );
    let apollo = tenant("apollo");
    assert_eq!(
        count(&database, &apollo, "select count(*) from users.users").await,
        1
    );
    assert_eq!(
        count(
            &database,
            &apollo,
            "select count(*) from users.grants where role = 'administrator'"
        )
        .await,
        1
    );
    assert_eq!(
        count(
            &database,
            &root,
            "select count(*) from users.tenants where tenant_id = 'apollo'"
        )
        .await,
        1
    );
    // the name under another key, the key for another name
    assert_eq!(
        refusal(apply(&database, &root, &order("apollo", "k2", true)).await),
        "tenants.exists"
    );
    assert_eq!(
        refusal(apply(&database, &root, &order("fortis", "k1", true)).await),
        "tenants.key_in_use"
    );
    // a draft is completed under its key
    let draft = answer(apply(&database, &root, &order("max", "k3", false)).await);
    assert_eq!(draft["state"], "draft");
    assert_eq!(
        count(
            &database,
            &tenant("max"),
            "select count(*) from users.users"
        )
        .await,
        0
    );
    let done = answer(apply(&database, &root, &order("max", "k3", true)).await);
    assert_eq!(
        (&done["created"], &done["state"]),
        (&false.into(), &"trial".into())
    );
}

#[tokio::test]
async fn a_tenant_goes_only_where_the_table_says_and_is_closed_only_after_its_export() {
    let database = TestDatabase::new().await;
    let root = platform();
    answer(apply(&database, &root, &order("apollo", "k", true)).await);
    for (to, says) in [
        (TenantState::Closed, Err("tenants.state_conflict")),
        (TenantState::Draft, Err("tenants.state_conflict")),
        (TenantState::Active, Ok(())),
        (TenantState::PastDue, Ok(())),
        (TenantState::Trial, Err("tenants.state_conflict")),
        (TenantState::Suspended, Ok(())),
        (TenantState::Closed, Err("tenants.export_conflict")),
    ] {
        let verdict = apply(&database, &root, &step("apollo", to)).await;
        match says {
            Ok(()) => {
                answer(verdict);
                assert_eq!(state_of(&database, "apollo").await, to);
            }
            Err(code) => assert_eq!(refusal(verdict), code, "{to:?}"),
        }
    }
    assert!(matches!(
        apply(&database, &root, &step("apollo", TenantState::Suspended)).await,
        Verdict::Unchanged
    ));
    let export = RecordTenantExport {
        tenant: tenant("apollo"),
        manifest: "00".repeat(32),
        rows: 10,
        bodies: 2,
        actor: "root".to_owned(),
    };
    answer(apply(&database, &root, &export).await);
    answer(apply(&database, &root, &step("apollo", TenantState::Closed)).await);
    assert_eq!(
        refusal(apply(&database, &root, &step("apollo", TenantState::Active)).await),
        "tenants.state_conflict"
    );
    assert_eq!(
        refusal(apply(&database, &root, &step("nobody", TenantState::Active)).await),
        "tenants.unknown"
    );
    let trail = count(
        &database,
        &root,
        "select count(*) from audit.entries where object = 'tenant apollo'",
    )
    .await;
    assert_eq!(
        trail, 8,
        "made, two steps of it, three moves, export, closed"
    );
}

#[tokio::test]
async fn a_customer_makes_no_customers_and_sees_none_but_himself() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    assert_eq!(
        refusal(apply(&database, &demo, &order("apollo", "k", true)).await),
        "tenants.elsewhere_not_allowed"
    );
    assert_eq!(
        refusal(apply(&database, &demo, &step("platform", TenantState::Suspended)).await),
        "tenants.elsewhere_not_allowed"
    );
    assert_eq!(
        refusal(
            apply(
                &database,
                &platform(),
                &step("platform", TenantState::Suspended)
            )
            .await
        ),
        "tenants.platform_not_allowed"
    );
    let configured = [
        (demo.clone(), String::new()),
        (tenant("other"), "Other".to_owned()),
    ];
    tenants::ensure(database.pool(), &configured).await.unwrap();
    tenants::ensure(database.pool(), &configured).await.unwrap();
    assert_eq!(
        count(&database, &demo, "select count(*) from users.tenants").await,
        1
    );
    assert_eq!(
        count(&database, &platform(), "select count(*) from users.tenants").await,
        3
    );
    let mut tx = database.tx(&demo).await;
    let done = sqlx::query("update users.tenants set state = 'closed' where tenant_id = 'other'")
        .execute(tx.conn())
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 0);
    let error = sqlx::query(
        "insert into users.plans (code, name, updated_by) values ('mine', 'Mine', 'x')",
    )
    .execute(tx.conn())
    .await
    .unwrap_err();
    assert!(error.to_string().contains("row-level security"), "{error}");
}

/// T2
#[tokio::test]
async fn one_user_more_than_the_plan_has_is_refused_also_when_two_come_at_once() {
    let database = TestDatabase::new().await;
    let root = platform();
    answer(apply(&database, &root, &order("apollo", "k", true)).await);
    let apollo = tenant("apollo");
    let new = |name: &str| CreateUser {
        user_id: Uuid::now_v7(),
        username: name.to_owned(),
        display_name: "Somebody".to_owned(),
        password_hash: "$argon2id$".to_owned(),
        one_time_until: hours(72),
        actor: "admin".to_owned(),
    };
    let (asha, ravi) = (new("asha"), new("ravi"));
    let both = tokio::join!(
        apply(&database, &apollo, &asha),
        apply(&database, &apollo, &ravi)
    );
    let (made, refused) = match both {
        (Verdict::Applied { .. }, other) => (asha, other),
        (other, _) => (ravi, other),
    };
    assert_eq!(refusal(refused), "limit.users");
    let mut tx = database.tx(&apollo).await;
    let counted = queries::counted_users(tx.conn(), None).await.unwrap();
    assert_eq!(counted, 2);
    tx.rollback().await.unwrap();
    // who is shut out for good makes room, and needs room to come back
    let disable = |state| SetUserState {
        user_id: made.user_id,
        state,
        reason: "left".to_owned(),
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &apollo, &disable(UserState::Disabled)).await);
    user(&database, &apollo, "meera").await;
    assert_eq!(
        refusal(apply(&database, &apollo, &disable(UserState::Active)).await),
        "limit.users"
    );
    // a limit of one's own goes over the plan's; null takes it away
    let more = ChangeTenant {
        tenant: apollo.clone(),
        name: None,
        plan: None,
        limits: Some(BTreeMap::from([("users".to_owned(), None)])),
        version: None,
        actor: "root".to_owned(),
    };
    answer(apply(&database, &root, &more).await);
    answer(apply(&database, &apollo, &disable(UserState::Active)).await);
    // a plan is data: changed for all who have it
    let plan = DefinePlan {
        version: None,
        code: "trial".to_owned(),
        name: "Trial".to_owned(),
        limits: BTreeMap::from([("users".to_owned(), Some(3))]),
        features: Vec::new(),
        actor: "root".to_owned(),
    };
    assert_eq!(answer(apply(&database, &root, &plan).await)["version"], 2);
    let none = ChangeTenant {
        limits: Some(BTreeMap::new()),
        ..more
    };
    answer(apply(&database, &root, &none).await);
    assert_eq!(
        refusal(apply(&database, &apollo, &new("dev")).await),
        "limit.users"
    );
    let odd = DefinePlan {
        version: None,
        limits: BTreeMap::from([("beds".to_owned(), Some(3))]),
        ..plan
    };
    assert_eq!(
        refusal(apply(&database, &root, &odd).await),
        "tenants.limit_name"
    );
}
