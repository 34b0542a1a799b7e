//! Customers of the installation: noted, made, changed, moved through their life. All of it happens in transactions of the
//! tenant `platform`, whose rows the list of tenants is; what a new tenant needs of its own is written as that tenant.

use hub_core::{Outgoing, Refusal, Tx, Verdict};
use schemas::TenantId;
use schemas::platform::{
    ChangeTenant, CreateTenant, DefinePlan, FirstAdministrator, LIMITS, Limits, PLATFORM,
    RecordTenantExport, SetTenantState, TenantProvisioned, TenantState, TenantStateChanged,
};
use serde_json::json;
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use crate::trail::{self, Entry};
use crate::users::is_username;
use crate::worker::{Asked, Done, Stop, moment};

/// Plan of tenants that stand in the configuration: it is their operator's own machine.
const UNLIMITED: &str = "unlimited";
/// Role of a tenant's first person.
const ADMINISTRATOR: &str = "administrator";

fn refused(code: &'static str, detail: impl Into<String>) -> Stop {
    Refusal::new(code, detail).into()
}

fn no_tenant() -> Stop {
    refused("tenants.unknown", "there is no such tenant")
}

/// Customers do not make customers.
fn only_platform(tx: &Tx<'_>) -> Result<(), Stop> {
    if tx.tenant().as_str() == PLATFORM {
        Ok(())
    } else {
        Err(refused(
            "tenants.elsewhere_not_allowed",
            "only those who run the installation do that",
        ))
    }
}

fn checked(limits: &Limits) -> Result<(), Stop> {
    match limits.keys().find(|name| !LIMITS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(refused(
            "tenants.limit_name",
            format!("`{name}` is no limit; there are: {}", LIMITS.join(", ")),
        )),
    }
}

async fn is_plan(tx: &mut Tx<'_>, code: &str) -> Result<(), Stop> {
    let there: bool = sqlx::query_scalar("select exists (select from users.plans where code = $1)")
        .bind(code)
        .fetch_one(tx.conn())
        .await?;
    if there {
        Ok(())
    } else {
        Err(refused("tenants.plan", "there is no such plan"))
    }
}

#[derive(sqlx::FromRow)]
struct Head {
    tenant_id: String,
    state: String,
    plan: String,
    version: i32,
}

async fn of(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<Head>, sqlx::Error> {
    sqlx::query_as(
        "select tenant_id, state, plan, version from users.tenants where tenant_id = $1 for update",
    )
    .bind(tenant.as_str())
    .fetch_optional(tx.conn())
    .await
}

fn state_of(head: &Head) -> Result<TenantState, Stop> {
    TenantState::parse(&head.state).ok_or_else(|| {
        refused(
            "tenants.state",
            "its state is one that this release does not know",
        )
    })
}

pub(crate) async fn create(tx: &mut Tx<'_>, asked: Asked<'_, CreateTenant>) -> Done {
    only_platform(tx)?;
    let command = &asked.body;
    checked(&command.limits)?;
    if command.provisioning_key.trim().is_empty() || command.provisioning_key.len() > 200 {
        return Err(refused(
            "tenants.key_form",
            "a provisioning key has 1 to 200 bytes",
        ));
    }
    is_plan(tx, &command.plan).await?;
    // the two unique names decide; whoever comes second reads what the first made
    let made = sqlx::query(
        "insert into users.tenants (tenant_id, name, state, plan, limits, provisioning_key, created_by)
         values ($1, $2, 'draft', $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(command.tenant.as_str())
    .bind(&command.name)
    .bind(&command.plan)
    .bind(Json(&command.limits))
    .bind(&command.provisioning_key)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?
    .rows_affected()
        == 1;
    let head: Option<Head> = sqlx::query_as(
        "select tenant_id, state, plan, version from users.tenants where provisioning_key = $1 for update",
    )
    .bind(&command.provisioning_key)
    .fetch_optional(tx.conn())
    .await?;
    let Some(head) = head else {
        return Err(refused(
            "tenants.exists",
            "a tenant of this name was made under another key",
        ));
    };
    if head.tenant_id != command.tenant.as_str() {
        return Err(refused(
            "tenants.key_in_use",
            format!("this key made the tenant {}", head.tenant_id),
        ));
    }
    if made {
        note(
            tx,
            &asked,
            &command.tenant,
            "platform.tenant.create",
            None,
            json!({ "plan": command.plan, "limits": command.limits }),
        )
        .await?;
    }
    let mut outgoing = Vec::new();
    let mut state = state_of(&head)?;
    let mut provisioned = false;
    if let (Some(administrator), TenantState::Draft) = (&command.administrator, state) {
        first_person(tx, &asked, administrator).await?;
        for next in [TenantState::Provisioning, TenantState::Trial] {
            let number = u32::try_from(outgoing.len()).unwrap_or(u32::MAX);
            outgoing.push(
                moved(
                    tx,
                    &asked,
                    &command.tenant,
                    state,
                    next,
                    "provisioned",
                    number,
                )
                .await?,
            );
            state = next;
        }
        let said = TenantProvisioned {
            tenant: command.tenant.clone(),
            plan: head.plan.clone(),
        };
        outgoing.push(Outgoing::new(
            asked.envelope,
            2,
            aggregate(&command.tenant),
            &said,
        ));
        provisioned = true;
    }
    Ok(Verdict::Applied {
        outgoing,
        answer: Some(json!({
            "tenant": command.tenant, "state": state, "created": made, "provisioned": provisioned,
        })),
    })
}

/// Commands about one tenant follow each other.
#[must_use]
pub fn aggregate(tenant: &TenantId) -> String {
    format!("tenant:{tenant}")
}

/// Who makes the tenant's other people. Written as the tenant: its policies hold for these rows too.
async fn first_person(
    tx: &mut Tx<'_>,
    asked: &Asked<'_, CreateTenant>,
    person: &FirstAdministrator,
) -> Result<(), Stop> {
    if !is_username(&person.username) {
        return Err(refused(
            "users.username_form",
            "the user name has not the form",
        ));
    }
    let until = moment("one_time_until", &person.one_time_until)?;
    let command = &asked.body;
    act_as(tx, command.tenant.as_str()).await?;
    sqlx::query(
        "insert into users.users (tenant_id, id, username, display_name, password_hash, must_change, one_time_until, created_by)
         values ($1, $2, $3, $4, $5, true, $6, $7)",
    )
    .bind(command.tenant.as_str())
    .bind(person.user_id)
    .bind(&person.username)
    .bind(&person.display_name)
    .bind(&person.password_hash)
    .bind(until)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "insert into users.grants (tenant_id, id, user_id, role, granted_by) values ($1, $2, $3, $4, $5)",
    )
    .bind(command.tenant.as_str())
    .bind(asked.envelope.follower_id(100))
    .bind(person.user_id)
    .bind(ADMINISTRATOR)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, objects, causes, detail)
         values ($1, $2, 'users.user.create', $3, array[$4], array[$5], $6)",
    )
    .bind(command.tenant.as_str())
    .bind(format!("{PLATFORM}:{}", command.actor))
    .bind(format!("user {}", person.user_id))
    .bind(person.user_id)
    .bind(asked.envelope.id)
    .bind(Json(
        json!({ "username": person.username, "role": ADMINISTRATOR }),
    ))
    .execute(tx.conn())
    .await?;
    act_as(tx, PLATFORM).await
}

async fn act_as(tx: &mut Tx<'_>, tenant: &str) -> Result<(), Stop> {
    sqlx::query("select set_config('hub.tenant', $1, true)")
        .bind(tenant)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn moved<T>(
    tx: &mut Tx<'_>,
    asked: &Asked<'_, T>,
    tenant: &TenantId,
    from: TenantState,
    to: TenantState,
    reason: &str,
    number: u32,
) -> Result<Outgoing, Stop>
where
    T: Acting,
{
    if !from.allowed().contains(&to) {
        let allowed: Vec<&str> = from.allowed().iter().map(|state| state.as_str()).collect();
        return Err(refused(
            "tenants.state_conflict",
            format!(
                "from {} to {} is no way; allowed: {}",
                from.as_str(),
                to.as_str(),
                if allowed.is_empty() {
                    "none".to_owned()
                } else {
                    allowed.join(", ")
                }
            ),
        ));
    }
    sqlx::query(
        "update users.tenants set state = $2, state_reason = $3, state_since = now(), version = version + 1, updated_at = now()
         where tenant_id = $1",
    )
    .bind(tenant.as_str())
    .bind(to.as_str())
    .bind(reason)
    .execute(tx.conn())
    .await?;
    note(
        tx,
        asked,
        tenant,
        "platform.tenant.set_state",
        Some(reason),
        json!({ "from": from, "to": to }),
    )
    .await?;
    let said = TenantStateChanged {
        tenant: tenant.clone(),
        from,
        to,
        reason: reason.to_owned(),
    };
    Ok(Outgoing::new(
        asked.envelope,
        number,
        aggregate(tenant),
        &said,
    ))
}

/// Commands that name who acts.
pub(crate) trait Acting {
    fn actor(&self) -> &str;
}

macro_rules! acting {
    ($($body:ty),+) => { $(impl Acting for $body {
        fn actor(&self) -> &str {
            &self.actor
        }
    })+ };
}
acting!(
    CreateTenant,
    ChangeTenant,
    SetTenantState,
    RecordTenantExport,
    DefinePlan
);

async fn note<T>(
    tx: &mut Tx<'_>,
    asked: &Asked<'_, T>,
    tenant: &TenantId,
    action: &'static str,
    reason: Option<&str>,
    detail: serde_json::Value,
) -> Result<(), Stop>
where
    T: Acting,
{
    let entry = Entry {
        actor: asked.body.actor(),
        action,
        object: format!("tenant {tenant}"),
        objects: Vec::new(),
        reason,
        detail,
    };
    Ok(trail::note(tx, asked.envelope, entry).await?)
}

pub(crate) async fn set_state(tx: &mut Tx<'_>, asked: Asked<'_, SetTenantState>) -> Done {
    only_platform(tx)?;
    let command = &asked.body;
    if command.tenant.as_str() == PLATFORM {
        return Err(refused(
            "tenants.platform_not_allowed",
            "who runs the installation has no such life",
        ));
    }
    let head = of(tx, &command.tenant).await?.ok_or_else(no_tenant)?;
    let from = state_of(&head)?;
    if from == command.state {
        return Ok(Verdict::Unchanged);
    }
    let exported: bool = sqlx::query_scalar(
        "select exported_at > state_since from users.tenants where tenant_id = $1",
    )
    .bind(command.tenant.as_str())
    .fetch_one(tx.conn())
    .await
    .map(|found: Option<bool>| found.unwrap_or(false))?;
    if from == TenantState::Suspended && command.state == TenantState::Closed && !exported {
        return Err(refused(
            "tenants.export_conflict",
            "before a tenant is closed all it has is exported while it is suspended: hub tenant export",
        ));
    }
    let said = moved(
        tx,
        &asked,
        &command.tenant,
        from,
        command.state,
        &command.reason,
        0,
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: vec![said],
        answer: Some(
            json!({ "tenant": command.tenant, "state": command.state, "version": head.version + 1 }),
        ),
    })
}

pub(crate) async fn change(tx: &mut Tx<'_>, asked: Asked<'_, ChangeTenant>) -> Done {
    only_platform(tx)?;
    let command = &asked.body;
    if let Some(limits) = &command.limits {
        checked(limits)?;
    }
    if let Some(plan) = &command.plan {
        is_plan(tx, plan).await?;
    }
    let head = of(tx, &command.tenant).await?.ok_or_else(no_tenant)?;
    if command.version.is_some_and(|seen| seen != head.version) {
        return Err(refused(
            "tenants.stale",
            "somebody changed it meanwhile: read it again",
        ));
    }
    sqlx::query(
        "update users.tenants set name = coalesce($2, name), plan = coalesce($3, plan), limits = coalesce($4, limits),
             version = version + 1, updated_at = now() where tenant_id = $1",
    )
    .bind(command.tenant.as_str())
    .bind(&command.name)
    .bind(&command.plan)
    .bind(command.limits.as_ref().map(Json))
    .execute(tx.conn())
    .await?;
    note(
        tx,
        &asked,
        &command.tenant,
        "platform.tenant.change",
        None,
        json!({ "plan": command.plan, "limits": command.limits, "renamed": command.name.is_some() }),
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "tenant": command.tenant, "version": head.version + 1 })),
    })
}

pub(crate) async fn exported(tx: &mut Tx<'_>, asked: Asked<'_, RecordTenantExport>) -> Done {
    only_platform(tx)?;
    let command = &asked.body;
    let done = sqlx::query("update users.tenants set exported_at = now() where tenant_id = $1")
        .bind(command.tenant.as_str())
        .execute(tx.conn())
        .await?;
    if done.rows_affected() == 0 {
        return Err(no_tenant());
    }
    note(
        tx,
        &asked,
        &command.tenant,
        "platform.tenant.export",
        None,
        json!({ "manifest": command.manifest, "rows": command.rows, "bodies": command.bodies }),
    )
    .await?;
    Ok(Verdict::applied())
}

pub(crate) async fn define_plan(tx: &mut Tx<'_>, asked: Asked<'_, DefinePlan>) -> Done {
    only_platform(tx)?;
    let command = &asked.body;
    checked(&command.limits)?;
    let form = command.code.len() >= 2
        && command.code.len() <= 40
        && command.code.bytes().enumerate().all(|(at, byte)| {
            byte.is_ascii_lowercase() || (at > 0 && (byte.is_ascii_digit() || byte == b'_'))
        });
    if !form {
        return Err(refused(
            "plans.code_form",
            "a plan's code is 2 to 40 of a-z, 0-9 and _",
        ));
    }
    let version: i32 = sqlx::query_scalar(
        "insert into users.plans (code, name, limits, features, updated_by) values ($1, $2, $3, $4, $5)
         on conflict (code) do update set name = excluded.name, limits = excluded.limits, features = excluded.features,
             updated_by = excluded.updated_by, updated_at = now(), version = users.plans.version + 1
         returning version",
    )
    .bind(&command.code)
    .bind(&command.name)
    .bind(Json(&command.limits))
    .bind(&command.features)
    .bind(&command.actor)
    .fetch_one(tx.conn())
    .await?;
    let entry = Entry {
        actor: &command.actor,
        action: "platform.plan.define",
        object: format!("plan {}", command.code),
        objects: Vec::new(),
        reason: None,
        detail: json!({ "limits": command.limits, "features": command.features, "version": version }),
    };
    trail::note(tx, asked.envelope, entry).await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "code": command.code, "version": version })),
    })
}

/// Refuses one user more than the tenant may have. The tenant's row is locked, so that of two at once one counts the other.
pub(crate) async fn room_for_a_user(tx: &mut Tx<'_>, but: Option<Uuid>) -> Result<(), Stop> {
    let tenant = tx.tenant().clone();
    let most: Option<i64> = sqlx::query_scalar(
        "select ((p.limits || t.limits) ->> 'users')::bigint
         from users.tenants t join users.plans p on p.code = t.plan where t.tenant_id = $1 for update of t",
    )
    .bind(tenant.as_str())
    .fetch_optional(tx.conn())
    .await?
    .flatten();
    let Some(most) = most else {
        return Ok(());
    };
    let there: i64 = sqlx::query_scalar(
        "select count(*) from users.users where state <> 'disabled' and ($1::uuid is null or id <> $1)",
    )
    .bind(but)
    .fetch_one(tx.conn())
    .await?;
    if there < most {
        return Ok(());
    }
    Err(refused(
        "limit.users",
        format!("the plan has {most} users, and there are as many: disable one, or ask for more"),
    ))
}

/// Puts the tenants of the configuration on the list; those that are there stay as they are.
///
/// # Errors
/// The database is out of reach.
pub async fn ensure(pool: &PgPool, tenants: &[(TenantId, String)]) -> Result<(), sqlx::Error> {
    let mut tx = Tx::begin(pool, &schemas::platform::platform()).await?;
    for (tenant, name) in tenants {
        let name = if name.is_empty() {
            tenant.as_str()
        } else {
            name
        };
        sqlx::query(
            "insert into users.tenants (tenant_id, name, state, plan, created_by) values ($1, $2, 'active', $3, 'configuration')
             on conflict do nothing",
        )
        .bind(tenant.as_str())
        .bind(name)
        .bind(UNLIMITED)
        .execute(tx.conn())
        .await?;
    }
    tx.commit().await
}

/// Every tenant there is, the installation's own among them.
///
/// # Errors
/// The database is out of reach.
pub async fn all(pool: &PgPool) -> Result<Vec<TenantId>, sqlx::Error> {
    let mut tx = Tx::begin(pool, &schemas::platform::platform()).await?;
    let names: Vec<String> =
        sqlx::query_scalar("select tenant_id from users.tenants order by tenant_id")
            .fetch_all(tx.conn())
            .await?;
    tx.rollback().await?;
    Ok(names
        .into_iter()
        .filter_map(|name| TenantId::new(name).ok())
        .collect())
}
