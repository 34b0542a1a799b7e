//! How long one message takes to translate: `cargo run --release -p adapter-hl7v2 --example translate_speed`.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use adapter_hl7v2::translate::{Hl7v2Translator, TranslatorSettings};
use bytes::Bytes;
use hub_core::Position;
use hub_core::mappings::MappingStore;
use hub_core::translator::{RawMessage, Translator as _};
use schemas::{ChannelId, RawId, TenantId};
use time::OffsetDateTime;

fn main() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let maps = MappingStore::load(repository.join("mappings"))
        .expect("the repository's own tables load")
        .current();
    let translator = Hl7v2Translator::new(TranslatorSettings::default());
    let tenant = TenantId::new("demo").expect("a plain name");
    let channel = ChannelId::new("lab").expect("a plain name");
    for name in [
        "180-oru-r01-cbc",
        "190-oru-r01-chemistry-loinc",
        "020-adt-a01-admit",
        "230-oul-r22-immunology",
    ] {
        let file = repository.join(format!("fixtures/hl7v2/{name}.hl7"));
        let bytes = Bytes::from(std::fs::read(file).expect("the repository's own fixture"));
        let raw = RawMessage {
            id: RawId::of(&tenant, &channel, &bytes),
            tenant: tenant.clone(),
            channel: channel.clone(),
            bytes,
            peer: None,
            received_at: OffsetDateTime::UNIX_EPOCH,
            notes: Vec::new(),
            quarantine: None,
            parent: None,
            position: Position::default(),
            traceparent: None,
        };
        let mut best = Duration::MAX;
        for _ in 0..30 {
            let started = Instant::now();
            for _ in 0..300 {
                black_box(translator.translate(black_box(&raw), &maps).is_ok());
            }
            best = best.min(started.elapsed() / 300);
        }
        println!(
            "{name:<30} {:>5} bytes {:>8.2} µs",
            raw.bytes.len(),
            best.as_secs_f64() * 1e6
        );
    }
}
