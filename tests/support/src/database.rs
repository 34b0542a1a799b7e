//! The server, the template and the clones.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use hub_core::Tx;
use local_servers::{APP_ROLE, Database, PgOptions, Postgres, Tools};
use schemas::TenantId;
use schemas::sql::MIGRATIONS;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

/// Nothing here outlives the process, so nothing waits for the disk: a machine that builds at the same time makes every
/// wait for it a matter of seconds.
const SETTINGS: &[(&str, &str)] = &[("max_connections", "300"), ("fsync", "off")];

const HOME_PREFIX: &str = "sangam-test-";

const TEMPLATE: &str = "template_hub";

/// Enough for the races that tests stage.
const CONNECTIONS: u32 = 8;

static SERVER: OnceCell<Server> = OnceCell::const_new();
static CLONES: AtomicU32 = AtomicU32::new(0);

struct Server {
    // lives as long as the process, and is ended with it by its keeper
    _postgres: Postgres,
    template: Database,
}

/// A database with every migration and no rows.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    pool: PgPool,
    app: PgConnectOptions,
    owner: PgConnectOptions,
}

impl TestDatabase {
    /// Clones the template.
    ///
    /// # Panics
    /// When there is no Postgres on this machine (`deploy/setup.sh` fetches one) or it does not start.
    pub async fn new() -> Self {
        let server = SERVER.get_or_init(Server::start).await;
        let name = format!("test_{}", CLONES.fetch_add(1, Ordering::Relaxed));
        let owner = options(&server.template.owner_url);
        let mut connection = PgConnection::connect_with(&owner.clone().database("postgres"))
            .await
            .expect("the owner role may connect");
        for statement in [
            format!("create database {name} template {TEMPLATE}"),
            format!("grant connect on database {name} to {APP_ROLE}"),
        ] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .expect("nobody is connected to the template");
        }
        let app = options(&server.template.app_url).database(&name);
        Self {
            pool: PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .connect_lazy_with(app.clone()),
            app,
            owner: owner.database(&name),
        }
    }

    /// As the program's role.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How to connect as the program's role.
    #[must_use]
    pub fn app_options(&self) -> &PgConnectOptions {
        &self.app
    }

    /// How to connect as the role that owns the tables (row-level security is forced for it too).
    #[must_use]
    pub fn owner_options(&self) -> &PgConnectOptions {
        &self.owner
    }

    /// A transaction of one tenant.
    ///
    /// # Panics
    /// When the database is gone.
    pub async fn tx(&self, tenant: &TenantId) -> Tx<'static> {
        Tx::begin(&self.pool, tenant)
            .await
            .expect("the test's database is up")
    }
}

impl Server {
    async fn start() -> Self {
        let home = home();
        let tools = Tools::find(None).expect("deploy/setup.sh was run");
        let postgres = Postgres::start(
            &tools,
            PgOptions {
                temporary: true,
                settings: SETTINGS
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..PgOptions::new(&home)
            },
        )
        .await
        .expect("Postgres starts");
        let template = postgres
            .ensure_database(TEMPLATE)
            .await
            .expect("the template is made");
        let mut connection = PgConnection::connect_with(&options(&template.owner_url))
            .await
            .expect("the owner role may connect");
        for migration in MIGRATIONS {
            sqlx::raw_sql(migration.sql)
                .execute(&mut connection)
                .await
                .expect(migration.name);
        }
        connection.close().await.expect("the connection closes");
        Self {
            _postgres: postgres,
            template,
        }
    }
}

/// A folder for this process. A static is never dropped, so what earlier processes left is removed here.
fn home() -> PathBuf {
    let base = std::env::temp_dir();
    for entry in std::fs::read_dir(&base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_left = name
            .to_str()
            .and_then(|name| name.strip_prefix(HOME_PREFIX))
            .and_then(|pid| pid.parse::<u32>().ok())
            .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if is_left && local_servers::remove_data(&entry.path()).is_ok() {
            // another test binary may be removing it at the same moment
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let home = base.join(format!("{HOME_PREFIX}{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("the temporary folder is writable");
    home
}

fn options(url: &str) -> PgConnectOptions {
    PgConnectOptions::from_str(url).expect("a valid URL")
}
