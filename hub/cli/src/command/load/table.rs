//! The whole table of figures, measured on servers of our own in a temporary folder: nats-server that syncs every
//! write, Postgres, and this program as a child, all on this machine together with the sender.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

use super::super::signal::StopSignal;
use super::generator::{self, Burst, Limit, Outcome};
use super::observe::{account, until_visible};
use super::{ensure_release, run_name};
use crate::home::{Home, HomeOptions};
use crate::rest::Rest;

const PASSWORD: &str = "measure-me-once";
/// Nothing takes longer than this to be drained.
const PATIENCE: Duration = Duration::from_secs(900);

/// One line of the table.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// Limit, and whether the value must be at least (true) or at most (false) that.
    target: Option<(f64, bool)>,
}

impl Figure {
    fn met(&self) -> Option<bool> {
        self.target.map(|(limit, at_least)| {
            if at_least {
                self.value >= limit
            } else {
                self.value <= limit
            }
        })
    }
}

/// The hub that is measured.
struct Subject {
    home: Home,
    child: Child,
    mllp: SocketAddr,
    api: SocketAddr,
    rest: Rest,
    started: Instant,
    first_accepted: Duration,
    folder: std::path::PathBuf,
}

impl Subject {
    async fn start() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("hub-load-{}", std::process::id()));
        let free = || -> anyhow::Result<SocketAddr> {
            Ok(SocketAddr::from((
                [127, 0, 0, 1],
                local_servers::free_port()?,
            )))
        };
        let options = HomeOptions {
            folder: folder.clone(),
            api: free()?,
            mllp: free()?,
            astm: free()?,
            nats_port: 0,
            pg_port: 0,
        };
        let home = Home::start(&options).await?;
        let started = Instant::now();
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(folder.join("hub.toml"))
            .env("HUB_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
            .env("HUB_LOG", "warn")
            .env_remove("HUB_API_ADDR")
            .kill_on_drop(true)
            .spawn()
            .context("can't start this program as a child")?;
        let first = Burst {
            to: options.mllp,
            connections: 1,
            limit: Limit::Messages(1),
            rate: None,
            patients: 1,
            run: run_name(),
        };
        let first = Arc::new(first);
        loop {
            if generator::run(Arc::clone(&first))
                .await
                .is_ok_and(|outcome| outcome.acknowledged == 1)
            {
                break;
            }
            if started.elapsed() > Duration::from_secs(30) {
                bail!("the hub took no message within 30 s");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let first_accepted = started.elapsed();
        let rest = loop {
            match Rest::sign_in(options.api, PASSWORD).await {
                Ok(rest) => break rest,
                Err(error) if started.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        Ok(Self {
            home,
            child,
            mllp: options.mllp,
            api: options.api,
            rest,
            started,
            first_accepted,
            folder,
        })
    }

    fn hub_pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// CPU seconds so far of hub, NATS and Postgres.
    fn cpu(&self) -> [f64; 3] {
        [
            Some(self.hub_pid()),
            self.home.nats.pid(),
            self.home.postgres.pid(),
        ]
        .map(|pid| pid.map_or(0.0, |pid| account(pid).cpu))
    }

    fn rss_mb(&self) -> f64 {
        account(self.hub_pid()).rss as f64 / 1e6
    }

    async fn burst(
        &self,
        connections: usize,
        limit: Limit,
        rate: Option<u64>,
    ) -> anyhow::Result<Outcome> {
        let burst = Burst {
            to: self.mllp,
            connections,
            limit,
            rate,
            patients: 20_000,
            run: run_name(),
        };
        let outcome = generator::run(Arc::new(burst)).await?;
        if outcome.refused > 0 || outcome.failed > 0 {
            bail!(
                "{} messages refused, {} connections failed",
                outcome.refused,
                outcome.failed
            );
        }
        Ok(outcome)
    }

    async fn drained(&self, outcome: &Outcome) -> anyhow::Result<Duration> {
        until_visible(&self.rest, outcome, PATIENCE).await
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            )?;
        }
        let _ = tokio::time::timeout(Duration::from_secs(12), self.child.wait()).await;
        self.home.stop().await;
        local_servers::remove_data(&self.folder)?;
        std::fs::remove_dir_all(&self.folder).ok();
        Ok(())
    }
}

/// Measures all scenarios whose name contains `only`.
///
/// # Errors
/// This is no release build, or a scenario could not be measured.
pub(super) async fn run(only: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    ensure_release()?;
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let mut stop = StopSignal::install()?;
    let subject = Subject::start().await?;
    eprintln!(
        "measuring a hub on {} (REST {}), all of it in {}",
        subject.mllp,
        subject.api,
        subject.folder.display()
    );
    let outcome = tokio::select! {
        outcome = scenarios(&subject, &wanted) => outcome,
        () = stop.given() => Err(anyhow::anyhow!("stopped before the table was whole")),
    };
    let figures = match outcome {
        Ok(figures) => figures,
        Err(error) => {
            subject.stop().await?;
            return Err(error);
        }
    };
    subject.stop().await?;
    show(&figures, json)?;
    let all_met = figures.iter().all(|figure| figure.met() != Some(false));
    Ok(if all_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn scenarios(
    subject: &Subject,
    wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |name: &str, value: f64, unit: &'static str, target: Option<(f64, bool)>| {
        let figure = Figure {
            name: name.to_owned(),
            value,
            unit,
            target,
        };
        eprintln!("{}", line(&figure));
        figures.push(figure);
    };
    if wanted("start") {
        add(
            "process start to first accepted message",
            subject.first_accepted.as_secs_f64(),
            "s",
            Some((1.0, false)),
        );
        // idle is judged after the start's own work is over
        tokio::time::sleep(Duration::from_secs(20).saturating_sub(subject.started.elapsed())).await;
        add(
            "hub memory, idle",
            subject.rss_mb(),
            "MB",
            Some((40.0, false)),
        );
    }
    if wanted("single") {
        let outcome = subject
            .burst(1, Limit::Time(Duration::from_secs(10)), None)
            .await?;
        add(
            "1 connection: acknowledgement p50",
            outcome.percentile(50.0),
            "ms",
            Some((1.5, false)),
        );
        add(
            "1 connection: acknowledged",
            outcome.acknowledged as f64 / outcome.elapsed.as_secs_f64(),
            "msg/s",
            None,
        );
        subject.drained(&outcome).await?;
    }
    for (connections, messages, least) in [(8, 40_000, 1_700.0), (64, 80_000, 3_000.0)] {
        if wanted("end-to-end") {
            let before = subject.cpu();
            let outcome = subject
                .burst(connections, Limit::Messages(messages), None)
                .await?;
            let visible = subject.drained(&outcome).await?;
            let after = subject.cpu();
            let spent = |part: usize| after[part] - before[part];
            let cpu = spent(0) + spent(1) + spent(2);
            let count = outcome.acknowledged as f64;
            add(
                &format!("{connections} connections: acknowledged and visible by REST"),
                count / visible.as_secs_f64(),
                "msg/s",
                Some((least, true)),
            );
            add(
                &format!("{connections} connections: CPU of hub, NATS and Postgres"),
                cpu / count * 1000.0,
                "ms/msg",
                Some((0.6, false)),
            );
            for (part, name) in ["hub", "NATS", "Postgres"].into_iter().enumerate() {
                add(
                    &format!("{connections} connections:   of it {name}"),
                    spent(part) / count * 1000.0,
                    "ms/msg",
                    None,
                );
            }
        }
    }
    for (connections, least, p99) in [(8, 4_000.0, 10.0), (64, 8_000.0, 25.0)] {
        if wanted("burst") {
            let outcome = subject
                .burst(connections, Limit::Time(Duration::from_secs(60)), None)
                .await?;
            add(
                &format!("{connections} connections, burst of 60 s: acknowledged"),
                outcome.acknowledged as f64 / outcome.elapsed.as_secs_f64(),
                "msg/s",
                Some((least, true)),
            );
            add(
                &format!("{connections} connections, burst of 60 s: acknowledgement p50"),
                outcome.percentile(50.0),
                "ms",
                None,
            );
            add(
                &format!("{connections} connections, burst of 60 s: acknowledgement p99"),
                outcome.percentile(99.0),
                "ms",
                Some((p99, false)),
            );
            subject.drained(&outcome).await?;
        }
    }
    if wanted("sustained") {
        let outcome = subject
            .burst(64, Limit::Time(Duration::from_secs(60)), Some(3_000))
            .await?;
        let visible = subject.drained(&outcome).await?;
        add(
            "64 connections, 3,000/s offered for 60 s: acknowledgement p99",
            outcome.percentile(99.0),
            "ms",
            None,
        );
        add(
            "64 connections, 3,000/s offered for 60 s: lag at the end",
            (visible.saturating_sub(outcome.elapsed)).as_secs_f64(),
            "s",
            None,
        );
    }
    if wanted("memory") {
        let most = std::cell::Cell::new(0.0_f64);
        let watch = async {
            loop {
                most.set(most.get().max(subject.rss_mb()));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = subject.burst(512, Limit::Time(Duration::from_secs(20)), None) => outcome?,
            () = watch => bail!("watching ended before the load"),
        };
        subject.drained(&outcome).await?;
        add(
            "512 connections, full load: hub memory",
            most.get(),
            "MB",
            Some((120.0, false)),
        );
        add(
            "512 connections: acknowledgement p99",
            outcome.percentile(99.0),
            "ms",
            None,
        );
    }
    if wanted("backlog") {
        subject
            .rest
            .post("channels/lab/pause", &serde_json::json!({}))
            .await?;
        let outcome = subject.burst(64, Limit::Messages(100_000), None).await?;
        let from = Instant::now();
        subject
            .rest
            .post("channels/lab/start", &serde_json::json!({}))
            .await?;
        subject.drained(&outcome).await?;
        add(
            "backlog of 100,000 messages: drained",
            100_000.0 / from.elapsed().as_secs_f64(),
            "msg/s",
            Some((3_000.0, true)),
        );
    }
    Ok(figures)
}

fn line(figure: &Figure) -> String {
    let target = match figure.target {
        Some((limit, true)) => format!("at least {limit}"),
        Some((limit, false)) => format!("at most {limit}"),
        None => "no target".to_owned(),
    };
    let verdict = match figure.met() {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    let value = if figure.value >= 100.0 {
        format!("{:.0}", figure.value)
    } else {
        format!("{:.2}", figure.value)
    };
    format!(
        "{:<62} {value:>9} {:<7} {target:<16} {verdict}",
        figure.name, figure.unit
    )
}

fn show(figures: &[Figure], json: bool) -> anyhow::Result<()> {
    if json {
        let list: Vec<_> = figures
            .iter()
            .map(|figure| serde_json::json!({"figure": figure.name, "value": figure.value, "unit": figure.unit, "target": figure.target.map(|(limit, _)| limit), "met": figure.met()}))
            .collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
    } else {
        println!();
        for figure in figures {
            println!("{}", line(figure));
        }
    }
    Ok(())
}
