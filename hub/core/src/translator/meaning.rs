//! What a result means by the tables, or why it waits: the same for every protocol. What has no meaning is filed as it was sent,
//! and held until a person has looked at it.

use schemas::ChannelId;
use schemas::care::{Code, HoldReason, Mapped, Value};

use crate::mappings::{Lookup, Mappings};

/// Why there is no value: nothing was sent.
pub const NOT_SENT: &str = "not_sent";
/// Why there is no value: the test was cancelled.
pub const CANCELLED: &str = "cancelled";

/// What the tables make of the first of the codes that they know, or why the result waits.
pub fn meaning<'c>(
    maps: &Mappings,
    channel: &ChannelId,
    codes: impl IntoIterator<Item = &'c Code>,
    unit: &str,
    value: &Value,
    no_patient: bool,
) -> (Option<Mapped>, Option<HoldReason>) {
    let numeric = matches!(value, Value::Quantity { .. } | Value::Range { .. });
    let mut reason = HoldReason::UnknownCode;
    let mut mapped = None;
    for code in codes {
        let system = code.system.as_deref().unwrap_or_default();
        match maps.code(channel, system, &code.code, unit, numeric) {
            Lookup::Mapped(known) => {
                mapped = Some(known);
                break;
            }
            Lookup::UnknownUnit => reason = HoldReason::UnknownUnit,
            Lookup::Unknown => {}
        }
    }
    let held = if no_patient {
        Some(HoldReason::NoPatient)
    } else if mapped.is_some() || needs_no_code(value) {
        None
    } else {
        Some(reason)
    };
    (mapped, held)
}

/// A picture or a document is shown as it is, and a line that says nothing has nothing to release.
fn needs_no_code(value: &Value) -> bool {
    match value {
        Value::Attachment { .. } => true,
        Value::Absent { reason } => matches!(reason.as_str(), NOT_SENT | CANCELLED),
        _ => false,
    }
}
