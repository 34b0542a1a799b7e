//! The edge of a channel: connections in, durable writes, answers out.
//!
//! One task a connection. It never waits for the store while bytes arrive; the machine in [`crate::link`] says what may be
//! answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapter_link::{Change, Link, LinkError, Listener, Opener};
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;

use crate::settings::Poct1aSettings;

mod connection;
mod house;

pub use connection::{Site, attend};
pub use house::House;

/// After a stop, connections get this long to have their last documents stored and answered.
const GRACE: Duration = Duration::from_secs(4);

/// The POCT1-A adapter of one channel.
pub struct Poct1aEdge {
    settings: Poct1aSettings,
}

impl Poct1aEdge {
    /// An edge with its settings, which must have passed [`Poct1aSettings::validate`].
    #[must_use]
    pub fn new(settings: Poct1aSettings) -> Self {
        Self { settings }
    }

    async fn listen(&self, ctx: &ChannelContext, site: &Arc<Site>) -> Result<(), AdapterError> {
        let Some(server) = &self.settings.server else {
            return Ok(());
        };
        let listener =
            Listener::open(server, ctx.channel.as_str()).map_err(|error| failed(ctx, &error))?;
        let address = listener.local_addr().to_string();
        let presence = Presence::new(ctx, address.clone(), site);
        tracing::info!(channel = %ctx.channel, %address, "listening for POCT1-A");
        let drained = listener
            .serve(&ctx.stop, GRACE, |link| {
                let presence = Arc::clone(&presence);
                async move { presence.attend(link).await }
            })
            .await;
        if drained.cut > 0 {
            tracing::warn!(channel = %ctx.channel, connections = drained.cut, "connections did not finish in time and were cut");
        }
        ctx.report(LinkState::Stopped, 0, &address, None);
        Ok(())
    }

    /// Serves one connection after the other, and says how they are.
    async fn open(
        &self,
        ctx: &ChannelContext,
        mut opener: Opener,
        site: &Arc<Site>,
    ) -> Result<(), AdapterError> {
        let address = opener.address().to_owned();
        ctx.report(LinkState::Lost, 0, &address, None);
        let tell = opener.tell(|change| match change {
            Change::Connected(_) => ctx.report(LinkState::Connected, 1, &address, None),
            Change::Lost(reason) => ctx.report(LinkState::Lost, 0, &address, Some(reason)),
        });
        let serve = async {
            while let Some(link) = opener.next(&ctx.stop).await {
                attend(link.stream, &link.peer.to_string(), site, &ctx.stop).await;
            }
        };
        tokio::select! {
            () = serve => {}
            () = tell => {}
        }
        ctx.report(LinkState::Stopped, 0, &address, None);
        Ok(())
    }
}

impl Adapter for Poct1aEdge {
    async fn run(self, ctx: ChannelContext) -> Result<(), AdapterError> {
        let site = Arc::new(Site {
            channel: ctx.channel.clone(),
            settings: self.settings.clone(),
            house: Arc::new(ctx.clone()),
        });
        if let Some(client) = &self.settings.client {
            let opener =
                Opener::dial(client, ctx.channel.as_str()).map_err(|error| failed(&ctx, &error))?;
            return self.open(&ctx, opener, &site).await;
        }
        self.listen(&ctx, &site).await
    }
}

/// Counts the devices that are connected to a listener and says so.
struct Presence {
    open: AtomicU32,
    address: String,
    ctx: ChannelContext,
    site: Arc<Site>,
}

impl Presence {
    fn new(ctx: &ChannelContext, address: String, site: &Arc<Site>) -> Arc<Self> {
        ctx.report(LinkState::Listening, 0, &address, None);
        Arc::new(Self {
            open: AtomicU32::new(0),
            address,
            ctx: ctx.clone(),
            site: Arc::clone(site),
        })
    }

    async fn attend(&self, link: Link) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.ctx
            .report(LinkState::Connected, open, &self.address, None);
        attend(
            link.stream,
            &link.peer.to_string(),
            &self.site,
            &self.ctx.stop,
        )
        .await;
        let open = self.open.fetch_sub(1, Ordering::Relaxed) - 1;
        let state = if open == 0 {
            LinkState::Listening
        } else {
            LinkState::Connected
        };
        self.ctx.report(state, open, &self.address, None);
    }
}

fn failed(ctx: &ChannelContext, error: &LinkError) -> AdapterError {
    AdapterError {
        channel: ctx.channel.clone(),
        detail: error.to_string(),
    }
}
