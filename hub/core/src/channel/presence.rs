//! Who is connected to a listening channel: counted, and said whenever it changes.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use schemas::integration::LinkState;

use super::ChannelContext;

/// Counts the peers of a listener and says so. `fault` is what an operator is told beside that, if there is anything.
pub struct Presence<F> {
    ctx: ChannelContext,
    address: String,
    open: AtomicU32,
    fault: F,
}

impl<F: Fn() -> Option<String>> Presence<F> {
    /// Of a listener that has just opened; says that nobody is connected.
    pub fn new(ctx: &ChannelContext, address: String, fault: F) -> Self {
        ctx.report(LinkState::Listening, 0, &address, None);
        Self {
            ctx: ctx.clone(),
            address,
            open: AtomicU32::new(0),
            fault,
        }
    }

    /// Counts one peer more for as long as it is attended to.
    pub async fn during(&self, attended: impl Future<Output = ()>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.report();
        attended.await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.report();
    }

    /// Says how it is now.
    pub fn report(&self) {
        let open = self.open.load(Ordering::Relaxed);
        let state = if open == 0 {
            LinkState::Listening
        } else {
            LinkState::Connected
        };
        self.ctx.report(state, open, &self.address, (self.fault)());
    }
}
