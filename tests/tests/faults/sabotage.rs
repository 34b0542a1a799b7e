//! Falsifies the stores after a run, one row at a time: the count must notice each.

use super::Fallible;
use super::collect::collect;
use super::judge::judge;
use super::sent::Sent;
use super::stand::Stand;

/// What is done, and its SQL.
const ACTS: [(&str, &str); 6] = [
    (
        "a result is deleted",
        "delete from clinical.results where (report_id, item, version) =
             (select report_id, item, version from clinical.results where superseded_at is null limit 1)",
    ),
    (
        "a report is there twice",
        "insert into clinical.reports (id, report_key, subject_key, source_event, received_at, fact_at, tenant_id, channel, filler_number, code)
         select gen_random_uuid(), gen_random_uuid(), subject_key, source_event, received_at, fact_at, tenant_id, channel, filler_number, code
         from clinical.reports limit 1",
    ),
    (
        "two places change their order",
        "with two as (select encounter_id, min(id) as one, max(id) as other from clinical.encounter_locations
                      group by encounter_id having count(*) > 1 limit 1),
              had as (select l.id, l.location from clinical.encounter_locations l, two where l.id in (one, other))
         update clinical.encounter_locations l set location = had.location from had, two
         where l.id in (one, other) and had.id in (one, other) and had.id <> l.id",
    ),
    (
        "a patient has an older address",
        "update patients.patients set addresses = jsonb_set(addresses, '{0,lines,0}', '\"House 0\"')
         where id = (select id from patients.patients limit 1)",
    ),
    (
        "an arrival is not in the ledger",
        "delete from integration.messages where ctid = (select ctid from integration.messages limit 1)
         and tableoid = (select tableoid from integration.messages limit 1)",
    ),
    (
        "an event is not in the inbox",
        "delete from integration.inbox where (event_id, worker) =
             (select event_id, worker from integration.inbox where worker = 'clinical' limit 1)",
    ),
];

/// Each act must add a finding.
pub(crate) async fn all_is_noticed(stand: &Stand, sent: &Sent) -> Fallible<()> {
    let mut before = String::new();
    for (act, sql) in ACTS {
        let rows = stand.rows(&format!("{sql} returning 1")).await?;
        if rows.is_empty() {
            return Err(format!("{act}: nothing was changed").into());
        }
        let findings = judge(sent, &collect(stand, sent).await?).to_string();
        if findings == before {
            return Err(format!("not noticed: {act}").into());
        }
        println!("noticed: {act}");
        before = findings;
    }
    Ok(())
}
