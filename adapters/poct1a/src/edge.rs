//! The edge of a channel: connections in, durable writes, answers out.
//!
//! One task a connection. It never waits for the store while bytes arrive; the machine in [`crate::link`] says what may be
//! answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use adapter_link::{Change, Listener, Opener};
use hub_core::channel::Presence;
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
            Listener::open(server, ctx.channel.as_str()).map_err(|error| ctx.failed(&error))?;
        let address = listener.local_addr().to_string();
        let of_site = Arc::clone(site);
        let missing = move || of_site.missing();
        let presence = Arc::new(Presence::new(ctx, address.clone(), missing));
        tracing::info!(channel = %ctx.channel, %address, "listening for POCT1-A");
        let serve = listener.serve(&ctx.stop, GRACE, |link| {
            let (presence, site) = (Arc::clone(&presence), Arc::clone(site));
            let stop = ctx.stop.clone();
            async move {
                let peer = link.peer.to_string();
                let attended = attend(link.stream, &peer, &site, &stop);
                presence.during(attended).await;
            }
        });
        let drained = tokio::select! {
            drained = serve => drained,
            never = tell_what_is_missing(site, &presence) => match never {},
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
                Opener::dial(client, ctx.channel.as_str()).map_err(|error| ctx.failed(&error))?;
            return self.open(&ctx, opener, &site).await;
        }
        self.listen(&ctx, &site).await
    }
}

/// Says it whenever what a device was to be given and could not be changes. Never returns.
async fn tell_what_is_missing<F: Fn() -> Option<String>>(
    site: &Site,
    presence: &Presence<F>,
) -> Infallible {
    loop {
        site.missing.changed().await;
        presence.report();
    }
}
