//! The service here is a script: it answers what a test says and keeps what it was asked. A peer that does what the API's text says
//! is in `tests/src/transit.rs`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// What a request is answered with; `None`: nothing, ever.
type Said = Option<(u16, String)>;
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

struct Service {
    address: String,
    /// Heads and bodies.
    requests: Requests,
    _serving: JoinSet<()>,
}

impl Service {
    async fn start(answer: impl Fn(&Value) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Requests::default();
        let mut serving = JoinSet::new();
        serving.spawn({
            let (requests, answer) = (Arc::clone(&requests), Arc::new(answer));
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                    connections.spawn(async move {
                        converse(stream, &requests, &*answer).await;
                    });
                }
            }
        });
        Self {
            address,
            requests,
            _serving: serving,
        }
    }

    async fn saying(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |_| Some((status, body.clone()))).await
    }

    fn settings(&self) -> TransitSettings {
        toml::from_str(&format!(
            "address = {:?}\nkey = \"sangam\"\ntoken = \"hvs.secret\"\n",
            self.address
        ))
        .unwrap()
    }

    fn transit(&self) -> Transit {
        Transit::new(&self.settings()).unwrap()
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.requests.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: TcpStream,
    requests: &Requests,
    answer: &(impl Fn(&Value) -> Said + Sync),
) {
    let mut read = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str::<Value>(body)
        {
            break (head.to_owned(), body);
        }
    };
    requests.lock().unwrap().push((head, body.clone()));
    let Some((status, body)) = answer(&body) else {
        return std::future::pending().await;
    };
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn sealed_as(ciphertext: &str) -> String {
    json!({ "data": { "ciphertext": ciphertext, "key_version": 3 } }).to_string()
}

#[tokio::test]
async fn it_asks_as_the_api_wants_to_be_asked() {
    let service = Service::saying(200, &sealed_as("vault:v3:abc")).await;
    let mut settings = service.settings();
    settings.mount = "hospital/transit/".to_owned();
    settings.namespace = Some("/admin/hub/".to_owned());
    settings.address.push('/');
    let transit = Transit::new(&settings).unwrap();
    assert_eq!(transit.name(), "transit:admin/hub/hospital/transit/sangam");
    let demo = tenant("demo");
    let wrapped = transit.wrap(&demo, &[7; 32]).await.unwrap();
    assert_eq!(wrapped, b"vault:v3:abc");
    assert_eq!(transit.version(&wrapped), Some(3));
    transit.rewrap(&demo, b"vault:v2:old").await.unwrap();

    let asked = service.asked();
    let (head, body) = &asked[0];
    assert!(
        head.starts_with("POST /v1/hospital/transit/encrypt/sangam HTTP/1.1\r\n"),
        "{head}"
    );
    let lower = head.to_ascii_lowercase();
    for line in [
        "x-vault-token: hvs.secret",
        "x-vault-namespace: admin/hub",
        "x-vault-request: true",
        "content-type: application/json",
        &format!("host: {}", &service.address["http://".len()..]),
    ] {
        assert!(lower.contains(line), "{line}: {head}");
    }
    let context = BASE64.encode("sangam data key of demo");
    let plaintext = [&b"sangam data key of demo"[..], &[7; 32]].concat();
    assert_eq!(
        *body,
        json!({ "context": context, "plaintext": BASE64.encode(plaintext) })
    );
    transit.stay().await;
    let renewal = service.asked().pop().unwrap();
    assert!(
        renewal
            .0
            .starts_with("POST /v1/auth/token/renew-self HTTP/1.1\r\n"),
        "{renewal:?}"
    );
    let (head, body) = &asked[1];
    assert!(
        head.starts_with("POST /v1/hospital/transit/rewrap/sangam "),
        "{head}"
    );
    assert_eq!(
        *body,
        json!({ "context": context, "ciphertext": "vault:v2:old" })
    );
}

#[tokio::test]
async fn a_data_key_opens_for_its_tenant_alone() {
    // a service that decrypts whatever it is given to the key of demo, as one with a key that is not derived would
    let plaintext = BASE64.encode([&b"sangam data key of demo"[..], &[7; 32]].concat());
    let body = json!({ "data": { "plaintext": plaintext } }).to_string();
    let service = Service::saying(200, &body).await;
    let transit = service.transit();
    let wrapped = b"vault:v1:abc";
    assert_eq!(transit.unwrap(&tenant("demo"), wrapped).await, Ok([7; 32]));
    for other in ["dem", "demo1", "other"] {
        assert_eq!(
            transit.unwrap(&tenant(other), wrapped).await,
            Err(MasterError::NotMine),
            "{other}"
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_what_to_do_and_without_the_token() {
    let errors = |words: &str| json!({ "errors": [words] }).to_string();
    let plain = json!({ "data": { "plaintext": "not base64!" } }).to_string();
    for (status, body, says) in [
        (503, errors("Vault is sealed"), "unseal it"),
        (403, errors("permission denied"), "transit/rewrap/sangam"),
        (404, errors("no handler for route"), "mount or namespace"),
        (307, String::new(), "the active node"),
        (429, String::new(), "status 429"),
        (500, errors("internal error"), "internal error"),
        (200, "<html>login</html>".to_owned(), "another server"),
        (200, "{\"data\":{}}".to_owned(), "another server"),
        (200, sealed_as("abc"), "another server"),
        (200, sealed_as("vault:v:abc"), "another server"),
        (200, sealed_as("vault:v1:"), "another server"),
        (400, "<html>proxy</html>".to_owned(), "status 400"),
    ] {
        let service = Service::saying(status, &body).await;
        let failed = service.transit().wrap(&tenant("demo"), &[7; 32]).await;
        let Err(MasterError::Away(said)) = failed else {
            panic!("{status} {body}: {failed:?}");
        };
        assert!(said.contains(says), "{says}: {said}");
        assert!(said.contains(&service.address), "{said}");
        assert!(!said.contains("hvs.secret"), "{said}");
    }
    let service = Service::saying(200, &plain).await;
    let failed = service
        .transit()
        .unwrap(&tenant("demo"), b"vault:v1:abc")
        .await;
    assert!(matches!(failed, Err(MasterError::Away(_))), "{failed:?}");
    // it says no, and will say no again
    let service = Service::saying(400, &errors("encryption key not found")).await;
    let failed = service.transit().wrap(&tenant("demo"), &[7; 32]).await;
    let Err(MasterError::Refused(said)) = failed else {
        panic!("{failed:?}");
    };
    assert!(said.contains("encryption key not found"), "{said}");
    // nobody is there
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = service.settings();
    settings.address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failed = Transit::new(&settings)
        .unwrap()
        .wrap(&tenant("demo"), &[7; 32])
        .await;
    let Err(MasterError::Away(said)) = failed else {
        panic!("{failed:?}");
    };
    assert!(said.contains("start it, or correct"), "{said}");
}

#[tokio::test]
async fn one_that_does_not_answer_has_a_deadline_and_is_left_alone_for_a_moment() {
    let service = Service::start(|_| None).await;
    let transit = Transit::within(&service.settings(), Duration::from_millis(100)).unwrap();
    let demo = tenant("demo");
    let began = Instant::now();
    let Err(MasterError::Away(said)) = transit.wrap(&demo, &[7; 32]).await else {
        panic!("it has not answered");
    };
    assert!(said.contains("did not answer"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(5));
    for _ in 0..100 {
        assert_eq!(
            transit.wrap(&demo, &[7; 32]).await,
            Err(MasterError::Away(said.clone()))
        );
    }
    assert!(began.elapsed() > REST || service.asked().len() == 1);
}

#[tokio::test]
async fn a_token_that_is_written_anew_counts_from_the_next_request() {
    let service = Service::saying(200, &sealed_as("vault:v1:abc")).await;
    let file = std::env::temp_dir().join(format!("sangam-token-{}", uuid::Uuid::now_v7()));
    std::fs::write(&file, "first\n").unwrap();
    let mut settings = service.settings();
    settings.token = Secret::literal(format!("file:{}", file.display()));
    let transit = Transit::new(&settings).unwrap();
    let demo = tenant("demo");
    transit.wrap(&demo, &[7; 32]).await.unwrap();
    std::fs::write(&file, "second\n").unwrap();
    transit.wrap(&demo, &[7; 32]).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    let failed = transit.wrap(&demo, &[7; 32]).await;
    let Err(MasterError::Away(said)) = failed else {
        panic!("{failed:?}");
    };
    assert!(said.contains("[encryption.transit] token"), "{said}");
    let asked = service.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].0.contains("first") && asked[1].0.contains("second"));
}

#[test]
fn the_version_stands_in_what_was_wrapped() {
    for (wrapped, version) in [
        ("vault:v1:abc", Some(1)),
        ("vault:v12:abc:def", Some(12)),
        ("vault:v1:", None),
        ("vault:v1", None),
        ("vault:vx:abc", None),
        ("abc", None),
        ("", None),
    ] {
        assert_eq!(version_of(wrapped.as_bytes()), version, "{wrapped}");
    }
}
