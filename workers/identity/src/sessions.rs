//! Sessions: opened by a sign-in, carried on by refresh tokens that are good once, ended by hand or by theft.

use hub_core::{Refusal, Tx, Verdict};
use schemas::identity::{EndSessions, OpenSession, RotateSession};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, digest, moment};

pub(crate) async fn open(tx: &mut Tx<'_>, asked: Asked<'_, OpenSession>) -> Done {
    let command = &asked.body;
    let refresh = digest("refresh_digest", &command.refresh_digest)?;
    let refresh_until = moment("refresh_until", &command.refresh_until)?;
    let expires = moment("expires_at", &command.expires_at)?;
    let tenant = tx.tenant().clone();
    let opened = sqlx::query(
        "insert into users.sessions (tenant_id, id, user_id, amr, peer, agent, expires_at)
         select $1, $2, u.id, $4, $5, $6, $7 from users.users u where u.id = $3 and u.state = 'active'",
    )
    .bind(tenant.as_str())
    .bind(command.session_id)
    .bind(command.user_id)
    .bind(&command.amr)
    .bind(&command.peer)
    .bind(&command.agent)
    .bind(expires)
    .execute(tx.conn())
    .await?;
    if opened.rows_affected() == 0 {
        return Err(Refusal::new("auth.user_forbidden", "the user may not come in").into());
    }
    issue(tx, command.session_id, &refresh, refresh_until).await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.login",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.session_id],
            reason: None,
            detail: json!({ "amr": command.amr, "peer": command.peer }),
        },
    )
    .await?;
    Ok(Verdict::applied())
}

async fn issue(
    tx: &mut Tx<'_>,
    session: Uuid,
    digest: &[u8],
    until: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into users.refresh_tokens (tenant_id, digest, session_id, expires_at) values ($1, $2, $3, $4)",
    )
    .bind(tenant.as_str())
    .bind(digest)
    .bind(session)
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Shown {
    session_id: Uuid,
    user_id: Uuid,
    used: bool,
    ended: bool,
    good: bool,
}

/// A theft must be on record, so it is no refusal: the answer tells what became of it.
pub(crate) async fn rotate(tx: &mut Tx<'_>, asked: Asked<'_, RotateSession>) -> Done {
    let command = &asked.body;
    let presented = digest("presented", &command.presented)?;
    let next = digest("next", &command.next)?;
    let next_until = moment("next_until", &command.next_until)?;
    // the session's row is the lock: of two that show one token the second finds it used
    sqlx::query("select 1 from users.sessions where id = $1 for update")
        .bind(command.session_id)
        .execute(tx.conn())
        .await?;
    let shown: Option<Shown> = sqlx::query_as(
        "select s.id as session_id, s.user_id, t.used_at is not null as used, s.ended_at is not null as ended,
                t.expires_at > now() and s.expires_at > now() and u.state = 'active' as good
         from users.refresh_tokens t
         join users.sessions s on s.id = t.session_id
         join users.users u on u.id = s.user_id
         where t.digest = $1 and s.id = $2",
    )
    .bind(&presented)
    .bind(command.session_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(shown) = shown else {
        return Err(Refusal::new("sessions.unknown", "no session has this token").into());
    };
    if shown.used && !shown.ended {
        end_one(tx, shown.session_id, "hub", "refresh_reused").await?;
        trail::note(
            tx,
            asked.envelope,
            Entry {
                actor: &command.actor,
                action: "auth.refresh_reused",
                object: format!("user {}", shown.user_id),
                objects: vec![shown.user_id, shown.session_id],
                reason: Some("a refresh token came a second time: it was stolen, or its theft was"),
                detail: json!({ "peer": command.peer }),
            },
        )
        .await?;
        return Ok(answer("reused"));
    }
    if shown.used || shown.ended || !shown.good {
        return Ok(answer("ended"));
    }
    sqlx::query("update users.refresh_tokens set used_at = now() where digest = $1")
        .bind(&presented)
        .execute(tx.conn())
        .await?;
    sqlx::query(
        "update users.sessions set last_used_at = now(), peer = coalesce($2, peer) where id = $1",
    )
    .bind(shown.session_id)
    .bind(&command.peer)
    .execute(tx.conn())
    .await?;
    issue(tx, shown.session_id, &next, next_until).await?;
    Ok(answer("rotated"))
}

fn answer(outcome: &str) -> Verdict {
    Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "outcome": outcome })),
    }
}

async fn end_one(
    tx: &mut Tx<'_>,
    session: Uuid,
    by: &str,
    reason: &str,
) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(
        "update users.sessions set ended_at = now(), ended_by = $2, end_reason = $3 where id = $1 and ended_at is null",
    )
    .bind(session)
    .bind(by)
    .bind(reason)
    .execute(tx.conn())
    .await?
    .rows_affected())
}

/// Ends every session of a user but one; returns how many.
pub(crate) async fn end_all(
    tx: &mut Tx<'_>,
    user: Uuid,
    but: Option<Uuid>,
    by: &str,
    reason: &str,
) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(
        "update users.sessions set ended_at = now(), ended_by = $3, end_reason = $4
         where user_id = $1 and ended_at is null and ($2::uuid is null or id <> $2)",
    )
    .bind(user)
    .bind(but)
    .bind(by)
    .bind(reason)
    .execute(tx.conn())
    .await?
    .rows_affected())
}

/// Ends every session of a user but one that was opened so (RFC 8176); returns how many.
pub(crate) async fn end_opened_by(
    tx: &mut Tx<'_>,
    user: Uuid,
    way: &str,
    but: Option<Uuid>,
    by: &str,
    reason: &str,
) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(
        "update users.sessions set ended_at = now(), ended_by = $4, end_reason = $5
         where user_id = $1 and ended_at is null and $2 = any (amr) and ($3::uuid is null or id <> $3)",
    )
    .bind(user)
    .bind(way)
    .bind(but)
    .bind(by)
    .bind(reason)
    .execute(tx.conn())
    .await?
    .rows_affected())
}

pub(crate) async fn end(tx: &mut Tx<'_>, asked: Asked<'_, EndSessions>) -> Done {
    let command = &asked.body;
    let ended = match command.session_id {
        None => end_all(tx, command.user_id, None, &command.actor, &command.reason).await?,
        Some(id) => {
            let there: bool = sqlx::query_scalar(
                "select exists (select from users.sessions where id = $1 and user_id = $2)",
            )
            .bind(id)
            .bind(command.user_id)
            .fetch_one(tx.conn())
            .await?;
            if !there {
                return Err(Refusal::new("sessions.unknown", "no session has this id").into());
            }
            end_one(tx, id, &command.actor, &command.reason).await?
        }
    };
    if ended == 0 {
        return Ok(Verdict::Unchanged);
    }
    let mut objects = vec![command.user_id];
    objects.extend(command.session_id);
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.session_ended",
            object: format!("user {}", command.user_id),
            objects,
            reason: Some(&command.reason),
            detail: json!({ "sessions": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "sessions_ended": ended })),
    })
}
