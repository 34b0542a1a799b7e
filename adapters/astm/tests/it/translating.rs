//! Runs the translator in tests: one tenant, one channel, the tables of the repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use adapter_astm::AstmTranslator;
use adapter_astm::settings::{Dialect, Mode};
use bytes::Bytes;
use hub_core::mappings::{MappingStore, Mappings};
use hub_core::translator::{RawMessage, Refused, Translation, Translator as _};
use hub_core::{Event, Position};
use schemas::{ChannelId, RawId, TenantId};
use serde_json::Value;
use time::OffsetDateTime;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

static MAPPINGS: LazyLock<Arc<Mappings>> = LazyLock::new(|| {
    MappingStore::load(repository().join("mappings"))
        .unwrap_or_else(|error| panic!("{error}"))
        .current()
});

pub(crate) fn translate_with(
    mode: Mode,
    dialect: Dialect,
    bytes: &[u8],
) -> Result<Translation, Box<Refused>> {
    let tenant = TenantId::new("demo").unwrap();
    let channel = ChannelId::new("lab").unwrap();
    let raw = RawMessage {
        id: RawId::of(&tenant, &channel, bytes),
        tenant,
        channel,
        bytes: Bytes::copy_from_slice(bytes),
        peer: None,
        received_at: OffsetDateTime::UNIX_EPOCH,
        notes: Vec::new(),
        quarantine: None,
        parent: None,
        position: Position::default(),
        traceparent: None,
    };
    AstmTranslator::new(mode, dialect).translate(&raw, &MAPPINGS)
}

/// Translates records with line feeds where the message has CR.
pub(crate) fn translate(dialect: Dialect, text: &str) -> Result<Translation, Box<Refused>> {
    let bytes = text.trim().replace('\n', "\r");
    translate_with(Mode::E1381, dialect, bytes.as_bytes())
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
