//! The rows. Each message has numbers of its own, so that its bytes are found again among all others.

use std::time::Duration;

use tests::{frame, oru, stamp, unique};

use super::table::Row;

mod batches;
mod charsets;
mod content;
mod delimiters;
mod framing;
mod peers;
mod segments;
mod sizes;

/// Shorter than the time that a lone FS is given (200 ms).
const SHORT: Duration = Duration::from_millis(60);
/// Longer than that.
const LONG: Duration = Duration::from_millis(450);

/// A good result message and its control id.
fn good() -> (String, String) {
    let id = unique("BAD");
    let message = oru(
        &id,
        &unique("BADP"),
        &unique("BADS"),
        &[("GLU", "104", "mg/dL"), ("CREA", "1.1", "mg/dL")],
    );
    (id, message)
}

/// A good message and `change` applied to it.
fn changed(change: impl FnOnce(&str) -> String) -> (String, String) {
    let (id, message) = good();
    let changed = change(&message);
    (id, changed)
}

/// A header with its own control id, and what follows it.
fn with_header(kind: &str, rest: &str) -> (String, String) {
    let id = unique("BAD");
    let text = format!(
        "MSH|^~\\&|ANALYZER|LAB|HUB|HOSP|{}||{kind}|{id}|P|2.5.1\r{rest}",
        stamp()
    );
    (id, text)
}

/// Sent in one good frame; acknowledged and kept.
fn accepted(
    group: &'static str,
    name: &'static str,
    (id, bytes): (String, impl AsRef<[u8]>),
    outcome: &'static str,
) -> Row {
    Row::new(group, name)
        .write(frame(bytes.as_ref()))
        .answer("AA", id)
        .keeps(bytes.as_ref(), outcome)
}

/// Acknowledged, and a dead letter.
fn dead(
    group: &'static str,
    name: &'static str,
    (id, bytes): (String, impl AsRef<[u8]>),
    reason: &'static str,
) -> Row {
    Row::new(group, name)
        .write(frame(bytes.as_ref()))
        .answer("AA", id)
        .keeps_dead(bytes.as_ref(), reason)
}

/// Refused at the edge, and kept.
fn refused(group: &'static str, name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    Row::new(group, name)
        .write(frame(bytes.as_ref()))
        .answer("AR", "")
        .keeps_dead(bytes.as_ref(), "edge.quarantined")
}

pub(crate) fn all() -> Vec<Row> {
    [
        framing::rows(),
        segments::rows(),
        delimiters::rows(),
        charsets::rows(),
        sizes::rows(),
        batches::rows(),
        content::rows(),
        peers::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
