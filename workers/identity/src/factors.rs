//! Second factors: a TOTP secret that is enrolled, confirmed and used up step by step, and codes for the day it is lost.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_core::{Refusal, Tx, Verdict};
use schemas::identity::{ConfirmFactor, EnrolFactor, ProveFactor, RemoveFactor};
use serde_json::json;

use crate::sessions;
use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop, digest};

fn unknown() -> Stop {
    Refusal::new("factors.unknown", "there is no such second factor").into()
}

pub(crate) async fn enrol(tx: &mut Tx<'_>, asked: Asked<'_, EnrolFactor>) -> Done {
    let command = &asked.body;
    let sealed = STANDARD
        .decode(&command.sealed)
        .map_err(|_| Refusal::new("factors.form", "`sealed` is no base64"))?;
    let active: bool = sqlx::query_scalar(
        "select exists (select from users.factors where user_id = $1 and state = 'active')",
    )
    .bind(command.user_id)
    .fetch_one(tx.conn())
    .await?;
    if active {
        return Err(Refusal::new(
            "factors.exists",
            "there is a second factor: remove it before another is enrolled",
        )
        .into());
    }
    sqlx::query(
        "update users.factors set state = 'removed', ended_at = now(), ended_by = $2
         where user_id = $1 and state = 'pending'",
    )
    .bind(command.user_id)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    let tenant = tx.tenant().clone();
    let made = sqlx::query(
        "insert into users.factors (tenant_id, id, user_id, kind, sealed)
         select $1, $2, u.id, 'totp', $4 from users.users u where u.id = $3",
    )
    .bind(tenant.as_str())
    .bind(command.factor_id)
    .bind(command.user_id)
    .bind(sealed)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(crate::users::unknown());
    }
    Ok(Verdict::applied())
}

pub(crate) async fn confirm(tx: &mut Tx<'_>, asked: Asked<'_, ConfirmFactor>) -> Done {
    let command = &asked.body;
    let digests = command
        .recovery
        .iter()
        .map(|text| digest("recovery", text))
        .collect::<Result<Vec<_>, _>>()?;
    let done = sqlx::query(
        "update users.factors set state = 'active', last_step = $3, confirmed_at = now()
         where id = $1 and user_id = $2 and state = 'pending'",
    )
    .bind(command.factor_id)
    .bind(command.user_id)
    .bind(command.step)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(unknown());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into users.recovery_codes (tenant_id, factor_id, digest) select $1, $2, unnest($3::bytea[])",
    )
    .bind(tenant.as_str())
    .bind(command.factor_id)
    .bind(&digests)
    .execute(tx.conn())
    .await?;
    let ended = sessions::end_all(
        tx,
        command.user_id,
        command.keep_session,
        &command.actor,
        "factor_enrolled",
    )
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.factor.enrol",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.factor_id],
            reason: None,
            detail: json!({ "kind": "totp", "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::applied())
}

pub(crate) async fn prove(tx: &mut Tx<'_>, asked: Asked<'_, ProveFactor>) -> Done {
    let command = &asked.body;
    let replayed = || Refusal::new("factors.already_used", "this code was used before");
    match (command.step, command.recovery.as_deref()) {
        (Some(step), None) => {
            let done = sqlx::query(
                "update users.factors set last_step = $2 where id = $1 and state = 'active' and last_step < $2",
            )
            .bind(command.factor_id)
            .bind(step)
            .execute(tx.conn())
            .await?;
            if done.rows_affected() == 0 {
                return Err(replayed().into());
            }
            Ok(Verdict::applied())
        }
        (None, Some(code)) => {
            let done = sqlx::query(
                "update users.recovery_codes c set used_at = now() from users.factors f
                 where c.factor_id = $1 and c.digest = $2 and c.used_at is null and f.id = c.factor_id and f.state = 'active'",
            )
            .bind(command.factor_id)
            .bind(digest("recovery", code)?)
            .execute(tx.conn())
            .await?;
            if done.rows_affected() == 0 {
                return Err(replayed().into());
            }
            trail::note(
                tx,
                asked.envelope,
                Entry {
                    actor: &command.actor,
                    action: "auth.recovery_code.use",
                    object: format!("factor {}", command.factor_id),
                    objects: vec![command.factor_id],
                    reason: None,
                    detail: json!({}),
                },
            )
            .await?;
            Ok(Verdict::applied())
        }
        _ => Err(Refusal::new("factors.form", "either a step or a recovery code").into()),
    }
}

pub(crate) async fn remove(tx: &mut Tx<'_>, asked: Asked<'_, RemoveFactor>) -> Done {
    let command = &asked.body;
    let done = sqlx::query(
        "update users.factors set state = 'removed', ended_at = now(), ended_by = $2
         where user_id = $1 and state in ('active', 'pending')",
    )
    .bind(command.user_id)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(unknown());
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.factor.remove",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id],
            reason: Some(&command.reason),
            detail: json!({ "kind": "totp" }),
        },
    )
    .await?;
    Ok(Verdict::applied())
}
