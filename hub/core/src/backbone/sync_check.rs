//! Do the servers sync every write? An acknowledgement means "on disk" only then (design.md §4.1).
//! The answer is read from each server's monitoring endpoint; unknown is said as unknown.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What the servers' settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncSetting {
    /// `sync_interval: always`.
    Always,
    /// A weaker setting: acknowledged messages can be lost when the machine loses power.
    Weaker { interval: String },
    /// Could not be asked.
    NotChecked { reason: String },
}

impl std::fmt::Display for SyncSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Always => f.write_str("every write is synced"),
            Self::Weaker { interval } => write!(
                f,
                "WEAK: synced every {interval}, set `sync_interval: always` in the jetstream block"
            ),
            Self::NotChecked { reason } => write!(f, "not checked: {reason}"),
        }
    }
}

#[derive(Deserialize)]
struct Varz {
    jetstream: Option<VarzJetStream>,
}

#[derive(Deserialize)]
struct VarzJetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

/// Asks a server's monitoring endpoint (`http://host:port`).
pub async fn check(monitor_url: Option<&str>) -> SyncSetting {
    let Some(url) = monitor_url else {
        return SyncSetting::NotChecked {
            reason: "[nats] monitor_url is not set".into(),
        };
    };
    match tokio::time::timeout(Duration::from_secs(2), varz(url)).await {
        Err(_) => SyncSetting::NotChecked {
            reason: format!("{url} did not answer within 2 s"),
        },
        Ok(Err(reason)) => SyncSetting::NotChecked { reason },
        Ok(Ok(body)) => read(&body),
    }
}

fn read(body: &str) -> SyncSetting {
    match serde_json::from_str::<Varz>(body) {
        Ok(Varz {
            jetstream: Some(VarzJetStream {
                config: Some(config),
            }),
        }) => {
            if config.sync_always {
                SyncSetting::Always
            } else {
                SyncSetting::Weaker {
                    interval: format!("{} s", config.sync_interval / 1_000_000_000),
                }
            }
        }
        Ok(_) => SyncSetting::NotChecked {
            reason: "the server has no JetStream".into(),
        },
        Err(_) => SyncSetting::NotChecked {
            reason: "the monitoring endpoint's answer could not be read".into(),
        },
    }
}

/// One small GET over a plain socket: the monitoring port is loopback or cluster-internal.
async fn varz(url: &str) -> Result<String, String> {
    let host = url
        .strip_prefix("http://")
        .ok_or("monitor_url must begin with http://")?
        .trim_end_matches('/');
    let mut socket = tokio::net::TcpStream::connect(host)
        .await
        .map_err(|error| format!("{url}: {error}"))?;
    socket
        .write_all(format!("GET /varz HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    socket
        .take(4 * 1024 * 1024)
        .read_to_end(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    text.split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .ok_or_else(|| "no HTTP answer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_strong_and_unknown_are_told_apart() {
        assert_eq!(
            read(r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#),
            SyncSetting::Always
        );
        assert_eq!(
            read(r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#),
            SyncSetting::Weaker {
                interval: "120 s".into()
            }
        );
        assert!(matches!(read("{}"), SyncSetting::NotChecked { .. }));
        assert!(matches!(read("<html>"), SyncSetting::NotChecked { .. }));
    }
}
