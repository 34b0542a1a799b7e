//! The ledger: one row for every arrival in RAW, and each channel's last message.

use hub_core::subject::StreamName;
use hub_core::{Envelope, Refusal, Tx, WorkerError};
use schemas::integration::{DeadLettered, MessageRefused, TranslationOutcome};
use schemas::{ChannelId, RawId};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::dead::DeadLetters;

/// How far back the same bytes on the same channel are looked for, to call an arrival a duplicate. It bounds the daily
/// partitions that every batch has to look into; senders repeat after an outage of a weekend, not of a month. (Effects
/// are kept from repeating by the inbox, not by this.)
pub const DUPLICATE_WINDOW: Duration = Duration::days(7);

/// Joins the items of a list in one text column of `unnest`: arrays of arrays can not be unnested by rows.
const SEPARATOR: &str = "\u{1f}";

/// The body of `integration.message.translated`, read flat: `#[serde(flatten)]` of the canonical type costs several
/// times as much, and this is read once for every message of the hub. A test holds the two together.
#[derive(Debug, Deserialize)]
struct Arrival {
    raw_id: Uuid,
    channel: String,
    stream_seq: u64,
    index: u16,
    received_at: String,
    size: u32,
    peer: Option<String>,
    outcome: TranslationOutcome,
    patient_number: Option<String>,
    accession: Option<String>,
    order_number: Option<String>,
    visit_number: Option<String>,
    bill_number: Option<String>,
    control_id: Option<String>,
    message_type: Option<String>,
    #[serde(default)]
    more_patients: Vec<String>,
    #[serde(default)]
    more_accessions: Vec<String>,
    #[serde(default)]
    more_orders: Vec<String>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    unmapped: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    parent: Option<Uuid>,
    refused: Option<MessageRefused>,
}

/// Rows to be written, column by column.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    received_at: Vec<OffsetDateTime>,
    stream_seq: Vec<i64>,
    record_index: Vec<i16>,
    raw_id: Vec<Uuid>,
    channel: Vec<String>,
    peer: Vec<Option<String>>,
    size: Vec<i32>,
    outcome: Vec<&'static str>,
    message_type: Vec<Option<String>>,
    control_id: Vec<Option<String>>,
    patient_number: Vec<Option<String>>,
    accession: Vec<Option<String>>,
    order_number: Vec<Option<String>>,
    visit_number: Vec<Option<String>>,
    bill_number: Vec<Option<String>>,
    more_patients: Vec<Option<String>>,
    more_accessions: Vec<Option<String>>,
    more_orders: Vec<Option<String>>,
    events: Vec<String>,
    unmapped: Vec<String>,
    notes: Vec<String>,
    parent: Vec<Option<Uuid>>,
}

impl Ledger {
    /// An arrival, and its dead letter where it was refused: both or none.
    pub(crate) fn note(
        &mut self,
        envelope: &Envelope,
        dead: &mut DeadLetters,
    ) -> Result<(), Refusal> {
        let arrival: Arrival = serde_json::from_slice(&envelope.body).map_err(|error| {
            Refusal::new(
                "envelope.body",
                format!(
                    "body of {} does not fit its schema at line {} column {}",
                    envelope.name,
                    error.line(),
                    error.column()
                ),
            )
        })?;
        let received_at = OffsetDateTime::parse(&arrival.received_at, &Rfc3339)
            .map_err(|_| Refusal::new("integration.time", "received_at is not RFC 3339"))?;
        let (Ok(stream_seq), Ok(record_index), Ok(size)) = (
            i64::try_from(arrival.stream_seq),
            i16::try_from(arrival.index),
            i32::try_from(arrival.size),
        ) else {
            return Err(Refusal::new(
                "integration.range",
                "stream_seq, index or size is too large for the ledger",
            ));
        };
        if let Some(refused) = arrival.refused {
            dead.add(DeadLettered {
                stage: refused.stage,
                by: refused.by,
                reason: refused.reason,
                detail: refused.detail,
                event_id: None,
                event_type: None,
                raw_id: Some(RawId(arrival.raw_id)),
                channel: ChannelId::new(arrival.channel.as_str()).ok(),
                stream: StreamName::Raw.as_str().to_owned(),
                stream_seq: arrival.stream_seq,
                index: arrival.index,
                attempts: 1,
                in_ledger: true,
            })?;
        }
        self.received_at.push(received_at);
        self.stream_seq.push(stream_seq);
        self.record_index.push(record_index);
        self.raw_id.push(arrival.raw_id);
        self.channel.push(arrival.channel);
        self.peer.push(arrival.peer);
        self.size.push(size);
        self.outcome.push(arrival.outcome.as_str());
        self.message_type.push(arrival.message_type);
        self.control_id.push(arrival.control_id);
        self.patient_number.push(arrival.patient_number);
        self.accession.push(arrival.accession);
        self.order_number.push(arrival.order_number);
        self.visit_number.push(arrival.visit_number);
        self.bill_number.push(arrival.bill_number);
        self.more_patients.push(joined(&arrival.more_patients));
        self.more_accessions.push(joined(&arrival.more_accessions));
        self.more_orders.push(joined(&arrival.more_orders));
        self.events.push(arrival.events.join(SEPARATOR));
        self.unmapped.push(arrival.unmapped.join(SEPARATOR));
        self.notes.push(arrival.notes.join(SEPARATOR));
        self.parent.push(arrival.parent);
        Ok(())
    }

    /// One statement for rows, what else they are found by, duplicates and channels.
    pub(crate) async fn save(self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        let Some(first) = self.received_at.iter().min() else {
            return Ok(());
        };
        let since = *first - DUPLICATE_WINDOW;
        // partitions of days to come need not be looked into
        let until = self.received_at.iter().max().map_or(*first, |last| *last);
        let tenant = tx.tenant().clone();
        sqlx::query(
            "with arrived as (
                 select r.*, row_number() over (partition by r.raw_id order by r.stream_seq, r.record_index) as repeat
                 from (select unnest($2::timestamptz[]) as received_at, unnest($3::bigint[]) as stream_seq,
                              unnest($4::smallint[]) as record_index, unnest($5::uuid[]) as raw_id,
                              unnest($6::text[]) as channel, unnest($7::text[]) as peer,
                              unnest($8::integer[]) as size, unnest($9::text[]) as outcome,
                              unnest($10::text[]) as message_type, unnest($11::text[]) as control_id,
                              unnest($12::text[]) as patient_number, unnest($13::text[]) as accession,
                              unnest($14::text[]) as order_number, unnest($15::text[]) as visit_number,
                              unnest($16::text[]) as bill_number, unnest($17::text[]) as events,
                              unnest($18::text[]) as unmapped, unnest($19::text[]) as notes,
                              unnest($20::uuid[]) as parent, unnest($24::text[]) as more_patients,
                              unnest($25::text[]) as more_accessions, unnest($26::text[]) as more_orders) as r
             ), known as (
                 select distinct m.raw_id from integration.messages m where m.raw_id = any($5) and m.received_at between $21 and $23
             ), stored as (
                 insert into integration.messages
                     (tenant_id, received_at, stream_seq, record_index, raw_id, channel, peer, size, outcome, message_type,
                      control_id, patient_number, accession, order_number, visit_number, bill_number, events, unmapped,
                      notes, parent, more_patients, more_accessions, more_orders)
                 select $1, a.received_at, a.stream_seq, a.record_index, a.raw_id, a.channel, a.peer, a.size,
                        case when k.raw_id is not null or a.repeat > 1 then 'duplicate' else a.outcome end,
                        a.message_type, a.control_id, a.patient_number, a.accession, a.order_number, a.visit_number,
                        a.bill_number, string_to_array(a.events, $22), string_to_array(a.unmapped, $22),
                        string_to_array(a.notes, $22), a.parent, string_to_array(a.more_patients, $22),
                        string_to_array(a.more_accessions, $22), string_to_array(a.more_orders, $22)
                 from arrived a left join known k on k.raw_id = a.raw_id
                 on conflict do nothing
                 returning channel, received_at, stream_seq, record_index, more_patients, more_accessions, more_orders
             ), numbered as (
                 insert into integration.message_numbers (tenant_id, kind, number, received_at, stream_seq, record_index)
                 select $1, n.kind, n.number, s.received_at, s.stream_seq, s.record_index
                 from stored s cross join lateral (
                     select 'patient' as kind, unnest(s.more_patients) as number
                     union all select 'specimen', unnest(s.more_accessions)
                     union all select 'order', unnest(s.more_orders)) as n
                 where s.more_patients is not null or s.more_accessions is not null or s.more_orders is not null
                 on conflict do nothing
             )
             insert into integration.channels as c (tenant_id, channel, last_message_at, last_seq, messages)
             select $1, s.channel, max(s.received_at), max(s.stream_seq), count(*)
             from stored s group by s.channel order by s.channel
             on conflict (tenant_id, channel) do update
                 set last_message_at = greatest(c.last_message_at, excluded.last_message_at),
                     last_seq = greatest(c.last_seq, excluded.last_seq),
                     messages = c.messages + excluded.messages",
        )
        .bind(tenant.as_str())
        .bind(self.received_at)
        .bind(self.stream_seq)
        .bind(self.record_index)
        .bind(self.raw_id)
        .bind(self.channel)
        .bind(self.peer)
        .bind(self.size)
        .bind(self.outcome)
        .bind(self.message_type)
        .bind(self.control_id)
        .bind(self.patient_number)
        .bind(self.accession)
        .bind(self.order_number)
        .bind(self.visit_number)
        .bind(self.bill_number)
        .bind(self.events)
        .bind(self.unmapped)
        .bind(self.notes)
        .bind(self.parent)
        .bind(since)
        .bind(SEPARATOR)
        .bind(until)
        .bind(self.more_patients)
        .bind(self.more_accessions)
        .bind(self.more_orders)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// Absent when there are none, as nearly always.
fn joined(numbers: &[String]) -> Option<String> {
    (!numbers.is_empty()).then(|| numbers.join(SEPARATOR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::integration::{MessageTranslated, SearchKeys, Stage};

    #[test]
    fn the_flat_reading_agrees_with_the_canonical_type() {
        let text = |text: &str| Some(text.to_owned());
        let body = MessageTranslated {
            raw_id: RawId(Uuid::from_u128(7)),
            channel: ChannelId::new("lab").unwrap(),
            stream_seq: 9,
            index: 3,
            received_at: "2026-01-02T03:04:05Z".into(),
            size: 11,
            peer: text("10.0.0.1:9"),
            outcome: TranslationOutcome::NotTranslated,
            keys: SearchKeys {
                patient_number: text("a"),
                accession: text("b"),
                order_number: text("c"),
                visit_number: text("d"),
                bill_number: text("e"),
                control_id: text("f"),
                message_type: text("g"),
                more_patients: vec!["k".into()],
                more_accessions: vec!["l".into()],
                more_orders: vec!["p".into()],
            },
            events: vec!["h".into()],
            unmapped: vec!["i".into()],
            notes: vec!["j".into()],
            parent: Some(RawId(Uuid::from_u128(8))),
            refused: Some(MessageRefused {
                stage: Stage::Translate,
                by: "m".into(),
                reason: "n".into(),
                detail: "o".into(),
            }),
        };
        let json = serde_json::to_value(&body).unwrap();
        let arrival: Arrival = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(
            json.as_object().unwrap().len(),
            23,
            "a new field is read too"
        );
        assert_eq!(arrival.raw_id, body.raw_id.0);
        assert_eq!(arrival.parent, body.parent.map(|parent| parent.0));
        assert_eq!(arrival.refused, body.refused);
        assert_eq!(
            [
                arrival.patient_number,
                arrival.accession,
                arrival.order_number,
                arrival.visit_number,
                arrival.bill_number,
                arrival.control_id,
                arrival.message_type
            ]
            .map(Option::unwrap)
            .concat(),
            "abcdefg"
        );
        assert_eq!(
            (
                arrival.more_patients,
                arrival.more_accessions,
                arrival.more_orders
            ),
            (
                body.keys.more_patients,
                body.keys.more_accessions,
                body.keys.more_orders
            )
        );
        assert_eq!(
            (arrival.events, arrival.unmapped, arrival.notes),
            (body.events, body.unmapped, body.notes)
        );
    }
}
