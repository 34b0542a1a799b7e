//! Senders that behave as hospital systems do: one message in flight on a connection; the same bytes again after AE, a
//! time-out or a broken connection, until AA; only then the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::Fallible;
use super::message::{self, Kind, Person};
use super::random::Random;
use super::sent::{Patient, Step};

/// How long a sender waits for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it tries one message before it calls for help.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pauses between tries: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Patients that one connection has open at a time.
const OPEN: usize = 6;
/// Corrections of one report, at most.
const CORRECTIONS: usize = 5;

/// An acknowledgement, for the time a recovery took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged {
    /// When the bytes that were answered had been written.
    pub(crate) written: Instant,
    pub(crate) at: Instant,
}

/// One connection's work.
pub(crate) struct Sender {
    pub(crate) to: SocketAddr,
    /// Stands in every number of this run.
    pub(crate) run: String,
    pub(crate) connection: usize,
    pub(crate) random: Random,
    /// Longest think-time between two messages.
    pub(crate) think: Duration,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) acknowledged: mpsc::UnboundedSender<Acknowledged>,
}

/// A patient who is still being written about.
struct Open {
    patient: Patient,
    /// Steps until the connection turns to another patient.
    length: u32,
    /// Reports with the number of their corrections.
    reports: Vec<(String, usize)>,
}

enum Answer {
    Accepted,
    /// AE: to be sent again.
    Again,
    /// No answer, or a connection that broke.
    Nothing,
}

impl Sender {
    /// Sends until told to stop; the message in flight is finished.
    pub(crate) async fn run(mut self) -> Fallible<Vec<Patient>> {
        let mut done = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let mut socket = None;
        let mut people = 0;
        let mut messages = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            while open.len() < OPEN {
                people += 1;
                open.push(self.new_patient(people));
            }
            let choice = usize::try_from(self.random.below(OPEN as u64))?;
            messages += 1;
            let control_id = format!("{}-{}-{messages}", self.run, self.connection);
            let kind = self.next_kind(&mut open[choice], &control_id);
            let patient = &mut open[choice].patient;
            let number = u32::try_from(patient.steps.len() + 1)?;
            let text = message::write(&patient.person, &control_id, number, &kind);
            let attempts = self
                .until_accepted(&mut socket, &control_id, text.as_bytes())
                .await?;
            patient.steps.push(Step {
                number,
                control_id,
                kind,
                attempts,
                acknowledged: true,
            });
            if number >= open[choice].length {
                done.push(open.swap_remove(choice).patient);
            }
            let think = self.random.between(Duration::ZERO, self.think);
            if think > Duration::from_millis(1) {
                tokio::time::sleep(think).await;
            }
        }
        done.extend(
            open.into_iter()
                .map(|open| open.patient)
                .filter(|patient| !patient.steps.is_empty()),
        );
        Ok(done)
    }

    fn new_patient(&mut self, count: u32) -> Open {
        let number = format!("{}C{}P{count}", self.run, self.connection);
        let person = Person {
            mrn: format!("M{number}"),
            visit: format!("V{number}"),
        };
        Open {
            patient: Patient {
                person,
                steps: Vec::new(),
            },
            length: 20 + u32::try_from(self.random.below(40)).unwrap_or(0),
            reports: Vec::new(),
        }
    }

    fn next_kind(&mut self, open: &mut Open, control_id: &str) -> Kind {
        if open.patient.steps.is_empty() {
            return Kind::Admit;
        }
        let choice = self.random.below(100);
        if choice < 45 {
            return Kind::Update;
        }
        let correctable: Vec<usize> = (0..open.reports.len())
            .filter(|index| open.reports[*index].1 < CORRECTIONS)
            .collect();
        if choice < 60 && !correctable.is_empty() {
            let chosen = self.random.below(correctable.len() as u64);
            let (filler, corrections) =
                &mut open.reports[correctable[usize::try_from(chosen).unwrap_or(0)]];
            *corrections += 1;
            return Kind::Correction {
                filler: filler.clone(),
            };
        }
        let filler = format!("F{control_id}");
        open.reports.push((filler.clone(), 0));
        let large = self.random.below(250) == 0;
        Kind::Result { filler, large }
    }

    /// Returns how often the bytes were written.
    async fn until_accepted(
        &mut self,
        socket: &mut Option<TcpStream>,
        control_id: &str,
        text: &[u8],
    ) -> Fallible<u32> {
        let deadline = Instant::now() + PATIENCE;
        let mut attempts = 0;
        let mut pause = PAUSES.0;
        loop {
            if socket.is_none() {
                *socket = connect(self.to).await;
            }
            if let Some(stream) = socket {
                let written = Instant::now();
                attempts += 1;
                match exchange(stream, control_id, text).await? {
                    Answer::Accepted => {
                        let at = Instant::now();
                        let _ = self.acknowledged.send(Acknowledged { written, at });
                        return Ok(attempts);
                    }
                    Answer::Again => {}
                    // a late answer must not be taken for the next message's
                    Answer::Nothing => *socket = None,
                }
            }
            if Instant::now() >= deadline {
                return Err(
                    format!("message {control_id} was not accepted within {PATIENCE:?}").into(),
                );
            }
            tokio::time::sleep(self.random.between(pause / 2, pause)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

async fn connect(to: SocketAddr) -> Option<TcpStream> {
    let stream = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(to)).await;
    let stream = stream.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

async fn exchange(stream: &mut TcpStream, control_id: &str, text: &[u8]) -> Fallible<Answer> {
    let frame = [b"\x0B", text, b"\x1C\r"].concat();
    let exchanged = async {
        stream.write_all(&frame).await?;
        let mut answer = Vec::with_capacity(512);
        while !answer.ends_with(b"\x1C\r") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok::<_, std::io::Error>(answer)
    };
    let Ok(Ok(answer)) = tokio::time::timeout(ANSWER, exchanged).await else {
        return Ok(Answer::Nothing);
    };
    let answer = String::from_utf8_lossy(&answer);
    let acknowledgement = answer
        .split('\r')
        .find(|line| line.starts_with("MSA|"))
        .ok_or_else(|| format!("the answer to {control_id} has no MSA"))?;
    let mut fields = acknowledgement.split('|').skip(1);
    let (code, about) = (fields.next(), fields.next());
    if about != Some(control_id) {
        return Err(format!("message {control_id} was answered with {acknowledgement}").into());
    }
    match code {
        Some("AA") => Ok(Answer::Accepted),
        Some("AE") => Ok(Answer::Again),
        _ => Err(format!("message {control_id} was refused for good: {acknowledgement}").into()),
    }
}
