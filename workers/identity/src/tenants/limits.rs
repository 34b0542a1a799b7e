//! Plans as data, and the limits that hold.

use hub_core::{Tx, Verdict};
use schemas::platform::{DefinePlan, LIMITS, Limits};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use super::{only_platform, refused};
use crate::queries;
use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop};

/// Whether so much of a limit is used that those who run the installation should know: four fifths.
#[must_use]
pub fn is_near(used: u32, most: u32) -> bool {
    u64::from(used) * 5 >= u64::from(most) * 4
}

/// Limits that there are.
pub(super) fn checked(limits: &Limits) -> Result<(), Stop> {
    match limits.keys().find(|name| !LIMITS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(refused(
            "tenants.limit_name",
            format!("`{name}` is no limit; there are: {}", LIMITS.join(", ")),
        )),
    }
}

pub(super) async fn is_plan(tx: &mut Tx<'_>, code: &str) -> Result<(), Stop> {
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
    // whoever saw a version changes that one: where there is none any insert is one too many
    let version: Option<i32> = sqlx::query_scalar(
        "insert into users.plans as p (code, name, limits, features, updated_by)
         select $1, $2, $3, $4, $5
         where coalesce($6, 0) = 0 or exists (select from users.plans where code = $1)
         on conflict (code) do update set name = excluded.name, limits = excluded.limits, features = excluded.features,
             updated_by = excluded.updated_by, updated_at = now(), version = p.version + 1
             where $6::integer is null or p.version = $6
         returning version",
    )
    .bind(&command.code)
    .bind(&command.name)
    .bind(Json(&command.limits))
    .bind(&command.features)
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    let Some(version) = version else {
        return Err(refused(
            "plans.stale",
            "somebody changed the plan meanwhile, or it is not there: read it again",
        ));
    };
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

/// Refuses one user more than the tenant may have, patients not counted. The tenant's row is locked, so that of two at once one counts the other.
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
    let there = queries::counted_users(tx.conn(), but).await?;
    if i64::from(there) < most {
        return Ok(());
    }
    Err(refused(
        "limit.users",
        format!("the plan has {most} users, and there are as many: disable one, or ask for more"),
    ))
}
