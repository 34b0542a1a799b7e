//! What is seen from outside: when the messages can be read, and the processes' own accounts in /proc.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::generator::Outcome;
use crate::rest::Rest;

/// Waits until the last message of every connection can be read; returns the time since the burst began.
pub(super) async fn until_visible(
    rest: &Rest,
    outcome: &Outcome,
    limit: Duration,
) -> anyhow::Result<Duration> {
    let started = outcome.started.context("nothing was sent")?;
    let deadline = Instant::now() + limit;
    for (patient, filler) in &outcome.last {
        while !rest.is_visible(patient, filler).await? {
            if Instant::now() > deadline {
                bail!("message {filler} can't be read after {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(started.elapsed())
}

/// Account of a process and all its descendants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    /// CPU seconds, user and system.
    pub cpu: f64,
    /// Resident bytes of the process itself.
    pub rss: u64,
}

/// Reads the account of a process tree.
pub(super) fn account(pid: u32) -> Account {
    let mut total = Account {
        cpu: cpu_of(pid),
        rss: rss_of(pid),
    };
    for child in children(pid) {
        total.cpu += account(child).cpu;
    }
    total
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn cpu_of(pid: u32) -> f64 {
    // fields after the command name, which stands in parentheses and may hold blanks (proc(5))
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return 0.0;
    };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|t| t.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // utime, stime, and those of children that have ended
    (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / 100.0
}

fn rss_of(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| {
            status
                .lines()
                .find(|line| line.starts_with("VmRSS:"))
                .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        })
        .map_or(0, |kib| kib * 1024)
}
