//! The edge of a channel: frames in, durable writes, acknowledgements out.
//!
//! An acknowledgement is written only after the message is on disk; what can't be stored gets a refusal that
//! the sender may repeat. Everything that looked like a message is kept, also what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapter_link::{Dialer, Link, Listener};
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;

use crate::settings::Hl7v2Settings;

mod answer;
mod connection;

/// After a stop, connections get this long to have their last messages stored and answered.
const GRACE: Duration = Duration::from_secs(4);

/// The HL7 v2 adapter of one channel.
pub struct Hl7v2Edge {
    settings: Arc<Hl7v2Settings>,
}

impl Hl7v2Edge {
    /// An edge with its settings, which must have passed [`Hl7v2Settings::validate`].
    #[must_use]
    pub fn new(settings: Hl7v2Settings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }

    async fn listen(&self, ctx: &ChannelContext) -> Result<(), AdapterError> {
        let Some(server) = &self.settings.server else {
            return Ok(());
        };
        let listener =
            Listener::open(server, ctx.channel.as_str()).map_err(|error| failed(ctx, &error))?;
        let address = listener.local_addr().to_string();
        let presence = Arc::new(Presence {
            open: AtomicU32::new(0),
            address: address.clone(),
            ctx: ctx.clone(),
            resting: LinkState::Listening,
        });
        ctx.report(LinkState::Listening, 0, &address, None);
        tracing::info!(channel = %ctx.channel, %address, "listening for HL7 v2");
        let drained = listener
            .serve(&ctx.stop, GRACE, |link| {
                let (settings, ctx, presence) = (
                    Arc::clone(&self.settings),
                    ctx.clone(),
                    Arc::clone(&presence),
                );
                async move { presence.attend(link, settings, ctx).await }
            })
            .await;
        if drained.cut > 0 {
            tracing::warn!(channel = %ctx.channel, connections = drained.cut, "connections did not finish in time and were cut");
        }
        ctx.report(LinkState::Stopped, 0, &address, None);
        Ok(())
    }

    async fn dial(&self, ctx: &ChannelContext) -> Result<(), AdapterError> {
        let Some(client) = &self.settings.client else {
            return Ok(());
        };
        let mut dialer =
            Dialer::new(client, ctx.channel.as_str()).map_err(|error| failed(ctx, &error))?;
        let address = client.connect.clone();
        let presence = Arc::new(Presence {
            open: AtomicU32::new(0),
            address: address.clone(),
            ctx: ctx.clone(),
            resting: LinkState::Lost,
        });
        ctx.report(LinkState::Lost, 0, &address, None);
        while let Some(link) = dialer.connect(&ctx.stop).await {
            presence
                .attend(link, Arc::clone(&self.settings), ctx.clone())
                .await;
        }
        ctx.report(LinkState::Stopped, 0, &address, None);
        Ok(())
    }
}

impl Adapter for Hl7v2Edge {
    async fn run(self, ctx: ChannelContext) -> Result<(), AdapterError> {
        self.listen(&ctx).await?;
        self.dial(&ctx).await
    }
}

/// Counts the peers that are connected and says so.
struct Presence {
    open: AtomicU32,
    address: String,
    ctx: ChannelContext,
    /// State when nobody is connected.
    resting: LinkState,
}

impl Presence {
    async fn attend(&self, link: Link, settings: Arc<Hl7v2Settings>, ctx: ChannelContext) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.ctx
            .report(LinkState::Connected, open, &self.address, None);
        connection::serve(link, &settings, &ctx).await;
        let open = self.open.fetch_sub(1, Ordering::Relaxed) - 1;
        let state = if open == 0 {
            self.resting
        } else {
            LinkState::Connected
        };
        self.ctx.report(state, open, &self.address, None);
    }
}

fn failed(ctx: &ChannelContext, error: &adapter_link::LinkError) -> AdapterError {
    AdapterError {
        channel: ctx.channel.clone(),
        detail: error.to_string(),
    }
}
