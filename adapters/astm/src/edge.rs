//! The edge of a channel: lines in, durable writes, answers out; and the orders that go to the instruments.
//!
//! One task a line. It never waits for the store while bytes arrive: what is stored, asked and written runs beside the
//! reading, and the machine in [`crate::link`] says what may be answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adapter_link::{Change, Link, Listener, Opener};
use hub_core::channel::Presence;
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;

use tokio_util::sync::CancellationToken;

use crate::settings::AstmSettings;

mod connection;
mod device;
mod house;

pub use connection::attend;
pub use device::Device;
pub use house::House;

/// After a stop, lines get this long to have their last messages stored and answered.
const GRACE: Duration = Duration::from_secs(4);

/// The ASTM adapter of one channel.
pub struct AstmEdge {
    settings: AstmSettings,
}

impl AstmEdge {
    /// An edge with its settings, which must have passed [`AstmSettings::validate`].
    #[must_use]
    pub fn new(settings: AstmSettings) -> Self {
        Self { settings }
    }

    async fn listen(&self, ctx: &ChannelContext, device: &Arc<Device>) -> Result<(), AdapterError> {
        let Some(server) = &self.settings.server else {
            return Ok(());
        };
        let listener =
            Listener::open(server, ctx.channel.as_str()).map_err(|error| ctx.failed(&error))?;
        let address = listener.local_addr().to_string();
        let presence = Arc::new(Presence::new(ctx, address.clone(), || None));
        tracing::info!(channel = %ctx.channel, %address, "listening for ASTM");
        let drained = listener
            .serve(&ctx.stop, GRACE, |link| {
                let (presence, device) = (Arc::clone(&presence), Arc::clone(device));
                let stop = ctx.stop.clone();
                async move { presence.during(serve(link, &device, &stop)).await }
            })
            .await;
        if drained.cut > 0 {
            tracing::warn!(channel = %ctx.channel, connections = drained.cut, "connections did not finish in time and were cut");
        }
        ctx.report(LinkState::Stopped, 0, &address, None);
        Ok(())
    }

    /// Serves one link after the other, and says how they are.
    async fn open(
        &self,
        ctx: &ChannelContext,
        mut opener: Opener,
        device: &Arc<Device>,
    ) -> Result<(), AdapterError> {
        let address = opener.address().to_owned();
        ctx.report(LinkState::Lost, 0, &address, None);
        let tell = opener.tell(|change| match change {
            Change::Connected(_) => ctx.report(LinkState::Connected, 1, &address, None),
            Change::Lost(reason) => ctx.report(LinkState::Lost, 0, &address, Some(reason)),
        });
        let serve = async {
            while let Some(link) = opener.next(&ctx.stop).await {
                serve(link, device, &ctx.stop).await;
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

impl Adapter for AstmEdge {
    async fn run(self, ctx: ChannelContext) -> Result<(), AdapterError> {
        let device = Arc::new(Device::new(
            ctx.channel.clone(),
            self.settings.clone(),
            Arc::new(ctx.clone()),
        ));
        let channel = ctx.channel.as_str();
        if let Some(client) = &self.settings.client {
            let opener = Opener::dial(client, channel).map_err(|error| ctx.failed(&error))?;
            return self.open(&ctx, opener, &device).await;
        }
        if let Some(serial) = &self.settings.serial {
            let opener = Opener::serial(serial, channel).map_err(|error| ctx.failed(&error))?;
            return self.open(&ctx, opener, &device).await;
        }
        self.listen(&ctx, &device).await
    }
}

async fn serve(link: Link, device: &Arc<Device>, stop: &CancellationToken) {
    let peer = link.peer.to_string();
    let instrument = instrument_of(&peer);
    attend(link.stream, &peer, &instrument, device, stop).await;
}

/// Orders wait for an instrument, not for a socket: it may come back from another port.
fn instrument_of(peer: &str) -> String {
    peer.parse::<SocketAddr>()
        .map_or_else(|_| peer.to_owned(), |address| address.ip().to_string())
}
