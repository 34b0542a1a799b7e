//! What REST may ask: reads of the clinical tables inside a transaction that has its tenant
//! ([`hub_core::Tx`]); row-level security sees to the rest.
//!
//! Patients are asked for by the keys of their identifiers (workers/patient tells which). Lists are newest first
//! by time of record and continue after a [`Cursor`]; each key is walked along its own index, so a page costs the same
//! however much is on file.

mod alarms;
mod beds;
mod chart;
mod codes;
mod controls;
mod criticals;
mod cursor;
mod differences;
mod encounters;
mod house;
mod links;
mod numbers;
mod orders;
mod relationship;
mod reports;
mod results;
mod rosters;
mod rounds;
mod sendings;
mod specimens;
mod stays;
mod unmatched;
mod verification;
mod vitals;
mod worklist;

pub use crate::chart::words::open_exported;
pub use crate::stays::gates::Blocking;
pub use alarms::{AlarmEventRow, AlarmFilter, AlarmRow, alarm_events, alarms};
pub use beds::{NamedBed, named_beds};
pub use chart::{
    ChartCounts, ChartFilter, ChartRow, ChartVersion, NoKnownAllergies, chart_counts,
    chart_entries, chart_entries_marked, chart_entry, chart_history, no_known_allergies,
};
pub use codes::{CodeReleaseRow, CodeRow, CodeSearch, code_releases, codes};
pub use controls::{ControlFilter, ControlRow, TargetRow, control_targets, controls};
pub use criticals::{
    CriticalFilter, CriticalRow, any_critical_due, criticals, subjects_of_criticals,
};
pub use cursor::{Cursor, InvalidCursor, Page};
pub use differences::{DifferenceRow, differences};
pub use encounters::{
    EncounterFilter, EncounterPlace, EncounterRow, encounter, encounters_for_subjects,
};
pub use house::{
    BedFilter, BedRow, BoardBed, DepartmentRow, FacilityRow, PlaceAfter, WardRow, bed, beds, board,
    department, departments, facilities, facility, in_ward_elsewhere, ward, wards,
};
pub use links::{
    Numbered, ReportItem, ReportOfResult, encounters_of_visits, items_of_reports,
    orders_of_placers, places_of_encounters, reports_of_results, specimens_of_numbers,
    specimens_of_orders, subjects_of_reports,
};
pub use numbers::{encounters_by_visit, orders_by_number, reports_by_specimen};
pub use orders::{
    OrderFilter, OrderRow, SpecimenRow, order, orders_for_specimen, orders_for_subjects,
    specimens_by_number, specimens_of_order,
};
pub use relationship::{is_encounter_at, is_in_care_at};
pub use reports::{
    AmendmentRow, ReportFilter, ReportRow, report, reports_for_subjects, result_amendments,
};
pub use results::{
    ResultFilter, ResultRow, Versions, results_for_specimen, results_for_subjects,
    results_of_report, versions_of_result,
};
pub use rosters::{InWard, in_ward};
pub use rounds::{
    OxygenTarget, ScoreRow, TaskFilter, TaskRow, oxygen_target, oxygen_targets, score_versions,
    scores_for_subjects, task, tasks,
};
pub use sendings::{SendingRow, sendings};
pub use specimens::{
    KeptSpecimen, SpecimenFilter, SpecimenState, specimen_steps, specimens, specimens_for_subjects,
    specimens_found, specimens_numbered,
};
pub use stays::{
    AdmissionFilter, GateRow, StayInBed, admissions, blocking, gates, next_steps, queue,
    stays_in_beds,
};
pub use unmatched::{
    UnmatchedAge, UnmatchedFilter, UnmatchedRow, unmatched, unmatched_ages, unmatched_report,
};
pub use verification::{
    CommentRow, VerificationFilter, VerificationRow, VerificationState, affected_by_control,
    subjects_of_verifications, verification, verification_comments, verification_runs,
    verifications,
};
pub use vitals::{
    UnmatchedVitalsFilter, UnmatchedVitalsRow, VitalFilter, VitalRow, current_vital, latest_vitals,
    unmatched_vitals, vital, vitals_for_subjects, vitals_of_item,
};
pub use worklist::{PendingTest, known_numbers, oldest_pending, oldest_untold, pending_on};
