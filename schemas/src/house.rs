//! The house: facilities, their departments and wards, the wards' beds. Requests to define them and to say how a bed is.
//!
//! A place is known by its codes, which never change: grants, ADT messages and encounters name it by them. Defining it again
//! changes what else is known of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::care_key;
use crate::{Body, TenantId};

/// Id of a facility.
#[must_use]
pub fn facility_id(tenant: &TenantId, code: &str) -> Uuid {
    care_key(tenant, "facility", &[&plain(code)])
}

/// Id of a department.
#[must_use]
pub fn department_id(tenant: &TenantId, facility: Uuid, code: &str) -> Uuid {
    care_key(tenant, "department", &[&facility.to_string(), &plain(code)])
}

/// Id of a ward.
#[must_use]
pub fn ward_id(tenant: &TenantId, facility: Uuid, code: &str) -> Uuid {
    care_key(tenant, "ward", &[&facility.to_string(), &plain(code)])
}

/// Id of a bed. Rooms count: two rooms may each have a bed 1.
#[must_use]
pub fn bed_id(tenant: &TenantId, ward: Uuid, room: &str, code: &str) -> Uuid {
    care_key(
        tenant,
        "ward-bed",
        &[&ward.to_string(), &plain(room), &plain(code)],
    )
}

/// Codes are compared as ADT messages' are: letter case and blanks aside.
fn plain(code: &str) -> String {
    code.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_uppercase()
}

/// `adt.facility.define`: one site of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineFacility {
    /// As PL.4 of ADT messages and grants name it.
    pub code: String,
    pub name: String,
    /// IANA name of its time zone: `Asia/Kolkata`.
    pub zone: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Only if it stands at this version; 0: only if it is new. Absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for DefineFacility {
    const NAME: &'static str = "adt.facility.define";
}

/// `adt.department.define`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineDepartment {
    pub facility_id: Uuid,
    /// As grants name it; unlike the code of any ward of another department.
    pub code: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// As for a facility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for DefineDepartment {
    const NAME: &'static str = "adt.department.define";
}

/// `adt.ward.define`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineWard {
    pub facility_id: Uuid,
    pub department_id: Uuid,
    /// As PL.1 of ADT messages and grants name it; unlike the code of another department.
    pub code: String,
    pub name: String,
    /// `general`, `private`, `icu` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// As for a facility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for DefineWard {
    const NAME: &'static str = "adt.ward.define";
}

/// `adt.bed.define`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineBed {
    pub ward_id: Uuid,
    /// As PL.3 of ADT messages names it.
    pub code: String,
    /// PL.2; absent where rooms have no names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// As for a facility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for DefineBed {
    const NAME: &'static str = "adt.bed.define";
}

/// How a bed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BedState {
    Vacant,
    Reserved,
    Occupied,
    /// Somebody left it; it is not ready for the next.
    Cleaning,
    /// Out of use.
    Blocked,
}

impl BedState {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Vacant,
        Self::Reserved,
        Self::Occupied,
        Self::Cleaning,
        Self::Blocked,
    ];

    /// The word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Reserved => "reserved",
            Self::Occupied => "occupied",
            Self::Cleaning => "cleaning",
            Self::Blocked => "blocked",
        }
    }
}

/// `adt.bed.set_state`: housekeeping and the bed desk say how an empty bed is. Patients are moved by [`crate::stays::MoveEncounter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetBedState {
    pub bed_id: Uuid,
    pub to: BedState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only if the bed stands at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for SetBedState {
    const NAME: &'static str = "adt.bed.set_state";
}
