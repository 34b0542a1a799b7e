//! What a route is asked with, as its first argument: by whom and with which right, and about which thing in which version.
//! Has no routes of its own.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hub_core::Tx;
use uuid::Uuid;

use crate::auth::chart::Sight;
use crate::auth::identity::Identity;
use crate::auth::permission::{CanSomewhere, Permission};
use crate::command::Sender;
use crate::extract::Segment;
use crate::if_match::IfMatch;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;

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
}

/// A step of one thing: who takes it, the thing that its path names, and the version that he saw.
pub(super) struct Stepping<P> {
    pub(super) desk: Desk<P>,
    pub(super) id: Uuid,
    pub(super) version: Option<i32>,
}

impl<P: Permission> FromRequestParts<ApiState> for Stepping<P> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let desk = Desk::<P>::from_request_parts(parts, state).await?;
        let Segment(id) = Segment::<Uuid>::from_request_parts(parts, state).await?;
        let IfMatch(version) = IfMatch::from_request_parts(parts, state).await?;
        Ok(Self { desk, id, version })
    }
}
