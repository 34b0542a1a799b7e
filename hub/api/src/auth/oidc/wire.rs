//! What an identity provider is asked, over [`hub_core::https`]: JSON comes back, or nothing.

use std::path::Path;
use std::time::Duration;

use axum::http::request::Builder;
use axum::http::{Request, StatusCode, header};
use hub_core::https::{HttpsClient, HttpsError, Trust};
use serde::de::DeserializeOwned;

/// Somebody waits before a page.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the answer is not the JSON that is expected")]
    Json,
}

/// Speaks to one provider's servers.
pub(crate) struct Wire(HttpsClient);

impl Wire {
    /// Trusts whom the machine trusts, and the authorities of that file.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let trust = ca_file.map_or(Trust::Machine, Trust::MachineAnd);
        HttpsClient::new(trust, DEADLINE).map(Self)
    }

    /// GET.
    pub(crate) async fn read<T: DeserializeOwned>(&self, url: &str) -> Result<T, WireError> {
        self.ask(Request::get(url), String::new()).await
    }

    /// POST of a form; `authorization` is a whole header.
    pub(crate) async fn send_form<T: DeserializeOwned>(
        &self,
        url: &str,
        form: String,
        authorization: Option<&str>,
    ) -> Result<T, WireError> {
        let mut request =
            Request::post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        self.ask(request, form).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Builder,
        body: String,
    ) -> Result<T, WireError> {
        let request = request.body(body).map_err(|_| HttpsError::Address)?;
        let answer = self.0.ask(request).await?;
        if answer.status != StatusCode::OK {
            return Err(WireError::Status(answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|_| WireError::Json)
    }
}
