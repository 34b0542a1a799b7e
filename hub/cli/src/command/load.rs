//! `hub load`: measures a hub from outside, through its sockets, as any sender and any REST client would. With `--seed` it fills a
//! hub's database instead, so that what is measured has the size of a hospital.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use schemas::TenantId;

mod desk;
mod generator;
mod instrument;
mod lab;
mod message;
mod observe;
mod seed;
mod subject;
mod table;

use super::ConfigArgument;
use crate::rest::Rest;
use generator::{Burst, Outcome};
use seed::Size;

/// Arguments of `hub load`.
#[derive(clap::Args, Clone)]
pub(super) struct Load {
    /// Run the whole table on servers of our own in a temporary folder, and say which figures are met.
    #[arg(long)]
    table: bool,
    /// With --table: only scenarios whose name contains this.
    #[arg(long)]
    scenario: Option<String>,
    /// Measure nothing: fill the database of --config with invented patients and results of the tenant --tenant.
    #[arg(long, conflicts_with = "table", requires = "tenant")]
    seed: bool,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    config: ConfigArgument,
    /// With --seed: whose patients they are. It must have none of its own.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// MLLP address of the hub to measure.
    #[arg(long, env = "HUB_MLLP_ADDR", default_value = "127.0.0.1:2575")]
    to: SocketAddr,
    /// REST address of the same hub.
    #[arg(long, env = "HUB_API_ADDR", default_value = "127.0.0.1:8080")]
    api: SocketAddr,
    /// Connections that send, each one message at a time.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Seconds to send.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Messages to send, instead of a time.
    #[arg(long)]
    messages: Option<u64>,
    /// Messages a second offered by all connections together; as many as are acknowledged when absent.
    #[arg(long)]
    rate: Option<u64>,
    /// Patients that the messages are about.
    #[arg(long, default_value_t = 5000)]
    patients: u64,
    #[arg(long)]
    json: bool,
}

impl Load {
    /// Measures.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.table {
            return table::run(self.scenario.as_deref(), self.size, self.json).await;
        }
        if self.seed {
            seed::run(&self.config, self.tenant.as_ref(), self.size).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let burst = Burst {
            to: self.to,
            connections: self.connections,
            limit: match self.messages {
                Some(messages) => generator::Limit::Messages(messages),
                None => generator::Limit::Time(Duration::from_secs(self.seconds)),
            },
            rate: self.rate,
            patients: self.patients,
            run: run_name(),
        };
        let outcome = generator::run(Arc::new(burst)).await?;
        let password = std::env::var("HUB_BOOTSTRAP_ADMIN_PASSWORD").unwrap_or_default();
        let visible = if password.is_empty() {
            None
        } else {
            let rest = Rest::sign_in(self.api, &password).await?;
            Some(observe::until_visible(&rest, &outcome, Duration::from_secs(600)).await?)
        };
        print(&outcome, visible, self.json);
        if outcome.refused > 0 || outcome.failed > 0 {
            bail!(
                "{} messages were refused and {} connections failed",
                outcome.refused,
                outcome.failed
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Names this run's messages, so that no other run's are mistaken for them.
fn run_name() -> String {
    let millis = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    format!("{:X}", millis & 0xFFFF_FFFF)
}

fn print(outcome: &Outcome, visible: Option<Duration>, json: bool) {
    let seconds = outcome.elapsed.as_secs_f64();
    let rate = outcome.acknowledged as f64 / seconds;
    let end_to_end = visible.map(|visible| outcome.acknowledged as f64 / visible.as_secs_f64());
    if json {
        println!(
            "{}",
            serde_json::json!({
                "acknowledged": outcome.acknowledged, "refused": outcome.refused, "seconds": seconds,
                "acknowledged_per_s": rate, "ack_p50_ms": outcome.percentile(50.0), "ack_p99_ms": outcome.percentile(99.0),
                "visible_per_s": end_to_end,
            })
        );
        return;
    }
    println!(
        "acknowledged {} in {seconds:.2} s = {rate:.0}/s, refused {}",
        outcome.acknowledged, outcome.refused
    );
    println!(
        "acknowledgement p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        outcome.percentile(50.0),
        outcome.percentile(99.0),
        outcome.percentile(100.0)
    );
    match end_to_end {
        Some(rate) => println!("acknowledged and visible by REST: {rate:.0}/s"),
        None => println!("visible by REST: not measured (set $HUB_BOOTSTRAP_ADMIN_PASSWORD)"),
    }
}

/// A measured value with what it should be.
pub(crate) fn ensure_release() -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        bail!("figures come from release builds only: cargo build --release -p hub");
    }
    Ok(())
}
