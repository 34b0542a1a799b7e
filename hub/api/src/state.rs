//! What every handler has: the pool for reads, the backbone for writes, the keys, the limits.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hub_core::Tx;
use hub_core::config::PasskeySettings;
use hub_core::vault::Columns;
use schemas::TenantId;
use sqlx::PgPool;
use worker_identity::network::Network;
use worker_identity::sealing::Sealer;

use crate::Backbone;
use crate::auth::identity::Identity;
use crate::auth::oidc::Providers;
use crate::auth::permission::{ChartsAll, Permission as _};
use crate::auth::throttle::Throttle;
use crate::auth::{Access, Provider, TokenKeys, password};
use crate::feed::Feed;
use crate::limits::{Limits, Rates};
use crate::looks::Recorder;
use crate::problem::Problem;

/// Renders the metrics of the process for `/metrics` (Prometheus text format).
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Bounds of the API.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// How long a write waits for its outcome before it answers 202 (design.md §5: two seconds).
    pub command_wait: Duration,
    /// How long any request may take.
    pub request_time: Duration,
    /// Largest body of an ordinary request.
    pub body_bytes: usize,
    /// Largest body of an edited resend: a whole message, in base64 at worst.
    pub resend_bytes: usize,
    /// Longest time one statement may take in the database.
    pub statement_time: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            command_wait: Duration::from_secs(2),
            request_time: Duration::from_secs(15),
            body_bytes: 256 * 1024,
            resend_bytes: 32 * 1024 * 1024,
            statement_time: Duration::from_secs(10),
        }
    }
}

impl ApiLimits {
    /// The largest body that any operation takes.
    pub(crate) fn largest_body(&self) -> usize {
        self.body_bytes.max(self.resend_bytes)
    }
}

/// What the API stands on: one pointer, because every route and each layer around it keeps one.
#[derive(Clone)]
pub struct ApiState(Arc<Ground>);

/// See [`ApiState`].
#[derive(Clone)]
pub struct Ground {
    pub(crate) pool: PgPool,
    pub(crate) backbone: Arc<dyn Backbone>,
    pub(crate) keys: TokenKeys,
    /// Tenant of a sign-in that names none.
    pub(crate) default_tenant: TenantId,
    pub(crate) metrics: RenderMetrics,
    pub(crate) limits: ApiLimits,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) counts: Arc<Limits>,
    pub(crate) rates: Rates,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Arc<[Network]>,
    pub(crate) cors_origins: Arc<[String]>,
    /// Seals answers that are kept for their `Idempotency-Key`, and digests the bodies that they are for.
    pub(crate) answers: Sealer,
    pub(crate) feed: Arc<Feed>,
    pub(crate) access: Arc<Access>,
    pub(crate) recorder: Recorder,
    /// `None`: nobody signs in with a passkey.
    pub(crate) passkeys: Option<Arc<PasskeySettings>>,
    pub(crate) providers: Arc<Providers>,
    /// Opens what is sealed in the database.
    columns: Columns,
    care_relationship: bool,
}

impl Deref for ApiState {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.0
    }
}

impl ApiState {
    /// Wires the API. `default_tenant` is where a sign-in without tenant leads. Wants a runtime: records of looks are written by a
    /// task of its own, which ends with the last clone.
    #[must_use]
    pub fn new(
        pool: PgPool,
        backbone: Arc<dyn Backbone>,
        keys: TokenKeys,
        default_tenant: TenantId,
        metrics: RenderMetrics,
        limits: ApiLimits,
    ) -> Self {
        // without a secret that outlives the process, answers are its own: another finds them gone
        let answers = keys
            .sealer()
            .cloned()
            .unwrap_or_else(|| Sealer::new(&TokenKeys::generate_secret()));
        Self(Arc::new(Ground {
            recorder: Recorder::start(pool.clone()),
            pool,
            backbone,
            keys,
            default_tenant,
            metrics,
            limits,
            throttle: Arc::new(Throttle::default()),
            counts: Arc::new(Limits::default()),
            rates: Rates::default(),
            trusted_proxies: Arc::new([]),
            cors_origins: Arc::new([]),
            answers,
            feed: Arc::new(Feed::default()),
            access: Arc::new(Access::default()),
            passkeys: None,
            providers: Arc::default(),
            columns: Columns::default(),
            care_relationship: false,
        }))
    }

    /// While it is put together there is one of it, so nothing is copied.
    fn ground(&mut self) -> &mut Ground {
        Arc::make_mut(&mut self.0)
    }

    /// Charts open only to who has a relationship with the patient (`[api] care_relationship`).
    #[must_use]
    pub fn with_care_relationship(mut self, demanded: bool) -> Self {
        self.ground().care_relationship = demanded;
        self
    }

    /// Opens what is sealed in the database (`[encryption] columns`).
    #[must_use]
    pub fn with_columns(mut self, columns: Columns) -> Self {
        self.ground().columns = columns;
        self
    }

    /// How often one may ask (`[api] rate_per_…`).
    #[must_use]
    pub fn with_rates(mut self, rates: Rates) -> Self {
        self.ground().rates = rates;
        self
    }

    /// Networks of reverse proxies (`[api] trusted_proxies`); what is no network is left out, `hub check` says so.
    #[must_use]
    pub fn behind_proxies(mut self, networks: &[String]) -> Self {
        self.ground().trusted_proxies = networks
            .iter()
            .filter_map(|text| Network::parse(text))
            .collect();
        self
    }

    /// Where passkeys are used (`[api.passkeys]`).
    #[must_use]
    pub fn with_passkeys(mut self, settings: Option<PasskeySettings>) -> Self {
        self.ground().passkeys = settings.map(Arc::new);
        self
    }

    /// Who vouches for people of which tenant (`[[tenant.oidc]]`).
    #[must_use]
    pub fn with_providers(mut self, all: impl IntoIterator<Item = (TenantId, Provider)>) -> Self {
        let mut providers = Providers::new();
        for (tenant, provider) in all {
            providers
                .entry(tenant)
                .or_default()
                .push(Arc::new(provider));
        }
        self.ground().providers = Arc::new(providers);
        self
    }

    /// Origins whose pages may call the API (`[api] cors_origins`).
    #[must_use]
    pub fn with_cors_origins(mut self, origins: &[String]) -> Self {
        self.ground().cors_origins = origins.into();
        self
    }

    /// True when this caller may not open charts by his permission alone.
    pub(crate) fn demands_relationship(&self, who: &Identity) -> bool {
        self.care_relationship && !who.may(ChartsAll::NAME)
    }

    /// Makes what the first sign-in would wait for. Blocks for some tens of milliseconds.
    pub fn prepare(&self) {
        password::prepare();
    }

    /// A transaction that reads one tenant's rows, can write nothing and can't take for ever.
    pub(crate) async fn read(&self, tenant: &TenantId) -> Result<Tx<'static>, Problem> {
        let tx = Tx::begin_reading(&self.pool, tenant, self.limits.statement_time).await?;
        Ok(tx.with_columns(&self.columns))
    }
}
