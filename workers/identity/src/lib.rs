//! Who may come in and what he may do: users, roles, grants, sessions, second factors, API clients, broken glass.
//!
//! Owns the schema `users` (and writes `audit`, as every worker). It checks no password and no code: what comes here is
//! already proved by `hub/api`, and carries digests only. What must hold under races (one use of a code, of a refresh
//! token, of a password change) holds by guarded updates here.

mod challenge;
mod clients;
mod factors;
mod glass;
mod grants;
pub mod keys;
pub mod maintain;
pub mod network;
mod passkeys;
mod patient_logins;
pub mod queries;
pub mod roles;
pub mod root_key;
pub mod sealing;
mod sessions;
mod subjects;
pub mod tenants;
mod trail;
pub mod users;
mod worker;

pub use worker::{IdentityWorker, hex_digest};
