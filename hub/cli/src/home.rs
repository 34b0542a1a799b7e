//! A home with servers of its own: what `hub dev` and `hub demo` run on. Everything is below one folder
//! (`.hub/` or `$HUB_HOME`): data, settings, logs, passwords. Nothing of the machine's is touched.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hub_core::config::Loaded;
use local_servers::{NatsOptions, NatsServer, PgOptions, Postgres, Tools};
use sqlx::Connection as _;

/// Default tenant and channel of a home.
pub(crate) const TENANT: &str = "demo";
pub(crate) const CHANNEL: &str = "lab";
/// Channel of the instruments that speak ASTM.
const ASTM_CHANNEL: &str = "lab-astm";
/// Name of the database.
const DATABASE: &str = "hub";

/// What the environment says of a home.
#[derive(Debug, Clone)]
pub(crate) struct HomeOptions {
    pub folder: PathBuf,
    pub api: SocketAddr,
    pub mllp: SocketAddr,
    pub astm: SocketAddr,
    pub nats_port: u16,
    pub pg_port: u16,
}

impl HomeOptions {
    /// Where the one-time password of a home of our own is kept, so that `hub demo` can sign in a second time.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.join("admin.password")
    }

    /// Reads `$HUB_HOME`, `$HUB_API_ADDR`, `$HUB_MLLP_ADDR`, `$HUB_ASTM_ADDR`, `$HUB_NATS_PORT`, `$HUB_PG_PORT`.
    ///
    /// # Errors
    /// Names the variable that can't be read.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let folder = home_folder()?;
        Ok(Self {
            folder,
            api: address("HUB_API_ADDR", "127.0.0.1:8080")?,
            mllp: address("HUB_MLLP_ADDR", "127.0.0.1:2575")?,
            astm: astm_address()?,
            nats_port: port("HUB_NATS_PORT")?,
            pg_port: port("HUB_PG_PORT")?,
        })
    }
}

/// `$HUB_HOME`, or `.hub` in the current folder.
pub(crate) fn home_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("HUB_HOME")
        .filter(|value| !value.is_empty())
        .map_or_else(|| PathBuf::from(".hub"), PathBuf::from);
    std::path::absolute(&folder).with_context(|| format!("$HUB_HOME {}", folder.display()))
}

fn address(variable: &str, default: &str) -> anyhow::Result<SocketAddr> {
    let text = std::env::var(variable).unwrap_or_default();
    let text = if text.is_empty() { default } else { &text };
    text.parse().with_context(|| {
        format!("${variable} is `{text}`: it must be address:port, like {default}")
    })
}

/// The address of the ASTM listener. Where nobody chose one and the usual one is taken, a free one: a second instance
/// that was told its other addresses must not fail for this one. It is printed.
fn astm_address() -> anyhow::Result<SocketAddr> {
    let chosen = std::env::var_os("HUB_ASTM_ADDR").is_some_and(|value| !value.is_empty());
    let address = address("HUB_ASTM_ADDR", "127.0.0.1:2576")?;
    if chosen || std::net::TcpListener::bind(address).is_ok() {
        return Ok(address);
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("no free port for the ASTM listener")?;
    tracing::warn!(taken = %address, %free, "the usual ASTM address is taken; set $HUB_ASTM_ADDR to choose one");
    Ok(free)
}

/// 0: a free one.
fn port(variable: &str) -> anyhow::Result<u16> {
    let text = std::env::var(variable).unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .with_context(|| format!("${variable} is `{text}`: it must be a port number"))
}

/// A running home: nats-server, Postgres, and the settings of a hub on them.
pub(crate) struct Home {
    pub loaded: Loaded,
    pub nats: NatsServer,
    pub postgres: Postgres,
}

impl Home {
    /// Starts the servers, makes the database, writes `hub.toml`.
    ///
    /// # Errors
    /// A tool is missing, a port is taken, another hub has the home.
    pub(crate) async fn start(options: &HomeOptions) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.folder)
            .with_context(|| format!("can't make {}", options.folder.display()))?;
        // a taken address is said before servers are started for nothing
        for (variable, address) in [
            ("HUB_API_ADDR", options.api),
            ("HUB_MLLP_ADDR", options.mllp),
            ("HUB_ASTM_ADDR", options.astm),
        ] {
            if address.port() != 0
                && let Err(error) = std::net::TcpListener::bind(address)
            {
                bail!("can't listen on {address}: {error}; set ${variable} to a free address");
            }
        }
        let tools = Tools::find(None)?;
        let nats_options = NatsOptions {
            port: options.nats_port,
            ..NatsOptions::new(&options.folder)
        };
        let pg_options = PgOptions {
            port: options.pg_port,
            ..PgOptions::new(&options.folder)
        };
        let (nats, postgres) = tokio::try_join!(
            NatsServer::start(&tools, nats_options),
            Postgres::start(&tools, pg_options)
        )?;
        let database = postgres.ensure_database(DATABASE).await?;
        migrate(&database.owner_url).await?;
        let file = options.folder.join("hub.toml");
        let text = settings_text(
            options,
            &nats,
            &database.app_socket_url,
            &database.owner_url,
        )?;
        let text = with_own_channels(&options.folder, text)?;
        write_private(&file, &text)?;
        let loaded = Loaded::from_text(&file, text).map_err(crate::compose::problems)?;
        Ok(Self {
            loaded,
            nats,
            postgres,
        })
    }

    /// Stops both servers.
    pub(crate) async fn stop(self) {
        let (nats, postgres) = tokio::join!(self.nats.stop(), self.postgres.stop());
        for outcome in [nats, postgres] {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a server did not stop as it should");
            }
        }
    }
}

/// Brings a database up to date, as its owner.
///
/// # Errors
/// Not reachable, or a migration failed.
pub(crate) async fn migrate(owner_url: &str) -> anyhow::Result<Vec<i64>> {
    let mut connection = sqlx::PgConnection::connect(owner_url)
        .await
        .context("can't reach Postgres as the owner of the tables")?;
    let applied = hub_core::migrate::migrate(&mut connection).await?;
    connection.close().await?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "database brought up to date");
    }
    Ok(applied)
}

fn settings_text(
    options: &HomeOptions,
    nats: &NatsServer,
    app_url: &str,
    owner_url: &str,
) -> anyhow::Result<String> {
    let secret = secret(&options.folder)?;
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    Ok(format!(
        "# Written by hub dev at every start. For settings of your own copy this file and use: hub run --config <copy>\n\
         \n[nats]\nurl = {nats_url}\nmonitor_url = {monitor}\n\
         \n[postgres]\nurl = {app}\nowner_url = {owner}\n\
         \n[api]\naddress = {api}\ntoken_secret = {secret}\n\
         \n[mappings]\nfolder = {mappings}\n\
         \n[[tenant]]\nid = \"{TENANT}\"\nname = \"Demo hospital\"\n\
         \n[[channel]]\nid = \"{CHANNEL}\"\ntenant = \"{TENANT}\"\nkind = \"hl7v2\"\n[channel.settings.server]\nlisten = {mllp}\n[channel.settings.ack]\nanswer_always = true\n\
         \n[[channel]]\nid = \"{ASTM_CHANNEL}\"\ntenant = \"{TENANT}\"\nkind = \"astm\"\n[channel.settings.server]\nlisten = {astm}\n[channel.settings.orders]\nas_ordered = true\n",
        nats_url = quoted(&nats.url()),
        monitor = quoted(&nats.monitor_url()),
        app = quoted(app_url),
        owner = quoted(owner_url),
        api = quoted(&options.api.to_string()),
        secret = quoted(&secret),
        mappings = quoted(
            &project_folder("mappings", "HUB_MAPPINGS")?
                .display()
                .to_string()
        ),
        mllp = quoted(&options.mllp.to_string()),
        astm = quoted(&options.astm.to_string()),
    ))
}

/// Channels of one's own in a home: `channels.toml`, which is kept, behind what is written at every start.
fn with_own_channels(folder: &Path, text: String) -> anyhow::Result<String> {
    let file = folder.join("channels.toml");
    match std::fs::read_to_string(&file) {
        Ok(own) => Ok(format!("{text}\n# from {}\n{own}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(text),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

/// A folder of the project (`mappings`, `fixtures`): `$variable`, the current folder's, or that of the sources
/// this program was built from.
pub(crate) fn project_folder(name: &str, variable: &str) -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return Ok(std::path::absolute(folder)?);
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    [std::path::absolute(name)?, built]
        .into_iter()
        .find(|folder| folder.is_dir())
        .map(|folder| folder.canonicalize().unwrap_or(folder))
        .with_context(|| format!("no folder `{name}` here; set ${variable} to it"))
}

/// The secret that signs access tokens, kept so that tokens survive a restart.
fn secret(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("token.secret");
    if let Ok(text) = std::fs::read_to_string(&file)
        && text.trim().len() >= 32
    {
        return Ok(text.trim().to_owned());
    }
    use std::fmt::Write as _;
    let secret =
        hub_api::TokenKeys::generate_secret()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
    write_private(&file, &secret)?;
    Ok(secret)
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options
        .open(file)
        .with_context(|| format!("can't write {}", file.display()))?;
    out.write_all(text.as_bytes())
        .with_context(|| format!("can't write {}", file.display()))
}
