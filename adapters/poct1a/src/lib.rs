//! POCT1-A for the hub: bedside devices and docking stations that send XML documents over TCP (CLSI POCT01-A2, device
//! messaging layer).
//!
//! [`split`] cuts documents out of the stream, [`document`] reads one without expanding anything, [`link`] is the
//! conversation: documents in, answers out; it owns every timer and does no I/O. [`translate`] makes events of stored
//! documents, [`edge`] brings it all to the wire.
//!
//! A document is acknowledged only when it is on disk. What can't be understood is kept and said; element names and counts
//! go into notes and errors, patient data never does.

pub mod document;
pub mod edge;
pub mod link;
pub mod settings;
pub mod split;
pub mod translate;

pub use edge::Poct1aEdge;
pub use link::Conversation;
pub use settings::Poct1aSettings;
pub use translate::Poct1aTranslator;
