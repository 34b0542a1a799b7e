//! The REST API of a process: its port, its keys, its limits and its first administrator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hub_api::{ApiLimits, ApiState, Rates};
use hub_core::backbone::Backbone;
use hub_core::config::Loaded;
use hub_core::retry::Pauses;
use hub_core::telemetry::MetricsHandle;
use hub_core::vault::Columns;
use schemas::TenantId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{ApiBackbone, Hub, channels, identity};

impl Hub {
    /// Starts the API of this process: its port, its keys and its first administrator.
    ///
    /// # Errors
    /// Its settings are wrong, or its address is taken.
    pub(super) async fn start_api(
        &mut self,
        loaded: &Loaded,
        backbone: &Backbone,
        pool: &PgPool,
        columns: &Columns,
        registry: &channels::Registry,
        metrics: Option<MetricsHandle>,
    ) -> anyhow::Result<()> {
        let tenant = loaded
            .config
            .tenants
            .first()
            .map(|tenant| tenant.id.get_ref().clone())
            .context("the configuration names no tenant")?;
        let keys = identity::token_keys(loaded).await?;
        let address: SocketAddr = loaded.config.api.address.parse().context("[api] address")?;
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("can't listen on {address} for the REST API; set $HUB_API_ADDR or [api] address to a free one"))?;
        self.api_address = Some(listener.local_addr()?);
        let password = std::env::var("HUB_BOOTSTRAP_ADMIN_PASSWORD")
            .ok()
            .filter(|password| !password.is_empty());
        (self.one_time_password, ()) = tokio::join!(
            bootstrap(pool, &tenant, password, &self.stop, &self.tasks),
            identity::keep_keys(pool, &keys, &self.stop, &self.tasks),
        );
        let render: hub_api::RenderMetrics = match metrics {
            Some(handle) => Arc::new(move || handle.render()),
            None => Arc::new(String::new),
        };
        let backbone = ApiBackbone::new(backbone.clone(), pool.clone(), registry.clone());
        let api = &loaded.config.api;
        let state = ApiState::new(
            pool.clone(),
            Arc::new(backbone),
            keys,
            tenant,
            render,
            ApiLimits {
                request_time: Duration::from_secs(api.request_seconds),
                body_bytes: api.body_kib * 1024,
                ..ApiLimits::default()
            },
        )
        .with_columns(columns.clone())
        .with_care_relationship(api.care_relationship)
        .with_rates(Rates {
            per_address: api.rate_per_address,
            per_user: api.rate_per_user,
            per_tenant: api.rate_per_tenant,
        })
        .behind_proxies(&api.trusted_proxies)
        .with_cors_origins(&api.cors_origins)
        .with_passkeys(api.passkeys.clone())
        .with_providers(identity::providers(loaded)?);
        {
            let state = state.clone();
            tokio::task::spawn_blocking(move || state.prepare());
        }
        let tls = loaded.config.api.tls.as_ref().map(api_tls).transpose()?;
        self.tasks.spawn(hub_api::serve(
            listener,
            hub_api::router(state),
            tls,
            self.stop.clone().cancelled_owned(),
        ));
        Ok(())
    }
}

/// `[api.tls]` as the listener wants it.
fn api_tls(settings: &hub_core::config::ApiTls) -> anyhow::Result<hub_api::TlsAcceptor> {
    let settings = adapter_link::TlsServerSettings {
        certificate: settings.certificate_file.clone(),
        key: settings.key_file.clone(),
        client_ca: settings.client_ca_file.clone(),
        client_auth: adapter_link::ClientAuth::Required,
        min_version: adapter_link::TlsVersion::V1_2,
        // the API's listener has a deadline of its own
        handshake_timeout_ms: 10_000,
    };
    adapter_link::acceptor(&settings).context("[api.tls]")
}

/// Makes the administrator; keeps trying in the background when Postgres is away.
async fn bootstrap(
    pool: &PgPool,
    tenant: &TenantId,
    password: Option<String>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Option<String> {
    let first = tokio::time::timeout(
        Duration::from_secs(5),
        hub_api::bootstrap_admin(pool, tenant, password.clone()),
    )
    .await;
    if let Ok(Ok(one_time)) = first {
        return one_time;
    }
    let (pool, tenant, stop) = (pool.clone(), tenant.clone(), stop.clone());
    tasks.spawn(async move {
        let mut pauses = Pauses::for_backbone();
        while pauses.wait(&stop).await {
            match hub_api::bootstrap_admin(&pool, &tenant, password.clone()).await {
                Ok(None) => return,
                Ok(Some(one_time)) => {
                    // shown once, on the terminal of who started the program, never in the log
                    eprintln!("one-time password of admin: {one_time}");
                    return;
                }
                Err(error) => tracing::debug!(%error, "the administrator can't be made yet"),
            }
        }
    });
    None
}
