//! What comes of every fixture, pinned so that each change is seen. `UPDATE_GOLDEN=1` writes it anew.

use std::fs;
use std::path::Path;

use adapter_poct1a::settings::Dialect;
use hub_core::translator::{Refused, Translation};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::messages;
use crate::translating::{body, translate};

fn as_json(done: &Result<Translation, Box<Refused>>) -> Value {
    match done {
        Ok(translation) => json!({
            "outcome": translation.outcome,
            "keys": translation.keys,
            "events": translation.events.iter().map(|event| json!({
                "name": event.name,
                "aggregate": event.aggregate,
                "occurred_at": event.occurred_at.map(|at| at.format(&Rfc3339).unwrap()),
                "body": body(event),
            })).collect::<Vec<_>>(),
            "unmapped": translation.unmapped,
            "notes": translation.notes,
        }),
        Err(refused) => json!({
            "refused": refused.refusal.code,
            "keys": refused.keys,
            "notes": refused.notes,
        }),
    }
}

#[test]
fn every_fixture_becomes_the_events_on_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = Vec::new();
    for (name, bytes) in messages::all() {
        let done = translate(Dialect::default(), &bytes);
        let found = serde_json::to_string_pretty(&as_json(&done)).unwrap() + "\n";
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{name}: now {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
