//! Counts: directly in Postgres as superuser, in the streams by the NATS protocol, and over REST.

use std::collections::HashMap;

use tests::{Rest, encode};
use uuid::Uuid;

use super::Fallible;
use super::evidence::{Evidence, LedgerRow, PatientRow, ReportRow, Shown, VisitRow};
use super::message::TRACKED;
use super::nats::Streams;
use super::sent::Sent;
use super::stand::{CHANNEL, Stand};

/// Patients that are asked for over REST, spread over the run.
const SHOWN: usize = 150;

/// Types of the events that the load makes, and the worker that applies each.
const CONSUMED: [(&str, &str); 4] = [
    ("patients.patient.reported", "patient"),
    ("adt.encounter.reported", "clinical"),
    ("lis.result.received", "clinical"),
    ("integration.message.translated", "integration"),
];

/// Collects everything.
pub(crate) async fn collect(stand: &Stand, sent: &Sent) -> Fallible<Evidence> {
    let mut found = Evidence::default();
    streams(stand, &mut found).await?;
    tables(stand, &mut found).await?;
    let rest = stand.rest().await;
    let every = sent.patients.len().div_ceil(SHOWN).max(1);
    for patient in sent.patients.iter().step_by(every) {
        let mrn = &patient.person.mrn;
        found.shown.insert(mrn.clone(), shown(&rest, mrn).await?);
    }
    Ok(found)
}

async fn streams(stand: &Stand, found: &mut Evidence) -> Fallible<()> {
    let streams = Streams::connect(&stand.servers.nats.url()).await?;
    let raw = &mut found.raw;
    streams
        .scan("RAW", |seq, index, part| {
            let head = part.body.split(|byte| *byte == b'\r').next();
            let head = String::from_utf8_lossy(head.unwrap_or_default());
            let control_id = head.split('|').nth(9).map(str::to_owned);
            raw.insert((seq, index), control_id);
            Ok(())
        })
        .await?;
    found.raw_last = streams.bounds("RAW").await?.0;
    let events = &mut found.events;
    streams
        .scan("EVENTS", |_, _, part| {
            let kind = part.attribute("ce-type").ok_or("no ce-type")?;
            if let Some((_, worker)) = CONSUMED.iter().find(|(name, _)| *name == kind) {
                let id = part.attribute("ce-id").ok_or("no ce-id")?;
                events.insert(id.parse()?, worker);
            }
            Ok(())
        })
        .await?;
    found.checkpoint = checkpoint(&streams).await?;
    let (_, dead) = streams.bounds("DEAD").await?;
    found.left_over.push(("messages in DEAD", dead));
    Ok(())
}

async fn checkpoint(streams: &Streams) -> Fallible<u64> {
    let subject = format!("event.*.*.integration.{CHANNEL}.translated");
    let newest = streams.newest("EVENTS", &subject, "hub-raw-seq").await?;
    Ok(newest.map_or(Ok(0), |seq| seq.parse())?)
}

/// How far the hub has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// RAW's newest sequence, and how far it is translated.
    pub(crate) stored: u64,
    pub(crate) translated: u64,
    /// Rows of the outbox that are still to be said.
    pub(crate) unpublished: u64,
    /// Sum of the workers' positions.
    pub(crate) applied: u64,
}

pub(crate) async fn progress(stand: &Stand) -> Fallible<Progress> {
    let streams = Streams::connect(&stand.servers.nats.url()).await?;
    let unpublished = "select count(*) from integration.outbox where published_at is null";
    let applied = "select coalesce(sum(applied_seq), 0) from integration.lanes";
    Ok(Progress {
        stored: streams.bounds("RAW").await?.0,
        translated: checkpoint(&streams).await?,
        unpublished: stand.number(unpublished).await?,
        applied: stand.number(applied).await?,
    })
}

async fn tables(stand: &Stand, found: &mut Evidence) -> Fallible<()> {
    let ledger = "select stream_seq, record_index, raw_id, coalesce(control_id, ''), outcome,
             (extract(epoch from received_at) * 1000000)::bigint
         from integration.messages";
    for row in stand.rows(ledger).await? {
        let [seq, index, raw_id, control_id, outcome, received_at] = fields(row)?;
        found.ledger.push(LedgerRow {
            place: (seq.parse()?, index.parse()?),
            raw_id: raw_id.parse()?,
            control_id,
            outcome,
            received_at: received_at.parse()?,
        });
    }
    let inbox = "select worker, event_id, (extract(epoch from applied_at) * 1000000)::bigint from integration.inbox";
    for row in stand.rows(inbox).await? {
        let [worker, event, applied_at] = fields(row)?;
        let key = (worker, event.parse()?);
        found.inbox.insert(key, applied_at.parse()?);
    }
    // by the table itself: an index that a crash has damaged must not vouch for its own uniqueness
    found.inbox_repeats = stand
        .number(
            "set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off;
             select count(*) from (select from integration.inbox group by event_id, worker having count(*) > 1) t",
        )
        .await?;
    let patients =
        "select coalesce(i.value, p.id::text), coalesce(p.addresses->0->'lines'->>0, ''), p.version
         from patients.patients p left join patients.identifiers i on i.patient_id = p.id";
    for row in stand.rows(patients).await? {
        let [mrn, address, version] = fields(row)?;
        let version = version.parse()?;
        let record = PatientRow { version, address };
        found.patients.entry(mrn).or_default().push(record);
    }
    let visits = "select coalesce(e.visit_number, e.id::text), coalesce(e.location->>'bed', '0'),
             coalesce((select string_agg((l.location->>'bed') || ':' || l.status, ',' order by l.id)
                       from clinical.encounter_locations l where l.encounter_id = e.id), ''),
             e.version
         from clinical.encounters e";
    for row in stand.rows(visits).await? {
        let [visit, bed, beds, version] = fields(row)?;
        let visits = found.visits.entry(visit).or_default();
        visits.push(VisitRow {
            version: version.parse()?,
            bed: bed.parse()?,
            beds: pairs(&beds)?,
        });
    }
    let reports = format!(
        "select coalesce(r.filler_number, r.id::text), r.id, coalesce(x.tracked, ''), r.version, x.current, x.items
         from clinical.reports r cross join lateral (
             select count(*) filter (where superseded_at is null) as current, count(distinct item) as items,
                    string_agg(value_text || ':' || (superseded_at is null), ',' order by version)
                        filter (where code = '{TRACKED}') as tracked
             from clinical.results where report_id = r.id) x
         order by r.id"
    );
    for row in stand.rows(&reports).await? {
        let [filler, id, tracked, version, current, items] = fields(row)?;
        let values = pairs(&tracked)?.into_iter();
        found.reports.entry(filler).or_default().push(ReportRow {
            id: id.parse()?,
            version: version.parse()?,
            current: current.parse()?,
            items: items.parse()?,
            values: values
                .map(|(value, current)| (value, current == "true"))
                .collect(),
        });
    }
    let audited =
        "select u.cause from audit.entries e, unnest(e.causes) with ordinality as u(cause, n)
         where e.action = 'patients.apply' order by e.id, u.n";
    for row in stand.rows(audited).await? {
        let [event] = fields(row)?;
        found.audited.push(event.parse::<Uuid>()?);
    }
    for (what, query) in [
        (
            "dead letters",
            "select count(*) from integration.dead_letters",
        ),
        ("held items", "select count(*) from integration.held_items"),
        (
            "open incidents",
            "select count(*) from integration.incidents where resolved_at is null",
        ),
        (
            "unpublished outbox rows",
            "select count(*) from integration.outbox where published_at is null",
        ),
    ] {
        found.left_over.push((what, stand.number(query).await?));
    }
    found.chain_faults = stand
        .number(
            "select (select count(*) from audit.entries e where not exists (select from audit.chain c where c.entry_id = e.id))
                  + (select coalesce(max(position), 0) - count(*) from audit.chain)
                  + (select count(*) - count(distinct entry_id) from audit.chain)",
        )
        .await?;
    Ok(())
}

async fn shown(rest: &Rest, mrn: &str) -> Fallible<Shown> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mrn = encode(mrn);
    let mut shown = Shown::default();
    let patients = format!("/api/v1/patients?mrn={mrn}");
    for patient in rest.all_items(&patients).await {
        let line = &patient["addresses"][0]["lines"][0];
        shown.addresses.push(text(line));
    }
    let visits = format!("/api/v1/encounters?patient_identifier={mrn}");
    for visit in rest.all_items(&visits).await {
        shown.beds.push(text(&visit["location"]["bed"]).parse()?);
    }
    let results = format!("/api/v1/results?patient_identifier={mrn}&code={TRACKED}&limit=500");
    for result in rest.all_items(&results).await {
        let value = text(&result["value"]["number"]).parse()?;
        shown.values.push((text(&result["filler_number"]), value));
    }
    Ok(shown)
}

/// A row's fields; the last one must not be empty (psql's output is trimmed).
fn fields<const N: usize>(row: Vec<String>) -> Fallible<[String; N]> {
    <[String; N]>::try_from(row).map_err(|row| format!("a row of {} fields", row.len()).into())
}

/// `7:active,9:completed`
fn pairs(text: &str) -> Fallible<Vec<(u32, String)>> {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (number, word) = pair.split_once(':').ok_or("no pair")?;
            Ok((number.parse()?, word.to_owned()))
        })
        .collect()
}

/// Rows by table, for the summary.
pub(crate) fn counts(found: &Evidence) -> Vec<(&'static str, usize)> {
    let reports: HashMap<_, _> = found.reports.iter().collect();
    vec![
        ("messages in RAW (each arrival)", found.raw.len()),
        ("rows of the ledger", found.ledger.len()),
        ("events that workers consume", found.events.len()),
        ("rows of the inbox", found.inbox.len()),
        ("patients", found.patients.values().map(Vec::len).sum()),
        ("encounters", found.visits.values().map(Vec::len).sum()),
        (
            "places in encounters",
            found
                .visits
                .values()
                .flatten()
                .map(|visit| visit.beds.len())
                .sum(),
        ),
        ("reports", reports.values().map(|rows| rows.len()).sum()),
        (
            "current results",
            reports
                .values()
                .flat_map(|rows| rows.iter())
                .map(|report| usize::try_from(report.current).unwrap_or(0))
                .sum(),
        ),
        ("patients compared over REST", found.shown.len()),
    ]
}
