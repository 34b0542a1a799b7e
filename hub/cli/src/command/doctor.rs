//! `hub doctor`: looks at everything the hub stands on. What could not be looked at is said as such.

use std::process::ExitCode;
use std::time::Duration;

use hub_core::backbone::{Backbone, sync_check};
use hub_core::config::Loaded;
use hub_core::subject::StreamName;
use hub_core::vault::{Columns, Vault};
use hub_core::{Tx, db, migrate};
use schemas::TenantId;
use sqlx::PgPool;
use worker_integration::maintain::{self, Span};
use worker_integration::queries;

use super::ConfigArgument;
use super::audit::{Keys, told};
use crate::compose::{self, unmatched_age};

/// How long the look at the data keys may take: a key service has 5 s for one.
const KEYS_PATIENCE: Duration = Duration::from_secs(15);

/// One finding.
#[derive(serde::Serialize)]
struct Finding {
    what: String,
    /// `good`, `bad`, `not_checked`.
    state: &'static str,
    detail: String,
}

fn good(what: &str, detail: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        state: "good",
        detail: detail.into(),
    }
}

fn bad(what: &str, detail: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        state: "bad",
        detail: detail.into(),
    }
}

fn not_checked(what: &str, detail: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        state: "not_checked",
        detail: detail.into(),
    }
}

/// Looks and tells; exit code 1 when something is bad.
///
/// # Errors
/// The configuration can't be read at all.
pub(super) async fn run(config: &ConfigArgument, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = config.load()?;
    let mut findings = Vec::new();
    findings.push(match compose::read_channels(&loaded) {
        Ok(channels) => good("configuration", format!("{} channels", channels.len())),
        Err(problems) => bad(
            "configuration",
            problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        ),
    });
    findings.push(match compose::mapping_store(&loaded) {
        Ok(store) => good(
            "mapping tables",
            format!(
                "{} rows, version {}",
                store.current().rows().len(),
                store.current().version()
            ),
        ),
        Err(error) => bad("mapping tables", error.to_string()),
    });
    nats(&loaded, &mut findings).await;
    postgres(&loaded, &mut findings).await?;
    let all_good = findings.iter().all(|finding| finding.state != "bad");
    if json {
        println!(
            "{}",
            serde_json::to_string_pretty(
                &serde_json::json!({"ok": all_good, "findings": findings})
            )?
        );
    } else {
        for finding in &findings {
            let mark = match finding.state {
                "good" => "ok ",
                "bad" => "BAD",
                _ => " ? ",
            };
            println!("{mark} {:<28} {}", finding.what, finding.detail);
        }
    }
    Ok(if all_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn nats(loaded: &Loaded, findings: &mut Vec<Finding>) {
    findings.push(
        match sync_check::check(loaded.config.nats.monitor_url.as_deref()).await {
            sync_check::SyncSetting::Always => good("NATS durability", "every write is synced"),
            weak @ sync_check::SyncSetting::Weaker { .. } => {
                bad("NATS durability", weak.to_string())
            }
            unknown @ sync_check::SyncSetting::NotChecked { .. } => {
                not_checked("NATS durability", unknown.to_string())
            }
        },
    );
    let vault = match Vault::of(&loaded.config.encryption) {
        Ok(vault) => vault,
        Err(error) => {
            findings.push(bad("encryption", error));
            return;
        }
    };
    let backbone = Backbone::connect(&loaded.config.nats)
        .await
        .map(|backbone| backbone.with_vault(vault));
    let backbone = match backbone {
        Ok(backbone) if backbone.wait_connected(Duration::from_secs(5)).await => backbone,
        Ok(_) => {
            findings.push(bad(
                "NATS",
                format!("can't be reached at {}", loaded.config.nats.url),
            ));
            return;
        }
        Err(error) => {
            findings.push(bad("NATS", error.to_string()));
            return;
        }
    };
    findings.push(encryption(&backbone).await);
    for name in StreamName::ALL {
        let what = format!("stream {}", name.as_str());
        findings.push(
            match tokio::time::timeout(Duration::from_secs(5), backbone.bounds(name)).await {
                Ok(Ok(state)) => good(
                    &what,
                    format!(
                        "{} records, {} MB, {} to {}",
                        state.messages,
                        state.bytes / 1_000_000,
                        state.first_sequence,
                        state.last_sequence
                    ),
                ),
                Ok(Err(error)) => bad(&what, error.to_string()),
                Err(_) => bad(&what, "no answer within 5 s"),
            },
        );
    }
}

/// Keys that are there must open, whether or not new records are encrypted.
async fn encryption(backbone: &Backbone) -> Finding {
    let vault = backbone.vault();
    match tokio::time::timeout(KEYS_PATIENCE, vault.check(backbone)).await {
        Ok(Ok(0)) if !vault.seals() => {
            not_checked("encryption", "off: what NATS stores lies in the open")
        }
        Ok(Ok(keys)) if vault.seals() => good("encryption", format!("on, {keys} data keys open")),
        Ok(Ok(keys)) => not_checked(
            "encryption",
            format!("off for what is stored now; {keys} data keys of before open"),
        ),
        Ok(Err(error)) => bad("encryption", error.to_string()),
        Err(_) => bad(
            "encryption",
            format!("no answer within {} s", KEYS_PATIENCE.as_secs()),
        ),
    }
}

async fn postgres(loaded: &Loaded, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let url = loaded
        .config
        .postgres
        .url
        .resolve()
        .map_err(anyhow::Error::msg)?;
    let pool = db::pool(compose::pg_options(&url)?, 2);
    let current = async {
        let mut connection = pool.acquire().await?;
        migrate::is_current(&mut connection).await
    };
    match tokio::time::timeout(Duration::from_secs(6), current).await {
        Ok(Ok(true)) => findings.push(good("Postgres", "reachable, migrations are current")),
        Ok(Ok(false)) => {
            findings.push(bad("Postgres", "migrations are missing: run hub migrate"));
            return Ok(());
        }
        Ok(Err(error)) => {
            findings.push(bad("Postgres", format!("can't be used: {error}")));
            return Ok(());
        }
        Err(_) => {
            findings.push(bad("Postgres", "no answer within 6 s"));
            return Ok(());
        }
    }
    let sealer = compose::identity::sealer(loaded)?;
    let keys = Keys::load(&pool, sealer.as_ref()).await?;
    for tenant in worker_identity::tenants::all(&pool).await? {
        if let Err(error) = tenant_findings(&pool, &tenant, &keys, findings).await {
            findings.push(bad(&format!("tenant {tenant}"), error.to_string()));
        }
    }
    findings.push(columns(loaded, &pool).await);
    Ok(())
}

/// The same of keys that columns are sealed with.
async fn columns(loaded: &Loaded, pool: &PgPool) -> Finding {
    const WHAT: &str = "encryption of columns";
    let settings = &loaded.config.encryption;
    let columns = match Vault::of(settings) {
        Ok(vault) => Columns::new(vault, settings.columns),
        Err(error) => return bad(WHAT, error),
    };
    let looked = async {
        let mut facts = Vec::new();
        for tenant in worker_identity::tenants::all(pool).await? {
            let mut tx = Tx::begin(pool, &tenant).await?;
            facts.extend(columns.facts(&mut tx).await?);
            tx.rollback().await?;
        }
        Ok::<_, sqlx::Error>(facts)
    };
    let facts = match tokio::time::timeout(KEYS_PATIENCE, looked).await {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => return bad(WHAT, error.to_string()),
        Err(_) => {
            let patience = KEYS_PATIENCE.as_secs();
            return bad(WHAT, format!("no answer within {patience} s"));
        }
    };
    let faults: Vec<&str> = facts
        .iter()
        .filter_map(|fact| fact.fault.as_deref())
        .collect();
    if !faults.is_empty() {
        return bad(WHAT, faults.join("; "));
    }
    let keys = facts.len();
    if columns.seals() {
        good(WHAT, format!("on, {keys} keys open"))
    } else if keys == 0 {
        not_checked(WHAT, "off: what Postgres holds lies in the open")
    } else {
        not_checked(
            WHAT,
            format!("off for what is written now; {keys} keys of before open"),
        )
    }
}

async fn tenant_findings(
    pool: &PgPool,
    tenant: &TenantId,
    keys: &Keys,
    findings: &mut Vec<Finding>,
) -> Result<(), sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let backlog = queries::backlog(tx.conn()).await?;
    let channels = queries::channels(tx.conn()).await?;
    let unmatched = worker_clinical::queries::unmatched_ages(tx.conn()).await?;
    tx.rollback().await?;
    let what = |name: &str| format!("{tenant}: {name}");
    findings.push(if backlog.incidents == 0 {
        good(&what("incidents"), "none open")
    } else {
        bad(
            &what("incidents"),
            format!("{} open: GET /api/v1/incidents", backlog.incidents),
        )
    });
    findings.push(good(
        &what("held items"),
        format!(
            "{} open, {} results behind them",
            backlog.held_items, backlog.held_waiting
        ),
    ));
    let now = time::OffsetDateTime::now_utc();
    let late: Vec<String> = unmatched
        .iter()
        .filter(|one| unmatched_age::is_late(one, now))
        .map(|one| unmatched_age::told(one, now))
        .collect();
    let waiting: i64 = unmatched.iter().map(|one| one.waiting).sum();
    findings.push(if late.is_empty() {
        good(
            &what("unmatched results"),
            format!("{waiting} reports wait, none for more than a day"),
        )
    } else {
        bad(&what("unmatched results"), late.join("; "))
    });
    findings.push(good(
        &what("dead letters"),
        format!("{} open", backlog.dead_letters),
    ));
    findings.push(match backlog.oldest_unpublished_age {
        Some(age) if age > 60.0 => bad(
            &what("outbox"),
            format!(
                "{} records wait, the oldest for {age:.0} s: is a hub with workers running?",
                backlog.unpublished
            ),
        ),
        _ => good(
            &what("outbox"),
            format!("{} records wait", backlog.unpublished),
        ),
    });
    for channel in channels {
        let detail = format!(
            "{}, link {}, {} messages",
            channel.desired, channel.link, channel.messages
        );
        let failed = matches!(channel.link.as_str(), "failed" | "lost");
        findings.push(if failed {
            bad(&what(&format!("channel {}", channel.channel)), detail)
        } else {
            good(&what(&format!("channel {}", channel.channel)), detail)
        });
    }
    let audit = maintain::verify(pool, tenant, keys, &[], Span::default()).await?;
    findings.push(match audit.broken {
        None => good(&what("audit trail"), told(&audit)),
        Some(_) => bad(&what("audit trail"), told(&audit)),
    });
    Ok(())
}
