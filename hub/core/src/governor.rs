//! Who gives way when more comes in than the machine can work off: translators and workers, never the acknowledgement.
//!
//! While everything is worked off in time, nobody waits here. Once the work behind the acknowledgement is late and
//! gets later although it has the whole machine, it leaves one core to the edge and the disk until less comes in: lag grows,
//! the time of an acknowledgement does not. Threads' niceness alone does not do that: what delays a durable write
//! then is the kernel's own work waiting for a core (measured: README, "Where the time goes").

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Work that is done so much later than its message arrived is late. Far below the 2 s in which a result is to be seen.
const LATE: Duration = Duration::from_millis(300);
/// How often it is judged: a few batches of each stage.
const WINDOW: Duration = Duration::from_millis(200);
/// For how long it is watched whether the whole machine is enough, before it is said that it is not.
const TRIAL: Duration = Duration::from_millis(600);
/// Getting later by this part of the time that passes is too much for the machine. A jump is not: it is worked off.
const GROWTH: f64 = 0.1;
/// Time until the next trial; four times as long after each that fails.
const NARROW_FIRST: Duration = Duration::from_secs(12);
const NARROW_LONGEST: Duration = Duration::from_secs(60);
/// So many times what the whole machine could not work off is hopeless: it is not tried again before the longest time.
const HOPELESS: f64 = 1.2;
/// How late a stage was that has not worked for so long says nothing any more: it has nothing to do, or waits for what no core gives.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Nobody waits longer for a turn: who holds it may itself wait for a database that is away.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Shared by the edges, translators and workers of a process. Cheap to clone.
#[derive(Clone)]
pub struct Governor {
    shared: Arc<Shared>,
}

struct Shared {
    /// Turns that may be taken at once while it is narrow.
    turns: Arc<Semaphore>,
    narrow: AtomicBool,
    /// Messages that were stored so far.
    stored: AtomicU64,
    judge: Mutex<Judge>,
}

/// The right to work; dropped when the piece of work is done.
#[must_use = "the turn ends when this is dropped"]
pub struct Turn(#[allow(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Default for Governor {
    /// One core of this machine's is left free when it is narrow; there is always one turn.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_turns(cores.saturating_sub(1).max(1))
    }
}

impl Governor {
    /// With a number of turns for the time of overload.
    #[must_use]
    pub fn with_turns(turns: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                turns: Arc::new(Semaphore::new(turns)),
                narrow: AtomicBool::new(false),
                stored: AtomicU64::new(0),
                judge: Mutex::new(Judge::new(Instant::now())),
            }),
        }
    }

    /// The edge stored messages.
    pub fn stored(&self, messages: usize) {
        self.shared
            .stored
            .fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Waits for the turn of one piece of work (a batch), at most a second.
    pub async fn turn(&self) -> Turn {
        if !self.shared.narrow.load(Ordering::Relaxed) {
            return Turn(None);
        }
        let turn = Arc::clone(&self.shared.turns).acquire_owned();
        Turn(
            tokio::time::timeout(LONGEST_WAIT, turn)
                .await
                .ok()
                .and_then(Result::ok),
        )
    }

    /// A translator has worked: how long ago its last message was stored.
    pub fn translated(&self, lag: Duration) {
        self.worked("translator", lag);
    }

    /// A worker has worked: how long ago the last event was stored.
    pub fn applied(&self, worker: &'static str, lag: Duration) {
        self.worked(worker, lag);
    }

    fn worked(&self, stage: &'static str, lag: Duration) {
        let stored = self.shared.stored.load(Ordering::Relaxed);
        let mut judge = self
            .shared
            .judge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(narrow) = judge.worked(Instant::now(), stored, stage, lag) else {
            return;
        };
        self.shared.narrow.store(narrow, Ordering::Relaxed);
        metrics::gauge!("hub_overloaded").set(f64::from(u8::from(narrow)));
        if narrow {
            tracing::warn!(
                lag_ms = judge.lag().as_millis(),
                "more comes in than this machine can work off; acknowledgements come first, results are seen later"
            );
        } else {
            tracing::info!(
                lag_ms = judge.lag().as_millis(),
                "the work behind the acknowledgements has the whole machine again"
            );
        }
    }
}

/// Decides; knows no clock.
struct Judge {
    /// Since when it is narrow, and what was stored until then.
    narrow_since: Option<Window>,
    window: Window,
    /// How late each stage was when it last worked, and when that was.
    lags: BTreeMap<&'static str, (Instant, Duration)>,
    /// How long it is narrow the next time.
    narrow_for: Duration,
    /// Since when it is watched whether the whole machine is enough, and how late it was then.
    watched: Option<(Window, Duration)>,
    /// Messages a second that were too much for the whole machine the last time.
    too_much: f64,
}

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    stored: u64,
}

impl Window {
    fn length(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Messages a second that came since it began.
    fn rate(&self, now: Instant, stored: u64) -> f64 {
        stored.saturating_sub(self.stored) as f64 / self.length(now).as_secs_f64().max(0.001)
    }
}

impl Judge {
    fn new(now: Instant) -> Self {
        Self {
            narrow_since: None,
            window: Window {
                began: now,
                stored: 0,
            },
            lags: BTreeMap::new(),
            narrow_for: NARROW_FIRST,
            watched: None,
            too_much: f64::INFINITY,
        }
    }

    /// From the arrival to the effect: the translator's delay and the slowest worker's.
    fn lag(&self) -> Duration {
        let translator = self.lags.get("translator").map(|(_, lag)| *lag);
        let workers = self
            .lags
            .iter()
            .filter(|(stage, _)| **stage != "translator")
            .map(|(_, (_, lag))| *lag)
            .max();
        translator.unwrap_or_default() + workers.unwrap_or_default()
    }

    /// A stage worked; the new state when it changes.
    fn worked(
        &mut self,
        now: Instant,
        stored: u64,
        stage: &'static str,
        lag: Duration,
    ) -> Option<bool> {
        self.lags.insert(stage, (now, lag));
        if self.window.length(now) < WINDOW {
            return None;
        }
        let stages = self.lags.len();
        self.lags
            .retain(|_, (at, _)| now.saturating_duration_since(*at) < FORGOTTEN);
        if self.lags.len() < stages {
            // what was compared with counted it
            self.watched = None;
        }
        let lag = self.lag();
        let arriving = stored > self.window.stored;
        let late = lag > LATE;
        self.window = Window { began: now, stored };
        if !late || !arriving {
            self.narrow_for = NARROW_FIRST;
        }
        if !late {
            self.watched = None;
        }
        let change = match self.narrow_since {
            None if late => {
                let (since, then) = *self.watched.get_or_insert((self.window, lag));
                let watched = since.length(now);
                let grown = lag > then + watched.mul_f64(GROWTH);
                let fails = arriving && grown && watched >= TRIAL;
                if fails {
                    self.too_much = since.rate(now, stored);
                }
                fails.then_some(true)
            }
            None => None,
            Some(since) => {
                let hopeless = since.rate(now, stored) > self.too_much * HOPELESS;
                let patience = if hopeless {
                    NARROW_LONGEST
                } else {
                    self.narrow_for
                };
                (!arriving || since.length(now) >= patience).then_some(false)
            }
        };
        match change {
            Some(true) => {
                self.narrow_since = Some(self.window);
                self.watched = None;
            }
            Some(false) => {
                self.narrow_since = None;
                self.narrow_for = (self.narrow_for * 4).min(NARROW_LONGEST);
                self.watched = Some((self.window, lag));
            }
            None => {}
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a machine: `arrive` and `serve` messages a second (`serve` = whole machine, narrow), in steps of 100 ms.
    struct Machine {
        judge: Judge,
        now: Instant,
        stored: f64,
        done: f64,
        narrow: bool,
    }

    impl Machine {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                judge: Judge::new(now),
                now,
                stored: 0.0,
                done: 0.0,
                narrow: false,
            }
        }

        /// Seconds of it, of which it was narrow.
        fn play(&mut self, seconds: f64, arrive: f64, serve: (f64, f64)) -> f64 {
            let step = 0.1;
            let mut narrow_for = 0.0;
            let mut left = seconds;
            while left > 0.0 {
                self.now += Duration::from_secs_f64(step);
                self.stored += arrive * step;
                let rate = if self.narrow { serve.1 } else { serve.0 };
                let worked = (rate * step).min(self.stored - self.done);
                self.done += worked;
                let lag = (self.stored - self.done) / arrive.max(rate);
                if worked > 0.0
                    && let Some(narrow) = self.judge.worked(
                        self.now,
                        self.stored as u64,
                        "translator",
                        Duration::from_secs_f64(lag),
                    )
                {
                    self.narrow = narrow;
                }
                if self.narrow {
                    narrow_for += step;
                }
                left -= step;
            }
            narrow_for
        }
    }

    #[test]
    fn what_the_machine_can_bear_is_never_narrowed() {
        let mut machine = Machine::new();
        assert!(machine.play(60.0, 3000.0, (3300.0, 2000.0)) < 0.1);
    }

    #[test]
    fn too_much_is_narrowed_within_seconds_and_stays_so() {
        let mut machine = Machine::new();
        machine.play(5.0, 4500.0, (3000.0, 2000.0));
        assert!(machine.narrow);
        assert!(machine.play(60.0, 4500.0, (3000.0, 2000.0)) > 54.0);
    }

    /// Senders that wait for each answer send more once the edge has a core: the whole machine could not work that off.
    #[test]
    fn what_is_hopeless_is_not_tried_again() {
        let mut machine = Machine::new();
        machine.play(5.0, 6000.0, (3000.0, 2000.0));
        assert!(machine.narrow);
        assert!(machine.play(50.0, 13_000.0, (3000.0, 2000.0)) > 49.8);
    }

    #[test]
    fn the_burst_over_it_has_the_whole_machine() {
        let mut machine = Machine::new();
        machine.play(10.0, 9000.0, (3000.0, 2000.0));
        assert!(machine.narrow);
        machine.play(1.0, 0.0, (3000.0, 2000.0));
        assert!(!machine.narrow);
    }

    #[test]
    fn a_hiccup_under_a_bearable_load_is_made_up_for() {
        let mut machine = Machine::new();
        machine.play(5.0, 3000.0, (3300.0, 2000.0));
        // two seconds in which the database hardly moves
        machine.play(2.0, 3000.0, (300.0, 300.0));
        machine.play(120.0, 3000.0, (3300.0, 2000.0));
        assert!(
            machine.judge.lag() < Duration::from_secs(1),
            "{:?}",
            machine.judge.lag()
        );
    }

    /// After a pause each worker has its last old message; one that has no other for an hour was hours late all that time.
    #[test]
    fn what_a_stage_that_rests_had_last_hides_no_overload() {
        let mut machine = Machine::new();
        let old = Duration::from_secs(3600);
        machine.judge.worked(machine.now, 0, "scheduling", old);
        machine.play(600.0, 1000.0, (3000.0, 2000.0));
        assert!(machine.judge.lag() < LATE, "{:?}", machine.judge.lag());
        machine.play(5.0, 4500.0, (3000.0, 2000.0));
        assert!(machine.narrow);
    }

    #[tokio::test]
    async fn nobody_waits_while_all_is_in_time() {
        let governor = Governor::with_turns(1);
        let _first = governor.turn().await;
        let _second = tokio::time::timeout(Duration::from_millis(100), governor.turn())
            .await
            .expect("no waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn under_overload_turns_are_taken_one_after_the_other_but_a_stuck_one_stops_nobody() {
        let governor = Governor::with_turns(1);
        governor.shared.narrow.store(true, Ordering::Relaxed);
        let first = governor.turn().await;
        let waiting = tokio::spawn({
            let governor = governor.clone();
            async move { drop(governor.turn().await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.expect("it came to its turn");
        let _stuck = governor.turn().await;
        let _other = governor.turn().await;
    }
}
