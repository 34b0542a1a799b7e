//! Permissions as `resource:action`. A route names the one it needs in its signature: `Can<PatientsRead>`.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::identity::Identity;
use crate::problem::Problem;
use crate::state::ApiState;

/// A right, at compile time.
pub(crate) trait Permission: Send + Sync + 'static {
    const NAME: &'static str;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $marker:ident = $name:literal),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub(crate) struct $marker;
            impl Permission for $marker {
                const NAME: &'static str = $name;
            }
        )+
        /// Every permission there is.
        pub const PERMISSIONS: &[&str] = &[$($name),+];
    };
}

permissions! {
    /// See patients and their identifiers.
    PatientsRead = "patients:read",
    /// Join two records of one person, and take it back.
    PatientsMerge = "patients:merge",
    /// See encounters.
    EncountersRead = "encounters:read",
    /// See orders.
    OrdersRead = "orders:read",
    /// Place and cancel orders.
    OrdersPlace = "orders:place",
    /// See results and reports.
    ResultsRead = "results:read",
    /// See what bedside devices measured.
    VitalsRead = "vitals:read",
    /// Say whose unmatched measurements are, or that they are nobody's.
    VitalsResolve = "vitals:resolve",
    /// See alarms of bedside devices: secondary notification only.
    AlarmsRead = "alarms:read",
    /// Find messages and what they did; not what stands in them.
    MessagesRead = "messages:read",
    /// Read the bytes of a message: leaves an audit row.
    MessagesBody = "messages:body",
    /// See what waits for a person.
    HeldRead = "held:read",
    /// Map codes, close held items.
    HeldResolve = "held:resolve",
    /// See the laboratory's worklists.
    WorklistsRead = "worklists:read",
    /// Say whose an unmatched report is.
    UnmatchedClaim = "unmatched:claim",
    /// Say what control material should measure.
    QcDefine = "qc:define",
    /// Accept and reject control results.
    QcDecide = "qc:decide",
    /// Verify, reject and comment results of analyzers, and have them measured again.
    ResultsVerify = "results:verify",
    /// Put on record that somebody was called about a critical value.
    CriticalsAcknowledge = "criticals:acknowledge",
    /// See dead letters.
    DeadRead = "dead:read",
    /// Replay, resend or discard dead letters.
    DeadResolve = "dead:resolve",
    /// See channels.
    ChannelsRead = "channels:read",
    /// Start, pause and stop channels.
    ChannelsControl = "channels:control",
    /// Ask what became of a command.
    CommandsRead = "commands:read",
    /// Read the audit trail.
    AuditRead = "audit:read",
    /// See incidents of the backbone.
    IncidentsRead = "incidents:read",
}

/// Stands for every permission, present and to come.
pub(crate) const ALL: &str = "*";

/// Proof that the caller is signed in and has the permission `P`.
///
/// First among a handler's arguments: a caller without the right learns nothing of the rest.
pub(crate) struct Can<P> {
    pub(crate) who: Identity,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<ApiState> for Can<P> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let who = Identity::of(parts, state)?;
        if who.may(P::NAME) {
            Ok(Self {
                who,
                permission: PhantomData,
            })
        } else {
            Err(Problem::forbidden(P::NAME))
        }
    }
}
