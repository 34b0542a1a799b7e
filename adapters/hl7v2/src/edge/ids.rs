//! Our own control ids: unique over restarts, at most 20 characters (HL7 v2.5.1 §2.15.9.10).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use time::OffsetDateTime;

use crate::orders::ControlIds;
use crate::settings::OrderDialect;

static START: LazyLock<u64> = LazyLock::new(|| {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    u64::try_from(now).unwrap_or(0)
});
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The next one.
pub(super) fn control_id() -> String {
    format!(
        "{:011X}{:07X}",
        *START,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Control ids for messages of ours.
pub(super) struct Ids;

impl ControlIds for Ids {
    fn next(&self, dialect: OrderDialect) -> String {
        match dialect {
            OrderDialect::Law => control_id(),
            // these devices count their messages, and some read the number into 31 bits
            OrderDialect::MindrayChemistry | OrderDialect::MindrayHaematology => {
                let seconds = *START / 1_000;
                let number = seconds + NEXT.fetch_add(1, Ordering::Relaxed);
                (number % 2_000_000_000).to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_ids_are_short_and_differ() {
        let (one, two) = (control_id(), control_id());
        assert_ne!(one, two);
        assert!(one.len() <= 20);
        let (one, two) = (
            Ids.next(OrderDialect::MindrayChemistry),
            Ids.next(OrderDialect::MindrayChemistry),
        );
        assert_ne!(one, two);
        assert!(one.parse::<i32>().is_ok_and(|n| n > 0));
    }
}
