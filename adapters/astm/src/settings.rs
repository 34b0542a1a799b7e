//! What an operator may set on an ASTM channel. The reference page is generated from these comments.

use adapter_link::{ConnectSettings, Fault, Faults, ListenSettings, SerialSettings};
use serde::Deserialize;

mod dialect;
mod idle;
mod link;
mod orders;

pub use dialect::{AuColumns, Dialect, FieldPath, Mark};
pub use link::{LinkSettings, Mode, Role, Strictness};
pub use orders::{OrderMode, OrderSettings, UnknownAnswer};

/// `[channel.settings]` of kind `astm`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AstmSettings {
    /// The port that instruments connect to; one of this, `client` and `serial`.
    #[serde(default)]
    pub server: Option<ListenSettings>,
    /// The instrument, where it is the TCP server; one of this, `server` and `serial`.
    #[serde(default)]
    pub client: Option<ConnectSettings>,
    /// The serial port that the instrument is on; one of this, `server` and `client`. Its `inter_character_ms` is left out
    /// here: the line has timers of its own (`link`).
    #[serde(default)]
    pub serial: Option<SerialSettings>,
    /// The line: mode, what is enforced, timers.
    #[serde(default)]
    pub link: LinkSettings,
    /// How this instrument writes records.
    #[serde(default)]
    pub dialect: Dialect,
    /// What the instrument is told to do.
    #[serde(default)]
    pub orders: OrderSettings,
    /// Results must be verified here before anybody may act on them. Default: true; false where what is behind the line has
    /// verified them.
    #[serde(default = "yes")]
    pub verify: bool,
}

fn yes() -> bool {
    true
}

impl AstmSettings {
    /// A plain TCP listener, everything else as by default.
    #[must_use]
    pub fn listening(address: std::net::SocketAddr) -> Self {
        Self {
            server: Some(ListenSettings::plain(address)),
            client: None,
            serial: None,
            link: LinkSettings::default(),
            dialect: Dialect::default(),
            orders: OrderSettings::default(),
            verify: true,
        }
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        match (&self.server, &self.client, &self.serial) {
            (Some(server), None, None) => faults.under("server", server.validate()),
            (None, Some(client), None) => faults.under("client", client.validate()),
            (None, None, Some(serial)) => faults.under("serial", serial.validate()),
            (None, None, None) => faults.add("server", "give one of [channel.settings.server] with listen, [channel.settings.client] with connect and [channel.settings.serial] with port"),
            _ => faults.add(if self.client.is_some() { "client" } else { "serial" }, "a channel listens, connects or opens a serial port: keep one of server, client and serial"),
        }
        faults.under("link", self.link.validate());
        faults.under("dialect", self.dialect.validate());
        faults.under("orders", self.orders.validate());
        idle::add(self, &mut faults);
        if self.link.mode == Mode::Bare && self.orders.mode == OrderMode::Download {
            faults.add(
                "orders.mode",
                "a line without handshake (link.mode = \"bare\") has no way to the instrument",
            );
        }
        if self.link.mode == Mode::Au && self.orders.mode == OrderMode::Download {
            faults.add(
                "orders.mode",
                "a Beckman AU takes orders only in answer to its query",
            );
        }
        faults.into_vec()
    }
}
