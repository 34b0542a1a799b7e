//! `hub simulate`: an instrument on the line, without the instrument.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use hub_core::mappings::Pack;
use tokio::net::TcpListener;

use super::{MappingsArgument, packs};
use crate::simulate::{self, Fault, Filling, Job, Manner, Place, Play, Template, Told};

/// Arguments of `hub simulate`.
#[derive(clap::Args)]
pub(super) struct Simulate {
    /// The instrument pack; `hub packs` lists them.
    pack: String,
    #[command(flatten)]
    line: LineArguments,
    /// Number on the tube; several with commas are played in turn. Default: a new one each.
    #[arg(long, value_delimiter = ',')]
    specimen: Vec<String>,
    /// The hospital's number of the patient, where the instrument sends one. Default: none, as most instruments.
    #[arg(long, default_value = "")]
    patient: String,
    /// Messages.
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Messages a second.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Control samples instead of patients'.
    #[arg(long, conflicts_with_all = ["ask", "work"])]
    qc: bool,
    /// Ask what is ordered for the specimen, show the answer.
    #[arg(long)]
    ask: bool,
    /// Ask what is ordered, and send results of just that (a blood counter is told how to count: all that it counts).
    #[arg(long)]
    work: bool,
    /// Misbehave, once, in the first message.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Seconds to wait for each answer of the hub.
    #[arg(long, default_value_t = 10.0)]
    patience: f64,
    /// Seconds of silence with --fault silence; the hub gives an ASTM message up after 30, an HL7 message after 60.
    #[arg(long, default_value_t = 35.0)]
    silence: f64,
    /// Seconds to stay on the line after the last message, for what the hub sends by itself (ASTM and HL7; not in blocks).
    #[arg(long, default_value_t = 0.0)]
    stay: f64,
    /// Steers the values: the same seed sends the same. Default: the time.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    mappings: MappingsArgument,
    /// One JSON object an event.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct LineArguments {
    /// Dial the hub.
    #[arg(long)]
    to: Option<SocketAddr>,
    /// Wait for the hub to dial.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// A real serial port, with the pack's baud rate and parity.
    #[arg(long)]
    serial: Option<PathBuf>,
    /// Make a pseudo terminal and plug it in at this path, where a channel's `serial.port` finds it.
    #[arg(long)]
    pty: Option<PathBuf>,
    /// Connect to nothing: print the messages, as `hub try` reads them.
    #[arg(long)]
    print: bool,
}

impl Simulate {
    /// Plays; exit code 1 when the hub did not take everything, or did not answer a query.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let known = packs::read(&self.mappings)?;
        let pack = packs::named(&known, &self.pack)?;
        let jobs = self.jobs(pack)?;
        if self.line.print {
            for line in jobs.iter().flat_map(|job| &job.lines) {
                println!("{line}");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let manner = Manner {
            fault: self.fault,
            pause: seconds("--rate", 1.0 / self.rate)?,
            patience: seconds("--patience", self.patience)?,
            silence: seconds("--silence", self.silence)?,
            stay: seconds("--stay", self.stay)?,
        };
        let mut tell = |told: Told| {
            if self.json {
                println!("{}", serde_json::json!(told));
            } else {
                println!("{told}");
            }
        };
        let place = self.place(pack, &mut tell).await?;
        let outcome = simulate::play(pack, place, jobs, &manner, &mut tell).await?;
        if !self.json {
            println!(
                "{} accepted, {} not, {} received from the hub, {} without answer",
                outcome.accepted, outcome.refused, outcome.received, outcome.unanswered
            );
        }
        Ok(if outcome.is_good() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn place(&self, pack: &Pack, tell: &mut dyn FnMut(Told)) -> anyhow::Result<Place> {
        let line = &self.line;
        let (place, to) = if let Some(address) = line.to {
            (
                Place::Dial(address),
                format!("dials {}", simulate::at(address)),
            )
        } else if let Some(address) = line.listen {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("can't listen on {address}"))?;
            let address = listener.local_addr()?;
            (
                Place::Listen(listener),
                format!("waits on {}", simulate::at(address)),
            )
        } else if let Some(port) = &line.serial {
            let settings = simulate::serial(pack, port)?;
            let said = format!("on {} at {} bit/s", port.display(), settings.baud);
            (Place::Serial(Box::new(settings)), said)
        } else if let Some(port) = &line.pty {
            let port = std::path::absolute(port)?;
            let said = format!("plugged in at {}", port.display());
            (Place::pty(port), said)
        } else {
            bail!("give one of --to, --listen, --serial and --pty");
        };
        tell(Told::Line {
            what: format!("{} {to}", pack.title),
        });
        Ok(place)
    }

    fn jobs(&self, pack: &Pack) -> anyhow::Result<Vec<Job>> {
        let asks = self.ask || self.work;
        let (play, text) = match (self.qc, asks) {
            (true, _) => (Play::Control, &pack.samples.control),
            (_, true) => (Play::Query, &pack.samples.query),
            _ => (Play::Results, &pack.samples.results),
        };
        let lacks = |what: &str| {
            let has = packs::plays(pack);
            format!(
                "pack `{}` has no sample of {what}, only of {}: what this instrument writes then is not known to it",
                pack.name,
                if has.is_empty() {
                    "nothing".to_owned()
                } else {
                    has.join(", ")
                }
            )
        };
        let template = |text: &Option<String>, what: &str| -> anyhow::Result<Template> {
            let text = text.as_deref().with_context(|| lacks(what))?;
            Template::parse(text)
                .map_err(|fault| anyhow::anyhow!("{}: {fault}", pack.file.display()))
        };
        let message = template(text, play.as_str())?;
        let results = self
            .work
            .then(|| template(&pack.samples.results, "results"))
            .transpose()?;
        let seed = self.seed.unwrap_or_else(of_the_time);
        (0..self.count)
            .map(|n| {
                let count = n + 1;
                let specimen = match self.specimen.len() {
                    0 => format!("SIM{}", (seed.wrapping_add(n as u64)) % 10_000_000),
                    some => self.specimen.get(n % some).cloned().unwrap_or_default(),
                };
                let control = |number: usize| format!("{}{number}", seed % 1_000_000_000);
                let filling = Filling {
                    specimen: specimen.clone(),
                    patient: self.patient.clone(),
                    control: control(count),
                    count,
                    seed: seed.wrapping_mul(31).wrapping_add(n as u64),
                };
                let lines = message.fill(&filling);
                // the results are another message than the query, under a number of their own
                let filling = Filling {
                    control: control(self.count.saturating_add(count)),
                    ..filling
                };
                Ok(Job {
                    play,
                    lines,
                    specimen,
                    results: results.clone().map(|results| (results, filling)),
                })
            })
            .collect()
    }
}

fn seconds(name: &str, value: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("{name} is no time"))
}

fn of_the_time() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
