//! The edge of a channel: frames in, durable writes, acknowledgements out; and the orders that go to instruments.
//!
//! An acknowledgement is written only after the message is on disk; what can't be stored gets a refusal that
//! the sender may repeat. Everything that looked like a message is kept, also what is refused.

use std::sync::Arc;
use std::time::Duration;

use adapter_link::{Change, Link, Listener, Opener};
use hub_core::channel::{Presence, SendingBook};
use hub_core::{Adapter, AdapterError, ChannelContext};
use schemas::integration::LinkState;
use tokio_util::sync::CancellationToken;

use crate::settings::Hl7v2Settings;
use connection::Connection;
use outlet::{Outlet, Ways};

mod answer;
mod connection;
mod download;
mod exchange;
mod house;
mod ids;
mod outlet;
mod query;
mod rehearsal;
mod reply;

pub use rehearsal::rehearse;

/// After a stop, connections get this long to have their last messages stored and answered.
const GRACE: Duration = Duration::from_secs(4);

/// The HL7 v2 adapter of one channel.
pub struct Hl7v2Edge {
    settings: Arc<Hl7v2Settings>,
    /// Shared by the connections: two of them must not send one order.
    book: Arc<SendingBook>,
    /// Where the analyzer takes orders on a connection of its own.
    outlet: Option<Arc<Outlet>>,
}

impl Hl7v2Edge {
    /// An edge with its settings, which must have passed [`Hl7v2Settings::validate`].
    #[must_use]
    pub fn new(settings: Hl7v2Settings) -> Self {
        let second = settings
            .orders
            .as_ref()
            .is_some_and(|orders| orders.client.is_some());
        Self {
            settings: Arc::new(settings),
            book: Arc::default(),
            outlet: second.then(Arc::default),
        }
    }

    async fn listen(&self, ctx: &ChannelContext) -> Result<(), AdapterError> {
        let Some(server) = &self.settings.server else {
            return Ok(());
        };
        let listener =
            Listener::open(server, ctx.channel.as_str()).map_err(|error| ctx.failed(&error))?;
        let address = listener.local_addr().to_string();
        let presence = Arc::new(Presence::new(ctx, address.clone(), || None));
        tracing::info!(channel = %ctx.channel, %address, "listening for HL7 v2");
        let drained = listener
            .serve(&ctx.stop, GRACE, |link| {
                let (settings, book) = (Arc::clone(&self.settings), Arc::clone(&self.book));
                let (presence, outlet) = (Arc::clone(&presence), self.outlet.clone());
                let ctx = ctx.clone();
                async move {
                    let ways = outlet.as_deref().map_or(Ways::Both, Ways::In);
                    let attended = attend(link, &settings, &book, ways, &ctx, &ctx.stop);
                    presence.during(attended).await;
                }
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
                let ways = self.outlet.as_deref().map_or(Ways::Both, Ways::In);
                attend(link, &self.settings, &self.book, ways, ctx, &ctx.stop).await;
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

impl Hl7v2Edge {
    /// The link that brings results and queries.
    async fn first_link(&self, ctx: &ChannelContext) -> Result<(), AdapterError> {
        let channel = ctx.channel.as_str();
        if let Some(client) = &self.settings.client {
            let opener = Opener::dial(client, channel).map_err(|error| ctx.failed(&error))?;
            return self.open(ctx, opener).await;
        }
        if let Some(serial) = &self.settings.serial {
            let opener = Opener::serial(serial, channel).map_err(|error| ctx.failed(&error))?;
            return self.open(ctx, opener).await;
        }
        self.listen(ctx).await
    }

    /// The link that takes orders, where it is another.
    async fn second_link(
        &self,
        ctx: &ChannelContext,
        stop: &CancellationToken,
    ) -> Result<(), AdapterError> {
        let client = self
            .settings
            .orders
            .as_ref()
            .and_then(|orders| orders.client.as_ref());
        let (Some(client), Some(outlet)) = (client, &self.outlet) else {
            return Ok(());
        };
        let label = format!("{}-orders", ctx.channel);
        let mut opener = Opener::dial(client, &label).map_err(|error| ctx.failed(&error))?;
        let tell = opener.tell(|change| match change {
            Change::Connected(peer) => {
                tracing::info!(channel = %ctx.channel, %peer, "the connection for orders stands");
            }
            Change::Lost(reason) => {
                tracing::warn!(channel = %ctx.channel, reason, "the connection for orders is lost");
            }
        });
        let serve = async {
            while let Some(link) = opener.next(stop).await {
                let ways = Ways::Out(outlet);
                attend(link, &self.settings, &self.book, ways, ctx, stop).await;
            }
        };
        tokio::select! {
            () = serve => {}
            () = tell => {}
        }
        Ok(())
    }
}

impl Adapter for Hl7v2Edge {
    async fn run(self, ctx: ChannelContext) -> Result<(), AdapterError> {
        // whichever can't go on takes the other with it
        let both = ctx.stop.child_token();
        let mut inner = ctx;
        inner.stop = both.clone();
        let first = async {
            let outcome = self.first_link(&inner).await;
            both.cancel();
            outcome
        };
        let second = async {
            let outcome = self.second_link(&inner, &both).await;
            if outcome.is_err() {
                both.cancel();
            }
            outcome
        };
        let (first, second) = tokio::join!(first, second);
        first.and(second)
    }
}

async fn attend(
    link: Link,
    settings: &Hl7v2Settings,
    book: &SendingBook,
    ways: Ways<'_>,
    ctx: &ChannelContext,
    stop: &CancellationToken,
) {
    let connection = Connection {
        settings,
        store: ctx,
        book,
        ways,
        channel: &ctx.channel,
        peer: link.peer.to_string(),
        serial: link.peer.is_serial(),
    };
    connection.serve(link.stream, stop).await;
}
