//! A hub without NATS, and requests to it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use hub_api::{ApiLimits, ApiState, TokenKeys};
use hub_core::Envelope;
use hub_core::config::PasskeySettings;
use schemas::care::{Observation, ResultReceived};
use schemas::integration::{ChannelStateChanged, LinkState};
use schemas::patients::PatientReported;
use schemas::{Body as _, ChannelId, RawId, TenantId};
use serde_json::{Value, json};
use test_support::{TestDatabase, envelope, tenant};
use tokio::sync::OnceCell;
use tower::ServiceExt as _;
use uuid::Uuid;
use worker_identity::keys::{self, SigningKey};
use worker_identity::sealing::Sealer;

use super::backbone::FakeBackbone;
use super::samples::{code, identifier, person, translated};

pub(crate) const PASSWORD: &str = "correct horse battery";
/// Where passkeys are used.
pub(crate) const RP_ID: &str = "hospital.example";
pub(crate) const ORIGIN: &str = "https://app.hospital.example";
/// `[api] token_secret`
pub(crate) const SECRET: [u8; 32] = [7; 32];

/// One key pair for all houses of this process: making one takes longer than a test.
static KEY: OnceCell<SigningKey> = OnceCell::const_new();

pub(crate) async fn signing_key() -> &'static SigningKey {
    KEY.get_or_init(|| async { SigningKey::generate().await.unwrap() })
        .await
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
        Self::with(|state| state).await
    }

    /// The same, with settings of its own.
    pub(crate) async fn with(settings: impl FnOnce(ApiState) -> ApiState) -> Self {
        let database = TestDatabase::new().await;
        let mut connection = database.pool().acquire().await.unwrap();
        keys::store(&mut connection, &Sealer::new(&SECRET), signing_key().await)
            .await
            .unwrap();
        drop(connection);
        let backbone = Arc::new(FakeBackbone::new(database.pool().clone()));
        let tenant = tenant("demo");
        let state = ApiState::new(
            database.pool().clone(),
            Arc::<FakeBackbone>::clone(&backbone),
            TokenKeys::new(&SECRET).unwrap(),
            tenant.clone(),
            Arc::new(|| "hub_up 1\n".to_owned()),
            ApiLimits {
                body_bytes: 4_096,
                resend_bytes: 16_384,
                ..ApiLimits::default()
            },
        )
        .with_passkeys(Some(PasskeySettings {
            rp_id: RP_ID.to_owned(),
            origins: vec![ORIGIN.to_owned()],
        }));
        let mut house = Self {
            router: hub_api::router(settings(state)),
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
        self.write_as(&self.token, "POST", path, body).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.write_as(token, "POST", path, body).await
    }

    pub(crate) async fn write_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Answer {
        // whichever version it is, where the version is not what the test is about
        let seen = (method == "PATCH").then_some(("if-match", "*"));
        self.write_with(token, method, path, body, seen.as_slice())
            .await
    }

    pub(crate) async fn write_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// The administrator's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Makes a user over REST, who has changed his password to [`PASSWORD`]; his id and his tokens.
    pub(crate) async fn staff(&self, username: &str) -> (String, Value) {
        let made = self
            .post(
                "/api/v1/users",
                &json!({ "username": username, "display_name": "Somebody Else" }),
            )
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        let one_time = made.json["one_time_password"].as_str().unwrap();
        let first = self.sign_in(username, one_time, None).await;
        let change = json!({ "current_password": one_time, "new_password": PASSWORD });
        self.post_as(&first, "/api/v1/me/password", &change)
            .await
            .ok();
        let tokens = self
            .login(&json!({ "username": username, "password": PASSWORD }))
            .await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        (id, tokens.ok().clone())
    }

    /// Gives a role; the grant's id.
    pub(crate) async fn grant(&self, user: &str, grant: &Value) -> String {
        let given = self
            .post(&format!("/api/v1/users/{user}/grants"), grant)
            .await;
        assert_eq!(given.status, StatusCode::CREATED, "{}", given.json);
        given.json["answer"]["grant_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// An event reaches the workers.
    pub(crate) async fn event<T: schemas::Body>(&self, body: &T) -> Envelope {
        let message = envelope(&self.tenant, "/channel/demo/lab", body);
        self.backbone.deliver(message.clone()).await;
        message
    }

    /// An ORU as it arrives: raw bytes, ledger, patient, report. Returns the raw id.
    pub(crate) async fn report(&self, patient: &str, seq: u64, results: Vec<Observation>) -> Uuid {
        self.rack(&[Some(patient)], seq, &results).await
    }

    /// The same of several tubes in one message; `None` is a tube without a patient. The tubes are `A-7`, `A-7.1` …
    pub(crate) async fn rack(
        &self,
        patients: &[Option<&str>],
        seq: u64,
        results: &[Observation],
    ) -> Uuid {
        let named: Vec<&str> = patients.iter().copied().flatten().collect();
        let named = named.join("~");
        let bytes = Bytes::from(format!("MSH|^~\\&|LAB\rPID|||{named}\rOBX|{seq}\r"));
        let channel = ChannelId::new("lab").unwrap();
        let raw_id = RawId::of(&self.tenant, &channel, &bytes);
        self.backbone
            .kept
            .lock()
            .unwrap()
            .insert(("RAW".to_owned(), seq), bytes.clone());
        let number = |kind, place| match place {
            0 => format!("{kind}-{seq}"),
            place => format!("{kind}-{seq}.{place}"),
        };
        let mut arrived = translated(raw_id, seq, "", bytes.len());
        (arrived.keys.patient_number, arrived.events) = (None, Vec::new());
        let mut messages = Vec::new();
        for (place, patient) in patients.iter().enumerate() {
            arrived.keys.about_specimen(&number("A", place));
            if let Some(patient) = patient {
                arrived.keys.about_patient(patient);
                arrived.events.push(PatientReported::NAME.to_owned());
                let person = person(&self.tenant, patient);
                messages.push(envelope(&self.tenant, "/channel/demo/lab", &person));
            }
            arrived.events.push(ResultReceived::NAME.to_owned());
            let received = ResultReceived {
                channel: channel.clone(),
                subject: patient.map(|patient| identifier(&self.tenant, patient)),
                visit_number: patient.map(|_| "V-1".to_owned()),
                placer_number: None,
                filler_number: Some(number("LAB", place)),
                code: code("CHEM"),
                status: Some("F".to_owned()),
                observed_at: Some("2026-03-01T12:00:00Z".to_owned()),
                issued_at: None,
                specimen: Some(schemas::care::Specimen {
                    number: Some(number("A", place)),
                    ..schemas::care::Specimen::default()
                }),
                results: results.to_vec(),
                notes: Vec::new(),
                occurred_at: None,
            };
            messages.push(envelope(&self.tenant, "/channel/demo/lab", &received));
        }
        self.event(&arrived).await;
        for (index, mut message) in (0..).zip(messages) {
            message.id = schemas::event_id(raw_id.0, index);
            self.backbone.deliver(message).await;
        }
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
