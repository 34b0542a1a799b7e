//! Facilities, departments, wards, beds, and a ward's board.

use schemas::care::{Location, Practitioner};
use schemas::patients::HumanName;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use super::canonical;

/// A site of the hospital.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8c", "code": "MAIN", "name": "Main hospital", "zone": "Asia/Kolkata",
    "state": "active", "version": 1, "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Facility {
    pub id: Uuid,
    /// As grants and HL7 PL.4 name it.
    pub code: String,
    pub name: String,
    /// IANA.
    pub zone: String,
    /// `active`, `retired`
    pub state: String,
    /// For `If-Match`.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Facility {
    pub(crate) fn of(row: queries::FacilityRow) -> Self {
        Self {
            id: row.id,
            code: row.code,
            name: row.name,
            zone: row.zone,
            state: row.state,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

/// A department of a facility.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8d", "facility_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8c", "facility": "MAIN",
    "code": "MED", "name": "Medicine", "state": "active", "version": 1, "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Department {
    pub id: Uuid,
    pub facility_id: Uuid,
    /// Code of the facility.
    pub facility: String,
    /// As grants name it: a grant of it holds in all its wards.
    pub code: String,
    pub name: String,
    /// `active`, `retired`
    pub state: String,
    /// For `If-Match`.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Department {
    pub(crate) fn of(row: queries::DepartmentRow) -> Self {
        Self {
            id: row.id,
            facility_id: row.facility_id,
            facility: row.facility,
            code: row.code,
            name: row.name,
            state: row.state,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

/// A ward of a department.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8e", "facility_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8c", "facility": "MAIN",
    "department_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8d", "department": "MED", "code": "WARD-A", "name": "Ward A",
    "class": "general", "state": "active", "version": 1, "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Ward {
    pub id: Uuid,
    pub facility_id: Uuid,
    /// Code of the facility.
    pub facility: String,
    pub department_id: Uuid,
    /// Code of the department.
    pub department: String,
    /// As HL7 PL.1 names it; a grant may name it too.
    pub code: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `active`, `retired`
    pub state: String,
    /// For `If-Match`.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Ward {
    pub(crate) fn of(row: queries::WardRow) -> Self {
        Self {
            id: row.id,
            facility_id: row.facility_id,
            facility: row.facility,
            department_id: row.department_id,
            department: row.department,
            code: row.code,
            name: row.name,
            class: row.class,
            state: row.state,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

/// A bed, not who is in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8f", "ward_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8e", "ward": "WARD-A",
    "facility": "MAIN", "code": "12", "state": "vacant", "state_at": "2026-01-31T08:30:00Z", "retired": false, "version": 3,
    "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Bed {
    pub id: Uuid,
    pub ward_id: Uuid,
    /// Code of the ward.
    pub ward: String,
    /// Code of the facility.
    pub facility: String,
    /// As HL7 PL.3 names it.
    pub code: String,
    /// PL.2; absent where rooms have no names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// `vacant`, `reserved`, `occupied`, `cleaning`, `blocked`
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub state_at: OffsetDateTime,
    pub retired: bool,
    /// For `If-Match`. It rises with every change of state too.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Bed {
    pub(crate) fn of(row: queries::BedRow) -> Self {
        Self {
            id: row.id,
            ward_id: row.ward_id,
            ward: row.ward,
            facility: row.facility,
            code: row.code,
            room: Some(row.room).filter(|room| !room.is_empty()),
            state: row.state,
            state_reason: row.state_reason,
            state_at: row.state_at,
            retired: row.retired,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

/// Something of the house that a write made or changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8f", "version": 1, "created": true }))]
pub(crate) struct Defined {
    pub id: Uuid,
    pub version: i32,
    pub created: bool,
}

impl Defined {
    pub(crate) fn of(answer: Option<&serde_json::Value>) -> Self {
        let told = |name: &str| answer.and_then(|answer| answer.get(name));
        Self {
            id: told("id")
                .and_then(|id| id.as_str()?.parse().ok())
                .unwrap_or_default(),
            version: told("version")
                .and_then(|version| i32::try_from(version.as_i64()?).ok())
                .unwrap_or_default(),
            created: told("created").is_some_and(|created| created == true),
        }
    }
}

/// A patient on a board.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Occupant {
    pub encounter_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// Value of the identifier that the encounter names the patient by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::human_name)]
    pub name: Option<HumanName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::practitioner)]
    pub attending: Option<Practitioner>,
    /// As the encounter names the place; with those who are in no bed of the register.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub place: Option<Location>,
    /// In this bed, or kept for, since then.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<OffsetDateTime>,
    /// When the patient is expected to leave.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders: Option<i64>,
}

/// A bed on a board: of a reserved one the patient is who it is kept for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BoardBed {
    pub id: Uuid,
    pub code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// `vacant`, `reserved`, `occupied`, `cleaning`, `blocked`
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub state_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Occupant>,
}

/// A ward now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "ward": { "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8e", "facility_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8c",
        "facility": "MAIN", "department_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8d", "department": "MED", "code": "WARD-A",
        "name": "Ward A", "state": "active", "version": 1, "updated_at": "2026-01-31T08:30:00Z" },
    "vacant": 1, "reserved": 0, "occupied": 1, "cleaning": 0, "blocked": 0,
    "beds": [{ "id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8f", "code": "12", "state": "occupied",
        "state_at": "2026-01-31T08:30:00Z", "patient": { "encounter_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
            "identifier": "12345", "name": { "family": "Sharma", "given": ["Asha"] }, "stage": "admitted", "open_orders": 2 } }],
    "elsewhere": []
}))]
pub(crate) struct Board {
    pub ward: Ward,
    pub vacant: usize,
    pub reserved: usize,
    pub occupied: usize,
    pub cleaning: usize,
    pub blocked: usize,
    pub beds: Vec<BoardBed>,
    /// Patients of the ward in no bed of the register: a hospital system names one that is unknown or somebody's.
    pub elsewhere: Vec<Occupant>,
}
