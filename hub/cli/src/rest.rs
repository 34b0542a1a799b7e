//! A client of the REST API, as `hub demo` and `hub load` use it: from outside, like any other program.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;

/// A signed-in REST client.
pub(crate) struct Rest {
    client: reqwest::Client,
    base: String,
    token: String,
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
        let answer = client
            .post(format!("{base}/api/v1/auth/login"))
            .json(&serde_json::json!({"username": "admin", "password": password}))
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!("sign-in refused: {}", answer.status());
        }
        let Token { access_token } = answer.json().await?;
        Ok(Self {
            client,
            base,
            token: access_token,
        })
    }

    /// One GET below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let answer = self
            .client
            .get(format!("{}/api/v1/{path}", self.base))
            .bearer_auth(&self.token)
            .send()
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
            .client
            .post(format!("{}/api/v1/{path}", self.base))
            .bearer_auth(&self.token)
            .json(body)
            .send()
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
