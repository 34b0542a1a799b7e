//! The ledger and a message's lineage, through `worker_integration::queries`; the effects through those of the
//! workers that own them.

use std::collections::HashSet;

use hub_core::Tx;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use worker_clinical::queries as clinical;
use worker_integration::queries::{self, MessageSearch};
use worker_patient::queries as patient;

use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::views::messages::{Effect, Lineage, Message, MessageDetail};

/// Rows of one person that are looked through for what a message did, newest first from the moment it was applied.
const LOOKED_THROUGH: u16 = 500;

pub(crate) async fn search(
    tx: &mut Tx<'_>,
    mut search: MessageSearch,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Message>, Problem> {
    search.after = after(cursor)?;
    search.limit = limit.rows();
    let page = queries::messages(tx.conn(), &search).await?;
    Ok(Page::of(page.items, page.next, Message::of))
}

/// Messages that carry `text` as any of their numbers, or whose id it is; the other conditions hold as well.
pub(crate) async fn search_any(
    tx: &mut Tx<'_>,
    mut search: MessageSearch,
    text: &str,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Message>, Problem> {
    if text.parse::<Uuid>().is_ok() {
        let found = queries::message(tx.conn(), text).await?;
        return Ok(Page::whole(found.into_iter().map(Message::of).collect()));
    }
    let before: Option<Place> = Cursor::key(cursor)?;
    if let Some((micros, ..)) = before {
        let end = OffsetDateTime::from_unix_timestamp_nanos((i128::from(micros) + 1) * 1_000)
            .map_err(|_| Cursor::refused())?;
        search.received_to = Some(search.received_to.map_or(end, |to| to.min(end)));
    }
    search.limit = limit.rows() + SAME_MOMENT;
    // a walk of one index each, joined: one condition over all of them would read every message
    let keys: [fn(&mut MessageSearch) -> &mut Option<String>; 6] = [
        |search| &mut search.control_id,
        |search| &mut search.patient_number,
        |search| &mut search.accession,
        |search| &mut search.order_number,
        |search| &mut search.visit_number,
        |search| &mut search.bill_number,
    ];
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for key in keys {
        let mut one = search.clone();
        match key(&mut one) {
            // a condition on this number stands already, and both must hold
            Some(given) if given != text => continue,
            slot => *slot = Some(text.to_owned()),
        }
        let rows = queries::messages(tx.conn(), &one).await?.items;
        found.extend(rows.into_iter().filter(|row| {
            before.is_none_or(|before| place(row) < before) && seen.insert(place(row))
        }));
    }
    found.sort_by_key(|row| std::cmp::Reverse(place(row)));
    let has_more = found.len() > usize::from(limit.count());
    found.truncate(usize::from(limit.count()));
    let next = found.last().filter(|_| has_more).map(place);
    Ok(Page::of(found, next, Message::of))
}

/// Where an arrival stands in the order of the list: microseconds, place in RAW.
type Place = (i64, i64, i16);

/// Arrivals of one moment that are read once more so that none is skipped: as many as share a record.
const SAME_MOMENT: i64 = 64;

fn place(row: &queries::Message) -> Place {
    let micros = row.received_at.unix_timestamp_nanos() / 1_000;
    (
        i64::try_from(micros).unwrap_or(i64::MAX),
        row.stream_seq,
        row.record_index,
    )
}

pub(crate) async fn one(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<MessageDetail>, Problem> {
    let arrivals = queries::messages_of_raw(tx.conn(), id).await?;
    let answers = queries::query_answers(tx.conn(), id).await?;
    Ok(MessageDetail::of(arrivals, answers))
}

pub(crate) async fn lineage(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Lineage>, Problem> {
    let Some(found) = queries::lineage(tx.conn(), id).await? else {
        return Ok(None);
    };
    let effects = effects(tx, &found).await?;
    Ok(Some(Lineage::of(found, effects)))
}

/// What the message's events made or changed last. Rows carry the event they came of but have no index on it, so they
/// are looked for where they must be: among those of the person or of the specimen that the message names.
async fn effects(tx: &mut Tx<'_>, found: &queries::Lineage) -> Result<Vec<Effect>, Problem> {
    let (Some(message), Some(applied)) = (
        found.arrivals.first(),
        found.applied.iter().map(|one| one.applied_at).max(),
    ) else {
        return Ok(Vec::new());
    };
    let events: HashSet<Uuid> = found.events.iter().map(|event| event.event_id).collect();
    let page = clinical::Page {
        limit: LOOKED_THROUGH,
        after: Some(clinical::Cursor {
            // a transaction's rows carry the moment it began; the clocks of two servers differ a little
            at: applied + Duration::minutes(1),
            id: Uuid::max(),
            item: i16::MAX,
            version: i16::MAX,
        }),
    };
    let all = clinical::ResultFilter {
        versions: clinical::Versions::All,
        ..clinical::ResultFilter::default()
    };
    let mut effects = Effects {
        events,
        found: Vec::new(),
    };
    let more = message.more_patients.iter().flatten();
    let patients: Vec<&String> = message.patient_number.iter().chain(more).collect();
    for number in &patients {
        let value = format!("|{number}");
        let keys = patient::subject_keys_for_identifier(tx.conn(), &value).await?;
        let mut people: Vec<Uuid> = keys.iter().map(|key| key.patient_id).collect();
        people.dedup();
        for id in people {
            for record in patient::get(tx.conn(), id)
                .await?
                .into_iter()
                .flat_map(|person| std::iter::once(person.patient).chain(person.merged))
            {
                effects.add("patient", record.id, record.source_event);
            }
        }
        let keys: Vec<Uuid> = keys.iter().map(|key| key.key).collect();
        let filter = clinical::EncounterFilter::default();
        for row in clinical::encounters_for_subjects(tx.conn(), &keys, &filter, page).await? {
            effects.add("encounter", row.id, row.source_event);
        }
        let filter = clinical::OrderFilter::default();
        for row in clinical::orders_for_subjects(tx.conn(), &keys, &filter, page).await? {
            effects.add("order", row.id, row.source_event);
        }
        let filter = clinical::ReportFilter::default();
        for row in clinical::reports_for_subjects(tx.conn(), &keys, &filter, page).await? {
            effects.add("report", row.id, row.source_event);
        }
        let results = clinical::results_for_subjects(tx.conn(), &keys, &all, page).await?;
        effects.reports_of(&results);
    }
    // of a message that names patients only those of its tubes are left that came without one
    let more = message.more_accessions.iter().flatten();
    let mut tubes: Vec<&String> = message.accession.iter().chain(more).collect();
    if !patients.is_empty() && tubes.len() == 1 {
        tubes.clear();
    }
    for number in tubes {
        let results = clinical::results_for_specimen(tx.conn(), number, &all, page).await?;
        effects.reports_of(&results);
    }
    Ok(effects.found)
}

struct Effects {
    events: HashSet<Uuid>,
    found: Vec<Effect>,
}

impl Effects {
    /// A correction changes results of a report that another event filed.
    fn reports_of(&mut self, results: &[clinical::ResultRow]) {
        for row in results {
            self.add("report", row.report_id, row.source_event);
        }
    }

    fn add(&mut self, kind: &'static str, id: Uuid, event_id: Uuid) {
        let effect = Effect { kind, id, event_id };
        if self.events.contains(&event_id) && !self.found.contains(&effect) {
            self.found.push(effect);
        }
    }
}

fn after(cursor: Option<&Cursor>) -> Result<Option<queries::Cursor>, Problem> {
    Cursor::key::<String>(cursor)?
        .map(|text| queries::Cursor::decode(&text))
        .transpose()
        .map_err(|_| Cursor::refused())
}
