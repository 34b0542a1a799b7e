//! Keeps one server running: starts it, waits until it is ready, starts it again when it dies, stops it when told to.
//!
//! Each keeper is a thread of its own, because the kernel's "end with your parent" (`PR_SET_PDEATHSIG`) means the
//! *thread* that started the child: a thread of an async runtime may end long before the process does.

use crate::{Error, Result, processes};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Waits before a dead server is started again: doubled each time, up to the second.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How often a running server is asked whether it is ill, and after how many yeses in a row it is started anew.
const CHECK: Duration = Duration::from_secs(2);
const ILL_ENOUGH: u32 = 3;
/// A server that ran this long has recovered: its next death starts at the first delay again.
const RECOVERED: Duration = Duration::from_secs(10);

/// What a keeper has to know of a server.
pub(crate) trait Program: Send + Sync + 'static {
    fn name(&self) -> &'static str;
    /// Before every start: settings written, left-overs of an earlier run gone, port free.
    fn prepare(&self) -> Result<()>;
    fn command(&self) -> Result<Command>;
    /// One look, over within a second or two.
    fn is_ready(&self) -> bool;
    fn ready_within(&self) -> Duration;
    /// It runs, but says itself that it will not recover without a new start. A server that says nothing is not ill: it may be
    /// frozen or busy.
    fn is_ill(&self) -> bool {
        false
    }
    fn log(&self) -> &Path;
    /// Signals to end it with, each with the time it gets before the next. Together under 8 s.
    fn stop_signals(&self) -> &'static [(Signal, Duration)];
    /// Ends it, and whatever it started, as a power cut would.
    fn cut(&self, pid: Pid);
}

/// A server as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    Starting,
    Up {
        pid: u32,
    },
    /// It died or did not start; it is tried again shortly.
    Down {
        reason: String,
    },
    /// Told to stop, or killed and told to stay down.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Up,
    Down,
    /// The keeper's thread ends.
    Gone,
}

struct Situation {
    wanted: Wanted,
    state: ServerState,
    /// Set from the start of the process until it has been collected, so a signal can hit nobody else.
    pid: Option<Pid>,
    /// Attempts that ended without the server having been ready, for who waits for a start.
    failure: Option<Error>,
}

pub(crate) struct Keeper {
    core: Arc<Core>,
    thread: Option<JoinHandle<()>>,
}

/// The shared part; cheap to clone into work off the caller's thread.
pub(crate) struct Core {
    program: Arc<dyn Program>,
    situation: Mutex<Situation>,
    changed: Condvar,
}

impl Keeper {
    /// Blocks until the server is ready. A first start that fails is not tried again.
    pub(crate) fn start(program: Arc<dyn Program>) -> Result<Self> {
        let core = Arc::new(Core {
            program,
            situation: Mutex::new(Situation {
                wanted: Wanted::Up,
                state: ServerState::Starting,
                pid: None,
                failure: None,
            }),
            changed: Condvar::new(),
        });
        let name = core.program.name();
        let thread = std::thread::Builder::new()
            .name(format!("keep-{name}"))
            .spawn({
                let core = Arc::clone(&core);
                move || core.keep()
            })
            .map_err(Error::io("start a thread for", Path::new(name)))?;
        let keeper = Self {
            core,
            thread: Some(thread),
        };
        keeper.core.wait_up()?;
        Ok(keeper)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for Keeper {
    /// Nothing may outlive its owner: blocks until the server has ended, 8 s at most.
    fn drop(&mut self) {
        if let Err(error) = self.core.stop() {
            tracing::warn!(%error, "a local server was left running");
        }
        self.core.lock().wanted = Wanted::Gone;
        self.core.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, Situation> {
        self.situation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        situation: MutexGuard<'a, Situation>,
        at_most: Duration,
    ) -> MutexGuard<'a, Situation> {
        self.changed
            .wait_timeout(situation, at_most)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    pub(crate) fn state(&self) -> ServerState {
        self.lock().state.clone()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.lock().pid.map(|pid| pid.as_raw().unsigned_abs())
    }

    /// Ends the server in order; it stays down.
    pub(crate) fn stop(&self) -> Result<()> {
        self.lock().wanted = Wanted::Down;
        self.changed.notify_all();
        let mut all = Duration::ZERO;
        for (signal, patience) in self.program.stop_signals() {
            all += *patience;
            if self.signal_until_down(*signal, *patience) {
                return Ok(());
            }
        }
        Err(Error::NotStopped {
            server: self.program.name(),
            after: all,
        })
    }

    /// Sends the signal once to whatever process there is, also to one that starts meanwhile.
    fn signal_until_down(&self, signal: Signal, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut told = None;
        let mut situation = self.lock();
        while situation.state != ServerState::Stopped {
            if situation.wanted == Wanted::Up {
                return true; // somebody started it again; that one is not ours to end
            }
            if let Some(pid) = situation.pid.filter(|pid| told != Some(*pid)) {
                processes::signal(pid, signal);
                // A server that was frozen cannot take a signal in.
                processes::signal(pid, Signal::SIGCONT);
                told = Some(pid);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            situation = self.wait(situation, left);
        }
        true
    }

    /// Ends it as a power cut would. With `stay_down` it waits for [`Core::restart`]; without, the keeper starts it again.
    pub(crate) fn cut(&self, stay_down: bool) -> Result<()> {
        let pid = {
            let mut situation = self.lock();
            if stay_down {
                situation.wanted = Wanted::Down;
            }
            // Held while cutting: the process cannot be collected, so its number cannot be anybody else's.
            if let Some(pid) = situation.pid {
                self.program.cut(pid);
            }
            situation.pid
        };
        self.changed.notify_all();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut situation = self.lock();
        while situation.pid.is_some() && situation.pid == pid
            || stay_down
                && situation.wanted == Wanted::Down
                && situation.state != ServerState::Stopped
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::NotStopped {
                    server: self.program.name(),
                    after: Duration::from_secs(5),
                });
            }
            situation = self.wait(situation, left);
        }
        Ok(())
    }

    /// Stops it if it runs, starts it, and blocks until it is ready.
    pub(crate) fn restart(&self) -> Result<()> {
        self.stop()?;
        {
            let mut situation = self.lock();
            situation.failure = None;
            situation.wanted = Wanted::Up;
            situation.state = ServerState::Starting;
        }
        self.changed.notify_all();
        self.wait_up()
    }

    /// Holds the server alone, not what it started, where it stands: when this returns none of its threads runs.
    pub(crate) fn freeze(&self) {
        let pid = self.lock().pid;
        if let Some(pid) = pid {
            processes::signal(pid, Signal::SIGSTOP);
            processes::wait_still(pid, Duration::from_secs(2));
        }
    }

    /// Ends [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        if let Some(pid) = self.lock().pid {
            processes::signal(pid, Signal::SIGCONT);
        }
    }

    /// Blocks until it is ready, or an attempt to start it has failed.
    pub(crate) fn wait_up(&self) -> Result<()> {
        // Besides the server's own time to get ready there is what `prepare` does (creating a cluster).
        let after = self.program.ready_within() + Duration::from_secs(60);
        let deadline = Instant::now() + after;
        let mut situation = self.lock();
        loop {
            if let ServerState::Up { .. } = situation.state {
                return Ok(());
            }
            if let Some(failure) = situation.failure.take() {
                return Err(failure);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || situation.wanted != Wanted::Up {
                drop(situation);
                return Err(self.not_ready(after));
            }
            situation = self.wait(situation, left);
        }
    }

    fn not_ready(&self, after: Duration) -> Error {
        Error::NotReady {
            server: self.program.name(),
            after,
            log: self.program.log().to_owned(),
            tail: processes::tail(self.program.log()),
        }
    }

    /// The keeper's thread.
    fn keep(&self) {
        let mut delay = FIRST_DELAY;
        while self.wait_until_wanted() {
            let began = Instant::now();
            let end = self.run_once();
            if began.elapsed() >= RECOVERED {
                delay = FIRST_DELAY;
            }
            let mut situation = self.lock();
            if situation.wanted != Wanted::Up {
                continue;
            }
            let reason = match end {
                Ok(how) => format!("ended with {how}"),
                Err(error) => {
                    let reason = error.to_string();
                    situation.failure = Some(error);
                    reason
                }
            };
            tracing::warn!(server = self.program.name(), %reason, again_in = ?delay, "a local server is down");
            situation.state = ServerState::Down { reason };
            self.changed.notify_all();
            let until = Instant::now() + delay;
            while situation.wanted == Wanted::Up && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                situation = self.wait(situation, left);
            }
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    /// False when the keeper is to end.
    fn wait_until_wanted(&self) -> bool {
        let mut situation = self.lock();
        loop {
            match situation.wanted {
                Wanted::Gone => return false,
                Wanted::Up => {
                    situation.state = ServerState::Starting;
                    return true;
                }
                Wanted::Down => {
                    situation.state = ServerState::Stopped;
                    self.changed.notify_all();
                    situation = self.wait(situation, Duration::from_secs(60));
                }
            }
        }
    }

    /// One life of the server: `Ok` with how it ended if it had been ready, else why it was not.
    fn run_once(&self) -> Result<String> {
        self.program.prepare()?;
        let mut command = self.program.command()?;
        let mut child = command
            .spawn()
            .map_err(Error::io("run", Path::new(command.get_program())))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        self.lock().pid = Some(pid);
        self.changed.notify_all();
        let ready = self.watch_start(pid);
        if matches!(ready, Err(Error::NotReady { .. })) {
            self.program.cut(pid);
        }
        let how = self.collect(&mut child, pid);
        match ready {
            Ok(true) => Ok(how),
            Ok(false) => Err(Error::Ended {
                server: self.program.name(),
                how,
                log: self.program.log().to_owned(),
                tail: processes::tail(self.program.log()),
            }),
            Err(error) => Err(error),
        }
    }

    /// `Ok(true)`: ready, or no longer wanted. `Ok(false)`: it ended first. `Err`: neither in time.
    fn watch_start(&self, pid: Pid) -> Result<bool> {
        let after = self.program.ready_within();
        let deadline = Instant::now() + after;
        loop {
            if has_ended(pid, WaitPidFlag::WNOHANG) {
                return Ok(false);
            }
            if self.program.is_ready() {
                let mut situation = self.lock();
                if situation.wanted == Wanted::Up {
                    situation.state = ServerState::Up {
                        pid: pid.as_raw().unsigned_abs(),
                    };
                    tracing::debug!(server = self.program.name(), %pid, "a local server is ready");
                    self.changed.notify_all();
                }
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Err(self.not_ready(after));
            }
            let situation = self.lock();
            if situation.wanted != Wanted::Up {
                return Ok(true);
            }
            drop(self.wait(situation, LOOK));
        }
    }

    /// Waits for the end without collecting, so that the number stays the server's until `pid` is cleared.
    fn collect(&self, child: &mut Child, pid: Pid) -> String {
        std::thread::scope(|scope| {
            scope.spawn(|| self.watch_health(pid));
            while !has_ended(pid, WaitPidFlag::empty()) {}
            let mut situation = self.lock();
            situation.pid = None;
            let how = child
                .wait()
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            self.changed.notify_all();
            how
        })
    }

    /// Ends a server that says of itself that it can't go on; the keeper then starts it anew. Returns when it has ended.
    fn watch_health(&self, pid: Pid) {
        let mut ill = 0;
        loop {
            let next = Instant::now() + CHECK;
            let mut situation = self.lock();
            loop {
                if situation.pid != Some(pid) {
                    return;
                }
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                situation = self.wait(situation, left);
            }
            let up =
                matches!(situation.state, ServerState::Up { .. }) && situation.wanted == Wanted::Up;
            drop(situation);
            ill = if up && self.program.is_ill() {
                ill + 1
            } else {
                0
            };
            if ill < ILL_ENOUGH {
                continue;
            }
            tracing::warn!(
                server = self.program.name(),
                "a local server says that it can't go on; starting it anew"
            );
            // held while signalling: the process cannot be collected, so its number cannot be anybody else's
            let situation = self.lock();
            if situation.pid == Some(pid) {
                if ill == ILL_ENOUGH {
                    processes::signal(pid, Signal::SIGTERM);
                } else {
                    self.program.cut(pid);
                }
            }
        }
    }
}

/// Looks at (or, without `WNOHANG`, waits for) the end of a child and leaves it uncollected.
fn has_ended(pid: Pid, flags: WaitPidFlag) -> bool {
    let flags = flags | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(pid), flags) {
        Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => false,
        Ok(_) | Err(_) => true,
    }
}
