//! Users: made, changed, shut out and let in again, given a password. Never deleted: the trail names them.

use hub_core::{Refusal, Tx, Verdict};
use schemas::identity::{ChangeUser, CreateUser, SetPassword, SetUserState, UserState};
use serde_json::json;
use sqlx::Row as _;
use uuid::Uuid;

use crate::patient_logins::Belongs;
use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop, moment};
use crate::{patient_logins, sessions, tenants};

pub(crate) fn unknown() -> Stop {
    Refusal::new("users.unknown", "no user has this id").into()
}

/// 2 to 64 of `a-z 0-9 . _ - @`, beginning with a letter or digit: safe in logs, headers, subjects and URLs.
#[must_use]
pub fn is_username(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-@".contains(&byte)
        })
        && text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric)
}

pub(crate) async fn create(tx: &mut Tx<'_>, asked: Asked<'_, CreateUser>) -> Done {
    let command = &asked.body;
    let until = moment("one_time_until", &command.one_time_until)?;
    if !is_username(&command.username) {
        return Err(Refusal::new("users.username_form", "the user name has not the form").into());
    }
    tenants::room_for_a_user(tx, None).await?;
    let tenant = tx.tenant().clone();
    let made = sqlx::query(
        "insert into users.users (tenant_id, id, username, display_name, password_hash, must_change, one_time_until, created_by)
         values ($1, $2, $3, $4, $5, true, $6, $7)
         on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.user_id)
    .bind(&command.username)
    .bind(&command.display_name)
    .bind(&command.password_hash)
    .bind(until)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(Refusal::new("users.username_exists", "a user has this name").into());
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.user.create",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id],
            reason: None,
            detail: json!({ "username": command.username }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "user_id": command.user_id, "username": command.username })),
    })
}

pub(crate) async fn change(tx: &mut Tx<'_>, asked: Asked<'_, ChangeUser>) -> Done {
    let command = &asked.body;
    let version: Option<i32> = sqlx::query_scalar(
        "update users.users set display_name = $2, version = version + 1, updated_at = now()
         where id = $1 and ($3::integer is null or version = $3) returning version",
    )
    .bind(command.user_id)
    .bind(&command.display_name)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    let Some(version) = version else {
        return Err(missing_or_stale(tx, command.user_id).await?);
    };
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.user.change",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id],
            reason: None,
            detail: json!({ "changed": ["display_name"] }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "user_id": command.user_id, "version": version })),
    })
}

async fn missing_or_stale(tx: &mut Tx<'_>, id: Uuid) -> Result<Stop, Stop> {
    let there: bool = sqlx::query_scalar("select exists (select from users.users where id = $1)")
        .bind(id)
        .fetch_one(tx.conn())
        .await?;
    Ok(if there {
        Refusal::new(
            "users.stale",
            "somebody changed it meanwhile: read it again",
        )
        .into()
    } else {
        unknown()
    })
}

pub(crate) async fn set_state(tx: &mut Tx<'_>, asked: Asked<'_, SetUserState>) -> Done {
    let command = &asked.body;
    let row = sqlx::query("select username, state from users.users where id = $1 for update")
        .bind(command.user_id)
        .fetch_optional(tx.conn())
        .await?
        .ok_or_else(unknown)?;
    let (username, before): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if before == command.state.as_str() {
        return Ok(Verdict::Unchanged);
    }
    // the last administrator must not be able to shut himself out
    if username == command.actor {
        return Err(Refusal::new(
            "users.own_state_not_allowed",
            "nobody shuts himself out or lets himself in",
        )
        .into());
    }
    match patient_logins::belongs(tx, command.user_id).await? {
        Belongs::NoMore => {
            return Err(Refusal::new(
                "logins.ended_conflict",
                "it was a patient's log-in and was ended: make another at the patient",
            )
            .into());
        }
        Belongs::ToNobody if before == UserState::Disabled.as_str() => {
            tenants::room_for_a_user(tx, Some(command.user_id)).await?;
        }
        // plans count who works here
        Belongs::ToNobody | Belongs::ToPatient => {}
    }
    sqlx::query(
        "update users.users set state = $2, state_reason = $3, version = version + 1, updated_at = now() where id = $1",
    )
    .bind(command.user_id)
    .bind(command.state.as_str())
    .bind(&command.reason)
    .execute(tx.conn())
    .await?;
    let mut ended = 0;
    if command.state != UserState::Active {
        ended =
            sessions::end_all(tx, command.user_id, None, &command.actor, "user_shut_out").await?;
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.user.set_state",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id],
            reason: Some(&command.reason),
            detail: json!({ "from": before, "to": command.state, "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "user_id": command.user_id, "state": command.state })),
    })
}

pub(crate) async fn set_password(tx: &mut Tx<'_>, asked: Asked<'_, SetPassword>) -> Done {
    let command = &asked.body;
    let until = command
        .one_time_until
        .as_deref()
        .map(|text| moment("one_time_until", text))
        .transpose()?;
    let done = sqlx::query(
        "update users.users
         set password_hash = $2, must_change = $3, one_time_until = $4, password_set_at = now(), version = version + 1,
             updated_at = now()
         where id = $1 and ($5::text is null or encode(sha256(convert_to(password_hash, 'UTF8')), 'hex') = $5)",
    )
    .bind(command.user_id)
    .bind(&command.password_hash)
    .bind(until.is_some())
    .bind(until)
    .bind(&command.replaces)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(missing_or_stale(tx, command.user_id).await?);
    }
    let ended = sessions::end_all(
        tx,
        command.user_id,
        command.keep_session,
        &command.actor,
        "password_changed",
    )
    .await?;
    let reset = command.replaces.is_none();
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: if reset {
                "users.password.reset"
            } else {
                "users.password.change"
            },
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id],
            reason: None,
            detail: json!({ "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "user_id": command.user_id, "sessions_ended": ended })),
    })
}
