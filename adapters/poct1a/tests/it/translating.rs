//! Runs the translator in tests: one tenant, one channel, the tables of the repository.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use adapter_poct1a::Poct1aTranslator;
use adapter_poct1a::settings::Dialect;
use bytes::Bytes;
use hub_core::mappings::{MappingStore, Mappings};
use hub_core::translator::{RawMessage, Refused, Translation, Translator as _};
use hub_core::{Event, Position};
use schemas::{ChannelId, RawId, TenantId};
use serde_json::Value;
use time::OffsetDateTime;

static MAPPINGS: LazyLock<Arc<Mappings>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings");
    MappingStore::load(folder)
        .unwrap_or_else(|error| panic!("{error}"))
        .current()
});

pub(crate) fn translate(dialect: Dialect, bytes: &[u8]) -> Result<Translation, Box<Refused>> {
    let tenant = TenantId::new("demo").unwrap();
    let channel = ChannelId::new("ward").unwrap();
    let raw = RawMessage {
        id: RawId::of(&tenant, &channel, bytes),
        tenant,
        channel,
        bytes: Bytes::copy_from_slice(bytes),
        peer: None,
        received_at: OffsetDateTime::UNIX_EPOCH,
        notes: vec!["device: EXAMPLE GlucoPoint 2 GP-004711".to_owned()],
        quarantine: None,
        parent: None,
        position: Position::default(),
        traceparent: None,
    };
    Poct1aTranslator::new(dialect).translate(&raw, &MAPPINGS)
}

pub(crate) fn body(event: &Event) -> Value {
    serde_json::from_slice(&event.body).unwrap()
}

/// The reports of a translation.
pub(crate) fn reports(done: &Translation) -> Vec<Value> {
    done.events
        .iter()
        .filter(|event| event.name == "lis.result.received")
        .map(body)
        .collect()
}
