//! What is seen from outside: REST, metrics, and the processes' own accounts in /proc.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::generator::Outcome;

/// A signed-in REST client.
pub struct Rest {
    client: reqwest::Client,
    base: String,
    token: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

impl Rest {
    /// Signs in as the administrator.
    pub async fn sign_in(api: SocketAddr, password: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let base = format!("http://{api}");
        let answer = client
            .post(format!("{base}/api/v1/auth/login"))
            .json(&serde_json::json!({"username": "admin", "password": password}))
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!("sign-in refused: {}", answer.status());
        }
        let Token { access_token } = answer.json().await?;
        Ok(Self { client, base, token: access_token })
    }

    /// One GET below `/api/v1`.
    pub async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let answer = self.client.get(format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token).send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("GET {path} answered {status}");
        }
        Ok(answer.json().await?)
    }

    /// One POST below `/api/v1`.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let answer = self.client.post(format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token).json(body).send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("POST {path} answered {status}");
        }
        Ok(answer.json().await.unwrap_or_default())
    }

    /// The metrics page.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.client.get(format!("{}/metrics", self.base)).send().await?.text().await?)
    }

    /// A metric's value, summed over its label sets that contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> anyhow::Result<f64> {
        let page = self.metrics().await?;
        Ok(page
            .lines()
            .filter(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// True when the report of this message can be read.
    pub async fn is_visible(&self, patient: &str, filler: &str) -> anyhow::Result<bool> {
        let page = self.get(&format!("results?patient_identifier={patient}&limit=500")).await?;
        Ok(page.to_string().contains(filler))
    }

    /// Waits until the last message of every connection can be read; returns the time since the burst began.
    pub async fn until_visible(&self, outcome: &Outcome, limit: Duration) -> anyhow::Result<Duration> {
        let started = outcome.started.context("nothing was sent")?;
        let deadline = Instant::now() + limit;
        for (patient, filler) in &outcome.last {
            while !self.is_visible(patient, filler).await? {
                if Instant::now() > deadline {
                    bail!("message {filler} can't be read after {limit:?}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(started.elapsed())
    }
}

/// Account of a process and all its descendants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Account {
    /// CPU seconds, user and system.
    pub cpu: f64,
    /// Resident bytes of the process itself.
    pub rss: u64,
}

/// Reads the account of a process tree.
pub fn account(pid: u32) -> Account {
    let mut total = Account { cpu: cpu_of(pid), rss: rss_of(pid) };
    for child in children(pid) {
        total.cpu += account(child).cpu;
    }
    total
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn cpu_of(pid: u32) -> f64 {
    // fields after the command name, which stands in parentheses and may hold blanks (proc(5))
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    // utime, stime, and those of children that have ended
    (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / 100.0
}

fn rss_of(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| status.lines().find(|line| line.starts_with("VmRSS:")).and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()))
        .map_or(0, |kib| kib * 1024)
}
