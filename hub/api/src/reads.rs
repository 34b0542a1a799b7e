//! Reads: from what callers ask to the queries that workers export, and from their rows to the views.
//! Everything runs inside a read-only transaction of one tenant.

pub(crate) mod care;
pub(crate) mod chart;
pub(crate) mod devices;
pub(crate) mod integration;
pub(crate) mod messages;
pub(crate) mod patients;
pub(crate) mod portal;
pub(crate) mod registration;
pub(crate) mod scheduling;
pub(crate) mod specimens;
pub(crate) mod stays;
pub(crate) mod verification;
pub(crate) mod worklists;
