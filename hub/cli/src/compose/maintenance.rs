//! What must be done from time to time, and the comparison of ledger and stream (design.md §4.1).

use std::collections::BTreeMap;
use std::time::Duration;

use hub_core::Tx;
use hub_core::backbone::Backbone;
use hub_core::backbone::reader::Reader;
use hub_core::governor::Governor;
use hub_core::publish::{self, NewMessage};
use hub_core::subject::{self, StreamName};
use schemas::criticals::EscalateCriticals;
use schemas::incidents::EscalateIncidents;
use schemas::{ChannelId, TenantId};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker_identity::root_key::{self, RootKey};
use worker_identity::sealing::Sealer;
use worker_integration::maintain;

use super::{plan_limits, unmatched_age};

/// How often ledger and stream are compared, partitions made and the audit trail sealed.
const EVERY: Duration = Duration::from_secs(60);
/// Sealing is cheap and shortens the time in which an audit row could be altered unseen.
const SEAL_EVERY: Duration = Duration::from_secs(10);
/// Every how many passes the sealer looks far back, for what long transactions wrote late: each 10 minutes.
const THOROUGH: u32 = 60;
/// Records back from the newest that a fresh process compares; older ones were compared before it started.
const LOOK_BACK: u64 = 50_000;
/// Records compared in one look.
const LOOK: usize = 20_000;
/// Records compared by one statement: a tenth of a second of one core when each carries 64 messages.
const SLICE: usize = 2_500;
/// Outbox rows that were published are kept this long, for the lineage of a message.
const OUTBOX_AGE: time::Duration = time::Duration::days(30);
/// How a query was answered is asked about when a tube is missing its tests: that is found within weeks.
const QUERY_ANSWER_AGE: time::Duration = time::Duration::days(90);
/// A challenge is good for minutes; a clock that is wrong by hours must not make it good again.
const CHALLENGE_AGE: time::Duration = time::Duration::days(1);
/// Refresh tokens out of date are kept this long: a stolen one that is shown late is still known for what it is.
const TOKEN_AGE: time::Duration = time::Duration::days(30);
/// A day is signed when what was sealed at its end is there.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(300);
/// Kind of incident.
const LEDGER_GAP: &str = "ledger_gap";

/// What it takes.
pub(super) struct Upkeep {
    pub(super) backbone: Backbone,
    pub(super) pool: PgPool,
    pub(super) governor: Governor,
    pub(super) channels: Vec<(TenantId, ChannelId)>,
    pub(super) tenants: watch::Receiver<Vec<TenantId>>,
    /// Opens the key that signs the roots of the audit trail; without it none is signed.
    pub(super) sealer: Option<Sealer>,
    pub(super) inbox_age: time::Duration,
    /// How long an incident may be open and seen by nobody.
    pub(super) unseen: time::Duration,
    pub(super) stop: CancellationToken,
}

/// Runs until `stop`.
pub(super) async fn run(upkeep: Upkeep) {
    let Upkeep {
        backbone,
        pool,
        governor,
        channels,
        tenants,
        sealer,
        inbox_age,
        unseen,
        stop,
    } = upkeep;
    let mut compared: BTreeMap<(TenantId, ChannelId), u64> = BTreeMap::new();
    let mut minute = tokio::time::interval(EVERY);
    let mut seal = tokio::time::interval(SEAL_EVERY);
    let mut hour = tokio::time::interval(Duration::from_secs(3600));
    for timer in [&mut minute, &mut seal, &mut hour] {
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    let mut signed = None;
    let mut passes = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = minute.tick() => {
                for (tenant, channel) in &channels {
                    let from = compared.get(&(tenant.clone(), channel.clone())).copied();
                    match tokio::time::timeout(EVERY, compare(&backbone, &pool, &governor, tenant, channel, from)).await {
                        Ok(Ok(upto)) => { compared.insert((tenant.clone(), channel.clone()), upto); }
                        Ok(Err(error)) => tracing::debug!(%channel, %error, "ledger and stream can't be compared now"),
                        Err(_) => tracing::debug!(%channel, "ledger and stream could not be compared within a minute"),
                    }
                }
                let tenants = tenants.borrow().clone();
                for tenant in &tenants {
                    if let Err(error) = escalate(&backbone, &pool, tenant).await {
                        tracing::debug!(%error, "critical values can't be looked through now");
                    }
                    if let Err(error) = unmatched_age::look(&pool, tenant, &channels).await {
                        tracing::debug!(%error, "results without a patient can't be looked through now");
                    }
                }
            }
            _ = seal.tick() => {
                let tenants = tenants.borrow().clone();
                let thorough = passes.is_multiple_of(THOROUGH);
                passes = passes.wrapping_add(1);
                for tenant in &tenants {
                    let sealed = if thorough {
                        maintain::seal(&pool, tenant).await
                    } else {
                        maintain::seal_newest(&pool, tenant).await
                    };
                    if let Err(error) = sealed {
                        tracing::debug!(%error, "the audit trail can't be sealed now");
                    }
                    if let Err(error) = escalate_incidents(&backbone, &pool, tenant, unseen).await {
                        tracing::debug!(%error, "incidents can't be looked through now");
                    }
                }
                // once a day, and at the start what is missing
                let now = time::OffsetDateTime::now_utc();
                let due = Some((now - AFTER_MIDNIGHT).date());
                if let Some(sealer) = &sealer && signed != due {
                    match sign_roots(&pool, sealer, &tenants, now).await {
                        Ok(()) => signed = due,
                        Err(error) => tracing::debug!(%error, "the roots of the audit trail can't be signed now"),
                    }
                }
            }
            _ = hour.tick() => {
                if let Err(error) = maintain::ensure_partitions(&pool, 1, 7).await {
                    tracing::warn!(%error, "the ledger's partitions could not be made; rows go to the default partition");
                }
                let tenants = tenants.borrow().clone();
                if let Err(error) = plan_limits::look(&pool, &tenants).await {
                    tracing::debug!(%error, "limits of plans can't be looked at now");
                }
                for tenant in &tenants {
                    let pruned = async {
                        let inbox = maintain::prune_inbox(&pool, tenant, inbox_age).await?;
                        let tokens = worker_identity::maintain::prune_refresh_tokens(&pool, tenant, TOKEN_AGE).await?;
                        let challenges = worker_identity::maintain::prune_used_challenges(&pool, tenant, CHALLENGE_AGE).await?;
                        let answers = maintain::prune_query_answers(&pool, tenant, QUERY_ANSWER_AGE).await?;
                        let outbox = maintain::prune_outbox(&pool, tenant, OUTBOX_AGE).await?;
                        Ok::<_, sqlx::Error>(inbox + tokens + challenges + answers + outbox)
                    };
                    match pruned.await {
                        Ok(0) => {}
                        Ok(rows) => tracing::info!(%tenant, rows, "rows that have served were deleted"),
                        Err(error) => tracing::debug!(%error, "old rows can't be deleted now"),
                    }
                }
            }
        }
    }
}

/// Signs the root of every day that is over.
async fn sign_roots(
    pool: &PgPool,
    sealer: &Sealer,
    tenants: &[TenantId],
    now: time::OffsetDateTime,
) -> anyhow::Result<()> {
    let key = RootSigner(root_key::ensure(pool, sealer).await?);
    for tenant in tenants {
        let days = maintain::sign_roots(pool, tenant, &key, now).await?;
        if days > 0 {
            tracing::info!(%tenant, days, "days of the audit trail are signed");
        }
    }
    Ok(())
}

/// The installation's key, as the trail wants it.
pub(crate) struct RootSigner(pub(crate) RootKey);

impl maintain::Signer for RootSigner {
    fn kid(&self) -> &str {
        &self.0.kid
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text)
    }
}

/// Tells the clinical worker when critical values are due that nobody was called about.
async fn escalate(backbone: &Backbone, pool: &PgPool, tenant: &TenantId) -> anyhow::Result<()> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let due = worker_clinical::queries::any_critical_due(tx.conn()).await?;
    tx.rollback().await?;
    if due {
        let now = time::OffsetDateTime::now_utc();
        let body = EscalateCriticals {
            at: now.format(&time::format_description::well_known::Rfc3339)?,
        };
        let message = NewMessage::command(tenant, "/maintenance", "criticals", &body);
        publish::publish(backbone, &message, None).await?;
    }
    Ok(())
}

/// Tells the integration worker when incidents are due that nobody has seen.
async fn escalate_incidents(
    backbone: &Backbone,
    pool: &PgPool,
    tenant: &TenantId,
    unseen: time::Duration,
) -> anyhow::Result<()> {
    let opened_before = time::OffsetDateTime::now_utc() - unseen;
    let mut tx = Tx::begin(pool, tenant).await?;
    let due = worker_integration::queries::any_incident_due(tx.conn(), opened_before).await?;
    tx.rollback().await?;
    if due {
        tracing::error!(%tenant, "incidents are open that nobody has acknowledged: GET /api/v1/incidents");
        metrics::counter!("hub_incidents_escalated_total").increment(1);
        let body = EscalateIncidents {
            opened_before: opened_before.format(&time::format_description::well_known::Rfc3339)?,
        };
        let message = NewMessage::command(tenant, "/maintenance", "incidents", &body);
        publish::publish(backbone, &message, None).await?;
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Stream(#[from] hub_core::backbone::BackboneError),
}

/// Every record of RAW up to the newest that the ledger knows must have all its messages in the ledger:
/// a channel's messages are translated in order. Returns the sequence up to which all is compared.
async fn compare(
    backbone: &Backbone,
    pool: &PgPool,
    governor: &Governor,
    tenant: &TenantId,
    channel: &ChannelId,
    from: Option<u64>,
) -> Result<u64, CompareError> {
    let Some(newest) = newest_in_ledger(pool, tenant, channel).await? else {
        return Ok(from.unwrap_or(0));
    };
    let bounds = backbone.bounds(StreamName::Raw).await?;
    let from = from
        .unwrap_or_else(|| newest.saturating_sub(LOOK_BACK))
        .max(bounds.first_sequence.saturating_sub(1));
    if newest <= from {
        return Ok(from);
    }
    let mut reader = Reader::new(
        backbone.clone(),
        StreamName::Raw,
        vec![subject::raw(tenant, channel)],
        from,
    )
    .headers_only();
    let mut upto = from;
    let mut looked = 0;
    let mut missing: Vec<u64> = Vec::new();
    while looked < LOOK && upto < newest {
        let expected = expected(&mut reader, newest).await;
        let Some((last, _)) = expected.last().copied() else {
            break;
        };
        looked += expected.len();
        // it is work behind the acknowledgement like any other, and gives way as that does
        let _turn = governor.turn().await;
        let found = found(pool, tenant, upto + 1, last).await?;
        missing.extend(
            expected
                .into_iter()
                .filter(|(seq, count)| found.get(seq).copied().unwrap_or(0) < *count)
                .map(|(seq, _)| seq),
        );
        upto = last;
    }
    if upto == from {
        return Ok(from);
    }
    let mut tx = Tx::begin(pool, tenant).await?;
    metrics::gauge!("hub_ledger_difference", "channel" => channel.to_string())
        .set(missing.len() as f64);
    if missing.is_empty() {
        maintain::resolve_incident(tx.conn(), LEDGER_GAP, channel.as_str()).await?;
    } else {
        tracing::error!(%channel, records = missing.len(), first = missing[0], "the ledger lacks messages that RAW holds");
        let detail = format!(
            "{} records of RAW have no complete row in the ledger, the first is {}; replay them: hub replay --channel {channel} --from {}",
            missing.len(),
            missing[0],
            missing[0]
        );
        maintain::raise_incident(tx.conn(), tenant, LEDGER_GAP, channel.as_str(), &detail).await?;
    }
    tx.commit().await?;
    Ok(missing.first().map_or(upto, |first| first - 1))
}

/// The next records of RAW up to `newest`, at most a slice, each with how many messages it carries.
async fn expected(reader: &mut Reader, newest: u64) -> Vec<(u64, i64)> {
    let mut expected = Vec::new();
    while expected.len() < SLICE {
        let record = reader.next().await;
        if record.seq > newest {
            break;
        }
        let count = record
            .headers
            .as_ref()
            .and_then(|headers| headers.get("hub-count"))
            .and_then(|count| count.as_str().parse().ok())
            .unwrap_or(1);
        expected.push((record.seq, count));
        if record.seq == newest {
            break;
        }
    }
    expected
}

/// How many messages the ledger has of each record from `first` to `last`.
async fn found(
    pool: &PgPool,
    tenant: &TenantId,
    first: u64,
    last: u64,
) -> Result<BTreeMap<u64, i64>, sqlx::Error> {
    let sequence = |seq| i64::try_from(seq).unwrap_or(i64::MAX);
    let mut tx = Tx::begin(pool, tenant).await?;
    let records = maintain::ledger_records(tx.conn(), sequence(first)..=sequence(last)).await?;
    tx.rollback().await?;
    Ok(records
        .into_iter()
        .filter_map(|record| Some((u64::try_from(record.stream_seq).ok()?, record.rows)))
        .collect())
}

async fn newest_in_ledger(
    pool: &PgPool,
    tenant: &TenantId,
    channel: &ChannelId,
) -> Result<Option<u64>, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let newest = maintain::newest_in_ledger(tx.conn(), channel).await?;
    tx.rollback().await?;
    Ok(newest.and_then(|seq| u64::try_from(seq).ok()))
}
