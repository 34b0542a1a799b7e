//! What serial lines cost. Run by hand, as a release build on a quiet machine:
//! `cargo test --release -p adapter-hl7v2 --lib cost -- --ignored --nocapture`

use std::io::Write as _;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::*;

const LINES: usize = 64;
/// 9600 bits a second are 960 bytes, which a UART hands on in pieces of up to 16.
const PIECE: usize = 16;
const PIECES_A_SECOND: u32 = 60;
const MEASURED: Duration = Duration::from_secs(10);

/// CPU time so far.
fn cpu(of_whom: UsageWho) -> Duration {
    let usage = getrusage(of_whom).unwrap();
    let of = |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap());
    of(usage.user_time()) + of(usage.system_time())
}

fn device() -> (PtyMaster, PathBuf) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let port = ptsname_r(&master).unwrap();
    (master, port.into())
}

fn run(port: &Path, store: &Arc<Memory>, stop: &CancellationToken) -> JoinHandle<()> {
    let settings = Hl7v2Settings::on_serial(SerialSettings::plain(port));
    let (store, stop) = (Arc::clone(store), stop.clone());
    tokio::spawn(async move {
        let mut line = SerialLine::new(settings.serial.as_ref().unwrap(), "test").unwrap();
        let (book, channel) = (SendingBook::default(), ChannelId::new("test").unwrap());
        while let Some(link) = line.open(&stop).await {
            let connection = Connection {
                settings: &settings,
                store: &*store,
                book: &book,
                ways: Ways::Both,
                channel: &channel,
                peer: link.peer.to_string(),
                serial: true,
            };
            connection.serve(link.stream, &stop).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of ten seconds; see above"]
async fn sixty_four_lines_that_never_pause_cost_less_than_two_percent_of_a_core() {
    let (store, stop) = (Arc::new(Memory::default()), CancellationToken::new());
    let (masters, ports): (Vec<_>, Vec<_>) = (0..LINES).map(|_| device()).unzip();
    let lines: Vec<_> = ports.iter().map(|port| run(port, &store, &stop)).collect();

    let before = cpu(UsageWho::RUSAGE_SELF);
    tokio::time::sleep(MEASURED).await;
    let idle = cpu(UsageWho::RUSAGE_SELF) - before;

    let (began, before) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF));
    let feeder = std::thread::spawn(move || (feed(masters, began), cpu(UsageWho::RUSAGE_THREAD)));
    tokio::time::sleep(MEASURED).await;
    let (spent, took) = (cpu(UsageWho::RUSAGE_SELF) - before, began.elapsed());
    let (masters, fed) = tokio::task::spawn_blocking(|| feeder.join().unwrap())
        .await
        .unwrap();
    // the devices are not the hub
    let spent = spent.saturating_sub(fed);
    let messages = store.kept.lock().unwrap().len();
    let share = |spent: Duration| 100.0 * spent.as_secs_f64() / took.as_secs_f64();
    println!(
        "{LINES} lines: idle {:.2} % of a core; at 9600 bits a second {:.2} %, {messages} messages",
        share(idle),
        share(spent)
    );
    assert!(messages > LINES);
    if !cfg!(debug_assertions) {
        assert!(share(idle) < 0.1 && share(spent) < 2.0);
    }
    stop.cancel();
    for line in lines {
        soon(line).await.unwrap();
    }
    drop(masters);
}

/// Every line gets its next piece at its own moment, as devices that know nothing of each other send.
fn feed(mut masters: Vec<PtyMaster>, began: Instant) -> Vec<PtyMaster> {
    let stream = mllp(&format!(
        "{ORU}{}",
        "OBX|1|NM|GLU^Glucose^L||104|mg/dL|||||F\r".repeat(33)
    ));
    let step = Duration::from_secs(1) / (PIECES_A_SECOND * u32::try_from(LINES).unwrap());
    let mut at: Vec<usize> = (0..LINES).map(|line| line * 20).collect();
    for turn in (0_u32..).take_while(|_| began.elapsed() < MEASURED) {
        let due = began + step * turn;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let line = usize::try_from(turn).unwrap() % LINES;
        let piece: Vec<u8> = stream
            .iter()
            .copied()
            .cycle()
            .skip(at[line])
            .take(PIECE)
            .collect();
        masters[line].write_all(&piece).unwrap();
        at[line] = (at[line] + PIECE) % stream.len();
    }
    masters
}
