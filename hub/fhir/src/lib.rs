//! FHIR R4: from our own plain structs to resources and back, and a check of both with the types of fhir-sdk.
//!
//! The one place that knows fhir-sdk. Pure: no clock, no I/O, no Postgres; it knows `schemas` and nothing else of ours.
//! Resources are built as JSON by the small grammar of [`element`], because the numbers of a laboratory must keep the digits
//! that were sent (`5.10`) and fhir-sdk holds an `f64`; [`check`] then reads each with fhir-sdk's types, and refuses what
//! they can't hold or would silently drop (specs/hl7-fhir.md §2). No profile is claimed.

mod audit;
mod booked;
mod bundle;
mod capability;
mod chart;
mod check;
mod clinic;
mod document;
mod element;
mod encounter;
mod entered;
mod filed;
mod laboratory;
mod medication;
mod observation;
mod order;
mod outcome;
mod patient;
mod place;
mod prescribed;
mod provenance;
mod reading;
mod recorded;
mod registered;
mod resource;
mod schedule;
mod systems;
mod visited;
mod wire;

pub use audit::AuditEvent;
pub use booked::{BookingRequest, read_booking, slot_of};
pub use bundle::{Bundle, BundleKind, Entry, Mode};
pub use capability::{Capability, Served, ServedParam};
pub use chart::{Allergy, Condition, Reaction};
pub use check::{Unfit, check};
pub use clinic::{Schedule, Slot};
pub use document::{Document, Part};
pub use element::Written;
pub use encounter::{DEPARTMENT, EXPECTED_AT, Encounter, MEDICO_LEGAL, PAYER, Stay, WARD_CLASS};
pub use entered::{
    OXYGEN_SCALE, PREGNANT, VitalCorrection, VitalRequest, read_correction, read_vital,
};
pub use filed::{DocumentRequest, read_document};
pub use laboratory::{Report, Specimen};
pub use medication::{Dosage, Prescription};
pub use observation::{Category, Measured, Observation, Range, result_status, verified_status};
pub use order::{Order, OrderRequest, Tube, read_order};
pub use outcome::{Issue, Outcome, Severity};
pub use patient::{Patient, PatientIdentifier};
pub use place::{Location, LocationKind, Organization, Practitioner};
pub use prescribed::{ACCEPT_UNCHECKED, DrugRequest, OVERRIDE_REASON, read_drug, read_signing};
pub use provenance::Provenance;
pub use reading::Subject;
pub use recorded::{AllergyRequest, ConditionRequest, Recorded, read_allergy, read_condition};
pub use registered::{FACILITY, NOT_A_DUPLICATE, PatientRequest, REASON, read_patient};
pub use resource::{Kind, Meta, Resource, is_id};
pub use schedule::{Appointment, Participant};
pub use systems::{identifier_asked, identifier_system, system_asked};
pub use visited::{VisitChange, VisitKind, VisitRequest, read_visit, read_visit_change};
pub use wire::{kept, to_bytes};

/// The version of FHIR that is spoken. The types that check it are those of R4B, which are equal for what is used.
pub const FHIR_VERSION: &str = "4.0.1";
/// Media type of every body.
pub const MEDIA_TYPE: &str = "application/fhir+json";
