//! A customer is noted, and made: all he needs in one transaction, once a provisioning key.

use hub_core::{Outgoing, Tx, Verdict};
use schemas::platform::{
    CreateTenant, FirstAdministrator, PLATFORM, TenantProvisioned, TenantState,
};
use serde_json::json;
use sqlx::types::Json;

use super::limits::{checked, is_plan};
use super::{Head, aggregate, moved, note, only_platform, refused, state_of};
use crate::users::is_username;
use crate::worker::{Asked, Done, Stop, moment};

/// Role of a tenant's first person.
const ADMINISTRATOR: &str = "administrator";

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
