//! Queries of instruments and how they were answered: `integration.query.answered`.

use std::collections::BTreeMap;

use hub_core::{Envelope, Refusal, Tx, WorkerError};
use schemas::sending::QueryAnswered;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Facts by raw id and place in RAW; of two about one query the newer.
#[derive(Debug, Default)]
pub(crate) struct Asked(BTreeMap<(Uuid, i64, i16), (OffsetDateTime, QueryAnswered)>);

impl Asked {
    pub(crate) fn note(&mut self, envelope: &Envelope) -> Result<(), Refusal> {
        let fact: QueryAnswered = envelope.decode()?;
        let at = OffsetDateTime::parse(&fact.at, &Rfc3339)
            .map_err(|_| Refusal::new("integration.time", "`at` is not RFC 3339"))?;
        let (Ok(seq), Ok(index)) = (i64::try_from(fact.stream_seq), i16::try_from(fact.index))
        else {
            return Err(Refusal::new(
                "integration.range",
                "stream_seq or index is too large for the ledger",
            ));
        };
        let key = (fact.raw_id.0, seq, index);
        if self.0.get(&key).is_none_or(|(known, _)| at >= *known) {
            self.0.insert(key, (at, fact));
        }
        Ok(())
    }

    pub(crate) async fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let facts = std::mem::take(&mut self.0);
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let tenant = tx.tenant().clone();
        let column = |pick: fn(&QueryAnswered) -> u32| -> Vec<i32> {
            facts.values().map(|(_, fact)| number(pick(fact))).collect()
        };
        sqlx::query(
            "insert into integration.query_answers as known (tenant_id, raw_id, stream_seq, record_index, channel, outcome,
                 specimens, tests, took_ms, reason, at)
             select $1, a.* from unnest($2::uuid[], $3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::integer[],
                                        $8::integer[], $9::integer[], $10::text[], $11::timestamptz[]) as a
             on conflict (tenant_id, raw_id, stream_seq, record_index) do update
                 set outcome = excluded.outcome, specimens = excluded.specimens, tests = excluded.tests,
                     took_ms = excluded.took_ms, reason = excluded.reason, at = excluded.at
                 where known.at <= excluded.at",
        )
        .bind(tenant.as_str())
        .bind(facts.keys().map(|key| key.0).collect::<Vec<_>>())
        .bind(facts.keys().map(|key| key.1).collect::<Vec<_>>())
        .bind(facts.keys().map(|key| key.2).collect::<Vec<_>>())
        .bind(facts.values().map(|(_, f)| f.channel.to_string()).collect::<Vec<_>>())
        .bind(facts.values().map(|(_, f)| f.outcome.as_str()).collect::<Vec<_>>())
        .bind(column(|fact| fact.specimens))
        .bind(column(|fact| fact.tests))
        .bind(column(|fact| fact.took_ms))
        .bind(facts.values().map(|(_, f)| f.reason.as_deref()).collect::<Vec<_>>())
        .bind(facts.values().map(|(at, _)| *at).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}
