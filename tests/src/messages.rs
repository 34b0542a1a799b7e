//! Messages by the book, each with numbers of its own.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use time::OffsetDateTime;
use time::macros::format_description;

/// A text that stands nowhere else: `prefix`, and digits and letters.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{prefix}{}Q{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Now, as HL7 writes it.
///
/// # Panics
/// Never: the format fits every time of this era.
#[must_use]
pub fn stamp() -> String {
    OffsetDateTime::now_utc()
        .format(format_description!(
            "[year][month][day][hour][minute][second]"
        ))
        .expect("a time of this era")
}

/// ORU^R01 with one order; an item is code, value, unit.
#[must_use]
pub fn oru(
    control_id: &str,
    patient: &str,
    specimen: &str,
    items: &[(&str, &str, &str)],
) -> String {
    let mut text = format!(
        "MSH|^~\\&|ANALYZER|LAB|HUB|HOSP|{at}||ORU^R01|{control_id}|P|2.5.1\rPID|1||{patient}^^^HOSP^MR||Test^Person{patient}||19800517|F\rOBR|1|PL{specimen}|FI{specimen}|PANEL^Panel^L|||{at}||||||||||||||||||F\r",
        at = stamp(),
    );
    for (n, (code, value, unit)) in items.iter().enumerate() {
        let kind = if value.parse::<f64>().is_ok() {
            "NM"
        } else {
            "ST"
        };
        let _ = write!(
            text,
            "OBX|{}|{kind}|{code}^{code}^L||{value}|{unit}|||||F\r",
            n + 1
        );
    }
    text
}

/// ADT with a family name by which versions are told apart.
#[must_use]
pub fn adt_named(trigger: &str, control_id: &str, patient: &str, family: &str) -> String {
    format!(
        "MSH|^~\\&|HIS|HOSP|HUB|HOSP|{at}||ADT^{trigger}|{control_id}|P|2.5.1\rEVN|{trigger}|{at}\rPID|1||{patient}^^^HOSP^MR||{family}^Given||19800517|F|||1 Road^^Pune^MH^411001||9845012345\rPV1|1|O\r",
        at = stamp(),
    )
}

/// ADT of somebody.
#[must_use]
pub fn adt(trigger: &str, control_id: &str, patient: &str) -> String {
    adt_named(trigger, control_id, patient, &format!("Family{patient}"))
}
