//! An OpenTelemetry collector that takes OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/), written from the protocol's
//! text over a bare socket, with the protocol's own message types. It can be slow, refuse, or never answer.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::eventually;

/// How it treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 200.
    Taking,
    /// 200 after a while.
    Slow(Duration),
    /// This status; the spans are not taken.
    Refusing(u16),
    /// 200, and says that this many spans were not taken.
    Partly(i64),
    /// Reads the request and never answers.
    Hanging,
}

/// A span as it came.
#[derive(Debug, Clone)]
pub struct Exported {
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub name: String,
    pub kind: i32,
    pub start: u64,
    pub end: u64,
    pub failed: Option<String>,
    pub attributes: BTreeMap<String, String>,
    /// `service.name` and the like.
    pub resource: BTreeMap<String, String>,
}

impl Exported {
    /// An attribute, empty when it has none.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Seen {
    spans: Vec<Exported>,
    /// Heads of all requests, and bodies as they came.
    heads: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

/// The collector; it ends when this is dropped.
pub struct Collector {
    pub address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

impl Collector {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mood = Arc::new(Mutex::new(mood));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut serving = JoinSet::new();
        serving.spawn({
            let (mood, seen) = (Arc::clone(&mood), Arc::clone(&seen));
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(converse(stream, Arc::clone(&mood), Arc::clone(&seen)));
                }
            }
        });
        Self {
            address,
            mood,
            seen,
            _serving: serving,
        }
    }

    /// `[telemetry]` of a hub that exports to it.
    #[must_use]
    pub fn settings(&self) -> String {
        format!(
            "\n[telemetry]\notlp_endpoint = \"http://{}\"\n",
            self.address
        )
    }

    /// From the next request on.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    pub fn be(&self, mood: Mood) {
        *self.mood.lock().expect("not poisoned") = mood;
    }

    /// Requests that came, whatever became of them.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.seen.lock().expect("not poisoned").bodies.len()
    }

    /// Heads of the requests that came.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").heads.clone()
    }

    /// The spans that it has taken.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    #[must_use]
    pub fn spans(&self) -> Vec<Exported> {
        self.seen.lock().expect("not poisoned").spans.clone()
    }

    /// Spans of one trace, once `enough` says so.
    ///
    /// # Panics
    /// When it does not in time, with what there is.
    pub async fn trace(&self, trace: &str, enough: impl Fn(&[Exported]) -> bool) -> Vec<Exported> {
        let of_trace = || -> Vec<Exported> {
            let mut spans = self.spans();
            spans.retain(|span| span.trace == trace);
            spans
        };
        let deadline = Duration::from_secs(30);
        let found = tokio::time::timeout(deadline, async {
            loop {
                let spans = of_trace();
                if enough(&spans) {
                    return spans;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        });
        match found.await {
            Ok(spans) => spans,
            Err(_) => {
                let names: Vec<String> = of_trace().into_iter().map(|span| span.name).collect();
                let all: HashSet<String> = self.spans().into_iter().map(|s| s.name).collect();
                assert!(
                    names.is_empty() && all.is_empty(),
                    "trace {trace} is not complete: {names:?}; of all traces: {all:?}"
                );
                unreachable!("no span came within {deadline:?}")
            }
        }
    }

    /// All bytes that came, as text that can be searched, once the spans of at least one result's whole way are there.
    ///
    /// # Panics
    /// When none come.
    pub async fn text(&self) -> String {
        eventually(
            "spans of workers are exported",
            Duration::from_secs(30),
            || async {
                self.spans()
                    .iter()
                    .any(|span| span.name == "apply clinical")
                    .then_some(())
            },
        )
        .await;
        let seen = self.seen.lock().expect("not poisoned");
        let mut text = seen.heads.join("\n");
        for body in &seen.bodies {
            text.push_str(&String::from_utf8_lossy(body));
        }
        text
    }
}

/// Spans whose parent is not among those given: a trace that is whole has none.
#[must_use]
pub fn parents_missing(spans: &[Exported]) -> Vec<String> {
    let ids: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    spans
        .iter()
        .filter(|span| !span.parent.is_empty() && !ids.contains(span.parent.as_str()))
        .map(|span| span.name.clone())
        .collect()
}

async fn converse(mut stream: TcpStream, mood: Arc<Mutex<Mood>>, seen: Arc<Mutex<Seen>>) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = next_request(&mut stream, &mut buffer).await {
        let right = head.starts_with("POST /v1/traces HTTP/1.1\r\n")
            && head
                .to_ascii_lowercase()
                .contains("\r\ncontent-type: application/x-protobuf\r\n");
        let mood = *mood.lock().expect("not poisoned");
        let request = ExportTraceServiceRequest::decode(body.as_slice());
        let status = {
            let mut seen = seen.lock().expect("not poisoned");
            seen.heads.push(head);
            seen.bodies.push(body);
            match (right, request, mood) {
                (_, _, Mood::Refusing(status)) => status,
                (false, ..) => 404,
                (_, Err(_), _) => 400,
                (_, Ok(request), _) => {
                    if mood != Mood::Hanging {
                        seen.spans.extend(spans_of(request));
                    }
                    200
                }
            }
        };
        let mut answer = ExportTraceServiceResponse::default();
        match mood {
            Mood::Hanging => std::future::pending().await,
            Mood::Slow(pause) => tokio::time::sleep(pause).await,
            Mood::Partly(rejected_spans) => {
                answer.partial_success = Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: "too many".to_owned(),
                });
            }
            Mood::Taking | Mood::Refusing(_) => {}
        }
        let content = answer.encode_to_vec();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            content.len()
        );
        if stream
            .write_all(&[head.as_bytes(), &content].concat())
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Head and body of the next request of a connection.
pub(crate) async fn next_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end + 2]).into_owned();
            let length: usize = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().ok())?
            })?;
            let whole = end + 4 + length;
            if buffer.len() >= whole {
                let rest = buffer.split_off(whole);
                let body = buffer.split_off(end + 4);
                *buffer = rest;
                return Some((head, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn spans_of(request: ExportTraceServiceRequest) -> Vec<Exported> {
    let mut all = Vec::new();
    for group in request.resource_spans {
        let resource = texts(group.resource.unwrap_or_default().attributes);
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let status = span.status.unwrap_or_default();
            all.push(Exported {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                kind: span.kind,
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                failed: (status.code == 2).then_some(status.message),
                attributes: texts(span.attributes),
                resource: resource.clone(),
            });
        }
    }
    all
}

fn texts(
    attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>,
) -> BTreeMap<String, String> {
    attributes
        .into_iter()
        .map(|pair| {
            let text = match pair.value.and_then(|value| value.value) {
                Some(Value::StringValue(text)) => text,
                Some(Value::IntValue(number)) => number.to_string(),
                other => format!("{other:?}"),
            };
            (pair.key, text)
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
