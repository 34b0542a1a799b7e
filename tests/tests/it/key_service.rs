//! The master key in a key service: the hub works with it, and without it for whom it has the keys; whatever the service does,
//! nothing is stored in the open and nothing that was acknowledged is lost.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{
    Answering, ChannelToml, HubProcess, HubSettings, KeyService, Mllp, Rest, Servers, eventually,
    oru, unique,
};
use tokio::net::TcpStream;

use super::audit::hub;
use super::encryption::holders;
use super::ways::tls::Pki;

const SOON: Duration = Duration::from_secs(45);
const TOKEN: &str = "hvs.CAESIJtokenofthehub";
/// Stands in every message of this file, and nowhere else.
const MARK: &str = "QQKMSNAME";

fn message(id: &str, patient: &str) -> String {
    oru(id, patient, &unique("S"), &[("GLU", "104", "mg/dL")])
        .replace("OBX|1|", &format!("NTE|1||{MARK}\rOBX|1|"))
}

async fn send(process: &HubProcess, channel: &str, text: &str) -> String {
    let mut line = Mllp::connect(process.mllp(channel)).await;
    line.send(text).await.code
}

/// Sends it until it is acknowledged, as an instrument does.
async fn repeat(process: &HubProcess, channel: &str, text: &str) {
    eventually("the repeat is acknowledged", SOON, || async {
        (send(process, channel, text).await == "AA").then_some(())
    })
    .await;
}

/// What `/readyz` says, once there is somebody who says it.
async fn readiness(process: &HubProcess) -> String {
    let api = process.api();
    eventually("the API listens", SOON, || async move {
        TcpStream::connect(api).await.ok()
    })
    .await;
    Rest::new(api).text("/readyz").await
}

async fn body(rest: &Rest, id: &str) -> String {
    let message = rest.message(id).await["id"].as_str().unwrap().to_owned();
    let bytes = rest
        .bytes(&format!("/api/v1/messages/{message}/body"))
        .await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the program says beside the hub, and whether it succeeded. On a thread of its own: the service must go on answering.
async fn said(config: &Path, arguments: &[&'static str]) -> (bool, String) {
    let (config, given) = (config.to_owned(), arguments.to_vec());
    let output = tokio::task::spawn_blocking(move || hub(&config, &given))
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        !text.contains(TOKEN),
        "{arguments:?} tells the token: {text}"
    );
    (output.status.success(), text)
}

/// The data keys that NATS holds, as `hub keys data` tells them.
async fn data_keys(config: &Path) -> Vec<Value> {
    let (_, text) = said(config, &["keys", "data", "--json"]).await;
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|one: &Value| one["tenant"].is_string())
        .collect()
}

fn token_file(servers: &Servers) -> PathBuf {
    let file = servers.folder().join("vault.token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    file
}

#[tokio::test]
async fn the_master_key_stays_in_its_service_through_starts_rotations_and_absences() {
    let servers = Servers::start().await;
    let pki = Pki::new(servers.folder());
    let service = KeyService::start_over_tls(TOKEN, &pki.certificate, &pki.key).await;
    let mut settings = HubSettings::new(&servers);
    settings.more = service.settings(&token_file(&servers), Some(&pki.ca));
    let mut process = HubProcess::start(&servers, &settings).await;
    let rest = process.sign_in().await;
    let nats = servers.folder().join("nats");
    let (first, patient) = (unique("C"), unique("KMS"));
    assert_eq!(
        send(&process, "lab", &message(&first, &patient)).await,
        "AA"
    );
    rest.results(&patient, 1).await;
    assert_eq!(holders(&nats, MARK.as_bytes()), Vec::<String>::new());
    assert!(body(&rest, &first).await.contains(MARK));
    let keys = data_keys(process.config()).await;
    assert!(
        keys.iter().all(|key| key["opens"] == true
            && key["version"] == 1
            && key["master"] == "transit:admin/hub/hospital/transit/sangam"),
        "{keys:?}"
    );

    eventually("the token is renewed", SOON, || async {
        (service.done("renew-self") > 0).then_some(())
    })
    .await;

    // it is sealed while the hub runs: nobody notices, but who wants a new key
    service.be(Answering::Sealed);
    let (second, patient) = (unique("C"), unique("KMS"));
    assert_eq!(
        send(&process, "lab", &message(&second, &patient)).await,
        "AA"
    );
    rest.results(&patient, 1).await;
    assert!(body(&rest, &first).await.contains(MARK));
    assert!(rest.is_ready().await, "{}", rest.text("/readyz").await);
    let (done, text) = said(process.config(), &["keys", "rotate-data"]).await;
    assert!(!done && text.contains("unseal it"), "{text}");
    assert_eq!(
        data_keys(process.config()).await
            .iter()
            .filter(|key| key["opens"] == false
                && key["fault"].as_str().unwrap().contains("sealed"))
            .count(),
        keys.len(),
        "nothing was changed, and what can't be seen is said"
    );

    // a new version of the master key: rotated while the hub runs, and the old version is closed for good
    service.be(Answering::Well);
    service.rotate();
    let (done, text) = said(process.config(), &["keys", "rotate-data"]).await;
    assert!(done, "{text}");
    let rotated = data_keys(process.config()).await;
    assert_eq!(rotated.len(), 2 * keys.len(), "{rotated:?}");
    assert!(
        rotated
            .iter()
            .all(|key| key["opens"] == true && key["version"] == 2),
        "{rotated:?}"
    );
    assert_eq!(service.done("rewrap"), keys.len());
    service.open_from_version(2);
    let (third, patient) = (unique("C"), unique("KMS"));
    assert_eq!(
        send(&process, "lab", &message(&third, &patient)).await,
        "AA"
    );
    rest.results(&patient, 1).await;
    process.terminate().await;

    // a start while it is sealed: the ports are open, nothing is taken, nothing is stored in the open
    service.be(Answering::Sealed);
    process.launch_again();
    let ready = readiness(&process).await;
    assert!(ready.contains("keys: the key service"), "{ready}");
    assert!(!ready.contains("localhost"), "{ready}");
    let (fourth, patient) = (unique("C"), unique("KMS"));
    let text = message(&fourth, &patient);
    eventually("the channel listens", SOON, || async {
        TcpStream::connect(process.mllp("lab")).await.ok()
    })
    .await;
    assert_eq!(send(&process, "lab", &text).await, "AE");
    assert_eq!(holders(&nats, MARK.as_bytes()), Vec::<String>::new());
    let (well, doctor) = said(process.config(), &["doctor"]).await;
    assert!(!well && doctor.contains("unseal it"), "{doctor}");
    assert!(process.log().contains("unseal it"));

    // it is unsealed: everything is there, and what was repeated has one effect
    service.be(Answering::Well);
    process.wait_ready().await;
    repeat(&process, "lab", &text).await;
    let rest = process.sign_in().await;
    assert_eq!(rest.results(&patient, 1).await.len(), 1);
    for id in [&first, &second, &third, &fourth] {
        assert!(body(&rest, id).await.contains(MARK), "{id}");
    }
    assert!(!process.log().contains(TOKEN));
    process.terminate().await;

    // a tenant without a key, and a service that makes none: the others go on
    service.be(Answering::OnlyDecrypting);
    let mut both = settings.channel(ChannelToml::new("ward").tenant("other"));
    both.tenants.push("other".to_owned());
    let mut process = HubProcess::spawn(&servers, &both, None).await;
    let ready = readiness(&process).await;
    assert!(ready.contains("keys: the key service"), "{ready}");
    for channel in ["lab", "ward"] {
        eventually("the channel listens", SOON, || async {
            TcpStream::connect(process.mllp(channel)).await.ok()
        })
        .await;
    }
    let ours = message(&unique("C"), &unique("KMS"));
    let theirs = message(&unique("C"), &unique("KMS"));
    repeat(&process, "lab", &ours).await;
    assert_eq!(send(&process, "ward", &theirs).await, "AE");
    service.be(Answering::Well);
    repeat(&process, "ward", &theirs).await;
    process.wait_ready().await;
    assert_eq!(holders(&nats, MARK.as_bytes()), Vec::<String>::new());
    process.terminate().await;

    // another service with a key of the same name is not taken for it
    let stranger = KeyService::start_over_tls(TOKEN, &pki.certificate, &pki.key).await;
    stranger.rotate();
    let config = servers.folder().join("stranger.toml");
    let text = std::fs::read_to_string(process.config()).unwrap();
    let more = stranger.settings(&token_file(&servers), Some(&pki.ca));
    let text = text.split("\n[encryption]").next().unwrap().to_owned() + &more;
    std::fs::write(&config, text).unwrap();
    let (well, doctor) = said(&config, &["doctor"]).await;
    assert!(
        !well && doctor.contains("message authentication failed"),
        "{doctor}"
    );
}

#[tokio::test]
async fn whatever_a_key_service_answers_nothing_is_stored_before_a_key_opens_again() {
    let servers = Servers::start().await;
    let service = KeyService::start(TOKEN).await;
    let token = token_file(&servers);
    let mut settings = HubSettings::new(&servers);
    settings.more = service.settings(&token, None);
    service.be(Answering::Denying);
    let mut process = HubProcess::spawn(&servers, &settings, None).await;
    let ready = readiness(&process).await;
    assert!(ready.contains("keys: the key service"), "{ready}");
    eventually("the channel listens", SOON, || async {
        TcpStream::connect(process.mllp("lab")).await.ok()
    })
    .await;
    let (id, patient) = (unique("C"), unique("KMS"));
    let text = message(&id, &patient);
    for (answering, says) in [
        (Answering::Denying, "does not accept the token"),
        (Answering::Garbled, "no answer of transit"),
        (Answering::Lying, "does not open again"),
        (Answering::Hanging, "did not answer within"),
    ] {
        service.be(answering);
        let (well, doctor) = said(process.config(), &["doctor"]).await;
        assert!(!well && doctor.contains(says), "{answering:?}: {doctor}");
        let began = Instant::now();
        assert_eq!(send(&process, "lab", &text).await, "AE", "{answering:?}");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "an instrument waits no longer: {answering:?}"
        );
        assert_eq!(data_keys(process.config()).await, Vec::<Value>::new());
    }
    assert!(!process.log().contains(TOKEN));

    // so slow that no message has the time: the key is made all the same, for the one that is repeated
    service.be(Answering::Slow(Duration::from_secs(3)));
    assert_eq!(send(&process, "lab", &text).await, "AE");
    repeat(&process, "lab", &text).await;
    service.be(Answering::Well);
    process.wait_ready().await;
    let rest = process.sign_in().await;
    assert_eq!(rest.results(&patient, 1).await.len(), 1);
    assert!(body(&rest, &id).await.contains(MARK));
    let nats = servers.folder().join("nats");
    assert_eq!(holders(&nats, MARK.as_bytes()), Vec::<String>::new());

    // another token is accepted from now on: the file is read anew
    service.accept_token("hvs.second");
    let (well, doctor) = said(process.config(), &["doctor"]).await;
    assert!(
        !well && doctor.contains("does not accept the token"),
        "{doctor}"
    );
    std::fs::write(&token, "hvs.second\n").unwrap();
    let (_, doctor) = said(process.config(), &["doctor"]).await;
    assert!(doctor.contains("data keys open"), "{doctor}");
    let came = service.came();
    assert!(rest.is_ready().await);
    assert_eq!(
        service.came(),
        came,
        "who asks whether the hub is ready asks nobody else"
    );
}

#[tokio::test]
async fn hub_check_says_what_is_wrong_with_the_settings_of_a_key_service_and_tells_no_token() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let process = HubProcess::start(&servers, &settings).await;
    let text = std::fs::read_to_string(process.config()).unwrap();
    let config = servers.folder().join("checked.toml");
    let transit = format!(
        "\n[encryption]\nbodies = true\n[encryption.transit]\naddress = \"https://vault.example:8200\"\nkey = \"sangam\"\ntoken = {TOKEN:?}\n"
    );
    let (config, text) = (&config, &text);
    let check = |more: String| async move {
        std::fs::write(config, format!("{text}{more}")).unwrap();
        said(config, &["check"]).await
    };
    let (good, told) = check(transit.clone()).await;
    assert!(good, "{told}");
    for (from, to, says) in [
        ("https://vault", "http://vault", "is no https:// address"),
        ("\"sangam\"", "\"a/b\"", "is no name of a key"),
        (TOKEN, "file:/there/is/none", "secret file /there/is/none"),
        (TOKEN, "env:HUB_TEST_NO_SUCH", "HUB_TEST_NO_SUCH is not set"),
        ("key = ", "ca_file = \"/no/ca.pem\"\nkey = ", "/no/ca.pem"),
        ("key = ", "mount = \"a b\"\nkey = ", "mount `a b`"),
        ("token = ", "tokens = ", "tokens"),
        (
            "bodies = true\n",
            "bodies = true\nmaster_key = \"x\"\n",
            "one of them wraps",
        ),
    ] {
        let (good, told) = check(transit.replace(from, to)).await;
        assert!(!good && told.contains(says), "{says}: {told}");
        assert!(told.contains("[encryption]") || says == "tokens", "{told}");
    }
}
