//! The age alarm of results that are on nobody's chart (specs/lab-devices.md §5): a metric a channel, and an incident when the oldest
//! waits too long. Nothing is decided or thrown away here: only a person, or an order that comes, says whose they are.

use std::collections::BTreeSet;

use hub_core::Tx;
use schemas::{ChannelId, TenantId};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use worker_clinical::queries::{UnmatchedAge, unmatched_ages};
use worker_integration::maintain;

/// A day: whoever waits for a result has asked for it by then, and the tube is still there.
const MOST: Duration = Duration::hours(24);
/// Kind of incident.
const KIND: &str = "unmatched_waiting";

/// Looks at every channel of a tenant.
pub(super) async fn look(
    pool: &PgPool,
    tenant: &TenantId,
    channels: &[(TenantId, ChannelId)],
) -> Result<(), sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let waiting = unmatched_ages(tx.conn()).await?;
    let now = OffsetDateTime::now_utc();
    let own = channels.iter().filter(|(of, _)| of == tenant);
    // a channel that was taken out of the configuration may have left some behind
    let names: BTreeSet<&str> = own
        .map(|(_, channel)| channel.as_str())
        .chain(waiting.iter().map(|one| one.channel.as_str()))
        .collect();
    for name in names {
        let one = waiting.iter().find(|one| one.channel == name);
        let (count, age) = one.map_or((0, 0.0), |one| {
            (one.waiting, (now - one.oldest).as_seconds_f64().max(0.0))
        });
        metrics::gauge!("hub_unmatched_reports", "channel" => name.to_owned()).set(count as f64);
        metrics::gauge!("hub_unmatched_oldest_seconds", "channel" => name.to_owned()).set(age);
        match one.filter(|one| is_late(one, now)) {
            Some(one) => {
                let detail = told(one, now);
                if maintain::raise_incident(tx.conn(), tenant, KIND, name, &detail).await? {
                    tracing::warn!(%tenant, channel = name, detail, "results wait for a patient");
                }
            }
            None => {
                maintain::resolve_incident(tx.conn(), KIND, name).await?;
            }
        }
    }
    tx.commit().await
}

/// Whether somebody must be told.
pub(crate) fn is_late(one: &UnmatchedAge, now: OffsetDateTime) -> bool {
    now - one.oldest > MOST
}

/// In words, without anything of a patient.
pub(crate) fn told(one: &UnmatchedAge, now: OffsetDateTime) -> String {
    format!(
        "{} reports of channel {} are on nobody's chart, the oldest for {} hours: GET /api/v1/worklists/unmatched",
        one.waiting,
        one.channel,
        (now - one.oldest).whole_hours()
    )
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_waits_for_more_than_a_day_is_late() {
        let now = datetime!(2026-11-22 12:00 UTC);
        let since = |oldest| UnmatchedAge {
            channel: "chem-1".into(),
            waiting: 3,
            oldest,
        };
        assert!(!is_late(&since(datetime!(2026-11-21 12:00 UTC)), now));
        let late = since(datetime!(2026-11-21 11:59 UTC));
        assert!(is_late(&late, now));
        assert!(told(&late, now).starts_with(
            "3 reports of channel chem-1 are on nobody's chart, the oldest for 24 hours"
        ));
        assert!(
            !is_late(&since(datetime!(2026-11-22 13:00 UTC)), now),
            "a clock that went back"
        );
    }
}
