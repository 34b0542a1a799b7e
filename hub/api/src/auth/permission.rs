//! Permissions as `resource:action`. A route names the one it needs in its signature: `Can<PatientsRead>`.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::identity::{Identity, Reach};
use crate::problem::Problem;
use crate::state::ApiState;

/// A right, at compile time.
pub(crate) trait Permission: Send + Sync + 'static {
    const NAME: &'static str;
    /// It shows what stands in a patient's chart: who has it at some places only, or where a relationship is demanded,
    /// sees it by the patient and not by lists.
    const CHART: bool = matches!(
        Self::NAME.as_bytes(),
        b"encounters:read" | b"orders:read" | b"results:read" | b"charts:read" | b"tasks:read"
    );
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
    /// See any chart where a care relationship is demanded (`[api] care_relationship`).
    ChartsAll = "charts:all",
    /// Open a chart in an emergency.
    GlassBreak = "glass:break",
    /// See and review who opened charts in emergencies.
    GlassReview = "glass:review",
    /// See users, their grants and sessions.
    UsersRead = "users:read",
    /// Make, change and shut out users, reset their passwords and second factors, end their sessions.
    UsersManage = "users:manage",
    /// See roles.
    RolesRead = "roles:read",
    /// Make and change roles.
    RolesManage = "roles:manage",
    /// Give and end grants.
    GrantsManage = "grants:manage",
    /// See API clients.
    ClientsRead = "clients:read",
    /// Make and change API clients and their secrets.
    ClientsManage = "clients:manage",
    /// Register and correct patients, add and end their identifiers.
    PatientsWrite = "patients:write",
    /// Restrict a patient's chart to who cares for him, lift that, and open restricted charts.
    PatientsRestrict = "patients:restrict",
    /// Say how facilities number their patients.
    NumberSeriesDefine = "number_series:define",
    /// See allergies, conditions, notes, prescriptions and documents.
    ChartsRead = "charts:read",
    /// Record allergies, and that none are known.
    AllergiesWrite = "allergies:write",
    /// Record conditions.
    ConditionsWrite = "conditions:write",
    /// Write and sign notes.
    NotesWrite = "notes:write",
    /// Write, sign and cancel prescriptions.
    PrescriptionsWrite = "prescriptions:write",
    /// File documents.
    DocumentsWrite = "documents:write",
    /// Enter and correct observations.
    VitalsRecord = "vitals:record",
    /// Order that oxygen saturation is kept at 88 to 92 %.
    OxygenTargetsOrder = "oxygen_targets:order",
    /// See tasks.
    TasksRead = "tasks:read",
    /// Say that a task was seen, and what came of it.
    TasksAct = "tasks:act",
    /// Correct results of reports by hand.
    ResultsAmend = "results:amend",
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
        let who = Identity::of(parts, state).await?;
        match allowed::<P>(&who)? {
            Reach::Everywhere if P::CHART && state.demands_relationship(&who) => {
                Err(no_relationship())
            }
            Reach::Everywhere => Ok(Self {
                who,
                permission: PhantomData,
            }),
            Reach::Places(_) | Reach::Nowhere => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "auth.scope",
                format!(
                    "this shows more than your places: it needs {} for the whole hospital; by the patient you see what is yours",
                    P::NAME
                ),
            )
            .lacking(P::NAME)),
        }
    }
}

/// Proof that the caller has the permission `P` at some place at least. A handler that takes it opens a chart with
/// [`super::chart::open`] before it shows anything.
pub(crate) struct CanSomewhere<P> {
    pub(crate) who: Identity,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<ApiState> for CanSomewhere<P> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let who = Identity::of(parts, state).await?;
        allowed::<P>(&who)?;
        Ok(Self {
            who,
            permission: PhantomData,
        })
    }
}

/// Proof that the caller is signed in, also with a password that he must change: his own affairs need no permission.
pub(crate) struct SignedIn(pub(crate) Identity);

impl FromRequestParts<ApiState> for SignedIn {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        Identity::of(parts, state).await.map(Self)
    }
}

fn allowed<P: Permission>(who: &Identity) -> Result<Reach, Problem> {
    if who.must_change_password() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "auth.password_change",
            "the password was made by somebody else: change it first at POST /api/v1/me/password",
        ));
    }
    match who.reach(P::NAME) {
        Reach::Nowhere => Err(Problem::forbidden(P::NAME)),
        reach => Ok(reach),
    }
}

/// The chart is not the caller's to open.
pub(crate) fn no_relationship() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "auth.relationship",
        "you have no relationship with this patient; in an emergency POST /api/v1/break-glass opens the chart, and is looked at",
    )
}
