//! `hub run`: production.

use std::process::ExitCode;

use hub_core::config::Loaded;

use super::signal::StopSignal;
use crate::compose::{Hub, Roles};

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// The configuration is wrong or an address is taken.
pub(super) async fn run(loaded: Loaded, roles: Roles) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignal::install()?;
    let hub = Hub::start(loaded, roles).await?;
    if let Some(password) = &hub.one_time_password {
        eprintln!("one-time password of admin: {password}");
    }
    if let Some(address) = hub.api_address {
        tracing::info!(%address, "REST API");
    }
    stop.given().await;
    tracing::info!("stopping");
    hub.stop().await;
    Ok(ExitCode::SUCCESS)
}
