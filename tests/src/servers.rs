//! Own NATS and Postgres, with the hub's database made.

use std::path::{Path, PathBuf};
use std::sync::Once;

use local_servers::{Database, NatsOptions, NatsServer, PgOptions, Postgres, Tools};
use tempfile::TempDir;

const PREFIX: &str = "sangam-it-";

/// Both servers, on free ports below a temporary folder. Dropping it ends them and removes the folder.
pub struct Servers {
    pub nats: NatsServer,
    pub postgres: Postgres,
    pub database: Database,
    // after the servers: fields are dropped in this order
    folder: TempDir,
}

impl Servers {
    /// Starts them with settings as in production: every write synced.
    ///
    /// # Panics
    /// When a server does not start (`deploy/setup.sh` fetches both).
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings of NATS (a small disk, a limit).
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_with(change: impl FnOnce(&mut NatsOptions)) -> Self {
        let folder = Self::folder_for_tests();
        let tools = Tools::find(None).expect("deploy/setup.sh was run");
        let mut nats_options = NatsOptions::new(folder.path());
        change(&mut nats_options);
        let pg_options = PgOptions {
            temporary: true,
            ..PgOptions::new(folder.path())
        };
        let (nats, postgres) = tokio::join!(
            NatsServer::start(&tools, nats_options),
            Postgres::start(&tools, pg_options)
        );
        let (nats, postgres) = (
            nats.expect("NATS starts"),
            postgres.expect("Postgres starts"),
        );
        let database = postgres
            .ensure_database("hub")
            .await
            .expect("the database is made");
        Self {
            nats,
            postgres,
            database,
            folder,
        }
    }

    /// A temporary folder with a name by which the next run finds what this one left.
    ///
    /// # Panics
    /// When the temporary folder is not writable.
    #[must_use]
    pub fn folder_for_tests() -> TempDir {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .expect("the temporary folder is writable")
    }

    /// Where settings, logs and data of this set are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs SQL as superuser (no row-level security) and returns its rows, columns separated by `|`.
    ///
    /// # Panics
    /// With what Postgres says.
    pub async fn sql(&self, script: &str) -> Vec<String> {
        let text = self
            .postgres
            .sql("hub", script)
            .await
            .expect("the SQL is right");
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The one number that `script` selects.
    ///
    /// # Panics
    /// When it does not.
    pub async fn count(&self, script: &str) -> i64 {
        let rows = self.sql(script).await;
        rows.first()
            .and_then(|row| row.trim().parse().ok())
            .expect("one number is selected")
    }
}

/// Removes what killed runs left: folders with the number of a process that is gone.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists())
            && local_servers::remove_data(&entry.path()).is_ok()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
