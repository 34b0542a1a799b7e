//! What an operator may set on a POCT1-A channel. The reference page is generated from these comments.

use adapter_link::{ConnectSettings, Fault, Faults, ListenSettings};
use serde::Deserialize;

mod conversation;
mod dialect;
mod link;
mod lists;

pub use conversation::{ConversationSettings, Mode, Unknown};
pub use dialect::Dialect;
pub(crate) use dialect::parent as dialect_parent;
pub use link::{Framing, LinkSettings};
pub use lists::{DevicePlace, Give, ListSettings};

/// `[channel.settings]` of kind `poct1a`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poct1aSettings {
    /// The port that devices and docking stations connect to; this or `client`.
    #[serde(default)]
    pub server: Option<ListenSettings>,
    /// The device or gateway, where it is the TCP server; this or `server`.
    #[serde(default)]
    pub client: Option<ConnectSettings>,
    /// The stream: limits and framing.
    #[serde(default)]
    pub link: LinkSettings,
    /// What is asked of a device, and how it is answered.
    #[serde(default)]
    pub conversation: ConversationSettings,
    /// Which lists a device is given.
    #[serde(default)]
    pub lists: ListSettings,
    /// How this device fills the elements.
    #[serde(default)]
    pub dialect: Dialect,
    /// Results must be verified here before anybody may act on them. Default: false, at the bedside they have been acted on when they
    /// come.
    #[serde(default)]
    pub verify: bool,
}

impl Poct1aSettings {
    /// A plain TCP listener, everything else as by default.
    #[must_use]
    pub fn listening(address: std::net::SocketAddr) -> Self {
        Self {
            server: Some(ListenSettings::plain(address)),
            client: None,
            link: LinkSettings::default(),
            conversation: ConversationSettings::default(),
            lists: ListSettings::default(),
            dialect: Dialect::default(),
            verify: false,
        }
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        match (&self.server, &self.client) {
            (Some(server), None) => faults.under("server", server.validate()),
            (None, Some(client)) => faults.under("client", client.validate()),
            (None, None) => faults.add("server", "give one of [channel.settings.server] with listen and [channel.settings.client] with connect"),
            (Some(_), Some(_)) => faults.add("client", "a channel listens or connects: keep one of server and client"),
        }
        faults.under("link", self.link.validate());
        faults.under("conversation", self.conversation.validate());
        faults.under("lists", self.lists.validate());
        faults.under("dialect", self.dialect.validate());
        faults.into_vec()
    }
}
