//! Where resources come from: rows of the workers' queries, turned into them. One file a domain; each walks its rows in one
//! order, page by page, and finds one by its id.

mod appointments;
mod charts;
mod clinics;
mod house;
mod laboratory;
mod links;
mod people;
mod records;
mod visits;

use hub_core::Tx;
use hub_fhir::{Kind, Provenance, Resource};
use schemas::TenantId;
use schemas::ids::care_key;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::problem::Problem;
use crate::reads::patients::Keys;

pub(crate) use charts::{content, document_kind};

/// A resource, whose it is, and where its row stands in the walk.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) resource: Resource,
    /// The permission that shows it.
    pub(crate) permission: &'static str,
    /// Whose chart it is in; absent: nobody's, or it is in no chart.
    pub(crate) patient: Option<Uuid>,
    /// Charts are asked for it.
    pub(crate) of_chart: bool,
    /// Who works here sees it without the chart.
    pub(crate) clinic: Option<Clinic>,
    pub(crate) made: Option<Made>,
    /// Place in the walk.
    pub(crate) place: String,
}

/// Where a schedule is.
#[derive(Debug, Clone)]
pub(crate) struct Clinic {
    pub(crate) facility: Option<String>,
    pub(crate) department: Option<String>,
}

/// What made the newest version.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) source: Uuid,
    pub(crate) channel: Option<String>,
    pub(crate) created: bool,
    pub(crate) at: OffsetDateTime,
}

impl Found {
    /// An order, a specimen, a report, a result of the laboratory, or where one of them came from.
    pub(crate) fn is_of_tube(&self) -> bool {
        self.of_chart && matches!(self.permission, "orders:read" | "results:read")
    }

    /// Its Provenance, where the hub knows one.
    pub(crate) fn provenance(&self, tenant: &TenantId) -> Option<Self> {
        let made = self.made.as_ref()?;
        let provenance = Provenance {
            target: self.resource.reference(),
            target_version: self.resource.meta.version.clone(),
            recorded: made.at,
            created: made.created,
            source: made.source,
            channel: made.channel.clone(),
            organization: Some(organization(tenant)),
        };
        Some(Self {
            resource: provenance.resource(),
            made: None,
            ..self.clone()
        })
    }
}

/// One person and all keys of his identifiers.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) keys: Keys,
}

/// Which rows are walked.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    People(Vec<Person>),
    /// Numbers that the rows carry.
    Numbers(Vec<String>),
    /// Numbers of tubes.
    Tubes(Vec<String>),
    /// All of them, or those that the hints lead to.
    Whole,
}

impl Scope {
    /// Keys of everybody in it.
    fn keys(&self) -> Keys {
        match self {
            Self::People(people) => people
                .iter()
                .flat_map(|person| person.keys.clone())
                .collect(),
            Self::Numbers(_) | Self::Tubes(_) | Self::Whole => Keys::new(),
        }
    }
}

/// What a source may use to walk fewer rows; what comes back is compared with the conditions anyway, unless it says otherwise.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hints {
    pub(crate) code: Option<String>,
    pub(crate) from: Option<OffsetDateTime>,
    pub(crate) to: Option<OffsetDateTime>,
    /// Words of a person's name.
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) identifier: Option<String>,
    /// Of the audit trail.
    pub(crate) action: Option<String>,
    /// The same: who did it, and records of whom it was about. The source keeps to both.
    pub(crate) actor: Option<String>,
    pub(crate) records: Option<Vec<Uuid>>,
    /// The same: keys of these persons.
    pub(crate) subjects: Vec<Uuid>,
    /// The same: its entries by their ids.
    pub(crate) entries: Option<Vec<i64>>,
    /// `laboratory`, `vital-signs`.
    pub(crate) category: Option<String>,
    pub(crate) schedule: Option<Uuid>,
    pub(crate) service: Option<String>,
    /// Slots with a free place only.
    pub(crate) free: bool,
}

/// A stretch of a walk.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    pub(crate) found: Vec<Found>,
    /// The walk goes on after this place; absent: it is at its end.
    pub(crate) next: Option<String>,
}

impl Stretch {
    /// Rows of one page: full means that there may be more.
    fn of(found: Vec<Found>, full: bool) -> Self {
        let next = found
            .last()
            .filter(|_| full)
            .map(|found| found.place.clone());
        Self { found, next }
    }
}

/// What sources stand on.
pub(crate) struct Ground<'a, 'tx> {
    pub(crate) tx: &'a mut Tx<'tx>,
    /// The caller may see results, and measurements.
    pub(crate) may_results: bool,
    pub(crate) may_vitals: bool,
    /// Where documents are: `https://hub.example`.
    pub(crate) origin: String,
}

impl Ground<'_, '_> {
    pub(crate) fn tenant(&self) -> TenantId {
        self.tx.tenant().clone()
    }
}

/// The one Organization: the customer.
pub(crate) fn organization(tenant: &TenantId) -> Uuid {
    care_key(tenant, "organization", &[])
}

/// The next rows of a type.
pub(crate) async fn walk(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    match kind {
        Kind::Patient => people::walk(ground, scope, hints, after, limit).await,
        Kind::Encounter => visits::walk(ground, scope, after, limit).await,
        Kind::ServiceRequest => laboratory::orders(ground, scope, hints, after, limit).await,
        Kind::Specimen => laboratory::specimens(ground, scope, after, limit).await,
        Kind::DiagnosticReport => laboratory::reports(ground, scope, hints, after, limit).await,
        Kind::Observation => laboratory::observations(ground, scope, hints, after, limit).await,
        Kind::Organization => Ok(house::organizations(ground)),
        Kind::Location => house::locations(ground).await,
        Kind::Practitioner => house::practitioners(ground, after, limit).await,
        Kind::AuditEvent => records::events(ground, hints, after, limit).await,
        Kind::Appointment => appointments::walk(ground, scope, hints, after, limit).await,
        Kind::Schedule => clinics::schedules(ground, hints, after, limit).await,
        Kind::Slot => clinics::slots(ground, hints, after, limit).await,
        Kind::Condition
        | Kind::AllergyIntolerance
        | Kind::MedicationRequest
        | Kind::DocumentReference => charts::walk(ground, kind, scope, hints, after, limit).await,
        _ => Ok(Stretch::default()),
    }
}

/// The newest version of one resource; whether the caller may see it is not asked here.
pub(crate) async fn one(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    id: &str,
) -> Result<Option<Found>, Problem> {
    match kind {
        Kind::Patient => people::one(ground, id).await,
        Kind::Encounter => visits::one(ground, id).await,
        Kind::ServiceRequest => laboratory::order(ground, id).await,
        Kind::Specimen => laboratory::specimen(ground, id).await,
        Kind::DiagnosticReport => laboratory::report(ground, id).await,
        Kind::Observation => Ok(laboratory::observation(ground, id).await?.pop()),
        Kind::Organization => Ok(pick(house::organizations(ground), id)),
        Kind::Location => Ok(pick(house::locations(ground).await?, id)),
        Kind::Practitioner => house::practitioner(ground, id).await,
        Kind::AuditEvent => records::event(ground, id).await,
        Kind::Appointment => appointments::one(ground, id).await,
        Kind::Schedule => clinics::schedule(ground, id).await,
        Kind::Slot => clinics::slot(ground, id).await,
        Kind::Condition
        | Kind::AllergyIntolerance
        | Kind::MedicationRequest
        | Kind::DocumentReference => charts::one(ground, kind, id).await,
        Kind::Provenance => {
            // `Patient.018f…`: one each
            let Some((kind, of)) = id.split_once('.') else {
                return Ok(None);
            };
            let Ok(kind) = kind.parse::<Kind>() else {
                return Ok(None);
            };
            if kind == Kind::Provenance {
                return Ok(None);
            }
            let tenant = ground.tenant();
            let target = Box::pin(one(ground, kind, of)).await?;
            Ok(target.and_then(|target| target.provenance(&tenant)))
        }
    }
}

/// All versions that are kept of one resource, oldest first.
pub(crate) async fn versions(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    id: &str,
) -> Result<Vec<Found>, Problem> {
    match kind {
        Kind::Observation => laboratory::observation(ground, id).await,
        Kind::Condition
        | Kind::AllergyIntolerance
        | Kind::MedicationRequest
        | Kind::DocumentReference => charts::versions(ground, kind, id).await,
        _ => Ok(one(ground, kind, id).await?.into_iter().collect()),
    }
}

fn pick(stretch: Stretch, id: &str) -> Option<Found> {
    stretch
        .found
        .into_iter()
        .find(|found| found.resource.id == id)
}
