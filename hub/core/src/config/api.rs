//! `[api]`: where the REST API listens, whom it believes, and how much it takes.

use std::path::PathBuf;

use serde::Deserialize;

use super::{PasskeySettings, Secret};

/// `[api]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Address of the REST API.
    pub address: String,
    /// Secret under which the keys of access tokens and second factors are sealed in the database: at least 32 characters.
    /// When absent each process signs with a key of its own, which ends with it, and no second factor can be enrolled.
    pub token_secret: Option<Secret>,
    /// Charts open only to who has a relationship with the patient: a grant at the place where the patient is, the
    /// permission `charts:all`, or an emergency on record.
    pub care_relationship: bool,
    /// Networks of reverse proxies whose `X-Forwarded-For` is believed. Empty: nobody's is.
    pub trusted_proxies: Vec<String>,
    /// Origins (`https://host[:port]`) whose pages may call the API from a browser. Empty: none.
    pub cors_origins: Vec<String>,
    /// Requests a minute of one address, of one user, of one tenant; 0: no bound. API clients have the rate they were made with.
    pub rate_per_address: u32,
    pub rate_per_user: u32,
    pub rate_per_tenant: u32,
    /// How long one request may take, seconds: 5 to 120.
    pub request_seconds: u64,
    /// Largest body of an ordinary request, KiB: 16 to 16384.
    pub body_kib: usize,
    /// HTTPS instead of HTTP.
    pub tls: Option<ApiTls>,
    /// Sign-in with passkeys. Absent: there is none.
    pub passkeys: Option<PasskeySettings>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8080".into(),
            token_secret: None,
            care_relationship: false,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            rate_per_address: 60_000,
            rate_per_user: 30_000,
            rate_per_tenant: 120_000,
            request_seconds: 15,
            body_kib: 256,
            tls: None,
            passkeys: None,
        }
    }
}

/// `[api.tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiTls {
    /// Our certificate, and those between it and the root (PEM).
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
    /// Authority of the callers' certificates (PEM): only who has one is let in.
    pub client_ca_file: Option<PathBuf>,
}

impl ApiSettings {
    /// What is wrong with the settings that have bounds or a form.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(5..=120).contains(&self.request_seconds) {
            faults.push(format!(
                "request_seconds is {}: use 5 to 120",
                self.request_seconds
            ));
        }
        if !(16..=16_384).contains(&self.body_kib) {
            faults.push(format!("body_kib is {}: use 16 to 16384", self.body_kib));
        }
        for network in &self.trusted_proxies {
            if !is_network(network) {
                faults.push(format!(
                    "trusted_proxies: `{network}` is no address or network (10.0.0.0/8)"
                ));
            }
        }
        for origin in &self.cors_origins {
            if !is_origin(origin) {
                faults.push(format!(
                    "cors_origins: `{origin}` is no origin: https://host or https://host:port, without a path, in lower case"
                ));
            }
        }
        faults.extend(self.passkeys.iter().flat_map(PasskeySettings::faults));
        if self.passkeys.is_some() && self.token_secret.is_none() {
            faults.push(
                "passkeys need token_secret: what is remembered between challenge and answer is sealed under it"
                    .to_owned(),
            );
        }
        faults
    }
}

fn is_network(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse::<u8>().ok()),
        None => (text, Some(0)),
    };
    match (address.parse::<std::net::IpAddr>(), prefix) {
        (Ok(address), Some(prefix)) => prefix <= if address.is_ipv4() { 32 } else { 128 },
        _ => false,
    }
}

/// As a browser sends it: scheme, host, port that is not the scheme's. `*` is none: it would be everybody.
pub(super) fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_or_has_no_form_is_a_fault_and_the_defaults_are_none() {
        assert!(ApiSettings::default().faults().is_empty());
        let settings = |text: &str| toml::from_str::<ApiSettings>(text).unwrap();
        for good in [
            "trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\", \"2001:db8::/32\"]",
            "cors_origins = [\"https://app.example\", \"http://localhost:3000\", \"https://[::1]:8443\"]",
            "rate_per_user = 0\nrequest_seconds = 120\nbody_kib = 16384",
        ] {
            assert!(settings(good).faults().is_empty(), "{good}");
        }
        for bad in [
            "trusted_proxies = [\"proxy.local\"]",
            "trusted_proxies = [\"10.0.0.0/33\"]",
            "trusted_proxies = [\"10.0.0.0/x\"]",
            "cors_origins = [\"*\"]",
            "cors_origins = [\"https://app.example/\"]",
            "cors_origins = [\"https://App.example\"]",
            "cors_origins = [\"app.example\"]",
            "request_seconds = 4",
            "body_kib = 0",
            "[passkeys]\nrp_id = \"hospital.example\"\norigins = [\"https://hospital.example\"]",
        ] {
            assert_eq!(settings(bad).faults().len(), 1, "{bad}");
        }
    }
}
