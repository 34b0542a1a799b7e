//! Export of finished spans over OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/), protobuf encoding. One a process,
//! as the log and the metrics are. Never in the way: whoever records a span only puts it into a queue; what finds the queue
//! full, or what the collector does not take, is dropped, counted and said once a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::settings::Target;
use super::{Span, SpanContext, wire};
use crate::retry::Pauses;

/// Spans in one request, some 150 KiB.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take to answer (OpenTelemetry's default).
const ANSWER: Duration = Duration::from_secs(10);
/// Tries of one batch.
const TRIES: u32 = 5;
/// A collector that asks for a longer pause gets this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the process waits at its end for the collector to take what is left.
const FLUSH: Duration = Duration::from_secs(1);
/// Pause between two lines that say how much was dropped.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    queue: mpsc::Sender<Span>,
    /// Of 2^56: see [`sampled`].
    from: u64,
    dropped: Arc<Dropped>,
}

/// Hands a finished span to the exporter, if there is one and the trace is exported; else costs a look. Never waits.
pub fn record(context: SpanContext, span: impl FnOnce() -> Span) {
    if context.is_sampled()
        && let Some(traces) = TRACES.get()
        && traces.queue.try_send(span()).is_err()
    {
        traces.dropped.count("queue_full", 1);
    }
}

/// Whether this process exports spans of this trace: asked where making one takes some work.
#[must_use]
pub fn records(context: SpanContext) -> bool {
    context.is_sampled() && is_on()
}

/// Whether this process exports spans at all.
#[must_use]
pub fn is_on() -> bool {
    TRACES.get().is_some()
}

/// Whether a trace that begins here is exported. Those that follow in it do as they are told by its flag.
pub(super) fn samples(trace: u128) -> bool {
    TRACES
        .get()
        .is_none_or(|traces| sampled(trace, traces.from))
}

/// The last 56 bits of a trace id are random in ours as in others' (W3C Trace Context level 2 §3.2.2.3; in a UUID
/// the first 8 bits of the lower half are not): a trace is exported when they are `from` or more.
fn sampled(trace: u128, from: u64) -> bool {
    (trace & ((1 << 56) - 1)) >= u128::from(from)
}

fn from_of(sample: f64) -> u64 {
    // 2^56 is exact in f64, and the product lies between 0 and 2^56
    ((1.0 - sample) * (1_u64 << 56) as f64) as u64
}

/// The exporter of this process.
pub struct Export {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Starts the exporter on `runtime`. `None` when this process has one already.
#[must_use]
pub fn start(target: &Target, runtime: &Handle) -> Option<Export> {
    let (queue, waiting) = mpsc::channel(target.queue);
    let dropped = Arc::new(Dropped::default());
    let client = reqwest::Client::builder()
        .timeout(ANSWER)
        .default_headers(target.headers.clone())
        // a collector is beside the hub; a redirect would carry our headers elsewhere
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .ok()?;
    TRACES
        .set(Traces {
            queue,
            from: from_of(target.sample),
            dropped: Arc::clone(&dropped),
        })
        .ok()?;
    let stop = CancellationToken::new();
    let exporter = Exporter {
        client,
        url: target.url.clone(),
        resource: vec![
            ("service.name", target.service.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", Uuid::now_v7().to_string()),
            ("process.pid", std::process::id().to_string()),
        ],
        waiting,
        batch: Vec::with_capacity(BATCH),
        dropped,
        stop: stop.clone(),
    };
    tracing::info!(url = %target.url, sample = target.sample, "spans are exported");
    let task = runtime.spawn(exporter.run());
    Some(Export { stop, task })
}

impl Export {
    /// Sends what is left, and waits for that a second at most. To be called when the work has ended.
    pub async fn finish(self) {
        self.stop.cancel();
        // the task keeps its own deadline; this one is for a runtime that is gone
        let _ = tokio::time::timeout(2 * FLUSH, self.task).await;
    }
}

/// What was dropped, and has not been said yet.
#[derive(Default)]
struct Dropped {
    spans: AtomicU64,
    last_error: Mutex<String>,
    told: Notify,
}

impl Dropped {
    fn count(&self, reason: &'static str, spans: u64) {
        metrics::counter!("hub_otlp_spans_dropped_total", "reason" => reason).increment(spans);
        self.spans.fetch_add(spans, Ordering::Relaxed);
        self.told.notify_one();
    }

    fn failed(&self, why: String) {
        metrics::counter!("hub_otlp_requests_failed_total").increment(1);
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn say(&self) {
        let spans = self.spans.swap(0, Ordering::Relaxed);
        if spans > 0 {
            let error = self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            tracing::warn!(
                spans,
                error,
                "spans were not exported: the collector is away, slow or refuses; messages are not affected"
            );
        }
    }

    /// Says it when it begins, and then once a minute.
    async fn keep_saying(&self) {
        loop {
            self.told.notified().await;
            self.say();
            tokio::time::sleep(SAY_EVERY).await;
        }
    }
}

struct Exporter {
    client: reqwest::Client,
    url: reqwest::Url,
    resource: Vec<(&'static str, String)>,
    waiting: mpsc::Receiver<Span>,
    /// On its way.
    batch: Vec<Span>,
    dropped: Arc<Dropped>,
    stop: CancellationToken,
}

/// What became of one request.
enum Sent {
    /// Taken, but for so many spans.
    Taken(u64),
    Never(String),
    /// Another try can help, after this pause if the collector named one.
    Again(String, Option<Duration>),
}

impl Exporter {
    async fn run(mut self) {
        let (stop, dropped) = (self.stop.clone(), Arc::clone(&self.dropped));
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(FLUSH).await;
        };
        tokio::select! {
            () = self.work() => {}
            () = too_late => {}
            () = dropped.keep_saying() => {}
        }
        let left = self.batch.len() + self.waiting.len();
        if left > 0 {
            dropped.count("stopping", left as u64);
        }
        dropped.say();
    }

    /// Batch after batch, until the end is near and nothing waits.
    async fn work(&mut self) {
        loop {
            tokio::select! {
                biased;
                _ = self.waiting.recv_many(&mut self.batch, BATCH) => {}
                () = self.stop.cancelled() => return,
            }
            let linger = tokio::time::Instant::now() + LINGER;
            while self.batch.len() < BATCH {
                let room = BATCH - self.batch.len();
                tokio::select! {
                    biased;
                    _ = self.waiting.recv_many(&mut self.batch, room) => {}
                    () = tokio::time::sleep_until(linger) => break,
                    () = self.stop.cancelled() => break,
                }
            }
            self.deliver().await;
        }
    }

    /// One batch: taken, or given up and counted.
    async fn deliver(&mut self) {
        let body = bytes::Bytes::from(wire::request(&self.resource, &self.batch));
        let spans = self.batch.len() as u64;
        let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(10));
        loop {
            match self.post(body.clone()).await {
                Sent::Taken(rejected) => {
                    metrics::counter!("hub_otlp_spans_exported_total")
                        .increment(spans.saturating_sub(rejected));
                    if rejected > 0 {
                        self.dropped.count("refused", rejected);
                    }
                    break;
                }
                Sent::Never(why) => {
                    self.dropped.failed(why);
                    self.dropped.count("refused", spans);
                    break;
                }
                Sent::Again(why, after) => {
                    self.dropped.failed(why);
                    let pause = pauses.next_pause().max(after.unwrap_or_default());
                    if pauses.tries() >= TRIES || self.stop.is_cancelled() {
                        self.dropped.count("unreachable", spans);
                        break;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
                        // one more try, at once
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
        self.batch.clear();
    }

    async fn post(&self, body: bytes::Bytes) -> Sent {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Sent::Again(in_words(error), None),
        };
        let status = response.status();
        if !status.is_success() {
            let after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            let why = format!("the collector answers {status}");
            return if retryable(status) {
                Sent::Again(why, after)
            } else {
                Sent::Never(why)
            };
        }
        let mut answer = Vec::new();
        // the status says that it has them; what can't be read of the rest changes nothing
        while let Ok(Some(chunk)) = response.chunk().await {
            answer.extend_from_slice(&chunk);
            if answer.len() > ANSWER_BYTES {
                return Sent::Taken(0);
            }
        }
        Sent::Taken(wire::rejected(&answer))
    }
}

/// OTLP/HTTP, "Retryable Response Codes".
fn retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn in_words(error: reqwest::Error) -> String {
    if error.is_timeout() {
        format!("no answer within {} s", ANSWER.as_secs())
    } else if error.is_connect() {
        "not reachable".to_owned()
    } else {
        error.without_url().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_traces_is_sampled_and_every_process_picks_the_same() {
        for sample in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let from = from_of(sample);
            // ids as messages have them: digests that are UUIDs
            let hits = (0..10_000_u32)
                .map(|n| Uuid::new_v5(&Uuid::NAMESPACE_OID, &n.to_be_bytes()).as_u128())
                .filter(|trace| sampled(*trace, from))
                .count();
            let wanted = sample * 10_000.0;
            assert!(
                (hits as f64 - wanted).abs() <= 200.0 && (sample > 0.0 || hits == 0),
                "{sample}: {hits}"
            );
            if sample == 1.0 {
                assert_eq!(hits, 10_000);
            }
        }
        // a smaller part is a part of the larger one
        for n in 0..1000_u32 {
            let trace = Uuid::new_v5(&Uuid::NAMESPACE_OID, &n.to_be_bytes()).as_u128();
            assert!(!sampled(trace, from_of(0.2)) || sampled(trace, from_of(0.4)));
        }
    }

    #[test]
    fn only_what_the_protocol_calls_retryable_is_tried_again() {
        for status in 400..600 {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                retryable(status),
                [429, 502, 503, 504].contains(&status.as_u16())
            );
        }
    }
}
