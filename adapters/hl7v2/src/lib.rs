//! HL7 v2 for the hub: bytes of a stream to messages, and messages to bytes.
//!
//! The way in is [`frame`] (MLLP), [`header`] (what an answer needs), [`ack`] (the answer), then later and elsewhere
//! [`batch`], [`charset`] and [`message`]. The way out is [`build`] and [`frame::encode`].
//!
//! The protocol layer is pure code: no sockets, no clock, no storage. [`edge`] and [`client`] bring it to the wire,
//! [`translate`] makes events of messages, [`orders`] answers instruments that ask. The protocol layer must never panic on outside bytes and never
//! drop or change any of them without saying so: what can't be understood is noted or refused, with its position.
//! Positions and counts go into notes and errors, patient data never does.

pub mod ack;
pub mod batch;
pub mod build;
pub mod charset;
pub mod client;
pub mod dtm;
pub mod edge;
pub mod escape;
pub mod frame;
pub mod header;
pub mod message;
pub mod orders;
mod separators;
pub mod settings;
pub mod translate;

pub use charset::Charset;
pub use escape::Formatting;
pub use frame::{FrameEvent, FrameReader, FrameSettings};
pub use header::{Header, HeaderError};
pub use message::{Limits, Message, ParseError, Path, Segment, Value};
pub use separators::{SeparatorError, Separators};
