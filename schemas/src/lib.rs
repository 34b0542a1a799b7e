//! Canonical events and commands as Rust types, their JSON Schemas, and the ordered SQL migrations.
//!
//! This crate knows nobody: no protocol, no NATS, no Postgres driver. Changes are additive only
//! (design.md §5); a field that must change its meaning gets a new name or a new schema version.

/// Gives types their names on the wire. Stands before the modules, which so have it.
macro_rules! bodies {
    ($($name:ident = $wire:literal),+ $(,)?) => {
        $(impl $crate::Body for $name {
            const NAME: &'static str = $wire;
        })+
    };
}

pub mod care;
pub mod catalogue;
pub mod chart;
pub mod commands;
pub mod controls;
pub mod criticals;
pub mod devices;
pub mod house;
pub mod identity;
pub mod ids;
pub mod incidents;
pub mod integration;
pub mod moment;
pub mod patch;
pub mod patients;
pub mod platform;
pub mod portal;
pub mod privacy;
pub mod registration;
pub mod rosters;
pub mod rounds;
pub mod scheduling;
pub mod sending;
pub mod sign_in;
pub mod specimens;
pub mod sql;
pub mod stays;
pub mod verification;
pub mod worklist;

pub use catalogue::{CATALOGUE, CatalogueEntry, MessageKind, OrderGroup, Owner};
pub use ids::{ChannelId, IdentifierKey, InvalidToken, RawId, TenantId, event_id};
pub use patch::Patch;

/// A typed body that travels in an envelope: its name on the wire and its version.
pub trait Body: serde::Serialize + serde::de::DeserializeOwned {
    /// `<domain>.<entity>.<past_tense>` for events, `<domain>.<entity>.<action>` for commands.
    const NAME: &'static str;
    /// Version in the schema (`v1`); additive changes keep it.
    const VERSION: u16 = 1;
}
