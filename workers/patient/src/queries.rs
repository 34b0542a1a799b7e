//! The read side: what the REST and FHIR APIs ask of the index.
//!
//! Every function wants a connection inside a tenant's transaction (`hub_core::Tx`); without one it sees nothing.
//! Readers are shown the *standing* record of a person; the ones merged into it stand beside it as they were.

mod alike;
mod duplicates;
mod patients;
mod privacy;
mod search;
mod series;
mod subjects;

pub use alike::{Alike, WARNING, alike};
pub use duplicates::{Duplicate, Merge, duplicates, merges};
pub use patients::{Patient, PatientIdentifier, Person, get, merged_of, record};
pub use privacy::{
    ConsentRow, PrivacyRequestRow, PrivacyRequestSearch, consent, consents, privacy_request,
    privacy_requests,
};
pub use search::{Search, SearchError, search};
pub use series::{NumberSeries, number_series, one_number_series};
pub use subjects::{
    NamedIdentifier, PersonOfKey, SubjectKey, identifiers_named, is_restricted, patients_of_keys,
    people_in_system, people_of_keys, restricted, subject_keys_for_identifier,
    subject_keys_for_patient,
};
