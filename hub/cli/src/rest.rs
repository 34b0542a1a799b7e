//! A client of the REST API, as `hub demo` and `hub load` use it: from outside, like any other program.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;

/// A signed-in REST client. A token lives for fifteen minutes and a load run for longer: it signs in anew then.
pub(crate) struct Rest {
    client: reqwest::Client,
    base: String,
    password: String,
    token: Mutex<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

impl Rest {
    /// Signs in as the administrator.
    pub(crate) async fn sign_in(api: SocketAddr, password: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        let base = format!("http://{api}");
        let rest = Self {
            client,
            base,
            password: password.to_owned(),
            token: Mutex::default(),
        };
        rest.renew().await?;
        Ok(rest)
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let answer = self
            .client
            .post(format!("{}/api/v1/auth/login", self.base))
            .json(&serde_json::json!({"username": "admin", "password": self.password}))
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!("sign-in refused: {}", answer.status());
        }
        let Token { access_token } = answer.json().await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = access_token;
        Ok(())
    }

    /// One request, and once more with a new token when the old one is out of date.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> anyhow::Result<reqwest::Response> {
        let token = || {
            self.token
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let answer = request(&self.client).bearer_auth(token()).send().await?;
        if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.renew().await?;
        Ok(request(&self.client).bearer_auth(token()).send().await?)
    }

    /// One GET below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let answer = self
            .send(|client| client.get(format!("{}/api/v1/{path}", self.base)))
            .await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("GET {path} answered {status}");
        }
        Ok(answer.json().await?)
    }

    /// One POST below `/api/v1`.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let answer = self
            .send(|client| {
                client
                    .post(format!("{}/api/v1/{path}", self.base))
                    .json(body)
            })
            .await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("POST {path} answered {status}");
        }
        Ok(answer.json().await.unwrap_or_default())
    }

    /// True when the report of this message can be read.
    pub(crate) async fn is_visible(&self, patient: &str, filler: &str) -> anyhow::Result<bool> {
        let page = self
            .get(&format!("results?patient_identifier={patient}&limit=500"))
            .await?;
        Ok(page.to_string().contains(filler))
    }
}
