//! What a route about a person's account is asked with: by its owner, or by an administrator about the user that the path names.
//! Has no routes of its own.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use hub_core::Tx;
use uuid::Uuid;
use worker_identity::queries::{self, UserRow};

use super::me::user_of;
use crate::auth::identity::Identity;
use crate::auth::permission::{Can, Permission, SignedIn};
use crate::auth::sign_in;
use crate::command::{Sender, Written};
use crate::extract::Segment;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;

/// Who asks, and about whose account.
pub(super) struct Account {
    pub(super) state: ApiState,
    pub(super) trace: Trace,
    pub(super) who: Identity,
    pub(super) user: Uuid,
}

impl Account {
    pub(super) fn actor(&self) -> String {
        self.who.username.clone()
    }

    pub(super) async fn tx(&self) -> Result<Tx<'static>, Problem> {
        self.state.read(&self.who.tenant).await
    }

    /// Asks for a change of the account.
    pub(super) async fn send<B: schemas::Body>(&self, command: &B) -> Result<Written, Problem> {
        self.sender()
            .send(sign_in::aggregate(self.user), command)
            .await
    }

    /// The same for a change of what its owner may do, or of how he comes in.
    pub(super) async fn send_access<B: schemas::Body>(
        &self,
        command: &B,
    ) -> Result<Written, Problem> {
        self.sender()
            .send_access(sign_in::aggregate(self.user), command)
            .await
    }

    fn sender(&self) -> Sender<'_> {
        Sender::new(&self.state, &self.who, &self.trace)
    }

    /// Its owner.
    pub(super) async fn known(&self) -> Result<UserRow, Problem> {
        let mut tx = self.tx().await?;
        queries::user(tx.conn(), self.user)
            .await?
            .ok_or_else(no_user)
    }

    /// Whoever makes a password for somebody can sign in as him, and whoever renames him or throws him out hinders him: so nobody
    /// does it to one who may do more.
    pub(super) async fn outranks(&self) -> Result<(), Problem> {
        // he may do what he may do; where it holds at some places only, `may_all` would say that he may not
        if self.is_own() {
            return Ok(());
        }
        let standing = {
            let mut tx = self.tx().await?;
            queries::standing(tx.conn(), self.user)
                .await?
                .ok_or_else(no_user)?
        };
        let held = standing
            .direct
            .iter()
            .chain(standing.grants.iter().flat_map(|grant| &grant.permissions));
        if self.who.may_all(held) {
            Ok(())
        } else {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "users.outranked",
                "this user may do things that you may not; ask somebody who may",
            ))
        }
    }

    /// The same for what makes or removes ways in. His own are at `/me`, where he proves that it is he: with a token that he found
    /// nobody goes around that.
    pub(super) async fn outranks_another(&self) -> Result<(), Problem> {
        if self.is_own() {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "users.own_not_allowed",
                "your own ways in are at /api/v1/me; an administrator does this for others",
            ));
        }
        self.outranks().await
    }

    fn is_own(&self) -> bool {
        self.who.user_id() == Some(self.user)
    }
}

fn no_user() -> Problem {
    Problem::unknown("users.unknown", "no user has this id")
}

/// The caller's own account, also with a password that he must change. A program has none.
pub(super) struct Own(pub(super) Account);

impl FromRequestParts<ApiState> for Own {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let SignedIn(who) = SignedIn::from_request_parts(parts, state).await?;
        Ok(Self(Account {
            user: user_of(&who)?,
            trace: Trace::from_request_parts(parts, state).await?,
            state: state.clone(),
            who,
        }))
    }
}

/// The account of the user that the path names, and proof that the caller has the permission `P` in the whole hospital.
pub(super) struct OfUser<P> {
    pub(super) account: Account,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<ApiState> for OfUser<P> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let who = Can::<P>::from_request_parts(parts, state).await?.who;
        let Segment(user) = Segment::<Uuid>::from_request_parts(parts, state).await?;
        Ok(Self {
            account: Account {
                trace: Trace::from_request_parts(parts, state).await?,
                state: state.clone(),
                who,
                user,
            },
            permission: PhantomData,
        })
    }
}
