//! The edge of a channel: frames in, durable writes, acknowledgements out.
//!
//! An acknowledgement is written only after the message is on disk; what can't be stored gets a refusal that
//! the sender may repeat. Everything that looked like a message is kept, also what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapter_link::{Change, Link, LinkError, Listener, Opener};
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;

use crate::settings::Hl7v2Settings;
use connection::Connection;

mod answer;
mod connection;
mod rehearsal;
mod reply;

pub use rehearsal::rehearse;

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
        });
        ctx.report(LinkState::Listening, 0, &address, None);
        tracing::info!(channel = %ctx.channel, %address, "listening for HL7 v2");
        let drained = listener
            .serve(&ctx.stop, GRACE, |link| {
                let (settings, presence) = (Arc::clone(&self.settings), Arc::clone(&presence));
                async move { presence.attend(link, &settings).await }
            })
            .await;
        if drained.cut > 0 {
            tracing::warn!(channel = %ctx.channel, connections = drained.cut, "connections did not finish in time and were cut");
        }
        ctx.report(LinkState::Stopped, 0, &address, None);
        Ok(())
    }

    /// Serves one link after the other, and says how they are.
    async fn open(&self, ctx: &ChannelContext, mut opener: Opener) -> Result<(), AdapterError> {
        let address = opener.address().to_owned();
        ctx.report(LinkState::Lost, 0, &address, None);
        let tell = opener.tell(|change| match change {
            Change::Connected(_) => ctx.report(LinkState::Connected, 1, &address, None),
            Change::Lost(reason) => ctx.report(LinkState::Lost, 0, &address, Some(reason)),
        });
        let serve = async {
            while let Some(link) = opener.next(&ctx.stop).await {
                attend(link, &self.settings, ctx).await;
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

impl Adapter for Hl7v2Edge {
    async fn run(self, ctx: ChannelContext) -> Result<(), AdapterError> {
        let channel = ctx.channel.as_str();
        if let Some(client) = &self.settings.client {
            let opener = Opener::dial(client, channel).map_err(|error| failed(&ctx, &error))?;
            return self.open(&ctx, opener).await;
        }
        if let Some(serial) = &self.settings.serial {
            let opener = Opener::serial(serial, channel).map_err(|error| failed(&ctx, &error))?;
            return self.open(&ctx, opener).await;
        }
        self.listen(&ctx).await
    }
}

async fn attend(link: Link, settings: &Hl7v2Settings, ctx: &ChannelContext) {
    let connection = Connection {
        settings,
        store: ctx,
        channel: ctx.channel.as_str(),
        peer: link.peer.to_string(),
        serial: link.peer.is_serial(),
    };
    connection.serve(link.stream, &ctx.stop).await;
}

/// Counts the peers that are connected to a listener and says so.
struct Presence {
    open: AtomicU32,
    address: String,
    ctx: ChannelContext,
}

impl Presence {
    async fn attend(&self, link: Link, settings: &Hl7v2Settings) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.ctx
            .report(LinkState::Connected, open, &self.address, None);
        attend(link, settings, &self.ctx).await;
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
