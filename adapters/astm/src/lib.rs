//! ASTM for the hub: instruments on E1381 / LIS01-A2 links that speak E1394 / LIS02-A2 records, and the native links of
//! Beckman AU and Siemens Dimension.
//!
//! [`link`] is the line: bytes in, bytes out, messages to store; it owns every timer and does no I/O. [`records`] reads
//! and writes records without losing a byte. [`translate`] makes events of stored messages, [`orders`] writes what an
//! instrument is to do in its own dialect, [`edge`] brings it all to the wire.
//!
//! A message's last frame is acknowledged only when the message is on disk. What can't be understood is kept and said;
//! positions and counts go into notes and errors, patient data never does.

pub mod edge;
pub mod link;
pub mod orders;
pub mod records;
pub mod rehearsal;
pub mod settings;
pub mod translate;

pub use edge::AstmEdge;
pub use link::Line;
pub use settings::AstmSettings;
pub use translate::AstmTranslator;
