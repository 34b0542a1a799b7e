//! `[encryption]`: whether what NATS stores is sealed, and chosen columns of Postgres, and who keeps the master key that wraps the
//! tenants' keys.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Secret, is_safe_url};

/// `[encryption]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionSettings {
    /// What is stored in NATS from now on is encrypted, with a key for each tenant. What was stored before stays as it is.
    pub bodies: bool,
    /// Chosen columns of Postgres as well (README says which), from now on. A release that does not know it can't read them: first
    /// let all processes be of one that does.
    pub columns: bool,
    /// Wraps the tenants' keys: 32 bytes in base64 or hex, as `env:NAME` or `file:/path`. Without it nothing that was encrypted
    /// can be read: keep it elsewhere too.
    pub master_key: Option<Secret>,
    /// The master key never leaves a key service, which wraps the tenants' keys for us. Instead of `master_key`.
    pub transit: Option<TransitSettings>,
    /// Master keys of before: `hub keys rotate-data` wraps anew what they wrapped.
    pub previous_master_keys: Vec<Secret>,
    /// The same of key services.
    pub previous_transit: Vec<TransitSettings>,
}

/// `[encryption.transit]`: a key of the transit secrets engine of HashiCorp Vault or OpenBao.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitSettings {
    /// `https://vault.hospital.example:8200`; `http://` only at this machine itself (an agent, a proxy).
    pub address: String,
    /// Where the engine is mounted.
    #[serde(default = "transit")]
    pub mount: String,
    /// The key's name there. With mount and namespace it stands beside what it wrapped: never change them.
    pub key: String,
    /// May update `encrypt`, `decrypt` and `rewrap` of that key, and nothing else. A file is read for each request, so that an agent
    /// may write a new one.
    pub token: Secret,
    #[serde(default)]
    pub namespace: Option<String>,
    /// Who may vouch for its server (PEM), and nobody else. Absent: whom the machine trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn transit() -> String {
    "transit".to_owned()
}

impl EncryptionSettings {
    /// What is wrong, each in words.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.master_key.is_some() && self.transit.is_some() {
            faults.push(
                "master_key and transit: one of them wraps; put the other, if it was used before, into previous_master_keys or \
                 [[encryption.previous_transit]]"
                    .to_owned(),
            );
        }
        if self.bodies && self.master_key.is_none() && self.transit.is_none() {
            faults.push("bodies is on, and master_key is not set (nor transit)".to_owned());
        }
        if self.columns && !self.bodies {
            faults.push(
                "columns is on, and bodies is not: what a column holds lies open in NATS then; put bodies on too"
                    .to_owned(),
            );
        }
        if let Some(transit) = &self.transit {
            faults.extend(named("transit", transit));
        }
        for (place, transit) in self.previous_transit.iter().enumerate() {
            faults.extend(named("previous_transit", transit));
            let others = self.transit.iter().chain(&self.previous_transit[..place]);
            if others.map(TransitSettings::id).any(|id| id == transit.id()) {
                faults.push(format!(
                    "previous_transit: {} stands twice; a key has one name for ever, versions are the service's own",
                    transit.id()
                ));
            }
        }
        faults
    }
}

fn named(table: &str, transit: &TransitSettings) -> Vec<String> {
    let faults = transit.faults();
    faults
        .into_iter()
        .map(|fault| format!("{table}.{fault}"))
        .collect()
}

impl TransitSettings {
    /// Names the master key: namespace, mount and key, not the address, which may change.
    pub(crate) fn id(&self) -> String {
        let mut id = "transit:".to_owned();
        if let Some(namespace) = self.namespace() {
            id.push_str(namespace);
            id.push('/');
        }
        id.push_str(self.mount());
        id.push('/');
        id.push_str(&self.key);
        id
    }

    pub(crate) fn mount(&self) -> &str {
        self.mount.trim_matches('/')
    }

    /// `admin/hub`, however it is written.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace
            .as_deref()
            .map(|namespace| namespace.trim_matches('/'))
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_safe_url(&self.address) || self.address.contains(['?', '#']) {
            faults.push(format!(
                "address `{}` is no https:// address without query (http:// only at this machine itself)",
                self.address
            ));
        }
        if !is_path(self.mount()) {
            faults.push(format!("mount `{}` is no path of an engine", self.mount));
        }
        if !is_path(&self.key) || self.key.contains('/') {
            faults.push(format!("key `{}` is no name of a key", self.key));
        }
        if self
            .namespace()
            .is_some_and(|namespace| !is_path(namespace))
        {
            faults.push("namespace is no path of a namespace".to_owned());
        }
        match self.token.resolve() {
            Err(message) => faults.push(format!("token: {message}")),
            Ok(token) if !is_token(&token) => {
                faults.push("token is empty, or no line of visible characters".to_owned());
            }
            Ok(_) => {}
        }
        faults
    }
}

/// Goes into a path as it is, so nothing in it may mean something there; a segment can't end with a period.
fn is_path(text: &str) -> bool {
    text.split('/').all(|segment| {
        !segment.is_empty()
            && !segment.ends_with('.')
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSIT: &str =
        "address = \"https://vault.example:8200\"\nkey = \"sangam\"\ntoken = \"hvs.secret\"\n";

    fn faults(text: &str) -> Vec<String> {
        let settings: EncryptionSettings = toml::from_str(text).unwrap();
        settings.faults()
    }

    #[test]
    fn a_key_service_is_reached_over_tls_and_its_parts_have_a_form() {
        let good = format!("bodies = true\n[transit]\n{TRANSIT}");
        assert_eq!(faults(&good), Vec::<String>::new());
        assert_eq!(faults(""), Vec::<String>::new());
        for more in [
            "mount = \"hospital/transit/\"",
            "namespace = \"admin/hub/\"",
            "address2 = 1",
        ] {
            let settings = toml::from_str::<EncryptionSettings>(&format!("{good}{more}\n"));
            assert_eq!(
                settings.map(|settings| settings.faults()).ok(),
                (more != "address2 = 1").then(Vec::new),
                "{more}"
            );
        }
        for (from, to) in [
            ("https://vault.example:8200", "http://vault.example:8200"),
            ("https://vault.example:8200", "https://vault.example/?x=1"),
            ("https://vault.example:8200", "vault.example"),
            ("\"sangam\"", "\"../sys/seal\""),
            ("\"sangam\"", "\"\""),
            ("\"sangam\"", "\"a b\""),
            ("\"hvs.secret\"", "\"\""),
            ("\"hvs.secret\"", "\"two lines\\nof it\""),
            ("\"hvs.secret\"", "\"env:HUB_TEST_NO_SUCH\""),
            ("\"hvs.secret\"", "\"file:/there/is/none\""),
        ] {
            let found = faults(&good.replace(from, to));
            assert_eq!(found.len(), 1, "{to}: {found:?}");
            assert!(found[0].starts_with("transit."), "{found:?}");
        }
        for more in [
            "mount = \"a//b\"",
            "mount = \"..\"",
            "namespace = \"a b\"",
            "namespace = \"\"",
        ] {
            assert_eq!(faults(&format!("{good}{more}\n")).len(), 1, "{more}");
        }
    }

    #[test]
    fn one_master_key_wraps_and_each_has_a_name_of_its_own() {
        let both = format!("master_key = \"x\"\n[transit]\n{TRANSIT}");
        assert!(faults(&both)[0].contains("one of them wraps"));
        assert!(faults("bodies = true\n")[0].contains("master_key is not set"));
        let columns = faults("columns = true\nmaster_key = \"x\"\n");
        assert!(
            columns.len() == 1 && columns[0].contains("bodies is not"),
            "{columns:?}"
        );
        let all = faults("bodies = true\ncolumns = true\nmaster_key = \"x\"\n");
        assert_eq!(all, Vec::<String>::new());
        let moved = format!("[transit]\n{TRANSIT}\n[[previous_transit]]\n{TRANSIT}");
        assert!(faults(&moved)[0].contains("transit:transit/sangam stands twice"));
        let other = moved.replacen("\"sangam\"", "\"sangam-2026\"", 1);
        assert_eq!(faults(&other), Vec::<String>::new());
        let back = format!("master_key = \"x\"\n[[previous_transit]]\n{TRANSIT}");
        assert_eq!(faults(&back), Vec::<String>::new());
    }

    #[test]
    fn a_token_is_never_shown() {
        let secret = "hvs.CAESIJ";
        let text = format!("[transit]\n{TRANSIT}").replace("hvs.secret", secret);
        let settings: EncryptionSettings = toml::from_str(&text).unwrap();
        assert!(!format!("{settings:?}").contains(secret));
        let odd = text.replace(secret, &format!("{secret} with a space"));
        assert!(!faults(&odd).concat().contains(secret));
    }
}
