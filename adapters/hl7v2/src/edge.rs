//! The edge of a channel: frames in, durable writes, acknowledgements out.
//!
//! An acknowledgement is written only after the message is on disk; what can't be stored gets a refusal that
//! the sender may repeat. Everything that looked like a message is kept, also what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapter_link::{Dialer, Link, LinkError, Listener, PeerState, SerialLine};
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::settings::Hl7v2Settings;
use connection::Connection;

mod answer;
mod connection;
mod reply;

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
    async fn open(
        &self,
        ctx: &ChannelContext,
        mut opener: Opener,
        address: &str,
    ) -> Result<(), AdapterError> {
        ctx.report(LinkState::Lost, 0, address, None);
        let state = opener.state();
        let serve = async {
            while let Some(link) = opener.next(&ctx.stop).await {
                attend(link, &self.settings, ctx).await;
            }
        };
        tokio::select! {
            () = serve => {}
            () = tell(state, ctx, address) => {}
        }
        ctx.report(LinkState::Stopped, 0, address, None);
        Ok(())
    }
}

impl Adapter for Hl7v2Edge {
    async fn run(self, ctx: ChannelContext) -> Result<(), AdapterError> {
        let channel = ctx.channel.as_str();
        if let Some(client) = &self.settings.client {
            let dialer = Dialer::new(client, channel).map_err(|error| failed(&ctx, &error))?;
            return self.open(&ctx, Opener::Dial(dialer), &client.connect).await;
        }
        if let Some(serial) = &self.settings.serial {
            let line = SerialLine::new(serial, channel).map_err(|error| failed(&ctx, &error))?;
            let port = serial.port.display().to_string();
            return self.open(&ctx, Opener::Serial(line), &port).await;
        }
        self.listen(&ctx).await
    }
}

/// Links that we open ourselves, one after the other.
enum Opener {
    Dial(Dialer),
    Serial(SerialLine),
}

impl Opener {
    async fn next(&mut self, stop: &CancellationToken) -> Option<Link> {
        match self {
            Self::Dial(dialer) => dialer.connect(stop).await,
            Self::Serial(line) => line.open(stop).await,
        }
    }

    fn state(&self) -> watch::Receiver<PeerState> {
        match self {
            Self::Dial(dialer) => dialer.state(),
            Self::Serial(line) => line.state(),
        }
    }
}

/// Reports what changes about a peer that we connect to: not each attempt, only a new reason why there is no link.
async fn tell(mut state: watch::Receiver<PeerState>, ctx: &ChannelContext, address: &str) {
    let mut told = None;
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        match now {
            PeerState::Connected { .. } => {
                told = None;
                ctx.report(LinkState::Connected, 1, address, None);
            }
            PeerState::Lost { reason, .. } if told.as_ref() != Some(&reason) => {
                ctx.report(LinkState::Lost, 0, address, Some(reason.clone()));
                told = Some(reason);
            }
            PeerState::Lost { .. } | PeerState::Connecting | PeerState::Stopped => {}
        }
    }
    // it ends with the channel, not with the one whose state it tells
    std::future::pending::<()>().await;
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
