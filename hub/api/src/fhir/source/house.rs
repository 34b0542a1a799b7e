//! The hospital: itself, its beds, its staff.

use std::collections::HashSet;

use hub_fhir::{Location, LocationKind, Meta, Organization, Practitioner};
use schemas::TenantId;
use schemas::devices::Bed;
use schemas::ids::care_key;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_clinical::queries::{self, NamedBed};
use worker_identity::queries as staff;

use super::{Found, Ground, Stretch, organization};
use crate::problem::Problem;

/// Beds of one hospital: more than any has.
const MOST_BEDS: i64 = 20_000;

/// The customer. It has no row of its own that changes, so its time is that of the first release.
pub(super) fn organizations(ground: &Ground<'_, '_>) -> Stretch {
    let tenant = ground.tenant();
    let id = organization(&tenant);
    let resource = Organization {
        id,
        meta: Meta::new(1, OffsetDateTime::UNIX_EPOCH),
        active: true,
        code: tenant.to_string(),
        name: tenant.to_string(),
        part_of: None,
    }
    .resource();
    let found = Found {
        resource,
        permission: "patients:read",
        patient: None,
        of_chart: false,
        clinic: None,
        made: None,
        place: id.to_string(),
    };
    Stretch::of(vec![found], false)
}

/// Beds in which somebody was.
pub(super) async fn locations(ground: &mut Ground<'_, '_>) -> Result<Stretch, Problem> {
    let tenant = ground.tenant();
    let rows = queries::named_beds(ground.tx.conn(), MOST_BEDS).await?;
    let found = rows.iter().map(|row| location(row, &tenant)).collect();
    Ok(Stretch::of(found, false))
}

fn location(row: &NamedBed, tenant: &TenantId) -> Found {
    let id = location_id(tenant, row.bed_key, &row.room, &row.facility);
    let mut name: Vec<String> = Vec::new();
    name.extend((!row.facility.is_empty()).then(|| row.facility.clone()));
    name.extend((!row.ward.is_empty()).then(|| row.ward.clone()));
    name.extend((!row.room.is_empty()).then(|| format!("room {}", row.room)));
    name.push(format!("bed {}", row.bed));
    let resource = Location {
        id: id.clone(),
        meta: Meta::new(1, row.first_at),
        kind: LocationKind::Bed,
        active: true,
        code: format!("{}/{}", row.ward, row.bed),
        name: name.join(", "),
        part_of: None,
        organization: Some(organization(tenant)),
    }
    .resource();
    Found {
        resource,
        permission: "encounters:read",
        patient: None,
        of_chart: false,
        clinic: None,
        made: None,
        place: id,
    }
}

fn location_id(tenant: &TenantId, bed: Uuid, room: &str, facility: &str) -> String {
    care_key(tenant, "location", &[&bed.to_string(), room, facility]).to_string()
}

/// Ids of the beds that are Locations.
pub(super) struct Beds(HashSet<String>);

impl Beds {
    /// The Location of a place, where there is one.
    pub(super) fn id_of(
        &self,
        tenant: &TenantId,
        place: &schemas::care::Location,
    ) -> Option<String> {
        let bed = Bed::of(place)?;
        let id = location_id(tenant, bed.key(tenant), &bed.room, &bed.facility);
        self.0.contains(&id).then_some(id)
    }
}

pub(super) async fn bed_ids(ground: &mut Ground<'_, '_>) -> Result<Beds, Problem> {
    let tenant = ground.tenant();
    let rows = queries::named_beds(ground.tx.conn(), MOST_BEDS).await?;
    let ids = rows
        .iter()
        .map(|row| location_id(&tenant, row.bed_key, &row.room, &row.facility));
    Ok(Beds(ids.collect()))
}

/// Staff, by user name.
pub(super) async fn practitioners(
    ground: &mut Ground<'_, '_>,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let rows = staff::users(ground.tx.conn(), None, None, after, i64::from(limit)).await?;
    let full = rows.len() >= usize::from(limit);
    Ok(Stretch::of(rows.into_iter().map(user).collect(), full))
}

pub(super) async fn practitioner(
    ground: &mut Ground<'_, '_>,
    id: &str,
) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    Ok(staff::user(ground.tx.conn(), id).await?.map(user))
}

fn user(row: staff::UserRow) -> Found {
    let resource = Practitioner {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at),
        active: row.state == "active",
        username: row.username.clone(),
        name: Some(row.display_name).filter(|name| !name.is_empty()),
    }
    .resource();
    Found {
        resource,
        permission: "users:read",
        patient: None,
        of_chart: false,
        clinic: None,
        made: None,
        place: row.username,
    }
}
