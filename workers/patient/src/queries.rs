//! The read side: what the REST and FHIR APIs ask of the index.
//!
//! Every function wants a connection inside a tenant's transaction (`hub_core::Tx`); without one it sees nothing.
//! Readers are shown the *standing* record of a person; the ones merged into it stand beside it as they were.

mod duplicates;
mod patients;
mod privacy;
mod search;
mod subjects;

pub use duplicates::{Duplicate, Merge, duplicates, merges};
pub use patients::{Patient, PatientIdentifier, Person, get, merged_of, record};
pub use privacy::{
    ConsentRow, PrivacyRequestRow, PrivacyRequestSearch, consent, consents, privacy_request,
    privacy_requests,
};
pub use search::{Search, search};
pub use subjects::{
    NamedIdentifier, PersonOfKey, SubjectKey, identifiers_named, patients_of_keys, people_of_keys,
    subject_keys_for_identifier, subject_keys_for_patient,
};
