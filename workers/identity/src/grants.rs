//! Grants: a role for a user, at a place, for a time.

use hub_core::{Outgoing, Refusal, Tx, Verdict};
use schemas::identity::{EndGrant, GiveGrant, GrantChanged};
use serde_json::json;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, moment};
use crate::{patient_logins, roles, users};

pub(crate) async fn give(tx: &mut Tx<'_>, asked: Asked<'_, GiveGrant>) -> Done {
    let command = &asked.body;
    if command.department.is_some() && command.facility.is_none() {
        return Err(Refusal::new("grants.place", "a department needs its facility").into());
    }
    let starts = match &command.starts_at {
        Some(text) => moment("starts_at", text)?,
        None => OffsetDateTime::now_utc(),
    };
    let ends = match &command.ends_at {
        Some(text) => Some(moment("ends_at", text)?),
        None => None,
    };
    if ends.is_some_and(|ends| ends <= starts) {
        return Err(Refusal::new("grants.time", "it would end before it starts").into());
    }
    let there: bool = sqlx::query_scalar("select exists (select from users.users where id = $1)")
        .bind(command.user_id)
        .fetch_one(tx.conn())
        .await?;
    if !there {
        return Err(users::unknown());
    }
    // a patient is no member of staff, and nobody becomes a patient by a grant
    let of_patient =
        patient_logins::belongs(tx, command.user_id).await? != patient_logins::Belongs::ToNobody;
    if of_patient || command.role == patient_logins::ROLE {
        return Err(Refusal::new(
            "grants.patient_conflict",
            "patients have the role of patients by their log-in, and no other; nobody else has it",
        )
        .into());
    }
    let known = roles::find(&command.role).is_some()
        || sqlx::query_scalar(
            "select exists (select from users.roles where code = $1 and state = 'active')",
        )
        .bind(&command.role)
        .fetch_one(tx.conn())
        .await?;
    if !known {
        return Err(Refusal::new("grants.role", "there is no such role").into());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into users.grants (tenant_id, id, user_id, role, facility, department, starts_at, ends_at, granted_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant.as_str())
    .bind(command.grant_id)
    .bind(command.user_id)
    .bind(&command.role)
    .bind(&command.facility)
    .bind(&command.department)
    .bind(starts)
    .bind(ends)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.grant.give",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.grant_id],
            reason: None,
            detail: json!({
                "role": command.role, "facility": command.facility, "department": command.department,
                "starts_at": command.starts_at, "ends_at": command.ends_at,
            }),
        },
    )
    .await?;
    Ok(changed(
        &asked.body.actor,
        asked.envelope,
        command.user_id,
        command.grant_id,
        &command.role,
        true,
    ))
}

pub(crate) async fn end(tx: &mut Tx<'_>, asked: Asked<'_, EndGrant>) -> Done {
    let command = &asked.body;
    let row =
        sqlx::query("select user_id, role, ended_at from users.grants where id = $1 for update")
            .bind(command.grant_id)
            .fetch_optional(tx.conn())
            .await?
            .ok_or_else(|| Refusal::new("grants.unknown", "no grant has this id"))?;
    let (user, role): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
    if row.try_get::<Option<OffsetDateTime>, _>(2)?.is_some() {
        return Ok(Verdict::Unchanged);
    }
    sqlx::query(
        "update users.grants set ended_at = now(), ended_by = $2, end_reason = $3 where id = $1",
    )
    .bind(command.grant_id)
    .bind(&command.actor)
    .bind(&command.reason)
    .execute(tx.conn())
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.grant.end",
            object: format!("user {user}"),
            objects: vec![user, command.grant_id],
            reason: Some(&command.reason),
            detail: json!({ "role": role }),
        },
    )
    .await?;
    Ok(changed(
        &command.actor,
        asked.envelope,
        user,
        command.grant_id,
        &role,
        false,
    ))
}

fn changed(
    by: &str,
    cause: &hub_core::Envelope,
    user_id: Uuid,
    grant_id: Uuid,
    role: &str,
    given: bool,
) -> Verdict {
    let event = GrantChanged {
        user_id,
        grant_id,
        role: role.to_owned(),
        given,
        by: by.to_owned(),
    };
    Verdict::Applied {
        outgoing: vec![Outgoing::new(cause, 0, format!("user/{user_id}"), &event)],
        answer: Some(json!({ "grant_id": grant_id, "user_id": user_id, "given": given })),
    }
}
