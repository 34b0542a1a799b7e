//! Sends, and takes the time of each acknowledgement. Cheap on purpose: it shares the machine with what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::message;

/// When to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    Messages(u64),
    Time(Duration),
}

/// What to send.
#[derive(Debug, Clone)]
pub(super) struct Burst {
    pub to: SocketAddr,
    pub connections: usize,
    pub limit: Limit,
    pub rate: Option<u64>,
    pub patients: u64,
    pub run: String,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub acknowledged: u64,
    pub refused: u64,
    /// Connections that broke.
    pub failed: u64,
    pub started: Option<Instant>,
    pub elapsed: Duration,
    /// Acknowledgement times, microseconds, sorted.
    latencies: Vec<u32>,
    /// Last message of each connection: patient number and filler number.
    pub last: Vec<(String, String)>,
}

impl Outcome {
    /// Milliseconds within which `percent` of the acknowledgements came.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        if self.latencies.is_empty() {
            return f64::NAN;
        }
        let rank = (percent / 100.0 * self.latencies.len() as f64).ceil() as usize;
        f64::from(self.latencies[rank.clamp(1, self.latencies.len()) - 1]) / 1000.0
    }
}

/// Sends a burst.
///
/// # Errors
/// A connection could not be made at all.
pub(super) async fn run(burst: Arc<Burst>) -> anyhow::Result<Outcome> {
    let mut streams = Vec::with_capacity(burst.connections);
    for _ in 0..burst.connections {
        let stream = TcpStream::connect(burst.to)
            .await
            .with_context(|| format!("can't connect to {}", burst.to))?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let taken = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (connection, stream) in streams.into_iter().enumerate() {
        tasks.spawn(send(
            Arc::clone(&burst),
            connection,
            stream,
            Arc::clone(&taken),
            started,
        ));
    }
    let mut all = Outcome {
        started: Some(started),
        ..Outcome::default()
    };
    while let Some(done) = tasks.join_next().await {
        let one = done?;
        all.acknowledged += one.acknowledged;
        all.refused += one.refused;
        all.failed += one.failed;
        all.latencies.extend(one.latencies);
        all.last.extend(one.last);
    }
    all.elapsed = started.elapsed();
    all.latencies.sort_unstable();
    Ok(all)
}

async fn send(
    burst: Arc<Burst>,
    connection: usize,
    mut stream: TcpStream,
    taken: Arc<AtomicU64>,
    started: Instant,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut content = Vec::with_capacity(2048);
    let mut frame = Vec::with_capacity(2048);
    let mut answer = vec![0_u8; 4096];
    let mut n = 0_u64;
    loop {
        let ticket = taken.fetch_add(1, Ordering::Relaxed);
        match burst.limit {
            Limit::Messages(limit) if ticket >= limit => break,
            Limit::Time(limit) if started.elapsed() >= limit => break,
            _ => {}
        }
        if let Some(rate) = burst.rate {
            let due = started + Duration::from_secs_f64(ticket as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
        }
        let patient = ticket.wrapping_mul(7919) % burst.patients.max(1);
        message::write(&mut content, &burst.run, connection, n, patient);
        frame.clear();
        frame.push(0x0B);
        frame.extend_from_slice(&content);
        frame.extend_from_slice(&[0x1C, 0x0D]);
        let sent = Instant::now();
        match exchange(&mut stream, &frame, &mut answer).await {
            Some(true) => {
                outcome.acknowledged += 1;
                outcome.last = vec![(
                    message::patient_number(patient),
                    message::filler(&burst.run, connection, n),
                )];
                outcome
                    .latencies
                    .push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Some(false) => outcome.refused += 1,
            None => {
                outcome.failed += 1;
                break;
            }
        }
        n += 1;
    }
    outcome
}

/// True: accepted, false: refused, `None`: the connection broke.
async fn exchange(stream: &mut TcpStream, frame: &[u8], answer: &mut [u8]) -> Option<bool> {
    stream.write_all(frame).await.ok()?;
    let mut filled = 0;
    loop {
        let count = stream.read(&mut answer[filled..]).await.ok()?;
        if count == 0 {
            return None;
        }
        filled += count;
        if answer[..filled].ends_with(&[0x1C, 0x0D]) {
            let text = &answer[..filled];
            return Some(text.windows(7).any(|w| w == b"MSA|AA|" || w == b"MSA|CA|"));
        }
        if filled == answer.len() {
            return Some(false);
        }
    }
}
