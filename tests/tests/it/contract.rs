//! What is promised to whoever runs the program: `hub dev` by its environment, `hub check`, `hub send`, and clients that others wrote.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::{
    Astm, HubProcess, HubSettings, Mllp, Owned, PASSWORD, Rest, Servers, eventually, free_address,
    hub_binary, oru, unique,
};

mod python;

const SOON: Duration = Duration::from_secs(60);

/// A `hub dev` in a home of its own.
struct Dev {
    process: Owned,
    api: SocketAddr,
    mllp: SocketAddr,
    astm: SocketAddr,
    home: tempfile::TempDir,
}

impl Dev {
    fn start() -> Self {
        let home = Servers::folder_for_tests();
        let (api, mllp, astm) = (free_address(), free_address(), free_address());
        let ports = [free_address().port(), free_address().port()];
        let log = std::fs::File::create(home.path().join("dev.log")).unwrap();
        let process = Owned::start(&hub_binary(), |command| {
            command
                .arg("dev")
                .env("HUB_HOME", home.path().join("home"))
                .env("HUB_API_ADDR", api.to_string())
                .env("HUB_MLLP_ADDR", mllp.to_string())
                .env("HUB_ASTM_ADDR", astm.to_string())
                .env("HUB_NATS_PORT", ports[0].to_string())
                .env("HUB_PG_PORT", ports[1].to_string())
                .env("HUB_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log);
        });
        Self {
            process,
            api,
            mllp,
            astm,
            home,
        }
    }

    async fn ready(&self) {
        eventually("hub dev is ready", SOON, || async {
            Rest::new(self.api).is_ready().await.then_some(())
        })
        .await;
        eventually("its channel listens", SOON, || async {
            Mllp::try_connect(self.mllp).await.ok()
        })
        .await;
        assert_eq!(
            Astm::connect(self.astm).await.say(&[Astm::ENQ]).await,
            Astm::ACK,
            "and so does the one for ASTM"
        );
    }
}

#[tokio::test]
async fn two_hub_dev_run_side_by_side_and_sigterm_ends_all_of_each_within_ten_seconds() {
    let (mut one, mut two) = (Dev::start(), Dev::start());
    tokio::join!(one.ready(), two.ready());
    for dev in [&one, &two] {
        let patient = unique("DEV");
        Mllp::connect(dev.mllp)
            .await
            .accepted(oru(
                &unique("C"),
                &patient,
                &unique("S"),
                &[("GLU", "5", "mg/dL")],
            ))
            .await;
        let rest = Rest::new(dev.api).sign_in("admin", PASSWORD, None).await;
        rest.results(&patient, 1).await;
        assert_eq!(
            rest.items("/api/v1/patients").await.len(),
            1,
            "the other's data are not here"
        );
    }
    for dev in [&mut one, &mut two] {
        let began = Instant::now();
        dev.process.signal(Signal::SIGTERM);
        let status = dev.process.wait(Duration::from_secs(20)).await;
        assert!(status.success(), "{status}");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        let home = dev.home.path().display().to_string();
        let left: Vec<String> = running()
            .into_iter()
            .filter(|line| line.contains(&home))
            .collect();
        assert!(left.is_empty(), "still running: {left:?}");
        local_servers::remove_data(&dev.home.path().join("home")).unwrap();
    }
}

#[tokio::test]
async fn ctrl_c_ends_hub_dev_and_what_it_stored_is_there_at_the_next_start() {
    let mut dev = Dev::start();
    dev.ready().await;
    let patient = unique("CTRLC");
    Mllp::connect(dev.mllp)
        .await
        .accepted(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[("GLU", "5", "mg/dL")],
        ))
        .await;
    dev.process.signal(Signal::SIGINT);
    assert!(dev.process.wait(Duration::from_secs(10)).await.success());
    let log = std::fs::File::options()
        .append(true)
        .open(dev.home.path().join("dev.log"))
        .unwrap();
    dev.process = Owned::start(&hub_binary(), |command| {
        command
            .arg("dev")
            .env("HUB_HOME", dev.home.path().join("home"))
            .env("HUB_API_ADDR", dev.api.to_string())
            .env("HUB_MLLP_ADDR", dev.mllp.to_string())
            .env("HUB_ASTM_ADDR", dev.astm.to_string())
            .env("HUB_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
    });
    dev.ready().await;
    Rest::new(dev.api)
        .sign_in("admin", PASSWORD, None)
        .await
        .results(&patient, 1)
        .await;
    dev.process.signal(Signal::SIGTERM);
    dev.process.wait(Duration::from_secs(20)).await;
    local_servers::remove_data(&dev.home.path().join("home")).unwrap();
}

#[tokio::test]
async fn a_taken_address_is_said_with_the_variable_that_changes_it() {
    let home = Servers::folder_for_tests();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(Command::new(hub_binary())
        .arg("dev")
        .env("HUB_HOME", home.path())
        .env("HUB_API_ADDR", taken.local_addr().unwrap().to_string()));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("HUB_API_ADDR"),
        "{text}"
    );
}

#[test]
fn hub_check_names_file_and_line_of_every_problem() {
    let folder = Servers::folder_for_tests();
    let good = "[postgres]\nurl = \"postgres://x\"\n\n[[tenant]]\nid = \"demo\"\n\n[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n[channel.settings.server]\nlisten = \"127.0.0.1:2575\"\n";
    let mappings = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../mappings")
        .canonicalize()
        .unwrap();
    let good = format!("{good}\n[mappings]\nfolder = \"{}\"\n", mappings.display());
    let file = folder.path().join("hub.toml");
    let check = |text: &str, json: bool| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(hub_binary());
        command
            .arg("check")
            .arg("--config")
            .arg(&file)
            .env_remove("HUB_API_ADDR");
        if json {
            command.arg("--json");
        }
        let output = run(&mut command);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (ok, text) = check(&good, false);
    assert!(ok, "{text}");
    let bedside = good.replace("kind = \"hl7v2\"", "kind = \"poct1a\"");
    let (ok, text) = check(&bedside, false);
    assert!(ok, "{text}");
    for (wrong, line, words) in [
        (
            format!("{bedside}[channel.settings.conversation]\nmode = \"sometimes\"\n"),
            17,
            "mode",
        ),
        (
            format!("{bedside}[channel.settings.dialect]\npatient = [\"OBS.value\"]\n"),
            17,
            "OBS.value",
        ),
        (
            good.replace("kind = \"hl7v2\"", "kind = \"hl8\""),
            10,
            "hl8",
        ),
        (
            good.replace("tenant = \"demo\"", "tenant = \"nobody\""),
            9,
            "nobody",
        ),
        (
            good.replace("id = \"lab\"", "id = \"Lab One\""),
            8,
            "not a valid name",
        ),
        (good.replace("listen = ", "lisen = "), 12, "lisen"),
        (
            good.replace(
                "listen = \"127.0.0.1:2575\"",
                "listen = \"127.0.0.1:2575\"\nmax_connections = 0",
            ),
            13,
            "max_connections",
        ),
        (
            good.replace("[postgres]\n", "[postgres]\nurll = 1\n"),
            2,
            "urll",
        ),
        (
            good.replace("[channel.settings.server]", "[channel.settings.serial]")
                .replace(
                    "listen = \"127.0.0.1:2575\"",
                    "port = \"/dev/ttyS0\"\nbaud = 96",
                ),
            13,
            "serial.baud",
        ),
        (
            good.replace("[channel.settings.server]", "[channel.settings.serial]")
                .replace(
                    "listen = \"127.0.0.1:2575\"",
                    "port = \"/dev/ttyS0\"\nparity = \"mark\"",
                ),
            13,
            "serial.parity",
        ),
        (
            format!("{good}\n[channel.settings.serial]\nport = \"/dev/ttyS0\"\n").replace(
                &format!("\n[mappings]\nfolder = \"{}\"\n", mappings.display()),
                "",
            ),
            11,
            "keep server or serial",
        ),
        (good.replace("[[tenant]]\n", "[[tenant]\n"), 4, ""),
    ] {
        let (ok, text) = check(&wrong, false);
        assert!(!ok, "accepted: {wrong}");
        let expected = format!("{}:{line}:", file.display());
        assert!(
            text.contains(&expected) && text.contains(words),
            "expected {expected} … {words}, said: {text}"
        );
    }
    let (_, text) = check(&good.replace("kind = \"hl7v2\"", "kind = \"hl8\""), true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (json["ok"].as_bool(), json["problems"][0]["line"].as_u64()),
        (Some(false), Some(10))
    );

    // a mapping table as well
    let tables = folder.path().join("mappings/tables");
    std::fs::create_dir_all(&tables).unwrap();
    std::fs::write(
        tables.join("codes.toml"),
        "[[code]]\nid = \"a\"\ncode = \"A\"\nloinc = \"not-loinc\"\n",
    )
    .unwrap();
    let (ok, text) = check(
        &good.replace(&mappings.display().to_string(), "mappings"),
        false,
    );
    assert!(!ok && text.contains("codes.toml"), "{text}");
}

#[test]
fn hub_check_names_the_key_and_the_line_of_a_value_that_cannot_be_read() {
    let folder = Servers::folder_for_tests();
    let file = folder.path().join("hub.toml");
    std::fs::write(
        &file,
        "[postgres]\nurl = \"postgres://x\"\n[[tenant]]\nid = \"demo\"\n[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n[channel.settings.server]\nlisten = \"here\"\n",
    )
    .unwrap();
    let output = run(Command::new(hub_binary())
        .arg("check")
        .arg("--config")
        .arg(&file)
        .env_remove("HUB_API_ADDR"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains(&format!("{}:10:", file.display())) && text.contains("listen"),
        "{text}"
    );
}

#[tokio::test]
async fn hub_send_prints_the_answer_and_its_exit_code_says_whether_all_were_accepted() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let (good, bad) = (
        servers.folder().join("good.hl7"),
        servers.folder().join("bad.hl7"),
    );
    let id = unique("SEND");
    std::fs::write(
        &good,
        oru(&id, &unique("P"), &unique("S"), &[("GLU", "5", "mg/dL")]),
    )
    .unwrap();
    std::fs::write(&bad, "PID|1\r").unwrap();
    let to = hub.mllp("lab").to_string();
    let sent = run(Command::new(hub_binary())
        .args(["send", "--json", "--to", &to])
        .arg(&good));
    let line: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(
        (
            line["ack"].as_str(),
            line["control_id"].as_str(),
            sent.status.success()
        ),
        (Some("AA"), Some(id.as_str()), true)
    );
    let sent = run(Command::new(hub_binary())
        .args(["send", "--to", &to])
        .arg(&bad));
    assert!(!sent.status.success());
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// Command lines of all processes.
fn running() -> Vec<String> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}
