//! What a route is asked with, as its first argument: by whom and with which right. Has no routes of its own; a step of one thing is
//! in `step.rs`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use hub_core::Tx;

use crate::auth::chart::Sight;
use crate::auth::identity::Identity;
use crate::auth::permission::{CanSomewhere, Permission};
use crate::command::Sender;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;

/// Who asks and may, and what he needs for it.
pub(super) struct Desk<P> {
    pub(super) state: ApiState,
    pub(super) trace: Trace,
    can: CanSomewhere<P>,
}

impl<P: Permission> FromRequestParts<ApiState> for Desk<P> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        Ok(Self {
            can: CanSomewhere::<P>::from_request_parts(parts, state).await?,
            trace: Trace::from_request_parts(parts, state).await?,
            state: state.clone(),
        })
    }
}

impl<P: Permission> Desk<P> {
    pub(super) fn who(&self) -> &Identity {
        &self.can.who
    }

    pub(super) fn actor(&self) -> String {
        self.can.who.username.clone()
    }

    pub(super) async fn tx(&self) -> Result<Tx<'static>, Problem> {
        self.state.read(&self.can.who.tenant).await
    }

    /// What he may see of restricted charts.
    pub(super) fn sight(&self) -> Sight<'_> {
        Sight::new(&self.state, &self.trace, self.who(), P::NAME)
    }

    pub(super) fn sender(&self) -> Sender<'_> {
        Sender::new(&self.state, self.who(), &self.trace)
    }

    /// Sends a command into its lane and answers with what came of it.
    pub(super) async fn apply<B: schemas::Body>(
        &self,
        lane: String,
        command: &B,
    ) -> Result<Response, Problem> {
        let written = self.sender().send(lane, command).await?;
        Ok(written.respond(Applied::with))
    }
}
