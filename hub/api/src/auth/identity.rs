//! The caller: who his token says he is, and what he may do at this moment.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header, request::Parts};
use schemas::TenantId;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_identity::network::Network;
use worker_identity::queries::{ClientRow, HeldGrant, Standing};

use super::access::Access;
use super::permission::ALL;
use super::sign_in::by_password;
use super::tokens::{self, Bearer, Kind, Purpose};
use crate::observe::ActorSlot;
use crate::problem::Problem;
use crate::state::ApiState;

/// A signed-in caller.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) tenant: TenantId,
    /// Name that commands, audit rows and log lines carry; a client's begins with `client:`.
    pub(crate) username: String,
    pub(crate) id: Uuid,
    pub(crate) session: Option<Uuid>,
    /// RFC 8176: how he proved who he is.
    pub(crate) amr: Vec<String>,
    admitted: Admitted,
    rights: Rights,
}

#[derive(Debug, Clone)]
enum Rights {
    User(Arc<Standing>),
    Client {
        row: Arc<ClientRow>,
        scope: Vec<String>,
    },
}

/// A facility, or a department of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) facility: String,
    pub(crate) department: Option<String>,
}

/// Where a permission holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    Nowhere,
    Places(Vec<Place>),
    Everywhere,
}

/// What was found of the caller when the request came in ([`crate::caller`]).
#[derive(Debug, Clone)]
pub(crate) struct Known(pub(crate) Result<Identity, Problem>);

impl Identity {
    /// Reads and checks the bearer token, and looks up where its bearer stands; once for a request.
    pub(crate) async fn of(parts: &Parts, state: &ApiState) -> Result<Self, Problem> {
        if let Some(Known(found)) = parts.extensions.get::<Known>() {
            return found.clone();
        }
        Self::look_up(parts, state).await
    }

    /// The same, asked anew: for who stays connected.
    pub(crate) async fn look_up(parts: &Parts, state: &ApiState) -> Result<Self, Problem> {
        let token = bearer_token(parts)?;
        let bearer = tokens::verify(&state.keys, &state.pool, token, Purpose::Access)
            .await?
            .ok_or_else(not_valid)?;
        let admitted = admitted(state, &bearer.tenant).await?;
        let mut identity = match bearer.kind {
            Kind::User => Self::of_user(state, bearer).await?,
            Kind::Client => Self::of_client(state, bearer, peer_of(parts)).await?,
        };
        identity.admitted = admitted;
        if let Some(slot) = parts.extensions.get::<ActorSlot>() {
            let _ = slot.0.set(identity.username.clone());
        }
        Ok(identity)
    }

    async fn of_user(state: &ApiState, bearer: Bearer) -> Result<Self, Problem> {
        let standing = Access::user(state, &bearer.tenant, bearer.id)
            .await?
            .filter(|standing| standing.state == "active")
            .ok_or_else(not_valid)?;
        let ended = bearer
            .session
            .is_some_and(|session| standing.ended_sessions.contains(&session));
        if ended {
            return Err(Problem::unauthenticated("the session was ended"));
        }
        Ok(Self {
            tenant: bearer.tenant,
            username: standing.username.clone(),
            id: bearer.id,
            session: bearer.session,
            amr: bearer.amr,
            admitted: Admitted::default(),
            rights: Rights::User(standing),
        })
    }

    async fn of_client(
        state: &ApiState,
        bearer: Bearer,
        peer: Option<IpAddr>,
    ) -> Result<Self, Problem> {
        let row = Access::client(state, &bearer.tenant, bearer.id)
            .await?
            .filter(|row| row.state == "active")
            .ok_or_else(not_valid)?;
        if !may_come_from(&row, peer) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "auth.network",
                "this client may not come from this address",
            ));
        }
        Ok(Self {
            tenant: bearer.tenant,
            username: client_actor(&row.name),
            id: bearer.id,
            session: None,
            amr: bearer.amr,
            admitted: Admitted::default(),
            rights: Rights::Client {
                row,
                scope: bearer.scope,
            },
        })
    }

    /// Nothing may be written: the tenant is suspended.
    pub(crate) fn is_read_only(&self) -> bool {
        self.admitted.read_only
    }

    /// Requests a minute that the tenant's plan has.
    pub(crate) fn plan_rate(&self) -> Option<u32> {
        self.admitted.plan_rate
    }

    /// The user's id; programs have none.
    pub(crate) fn user_id(&self) -> Option<Uuid> {
        matches!(self.rights, Rights::User(_)).then_some(self.id)
    }

    /// A one-time password was used: nothing but changing it is allowed. Whoever came in without a password has none to change.
    pub(crate) fn must_change_password(&self) -> bool {
        matches!(&self.rights, Rights::User(standing) if standing.must_change)
            && by_password(&self.amr)
    }

    /// True when the caller has the permission in the whole tenant.
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.reach(permission) == Reach::Everywhere
    }

    /// Where the caller has the permission now.
    pub(crate) fn reach(&self, permission: &str) -> Reach {
        let covers = |held: &String| held == permission || held == ALL;
        match &self.rights {
            Rights::Client { row, scope } => {
                let asked = scope.is_empty() || scope.iter().any(|one| one == permission);
                if asked && row.permissions.iter().any(covers) {
                    Reach::Everywhere
                } else {
                    Reach::Nowhere
                }
            }
            Rights::User(standing) => {
                if standing.direct.iter().any(covers) {
                    return Reach::Everywhere;
                }
                let now = OffsetDateTime::now_utc();
                let mut places = Vec::new();
                for grant in in_force(standing, now) {
                    if !grant.permissions.iter().any(covers) {
                        continue;
                    }
                    match place_of(grant) {
                        None => return Reach::Everywhere,
                        Some(place) => places.push(place),
                    }
                }
                if places.is_empty() {
                    Reach::Nowhere
                } else {
                    Reach::Places(places)
                }
            }
        }
    }

    /// The places where the caller has the permission, also beside one for the whole hospital.
    pub(crate) fn places(&self, permission: &str) -> Vec<Place> {
        let Rights::User(standing) = &self.rights else {
            return Vec::new();
        };
        in_force(standing, OffsetDateTime::now_utc())
            .filter(|grant| {
                grant
                    .permissions
                    .iter()
                    .any(|held| held == permission || held == ALL)
            })
            .filter_map(place_of)
            .collect()
    }

    /// True when the caller has all of these in the whole tenant: nobody gives what he does not have.
    pub(crate) fn may_all<'a>(&self, permissions: impl IntoIterator<Item = &'a String>) -> bool {
        self.may(ALL)
            || permissions
                .into_iter()
                .all(|one| one != ALL && self.may(one))
    }

    /// Patients whose glass the caller has broken, and it still is.
    pub(crate) fn broke_glass_of(&self, patients: &[Uuid]) -> bool {
        let now = OffsetDateTime::now_utc();
        matches!(&self.rights, Rights::User(standing)
            if standing.broken_glass.iter().any(|(patient, until)| *until > now && patients.contains(patient)))
    }

    /// Requests a minute that a program was made with; people have the configuration's.
    pub(crate) fn rate(&self) -> Option<u32> {
        match &self.rights {
            Rights::Client { row, .. } => Some(u32::try_from(row.rate_per_minute).unwrap_or(1)),
            Rights::User(_) => None,
        }
    }

    /// Each permission and where it holds, for the caller's own eyes.
    pub(crate) fn held(&self) -> Vec<(String, Option<Place>)> {
        let mut held: Vec<(String, Option<Place>)> = match &self.rights {
            Rights::Client { row, scope } => row
                .permissions
                .iter()
                .filter(|one| scope.is_empty() || scope.contains(one))
                .map(|one| (one.clone(), None))
                .collect(),
            Rights::User(standing) => {
                let direct = standing.direct.iter().map(|one| (one.clone(), None));
                let granted = in_force(standing, OffsetDateTime::now_utc()).flat_map(|grant| {
                    let place = place_of(grant);
                    grant
                        .permissions
                        .iter()
                        .map(move |one| (one.clone(), place.clone()))
                });
                direct.chain(granted).collect()
            }
        };
        let order = |place: &Option<Place>| {
            place
                .as_ref()
                .map(|place| (place.facility.clone(), place.department.clone()))
        };
        held.sort_by_key(|(permission, place)| (permission.clone(), order(place)));
        held.dedup();
        held
    }
}

/// What holds for all who come from a tenant.
#[derive(Debug, Clone, Copy, Default)]
struct Admitted {
    read_only: bool,
    plan_rate: Option<u32>,
}

/// May people of this tenant come in, and under which conditions? A tenant that is on no list is one of the configuration that
/// the start has not written down yet.
async fn admitted(state: &ApiState, tenant: &TenantId) -> Result<Admitted, Problem> {
    let found = Access::tenant(state, tenant).await?;
    let Some(row) = &*found else {
        return Ok(Admitted::default());
    };
    if !row.state().is_open() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "tenant.closed",
            format!("the tenant is {}", row.state().as_str()),
        ));
    }
    Ok(Admitted {
        read_only: !row.state().takes_writes(),
        plan_rate: row.limit("api_per_minute"),
    })
}

fn in_force(standing: &Standing, now: OffsetDateTime) -> impl Iterator<Item = &HeldGrant> {
    standing
        .grants
        .iter()
        .filter(move |grant| grant.starts_at <= now && grant.ends_at.is_none_or(|end| end > now))
}

fn place_of(grant: &HeldGrant) -> Option<Place> {
    grant.facility.clone().map(|facility| Place {
        facility,
        department: grant.department.clone(),
    })
}

/// How a program is named in commands and in the trail: no user's name holds a colon.
pub(crate) fn client_actor(name: &str) -> String {
    format!("client:{name}")
}

fn not_valid() -> Problem {
    Problem::unauthenticated("the token is not valid or has expired")
}

/// From this address? An address that is not known is none of the allowed ones.
pub(crate) fn may_come_from(row: &ClientRow, peer: Option<IpAddr>) -> bool {
    row.allowed_from.is_empty()
        || peer.is_some_and(|peer| {
            row.allowed_from
                .iter()
                .filter_map(|text| Network::parse(text))
                .any(|network| network.contains(peer))
        })
}

/// Address of the caller, if the listener told it. Headers that claim another are not believed.
pub(crate) fn peer_of(parts: &Parts) -> Option<IpAddr> {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(peer)| peer.ip())
}

fn bearer_token(parts: &Parts) -> Result<&str, Problem> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| Problem::unauthenticated("this needs a bearer token"))?;
    if values.next().is_some() {
        return Err(Problem::unauthenticated(
            "more than one authorization header",
        ));
    }
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Problem::unauthenticated("this needs a bearer token"))
}
