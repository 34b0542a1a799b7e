//! The whole table of figures. The laboratory's have a hub of their own, with their channels, and so has the desk, whose hub is
//! filled first.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::super::signal::StopSignal;
use super::generator::Limit;
use super::seed::Size;
use super::subject::{Extra, Subject};
use super::{desk, ensure_release, lab};

/// Scenarios of [`scenarios`]; those of the laboratory are in `lab.rs`, that of the REST API in `desk.rs`.
const NAMES: [&str; 7] = [
    "start",
    "single",
    "end-to-end",
    "burst",
    "sustained",
    "memory",
    "backlog",
];

/// One line of the table.
pub(super) struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// Limit, and whether the value must be at least (true) or at most (false) that.
    pub target: Option<(f64, bool)>,
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

/// How long a hub stands still before its memory is judged.
const IDLE: Duration = Duration::from_secs(20);

/// Measures all scenarios whose name contains `only`.
///
/// # Errors
/// This is no release build, or a scenario could not be measured.
pub(super) async fn run(only: Option<&str>, size: Size, json: bool) -> anyhow::Result<ExitCode> {
    ensure_release()?;
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    if wanted("rest") {
        // it comes last: not to be told so after a quarter of an hour
        size.fits(&std::env::temp_dir())?;
    }
    let mut stop = StopSignal::install()?;
    let mut figures = Vec::new();
    if NAMES.into_iter().any(wanted) {
        figures.extend(
            measured(
                Extra::default(),
                wanted("start").then_some(IDLE),
                &mut stop,
                async |subject| scenarios(subject, &wanted).await,
            )
            .await?,
        );
    }
    if wanted("lab") {
        let lab = lab::Lab::new();
        figures.extend(
            measured(lab.extra(), None, &mut stop, async |subject| {
                lab.scenarios(subject).await
            })
            .await?,
        );
    }
    if wanted("rest") {
        figures.extend(
            measured(Extra::default(), None, &mut stop, async |subject| {
                desk::scenario(subject, size).await
            })
            .await?,
        );
    }
    show(&figures, json)?;
    let all_met = figures.iter().all(|figure| figure.met() != Some(false));
    Ok(if all_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Measures one hub, and stops it whatever comes of that.
async fn measured(
    extra: Extra,
    idle: Option<Duration>,
    stop: &mut StopSignal,
    scenarios: impl AsyncFnOnce(&Subject) -> anyhow::Result<Vec<Figure>>,
) -> anyhow::Result<Vec<Figure>> {
    let subject = Subject::start(&extra, idle).await?;
    eprintln!("measuring a hub on {} (REST {})", subject.mllp, subject.api);
    let outcome = tokio::select! {
        outcome = scenarios(&subject) => outcome,
        () = stop.given() => Err(anyhow::anyhow!("stopped before the table was whole")),
    };
    subject.stop().await?;
    outcome
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
        add(
            "hub memory, idle",
            subject.idle_mb,
            "MB",
            Some((40.0, false)),
        );
        tokio::time::sleep(IDLE).await;
        add(
            "hub memory, idle, after somebody signed in over REST",
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
            subject.at_rest().await;
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
        subject.at_rest().await;
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
        subject.at_rest().await;
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
        subject.at_rest().await;
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

pub(super) fn line(figure: &Figure) -> String {
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
