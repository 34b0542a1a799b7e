//! API clients: programs with an identity of their own, secrets that overlap while they are exchanged.

use hub_core::{Refusal, Tx, Verdict};
use schemas::identity::{ChangeClient, CreateClient, RotateClientSecret};
use serde_json::json;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::network::Network;
use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop, digest, moment};

fn unknown() -> Stop {
    Refusal::new("clients.unknown", "no API client has this id").into()
}

fn networks(texts: &[String]) -> Result<Vec<String>, Stop> {
    texts
        .iter()
        .map(|text| {
            Network::parse(text)
                .map(|network| network.to_string())
                .ok_or_else(|| {
                    Refusal::new("clients.network", "`allowed_from` holds what is no network")
                        .into()
                })
        })
        .collect()
}

pub(crate) async fn create(tx: &mut Tx<'_>, asked: Asked<'_, CreateClient>) -> Done {
    let command = &asked.body;
    let secret = digest("secret_digest", &command.secret_digest)?;
    let allowed = networks(&command.allowed_from)?;
    let tenant = tx.tenant().clone();
    let made = sqlx::query(
        "insert into users.clients (tenant_id, id, name, permissions, allowed_from, rate_per_minute, created_by)
         values ($1, $2, $3, $4, $5::text[]::cidr[], $6, $7) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.client_id)
    .bind(&command.name)
    .bind(&command.permissions)
    .bind(&allowed)
    .bind(command.rate_per_minute)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(Refusal::new("clients.name_exists", "a client has this name").into());
    }
    add_secret(
        tx,
        command.client_id,
        command.secret_id,
        &secret,
        &command.actor,
    )
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.client.create",
            object: format!("client {}", command.client_id),
            objects: vec![command.client_id],
            reason: None,
            detail: json!({
                "name": command.name, "permissions": command.permissions, "allowed_from": allowed,
                "rate_per_minute": command.rate_per_minute,
            }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "client_id": command.client_id, "name": command.name })),
    })
}

async fn add_secret(
    tx: &mut Tx<'_>,
    client: Uuid,
    id: Uuid,
    digest: &[u8],
    by: &str,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into users.client_secrets (tenant_id, id, client_id, digest, created_by) values ($1, $2, $3, $4, $5)",
    )
    .bind(tenant.as_str())
    .bind(id)
    .bind(client)
    .bind(digest)
    .bind(by)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn change(tx: &mut Tx<'_>, asked: Asked<'_, ChangeClient>) -> Done {
    let command = &asked.body;
    let allowed = command.allowed_from.as_deref().map(networks).transpose()?;
    let row = sqlx::query("select version from users.clients where id = $1 for update")
        .bind(command.client_id)
        .fetch_optional(tx.conn())
        .await?
        .ok_or_else(unknown)?;
    let version: i32 = row.try_get(0)?;
    if command.version.is_some_and(|seen| seen != version) {
        return Err(Refusal::new(
            "clients.stale",
            "somebody changed it meanwhile: read it again",
        )
        .into());
    }
    let state = command
        .disabled
        .map(|disabled| if disabled { "disabled" } else { "active" });
    sqlx::query(
        "update users.clients
         set permissions = coalesce($2, permissions), allowed_from = coalesce($3::text[]::cidr[], allowed_from),
             rate_per_minute = coalesce($4, rate_per_minute), state = coalesce($5, state), version = version + 1,
             updated_at = now()
         where id = $1",
    )
    .bind(command.client_id)
    .bind(&command.permissions)
    .bind(&allowed)
    .bind(command.rate_per_minute)
    .bind(state)
    .execute(tx.conn())
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.client.change",
            object: format!("client {}", command.client_id),
            objects: vec![command.client_id],
            reason: None,
            detail: json!({
                "permissions": command.permissions, "allowed_from": allowed, "rate_per_minute": command.rate_per_minute,
                "state": state,
            }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "client_id": command.client_id, "version": version + 1 })),
    })
}

pub(crate) async fn rotate_secret(tx: &mut Tx<'_>, asked: Asked<'_, RotateClientSecret>) -> Done {
    let command = &asked.body;
    let secret = digest("secret_digest", &command.secret_digest)?;
    let others: OffsetDateTime = moment("others_until", &command.others_until)?;
    let there: bool = sqlx::query_scalar("select exists (select from users.clients where id = $1)")
        .bind(command.client_id)
        .fetch_one(tx.conn())
        .await?;
    if !there {
        return Err(unknown());
    }
    // never lengthens the life of one that was to end earlier
    sqlx::query(
        "update users.client_secrets set expires_at = least(coalesce(expires_at, $2), $2)
         where client_id = $1 and (expires_at is null or expires_at > now())",
    )
    .bind(command.client_id)
    .bind(others)
    .execute(tx.conn())
    .await?;
    add_secret(
        tx,
        command.client_id,
        command.secret_id,
        &secret,
        &command.actor,
    )
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.client.rotate_secret",
            object: format!("client {}", command.client_id),
            objects: vec![command.client_id, command.secret_id],
            reason: None,
            detail: json!({ "others_until": command.others_until }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "client_id": command.client_id, "secret_id": command.secret_id })),
    })
}
