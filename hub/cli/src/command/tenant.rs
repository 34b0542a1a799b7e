//! `hub tenant`: customers of the installation, from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use hub_core::Tx;
use schemas::TenantId;
use schemas::platform::{
    CreateTenant, FirstAdministrator, RecordTenantExport, SetTenantState, TenantState, platform,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_identity::queries;
use worker_identity::tenants::aggregate;

use super::operator::{Operator, OperatorArguments};

mod export;

/// A one-time password is good for this long.
const ONE_TIME: time::Duration = time::Duration::hours(72);

/// Customers of the installation.
#[derive(clap::Args, Debug)]
pub(super) struct Tenant {
    #[command(flatten)]
    operator: OperatorArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make a tenant with its first administrator, whose one-time password is printed once. Needs a running hub.
    Create {
        id: TenantId,
        /// Name for people.
        #[arg(long)]
        name: String,
        #[arg(long, default_value = "trial")]
        plan: String,
        /// Asking again under the same key makes nothing again. Default: made of the id.
        #[arg(long)]
        key: Option<String>,
        /// User name of the first administrator.
        #[arg(long, default_value = "admin")]
        administrator: String,
        /// Note it only; the same command without this completes it.
        #[arg(long)]
        draft: bool,
        #[arg(long)]
        json: bool,
    },
    /// List tenants, their state and plan.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Make a tenant read-only; what instruments send is still filed. Needs a running hub.
    Suspend {
        id: TenantId,
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended tenant write again. Needs a running hub.
    Resume {
        id: TenantId,
        #[arg(long)]
        reason: String,
    },
    /// Move a tenant to any state that may follow its own. Needs a running hub.
    State {
        id: TenantId,
        /// trial, active, `past_due`, suspended, closed
        #[arg(value_parser = state)]
        to: TenantState,
        #[arg(long)]
        reason: String,
    },
    /// Make the user `admin` of a tenant that has none, and print its one-time password; `platform` is the tenant of those who
    /// run the installation.
    Administrator { id: TenantId },
    /// Write all a tenant has to an empty folder: its rows as NDJSON, the messages it received, a manifest with digests.
    Export {
        id: TenantId,
        #[arg(long)]
        to: PathBuf,
        /// Without the bytes of messages and attachments: the manifest names their digests.
        #[arg(long)]
        without_bodies: bool,
        #[arg(long)]
        json: bool,
    },
}

fn state(text: &str) -> Result<TenantState, String> {
    TenantState::parse(text).ok_or_else(|| {
        let all: Vec<&str> = TenantState::ALL
            .iter()
            .map(|state| state.as_str())
            .collect();
        format!("one of: {}", all.join(", "))
    })
}

impl Tenant {
    /// Does it.
    ///
    /// # Errors
    /// Refused, or something is out of reach.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut operator = Operator::connect(&self.operator).await?;
        operator.tenant = platform();
        match self.what {
            What::Create {
                id,
                name,
                plan,
                key,
                administrator,
                draft,
                json,
            } => {
                let (password, password_hash) = hub_api::one_time_password().await?;
                let until = OffsetDateTime::now_utc() + ONE_TIME;
                let first = FirstAdministrator {
                    user_id: Uuid::now_v7(),
                    username: administrator.clone(),
                    display_name: "Administrator".to_owned(),
                    password_hash,
                    one_time_until: until.format(&Rfc3339)?,
                };
                let command = CreateTenant {
                    provisioning_key: key.unwrap_or_else(|| format!("command line: {id}")),
                    tenant: id.clone(),
                    name,
                    plan,
                    limits: std::collections::BTreeMap::new(),
                    administrator: (!draft).then_some(first),
                    actor: operator.actor.clone(),
                };
                let mut answer = operator
                    .command(&aggregate(&id), &command)
                    .await?
                    .unwrap_or_default();
                if answer["provisioned"] == true {
                    answer["administrator"] = serde_json::json!(administrator);
                    answer["one_time_password"] = serde_json::json!(password);
                }
                if json {
                    println!("{answer}");
                } else {
                    println!("{id} is {}", answer["state"].as_str().unwrap_or("there"));
                    if answer["provisioned"] == true {
                        println!(
                            "sign in with tenant {id} as {administrator}, one-time password {password}"
                        );
                    }
                }
            }
            What::List { json } => list(&operator, json).await?,
            What::Suspend { id, reason } => {
                step(&operator, &id, TenantState::Suspended, reason).await?;
            }
            What::Resume { id, reason } => {
                step(&operator, &id, TenantState::Active, reason).await?;
            }
            What::State { id, to, reason } => step(&operator, &id, to, reason).await?,
            What::Administrator { id } => {
                match hub_api::bootstrap_admin(&operator.pool, &id, None).await? {
                    Some(password) => {
                        println!("sign in with tenant {id} as admin, one-time password {password}");
                    }
                    None => println!("tenant {id} has an administrator"),
                }
            }
            What::Export {
                id,
                to,
                without_bodies,
                json,
            } => return exported(&operator, &id, &to, !without_bodies, json).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn step(
    operator: &Operator,
    tenant: &TenantId,
    to: TenantState,
    reason: String,
) -> anyhow::Result<()> {
    let command = SetTenantState {
        tenant: tenant.clone(),
        state: to,
        reason,
        actor: operator.actor.clone(),
    };
    operator.command(&aggregate(tenant), &command).await?;
    println!(
        "{tenant} is {}; every process knows it within ten seconds",
        to.as_str()
    );
    Ok(())
}

async fn list(operator: &Operator, json: bool) -> anyhow::Result<()> {
    let mut tx = Tx::begin(&operator.pool, &platform())
        .await
        .context("can't read the database")?;
    for row in queries::tenants(tx.conn(), None, None, 10_000).await? {
        if json {
            println!(
                "{}",
                serde_json::json!({
                    "id": row.tenant_id, "name": row.name, "state": row.state, "plan": row.plan, "limits": row.in_force.0,
                })
            );
        } else {
            println!(
                "{:<24} {:<12} {:<12} {}",
                row.tenant_id, row.state, row.plan, row.name
            );
        }
    }
    Ok(())
}

async fn exported(
    operator: &Operator,
    tenant: &TenantId,
    to: &std::path::Path,
    bodies: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let manifest = export::export(operator, tenant, to, bodies).await?;
    if json {
        println!("{}", serde_json::to_string(&manifest)?);
    } else {
        println!(
            "{}: {} rows of {} tables, {} messages, {} attachments in {}",
            tenant,
            manifest.rows(),
            manifest.tables.len(),
            manifest.messages.count,
            manifest.attachments.count,
            to.display()
        );
        if manifest.unreadable.count > 0 {
            println!(
                "{} rows hold values that can't be opened: `unreadable` in the manifest names them",
                manifest.unreadable.count
            );
        }
        for left in &manifest.left_out {
            println!("  left out: {} ({})", left.what, left.why);
        }
    }
    let command = RecordTenantExport {
        tenant: tenant.clone(),
        manifest: export::digest_of_manifest(to)?,
        rows: manifest.rows(),
        bodies: manifest.messages.count + manifest.attachments.count,
        actor: operator.actor.clone(),
    };
    if let Err(error) = operator.command(&aggregate(tenant), &command).await {
        eprintln!("the export is whole, but is not on record: {error:#}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
