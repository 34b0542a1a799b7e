//! `[api.passkeys]` and `[[tenant.oidc]]`: ways to sign in beside the password.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;
use super::api::is_origin;

/// `[api.passkeys]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeySettings {
    /// The domain that passkeys are bound to (WebAuthn's RP ID): that of the pages, or a parent of it. Never change it: passkeys
    /// of another domain are of no use.
    pub rp_id: String,
    /// Origins of the pages and apps where passkeys are used: `https://app.hospital.example`, `android:apk-key-hash:…`.
    pub origins: Vec<String>,
}

impl PasskeySettings {
    /// What is wrong, each in words.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_domain(&self.rp_id) {
            faults.push(format!(
                "passkeys.rp_id `{}` is no domain in lower case",
                self.rp_id
            ));
        }
        if self.origins.is_empty() {
            faults.push("passkeys.origins names no origin".to_owned());
        }
        for origin in &self.origins {
            if origin.starts_with("android:apk-key-hash:") {
                continue;
            }
            if !is_origin(origin) || !self.covers(origin) {
                faults.push(format!(
                    "passkeys.origins: `{origin}` is no origin at `{}`: https://host or https://host:port, without a path, in lower case; \
                     http only at localhost",
                    self.rp_id
                ));
            }
        }
        faults
    }

    /// The origin's host is the domain or lies in it, and browsers give passkeys there.
    fn covers(&self, origin: &str) -> bool {
        let Some((scheme, rest)) = origin.split_once("://") else {
            return false;
        };
        let host = rest.split_once(':').map_or(rest, |(host, _)| host);
        let local = host == "localhost" || host.ends_with(".localhost");
        let inside = host == self.rp_id
            || host
                .strip_suffix(&self.rp_id)
                .is_some_and(|before| before.ends_with('.'));
        inside && (scheme == "https" || local)
    }
}

fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
        && !text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `[[tenant.oidc]]`: an OpenID provider that vouches for people of the tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// Its name in paths and rows; never change it.
    pub id: String,
    /// What the button says.
    pub name: String,
    /// Issuer, letter by letter as the provider writes it; its discovery document lies below.
    pub issuer: String,
    pub client_id: String,
    /// Absent: the hub is a public client there.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// Pages to which the provider may send people back; the first is the default.
    pub redirect_uris: Vec<String>,
    /// Asked for beside `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Algorithms that may sign its identity tokens: `RS256`, `ES256`.
    #[serde(default = "rs256")]
    pub algorithms: Vec<String>,
    /// A claim that names the user here when nobody was linked yet: `preferred_username`, or `email` where the provider has
    /// verified it. Only for a provider where nobody can choose that claim himself. It links nobody whose link was ended, and nobody
    /// who may do everything. Absent: people are invited, or link themselves.
    #[serde(default)]
    pub link_by: Option<String>,
    /// True: the provider asks for a second factor, so none is asked for here.
    #[serde(default)]
    pub second_factor_there: bool,
    /// Hours until the provider is asked again, however often a session is refreshed: so long may somebody stay who was shut out
    /// there, or was taken out of a group.
    #[serde(default = "session_hours")]
    pub session_hours: u16,
    /// Who may vouch for the provider's server (PEM), beside those that the machine trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The claim that lists groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// What groups stand for. Empty: groups count for nothing.
    #[serde(rename = "role", default)]
    pub roles: Vec<GroupRole>,
}

/// `[[tenant.oidc.role]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// As the provider writes it.
    pub group: String,
    /// Code of the role.
    pub role: String,
    /// Absent: the whole tenant.
    #[serde(default)]
    pub facility: Option<String>,
    /// Absent: the whole facility.
    #[serde(default)]
    pub department: Option<String>,
}

fn rs256() -> Vec<String> {
    vec!["RS256".to_owned()]
}

fn groups() -> String {
    "groups".to_owned()
}

fn session_hours() -> u16 {
    8
}

/// As long as any session: a week.
const MOST_SESSION_HOURS: u16 = 168;

/// Algorithms that identity tokens may be signed with.
const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];
/// Claims that may name a user.
const NAMING: [&str; 2] = ["preferred_username", "email"];

impl OidcSettings {
    /// What is wrong, each in words.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let form = !self.id.is_empty()
            && self.id.len() <= 32
            && self
                .id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !form {
            faults.push(format!("id `{}` is not 1 to 32 of a-z, 0-9 and -", self.id));
        }
        if !is_safe_url(&self.issuer) || self.issuer.contains(['?', '#']) {
            faults.push(format!(
                "issuer `{}` is no https:// address without query (http:// only at this machine itself)",
                self.issuer
            ));
        }
        if self.client_id.is_empty() {
            faults.push("client_id is empty".to_owned());
        }
        if self.redirect_uris.is_empty() {
            faults.push("redirect_uris names no page".to_owned());
        }
        for uri in &self.redirect_uris {
            if !is_safe_url(uri) || uri.contains('#') {
                faults.push(format!(
                    "redirect_uris: `{uri}` is no https:// address (http:// only at this machine itself)"
                ));
            }
        }
        if self.algorithms.is_empty()
            || self
                .algorithms
                .iter()
                .any(|one| !ALGORITHMS.contains(&one.as_str()))
        {
            faults.push(format!("algorithms: use {}", ALGORITHMS.join(", ")));
        }
        if let Some(claim) = &self.link_by
            && !NAMING.contains(&claim.as_str())
        {
            faults.push(format!("link_by `{claim}`: use {}", NAMING.join(" or ")));
        }
        if !(1..=MOST_SESSION_HOURS).contains(&self.session_hours) {
            faults.push(format!(
                "session_hours {} is not from 1 to {MOST_SESSION_HOURS}",
                self.session_hours
            ));
        }
        for role in &self.roles {
            if role.department.is_some() && role.facility.is_none() {
                faults.push(format!(
                    "role of group `{}`: a department needs its facility",
                    role.group
                ));
            }
        }
        if let Some(file) = &self.ca_file
            && let Err(error) = std::fs::File::open(file)
        {
            faults.push(format!("ca_file {}: {error}", file.display()));
        }
        if let Some(Err(message)) = self.client_secret.as_ref().map(Secret::resolve) {
            faults.push(format!("client_secret: {message}"));
        }
        faults
    }
}

/// Nobody on the way reads or changes what goes there.
#[must_use]
pub fn is_safe_url(text: &str) -> bool {
    let local = |rest: &str| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let host = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
            .map_or(host, |(host, _)| host);
        ["127.0.0.1", "localhost", "[::1]"].contains(&host)
    };
    let clean = !text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '@' || c == '\\');
    match text.split_once("://") {
        Some(("https", rest)) => clean && !rest.is_empty() && !rest.starts_with('/'),
        Some(("http", rest)) => clean && local(rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_is_used_at_its_domain_and_nowhere_else() {
        for (rp_id, origin, good) in [
            ("hospital.example", "https://hospital.example", true),
            (
                "hospital.example",
                "https://app.hospital.example:8443",
                true,
            ),
            ("localhost", "http://localhost:3000", true),
            ("hospital.example", "android:apk-key-hash:abc", true),
            ("hospital.example", "http://hospital.example", false),
            ("hospital.example", "https://nothospital.example", false),
            ("hospital.example", "https://hospital.example/", false),
            ("hospital.example", "https://hospital.example.evil", false),
            ("Hospital.example", "https://Hospital.example", false),
            ("10.0.0.1", "https://10.0.0.1", false),
        ] {
            let settings = PasskeySettings {
                rp_id: rp_id.to_owned(),
                origins: vec![origin.to_owned()],
            };
            assert_eq!(settings.faults().is_empty(), good, "{rp_id} {origin}");
        }
    }

    #[test]
    fn a_provider_is_reached_over_tls_and_names_what_there_is() {
        let good = "id = \"staff\"\nname = \"Staff\"\nissuer = \"https://sso.example/realms/a\"\nclient_id = \"hub\"\n\
                    redirect_uris = [\"https://app.example/back\"]\n";
        let faults = |text: &str| {
            let settings: OidcSettings = toml::from_str(text).unwrap();
            settings.faults()
        };
        assert_eq!(faults(good), Vec::<String>::new());
        for (from, to) in [
            ("https://sso.example/realms/a", "http://sso.example"),
            (
                "https://sso.example/realms/a",
                "http://127.0.0.1.evil.example",
            ),
            (
                "https://sso.example/realms/a",
                "https://sso.example@evil.example",
            ),
            ("https://sso.example/realms/a", "https://sso.example?x=1"),
            ("https://app.example/back", "javascript://app"),
            ("\"staff\"", "\"Staff!\""),
        ] {
            assert_eq!(faults(&good.replace(from, to)).len(), 1, "{to}");
        }
        for more in [
            "algorithms = [\"none\"]",
            "algorithms = [\"HS256\"]",
            "algorithms = []",
            "link_by = \"name\"",
            "session_hours = 0",
            "session_hours = 169",
            "ca_file = \"/there/is/none.pem\"",
            "[[role]]\ngroup = \"a\"\nrole = \"nurse\"\ndepartment = \"ICU\"",
        ] {
            assert_eq!(faults(&format!("{good}{more}\n")).len(), 1, "{more}");
        }
        assert!(is_safe_url("http://localhost:8080/realms/a"));
        assert!(is_safe_url("http://[::1]:8080/"));
    }
}
