//! Where the servers' programs are.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The programs that this crate runs. `deploy/setup.sh` fetches them.
#[derive(Debug, Clone)]
pub struct Tools {
    pub nats_server: PathBuf,
    /// Holds `postgres`, `initdb`, `psql` and `pg_isready`.
    pub postgres_bin: PathBuf,
    /// util-linux; ties a server's life to ours, and changes the user when we are root.
    pub(crate) setpriv: PathBuf,
}

impl Tools {
    /// Looks in `tools_dir`, or in `$HUB_TOOLS`, or in `.hub/tools` of the current folder and of each folder above it;
    /// then on `PATH` and, for Postgres, in `/usr/lib/postgresql/*/bin` (highest version first).
    ///
    /// # Errors
    /// [`Error::ToolMissing`] names the program and says what to run.
    pub fn find(tools_dir: Option<&Path>) -> Result<Self> {
        let folders = tool_folders(tools_dir);
        let nats_server = folders
            .iter()
            .map(|folder| folder.join("bin/nats-server"))
            .chain(on_path("nats-server"))
            .find(|file| file.is_file())
            .ok_or_else(|| missing("nats-server", &folders))?;
        let postgres_bin = folders
            .iter()
            .map(|folder| folder.join("postgres"))
            .chain(packaged_postgres())
            .chain(on_path("postgres").filter_map(|file| parent_of_real(&file)))
            .find(|bin| {
                ["postgres", "initdb", "psql", "pg_isready"]
                    .iter()
                    .all(|program| bin.join(program).is_file())
            })
            .ok_or_else(|| missing("PostgreSQL (postgres, initdb, psql, pg_isready)", &folders))?;
        let setpriv = on_path("setpriv")
            .find(|file| file.is_file())
            .ok_or_else(|| missing("setpriv (package util-linux)", &[]))?;
        Ok(Self {
            nats_server: real(nats_server),
            postgres_bin: real(postgres_bin),
            setpriv,
        })
    }
}

fn tool_folders(tools_dir: Option<&Path>) -> Vec<PathBuf> {
    if let Some(folder) = tools_dir {
        return vec![folder.to_owned()];
    }
    if let Some(folder) = std::env::var_os("HUB_TOOLS").filter(|value| !value.is_empty()) {
        return vec![folder.into()];
    }
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors()
        .map(|folder| folder.join(".hub/tools"))
        .filter(|folder| folder.is_dir())
        .collect()
}

fn packaged_postgres() -> impl Iterator<Item = PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, bin)| bin)
}

fn on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let files: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .collect();
    files.into_iter()
}

fn real(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

fn parent_of_real(file: &Path) -> Option<PathBuf> {
    Some(file.canonicalize().ok()?.parent()?.to_owned())
}

fn missing(program: &'static str, folders: &[PathBuf]) -> Error {
    let mut looked: Vec<String> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    looked.push("PATH".to_owned());
    Error::ToolMissing {
        program,
        looked: looked.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_says_what_to_run() {
        let empty = tempfile::tempdir().unwrap();
        let folders = [empty.path().to_owned()];
        let text = missing("nats-server", &folders).to_string();
        assert!(text.contains("deploy/setup.sh"), "{text}");
        assert!(text.contains(empty.path().to_str().unwrap()), "{text}");
    }
}
