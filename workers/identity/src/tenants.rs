//! Customers of the installation: noted, made, changed, moved through their life. All of it happens in transactions of the
//! tenant `platform`, whose rows the list of tenants is; what a new tenant needs of its own is written as that tenant.

use hub_core::{Outgoing, Refusal, Tx, Verdict};
use schemas::TenantId;
use schemas::platform::{
    ChangeTenant, CreateTenant, DefinePlan, PLATFORM, RecordTenantExport, SetTenantState,
    TenantState, TenantStateChanged,
};
use serde_json::json;
use sqlx::PgPool;
use sqlx::types::Json;

use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop};

mod limits;
mod making;
pub use limits::is_near;
use limits::{checked, is_plan};
pub(crate) use limits::{define_plan, room_for_a_user};
pub(crate) use making::create;

/// Plan of tenants that stand in the configuration: it is their operator's own machine.
const UNLIMITED: &str = "unlimited";

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

/// Commands about one tenant follow each other.
#[must_use]
pub fn aggregate(tenant: &TenantId) -> String {
    format!("tenant:{tenant}")
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
