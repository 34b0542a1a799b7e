//! `hub demo`: plays the fixtures through real sockets and looks over REST whether each had its effect.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adapter_hl7v2::client::Sender;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;

use super::dev::Dev;
use super::signal::StopSignal;
use crate::home;
use crate::rest::Rest;

/// How long effects may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Script {
    fixture: Vec<Fixture>,
}

/// One file and what must be seen of it; see fixtures/expected.toml.
#[derive(Deserialize)]
struct Fixture {
    file: String,
    ack: String,
    patient: Option<String>,
    #[serde(default)]
    expects: Vec<Expectation>,
}

#[derive(Deserialize, Serialize, Clone)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Expectation {
    Patient,
    Encounter {
        visit: String,
        status: Option<String>,
    },
    Order {
        number: String,
        status: Option<String>,
    },
    Result {
        code: String,
        value: Option<String>,
        loinc: Option<String>,
        held: Option<bool>,
    },
    Held {
        code: String,
    },
    Vital {
        code: String,
        value: Option<String>,
        loinc: Option<String>,
        held: Option<bool>,
    },
    UnmatchedVitals {
        reason: String,
    },
    Alarm {
        code: String,
        status: Option<String>,
        history: Option<usize>,
    },
    Dead {
        reason: String,
    },
    NotTranslated,
}

/// What came of one file.
#[derive(Serialize)]
struct Played {
    file: String,
    ack: String,
    expected_ack: String,
    missing: Vec<Expectation>,
}

impl Played {
    fn good(&self) -> bool {
        self.missing.is_empty() && self.ack == self.expected_ack
    }
}

/// Starts everything, plays, shows, and serves on (or ends, with `once`).
///
/// # Errors
/// Servers, hub or fixtures could not be had.
pub(super) async fn run(once: bool) -> anyhow::Result<ExitCode> {
    let given = std::env::var("HUB_BOOTSTRAP_ADMIN_PASSWORD")
        .ok()
        .filter(|password| !password.is_empty());
    let started = Instant::now();
    let mut stop = StopSignal::install()?;
    let dev = Dev::start().await?;
    let outcome = play_and_check(
        &dev,
        given.or_else(|| std::fs::read_to_string(dev.options.password_file()).ok()),
    )
    .await;
    let played = match outcome {
        Ok(played) => played,
        Err(error) => {
            dev.stop().await;
            return Err(error);
        }
    };
    let good = played.iter().all(Played::good);
    let summary = serde_json::json!({
        "ok": good,
        "fixtures": played.len(),
        "seconds": (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        "missing": played.iter().filter(|one| !one.good()).collect::<Vec<_>>(),
    });
    if once {
        println!("{}", serde_json::to_string_pretty(&summary)?);
        dev.stop().await;
        return Ok(if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    tell(&played);
    dev.tell();
    stop.given().await;
    println!("stopping");
    dev.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn play_and_check(dev: &Dev, password: Option<String>) -> anyhow::Result<Vec<Played>> {
    let folder = home::project_folder("fixtures", "HUB_FIXTURES")?;
    let file = folder.join("expected.toml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let script: Script = toml::from_str(&text).with_context(|| file.display().to_string())?;
    let password = password.context("the home has an administrator already: set $HUB_BOOTSTRAP_ADMIN_PASSWORD so that the effects can be looked at over REST")?;
    let rest = sign_in(dev, &password).await?;
    let acks = play(dev, &folder, &script).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut played = Vec::with_capacity(script.fixture.len());
    for (fixture, ack) in script.fixture.into_iter().zip(acks) {
        let mut missing = Vec::new();
        for expectation in &fixture.expects {
            loop {
                if is_seen(&rest, &fixture, expectation).await? {
                    break;
                }
                if Instant::now() > deadline {
                    missing.push(expectation.clone());
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        played.push(Played {
            file: fixture.file,
            ack,
            expected_ack: fixture.ack,
            missing,
        });
    }
    Ok(played)
}

/// The administrator is made while the hub starts; a moment's patience.
async fn sign_in(dev: &Dev, password: &str) -> anyhow::Result<Rest> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Rest::sign_in(dev.options.api, password).await {
            Ok(rest) => return Ok(rest),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn play(dev: &Dev, folder: &std::path::Path, script: &Script) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + PATIENCE;
    let stream = loop {
        match TcpStream::connect(dev.options.mllp).await {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| dev.options.mllp.to_string());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    stream.set_nodelay(true)?;
    let mut sender = Sender::new(stream, Duration::from_secs(10));
    let mut acks = Vec::with_capacity(script.fixture.len());
    for fixture in &script.fixture {
        let file = folder.join("hl7v2").join(&fixture.file);
        let content = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let ack = sender
            .send(&content)
            .await
            .with_context(|| fixture.file.clone())?;
        acks.push(ack.code.as_str().to_owned());
    }
    Ok(acks)
}

async fn is_seen(
    rest: &Rest,
    fixture: &Fixture,
    expectation: &Expectation,
) -> anyhow::Result<bool> {
    let patient = fixture.patient.as_deref().unwrap_or_default();
    let items = |page: Value| page["items"].as_array().cloned().unwrap_or_default();
    let is = |item: &Value, pointer: &str, wanted: &Option<String>| {
        wanted
            .as_ref()
            .is_none_or(|wanted| item.pointer(pointer).and_then(Value::as_str) == Some(wanted))
    };
    Ok(match expectation {
        Expectation::Patient => {
            !items(rest.get(&format!("patients?identifier={patient}")).await?).is_empty()
        }
        Expectation::Encounter { visit, status } => {
            items(rest.get(&format!("encounters?visit={visit}")).await?)
                .iter()
                .any(|item| is(item, "/status", status))
        }
        Expectation::Order { number, status } => {
            items(rest.get(&format!("orders?number={number}")).await?)
                .iter()
                .any(|item| is(item, "/status", status))
        }
        Expectation::Result {
            code,
            value,
            loinc,
            held,
        } => {
            let page = items(
                rest.get(&format!("results?patient_identifier={patient}&limit=500"))
                    .await?,
            );
            page.iter().any(|item| {
                is(item, "/code/code", &Some(code.clone()))
                    && is(item, "/raw_value", value)
                    && is(item, "/loinc", loinc)
                    && held.is_none_or(|held| item["held"].is_string() == held)
            })
        }
        Expectation::Held { code } => items(rest.get("held?limit=500").await?)
            .iter()
            .any(|item| item["code"] == *code),
        Expectation::Vital {
            code,
            value,
            loinc,
            held,
        } => items(
            rest.get(&format!("vitals?patient_identifier={patient}&limit=500"))
                .await?,
        )
        .iter()
        .any(|item| {
            is(item, "/code/code", &Some(code.clone()))
                && is(item, "/raw_value", value)
                && is(item, "/loinc", loinc)
                && held.is_none_or(|held| item["held"].is_string() == held)
        }),
        Expectation::UnmatchedVitals { reason } => {
            items(rest.get("worklists/vitals?limit=500").await?)
                .iter()
                .any(|item| item["reason"] == *reason)
        }
        Expectation::Alarm {
            code,
            status,
            history,
        } => alarm_is_seen(rest, code, status.as_deref(), *history).await?,
        Expectation::Dead { reason } => items(rest.get("dead-letters?limit=500").await?)
            .iter()
            .any(|item| item["reason"] == *reason),
        Expectation::NotTranslated => {
            !items(rest.get("messages?outcome=not_translated").await?).is_empty()
        }
    })
}

/// An alarm with this code and status, whose history has as many entries.
async fn alarm_is_seen(
    rest: &Rest,
    code: &str,
    status: Option<&str>,
    history: Option<usize>,
) -> anyhow::Result<bool> {
    let page = rest.get("alarms?state=all&limit=500").await?;
    for item in page["items"].as_array().into_iter().flatten() {
        let fits =
            item["code"]["code"] == *code && status.is_none_or(|status| item["status"] == *status);
        let Some(id) = item["id"].as_str().filter(|_| fits) else {
            continue;
        };
        let detail = rest.get(&format!("alarms/{id}")).await?;
        let entries = detail["history"].as_array().map_or(0, Vec::len);
        if history.is_none_or(|wanted| entries == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn tell(played: &[Played]) {
    println!("\nPlayed {} messages through MLLP:", played.len());
    for one in played {
        let verdict = if one.good() {
            "as expected".to_owned()
        } else {
            format!(
                "MISSING {}",
                serde_json::to_string(&one.missing).unwrap_or_default()
            )
        };
        println!("  {:<42} {}  {verdict}", one.file, one.ack);
    }
}
