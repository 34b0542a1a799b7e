//! What a hub under test is told: `hub.toml` and its environment.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::Servers;

/// A free address of loopback.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    SocketAddr::from((
        [127, 0, 0, 1],
        local_servers::free_port().expect("a free port"),
    ))
}

/// One channel that listens.
#[derive(Debug, Clone)]
pub struct ChannelToml {
    pub id: String,
    pub tenant: String,
    pub kind: &'static str,
    /// Instrument pack.
    pub pack: Option<&'static str>,
    pub listen: SocketAddr,
    /// Further lines of `[channel.settings.server]`.
    pub server: String,
    /// Further tables below `[channel.settings]`, written out: `[channel.settings.frame]\nlimit = 1024`.
    pub tables: String,
}

impl ChannelToml {
    /// A channel of the first tenant, on a free port.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            tenant: "demo".to_owned(),
            kind: "hl7v2",
            pack: None,
            listen: free_address(),
            server: String::new(),
            tables: String::new(),
        }
    }

    /// With lines below `[channel.settings.server]`.
    #[must_use]
    pub fn server(mut self, lines: &str) -> Self {
        self.server = lines.to_owned();
        self
    }

    /// With further tables.
    #[must_use]
    pub fn tables(mut self, text: &str) -> Self {
        self.tables = text.to_owned();
        self
    }

    /// Of another kind.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Of an instrument that has a pack; `None`: of one that has none.
    #[must_use]
    pub fn pack(mut self, pack: Option<&'static str>) -> Self {
        self.pack = pack;
        self
    }

    /// Of another tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenant = tenant.to_owned();
        self
    }
}

/// Settings of one hub process. Clone it and take other addresses for a second process on the same servers.
#[derive(Debug, Clone)]
pub struct HubSettings {
    pub api: SocketAddr,
    pub tenants: Vec<String>,
    pub channels: Vec<ChannelToml>,
    /// Folder of the mapping tables; a copy of the project's by default where a test may write.
    pub mappings: PathBuf,
    /// Further lines of `[nats]`.
    pub nats: String,
    pub environment: Vec<(String, String)>,
    /// Further tables at the end of the file: channels that do not listen.
    pub more: String,
    /// Same for all processes, so that a token of one is good for the others.
    pub token_secret: String,
}

impl HubSettings {
    /// Tenant `demo` with the channel `lab`, the project's mapping tables.
    ///
    /// # Panics
    /// When the mapping tables can't be copied.
    #[must_use]
    pub fn new(servers: &Servers) -> Self {
        let mappings = servers.folder().join("mappings");
        if !mappings.exists() {
            copy_tables(&mappings);
        }
        Self {
            api: free_address(),
            tenants: vec!["demo".to_owned()],
            channels: vec![ChannelToml::new("lab")],
            mappings,
            nats: String::new(),
            environment: Vec::new(),
            more: String::new(),
            token_secret: format!(
                "{}{}",
                uuid::Uuid::now_v7().simple(),
                uuid::Uuid::now_v7().simple()
            ),
        }
    }

    /// Adds a channel.
    #[must_use]
    pub fn channel(mut self, channel: ChannelToml) -> Self {
        self.channels.push(channel);
        self
    }

    /// The same hub on other addresses: a second process beside the first.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let mut other = self.clone();
        other.api = free_address();
        for channel in &mut other.channels {
            channel.listen = free_address();
        }
        other
    }

    pub(crate) fn text(&self, servers: &Servers) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!(
            "[nats]\nurl = {}\nmonitor_url = {}\n{}\n\n[postgres]\nurl = {}\nowner_url = {}\n\n[api]\naddress = {}\ntoken_secret = {}\n\n[mappings]\nfolder = {}\n",
            quoted(&servers.nats.url()),
            quoted(&servers.nats.monitor_url()),
            self.nats,
            quoted(&servers.database.app_socket_url),
            quoted(&servers.database.owner_url),
            quoted(&self.api.to_string()),
            quoted(&self.token_secret),
            quoted(&self.mappings.display().to_string()),
        );
        for tenant in &self.tenants {
            let _ = write!(text, "\n[[tenant]]\nid = {}\n", quoted(tenant));
        }
        for channel in &self.channels {
            let _ = write!(
                text,
                "\n[[channel]]\nid = {}\ntenant = {}\nkind = {}\n{}[channel.settings.server]\nlisten = {}\n{}\n{}\n",
                quoted(&channel.id),
                quoted(&channel.tenant),
                quoted(channel.kind),
                channel
                    .pack
                    .map_or_else(String::new, |pack| format!("pack = {}\n", quoted(pack))),
                quoted(&channel.listen.to_string()),
                channel.server,
                channel.tables,
            );
        }
        text.push_str(&self.more);
        text
    }
}

/// The project's folder `name`.
pub(crate) fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn copy_tables(to: &Path) {
    for part in ["tables", "site", "analyzers"] {
        let target = to.join(part);
        std::fs::create_dir_all(&target).expect("the temporary folder is writable");
        for entry in std::fs::read_dir(project("mappings").join(part))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.path().is_dir() {
                continue;
            }
            std::fs::copy(entry.path(), target.join(entry.file_name()))
                .expect("the tables can be read");
        }
    }
}
