//! `hub dev`: own servers, no fixtures.

use std::process::ExitCode;

use super::signal::StopSignal;
use crate::compose::{Hub, Roles};
use crate::home::{Home, HomeOptions};

/// A hub on servers of its own.
pub(super) struct Dev {
    pub home: Home,
    pub hub: Hub,
    pub options: HomeOptions,
    _lock: local_servers::HomeLock,
}

impl Dev {
    /// Starts servers and hub.
    ///
    /// # Errors
    /// A tool is missing, an address is taken, another hub has the home.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let mut options = HomeOptions::from_environment()?;
        std::fs::create_dir_all(&options.folder)?;
        let lock = local_servers::HomeLock::acquire(&options.folder)?;
        let home = Home::start(&options).await?;
        let hub = Hub::start(home.loaded.clone(), Roles::ALL).await?;
        if let Some(password) = &hub.one_time_password {
            crate::home::write_private(&options.password_file(), password)?;
        }
        if let Some(address) = hub.api_address {
            options.api = address;
        }
        Ok(Self {
            home,
            hub,
            options,
            _lock: lock,
        })
    }

    /// Where to look, on the terminal.
    pub(super) fn tell(&self) {
        println!(
            "\nSangam is running. Home: {}",
            self.options.folder.display()
        );
        println!("  HL7 v2 over MLLP   {}", self.options.mllp);
        println!("  ASTM (E1381)       {}", self.options.astm);
        println!("  REST API           http://{}/api/docs", self.options.api);
        println!("  metrics            http://{}/metrics", self.options.api);
        println!("  NATS               {}", self.home.nats.url());
        println!(
            "  Postgres           port {} (settings and passwords: {}/hub.toml)",
            self.home.postgres.port(),
            self.options.folder.display()
        );
        match &self.hub.one_time_password {
            Some(password) => println!("  sign in as         admin, one-time password {password}"),
            None => println!(
                "  sign in as         admin, with $HUB_BOOTSTRAP_ADMIN_PASSWORD or the password in {}",
                self.options.password_file().display()
            ),
        }
        println!("Ctrl-C stops everything.\n");
    }

    /// Stops hub and servers.
    pub(super) async fn stop(self) {
        self.hub.stop().await;
        self.home.stop().await;
    }
}

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// See [`Dev::start`].
pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let mut stop = StopSignal::install()?;
    let dev = Dev::start().await?;
    dev.tell();
    stop.given().await;
    println!("stopping");
    dev.stop().await;
    Ok(ExitCode::SUCCESS)
}
