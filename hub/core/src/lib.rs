//! The backbone: envelope, subjects, lanes, JetStream, the three runners, retry, configuration,
//! telemetry. It knows no protocol and no domain.

pub mod backbone;
pub mod channel;
pub mod claim;
pub mod config;
pub mod db;
pub mod envelope;
pub mod facts;
pub mod failure;
pub mod governor;
pub mod https;
pub mod ingest;
pub mod lane;
pub mod mappings;
pub mod migrate;
pub mod publish;
pub mod record;
pub mod rehearsal;
pub mod relay;
pub mod retry;
pub mod second_person;
pub mod subject;
pub mod telemetry;
pub mod translator;
pub mod vault;
pub mod worker;

pub use channel::{Adapter, AdapterError, ChannelContext};
pub use db::Tx;
pub use envelope::{Envelope, Position};
pub use failure::Refusal;
pub use ingest::{IngestError, Received, Stored};
pub use mappings::Mappings;
pub use translator::{Event, RawMessage, Translation, Translator};
pub use worker::{Outgoing, Verdict, Worker, WorkerError};
