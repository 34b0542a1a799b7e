//! What an operator may set on a link. The reference page is generated from these comments: each names its unit and its
//! default.

use crate::{Network, tls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

mod faults;
pub(crate) mod serial;

pub use faults::{Fault, Faults};

/// A port that peers connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// Address and port, as `0.0.0.0:2575` or `[::]:2575`. No default.
    pub listen: SocketAddr,
    /// Networks whose peers may connect. Default: empty, which lets everybody in who reaches the address.
    #[serde(default)]
    pub allow: Vec<Network>,
    /// Connections open at once; one more is closed at once. Default: 512.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
    /// A new connection from the address of an open one: `keep` lets both live; `replace_old` closes the old one, for
    /// analyzers that reconnect without having closed. Never where several devices share one address (NAT). Default: `keep`.
    #[serde(default)]
    pub same_peer: SamePeer,
    /// Finds peers that are gone without a word.
    #[serde(default)]
    pub keep_alive: KeepAlive,
    /// TLS. Default: none, plain TCP.
    #[serde(default)]
    pub tls: Option<TlsServerSettings>,
}

/// A peer that we connect to, again and again for as long as the channel runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectSettings {
    /// Host and port, as `lis.hospital.example:2575` or `10.20.1.7:2575`; the name is looked up at every attempt. No default.
    pub connect: String,
    /// Longest wait for a connection, TLS included, in milliseconds. Default: 10000.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Wait before the second attempt, in milliseconds; doubled after each failure, with jitter.
    /// Default: 500.
    #[serde(default = "default_retry_first_ms")]
    pub retry_first_ms: u64,
    /// Longest wait between attempts, in milliseconds, an hour at most. Default: 30000.
    #[serde(default = "default_retry_longest_ms")]
    pub retry_longest_ms: u64,
    /// Finds peers that are gone without a word.
    #[serde(default)]
    pub keep_alive: KeepAlive,
    /// TLS. Default: none, plain TCP.
    #[serde(default)]
    pub tls: Option<TlsClientSettings>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamePeer {
    #[default]
    Keep,
    ReplaceOld,
}

/// TCP keep-alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepAlive {
    /// Silence before the first probe, in seconds. Default: 60.
    pub idle_s: u32,
    /// Wait between probes, in seconds. Default: 10.
    pub interval_s: u32,
    /// Probes without an answer until the connection is given up. Default: 5.
    pub probes: u32,
}

/// TLS of a listener. Certificates are read when the listener opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsServerSettings {
    /// PEM file: our certificate and its intermediates. No default.
    pub certificate: PathBuf,
    /// PEM file: the certificate's private key (PKCS#8, PKCS#1 or SEC1). No default.
    pub key: PathBuf,
    /// PEM file: authorities whose client certificates are accepted. Default: none, clients are not asked for one.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// With `client_ca`: `required` turns away who has no certificate, `optional` lets them in. Default: `required`.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Oldest version accepted, `1.2` or `1.3`. Default: `1.2`.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// Longest handshake, in milliseconds. Default: 10000.
    #[serde(default = "default_connect_timeout_ms")]
    pub handshake_timeout_ms: u64,
}

/// TLS towards a peer that we connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsClientSettings {
    /// PEM file: authorities that may vouch for the peer. Default: the system's (/etc/ssl/certs/ca-certificates.crt).
    pub ca: Option<PathBuf>,
    /// The name that the peer's certificate must carry. Default: the host of `connect`.
    pub server_name: Option<String>,
    /// PEM file: our own certificate, for peers that ask for one; with `key`. Default: none.
    pub certificate: Option<PathBuf>,
    /// PEM file: the private key of `certificate`. Default: none.
    pub key: Option<PathBuf>,
    /// Oldest version accepted, `1.2` or `1.3`. Default: `1.2`.
    pub min_version: TlsVersion,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    #[default]
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

/// A peer that is back must not wait longer to be noticed.
const LONGEST_RETRY_MS: u64 = 3_600_000;

fn default_max_connections() -> usize {
    512
}

fn default_connect_timeout_ms() -> u64 {
    10_000
}

fn default_retry_first_ms() -> u64 {
    500
}

fn default_retry_longest_ms() -> u64 {
    30_000
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            idle_s: 60,
            interval_s: 10,
            probes: 5,
        }
    }
}

impl ListenSettings {
    /// Plain TCP, everything else as by default.
    pub fn plain(listen: SocketAddr) -> Self {
        Self {
            listen,
            allow: Vec::new(),
            max_connections: default_max_connections(),
            same_peer: SamePeer::default(),
            keep_alive: KeepAlive::default(),
            tls: None,
        }
    }

    /// Everything wrong with these settings; PEM files are read. Empty when nothing is.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.check(
            "max_connections",
            self.max_connections > 0,
            "must be at least 1",
        );
        faults.keep_alive(self.keep_alive);
        if let Some(tls) = &self.tls {
            faults.check(
                "tls.handshake_timeout_ms",
                tls.handshake_timeout_ms > 0,
                "must be at least 1",
            );
            faults.file(
                "tls.certificate",
                tls::certificates(&tls.certificate).map(drop),
            );
            faults.file("tls.key", tls::key(&tls.key).map(drop));
            match &tls.client_ca {
                Some(ca) => faults.file("tls.client_ca", tls::roots(ca).map(drop)),
                None => faults.check(
                    "tls.client_auth",
                    tls.client_auth == ClientAuth::default(),
                    "means nothing without tls.client_ca",
                ),
            }
            if faults.is_empty() {
                faults.file("tls", tls::acceptor(tls).map(drop));
            }
        }
        faults.into_vec()
    }
}

impl ConnectSettings {
    /// Plain TCP, everything else as by default.
    pub fn plain(connect: impl Into<String>) -> Self {
        Self {
            connect: connect.into(),
            connect_timeout_ms: default_connect_timeout_ms(),
            retry_first_ms: default_retry_first_ms(),
            retry_longest_ms: default_retry_longest_ms(),
            keep_alive: KeepAlive::default(),
            tls: None,
        }
    }

    /// Everything wrong with these settings; PEM files are read. Empty when nothing is.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        let address = self.connect.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        faults.check(
            "connect",
            address,
            "must be host:port, as in 10.20.1.7:2575",
        );
        faults.check(
            "connect_timeout_ms",
            self.connect_timeout_ms > 0,
            "must be at least 1",
        );
        faults.check(
            "retry_first_ms",
            self.retry_first_ms > 0,
            "must be at least 1",
        );
        faults.check(
            "retry_longest_ms",
            self.retry_longest_ms >= self.retry_first_ms,
            "must not be less than retry_first_ms",
        );
        faults.check(
            "retry_longest_ms",
            self.retry_longest_ms <= LONGEST_RETRY_MS,
            "must be at most 3600000 (an hour)",
        );
        faults.keep_alive(self.keep_alive);
        if let Some(tls) = &self.tls {
            faults.check(
                "tls.key",
                tls.certificate.is_some() == tls.key.is_some(),
                "tls.certificate and tls.key go together",
            );
            if let Some(ca) = &tls.ca {
                faults.file("tls.ca", tls::roots(ca).map(drop));
            }
            if let Some(certificate) = &tls.certificate {
                faults.file("tls.certificate", tls::certificates(certificate).map(drop));
            }
            if let Some(key) = &tls.key {
                faults.file("tls.key", tls::key(key).map(drop));
            }
            if address && let Err(message) = tls::server_name(tls, self.host()) {
                faults.add("tls.server_name", message);
            }
            if faults.is_empty() {
                faults.file("tls", tls::connector(tls).map(drop));
            }
        }
        faults.into_vec()
    }

    /// The host of `connect`, without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        let host = self
            .connect
            .rsplit_once(':')
            .map_or(self.connect.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}

impl Faults {
    fn file(&mut self, path: &str, read: Result<(), crate::LinkError>) {
        if let Err(error) = read {
            self.add(path, error.to_string());
        }
    }

    /// The kernel's limits.
    fn keep_alive(&mut self, keep_alive: KeepAlive) {
        let second_to_hours = 1..=32_767;
        self.check(
            "keep_alive.idle_s",
            second_to_hours.contains(&keep_alive.idle_s),
            "must be between 1 and 32767",
        );
        self.check(
            "keep_alive.interval_s",
            second_to_hours.contains(&keep_alive.interval_s),
            "must be between 1 and 32767",
        );
        self.check(
            "keep_alive.probes",
            (1..=127).contains(&keep_alive.probes),
            "must be between 1 and 127",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_two_lines_are_enough() {
        let listen: ListenSettings = toml::from_str(r#"listen = "127.0.0.1:2575""#).unwrap();
        assert_eq!(listen, ListenSettings::plain(listen.listen));
        assert_eq!(listen.validate(), []);
        let connect: ConnectSettings = toml::from_str(r#"connect = "lis.example:2575""#).unwrap();
        assert_eq!(connect, ConnectSettings::plain("lis.example:2575"));
        assert_eq!(connect.validate(), []);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let error =
            toml::from_str::<ListenSettings>("listen = '127.0.0.1:1'\nalow = []").unwrap_err();
        assert!(error.to_string().contains("alow"), "{error}");
        assert!(
            toml::from_str::<ListenSettings>("listen = '127.0.0.1:1'\n[tls]\nkeys = 'a'").is_err()
        );
    }

    #[test]
    fn every_fault_is_named_with_its_field() {
        let mut settings = ListenSettings::plain("127.0.0.1:1".parse().unwrap());
        settings.max_connections = 0;
        settings.keep_alive.probes = 0;
        settings.tls = Some(TlsServerSettings {
            certificate: "/no/such.pem".into(),
            key: "/no/such.key".into(),
            client_ca: None,
            client_auth: ClientAuth::Optional,
            min_version: TlsVersion::V1_3,
            handshake_timeout_ms: 1,
        });
        let paths: Vec<String> = settings
            .validate()
            .into_iter()
            .map(|fault| fault.path)
            .collect();
        assert_eq!(
            paths,
            [
                "max_connections",
                "keep_alive.probes",
                "tls.certificate",
                "tls.key",
                "tls.client_auth"
            ]
        );

        let mut settings = ConnectSettings::plain("lis.example");
        settings.retry_longest_ms = 1;
        let paths: Vec<String> = settings
            .validate()
            .into_iter()
            .map(|fault| fault.path)
            .collect();
        assert_eq!(paths, ["connect", "retry_longest_ms"]);
    }

    #[test]
    fn the_host_of_an_address_comes_without_brackets() {
        assert_eq!(ConnectSettings::plain("[::1]:2575").host(), "::1");
        assert_eq!(
            ConnectSettings::plain("lis.example:2575").host(),
            "lis.example"
        );
    }
}
