//! Passkeys: added, renamed, removed, used. What their authenticators say was verified by `hub/api`; that a challenge is answered
//! once and that a counter never goes back is kept here, where two at once are one after the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_core::{Refusal, Tx, Verdict};
use schemas::sign_in::{AddPasskey, RemovePasskeys, RenamePasskey, UsePasskey};
use serde_json::json;

use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop};
use crate::{challenge, sessions, users};

/// More than a person has devices; fewer than a list that nobody reads.
const MOST: i64 = 20;

fn unknown() -> Stop {
    Refusal::new("passkeys.unknown", "there is no such passkey").into()
}

fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, Stop> {
    STANDARD
        .decode(text)
        .map_err(|_| Refusal::new("passkeys.form", format!("`{field}` is no base64")).into())
}

pub(crate) async fn add(tx: &mut Tx<'_>, asked: Asked<'_, AddPasskey>) -> Done {
    let command = &asked.body;
    let credential = bytes("credential_id", &command.credential_id)?;
    let key = bytes("public_key", &command.public_key)?;
    let state = bytes("state", &command.state)?;
    challenge::use_up(tx, &command.challenge).await?;
    let held: i64 = sqlx::query_scalar(
        "select count(*) from users.passkeys where user_id = $1 and ended_at is null",
    )
    .bind(command.user_id)
    .fetch_one(tx.conn())
    .await?;
    if held >= MOST {
        return Err(Refusal::new(
            "passkeys.too_many",
            format!("a user has {MOST} passkeys at most: remove one first"),
        )
        .into());
    }
    let there: bool = sqlx::query_scalar("select exists (select from users.users where id = $1)")
        .bind(command.user_id)
        .fetch_one(tx.conn())
        .await?;
    if !there {
        return Err(users::unknown());
    }
    let tenant = tx.tenant().clone();
    let made = sqlx::query(
        "insert into users.passkeys (tenant_id, id, user_id, name, credential_id, public_key, state, sign_count, transports, synced)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict on constraint passkeys_credential do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.passkey_id)
    .bind(command.user_id)
    .bind(&command.name)
    .bind(credential)
    .bind(key)
    .bind(state)
    .bind(i64::from(command.sign_count))
    .bind(i16::from(command.transports))
    .bind(command.synced)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(Refusal::new("passkeys.exists", "this passkey was registered before").into());
    }
    let ended = sessions::end_all(
        tx,
        command.user_id,
        command.keep_session,
        &command.actor,
        "passkey_added",
    )
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.passkey.add",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.passkey_id],
            reason: None,
            detail: json!({ "name": command.name, "synced": command.synced, "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "passkey_id": command.passkey_id, "sessions_ended": ended })),
    })
}

pub(crate) async fn rename(tx: &mut Tx<'_>, asked: Asked<'_, RenamePasskey>) -> Done {
    let command = &asked.body;
    let done = sqlx::query(
        "update users.passkeys set name = $3 where id = $1 and user_id = $2 and ended_at is null",
    )
    .bind(command.passkey_id)
    .bind(command.user_id)
    .bind(&command.name)
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
            action: "auth.passkey.rename",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.passkey_id],
            reason: None,
            detail: json!({ "name": command.name }),
        },
    )
    .await?;
    Ok(Verdict::applied())
}

pub(crate) async fn remove(tx: &mut Tx<'_>, asked: Asked<'_, RemovePasskeys>) -> Done {
    let command = &asked.body;
    let done = sqlx::query(
        "update users.passkeys set ended_at = now(), ended_by = $3, end_reason = $4
         where user_id = $1 and ($2::uuid is null or id = $2) and ended_at is null",
    )
    .bind(command.user_id)
    .bind(command.passkey_id)
    .bind(&command.actor)
    .bind(&command.reason)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(unknown());
    }
    // whoever has the key that was lost may be in already; a session does not say which of the keys opened it
    let ended = sessions::end_opened_by(
        tx,
        command.user_id,
        "pop",
        command.keep_session,
        &command.actor,
        "passkey_removed",
    )
    .await?;
    let mut objects = vec![command.user_id];
    objects.extend(command.passkey_id);
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.passkey.remove",
            object: format!("user {}", command.user_id),
            objects,
            reason: Some(&command.reason),
            detail: json!({ "passkeys": done.rows_affected(), "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "passkeys_removed": done.rows_affected(), "sessions_ended": ended })),
    })
}

/// That there may be two of one authenticator must be on record, so it is no refusal: the answer tells.
pub(crate) async fn use_it(tx: &mut Tx<'_>, asked: Asked<'_, UsePasskey>) -> Done {
    let command = &asked.body;
    let state = bytes("state", &command.state)?;
    challenge::use_up(tx, &command.challenge).await?;
    // the row is the lock: of two that show one count the second finds it taken
    let before: Option<i64> = sqlx::query_scalar(
        "select sign_count from users.passkeys where id = $1 and user_id = $2 and ended_at is null for update",
    )
    .bind(command.passkey_id)
    .bind(command.user_id)
    .fetch_optional(tx.conn())
    .await?;
    let before = before.ok_or_else(unknown)?;
    let done = sqlx::query(
        "update users.passkeys set sign_count = $2, state = $3, synced = $4, last_used_at = now()
         where id = $1 and (sign_count < $2 or (sign_count = 0 and $2 = 0))",
    )
    .bind(command.passkey_id)
    .bind(i64::from(command.sign_count))
    .bind(state)
    .bind(command.synced)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 {
        return Ok(outcome("used"));
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.passkey_counter",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.passkey_id],
            reason: Some("the authenticator's counter did not go on: there may be a copy of it"),
            detail: json!({ "before": before, "shown": command.sign_count }),
        },
    )
    .await?;
    Ok(outcome("counter"))
}

fn outcome(word: &str) -> Verdict {
    Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "outcome": word })),
    }
}
