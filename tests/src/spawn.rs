//! Child processes that cannot outlive the test run.
//!
//! The kernel's "end with your parent" means the thread that started the child, and a test's thread ends with its test.
//! So one thread, which lives as long as this process, starts all of them.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

type Request = (Command, Sender<std::io::Result<Child>>);

static STARTER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();

/// A child process that is killed when this value is dropped.
#[derive(Debug)]
pub struct Owned {
    child: Child,
}

impl Owned {
    /// Starts `program` with what `set` adds to its command.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(program: &Path, set: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        set(&mut command);
        let (answer, started) = channel();
        let starter = STARTER.get_or_init(|| {
            let (requests, waiting) = channel::<Request>();
            std::thread::spawn(move || {
                for (mut command, answer) in waiting {
                    let _ = answer.send(command.spawn());
                }
            });
            Mutex::new(requests)
        });
        starter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send((command, answer))
            .expect("the starting thread lives as long as the process");
        let child = started
            .recv()
            .expect("the starting thread answers")
            .expect("setpriv (util-linux) and the program are there");
        Self { child }
    }

    /// Its process id; the child has not been collected, so it can be nobody else's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// Never for a child that was not collected.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid is positive"));
        let _ = kill(pid, signal);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it runs on after `deadline`.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                began.elapsed() < deadline,
                "the process runs on after {deadline:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
