//! Finding the report that a message means, when it is not new.

use std::collections::HashMap;

use hub_core::Tx;
use uuid::Uuid;

use super::filing::Filing;
use super::key;

/// Ids of reports by their key.
pub(crate) async fn by_key(
    tx: &mut Tx<'_>,
    keys: &[Uuid],
) -> Result<HashMap<Uuid, Uuid>, sqlx::Error> {
    Ok(sqlx::query_as::<_, (Uuid, Uuid)>(
        "select report_key, id from clinical.reports where report_key = any($1)",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .collect())
}

/// For corrections whose key is not on file: the newest report of the same channel, patient, number and code,
/// whatever its time. By place in `corrections`. A correction that names no patient or no number finds nothing, and where both name a
/// tube it is the same one: of an order that was collected again the first tube's report is not the second's.
pub(crate) async fn by_thread(
    tx: &mut Tx<'_>,
    corrections: &[&Filing<'_>],
) -> Result<HashMap<usize, Uuid>, sqlx::Error> {
    let (mut places, mut subjects, mut numbers, mut codes, mut channels) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut tubes, mut others) = (vec![], vec![]);
    for (place, filing) in corrections.iter().enumerate() {
        if let (Some(subject), Some(number)) = (filing.subject, key::number(&filing.report)) {
            places.push(place as i64);
            subjects.push(subject);
            numbers.push(number);
            codes.push(filing.report.code.code.as_str());
            channels.push(filing.report.channel.as_str());
            tubes.push(filing.specimen_number());
            // what went by its filler's number at first may have its own by now
            others.push(filing.filler_s_tube());
        }
    }
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(i64, Uuid)> = sqlx::query_as(
        "select wanted.place, newest.id \
         from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) \
         as wanted (place, subject_key, number, code, channel, tube, other) \
         cross join lateral ( \
             select report.id from clinical.reports as report \
             where report.subject_key = wanted.subject_key and report.code = wanted.code \
             and report.channel = wanted.channel \
             and wanted.number in (report.filler_number, report.placer_number, report.specimen_number) \
             and (wanted.tube is null or report.specimen_number is null or report.specimen_number = wanted.tube \
                 or report.specimen_number is not distinct from wanted.other) \
             order by report.received_at desc, report.id desc limit 1 \
         ) as newest",
    )
    .bind(places)
    .bind(subjects)
    .bind(numbers)
    .bind(codes)
    .bind(channels)
    .bind(tubes)
    .bind(others)
    .fetch_all(tx.conn())
    .await?;
    Ok(found
        .into_iter()
        .filter_map(|(place, id)| Some((usize::try_from(place).ok()?, id)))
        .collect())
}
