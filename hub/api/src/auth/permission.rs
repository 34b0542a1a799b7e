//! Permissions as `resource:action`. A route names the one it needs in its signature: `Can<PatientsRead>`.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

use super::identity::{Identity, Reach};
use crate::looks::Look;
use crate::problem::Problem;
use crate::state::ApiState;

/// A right, at compile time.
pub(crate) trait Permission: Send + Sync + 'static {
    const NAME: &'static str;
    /// It shows what stands in a patient's chart: who has it at some places only, or where a relationship is demanded,
    /// sees it by the patient and not by lists.
    const CHART: bool = is_chart(Self::NAME);
}

/// It shows what stands in a patient's chart.
pub(crate) const fn is_chart(permission: &str) -> bool {
    matches!(
        permission.as_bytes(),
        b"encounters:read" | b"orders:read" | b"results:read" | b"charts:read" | b"tasks:read"
    )
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
    /// Say whose an unmatched report is, or that it is nobody's.
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
    /// Follow what changes; of each kind of thing only who may list it.
    ChangesRead = "changes:read",
    /// See facilities, departments, wards and beds, not who is in them.
    FacilitiesRead = "facilities:read",
    /// Define facilities, departments, wards and beds.
    FacilitiesManage = "facilities:manage",
    /// See who is in the beds of one's wards, who is in the house and who waits.
    BedsRead = "beds:read",
    /// Say that an empty bed is clean, is to be cleaned, or is out of use.
    BedsManage = "beds:manage",
    /// Open visits and ask for admissions at one's places.
    EncountersOpen = "encounters:open",
    /// Lead visits from token to done; change what else is known of encounters.
    EncountersManage = "encounters:manage",
    /// Lead stays: reserve, admit, transfer, discharge, leave, close, cancel.
    StaysManage = "stays:manage",
    /// Clear the clinical gate of a discharge.
    GatesClinical = "gates:clinical",
    /// Clear the gate of the pharmacy.
    GatesPharmacy = "gates:pharmacy",
    /// Clear the gate of billing.
    GatesBilling = "gates:billing",
    /// Clear the gate of the insurer.
    GatesTpa = "gates:tpa",
    /// See where hospital systems and the house's own register differ.
    DifferencesRead = "adt_differences:read",
    /// Close such a difference.
    DifferencesResolve = "adt_differences:resolve",
    /// See schedules and what is free in them.
    SchedulesRead = "schedules:read",
    /// Make and change schedules, leave and extra hours.
    SchedulesManage = "schedules:manage",
    /// See appointments, waiting lists and queues: those of a clinic at one's places, or a patient's.
    AppointmentsRead = "appointments:read",
    /// Book, confirm, move and cancel appointments, receive patients, keep the waiting list.
    AppointmentsBook = "appointments:book",
    /// Call the next patient, begin and end consultations.
    QueuesCall = "queues:call",
    /// See the customers of the installation and their plans; holds in the tenant `platform` only.
    TenantsRead = "tenants:read",
    /// Make, change, suspend and close customers; holds in the tenant `platform` only.
    TenantsManage = "tenants:manage",
    /// See what patients agreed to and what they ask about their data.
    PrivacyRead = "privacy:read",
    /// Put consents, withdrawals and requests about data on record, and answer them.
    PrivacyManage = "privacy:manage",
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
    /// Say that an incident is looked after.
    IncidentsAcknowledge = "incidents:acknowledge",
    /// Look up codes: ICD-10, ICD-10-CM, LOINC.
    CodesRead = "codes:read",
    /// See what was ordered on any specimen and measured of it, by the specimen, the order or the report, in restricted charts too.
    SpecimensAll = "specimens:all",
    /// Label specimens and say that they were collected.
    SpecimensCollect = "specimens:collect",
    /// Receive and reject specimens in the laboratory.
    SpecimensReceive = "specimens:receive",
    /// Give patients log-ins of their own, end them, and make new one-time passwords for them.
    PatientsLogin = "patients:login",
    /// See one's own record: of patients, by their log-in.
    OwnRecordRead = "own_record:read",
}

/// Stands for every permission, present and to come.
pub(crate) const ALL: &str = "*";

/// What is read under these tells nothing of a patient. Whatever is read under any other permission leaves a row in the audit
/// trail, also under one that comes later: it has to be put here to be left out.
const OF_NOBODY: [&str; 11] = [
    "channels:read",
    "commands:read",
    "audit:read",
    "incidents:read",
    "users:read",
    "roles:read",
    "clients:read",
    "tenants:read",
    "facilities:read",
    "schedules:read",
    "codes:read",
];

/// True when what is read under it is about patients: whatever a GET shows, and what a search by POST does.
pub(crate) fn shows_patients(method: &Method, permission: &str) -> bool {
    let reads = permission.ends_with(":read") || permission.ends_with(":body");
    (reads || matches!(*method, Method::GET | Method::HEAD)) && !OF_NOBODY.contains(&permission)
}

/// What must go on where nothing else may be written: emergencies, and the look at them afterwards.
const ALSO_SUSPENDED: [&str; 2] = ["glass:break", "glass:review"];

fn writes(method: &Method, permission: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !permission.ends_with(":read")
        && !ALSO_SUSPENDED.contains(&permission)
}

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
        match allowed::<P>(&who, parts)? {
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
        allowed::<P>(&who, parts)?;
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

fn allowed<P: Permission>(who: &Identity, parts: &Parts) -> Result<Reach, Problem> {
    if who.is_read_only() && writes(&parts.method, P::NAME) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "tenant.suspended",
            "the tenant is suspended: what it has can be read, and what instruments send is filed; nothing else is written",
        ));
    }
    if who.must_change_password() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "auth.password_change",
            "the password was made by somebody else: change it first at POST /api/v1/me/password",
        ));
    }
    match who.reach(P::NAME) {
        Reach::Nowhere => Err(Problem::forbidden(P::NAME)),
        reach => {
            // under the permission that he has: where one of several will do, not under the first that was tried
            if shows_patients(&parts.method, P::NAME) {
                Look::begin(parts, who, P::NAME);
            }
            Ok(reach)
        }
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
