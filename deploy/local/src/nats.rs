//! A nats-server with JetStream on loopback, below `<home>/nats`.

use crate::keeper::{Core, Keeper, Program, ServerState};
use crate::{Error, HomeLock, Result, Tools, off_thread, port, processes};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Free bytes on the disk from which on a start is worth while.
const ROOM_TO_GO_ON: u64 = 16 * 1024 * 1024;
/// One look at the server never takes longer.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

const STOP_SIGNALS: [(Signal, Duration); 2] = [
    (Signal::SIGTERM, Duration::from_secs(4)),
    (Signal::SIGKILL, Duration::from_secs(3)),
];

/// Where and how the server runs.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The hub's home; the server's files go to `<home>/nats`.
    pub home: PathBuf,
    /// Client port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Monitoring port (HTTP) on 127.0.0.1; 0 picks a free one.
    pub monitor_port: u16,
    /// JetStream's files; `None`: `<home>/nats/jetstream`. A fault test may point it at a small disk.
    pub store_dir: Option<PathBuf>,
    /// fsync every write before it is acknowledged: what "acknowledged means on disk" rests on.
    pub sync_always: bool,
    /// Bytes that JetStream may keep on disk; `None`: 70 % of what the disk has for it now, 50 GB at most.
    pub max_file_bytes: Option<u64>,
    /// Appended to the settings file as it is.
    pub extra_config: Option<String>,
}

impl NatsOptions {
    /// Free ports, every write synced.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            port: 0,
            monitor_port: 0,
            store_dir: None,
            sync_always: true,
            max_file_bytes: None,
            extra_config: None,
        }
    }
}

/// A running nats-server, kept running until it is stopped or dropped. Dropping blocks until it has ended (8 s at most).
pub struct NatsServer {
    keeper: Keeper,
    program: Arc<Nats>,
}

impl NatsServer {
    /// Writes the settings, starts the server and waits until clients can connect and JetStream is healthy.
    ///
    /// # Errors
    /// A taken port or home, a server that ends or does not get ready (with the end of its log), weaker durability
    /// than asked.
    pub async fn start(tools: &Tools, options: NatsOptions) -> Result<Self> {
        let tools = tools.clone();
        off_thread(move || {
            let program = Arc::new(Nats::lay_out(&tools, options)?);
            let keeper = Keeper::start(Arc::clone(&program) as Arc<dyn Program>)?;
            program.check_durability()?;
            Ok(Self { keeper, program })
        })
        .await
    }

    /// `nats://127.0.0.1:4222`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.program.port)
    }

    /// `http://127.0.0.1:8222`
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.program.monitor_port)
    }

    pub fn port(&self) -> u16 {
        self.program.port
    }

    pub fn monitor_port(&self) -> u16 {
        self.program.monitor_port
    }

    pub fn store_dir(&self) -> &Path {
        &self.program.store_dir
    }

    pub fn log_file(&self) -> &Path {
        &self.program.log
    }

    /// `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.core().pid()
    }

    pub fn state(&self) -> ServerState {
        self.keeper.core().state()
    }

    /// SIGKILL; it stays down until [`restart`](Self::restart).
    ///
    /// # Errors
    /// When the process does not end.
    pub async fn kill9(&self) -> Result<()> {
        self.on_core(|core| core.cut(true)).await
    }

    /// SIGKILL, and the keeper starts it again, as after a real crash.
    ///
    /// # Errors
    /// When the process does not end.
    pub async fn crash(&self) -> Result<()> {
        self.on_core(|core| core.cut(false)).await
    }

    /// Waits until it is ready (after [`crash`](Self::crash)).
    ///
    /// # Errors
    /// When an attempt to start it failed, or it is stopped.
    pub async fn wait_ready(&self) -> Result<()> {
        self.on_core(Core::wait_up).await
    }

    /// SIGSTOP: it holds its connections and answers nothing, from the moment this returns.
    pub fn freeze(&self) {
        self.keeper.core().freeze();
    }

    /// Ends [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.keeper.core().thaw();
    }

    /// SIGTERM, and after 4 s SIGKILL. It stays down until [`restart`](Self::restart).
    ///
    /// # Errors
    /// When it does not end at all.
    pub async fn stop(&self) -> Result<()> {
        self.on_core(Core::stop).await
    }

    /// Stops it if it runs, starts it on the same ports and data, and waits until it is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start); the keeper goes on trying.
    pub async fn restart(&self) -> Result<()> {
        self.on_core(Core::restart).await
    }

    async fn on_core(&self, work: impl FnOnce(&Core) -> Result<()> + Send + 'static) -> Result<()> {
        let core = Arc::clone(self.keeper.core());
        off_thread(move || work(&core)).await
    }
}

pub(crate) fn remove(home: &Path) -> Result<()> {
    let folder = home.join("nats");
    if !folder.exists() {
        return Ok(());
    }
    let _lock = HomeLock::acquire(&folder)?;
    std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))
}

struct Nats {
    binary: PathBuf,
    setpriv: PathBuf,
    port: u16,
    monitor_port: u16,
    store_dir: PathBuf,
    sync_always: bool,
    settings_file: PathBuf,
    settings: String,
    log: PathBuf,
    _lock: HomeLock,
}

impl Nats {
    fn lay_out(tools: &Tools, options: NatsOptions) -> Result<Self> {
        let folder = options.home.join("nats");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(Error::io("create", &folder))?;
        let folder = folder.canonicalize().map_err(Error::io("find", &folder))?;
        let lock = HomeLock::acquire(&folder)?;
        let store_dir = options
            .store_dir
            .unwrap_or_else(|| folder.join("jetstream"));
        std::fs::create_dir_all(&store_dir).map_err(Error::io("create", &store_dir))?;
        let max_file = match options.max_file_bytes {
            Some(bytes) => bytes,
            None => share_of_disk(&store_dir)?,
        };
        let or_free = |port| {
            if port == 0 {
                port::free_port()
            } else {
                Ok(port)
            }
        };
        let mut nats = Self {
            binary: tools.nats_server.clone(),
            setpriv: tools.setpriv.clone(),
            port: or_free(options.port)?,
            monitor_port: or_free(options.monitor_port)?,
            store_dir,
            sync_always: options.sync_always,
            settings_file: folder.join("nats.conf"),
            settings: String::new(),
            log: folder.join("nats.log"),
            _lock: lock,
        };
        nats.settings = nats.compose(&folder, max_file, options.extra_config.as_deref());
        Ok(nats)
    }

    fn compose(&self, folder: &Path, max_file: u64, extra: Option<&str>) -> String {
        // The settings file's strings take the escapes of JSON.
        let text = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
        let sync = if self.sync_always { "always" } else { "2m" };
        let mut settings = format!(
            "# Written by the hub at every start; changes here are lost.\n\
             server_name: \"sangam-{port}\"\n\
             listen: \"127.0.0.1:{port}\"\n\
             http: \"127.0.0.1:{monitor}\"\n\
             pid_file: {pid}\n\
             log_file: {log}\n\
             logfile_size_limit: 10MB\n\
             logfile_max_num: 3\n\
             max_payload: 1MB\n\
             # A client that takes nothing in for this long is let go.\n\
             write_deadline: \"10s\"\n\
             jetstream {{\n\
             \x20 store_dir: {store}\n\
             \x20 sync_interval: {sync}\n\
             \x20 max_memory_store: 128MB\n\
             \x20 max_file_store: {max_file}\n\
             }}\n",
            port = self.port,
            monitor = self.monitor_port,
            pid = text(&folder.join("nats.pid")),
            log = text(&self.log),
            store = text(&self.store_dir),
        );
        if let Some(extra) = extra {
            let _ = writeln!(settings, "{extra}");
        }
        settings
    }

    /// Left-overs of an earlier run: nats-servers that were started with our settings file.
    fn strays(&self) -> Vec<Pid> {
        let settings = self.settings_file.to_string_lossy();
        processes::all()
            .into_iter()
            .filter(|pid| {
                let arguments = processes::arguments(*pid);
                arguments.iter().any(|argument| *argument == settings)
                    && processes::runs(*pid, file_name(&self.binary))
            })
            .collect()
    }

    fn get(&self, path: &str) -> Option<String> {
        let (status, body) = self.ask(path)?;
        (status == 200).then_some(body)
    }

    /// Status and body of an answer; `None` when there is none.
    fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = connect(self.monitor_port)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// The first thing the server says to a client.
    fn greets_with_jetstream(&self) -> bool {
        let Some(mut stream) = connect(self.port) else {
            return false;
        };
        let mut greeting = Vec::new();
        let mut piece = [0_u8; 2048];
        while !greeting.contains(&b'\n') {
            match stream.read(&mut piece) {
                Ok(read) if read > 0 => greeting.extend_from_slice(&piece[..read]),
                _ => return false,
            }
        }
        String::from_utf8_lossy(&greeting)
            .strip_prefix("INFO ")
            .and_then(|info| serde_json::from_str::<serde_json::Value>(info.lines().next()?).ok())
            .is_some_and(|info| info["jetstream"] == true)
    }

    fn check_durability(&self) -> Result<()> {
        if !self.sync_always {
            return Ok(());
        }
        let config = self
            .get("/jsz?config=true")
            .and_then(|body| serde_json::from_str::<serde_json::Value>(&body).ok())
            .map(|jsz| jsz["config"].clone())
            .unwrap_or_default();
        if config["sync_always"] == true {
            return Ok(());
        }
        Err(Error::NotDurable {
            server: self.name(),
            what: format!("its JetStream reports {config}, not sync_always"),
        })
    }
}

impl Program for Nats {
    fn name(&self) -> &'static str {
        "nats-server"
    }

    fn prepare(&self) -> Result<()> {
        if !processes::end(&self.strays(), Signal::SIGTERM, Duration::from_secs(4)) {
            return Err(Error::NotStopped {
                server: self.name(),
                after: Duration::from_secs(6),
            });
        }
        port::require_free(self.port, "HUB_NATS_PORT")?;
        port::require_free(self.monitor_port, "HUB_NATS_MONITOR_PORT")?;
        std::fs::write(&self.settings_file, &self.settings)
            .map_err(Error::io("write", &self.settings_file))
    }

    fn command(&self) -> Result<Command> {
        // What it says before it has read its settings would be lost otherwise.
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(Error::io("open", &self.log))?;
        let errors = output.try_clone().map_err(Error::io("open", &self.log))?;
        let mut command = Command::new(&self.setpriv);
        command
            .args(["--pdeathsig", "TERM"])
            .arg(&self.binary)
            .arg("-c")
            .arg(&self.settings_file)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Its own group: Ctrl-C at the terminal is for the hub, which stops its servers last.
            .process_group(0);
        Ok(command)
    }

    fn is_ready(&self) -> bool {
        self.greets_with_jetstream() && self.get("/healthz").is_some()
    }

    /// After a crash it reads its streams back before it listens.
    fn ready_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// After a write that its disk refused, nats-server 2.15 takes no more writes, also when there is room again. A new start
    /// helps; while the disk is full it would not.
    fn is_ill(&self) -> bool {
        let refuses = self
            .ask("/healthz")
            .is_some_and(|(status, _)| status != 200);
        refuses
            && nix::sys::statvfs::statvfs(&self.store_dir)
                .is_ok_and(|disk| disk.blocks_available() * disk.fragment_size() >= ROOM_TO_GO_ON)
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn stop_signals(&self) -> &'static [(Signal, Duration)] {
        &STOP_SIGNALS
    }

    fn cut(&self, pid: Pid) {
        processes::signal(pid, Signal::SIGKILL);
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn connect(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, LOOK_LIMIT).ok()?;
    stream.set_read_timeout(Some(LOOK_LIMIT)).ok()?;
    stream.set_write_timeout(Some(LOOK_LIMIT)).ok()?;
    Some(stream)
}

/// 70 % of what is free on the disk plus what the store already has there, so that a restart does not shrink it.
fn share_of_disk(store: &Path) -> Result<u64> {
    let disk = nix::sys::statvfs::statvfs(store)
        .map_err(|errno| Error::io("measure the disk of", store)(errno.into()))?;
    let free = disk.blocks_available() * disk.fragment_size();
    Ok(((free + size_of_files(store)) / 10 * 7).min(50_000_000_000))
}

fn size_of_files(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size_of_files(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
