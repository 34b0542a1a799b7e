//! What is checked before anything starts. Everything that is wrong is found at once, each with its line where it has one.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Loaded, Problem, Secret};
use crate::vault::Vault;

/// Each worker and the relay keep one of their half, and something must be left for what comes now and then.
const FEWEST_CONNECTIONS: u32 = 16;

impl Loaded {
    /// All that is wrong.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = self.tenants();
        found.extend(self.channels());
        found.extend(self.bounds());
        found.extend(self.providers());
        let faults = self.config.api.faults();
        found.extend(self.of_section("[api]", faults));
        found.extend(self.secrets());
        found.extend(self.files_of_nats());
        found.extend(self.encryption());
        found.extend(self.files_of_tls());
        found.extend(self.platform());
        found.extend(self.certificate_of_nats());
        found.extend(self.telemetry());
        found
    }

    fn of_section(&self, section: &str, faults: Vec<String>) -> Vec<Problem> {
        faults
            .into_iter()
            .map(|fault| self.problem_of_file(format!("{section} {fault}")))
            .collect()
    }

    /// There is one at least, and each stands once.
    fn tenants(&self) -> Vec<Problem> {
        let tenants = &self.config.tenants;
        let mut found = Vec::new();
        if tenants.is_empty() {
            found.push(
                self.problem_of_file("no [[tenant]]: add at least one, with id = \"…\"".to_owned()),
            );
        }
        for (index, tenant) in tenants.iter().enumerate() {
            let id = tenant.id.get_ref();
            if tenants[..index]
                .iter()
                .any(|other| other.id.get_ref() == id)
            {
                found.push(self.problem_at(
                    tenant.id.span().start,
                    format!("tenant `{id}` stands twice"),
                ));
            }
        }
        found
    }

    /// Each stands once in its tenant, which there is.
    fn channels(&self) -> Vec<Problem> {
        let config = &self.config;
        let mut found = Vec::new();
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
        found
    }

    /// Numbers and addresses of the stores and of the API.
    fn bounds(&self) -> Vec<Problem> {
        let config = &self.config;
        let mut found = Vec::new();
        if !(1..=5).contains(&config.nats.replicas) {
            found.push(self.problem_of_file(format!(
                "[nats] replicas is {}: use 1 for one server, 3 for a cluster",
                config.nats.replicas
            )));
        }
        if config.api.address.parse::<SocketAddr>().is_err() {
            found.push(self.problem_of_file(format!(
                "[api] address `{}` is not host:port",
                config.api.address
            )));
        }
        if config.postgres.max_connections < FEWEST_CONNECTIONS {
            found.push(self.problem_of_file(format!(
                "[postgres] max_connections is {}: the workers keep six, and half are the API's; use {FEWEST_CONNECTIONS} or more",
                config.postgres.max_connections
            )));
        }
        found
    }

    /// Who vouches for people at sign-in.
    fn providers(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for tenant in &self.config.tenants {
            let id = tenant.id.get_ref();
            for (place, provider) in tenant.oidc.iter().enumerate() {
                let mut faults = provider.faults();
                if self.config.api.token_secret.is_none() {
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
        found
    }

    /// What is named by reference is there.
    fn secrets(&self) -> Vec<Problem> {
        let config = &self.config;
        let secrets = [
            ("[postgres] url", Some(&config.postgres.url)),
            ("[postgres] owner_url", config.postgres.owner_url.as_ref()),
            ("[api] token_secret", config.api.token_secret.as_ref()),
        ];
        let mut found = Vec::new();
        for (name, secret) in secrets {
            if let Some(Err(message)) = secret.map(Secret::resolve) {
                found.push(self.problem_of_file(format!("{name}: {message}")));
            }
        }
        found
    }

    fn files_of_nats(&self) -> Vec<Problem> {
        let nats = &self.config.nats;
        self.files(
            "[nats]",
            [
                ("credentials_file", nats.credentials_file.as_ref()),
                ("ca_file", nats.ca_file.as_ref()),
                ("certificate_file", nats.certificate_file.as_ref()),
                ("key_file", nats.key_file.as_ref()),
            ],
        )
    }

    fn files_of_tls(&self) -> Vec<Problem> {
        let Some(tls) = &self.config.api.tls else {
            return Vec::new();
        };
        self.files(
            "[api.tls]",
            [
                ("certificate_file", Some(&tls.certificate_file)),
                ("key_file", Some(&tls.key_file)),
                ("client_ca_file", tls.client_ca_file.as_ref()),
            ],
        )
    }

    /// Those that are named can be read.
    fn files<const N: usize>(
        &self,
        section: &str,
        named: [(&str, Option<&PathBuf>); N],
    ) -> Vec<Problem> {
        let mut found = Vec::new();
        for (name, file) in named {
            if let Some(file) = file
                && let Err(error) = File::open(file)
            {
                found.push(
                    self.problem_of_file(format!("{section} {name} {}: {error}", file.display())),
                );
            }
        }
        found
    }

    fn encryption(&self) -> Vec<Problem> {
        let settings = &self.config.encryption;
        let faults = settings.faults();
        if !faults.is_empty() {
            return self.of_section("[encryption]", faults);
        }
        // the form is right: now what it names
        Vault::of(settings)
            .err()
            .map(|message| self.problem_of_file(message))
            .into_iter()
            .collect()
    }

    /// No customer has the name of those who run the installation.
    fn platform(&self) -> Option<Problem> {
        let tenant = self
            .config
            .tenants
            .iter()
            .find(|tenant| tenant.id.get_ref().as_str() == schemas::platform::PLATFORM)?;
        Some(self.problem_at(
            tenant.id.span().start,
            "`platform` is the tenant of those who run the installation: no customer can be called so",
        ))
    }

    fn certificate_of_nats(&self) -> Option<Problem> {
        let nats = &self.config.nats;
        (nats.certificate_file.is_some() != nats.key_file.is_some()).then(|| {
            self.problem_of_file("[nats] certificate_file and key_file belong together".to_owned())
        })
    }

    fn telemetry(&self) -> Vec<Problem> {
        let faults = self.config.telemetry.target().err().unwrap_or_default();
        faults
            .into_iter()
            .map(|(at, message)| match at {
                Some(at) => self.problem_at(at, message),
                None => self.problem_of_file(message),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::GOOD;
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            (
                GOOD.replace("tenant = \"demo\"", "tenant = \"other\""),
                7,
                "no [[tenant]] names",
            ),
            (
                format!("{GOOD}[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n"),
                10,
                "stands twice",
            ),
            (
                format!("[telemetry]\notlp_sample = 0.5\notlp_endpoint = \"https://otel\"\n{GOOD}"),
                3,
                "over TLS",
            ),
        ];
        for (text, line, words) in cases {
            let problems = Loaded::from_text(Path::new("hub.toml"), text).unwrap_err();
            assert!(
                problems
                    .iter()
                    .any(|p| p.message.contains(words) && p.line == Some(line)),
                "{words}: {problems:?}"
            );
        }
    }
}
