//! One run: load, kills, drain, count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Fallible;
use super::collect::{Progress, collect, counts, progress};
use super::evidence::Evidence;
use super::judge::judge;
use super::random::Random;
use super::recovery::{Kill, Recovery, after, effects};
use super::sabotage;
use super::sender::{Acknowledged, Sender};
use super::sent::Sent;
use super::stand::{Stand, Victim};

/// After the last kill the load goes on, so that its recovery is seen.
const LAST_LOAD: Duration = Duration::from_secs(4);
/// Longest time until all that was acknowledged has its effect.
const DRAIN: Duration = Duration::from_secs(180);
/// Longest time in which nothing moves although not all is there.
const STILL: Duration = Duration::from_secs(30);

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) kills: usize,
    pub(crate) connections: usize,
    /// Longest think-time of a sender between two messages.
    pub(crate) think: Duration,
    /// Load before the first kill.
    pub(crate) warm_up: Duration,
}

/// Runs, prints the summary, and fails on any finding.
pub(crate) async fn run(plan: Plan) -> Fallible<()> {
    let seed = match std::env::var("FAULTS_SEED") {
        Ok(text) => text.parse().map_err(|_| "$FAULTS_SEED is no number")?,
        Err(_) => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
    };
    println!(
        "{} kills, seed {seed} (again: FAULTS_SEED={seed})",
        plan.kills
    );
    let stand = Stand::start().await;
    let outcome = on(&stand, plan, seed).await;
    if outcome.is_err() {
        let log = std::env::temp_dir().join(format!("faults-{seed}.log"));
        std::fs::write(&log, stand.hub_log())?;
        println!("seed {seed}; the hub's log is kept in {}", log.display());
    }
    outcome
}

async fn on(stand: &Stand, plan: Plan, seed: u64) -> Fallible<()> {
    let mut random = Random::new(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let (acknowledged, mut answers) = mpsc::unbounded_channel();
    let mut senders = JoinSet::new();
    for connection in 0..plan.connections {
        let sender = Sender {
            to: stand.mllp(),
            run: format!("{:X}", seed % 0xFFFF),
            connection,
            random: random.fork(),
            think: plan.think,
            stop: Arc::clone(&stop),
            acknowledged: acknowledged.clone(),
        };
        senders.spawn(sender.run());
    }
    drop(acknowledged);

    let started = Instant::now();
    let kills = kill(stand, plan, &mut random).await;
    stop.store(true, Ordering::Relaxed);
    let kills = kills?;
    let mut sent = Sent::default();
    while let Some(done) = senders.join_next().await {
        sent.patients.extend(done??);
    }
    let load = started.elapsed();
    let mut acknowledged = Vec::new();
    while let Ok(one) = answers.try_recv() {
        acknowledged.push(one);
    }

    let draining = Instant::now();
    let found = drained(stand, &sent).await?;
    let gave_up = stand.gave_up();
    println!(
        "\nload {:.0} s, drained and counted in {:.1} s; the hub gave up {} time(s) by itself and was started again",
        load.as_secs_f64(),
        draining.elapsed().as_secs_f64(),
        gave_up
    );
    summary(&sent, &found, &kills, &acknowledged);
    let panics = stand.hub_log().matches("panicked at").count();
    if panics > 0 {
        return Err(format!("{panics} panics in the hub's log").into());
    }
    if std::env::var_os("FAULTS_SABOTAGE").is_some_and(|value| value == "1") {
        sabotage::all_is_noticed(stand, &sent).await?;
    }
    Ok(())
}

/// Kills at random moments: the first of each kind in random order, then any; now and then two in short order, so that
/// recoveries are cut short too.
async fn kill(stand: &Stand, plan: Plan, random: &mut Random) -> Fallible<Vec<Kill>> {
    tokio::time::sleep(plan.warm_up).await;
    let mut deck = vec![Victim::Hub, Victim::Nats, Victim::Postgres];
    let mut kills = Vec::new();
    while kills.len() < plan.kills {
        let pause = if random.chance(25) {
            random.between(Duration::from_millis(20), Duration::from_millis(1500))
        } else {
            random.between(Duration::from_secs(3), Duration::from_secs(11))
        };
        tokio::time::sleep(pause).await;
        let victim = if deck.is_empty() {
            match random.below(100) {
                0..35 => Victim::Hub,
                35..65 => Victim::Nats,
                65..90 => Victim::Postgres,
                _ => Victim::Backend,
            }
        } else {
            deck.swap_remove(usize::try_from(random.below(deck.len() as u64))?)
        };
        let kill = Kill::now(victim);
        if stand.kill(victim, random).await? {
            println!("{:>4}. kill -9 {}", kills.len() + 1, victim.name());
            kills.push(kill);
        } else if kills.len() < 3 {
            // it was down at that moment: each kind has its turn
            deck.push(victim);
        }
    }
    tokio::time::sleep(LAST_LOAD).await;
    Ok(kills)
}

/// Waits until all is translated and applied, and every count agrees.
async fn drained(stand: &Stand, sent: &Sent) -> Fallible<Evidence> {
    let deadline = Instant::now() + DRAIN;
    let mut moved: (Option<Progress>, Instant) = (None, Instant::now());
    let mut told;
    loop {
        match progress(stand).await {
            Ok(now) => {
                if moved.0 != Some(now) {
                    moved = (Some(now), Instant::now());
                }
                told = format!("{now:?}");
                if now.translated == now.stored && now.unpublished == 0 {
                    let found = collect(stand, sent).await?;
                    let findings = judge(sent, &found);
                    if findings.is_empty() {
                        return Ok(found);
                    }
                    told = findings.to_string();
                }
            }
            Err(error) => told = format!("a server is out of reach: {error}"),
        }
        if Instant::now() > deadline || moved.1.elapsed() > STILL {
            return Err(format!("what was acknowledged and what is there differ:\n{told}").into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn summary(sent: &Sent, found: &Evidence, kills: &[Kill], acknowledged: &[Acknowledged]) {
    let effects = effects(found);
    let mut by_victim: BTreeMap<Victim, Vec<Recovery>> = BTreeMap::new();
    for kill in kills {
        let recoveries = by_victim.entry(kill.victim).or_default();
        recoveries.push(after(*kill, acknowledged, &effects));
    }
    println!(
        "{:<24} {:>5}   {:>20}   {:>20}",
        "killed", "times", "next AA after", "next effects after"
    );
    println!(
        "{:<24} {:>5}   {:>9}  {:>9}   {:>9}  {:>9}",
        "", "", "median", "longest", "median", "longest"
    );
    for victim in Victim::ALL {
        let recoveries = by_victim.get(&victim).map_or(&[][..], Vec::as_slice);
        let [accepted, applied] = [
            spread(recoveries.iter().map(|recovery| recovery.accepted)),
            spread(recoveries.iter().map(|recovery| recovery.applied)),
        ];
        println!(
            "{:<24} {:>5}   {accepted}   {applied}",
            victim.name(),
            recoveries.len()
        );
    }
    println!("{:<42} {:>9}", "messages acknowledged", sent.acknowledged());
    println!(
        "{:<42} {:>9}",
        "times that a message was sent again",
        sent.resent()
    );
    for (what, count) in counts(found) {
        println!("{what:<42} {count:>9}");
    }
    println!(
        "every acknowledged message has exactly one effect, none twice, each patient's in order\n"
    );
}

/// Median and longest. A recovery that was not seen (the load ended first) is not counted.
fn spread(times: impl Iterator<Item = Option<Duration>>) -> String {
    let mut times: Vec<Duration> = times.flatten().collect();
    times.sort_unstable();
    let seconds = |time: Option<&Duration>| {
        time.map_or_else(
            || "-".to_owned(),
            |time| format!("{:.2} s", time.as_secs_f64()),
        )
    };
    format!(
        "{:>9}  {:>9}",
        seconds(times.get(times.len() / 2)),
        seconds(times.last())
    )
}
