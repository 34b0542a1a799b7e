//! The read side: what the REST API, the command line and the console ask of the hub's own work.
//!
//! Every function wants a connection inside a tenant's transaction (`hub_core::Tx`); without one it sees nothing.
//! No function returns a body: bodies stay in the streams.

mod asked;
mod audit;
mod channels;
mod dead;
mod held;
mod lineage;
mod messages;
mod page;

pub use asked::{QueryAnswer, query_answers};
pub use audit::{AuditEntry, AuditSearch, audit};
pub use channels::{
    Backlog, Channel, Incident, any_incident_due, backlog, channel, channels, incidents,
};
pub use dead::{DeadLetter, DeadSearch, dead_letter, dead_letters};
pub use held::{HeldItem, HeldSearch, held_item, held_items};
pub use lineage::{Applied, Derived, Lineage, Said, applied, lineage, said};
pub use messages::{Message, MessageSearch, message, messages, messages_of_raw};
pub use page::{Cursor, InvalidCursor, Page};
