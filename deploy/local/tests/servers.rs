//! Real servers, started and killed. They need `deploy/setup.sh` to have been run once.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy knows only test functions"
)]

use futures::StreamExt as _;
use local_servers::{
    Error, NatsOptions, NatsServer, PgOptions, Postgres, ServerState, Tools, remove_data,
};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn tools() -> Tools {
    Tools::find(None).unwrap()
}

async fn nats(home: &TempDir) -> NatsServer {
    NatsServer::start(&tools(), NatsOptions::new(home.path()))
        .await
        .unwrap()
}

async fn postgres(home: &TempDir) -> Postgres {
    let options = PgOptions {
        temporary: true,
        ..PgOptions::new(home.path())
    };
    Postgres::start(&tools(), options).await.unwrap()
}

async fn publish(server: &NatsServer, text: &'static str) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = async_nats::jetstream::stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec!["kept".to_owned()],
        ..Default::default()
    };
    jetstream.get_or_create_stream(stream).await.unwrap();
    jetstream
        .publish("kept", text.into())
        .await
        .unwrap()
        .await
        .unwrap();
}

async fn published(server: &NatsServer) -> Vec<String> {
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let mut stream = jetstream.get_stream("KEPT").await.unwrap();
    let count = stream.info().await.unwrap().state.messages;
    let consumer = stream
        .create_consumer(async_nats::jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    consumer
        .messages()
        .await
        .unwrap()
        .take(usize::try_from(count).unwrap())
        .map(|message| String::from_utf8(message.unwrap().payload.to_vec()).unwrap())
        .collect()
        .await
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn acknowledged_messages_survive_a_kill_of_nats() {
    let home = TempDir::new().unwrap();
    let server = nats(&home).await;
    publish(&server, "one").await;
    let killed = server.pid().unwrap();
    server.kill9().await.unwrap();
    assert!(!alive(killed));
    assert_eq!(server.state(), ServerState::Stopped);

    server.restart().await.unwrap();

    publish(&server, "two").await;
    assert_eq!(published(&server).await, ["one", "two"]);
}

#[tokio::test]
async fn committed_rows_survive_a_kill_of_postgres_and_all_its_children() {
    let home = TempDir::new().unwrap();
    let server = postgres(&home).await;
    let database = server.ensure_database("hub").await.unwrap();
    server.ensure_database("hub").await.unwrap();
    assert!(database.app_url.contains("hub_app"));
    server
        .sql(
            "hub",
            "create table kept (n int); insert into kept values (1);",
        )
        .await
        .unwrap();
    let port = server.port();
    let killed = server.pid().unwrap();
    server.kill9().await.unwrap();
    assert!(!alive(killed));

    server.restart().await.unwrap();

    assert_eq!(server.port(), port);
    assert_eq!(server.sql("hub", "select n from kept").await.unwrap(), "1");
    let role = "select rolsuper or rolbypassrls from pg_roles where rolname = 'hub_app'";
    assert_eq!(server.sql("hub", role).await.unwrap(), "f");
}

#[tokio::test]
async fn a_server_killed_from_outside_comes_back_by_itself() {
    let home = TempDir::new().unwrap();
    let (bus, state) = tokio::join!(nats(&home), postgres(&home));
    let (bus_pid, state_pid) = (bus.pid().unwrap(), state.pid().unwrap());
    for pid in [bus_pid, state_pid] {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    until("both run again", || {
        let again =
            |state: ServerState, old: u32| matches!(state, ServerState::Up { pid } if pid != old);
        again(bus.state(), bus_pid) && again(state.state(), state_pid)
    })
    .await;
    publish(&bus, "one").await;
    assert_eq!(state.sql("postgres", "select 1").await.unwrap(), "1");
}

#[tokio::test]
async fn a_crash_is_recovered_from_again_and_again() {
    let home = TempDir::new().unwrap();
    let server = postgres(&home).await;
    for _ in 0..3 {
        let old = server.pid();
        server.crash().await.unwrap();
        until(
            "it is up again",
            || matches!(server.state(), ServerState::Up { pid } if Some(pid) != old),
        )
        .await;
    }
    assert_eq!(server.sql("postgres", "select 1").await.unwrap(), "1");
}

#[tokio::test]
async fn two_instances_run_side_by_side_and_stop_within_eight_seconds() {
    let (left, right) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (a, b, c, d) = tokio::join!(nats(&left), nats(&right), postgres(&left), postgres(&right));
    assert_ne!(a.port(), b.port());
    assert_ne!(c.port(), d.port());
    assert_ne!(c.data_dir(), d.data_dir());
    let began = Instant::now();
    let (w, x, y, z) = tokio::join!(a.stop(), b.stop(), c.stop(), d.stop());
    for stopped in [w, x, y, z] {
        stopped.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(a.pid(), None);
    assert_eq!(c.pid(), None);
}

#[tokio::test]
async fn a_home_in_use_is_refused_with_its_holder() {
    let home = TempDir::new().unwrap();
    let _first = nats(&home).await;
    let Err(Error::HomeTaken { pid, .. }) =
        NatsServer::start(&tools(), NatsOptions::new(home.path())).await
    else {
        panic!("two servers on one home");
    };
    assert_eq!(pid, std::process::id());
}

#[tokio::test]
async fn a_taken_port_is_refused_with_the_variable_to_set() {
    let (left, right) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = nats(&left).await;
    let options = NatsOptions {
        port: first.port(),
        ..NatsOptions::new(right.path())
    };
    let text = match NatsServer::start(&tools(), options).await {
        Ok(_) => panic!("two servers on one port"),
        Err(error) => error.to_string(),
    };
    assert!(text.contains("$HUB_NATS_PORT"), "{text}");
    assert!(text.contains("nats-server (pid"), "{text}");

    let options = PgOptions {
        port: first.port(),
        temporary: true,
        ..PgOptions::new(right.path())
    };
    let text = match Postgres::start(&tools(), options).await {
        Ok(_) => panic!("two servers on one port"),
        Err(error) => error.to_string(),
    };
    assert!(text.contains("$HUB_PG_PORT"), "{text}");
}

#[tokio::test]
async fn a_setting_that_the_server_refuses_is_told_with_its_own_words() {
    let home = TempDir::new().unwrap();
    let options = NatsOptions {
        extra_config: Some("no_such_setting: 1".to_owned()),
        ..NatsOptions::new(home.path())
    };
    let text = match NatsServer::start(&tools(), options).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(text.contains("no_such_setting"), "{text}");
}

#[tokio::test]
async fn a_frozen_server_still_stops() {
    let home = TempDir::new().unwrap();
    let (bus, state) = tokio::join!(nats(&home), postgres(&home));
    bus.freeze();
    state.freeze();
    let (bus, state) = tokio::join!(bus.stop(), state.stop());
    bus.unwrap();
    state.unwrap();
}

#[tokio::test]
async fn data_can_be_removed_once_nothing_runs_and_only_then() {
    let home = TempDir::new().unwrap();
    let server = Postgres::start(&tools(), PgOptions::new(home.path()))
        .await
        .unwrap();
    let data = server.data_dir().to_owned();
    assert!(matches!(
        remove_data(home.path()),
        Err(Error::HomeTaken { .. })
    ));
    drop(server);
    assert!(data.is_dir(), "dropping keeps what is not temporary");
    remove_data(home.path()).unwrap();
    assert!(!data.exists());
    assert!(!home.path().join("postgres").exists());
}

/// Not a test: what `servers_end_with_the_process_that_started_them` kills.
#[tokio::test]
#[ignore = "run by another test in a process of its own"]
async fn holder() {
    let Some(home) = std::env::var_os("HOLDER_HOME") else {
        return;
    };
    let home = Path::new(&home);
    let bus = NatsServer::start(&tools(), NatsOptions::new(home))
        .await
        .unwrap();
    let state = Postgres::start(&tools(), PgOptions::new(home))
        .await
        .unwrap();
    let pids = format!("{} {}", bus.pid().unwrap(), state.pid().unwrap());
    std::fs::write(home.join("pids.new"), pids).unwrap();
    std::fs::rename(home.join("pids.new"), home.join("pids")).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn servers_end_with_the_process_that_started_them() {
    let home = TempDir::new().unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--ignored"])
        .env("HOLDER_HOME", home.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let file = home.path().join("pids");
    until("the holder runs both", || file.exists()).await;
    let pids: Vec<u32> = std::fs::read_to_string(file)
        .unwrap()
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| alive(*pid)));

    holder.kill().unwrap();
    holder.wait().unwrap();

    // The next start does not wait for them to be gone: it takes the home over.
    let (bus, state) = tokio::join!(nats(&home), postgres(&home));
    assert!(!pids.iter().any(|pid| alive(*pid)));
    drop((bus, state));
    remove_data(home.path()).unwrap();
}

#[tokio::test]
async fn a_left_over_of_ours_is_ended_before_a_start() {
    let home = TempDir::new().unwrap();
    let first = nats(&home).await;
    let port = first.port();
    drop(first);
    let mut stray = Command::new(tools().nats_server)
        .arg("-c")
        .arg(home.path().join("nats/nats.conf"))
        .spawn()
        .unwrap();
    until("the stray listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;
    let options = NatsOptions {
        port,
        ..NatsOptions::new(home.path())
    };
    let server = NatsServer::start(&tools(), options).await.unwrap();
    stray.wait().unwrap();
    publish(&server, "one").await;
}

#[tokio::test]
async fn a_home_too_deep_for_a_socket_gets_a_short_one() {
    let home = TempDir::new().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let deep = home.path().join("d".repeat(120));
    let options = PgOptions {
        temporary: true,
        ..PgOptions::new(&deep)
    };
    let server = Postgres::start(&tools(), options).await.unwrap();
    assert!(
        server.data_dir().starts_with(&deep),
        "within reach, so at home"
    );
    let socket = server
        .socket_dir()
        .join(format!(".s.PGSQL.{}", server.port()));
    assert!(socket.exists() && socket.as_os_str().len() <= 107);
    drop(server);
    assert!(
        !socket.parent().unwrap().exists(),
        "temporary: nothing stays outside"
    );
}
