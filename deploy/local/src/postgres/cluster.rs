//! One cluster: its making, its settings, its starting and ending.

use super::PgOptions;
use super::account::Account;
use super::place::Place;
use crate::keeper::Program;
use crate::{Error, Result, Tools, port, processes, secret};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A log above this is moved aside at the next start.
const LONGEST_LOG: u64 = 20_000_000;

/// Fast shutdown, then immediate, then none.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(5)),
    (Signal::SIGQUIT, Duration::from_millis(1500)),
    (Signal::SIGKILL, Duration::from_secs(1)),
];

/// `<home>/postgres/passwords.json`, readable for its owner alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Passwords {
    pub(crate) admin: String,
    pub(crate) owner: String,
    pub(crate) app: String,
}

pub(crate) struct Cluster {
    pub(crate) bin: PathBuf,
    pub(crate) port: u16,
    pub(crate) passwords: Passwords,
    pub(crate) place: Place,
    account: Account,
    settings: Vec<(String, String)>,
    log: PathBuf,
}

impl Cluster {
    pub(crate) fn lay_out(tools: &Tools, options: PgOptions) -> Result<Self> {
        let account = Account::choose(tools)?;
        let place = Place::choose(&options.home, &account, options.temporary)?;
        Ok(Self {
            bin: tools.postgres_bin.clone(),
            port: if options.port == 0 {
                port::free_port()?
            } else {
                options.port
            },
            passwords: Passwords::load_or_make(&place.folder.join("passwords.json"))?,
            account,
            settings: options.settings,
            log: place.folder.join("postgres.log"),
            place,
        })
    }

    /// Makes the cluster beside its place and moves it there when it is whole, so a start that is cut short leaves none.
    fn create(&self) -> Result<()> {
        let data = &self.place.data;
        if data.join("PG_VERSION").is_file() {
            return Ok(());
        }
        let unfinished = data.with_extension("unfinished");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished))?;
        }
        std::fs::create_dir(&unfinished).map_err(Error::io("create", &unfinished))?;
        self.account.give(&unfinished)?;
        let password_file = data.with_extension("password");
        write_private(&password_file, self.passwords.admin.as_bytes())?;
        self.account.give(&password_file)?;
        let mut initdb = self.account.command(&self.bin.join("initdb"), &[]);
        initdb
            .args([
                "--username=postgres",
                "--auth=scram-sha-256",
                "--data-checksums",
            ])
            .args([
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--text-search-config=simple",
            ])
            .arg("--pwfile")
            .arg(&password_file)
            .arg("-D")
            .arg(&unfinished);
        if self.place.temporary {
            initdb.arg("--no-sync");
        }
        let output = initdb.output();
        let _ = std::fs::remove_file(&password_file);
        let output = output.map_err(Error::io("run", &self.bin.join("initdb")))?;
        if !output.status.success() {
            return Err(Error::Failed {
                program: "initdb".to_owned(),
                output: String::from_utf8_lossy(&output.stderr)
                    .trim_end()
                    .to_owned(),
            });
        }
        std::fs::rename(&unfinished, data).map_err(Error::io("move", data))
    }

    fn configure(&self) -> Result<()> {
        let sockets = self.place.sockets.to_string_lossy().replace('\'', "''");
        // lz4 costs a fraction of `on` (pglz); a server built without it would refuse the word.
        let compression = if self.has_lz4() { "lz4" } else { "on" };
        let shared_memory = if everybody_may_write(Path::new("/dev/shm")) {
            "posix"
        } else {
            "sysv"
        };
        let mut text = format!(
            "# Written by the hub at every start; changes here are lost.\n\
             listen_addresses = '127.0.0.1'\n\
             port = {port}\n\
             unix_socket_directories = '{sockets}'\n\
             unix_socket_permissions = 0700\n\
             max_connections = 100\n\
             password_encryption = scram-sha-256\n\
             shared_buffers = 256MB\n\
             effective_cache_size = 1GB\n\
             work_mem = 16MB\n\
             maintenance_work_mem = 128MB\n\
             random_page_cost = 1.1\n\
             jit = off\n\
             dynamic_shared_memory_type = {shared_memory}\n\
             # A commit is on disk when it is answered.\n\
             fsync = on\n\
             synchronous_commit = on\n\
             full_page_writes = on\n\
             wal_compression = {compression}\n\
             max_wal_size = 4GB\n\
             min_wal_size = 512MB\n\
             checkpoint_timeout = 15min\n\
             checkpoint_completion_target = 0.9\n\
             # Tables here grow and are seldom updated: look often, work in small steps.\n\
             autovacuum_naptime = 15s\n\
             autovacuum_max_workers = 2\n\
             autovacuum_analyze_scale_factor = 0.02\n\
             autovacuum_vacuum_scale_factor = 0.05\n\
             autovacuum_vacuum_insert_scale_factor = 0.1\n\
             autovacuum_vacuum_cost_limit = 1000\n\
             # The ledger has a partition a day.\n\
             max_locks_per_transaction = 256\n\
             # The log names no patient: without the detail of an error and without its statement.\n\
             log_error_verbosity = terse\n\
             log_min_error_statement = panic\n\
             log_line_prefix = '%m [%p] '\n\
             log_checkpoints = off\n\
             logging_collector = off\n\
             timezone = 'UTC'\n\
             log_timezone = 'UTC'\n",
            port = self.port,
        );
        for (name, value) in &self.settings {
            let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
        }
        self.write_setting("postgresql.conf", &text)?;
        self.write_setting(
            "pg_hba.conf",
            "# Written by the hub at every start; changes here are lost.\n\
             local all all              scram-sha-256\n\
             host  all all 127.0.0.1/32 scram-sha-256\n",
        )
    }

    fn write_setting(&self, name: &str, text: &str) -> Result<()> {
        let path = self.place.data.join(name);
        write_private(&path, text.as_bytes())?;
        self.account.give(&path)
    }

    fn has_lz4(&self) -> bool {
        Command::new(self.bin.join("pg_config"))
            .arg("--configure")
            .output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--with-lz4"))
    }

    /// Processes of this cluster, of whichever start: Postgres works in its data folder.
    fn processes(&self) -> Vec<Pid> {
        processes::all()
            .into_iter()
            .filter(|pid| {
                processes::works_in(*pid, &self.place.data) && processes::runs(*pid, "postgres")
            })
            .collect()
    }

    /// An earlier run may have left a postmaster (its starter was killed) or children of one (it was killed itself).
    /// With nothing alive on the data, `postmaster.pid` is stale; it is removed because its number may be someone
    /// else's by now, and Postgres would believe that one to be a postmaster.
    fn clear(&self) -> Result<()> {
        let pid_file = self.place.data.join("postmaster.pid");
        let strays = self.processes();
        let postmaster: Vec<Pid> = std::fs::read_to_string(&pid_file)
            .ok()
            .and_then(|text| text.lines().next()?.trim().parse().ok())
            .map(Pid::from_raw)
            .filter(|pid| strays.contains(pid))
            .into_iter()
            .collect();
        let ended = processes::end(&postmaster, Signal::SIGINT, Duration::from_secs(5))
            && processes::end(&self.processes(), Signal::SIGKILL, Duration::from_secs(2));
        if !ended {
            return Err(Error::NotStopped {
                server: self.name(),
                after: Duration::from_secs(9),
            });
        }
        let socket_lock = format!(".s.PGSQL.{}.lock", self.port);
        for stale in [pid_file, self.place.sockets.join(socket_lock)] {
            match std::fs::remove_file(&stale) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &stale)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Program for Cluster {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn prepare(&self) -> Result<()> {
        self.clear()?;
        port::require_free(self.port, "HUB_PG_PORT")?;
        self.create()?;
        self.configure()
    }

    fn command(&self) -> Result<Command> {
        if std::fs::metadata(&self.log).is_ok_and(|data| data.len() > LONGEST_LOG) {
            let old = self.log.with_extension("log.1");
            std::fs::rename(&self.log, &old).map_err(Error::io("move", &self.log))?;
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(Error::io("open", &self.log))?;
        let errors = log.try_clone().map_err(Error::io("open", &self.log))?;
        // Postgres works behind the acknowledgement: on a busy machine it gives way to the edge and its message store.
        let mut command = self
            .account
            .command(Path::new("nice"), &["--pdeathsig", "INT"]);
        command
            .args(["-n", "10"])
            .arg(self.bin.join("postgres"))
            .arg("-D")
            .arg(&self.place.data)
            .stdout(log)
            .stderr(errors)
            // Its own group: Ctrl-C at the terminal is for the hub, which stops its servers last.
            .process_group(0);
        Ok(command)
    }

    fn is_ready(&self) -> bool {
        Command::new(self.bin.join("pg_isready"))
            .args([
                "-q",
                "-t",
                "2",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Recovery after a crash replays up to 4 GB of WAL.
    fn ready_within(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn stop_signals(&self) -> &'static [(Signal, Duration)] {
        &STOP_SIGNALS
    }

    /// The postmaster is held first, so that it starts no child while they are counted.
    fn cut(&self, pid: Pid) {
        processes::signal(pid, Signal::SIGSTOP);
        let mut family = processes::children(pid);
        processes::signal(pid, Signal::SIGKILL);
        for child in &family {
            processes::signal(*child, Signal::SIGKILL);
        }
        family.push(pid);
        processes::wait_gone(&family, Duration::from_secs(2));
    }
}

impl Passwords {
    fn load_or_make(file: &Path) -> Result<Self> {
        if let Ok(text) = std::fs::read_to_string(file)
            && let Ok(passwords) = serde_json::from_str(&text)
        {
            return Ok(passwords);
        }
        let passwords = Self {
            admin: secret::password()?,
            owner: secret::password()?,
            app: secret::password()?,
        };
        let text = serde_json::to_vec_pretty(&passwords)
            .map_err(|error| Error::io("write", file)(error.into()))?;
        write_private(file, &text)?;
        Ok(passwords)
    }
}

/// Some containers have no /dev/shm worth the name; POSIX shared memory would be refused there.
fn everybody_may_write(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|data| data.is_dir() && data.mode() & 0o002 != 0)
}

/// Written beside and moved into place: a crash leaves the old file or the new one.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let _ = std::fs::remove_file(&fresh);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(Error::io("write", &fresh))?;
    std::fs::rename(&fresh, path).map_err(Error::io("move", &fresh))
}
