//! Figures of the laboratory: how soon an ASTM instrument is acknowledged, how soon its query is answered while much is
//! pending, and what many slow serial lines cost.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_serial::{SerialPort as _, SerialStream};

use super::instrument::{Instrument, blood_count};
use super::subject::{Extra, PATIENCE, Subject, folder};
use super::table::{Figure, line};

const MESSAGES: usize = 3_000;
const ORDERS: usize = 100_000;
/// Tubes in one order message.
const TUBES: usize = 10;
/// Connections that place orders.
const SENDERS: usize = 32;
/// Instruments that ask at the same moment, and how often each.
const ASKING: usize = 4;
const QUESTIONS: usize = 100;
const LINES: usize = 64;
const BAUD: u32 = 9600;
/// 120 samples an hour, 1,440 results: a fast analyzer on a serial line that never pauses (haematology lines of today name
/// 100 to 125 samples an hour).
const SAMPLE_EVERY: Duration = Duration::from_secs(30);
/// Three times that: no instrument of ours, to see how the cost grows.
const HURRIED: Duration = Duration::from_secs(10);

/// The laboratory's hub has a channel for each serial line.
pub(super) struct Lab {
    /// Where the lines will be plugged in.
    ports: Vec<PathBuf>,
}

impl Lab {
    pub(super) fn new() -> Self {
        let port = |n| folder().join(format!("tty-{n}"));
        let ports = (0..LINES).map(port).collect();
        Self { ports }
    }

    pub(super) fn extra(&self) -> Extra {
        let mut channels = String::new();
        for (n, port) in self.ports.iter().enumerate() {
            // writing to a String does not fail
            let _ = write!(
                channels,
                "\n[[channel]]\nid = \"serial-{n}\"\ntenant = \"demo\"\nkind = \"astm\"\n[channel.settings.serial]\nport = \"{}\"\nbaud = {BAUD}\nretry_longest_ms = 1000\n",
                port.display()
            );
        }
        Extra {
            channels,
            mappings:
                "[[order]]\nid = \"load\"\ncode = \"LOAD\"\ninstrument = [\"WBC\", \"HGB\"]\n"
                    .to_owned(),
        }
    }

    /// Plugs all lines in. Not before the hub runs: it would inherit our ends.
    fn plug_in(&self) -> anyhow::Result<Vec<(SerialStream, SerialStream)>> {
        let plugged = self.ports.iter().map(|port| {
            let (near, far) = SerialStream::pair().context("no pseudo terminal")?;
            std::os::unix::fs::symlink(far.name().context("it has no name")?, port)?;
            Ok((near, far))
        });
        plugged.collect()
    }

    /// Measures.
    ///
    /// # Errors
    /// Something is not answered, or not as it should be.
    pub(super) async fn scenarios(&self, subject: &Subject) -> anyhow::Result<Vec<Figure>> {
        let mut figures = self.serial_lines(subject).await?;
        figures.extend(acknowledgements(subject).await?);
        figures.extend(host_queries(subject).await?);
        Ok(figures)
    }

    /// What the lines cost while nobody sends, at the pace of a busy analyzer, and as fast as they can.
    async fn serial_lines(&self, subject: &Subject) -> anyhow::Result<Vec<Figure>> {
        // the hub's ends are held, or ours would see a hang-up before the hub has opened its own
        let (near, _far): (Vec<_>, Vec<_>) = self.plug_in()?.into_iter().unzip();
        // and the hub has opened them
        tokio::time::sleep(Duration::from_secs(5)).await;
        let idle = hub_cpu(subject, Duration::from_secs(15)).await;
        let (pace, every) = watch::channel(SAMPLE_EVERY);
        let mut tasks = JoinSet::new();
        for (n, near) in near.into_iter().enumerate() {
            tasks.spawn(sends(Instrument::at(near, BAUD), n, every.clone()));
        }
        let measured = async {
            // every line has begun, and the first messages are through
            tokio::time::sleep(SAMPLE_EVERY + Duration::from_secs(2)).await;
            let working = hub_cpu(subject, Duration::from_secs(30)).await;
            // a line that waits for its next sample hears of the new pace with it
            pace.send_replace(HURRIED);
            tokio::time::sleep(SAMPLE_EVERY + Duration::from_secs(2)).await;
            let hurried = hub_cpu(subject, Duration::from_secs(30)).await;
            pace.send_replace(Duration::ZERO);
            tokio::time::sleep(HURRIED + Duration::from_secs(2)).await;
            (
                working,
                hurried,
                hub_cpu(subject, Duration::from_secs(30)).await,
            )
        };
        let (working, hurried, full) = tokio::select! {
            measured = measured => measured,
            Some(ended) = tasks.join_next() => {
                ended??;
                anyhow::bail!("a line ended before the measurement")
            }
        };
        tasks.shutdown().await;
        Ok(vec![
            figure(
                "64 serial lines, silent: CPU of the hub",
                idle,
                "% core",
                None,
            ),
            figure(
                "64 serial lines, 120 samples an hour each: CPU of the hub",
                working,
                "% core",
                Some(2.0),
            ),
            figure(
                "64 serial lines, 360 samples an hour each: CPU of the hub",
                hurried,
                "% core",
                None,
            ),
            figure(
                "64 serial lines, 9600 baud without a pause: CPU of the hub",
                full,
                "% core",
                None,
            ),
        ])
    }
}

/// One message after the other, a pause between their beginnings.
async fn sends(
    mut instrument: Instrument<SerialStream>,
    n: usize,
    every: watch::Receiver<Duration>,
) -> anyhow::Result<()> {
    // instruments do not all begin at the same moment
    let share = u32::try_from(n)?;
    tokio::time::sleep(SAMPLE_EVERY * share / u32::try_from(LINES)?).await;
    for count in 0.. {
        let next = Instant::now() + *every.borrow();
        let records = blood_count(&format!("S{n}-{count}"), &format!("SER{n}"));
        instrument.send(&records).await?;
        tokio::time::sleep_until(next.into()).await;
    }
    Ok(())
}

/// Percent of a core that the hub takes.
async fn hub_cpu(subject: &Subject, during: Duration) -> f64 {
    let (before, began) = (subject.cpu()[0], Instant::now());
    tokio::time::sleep(during).await;
    (subject.cpu()[0] - before) / began.elapsed().as_secs_f64() * 100.0
}

/// One instrument on TCP that sends without a pause.
async fn acknowledgements(subject: &Subject) -> anyhow::Result<Vec<Figure>> {
    let mut instrument = Instrument::new(connect(subject).await?);
    let (mut last, mut others) = (Vec::new(), Vec::new());
    for n in 0..MESSAGES {
        let mut waits = instrument
            .send(&blood_count(&format!("A{n}"), &format!("ACK{}", n % 500)))
            .await?;
        last.extend(waits.pop());
        others.extend(waits);
    }
    Ok(vec![
        figure(
            "ASTM on TCP: acknowledgement of a message, p50",
            percentile(&mut last, 50),
            "ms",
            None,
        ),
        figure(
            "ASTM on TCP: acknowledgement of a message, p99",
            percentile(&mut last, 99),
            "ms",
            Some(20.0),
        ),
        figure(
            "ASTM on TCP: acknowledgement of a frame before it, p99",
            percentile(&mut others, 99),
            "ms",
            Some(20.0),
        ),
    ])
}

/// Instruments that ask for tubes while very many orders are pending.
async fn host_queries(subject: &Subject) -> anyhow::Result<Vec<Figure>> {
    let began = Instant::now();
    place_orders(subject).await?;
    let placed = ORDERS as f64 / began.elapsed().as_secs_f64();
    let mut tasks = JoinSet::new();
    for asking in 0..ASKING {
        let line = connect(subject).await?;
        tasks.spawn(async move {
            let mut instrument = Instrument::new(line);
            let mut waits = Vec::new();
            for n in 0..QUESTIONS {
                let tube = tube((asking * QUESTIONS + n) * 7919 % ORDERS);
                let (records, waited) = instrument.ask(&tube).await?;
                let told = records
                    .iter()
                    .any(|record| record.starts_with("O|") && record.contains(&tube));
                ensure!(
                    told,
                    "an order for {tube} is pending and {records:?} was told"
                );
                waits.push(waited);
            }
            anyhow::Ok(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = tasks.join_next().await {
        waits.extend(done??);
    }
    Ok(vec![
        figure(
            "orders placed by OML^O33 and visible by REST",
            placed,
            "/s",
            None,
        ),
        figure(
            "host query with 100,000 orders pending, p50",
            percentile(&mut waits, 50) / 1000.0,
            "s",
            None,
        ),
        figure(
            "host query with 100,000 orders pending, p99",
            percentile(&mut waits, 99) / 1000.0,
            "s",
            Some(1.0),
        ),
    ])
}

/// Places all orders over MLLP and waits until they can be read.
async fn place_orders(subject: &Subject) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for sender in 0..SENDERS {
        let mut stream = TcpStream::connect(subject.mllp).await?;
        stream.set_nodelay(true)?;
        tasks.spawn(async move {
            let mut last = None;
            for message in (sender..ORDERS / TUBES).step_by(SENDERS) {
                stream.write_all(&order_message(message)).await?;
                let mut answer = Vec::new();
                while !answer.ends_with(b"\x1c\r") {
                    ensure!(stream.read_buf(&mut answer).await? > 0, "the hub hung up");
                }
                ensure!(
                    answer.windows(7).any(|seven| seven == b"MSA|AA|"),
                    "an order was not accepted"
                );
                last = Some(message);
            }
            Ok(last)
        });
    }
    let mut last = Vec::new();
    while let Some(done) = tasks.join_next().await {
        last.extend(done??);
    }
    let deadline = Instant::now() + PATIENCE;
    for message in last {
        let path = format!("orders?specimen={}", tube(message * TUBES + TUBES - 1));
        while subject.rest.get(&path).await?["items"]
            .as_array()
            .is_none_or(Vec::is_empty)
        {
            ensure!(
                Instant::now() < deadline,
                "{path} shows nothing after {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn tube(n: usize) -> String {
    format!("LT{n:06}")
}

/// OML^O33 of one patient with ten tubes, framed.
fn order_message(n: usize) -> Vec<u8> {
    let mut text = format!(
        "\u{b}MSH|^~\\&|HIS|LOAD|HUB|HOSP|20261121101500||OML^O33^OML_O33|LO{n}|P|2.5.1||||||UNICODE UTF-8\r\
         PID|1||LP{n:06}^^^HOSP^MR||Kumar{n}^Asha||19800517|F\r"
    );
    for specimen in n * TUBES..(n + 1) * TUBES {
        // writing to a String does not fail
        let _ = write!(
            text,
            "SPM|{}|{}||SER^Serum^HL70487|||||||P\rORC|NW|LO{specimen}^HIS\rOBR|1|LO{specimen}^HIS||LOAD^Load^L\r",
            specimen % TUBES + 1,
            tube(specimen),
        );
    }
    text.push_str("\u{1c}\r");
    text.into_bytes()
}

async fn connect(subject: &Subject) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(subject.astm).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Milliseconds within which `percent` of the waits ended.
pub(super) fn percentile(waits: &mut [Duration], percent: usize) -> f64 {
    waits.sort_unstable();
    let rank = (waits.len() * percent).div_ceil(100).max(1);
    waits
        .get(rank - 1)
        .map_or(f64::NAN, |wait| wait.as_secs_f64() * 1000.0)
}

/// A figure that is shown as soon as it is known.
fn figure(name: &str, value: f64, unit: &'static str, at_most: Option<f64>) -> Figure {
    let figure = Figure {
        name: format!("lab: {name}"),
        value,
        unit,
        target: at_most.map(|limit| (limit, false)),
    };
    eprintln!("{}", line(&figure));
    figure
}
