//! The keys of access tokens: which secret they are sealed under, and that there always is one that signs.

use std::time::Duration;

use hub_api::{Provider, TokenKeys};
use hub_core::config::Loaded;
use hub_core::retry::Pauses;
use schemas::TenantId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker_identity::keys::{self, SigningKey};
use worker_identity::sealing::Sealer;

/// How often it is looked whether a new key is due.
const LOOK: Duration = Duration::from_secs(3600);
/// How long the first start of the API waits for the first key: making one takes a second, and more on a machine that is
/// busy. A database that is away is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The keys under the secret of the configuration; without one, a key that ends with this process.
///
/// # Errors
/// The secret can't be had, or is too short.
pub(crate) async fn token_keys(loaded: &Loaded) -> anyhow::Result<TokenKeys> {
    let Some(secret) = &loaded.config.api.token_secret else {
        tracing::warn!(
            "[api] token_secret is not set: tokens end with this process, and no second factor can be enrolled"
        );
        return Ok(TokenKeys::of_this_process(SigningKey::generate().await?));
    };
    TokenKeys::new(secret.resolve().map_err(anyhow::Error::msg)?.as_bytes())
        .map_err(|error| anyhow::anyhow!("[api] token_secret: {error}"))
}

/// What seals keys in the database; `None` without a secret that outlives the process.
///
/// # Errors
/// The secret can't be had.
pub(crate) fn sealer(loaded: &Loaded) -> anyhow::Result<Option<Sealer>> {
    loaded
        .config
        .api
        .token_secret
        .as_ref()
        .map(|secret| {
            let secret = secret.resolve().map_err(anyhow::Error::msg)?;
            Ok(Sealer::new(secret.as_bytes()))
        })
        .transpose()
}

/// Who vouches for people of which tenant.
///
/// # Errors
/// A secret or a certificate can't be had.
pub(super) fn providers(loaded: &Loaded) -> anyhow::Result<Vec<(TenantId, Provider)>> {
    let mut providers = Vec::new();
    for tenant in &loaded.config.tenants {
        for settings in &tenant.oidc {
            let provider = Provider::new(settings.clone())
                .map_err(|error| anyhow::anyhow!("[[tenant.oidc]] {}: {error}", settings.id))?;
            providers.push((tenant.id.get_ref().clone(), provider));
        }
    }
    Ok(providers)
}

/// Makes the first key, and the next one every month, until `stop`. Returns when there is one, or none can be had now.
pub(super) async fn keep_keys(
    pool: &PgPool,
    keys: &TokenKeys,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let Some(sealer) = keys.sealer().cloned() else {
        return;
    };
    let first = tokio::time::timeout(PATIENCE, look(pool, &sealer)).await;
    let done = matches!(first, Ok(true));
    let (pool, stop) = (pool.clone(), stop.clone());
    tasks.spawn(async move {
        let mut pauses = Pauses::for_backbone();
        let mut done = done;
        loop {
            if done {
                pauses.reset();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
            } else if !pauses.wait(&stop).await {
                return;
            }
            done = look(&pool, &sealer).await;
        }
    });
}

async fn look(pool: &PgPool, sealer: &Sealer) -> bool {
    match keys::ensure(pool, sealer).await {
        Ok(None) => true,
        Ok(Some(kid)) => {
            tracing::info!(kid, "a new key for access tokens is published");
            true
        }
        Err(error) => {
            tracing::debug!(%error, "the keys of access tokens can't be looked at now");
            false
        }
    }
}
