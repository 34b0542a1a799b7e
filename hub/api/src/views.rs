//! What the API shows: one struct a thing, absent members left out, times in UTC as RFC 3339.
//! Names, codes and values have the shapes of the canonical types in `schemas`, and so do their descriptions.

pub(crate) mod appointments;
pub(crate) mod canonical;
pub(crate) mod care;
pub(crate) mod chart;
pub(crate) mod codes;
pub(crate) mod devices;
pub(crate) mod house;
pub(crate) mod identity;
pub(crate) mod integration;
pub(crate) mod messages;
pub(crate) mod of_care;
pub(crate) mod patients;
pub(crate) mod portal;
pub(crate) mod privacy;
pub(crate) mod queues;
pub(crate) mod registration;
pub(crate) mod rounds;
pub(crate) mod scheduling;
pub(crate) mod sign_in;
pub(crate) mod specimens;
pub(crate) mod stays;
pub(crate) mod tenants;
pub(crate) mod verification;
pub(crate) mod worklists;
