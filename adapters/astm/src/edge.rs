//! The edge of a channel: lines in, durable writes, answers out; and the orders that go to the instruments.
//!
//! One task a line. It never waits for the store while bytes arrive: what is stored, asked and written runs beside the
//! reading, and the machine in [`crate::link`] says what may be answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapter_link::{Dialer, Link, Listener};
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;

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
            Listener::open(server, ctx.channel.as_str()).map_err(|error| failed(ctx, &error))?;
        let address = listener.local_addr().to_string();
        let presence = Presence::new(ctx, address.clone(), LinkState::Listening, device);
        tracing::info!(channel = %ctx.channel, %address, "listening for ASTM");
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

    async fn dial(&self, ctx: &ChannelContext, device: &Arc<Device>) -> Result<(), AdapterError> {
        let Some(client) = &self.settings.client else {
            return Ok(());
        };
        let mut dialer =
            Dialer::new(client, ctx.channel.as_str()).map_err(|error| failed(ctx, &error))?;
        let presence = Presence::new(ctx, client.connect.clone(), LinkState::Lost, device);
        while let Some(link) = dialer.connect(&ctx.stop).await {
            presence.attend(link).await;
        }
        ctx.report(LinkState::Stopped, 0, &client.connect, None);
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
        self.listen(&ctx, &device).await?;
        self.dial(&ctx, &device).await
    }
}

/// Counts the peers that are connected and says so.
struct Presence {
    open: AtomicU32,
    address: String,
    ctx: ChannelContext,
    device: Arc<Device>,
    /// State when nobody is connected.
    resting: LinkState,
}

impl Presence {
    fn new(
        ctx: &ChannelContext,
        address: String,
        resting: LinkState,
        device: &Arc<Device>,
    ) -> Arc<Self> {
        ctx.report(resting, 0, &address, None);
        Arc::new(Self {
            open: AtomicU32::new(0),
            address,
            ctx: ctx.clone(),
            device: Arc::clone(device),
            resting,
        })
    }

    async fn attend(&self, link: Link) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.ctx
            .report(LinkState::Connected, open, &self.address, None);
        let peer = link.peer.to_string();
        let instrument = instrument_of(&peer);
        attend(
            link.stream,
            &peer,
            &instrument,
            &self.device,
            &self.ctx.stop,
        )
        .await;
        let open = self.open.fetch_sub(1, Ordering::Relaxed) - 1;
        let state = if open == 0 {
            self.resting
        } else {
            LinkState::Connected
        };
        self.ctx.report(state, open, &self.address, None);
    }
}

/// Orders wait for an instrument, not for a socket: it may come back from another port.
fn instrument_of(peer: &str) -> String {
    peer.parse::<SocketAddr>()
        .map_or_else(|_| peer.to_owned(), |address| address.ip().to_string())
}

fn failed(ctx: &ChannelContext, error: &adapter_link::LinkError) -> AdapterError {
    AdapterError {
        channel: ctx.channel.clone(),
        detail: error.to_string(),
    }
}
