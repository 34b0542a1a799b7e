//! A caller of the REST API.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// Escapes a value for a query.
#[must_use]
pub fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A client of one hub, signed in or not.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
    token: Option<String>,
    /// A token lives for fifteen minutes and some tests for longer: what signs in anew, and the token it got then.
    credentials: Option<Value>,
    renewed: Arc<Mutex<Option<String>>>,
}

impl Rest {
    /// Nobody yet.
    ///
    /// # Panics
    /// Never: the client has no settings that could be wrong.
    #[must_use]
    pub fn new(api: SocketAddr) -> Self {
        let client = Client::builder()
            .timeout(Duration::from_secs(15))
            .no_proxy()
            .build()
            .expect("a plain client");
        Self {
            client,
            base: format!("http://{api}"),
            token: None,
            credentials: None,
            renewed: Arc::default(),
        }
    }

    /// Signs in; `tenant` `None`: the first of the settings.
    ///
    /// # Panics
    /// When that fails.
    pub async fn sign_in(mut self, username: &str, password: &str, tenant: Option<&str>) -> Self {
        let mut body = json!({"username": username, "password": password});
        if let Some(tenant) = tenant {
            body["tenant"] = tenant.into();
        }
        let (status, answer) = self.post("/api/v1/auth/login", &body).await;
        assert_eq!(status, 200, "{answer}");
        self.token = answer["access_token"].as_str().map(str::to_owned);
        self.credentials = Some(body);
        self.renewed = Arc::default();
        self
    }

    /// The same caller at another process of the hub.
    #[must_use]
    pub fn at(&self, api: SocketAddr) -> Self {
        Self {
            base: format!("http://{api}"),
            ..self.clone()
        }
    }

    /// The access token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// With another token.
    #[must_use]
    pub fn with_token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(str::to_owned);
        self.credentials = None;
        self.renewed = Arc::default();
        self
    }

    /// One look at `/readyz`.
    pub async fn is_ready(&self) -> bool {
        self.client
            .get(format!("{}/readyz", self.base))
            .timeout(Duration::from_secs(3))
            .send()
            .await
            .is_ok_and(|response| response.status() == StatusCode::OK)
    }

    /// A request as it comes back.
    ///
    /// # Panics
    /// When the hub does not answer.
    pub async fn response(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let send = |token: Option<String>| {
            let mut request = self
                .client
                .request(method.clone(), format!("{}{path}", self.base));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            request.send()
        };
        let renewed = || {
            self.renewed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let response = send(renewed().or_else(|| self.token.clone()))
            .await
            .expect("the API answers");
        let Some(credentials) = &self.credentials else {
            return response;
        };
        if response.status() != StatusCode::UNAUTHORIZED {
            return response;
        }
        let login = self
            .client
            .post(format!("{}/api/v1/auth/login", self.base))
            .json(credentials)
            .send()
            .await
            .expect("the API answers");
        let (_, answer) = split(login).await;
        let token = answer["access_token"].as_str().map(str::to_owned);
        self.renewed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&token);
        send(token).await.expect("the API answers")
    }

    /// Status and JSON of a GET.
    ///
    /// # Panics
    /// When the hub does not answer.
    pub async fn try_get(&self, path: &str) -> (u16, Value) {
        split(self.response(Method::GET, path, None, &[]).await).await
    }

    /// JSON of a GET that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// `items` of a GET that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"]
            .as_array()
            .expect("a page has items")
            .clone()
    }

    /// All items of all pages.
    ///
    /// # Panics
    /// When a page does not come.
    pub async fn all_items(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                None => self.get(path).await,
                Some(cursor) => {
                    self.get(&format!("{path}{joint}cursor={}", encode(cursor)))
                        .await
                }
            };
            all.extend(page["items"].as_array().cloned().unwrap_or_default());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// Status and JSON of a POST.
    ///
    /// # Panics
    /// When the hub does not answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        split(self.response(Method::POST, path, Some(body), &[]).await).await
    }

    /// A command: its answer when it was applied at once, else what became of it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn command(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(
            status == 200 || status == 202,
            "POST {path}: {status} {answer}"
        );
        if status == 200 {
            return answer;
        }
        let id = answer["command_id"]
            .as_str()
            .expect("a 202 names its command")
            .to_owned();
        crate::eventually(
            "the command is decided",
            Duration::from_secs(20),
            || async {
                let state = self.get(&format!("/api/v1/commands/{id}")).await;
                (state["state"] != "pending").then_some(state)
            },
        )
        .await
    }

    /// Bytes of a GET that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.response(Method::GET, path, None, &[]).await;
        assert_eq!(response.status(), 200, "GET {path}");
        response
            .bytes()
            .await
            .expect("the body comes whole")
            .to_vec()
    }

    /// Text of a GET, whatever its status.
    ///
    /// # Panics
    /// When the hub does not answer.
    pub async fn text(&self, path: &str) -> String {
        self.response(Method::GET, path, None, &[])
            .await
            .text()
            .await
            .unwrap_or_default()
    }

    /// Current results of a patient, once there are `count` of them (2 s is promised; a debug build gets more).
    ///
    /// # Panics
    /// When they do not come.
    pub async fn results(&self, patient: &str, count: usize) -> Vec<Value> {
        let path = format!(
            "/api/v1/results?patient_identifier={}&limit=500",
            encode(patient)
        );
        crate::eventually(
            &format!("{count} results of {patient}"),
            Duration::from_secs(20),
            || async {
                let items = self.items(&path).await;
                (items.len() >= count).then_some(items)
            },
        )
        .await
    }

    /// The newest ledger row of a control id, once it is there.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn message(&self, control_id: &str) -> Value {
        let path = format!("/api/v1/messages?control_id={}", encode(control_id));
        crate::eventually(
            &format!("the message {control_id} is in the ledger"),
            Duration::from_secs(20),
            || async { self.items(&path).await.into_iter().next() },
        )
        .await
    }
}

async fn split(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}
