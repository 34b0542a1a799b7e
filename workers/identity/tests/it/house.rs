//! Shorthand: applying commands as a runner does.

use hub_core::{Verdict, Worker as _};
use schemas::identity::{CreateUser, OpenSession};
use schemas::{Body, TenantId};
use serde_json::Value;
use test_support::{TestDatabase, envelope};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_identity::{IdentityWorker, hex_digest};

/// Hours from now, as commands carry times.
pub(crate) fn hours(count: i64) -> String {
    (OffsetDateTime::now_utc() + time::Duration::hours(count))
        .format(&Rfc3339)
        .unwrap()
}

/// Applies one command in a transaction of its own.
pub(crate) async fn apply<B: Body>(
    database: &TestDatabase,
    tenant: &TenantId,
    body: &B,
) -> Verdict {
    let message = envelope(tenant, "/api", body);
    let mut tx = database.tx(tenant).await;
    let verdict = IdentityWorker
        .apply(&mut tx, std::slice::from_ref(&message))
        .await
        .unwrap()
        .remove(0);
    tx.commit().await.unwrap();
    verdict
}

/// What a command answered.
#[track_caller]
pub(crate) fn answer(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Applied { answer, .. } => answer.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn refusal(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn user(database: &TestDatabase, tenant: &TenantId, name: &str) -> Uuid {
    let command = CreateUser {
        user_id: Uuid::now_v7(),
        username: name.to_owned(),
        display_name: "Somebody".to_owned(),
        password_hash: "$argon2id$".to_owned(),
        one_time_until: hours(72),
        actor: "admin".to_owned(),
    };
    answer(apply(database, tenant, &command).await);
    command.user_id
}

/// A session with this refresh token.
pub(crate) async fn session(
    database: &TestDatabase,
    tenant: &TenantId,
    user: Uuid,
    token: &str,
) -> Uuid {
    let command = OpenSession {
        session_id: Uuid::now_v7(),
        user_id: user,
        amr: vec!["pwd".to_owned()],
        peer: Some("10.0.0.1".to_owned()),
        agent: None,
        refresh_digest: hex_digest(token.as_bytes()),
        refresh_until: hours(12),
        expires_at: hours(24),
        actor: "asha".to_owned(),
    };
    answer(apply(database, tenant, &command).await);
    command.session_id
}
