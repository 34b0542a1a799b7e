//! What NATS stores, encrypted: nothing of a message can be found on its disk, and everything still works.

use std::path::Path;
use std::time::Duration;

use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, eventually, oru, unique};

use super::audit::hub;
use super::shape::Stream;
use super::ways::tls::Pki;

const SOON: Duration = Duration::from_secs(30);
/// Stands in every message of this test, and nowhere else.
const WORD: &str = "ZZYZXNAME";

fn settings(servers: &Servers, master: &str) -> HubSettings {
    let file = servers.folder().join("master.key");
    std::fs::write(&file, master).unwrap();
    let mut settings = HubSettings::new(servers);
    settings.more = format!(
        "\n[encryption]\nbodies = true\nmaster_key = {:?}\n",
        format!("file:{}", file.display())
    );
    settings
}

fn message(id: &str, patient: &str, value: &str) -> String {
    oru(id, patient, &unique("S"), &[("GLU", value, "mg/dL")])
        .replace("OBX|1|", &format!("NTE|1||{WORD}\rOBX|1|"))
}

/// Files below a folder that hold the word.
pub(crate) fn holders(folder: &Path, word: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path)
                && bytes.windows(word.len()).any(|part| part == word)
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn what_is_stored_is_encrypted_and_everything_still_works() {
    let servers = Servers::start().await;
    let key = "0f".repeat(32);
    let mut open = HubSettings::new(&servers);
    let mut process = HubProcess::start(&servers, &open).await;
    let rest = process.sign_in().await;
    let (before, patient) = (unique("C"), unique("ENC"));
    let mut line = Mllp::connect(process.mllp("lab")).await;
    line.accepted(message(&before, &patient, "104")).await;
    rest.results(&patient, 1).await;
    let nats = servers.folder().join("nats");
    assert!(nats.is_dir(), "where NATS stores");
    assert!(
        !holders(&nats, WORD.as_bytes()).is_empty(),
        "the look finds what lies open"
    );
    let old = rest.message(&before).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    drop(line);
    process.terminate().await;
    drop(process);

    // switched on: from now on nothing is found
    let mark = "QQXTNAME";
    open.more = settings(&servers, &key).more;
    let mut process = HubProcess::start(&servers, &open).await;
    let rest = process.sign_in().await;
    let since = rest.get("/api/v1/changes").await["position"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut streams = Vec::new();
    for topic in ["patients", "reports"] {
        let mut stream = Stream::open(&process, &rest, None).await;
        stream.next("hello").await.unwrap();
        streams.push((topic, stream));
    }
    let patient = unique("ENC");
    let ids: Vec<String> = (0..3).map(|_| unique("C")).collect();
    for (at, id) in ids.iter().enumerate() {
        let text = message(id, &patient, &format!("{}", 110 + at)).replace(WORD, mark);
        let mut line = Mllp::connect(process.mllp("lab")).await;
        line.accepted(text).await;
    }
    // a body above the limit of a record goes to the object store
    let large = unique("C");
    let text = message(&large, &patient, "150").replace(WORD, &mark.repeat(40_000));
    Mllp::connect(process.mllp("lab"))
        .await
        .accepted(text)
        .await;
    rest.results(&patient, 4).await;
    told(&process, &rest, &since, &mut streams).await;
    assert_eq!(holders(&nats, mark.as_bytes()), Vec::<String>::new());
    for id in ids.iter().chain([&large]) {
        let message = rest.message(id).await["id"].as_str().unwrap().to_owned();
        let body = rest
            .bytes(&format!("/api/v1/messages/{message}/body"))
            .await;
        assert!(
            String::from_utf8_lossy(&body).contains(mark),
            "the body of {id} is shown"
        );
    }
    let body = rest.bytes(&format!("/api/v1/messages/{old}/body")).await;
    assert!(
        String::from_utf8_lossy(&body).contains(WORD),
        "one of before too"
    );

    // a new key while it runs: both are read
    let rotated = hub(process.config(), &["keys", "rotate-data"]);
    assert!(rotated.status.success(), "{rotated:?}");
    let listed = hub(process.config(), &["keys", "data", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.matches("\"tenant\":\"demo\"").count(), 2, "{listed}");
    assert!(!listed.contains("\"opens\":false"), "{listed}");
    let (later, patient) = (unique("C"), unique("ENC"));
    Mllp::connect(process.mllp("lab"))
        .await
        .accepted(message(&later, &patient, "99"))
        .await;
    rest.results(&patient, 1).await;

    // the same again after a start: the key is read from the bucket, old records by old keys
    process.terminate().await;
    process.restart().await;
    let rest = process.sign_in().await;
    let first = rest.message(&ids[0]).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = rest.bytes(&format!("/api/v1/messages/{first}/body")).await;
    assert!(String::from_utf8_lossy(&body).contains(mark));
    let replayed = hub(process.config(), &["replay", "--channel", "lab", "--yes"]);
    assert!(replayed.status.success(), "{replayed:?}");
    eventually("the repeats are on the ledger", SOON, || async {
        let again = rest
            .all_items(&format!("/api/v1/messages?control_id={}", ids[0]))
            .await;
        (again.len() > 1).then_some(())
    })
    .await;
    assert_eq!(
        rest.items("/api/v1/incidents").await,
        Vec::<serde_json::Value>::new()
    );
    let doctor = hub(process.config(), &["doctor", "--json"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("data keys open"), "{said}");
    process.terminate().await;
    drop(process);

    // a wrong master key, and none: said at the start
    for (more, says) in [
        (
            settings(&servers, &"1e".repeat(32)).more,
            "the master key does not open the key demo.1",
        ),
        (String::new(), "[encryption] master_key is not set"),
        (
            "\n[encryption]\nbodies = true\nmaster_key = \"env:NOT_SET_ANYWHERE\"\n".to_owned(),
            "NOT_SET_ANYWHERE",
        ),
        (
            "\n[encryption]\nbodies = true\n".to_owned(),
            "master_key is not set",
        ),
    ] {
        let wrong = servers.folder().join("wrong.toml");
        let text = std::fs::read_to_string(config_of(&servers)).unwrap();
        let text = text.split("\n[encryption]").next().unwrap().to_owned() + &more;
        std::fs::write(&wrong, text).unwrap();
        let mut ended = None;
        let mut child = std::process::Command::new(tests::hub_binary())
            .args(["run", "--config"])
            .arg(&wrong)
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        eventually("it ends", SOON, || {
            ended = child.try_wait().unwrap();
            let ended = ended;
            async move { ended.map(|_| ()) }
        })
        .await;
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(says),
            "{says}: {said}"
        );
    }
}

/// What changed is told as ever: events are opened before it is looked what they are about. Pages since a position go back to
/// events from before the encryption too.
async fn told(
    process: &HubProcess,
    rest: &Rest,
    since: &str,
    streams: &mut [(&'static str, Stream)],
) {
    let of =
        |since: &str| format!("/api/v1/changes?topics=patients,reports&limit=500&since={since}");
    let now = rest.items(&of(since)).await;
    let all = rest.items(&of("0.0")).await;
    for (topic, stream) in streams {
        let topic = *topic;
        let of_topic = |changes: &[serde_json::Value]| {
            changes.iter().filter(|one| one["topic"] == topic).count()
        };
        assert!(of_topic(&now) > 0, "{topic}: {now:?}");
        assert!(of_topic(&all) > of_topic(&now), "{topic}: {all:?}");
        let (_, change) = stream.next(topic).await.unwrap();
        let first = now.iter().find(|one| one["topic"] == topic).unwrap();
        assert_eq!(&change, first);
        let read = change["resource"].as_str().unwrap();
        assert_eq!(rest.get(read).await["id"], change["id"]);
    }
    assert!(!process.log().contains("does not open"));
}

/// The configuration that the hub was started with, as a file.
fn config_of(servers: &Servers) -> std::path::PathBuf {
    std::fs::read_dir(servers.folder())
        .unwrap()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("hub-"))
        })
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .find(|path| {
            std::fs::read_to_string(path)
                .unwrap()
                .contains("[encryption]")
        })
        .unwrap()
}

#[tokio::test]
async fn the_api_speaks_https_and_lets_in_who_has_a_certificate_of_ours() {
    let servers = Servers::start().await;
    let pki = Pki::new(servers.folder());
    let mut settings = HubSettings::new(&servers);
    settings.more = format!(
        "\n[api.tls]\ncertificate_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
        pki.certificate, pki.key, pki.ca
    );
    let process = HubProcess::spawn(&servers, &settings, None).await;
    let (pki, process) = (&pki, &process);
    eventually("it answers over TLS", SOON, || async move {
        pki.get(process.api(), true, "/healthz")
            .await
            .filter(|line| line == "HTTP/1.1 200 OK")
    })
    .await;
    assert_eq!(
        pki.get(process.api(), true, "/api/v1/patients")
            .await
            .as_deref(),
        Some("HTTP/1.1 401 Unauthorized")
    );
    assert_eq!(
        pki.get(process.api(), false, "/healthz").await,
        None,
        "without a certificate"
    );
    assert!(!Rest::new(process.api()).is_ready().await, "without TLS");
}
