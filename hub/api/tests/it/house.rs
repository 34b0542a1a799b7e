//! A hub without NATS: messages go to the workers at once, each with its row in the inbox.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use hub_api::{
    ApiLimits, ApiState, Backbone, BackboneError, Check, CommandOutcome, CommandRequest, KeptBody,
    Readiness, ReplayRequest, TokenKeys,
};
use hub_core::worker::Destination;
use hub_core::{Envelope, Position, Stored, Verdict, Worker};
use schemas::care::{Code, HoldReason, Observation, ResultReceived, Value as Measured};
use schemas::integration::{
    ChannelStateChanged, LinkState, MessageTranslated, SearchKeys, TranslationOutcome,
};
use schemas::patients::{Assertion, HumanName, Identifier, PatientReported};
use schemas::{ChannelId, IdentifierKey, Patch, RawId, TenantId};
use serde_json::{Value, json};
use sqlx::PgPool;
use test_support::{TestDatabase, envelope, tenant};
use tower::ServiceExt as _;
use uuid::Uuid;
use worker_clinical::ClinicalWorker;
use worker_integration::IntegrationWorker;
use worker_patient::PatientWorker;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// What the backbone does with commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Willing,
    /// On disk, and no worker is there.
    Busy,
    /// NATS is away.
    Down,
    /// A bug.
    Panicking,
}

pub(crate) struct FakeBackbone {
    pool: PgPool,
    mood: Mutex<Mood>,
    pub(crate) commands: Mutex<Vec<CommandRequest>>,
    pub(crate) kept: Mutex<HashMap<(String, u64), Bytes>>,
    pub(crate) injected: Mutex<Vec<(ChannelId, Bytes, RawId)>>,
    pub(crate) replayed: Mutex<Vec<ReplayRequest>>,
}

impl FakeBackbone {
    pub(crate) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    /// Gives a message to the worker that consumes it, and what follows to theirs.
    pub(crate) async fn deliver(&self, message: Envelope) -> CommandOutcome {
        let mut outcome = CommandOutcome::Pending;
        let mut waiting = vec![message];
        while let Some(message) = waiting.pop() {
            let Some((worker, verdict)) = self.apply(&message).await else {
                continue;
            };
            let (name, decided) = match verdict {
                Verdict::Applied { outgoing, answer } => {
                    for one in outgoing {
                        if let Destination::Catalogue { name, version, .. } = one.to {
                            waiting.push(Envelope {
                                id: one.id,
                                name: name.to_owned(),
                                version,
                                body: one.body.into(),
                                ..message.clone()
                            });
                        }
                    }
                    ("applied", CommandOutcome::Applied { answer })
                }
                Verdict::Unchanged => ("unchanged", CommandOutcome::Applied { answer: None }),
                Verdict::Refused(refusal) => (
                    "refused",
                    CommandOutcome::Refused {
                        code: refusal.code.to_owned(),
                        detail: refusal.detail,
                    },
                ),
            };
            self.enter(&message, worker, name, &decided).await;
            if outcome == CommandOutcome::Pending {
                outcome = decided;
            }
        }
        outcome
    }

    async fn apply(&self, message: &Envelope) -> Option<(&'static str, Verdict)> {
        let mut tx = hub_core::Tx::begin(&self.pool, &message.tenant)
            .await
            .unwrap();
        let batch = std::slice::from_ref(message);
        let name = message.name.as_str();
        let (worker, verdicts) = if PatientWorker::CONSUMES.contains(&name) {
            (
                PatientWorker::NAME,
                PatientWorker.apply(&mut tx, batch).await,
            )
        } else if ClinicalWorker::CONSUMES.contains(&name) {
            (
                ClinicalWorker::NAME,
                ClinicalWorker.apply(&mut tx, batch).await,
            )
        } else if IntegrationWorker::CONSUMES.contains(&name) {
            (
                IntegrationWorker::NAME,
                IntegrationWorker.apply(&mut tx, batch).await,
            )
        } else {
            return None;
        };
        let verdict = verdicts.unwrap().remove(0);
        tx.commit().await.unwrap();
        Some((worker, verdict))
    }

    /// As the runner does (hub/core, worker/transaction.rs).
    async fn enter(&self, message: &Envelope, worker: &str, outcome: &str, told: &CommandOutcome) {
        let answer = match told {
            CommandOutcome::Applied { answer } => json!({ "status": "applied", "answer": answer }),
            CommandOutcome::Refused { code, detail } => {
                json!({ "status": "refused", "code": code, "detail": detail })
            }
            CommandOutcome::Pending => Value::Null,
        };
        let mut tx = hub_core::Tx::begin(&self.pool, &message.tenant)
            .await
            .unwrap();
        sqlx::query(
            "insert into integration.inbox (tenant_id, event_id, worker, outcome, answer) values ($1, $2, $3, $4, $5)",
        )
        .bind(message.tenant.as_str())
        .bind(message.id)
        .bind(worker)
        .bind(outcome)
        .bind(answer)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
}

#[async_trait]
impl Backbone for FakeBackbone {
    async fn command(
        &self,
        command: CommandRequest,
        wait: Duration,
    ) -> Result<CommandOutcome, BackboneError> {
        assert!(wait <= Duration::from_secs(2));
        match self.mood() {
            Mood::Down => return Err(BackboneError::Unavailable("not connected".to_owned())),
            Mood::Panicking => panic!("patient 12345 must not leak"),
            Mood::Busy | Mood::Willing => {}
        }
        self.commands.lock().unwrap().push(command.clone());
        if self.mood() == Mood::Busy {
            return Ok(CommandOutcome::Pending);
        }
        let mut message = envelope(&command.tenant, "/api", &Empty {});
        message.id = command.id;
        message.name = command.name.to_owned();
        message.body = command.body.into();
        Ok(self.deliver(message).await)
    }

    async fn kept_body(
        &self,
        _: &TenantId,
        stream: &str,
        position: Position,
    ) -> Result<Option<KeptBody>, BackboneError> {
        let kept = self.kept.lock().unwrap();
        Ok(kept
            .get(&(stream.to_owned(), position.seq))
            .map(|bytes| KeptBody {
                bytes: bytes.clone(),
                content_type: "application/octet-stream".to_owned(),
                notes: vec!["noise before the frame".to_owned()],
            }))
    }

    async fn inject(
        &self,
        _: &TenantId,
        channel: &ChannelId,
        bytes: Bytes,
        parent: RawId,
        request: Uuid,
    ) -> Result<Stored, BackboneError> {
        let id = RawId::child(parent, request, &bytes);
        self.injected
            .lock()
            .unwrap()
            .push((channel.clone(), bytes, parent));
        Ok(Stored {
            id,
            position: Position::default(),
        })
    }

    async fn replay(&self, replay: ReplayRequest) -> Result<(), BackboneError> {
        self.replayed.lock().unwrap().push(replay);
        Ok(())
    }

    async fn attachment(&self, _: &TenantId, sha256: &str) -> Result<Option<Bytes>, BackboneError> {
        Ok((sha256 == ATTACHMENT).then(|| Bytes::from_static(b"%PDF-1.7")))
    }

    async fn readiness(&self) -> Readiness {
        Readiness {
            nats: match self.mood() {
                Mood::Down => Check::Failing("not connected".to_owned()),
                _ => Check::Ok,
            },
            postgres: Check::Ok,
            migrations: Check::Ok,
        }
    }
}

/// Digest of the one attachment that the fake object store has.
pub(crate) const ATTACHMENT: &str =
    "6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72";

#[derive(serde::Serialize, serde::Deserialize)]
struct Empty {}
impl schemas::Body for Empty {
    const NAME: &'static str = "none.none.none";
}

/// A response, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    /// Null when the body is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's code, after a look at its form.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{}", self.json);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["status"], status);
        let trace = self.json["trace_id"].as_str().unwrap();
        assert!(self.header("traceparent").contains(trace));
        for member in ["type", "title", "detail", "instance"] {
            assert!(self.json[member].is_string(), "{member}: {}", self.json);
        }
        self.json["code"].as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> &Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        &self.json
    }

    #[track_caller]
    pub(crate) fn items(&self) -> &Vec<Value> {
        self.ok()["items"].as_array().unwrap()
    }
}

pub(crate) struct House {
    pub(crate) database: TestDatabase,
    pub(crate) backbone: Arc<FakeBackbone>,
    pub(crate) router: Router,
    pub(crate) tenant: TenantId,
    token: String,
}

impl House {
    /// A hub with an administrator who is signed in.
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::new().await;
        let backbone = Arc::new(FakeBackbone {
            pool: database.pool().clone(),
            mood: Mutex::new(Mood::Willing),
            commands: Mutex::default(),
            kept: Mutex::default(),
            injected: Mutex::default(),
            replayed: Mutex::default(),
        });
        let tenant = tenant("demo");
        let state = ApiState::new(
            database.pool().clone(),
            Arc::<FakeBackbone>::clone(&backbone),
            TokenKeys::new(&[7; 32]).unwrap(),
            tenant.clone(),
            Arc::new(|| "hub_up 1\n".to_owned()),
            ApiLimits {
                body_bytes: 4_096,
                resend_bytes: 16_384,
                ..ApiLimits::default()
            },
        );
        let mut house = Self {
            router: hub_api::router(state),
            database,
            backbone,
            tenant,
            token: String::new(),
        };
        hub_api::bootstrap_admin(
            house.database.pool(),
            &house.tenant,
            Some(PASSWORD.to_owned()),
        )
        .await
        .unwrap();
        house.token = house.sign_in("admin", PASSWORD, None).await;
        house.backbone.commands.lock().unwrap().clear();
        house
    }

    pub(crate) async fn sign_in(&self, user: &str, password: &str, tenant: Option<&str>) -> String {
        let mut body = json!({ "username": user, "password": password });
        if let Some(tenant) = tenant {
            body["tenant"] = json!(tenant);
        }
        let answer = self.login(&body).await;
        answer.ok()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn login(&self, body: &Value) -> Answer {
        self.send(
            Request::post("/api/v1/auth/login")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
        )
        .await
    }

    /// A user with these permissions only, signed in.
    pub(crate) async fn user(&self, tenant: &TenantId, permissions: &[&str]) -> String {
        hub_api::bootstrap_admin(self.database.pool(), tenant, Some(PASSWORD.to_owned()))
            .await
            .unwrap();
        let mut tx = self.database.tx(tenant).await;
        sqlx::query(
            "insert into users.users (tenant_id, id, username, password_hash, permissions)
             select tenant_id, gen_random_uuid(), 'nurse', password_hash, $1 from users.users where username = 'admin'
             on conflict (tenant_id, username) do update set permissions = $1",
        )
        .bind(permissions)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
        self.sign_in("nurse", PASSWORD, Some(tenant.as_str())).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.token, path).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(
            Request::get(path)
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            Request::post(path)
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
        )
        .await
    }

    /// An event reaches the workers.
    pub(crate) async fn event<T: schemas::Body>(&self, body: &T) -> Envelope {
        let message = envelope(&self.tenant, "/channel/demo/lab", body);
        self.backbone.deliver(message.clone()).await;
        message
    }

    /// An ORU as it arrives: raw bytes, ledger, patient, report. Returns the raw id.
    pub(crate) async fn report(&self, patient: &str, seq: u64, results: Vec<Observation>) -> Uuid {
        let bytes = Bytes::from(format!("MSH|^~\\&|LAB\rPID|||{patient}\rOBX|{seq}\r"));
        let channel = ChannelId::new("lab").unwrap();
        let raw_id = RawId::of(&self.tenant, &channel, &bytes);
        self.backbone
            .kept
            .lock()
            .unwrap()
            .insert(("RAW".to_owned(), seq), bytes.clone());
        self.event(&translated(raw_id, seq, patient, bytes.len()))
            .await;
        let mut person = envelope(
            &self.tenant,
            "/channel/demo/lab",
            &person(&self.tenant, patient),
        );
        person.id = schemas::event_id(raw_id.0, 0);
        self.backbone.deliver(person).await;
        let received = ResultReceived {
            channel,
            subject: Some(identifier(&self.tenant, patient)),
            visit_number: Some("V-1".to_owned()),
            placer_number: None,
            filler_number: Some(format!("LAB-{seq}")),
            code: code("CHEM"),
            status: Some("F".to_owned()),
            observed_at: Some("2026-03-01T12:00:00Z".to_owned()),
            issued_at: None,
            specimen: Some(schemas::care::Specimen {
                number: Some(format!("A-{seq}")),
                ..schemas::care::Specimen::default()
            }),
            results,
            notes: Vec::new(),
            occurred_at: None,
        };
        let mut result = envelope(&self.tenant, "/channel/demo/lab", &received);
        result.id = schemas::event_id(raw_id.0, 1);
        self.backbone.deliver(result).await;
        raw_id.0
    }

    /// The edge says that the channel `lab` listens.
    pub(crate) async fn listening(&self) {
        self.event(&ChannelStateChanged {
            channel: ChannelId::new("lab").unwrap(),
            kind: "hl7v2".to_owned(),
            state: LinkState::Listening,
            connections: 0,
            address: "127.0.0.1:2575".to_owned(),
            error: None,
            at: "2026-03-01T12:00:00Z".to_owned(),
        })
        .await;
    }
}

pub(crate) fn translated(raw_id: RawId, seq: u64, patient: &str, size: usize) -> MessageTranslated {
    MessageTranslated {
        raw_id,
        channel: ChannelId::new("lab").unwrap(),
        stream_seq: seq,
        index: 0,
        received_at: time::OffsetDateTime::now_utc()
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap(),
        size: u32::try_from(size).unwrap(),
        peer: Some("10.0.0.7:50122".to_owned()),
        outcome: TranslationOutcome::Translated,
        keys: SearchKeys {
            patient_number: Some(patient.to_owned()),
            accession: Some(format!("A-{seq}")),
            control_id: Some(format!("MSG{seq}")),
            message_type: Some("ORU^R01".to_owned()),
            ..SearchKeys::default()
        },
        events: vec![
            "patients.patient.reported".to_owned(),
            "lis.result.received".to_owned(),
        ],
        unmapped: vec!["PV1-18".to_owned()],
        notes: Vec::new(),
        parent: None,
    }
}

pub(crate) fn identifier(tenant: &TenantId, value: &str) -> Identifier {
    Identifier {
        key: IdentifierKey::of(tenant, "HOSP", value),
        system: "HOSP".to_owned(),
        value: value.to_owned(),
        kind: Some("MR".to_owned()),
    }
}

pub(crate) fn person(tenant: &TenantId, number: &str) -> PatientReported {
    PatientReported {
        assertion: Assertion::Asserted,
        identifiers: vec![identifier(tenant, number)],
        name: Patch::Set(HumanName {
            family: Some("Sharma".to_owned()),
            given: vec!["Asha".to_owned()],
            ..HumanName::default()
        }),
        other_names: Vec::new(),
        birth_date: Patch::Set("1980-05-17".to_owned()),
        sex: Patch::Keep,
        telecoms: Patch::Keep,
        addresses: Patch::Keep,
        mother_maiden_name: Patch::Keep,
        marital_status: Patch::Keep,
        deceased: Patch::Keep,
        occurred_at: None,
    }
}

pub(crate) fn code(text: &str) -> Code {
    Code {
        code: text.to_owned(),
        text: None,
        system: None,
    }
}

/// A number that no table explains.
pub(crate) fn uncoded(name: &str, value: &str) -> Observation {
    Observation {
        held: Some(HoldReason::UnknownCode),
        mapped: None,
        ..coded(name, value)
    }
}

/// A number with its LOINC code.
pub(crate) fn coded(name: &str, value: &str) -> Observation {
    Observation {
        code: code(name),
        alternate: None,
        sub_id: None,
        value_type: Some("NM".to_owned()),
        value: Measured::Quantity {
            comparator: None,
            number: value.to_owned(),
        },
        raw_value: Some(value.to_owned()),
        unit: Some("mg/dl".to_owned()),
        range: None,
        flags: vec!["H".to_owned()],
        status: Some("F".to_owned()),
        observed_at: None,
        device: None,
        notes: Vec::new(),
        mapped: Some(schemas::care::Mapped {
            loinc: "2345-7".to_owned(),
            display: Some("Glucose".to_owned()),
            ucum: Some("mg/dL".to_owned()),
            factor: None,
        }),
        held: None,
    }
}
