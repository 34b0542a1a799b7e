//! The harness of the black-box tests: own servers, the built program as a child process, and peers that speak to it
//! from outside (MLLP by hand, REST by HTTP). It knows nothing of the hub's crates, only of what is promised to the
//! outside.
//!
//! ```text
//! let servers = Servers::start().await;
//! let settings = HubSettings::new(&servers);
//! let hub = HubProcess::start(&servers, &settings).await;
//! let rest = hub.sign_in().await;
//! let mut peer = Mllp::connect(hub.mllp("lab")).await;
//! assert_eq!(peer.send(&oru("C1", "MRN1", "S1", &[("GLU", "104", "mg/dL")])).await.code, "AA");
//! ```
//!
//! Everything runs on free ports below one temporary folder. Processes end with the value that owns them, and with this
//! process whatever happens to it; what a killed run left behind is removed by the next.

mod astm;
mod collector;
pub mod corpus;
mod hub;
mod messages;
mod mllp;
mod poct1a;
mod rest;
mod serial;
mod servers;
mod settings;
mod shared;
mod spawn;
mod transit;
mod wait;

pub use astm::{Astm, astm_frame};
pub use collector::{Collector, Exported, Mood, parents_missing};
pub use hub::{HubProcess, PASSWORD, hub_binary};
pub use messages::{adt, adt_named, oru, stamp, unique};
pub use mllp::{Answer, Mllp, frame, parse_answers};
pub use poct1a::Poct1a;
pub use rest::{Rest, encode};
pub use serial::{SerialDevice, hybrid_block};
pub use servers::Servers;
pub use settings::{ChannelToml, HubSettings, free_address};
pub use shared::{World, shared};
pub use spawn::Owned;
pub use transit::{Answering, KeyService};
pub use wait::{eventually, within};
