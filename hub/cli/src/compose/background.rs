//! The runtime of all work behind the acknowledgement: translators, workers, relay, maintenance. Its threads give
//! way to those of the edge, so that a burst is acknowledged quickly and worked off after; without it, a batch of
//! translations on an edge thread costs every sender its milliseconds.

use std::future::Future;

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};

/// How much the background's threads give way (nice value; 0 is as important as the edge, 19 the least).
const NICENESS: i32 = 10;

/// The background runtime; ends with the hub.
pub(crate) struct Background {
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts its threads, one a core.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("background")
            .on_thread_start(give_way)
            .enable_all()
            .build()
            .context("can't start the background's threads")?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> Handle {
        self.runtime
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Runs something on it, and waits: what it opens (connections) then lives there.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.handle().spawn(work).await.context("background")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // a runtime must not be waited for inside another
            runtime.shutdown_background();
        }
    }
}

/// On Linux a nice value is a thread's own.
fn give_way() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICENESS) {
        tracing::debug!(%error, "the background's threads are as important as the edge's");
    }
}
