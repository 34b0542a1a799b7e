//! Set-up by SQL, through the server's own `psql`: this crate needs no database client of its own.

use super::cluster::Cluster;
use super::{APP_ROLE, Database, OWNER_ROLE, check_name};
use crate::{Error, Result};
use std::io::Write as _;
use std::process::{Command, Stdio};

impl Cluster {
    pub(crate) fn sql(&self, database: &str, script: &str) -> Result<String> {
        let mut command = Command::new(self.bin.join("psql"));
        command
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
            ])
            .args([
                "-U",
                "postgres",
                "-d",
                database,
                "-p",
                &self.port.to_string(),
            ])
            .env("PGPASSWORD", &self.passwords.admin)
            .env("PGCONNECT_TIMEOUT", "5")
            .env(
                "PGOPTIONS",
                "-c statement_timeout=60s -c client_min_messages=warning",
            )
            .env("PGCLIENTENCODING", "UTF8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |output: String| Error::Failed {
            program: "psql".to_owned(),
            output,
        };
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        // The script goes through a pipe: passwords have no place in an argument list.
        let script = script.to_owned();
        let writer = child.stdin.take().map(|mut input| {
            std::thread::spawn(move || {
                let _ = input.write_all(script.as_bytes());
            })
        });
        let output = child
            .wait_with_output()
            .map_err(|error| failed(error.to_string()))?;
        if let Some(writer) = writer {
            let _ = writer.join();
        }
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned())
        } else {
            Err(failed(
                String::from_utf8_lossy(&output.stderr)
                    .trim_end()
                    .to_owned(),
            ))
        }
    }

    pub(crate) fn ensure_database(&self, name: &str) -> Result<Database> {
        check_name(name)?;
        let (owner, app) = (&self.passwords.owner, &self.passwords.app);
        let mut script = String::new();
        for (role, password) in [(OWNER_ROLE, owner), (APP_ROLE, app)] {
            script += &format!(
                "select 'create role {role}' where not exists (select from pg_roles where rolname = '{role}') \\gexec\n\
                 alter role {role} login nosuperuser nocreaterole nobypassrls noreplication password '{password}';\n"
            );
        }
        // A database per test is cloned by the owner.
        script += &format!("alter role {OWNER_ROLE} createdb;\n");
        // `hub load --seed` has what it filled written out before it measures.
        script += &format!(
            "select 'grant pg_checkpoint to {OWNER_ROLE}' where exists (select from pg_roles where rolname = 'pg_checkpoint') \\gexec\n"
        );
        script += &format!(
            "select 'create database {name} owner {OWNER_ROLE} template template0 encoding ''UTF8'' locale ''C.UTF-8'''\n\
             where not exists (select from pg_database where datname = '{name}') \\gexec\n\
             revoke all on database {name} from public;\n\
             grant connect on database {name} to {APP_ROLE};\n"
        );
        self.sql("postgres", &script)?;
        let socket = self.place.sockets.to_string_lossy();
        Ok(Database {
            name: name.to_owned(),
            owner_url: self.url(OWNER_ROLE, owner, name),
            app_url: self.url(APP_ROLE, app, name),
            app_socket_url: format!(
                "postgres:///{name}?host={socket}&port={port}&user={APP_ROLE}&password={app}",
                socket = escaped(&socket),
                port = self.port,
            ),
        })
    }

    pub(crate) fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!(
            "postgres://{role}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}

/// Percent-encodes a path for a URL's query.
fn escaped(path: &str) -> String {
    path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_sql_would_read_otherwise_is_refused() {
        for bad in ["", "Hub", "hub;drop", "1hub", "hub-1", &"h".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        check_name("hub_test_1").unwrap();
    }

    #[test]
    fn a_path_with_blanks_survives_in_a_url() {
        assert_eq!(escaped("/a b/ü"), "/a%20b/%C3%BC");
    }
}
