//! Structured logs, Prometheus metrics, W3C trace context and the export of spans. Nothing here may carry patient data.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

mod context;
pub mod export;
pub mod settings;
mod span;
mod wire;

pub use context::SpanContext;
pub(crate) use span::waited_ms;
pub use span::{Kind, Span, Value};

/// Renders the metrics of this process (Prometheus text format).
pub use metrics_exporter_prometheus::PrometheusHandle as MetricsHandle;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Starts logging to standard error; the level comes from `HUB_LOG` (default `info`).
pub fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_env("HUB_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,async_nats=error,sqlx=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // a second call (tests) changes nothing
    let _ = match format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Seconds, for waits from a tenth of a millisecond to ten seconds.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Group and batch sizes.
const SIZES: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// Starts the metrics registry. `None` when this process has one already.
#[must_use]
pub fn start_metrics() -> Option<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), SIZES))
        .and_then(PrometheusBuilder::install_recorder)
        .ok()
}

/// Between two times that what was recorded is counted into the histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// Counts what was recorded into the histograms, until `stop`. Otherwise each recorded value stays in memory until somebody
/// reads `/metrics`: for ever where nobody does.
pub async fn keep_metrics(handle: PrometheusHandle, stop: CancellationToken) {
    keep_every(handle, stop, UPKEEP).await;
}

async fn keep_every(handle: PrometheusHandle, stop: CancellationToken, every: Duration) {
    while stop
        .run_until_cancelled(tokio::time::sleep(every))
        .await
        .is_some()
    {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_mb() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4 / 1024
    }

    /// In a process of its own: what other tests take of this one's memory says nothing.
    #[test]
    fn what_is_recorded_does_not_wait_in_memory_for_a_reader() {
        let name = "telemetry::tests::alone_three_million_values_take_little_memory";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", name])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Three million values take 70 MB where they wait for a reader.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "measures the whole process: run by the test above, alone"]
    async fn alone_three_million_values_take_little_memory() {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .unwrap()
            .build_recorder();
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(keep_every(
            recorder.handle(),
            stop.clone(),
            Duration::from_millis(1),
        ));
        let before = resident_mb();
        let handle = recorder.handle();
        tokio::task::spawn_blocking(move || {
            metrics::with_local_recorder(&recorder, || {
                let waited = metrics::histogram!("hub_test_seconds");
                for _ in 0..3_000_000 {
                    waited.record(0.001);
                }
            });
        })
        .await
        .unwrap();
        let grown = resident_mb().saturating_sub(before);
        assert!(grown < 35, "{grown} MB more");
        stop.cancel();
        keeping.await.unwrap();
        // the registry may miss one that is recorded in the very moment in which it counts
        let said = handle.render();
        let counted = said
            .lines()
            .find_map(|line| line.strip_prefix("hub_test_seconds_count "));
        let counted: u32 = counted.unwrap().parse().unwrap();
        assert!((2_999_900..=3_000_000).contains(&counted), "{counted}");
    }
}
