//! The program under test, as a child process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use crate::spawn::Owned;
use crate::{HubSettings, Rest, Servers};

/// Password of the bootstrap administrator of every hub under test.
pub const PASSWORD: &str = "correct horse battery staple 26";

/// A debug build on a loaded machine needs more than the promised second.
const READY: Duration = Duration::from_secs(30);

/// The program: `$HUB_BIN`, or `hub` in the folder of the profile that this test was built with.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn hub_binary() -> PathBuf {
    let program = std::env::var_os("HUB_BIN").map_or_else(
        || {
            let here = std::env::current_exe().expect("a running program has a path");
            // target/<profile>/deps/it-…
            here.ancestors()
                .nth(2)
                .expect("tests are built into target/<profile>/deps")
                .join("hub")
        },
        PathBuf::from,
    );
    assert!(
        program.is_file(),
        "{} is missing: cargo build -p hub, or set $HUB_BIN",
        program.display()
    );
    program
}

/// One hub process. Dropping it kills it.
pub struct HubProcess {
    process: Owned,
    settings: HubSettings,
    config: PathBuf,
    log: PathBuf,
    only: Option<String>,
}

impl HubProcess {
    /// Migrates the database, starts `hub run`, and waits until it is ready.
    ///
    /// # Panics
    /// When it ends or is not ready in time, with the end of its log.
    pub async fn start(servers: &Servers, settings: &HubSettings) -> Self {
        Self::start_only(servers, settings, None).await
    }

    /// The same with `--only <roles>`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_only(servers: &Servers, settings: &HubSettings, only: Option<&str>) -> Self {
        let mut hub = Self::spawn(servers, settings, only).await;
        hub.wait_ready().await;
        hub
    }

    /// Migrates and starts; does not wait.
    ///
    /// # Panics
    /// When the settings can't be written or the migration fails.
    pub async fn spawn(servers: &Servers, settings: &HubSettings, only: Option<&str>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let config = servers.folder().join(format!("hub-{number}.toml"));
        let log = servers.folder().join(format!("hub-{number}.log"));
        std::fs::write(&config, settings.text(servers)).expect("the temporary folder is writable");
        let mut migrate = Owned::start(&hub_binary(), |command| {
            let output = std::fs::File::create(&log).expect("the temporary folder is writable");
            command
                .arg("migrate")
                .arg("--config")
                .arg(&config)
                .stdin(Stdio::null())
                .stderr(output)
                .stdout(Stdio::null());
        });
        let migrated = migrate.wait(READY).await;
        assert!(
            migrated.success(),
            "hub migrate: {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        let only = only.map(str::to_owned);
        let process = launch(&config, &log, only.as_deref(), settings);
        Self {
            process,
            settings: settings.clone(),
            config,
            log,
            only,
        }
    }

    /// Starts it again with the same settings (after its end), and does not wait.
    pub fn launch_again(&mut self) {
        self.process = launch(
            &self.config,
            &self.log,
            self.only.as_deref(),
            &self.settings,
        );
    }

    /// Starts it again and waits until it is ready.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) {
        self.launch_again();
        self.wait_ready().await;
    }

    /// Waits until every part that it has answers.
    ///
    /// # Panics
    /// When it ends or is not ready in time, with the end of its log.
    pub async fn wait_ready(&mut self) {
        let began = Instant::now();
        let has = |role: &str| self.only.as_deref().is_none_or(|only| only.contains(role));
        let (api, adapters) = (has("api"), has("adapters"));
        loop {
            let ended = self.process.ended();
            assert!(
                ended.is_none(),
                "the hub ended with {ended:?}; its log:\n{}",
                self.log_tail()
            );
            let api_ready = !api || Rest::new(self.settings.api).is_ready().await;
            if api_ready && (!adapters || self.listens().await) {
                return;
            }
            assert!(
                began.elapsed() < READY,
                "the hub is not ready; its log:\n{}",
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn listens(&self) -> bool {
        for channel in &self.settings.channels {
            if TcpStream::connect(channel.listen).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Address of a channel.
    ///
    /// # Panics
    /// When the settings have no such channel.
    #[must_use]
    pub fn mllp(&self, channel: &str) -> SocketAddr {
        self.settings
            .channels
            .iter()
            .find(|one| one.id == channel)
            .expect("the channel is in the settings")
            .listen
    }

    /// Address of the REST API.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.settings.api
    }

    /// Signs the administrator in.
    ///
    /// # Panics
    /// When that fails.
    pub async fn sign_in(&self) -> Rest {
        Rest::new(self.settings.api)
            .sign_in("admin", PASSWORD, None)
            .await
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    #[must_use]
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// The settings file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// All it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| !line.contains(" INFO request{"))
            .collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGKILL, and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn kill9(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.wait(Duration::from_secs(5)).await;
    }

    /// SIGTERM; how it ended and how long that took.
    ///
    /// # Panics
    /// When it does not end within 15 s.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        self.process.signal(Signal::SIGTERM);
        let status = self.process.wait(Duration::from_secs(15)).await;
        (status, began.elapsed())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Resident memory, bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let kilobytes = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()
        });
        kilobytes.unwrap_or(0) * 1024
    }
}

impl Drop for HubProcess {
    /// A failed test shows what the hub said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- last lines of the hub's log:\n{}\n----",
                self.log_tail()
            );
        }
    }
}

fn launch(config: &Path, log: &Path, only: Option<&str>, settings: &HubSettings) -> Owned {
    let open = || {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .expect("the temporary folder is writable")
    };
    Owned::start(&hub_binary(), |command| {
        command.arg("run").arg("--config").arg(config);
        if let Some(only) = only {
            command.arg("--only").arg(only);
        }
        for variable in [
            "HUB_HOME",
            "HUB_API_ADDR",
            "HUB_MLLP_ADDR",
            "HUB_ASTM_ADDR",
            "HUB_NATS_PORT",
            "HUB_PG_PORT",
            "HUB_NATS_URL",
            "HUB_POSTGRES_URL",
            "HUB_CONFIG",
        ] {
            command.env_remove(variable);
        }
        command
            .env("HUB_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
            .envs(settings.environment.clone())
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open());
    })
}
