//! Configuration: one TOML file plus `HUB_…` environment variables; secrets by reference (`env:`, `file:`).
//! [`Config::load`] says what is wrong with file, line and what to do, before anything starts.

use std::path::{Path, PathBuf};

use schemas::{ChannelId, TenantId};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::mappings::PackUse;
use crate::subject::StreamName;
use crate::telemetry::settings::TelemetrySettings;

mod api;
mod encryption;
mod sign_in;
pub use api::{ApiSettings, ApiTls};
pub use encryption::{EncryptionSettings, TransitSettings};
pub use sign_in::{GroupRole, OidcSettings, PasskeySettings, is_safe_url};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub nats: NatsSettings,
    pub postgres: PostgresSettings,
    #[serde(default)]
    pub api: ApiSettings,
    #[serde(default)]
    pub mappings: MappingSettings,
    #[serde(default)]
    pub encryption: EncryptionSettings,
    #[serde(default)]
    pub incidents: IncidentSettings,
    #[serde(default)]
    pub telemetry: TelemetrySettings,
    /// One customer each.
    #[serde(rename = "tenant", default)]
    pub tenants: Vec<TenantSettings>,
    /// One link to one outside system each.
    #[serde(rename = "channel", default)]
    pub channels: Vec<ChannelSettings>,
}

/// `[nats]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSettings {
    /// `nats://host:port` or `nats://user:password@host:port`, several separated by commas.
    pub url: String,
    /// Monitoring endpoint (`http://host:port`), where the hub checks that every write is synced.
    pub monitor_url: Option<String>,
    /// NATS credentials file.
    pub credentials_file: Option<PathBuf>,
    /// Certificate authority of the servers (PEM); switches TLS on.
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM), where the servers ask for one; with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// The private key of `certificate_file` (PEM).
    pub key_file: Option<PathBuf>,
    /// Copies of each stream: 1 for one server, 3 for a cluster.
    pub replicas: usize,
    /// How long a durable write may take before the peer is asked to repeat, milliseconds.
    pub publish_timeout_ms: u64,
    /// S2 compression of RAW and EVENTS on disk.
    pub compress: bool,
    /// Days that received bytes are kept.
    pub raw_days: u64,
    /// Days that events and commands are kept.
    pub events_days: u64,
    /// Days that dead letters are kept.
    pub dead_days: u64,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".into(),
            monitor_url: None,
            credentials_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            replicas: 1,
            publish_timeout_ms: 2500,
            compress: false,
            raw_days: 365,
            events_days: 90,
            dead_days: 365,
        }
    }
}

impl NatsSettings {
    /// Age after which a stream drops messages, days.
    #[must_use]
    pub fn max_age_days(&self, stream: StreamName) -> u64 {
        match stream {
            StreamName::Raw => self.raw_days,
            StreamName::Events | StreamName::Commands => self.events_days,
            StreamName::Dead => self.dead_days,
        }
    }
}

/// `[postgres]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// `postgres://hub_app:…@host/hub`, or a reference: `env:NAME`, `file:/path`. A role that owns nothing.
    pub url: Secret,
    /// The same for the role that owns the tables; needed by `hub migrate` only.
    pub owner_url: Option<Secret>,
    /// Connections of one process.
    #[serde(default = "twenty")]
    pub max_connections: u32,
}

/// Each worker and the relay keep one of their half, and something must be left for what comes now and then.
const FEWEST_CONNECTIONS: u32 = 16;

fn twenty() -> u32 {
    20
}

/// `[incidents]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentSettings {
    /// What nobody has acknowledged after this time is escalated, seconds.
    pub escalate_after_seconds: u32,
}

impl Default for IncidentSettings {
    fn default() -> Self {
        Self {
            escalate_after_seconds: 900,
        }
    }
}

/// `[mappings]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingSettings {
    /// Folder with `tables/` and `site/`; relative to the configuration file.
    pub folder: PathBuf,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("mappings"),
        }
    }
}

/// `[[tenant]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Stands in subjects and rows; never changes.
    pub id: Spanned<TenantId>,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Who vouches for its people at sign-in.
    #[serde(default)]
    pub oidc: Vec<OidcSettings>,
}

/// `[[channel]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    pub id: Spanned<ChannelId>,
    pub tenant: Spanned<TenantId>,
    /// Which adapter: `hl7v2` …
    pub kind: Spanned<String>,
    /// The instrument pack whose settings and codes are this channel's defaults; `hub packs` lists them.
    #[serde(default)]
    pub pack: Option<Spanned<String>>,
    /// The adapter's own settings; `hub check` lists them.
    #[serde(default)]
    pub settings: Option<Spanned<toml::Table>>,
}

/// A secret, or where it is.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A secret given in the open (tests, `hub dev`).
    pub fn literal(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: `env:NAME` and `file:/path` are followed.
    ///
    /// # Errors
    /// A sentence that names the reference, never the value.
    pub fn resolve(&self) -> Result<String, String> {
        if let Some(name) = self.0.strip_prefix("env:") {
            std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))
        } else if let Some(path) = self.0.strip_prefix("file:") {
            std::fs::read_to_string(path)
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| format!("secret file {path}: {error}"))
        } else {
            Ok(self.0.clone())
        }
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; absent when the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.message),
            None => write!(f, "{}: {}", self.file.display(), self.message),
        }
    }
}

/// A configuration with the text it came from, so that later checks can name lines.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub file: PathBuf,
    text: String,
}

impl Loaded {
    /// Reads and checks a file, then applies `HUB_NATS_URL`, `HUB_POSTGRES_URL`, `HUB_API_ADDR`.
    ///
    /// # Errors
    /// All problems found, each with its line.
    pub fn from_file(file: &Path) -> Result<Self, Vec<Problem>> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            vec![Problem {
                file: file.to_owned(),
                line: None,
                message: format!("can't be read: {error}"),
            }]
        })?;
        Self::from_text(file, text)
    }

    /// The same for a text that was made in memory.
    ///
    /// # Errors
    /// All problems found, each with its line.
    pub fn from_text(file: &Path, text: String) -> Result<Self, Vec<Problem>> {
        let mut config: Config = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, span.start));
            vec![Problem {
                file: file.to_owned(),
                line,
                message: error.message().to_owned(),
            }]
        })?;
        if let Ok(url) = std::env::var("HUB_NATS_URL") {
            config.nats.url = url;
        }
        if let Ok(url) = std::env::var("HUB_POSTGRES_URL") {
            config.postgres.url = Secret(url);
        }
        if let Ok(address) = std::env::var("HUB_API_ADDR") {
            config.api.address = address;
        }
        let loaded = Self {
            config,
            file: file.to_owned(),
            text,
        };
        let problems = loaded.problems();
        if problems.is_empty() {
            Ok(loaded)
        } else {
            Err(problems)
        }
    }

    /// A problem at a byte of the text.
    #[must_use]
    pub fn problem_at(&self, start: usize, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: Some(line_of(&self.text, start)),
            message: message.into(),
        }
    }

    /// A problem with a key inside a channel's settings; falls back to the line of the table.
    #[must_use]
    pub fn problem_in_settings(
        &self,
        channel: &ChannelSettings,
        key: Option<&str>,
        message: impl Into<String>,
    ) -> Problem {
        let start = channel
            .settings
            .as_ref()
            .map_or(channel.id.span().start, |settings| {
                let span = settings.span();
                key.and_then(|key| {
                    let from = span.start.min(self.text.len());
                    let body = self.text.get(from..)?;
                    body.lines()
                        .scan(from, |at, line| {
                            let start = *at;
                            *at += line.len() + 1;
                            Some((start, line))
                        })
                        .take_while(|(start, line)| {
                            *start == from || !line.trim_start().starts_with("[[")
                        })
                        .find(|(_, line)| line.trim_start().starts_with(key))
                        .map(|(start, _)| start)
                })
                .unwrap_or(span.start)
            });
        self.problem_at(start, message)
    }

    fn problem_of_file(&self, message: String) -> Problem {
        Problem {
            file: self.file.clone(),
            line: None,
            message,
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let config = &self.config;
        let mut found = Vec::new();
        if config.tenants.is_empty() {
            found.push(Problem {
                file: self.file.clone(),
                line: None,
                message: "no [[tenant]]: add at least one, with id = \"…\"".into(),
            });
        }
        for (index, tenant) in config.tenants.iter().enumerate() {
            if config.tenants[..index]
                .iter()
                .any(|other| other.id.get_ref() == tenant.id.get_ref())
            {
                found.push(self.problem_at(
                    tenant.id.span().start,
                    format!("tenant `{}` stands twice", tenant.id.get_ref()),
                ));
            }
        }
        for (index, channel) in config.channels.iter().enumerate() {
            let id = channel.id.get_ref();
            if config.channels[..index].iter().any(|other| {
                other.id.get_ref() == id && other.tenant.get_ref() == channel.tenant.get_ref()
            }) {
                found.push(self.problem_at(
                    channel.id.span().start,
                    format!("channel `{id}` stands twice"),
                ));
            }
            if !config
                .tenants
                .iter()
                .any(|tenant| tenant.id.get_ref() == channel.tenant.get_ref())
            {
                found.push(self.problem_at(
                    channel.tenant.span().start,
                    format!(
                        "channel `{id}` belongs to tenant `{}`, which no [[tenant]] names",
                        channel.tenant.get_ref()
                    ),
                ));
            }
        }
        if !(1..=5).contains(&config.nats.replicas) {
            found.push(Problem {
                file: self.file.clone(),
                line: None,
                message: format!(
                    "[nats] replicas is {}: use 1 for one server, 3 for a cluster",
                    config.nats.replicas
                ),
            });
        }
        if config.api.address.parse::<std::net::SocketAddr>().is_err() {
            found.push(Problem {
                file: self.file.clone(),
                line: None,
                message: format!("[api] address `{}` is not host:port", config.api.address),
            });
        }
        if config.postgres.max_connections < FEWEST_CONNECTIONS {
            found.push(self.problem_of_file(format!(
                "[postgres] max_connections is {}: the workers keep six, and half are the API's; use {FEWEST_CONNECTIONS} or more",
                config.postgres.max_connections
            )));
        }
        for tenant in &config.tenants {
            let id = tenant.id.get_ref();
            for (place, provider) in tenant.oidc.iter().enumerate() {
                let mut faults = provider.faults();
                if config.api.token_secret.is_none() {
                    faults.push("needs [api] token_secret: what is remembered while somebody is there is sealed under it".to_owned());
                }
                if tenant.oidc[..place].iter().any(|one| one.id == provider.id) {
                    faults.push("stands twice".to_owned());
                }
                for fault in faults {
                    found.push(self.problem_at(
                        tenant.id.span().start,
                        format!(
                            "[[tenant.oidc]] `{}` of tenant `{id}`: {fault}",
                            provider.id
                        ),
                    ));
                }
            }
        }
        for fault in config.api.faults() {
            found.push(self.problem_of_file(format!("[api] {fault}")));
        }
        let secrets = [
            ("[postgres] url", Some(&config.postgres.url)),
            ("[postgres] owner_url", config.postgres.owner_url.as_ref()),
            ("[api] token_secret", config.api.token_secret.as_ref()),
        ];
        for (name, secret) in secrets {
            if let Some(Err(message)) = secret.map(Secret::resolve) {
                found.push(self.problem_of_file(format!("{name}: {message}")));
            }
        }
        let files = [
            ("credentials_file", &config.nats.credentials_file),
            ("ca_file", &config.nats.ca_file),
            ("certificate_file", &config.nats.certificate_file),
            ("key_file", &config.nats.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file
                && let Err(error) = std::fs::File::open(file)
            {
                found.push(
                    self.problem_of_file(format!("[nats] {name} {}: {error}", file.display())),
                );
            }
        }
        let faults = config.encryption.faults();
        // the form is right: now what it names
        if faults.is_empty()
            && let Err(message) = crate::vault::Vault::of(&config.encryption)
        {
            found.push(self.problem_of_file(message));
        }
        for fault in faults {
            found.push(self.problem_of_file(format!("[encryption] {fault}")));
        }
        if let Some(tls) = &config.api.tls {
            let files = [
                ("certificate_file", Some(&tls.certificate_file)),
                ("key_file", Some(&tls.key_file)),
                ("client_ca_file", tls.client_ca_file.as_ref()),
            ];
            for (name, file) in files {
                if let Some(file) = file
                    && let Err(error) = std::fs::File::open(file)
                {
                    found.push(
                        self.problem_of_file(format!(
                            "[api.tls] {name} {}: {error}",
                            file.display()
                        )),
                    );
                }
            }
        }
        if let Some(tenant) = config
            .tenants
            .iter()
            .find(|tenant| tenant.id.get_ref().as_str() == schemas::platform::PLATFORM)
        {
            found.push(self.problem_at(
                tenant.id.span().start,
                "`platform` is the tenant of those who run the installation: no customer can be called so",
            ));
        }
        if config.nats.certificate_file.is_some() != config.nats.key_file.is_some() {
            found.push(self.problem_of_file(
                "[nats] certificate_file and key_file belong together".to_owned(),
            ));
        }
        for (at, message) in config.telemetry.target().err().unwrap_or_default() {
            found.push(match at {
                Some(at) => self.problem_at(at, message),
                None => self.problem_of_file(message),
            });
        }
        found
    }

    /// Which channel names which pack.
    #[must_use]
    pub fn packs_in_use(&self) -> Vec<PackUse> {
        let of = |channel: &ChannelSettings| {
            Some(PackUse {
                channel: channel.id.get_ref().clone(),
                pack: channel.pack.as_ref()?.get_ref().clone(),
            })
        };
        self.config.channels.iter().filter_map(of).collect()
    }

    /// The mappings folder, relative to the configuration file.
    #[must_use]
    pub fn mappings_folder(&self) -> PathBuf {
        self.file
            .parent()
            .unwrap_or(Path::new("."))
            .join(&self.config.mappings.folder)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
        Loaded::from_text(Path::new("hub.toml"), text.to_owned())
    }

    const GOOD: &str = "[postgres]\nurl = \"postgres://x\"\n[[tenant]]\nid = \"demo\"\n[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n";

    #[test]
    fn a_good_file_loads() {
        let loaded = load(GOOD).unwrap();
        assert_eq!(loaded.config.channels.len(), 1);
        assert_eq!(loaded.config.nats.replicas, 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            (
                GOOD.replace("\"lab\"", "\"Lab 1\""),
                Some(6),
                "not a valid name",
            ),
            (
                GOOD.replace("tenant = \"demo\"", "tenant = \"other\""),
                Some(7),
                "no [[tenant]] names",
            ),
            (GOOD.replace("kind", "kin"), None, "kin"),
            (
                GOOD.replace("[postgres]\n", "[postgres]\nurll = 1\n"),
                Some(2),
                "urll",
            ),
            (
                format!("{GOOD}[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n"),
                Some(10),
                "stands twice",
            ),
            (
                format!("[telemetry]\notlp_sample = 0.5\notlp_endpoint = \"https://otel\"\n{GOOD}"),
                Some(3),
                "over TLS",
            ),
        ];
        for (text, line, words) in cases {
            let problems = load(&text).unwrap_err();
            assert!(
                problems
                    .iter()
                    .any(|p| p.message.contains(words) && (line.is_none() || p.line == line)),
                "{words}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::literal("hunter2")), "Secret(…)");
        assert!(
            Secret::literal("env:HUB_TEST_NO_SUCH")
                .resolve()
                .unwrap_err()
                .contains("HUB_TEST_NO_SUCH")
        );
    }
}
