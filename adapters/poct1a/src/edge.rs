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
mod site;

pub use connection::attend;
pub use house::House;
pub use site::Site;

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
        let serve = listener.serve(&ctx.stop, GRACE, |link| {
            let presence = Arc::clone(&presence);
            async move { presence.attend(link).await }
        });
        let drained = tokio::select! {
            drained = serve => drained,
            never = presence.tell_what_is_missing() => match never {},
        };
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
            Change::Connected(_) => {
                ctx.report(LinkState::Connected, 1, &address, site.missing());
            }
            Change::Lost(reason) => ctx.report(LinkState::Lost, 0, &address, Some(reason)),
        });
        let serve = async {
            while let Some(link) = opener.next(&ctx.stop).await {
                let peer = link.peer.to_string();
                let attended = attend(link.stream, &peer, site, &ctx.stop);
                let missing = async {
                    loop {
                        site.missing.changed().await;
                        ctx.report(LinkState::Connected, 1, &address, site.missing());
                    }
                };
                tokio::select! {
                    () = attended => {}
                    () = missing => {}
                }
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
        let site = Arc::new(Site::new(
            ctx.channel.clone(),
            self.settings.clone(),
            Arc::new(ctx.clone()),
        ));
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
        self.open.fetch_add(1, Ordering::Relaxed);
        self.report();
        attend(
            link.stream,
            &link.peer.to_string(),
            &self.site,
            &self.ctx.stop,
        )
        .await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.report();
    }

    /// Never returns.
    async fn tell_what_is_missing(&self) -> std::convert::Infallible {
        loop {
            self.site.missing.changed().await;
            self.report();
        }
    }

    fn report(&self) {
        let open = self.open.load(Ordering::Relaxed);
        let state = if open == 0 {
            LinkState::Listening
        } else {
            LinkState::Connected
        };
        self.ctx
            .report(state, open, &self.address, self.site.missing());
    }
}

fn failed(ctx: &ChannelContext, error: &LinkError) -> AdapterError {
    AdapterError {
        channel: ctx.channel.clone(),
        detail: error.to_string(),
    }
}
