//! What an operator may set on an ASTM channel. The reference page is generated from these comments.

use adapter_link::{ConnectSettings, Fault, ListenSettings};
use serde::Deserialize;

mod dialect;
mod link;
mod orders;

pub use dialect::{AuColumns, Dialect, FieldPath, Mark};
pub use link::{LinkSettings, Mode, Role, Strictness};
pub use orders::{OrderMode, OrderSettings, UnknownAnswer};

/// `[channel.settings]` of kind `astm`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AstmSettings {
    /// The port that instruments connect to; either this or `client`.
    #[serde(default)]
    pub server: Option<ListenSettings>,
    /// The instrument, where it is the TCP server; either this or `server`.
    #[serde(default)]
    pub client: Option<ConnectSettings>,
    /// The line: mode, what is enforced, timers.
    #[serde(default)]
    pub link: LinkSettings,
    /// How this instrument writes records.
    #[serde(default)]
    pub dialect: Dialect,
    /// What the instrument is told to do.
    #[serde(default)]
    pub orders: OrderSettings,
}

impl AstmSettings {
    /// A plain TCP listener, everything else as by default.
    #[must_use]
    pub fn listening(address: std::net::SocketAddr) -> Self {
        Self {
            server: Some(ListenSettings::plain(address)),
            client: None,
            link: LinkSettings::default(),
            dialect: Dialect::default(),
            orders: OrderSettings::default(),
        }
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let fault = |path: &str, message: &str| Fault {
            path: path.to_owned(),
            message: message.to_owned(),
        };
        match (&self.server, &self.client) {
            (Some(server), None) => faults.extend(under("server", server.validate())),
            (None, Some(client)) => faults.extend(under("client", client.validate())),
            (None, None) => faults.push(fault("server", "give either [channel.settings.server] with listen, or [channel.settings.client] with connect")),
            (Some(_), Some(_)) => faults.push(fault("client", "a channel either listens or connects: keep one of server and client")),
        }
        faults.extend(under("link", self.link.validate()));
        faults.extend(under("dialect", self.dialect.validate()));
        faults.extend(under("orders", self.orders.validate()));
        if self.link.mode == Mode::Bare && self.orders.mode == OrderMode::Download {
            faults.push(fault(
                "orders.mode",
                "a line without handshake (link.mode = \"bare\") has no way to the instrument",
            ));
        }
        if self.link.mode == Mode::Au && self.orders.mode == OrderMode::Download {
            faults.push(fault(
                "orders.mode",
                "a Beckman AU takes orders only in answer to its query",
            ));
        }
        faults
    }
}

fn under(prefix: &str, faults: Vec<Fault>) -> impl Iterator<Item = Fault> {
    faults.into_iter().map(move |fault| Fault {
        path: format!("{prefix}.{}", fault.path),
        message: fault.message,
    })
}
