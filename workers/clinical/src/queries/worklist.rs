//! What is pending on tubes: what an instrument that asks is answered from.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One ordered test on one tube, to be done or to be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct PendingTest {
    /// On the tube.
    pub number: String,
    pub order_id: Uuid,
    pub subject_key: Uuid,
    /// The order was revoked, or somebody asked for that, or the laboratory rejected the tube: to be taken back.
    pub cancelled: bool,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    pub priority: Option<String>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ordered_at: Option<OffsetDateTime>,
    /// `{code, text, system}`
    pub kind: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub collected_at: Option<OffsetDateTime>,
    /// How this channel's instrument took the order when it was told last; absent = never told.
    pub performed: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub performed_at: Option<OffsetDateTime>,
    /// The same of the word that it is taken back.
    pub taken_back: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub taken_back_at: Option<OffsetDateTime>,
}

impl PendingTest {
    /// Whether an instrument that does not ask is still to be told. Told counts until the opposite was told later; what got no
    /// answer is told again when that was before `again`; an order is taken back only where it may have been taken.
    #[must_use]
    pub fn is_untold(&self, again: OffsetDateTime) -> bool {
        let performed = told(self.performed.as_deref(), self.performed_at);
        let taken_back = told(self.taken_back.as_deref(), self.taken_back_at);
        let (word, opposite) = if self.cancelled {
            match performed {
                None | Some(("refused", _)) => return false,
                Some(_) => (taken_back, performed),
            }
        } else {
            (performed, taken_back)
        };
        let (Some((answer, at)), overruled_at) = (word, opposite.map(|(_, at)| at)) else {
            return true;
        };
        overruled_at.is_some_and(|later| later > at)
            || matches!(answer, "sending" | "no_answer") && at < again
    }
}

fn told(answer: Option<&str>, at: Option<OffsetDateTime>) -> Option<(&str, OffsetDateTime)> {
    answer.zip(at)
}

/// Tests on these tubes for a channel, oldest order first. A revoked order, and one whose tube was rejected, is told as such for a day:
/// an instrument that was offline may still have it on its list. What it was told of an order counts for the tube that the order had
/// then: of another one that takes its place it was told nothing.
///
/// # Errors
/// The database failed.
pub async fn pending_on(
    conn: &mut PgConnection,
    channel: &str,
    numbers: &[String],
) -> Result<Vec<PendingTest>, sqlx::Error> {
    sqlx::query_as(
        "select carried.number, orders.id as order_id, carried.subject_key, \
         orders.status <> 'active' or carried.rejected_at is not null as cancelled, \
         orders.code, orders.code_system, orders.code_text, orders.priority, orders.placer_number, \
         orders.filler_number, orders.ordered_at, tube.kind, tube.collected_at, \
         case when told.of_this then performed.answer end as performed, \
         case when told.of_this then performed.at end as performed_at, \
         taken_back.answer as taken_back, taken_back.at as taken_back_at \
         from clinical.order_tubes as carried \
         join clinical.orders as orders on orders.id = carried.order_id \
         left join lateral ( \
             select specimen.kind, specimen.collected_at from clinical.order_specimens as link \
             join clinical.specimens as specimen on specimen.id = link.specimen_id \
             where link.order_id = orders.id and carried.number in (specimen.number, specimen.filler_number) limit 1 \
         ) as tube on true \
         left join clinical.order_sendings as performed \
             on performed.order_id = orders.id and performed.channel = $1 and performed.action = 'perform' \
         left join clinical.order_sendings as taken_back \
             on taken_back.order_id = orders.id and taken_back.channel = $1 and taken_back.action = 'cancel' \
         left join lateral ( \
             select case when carried.rejected_at is not null then performed.at <= carried.rejected_at \
                 else coalesce(performed.at > max(other.rejected_at), true) end as of_this \
             from clinical.order_tubes as other where other.order_id = orders.id \
         ) as told on true \
         where carried.number = any($2) and (orders.targets is null or $1 = any(orders.targets)) \
         and (carried.state = 'open' and orders.status in ('active', 'cancel_requested') \
             or (orders.status = 'revoked' or carried.rejected_at is not null) \
                 and carried.settled_at > now() - interval '1 day') \
         order by orders.created_at, orders.id",
    )
    .bind(channel)
    .bind(numbers)
    .fetch_all(conn)
    .await
}

/// Those of the numbers that an order or a patient's result has named.
///
/// # Errors
/// The database failed.
pub async fn known_numbers(
    conn: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select number from clinical.tubes where number = any($1) and subject_key is not null \
         union select number from clinical.specimens where number = any($1) and subject_key is not null",
    )
    .bind(numbers)
    .fetch_all(conn)
    .await
}

/// How many tests a tube has at most, as far as the walk below needs to know: tubes with more take room of others.
const TESTS_A_TUBE: i64 = 40;

/// Numbers of the tubes that wait longest for one of these ordered codes (absent: any) on this channel, at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn oldest_pending(
    conn: &mut PgConnection,
    channel: &str,
    codes: Option<&[String]>,
    limit: u32,
) -> Result<Vec<String>, sqlx::Error> {
    let limit = limit.min(1_000);
    let rows: Vec<String> = sqlx::query_scalar(
        "select carried.number from clinical.order_tubes as carried \
         join clinical.orders as orders on orders.id = carried.order_id \
         where carried.state = 'open' and orders.status in ('active', 'cancel_requested') \
         and ($2::text[] is null or orders.code = any($2)) and (orders.targets is null or $1 = any(orders.targets)) \
         order by carried.created_at, carried.number limit $3",
    )
    .bind(channel)
    .bind(codes)
    .bind(i64::from(limit) * TESTS_A_TUBE)
    .fetch_all(conn)
    .await?;
    Ok(first_of_each(rows, limit))
}

/// Numbers of the tubes with something that this channel's instrument was not told yet, oldest first, at most `limit`. A first
/// choice only: [`PendingTest::is_untold`] decides for each test.
///
/// # Errors
/// The database failed.
pub async fn oldest_untold(
    conn: &mut PgConnection,
    channel: &str,
    codes: Option<&[String]>,
    limit: u32,
    again: OffsetDateTime,
) -> Result<Vec<String>, sqlx::Error> {
    let limit = limit.min(1_000);
    let mut rows: Vec<String> = sqlx::query_scalar(
        "select carried.number from clinical.order_tubes as carried \
         join clinical.orders as orders on orders.id = carried.order_id \
         left join clinical.order_sendings as performed \
             on performed.order_id = orders.id and performed.channel = $1 and performed.action = 'perform' \
         left join clinical.order_sendings as taken_back \
             on taken_back.order_id = orders.id and taken_back.channel = $1 and taken_back.action = 'cancel' \
         left join ( \
             select order_id, max(rejected_at) as at from clinical.order_tubes \
             where rejected_at > now() - interval '30 days' group by order_id \
         ) as refused on refused.order_id = orders.id \
         where carried.state = 'open' and ($2::text[] is null or orders.code = any($2)) and (orders.targets is null or $1 = any(orders.targets)) \
         and (orders.status = 'active' and (performed.order_id is null or taken_back.at > performed.at \
                 or performed.at <= refused.at \
                 or performed.answer in ('sending', 'no_answer') and performed.at < $4) \
             or orders.status = 'cancel_requested' and performed.answer <> 'refused' \
                 and (taken_back.order_id is null or taken_back.at < performed.at \
                     or taken_back.answer in ('sending', 'no_answer') and taken_back.at < $4)) \
         order by carried.created_at, carried.number limit $3",
    )
    .bind(channel)
    .bind(codes)
    .bind(i64::from(limit) * TESTS_A_TUBE)
    .bind(again)
    .fetch_all(&mut *conn)
    .await?;
    let revoked: Vec<String> = sqlx::query_scalar(
        "select carried.number from clinical.order_tubes as carried \
         join clinical.orders as orders on orders.id = carried.order_id \
         join clinical.order_sendings as performed on performed.order_id = orders.id and performed.channel = $1 \
             and performed.action = 'perform' and performed.answer <> 'refused' \
         left join clinical.order_sendings as taken_back \
             on taken_back.order_id = orders.id and taken_back.channel = $1 and taken_back.action = 'cancel' \
         where carried.state = 'off' and carried.settled_at > now() - interval '1 day' \
         and (orders.status = 'revoked' and carried.rejected_at is null or performed.at <= carried.rejected_at) \
         and (taken_back.order_id is null or taken_back.at < performed.at \
             or taken_back.answer in ('sending', 'no_answer') and taken_back.at < $2) \
         order by carried.settled_at, carried.number limit $3",
    )
    .bind(channel)
    .bind(again)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    // what is taken back must not wait behind a long list of what is new
    rows.splice(0..0, revoked);
    Ok(first_of_each(rows, limit))
}

fn first_of_each(rows: Vec<String>, limit: u32) -> Vec<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut seen = std::collections::HashSet::new();
    rows.into_iter()
        .filter(|number| seen.insert(number.clone()))
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn who_was_told_is_not_told_again_until_the_opposite_was_told() {
        let at = |minute| datetime!(2026-03-01 12:00 UTC) + time::Duration::minutes(minute);
        for (cancelled, performed, taken_back, untold) in [
            (false, None, None, true),
            (false, Some(("accepted", 1)), None, false),
            (false, Some(("delivered", 1)), None, false),
            (false, Some(("refused", 1)), None, false),
            // no answer: again, but not at once
            (false, Some(("no_answer", 1)), None, true),
            (false, Some(("sending", 1)), None, true),
            (false, Some(("no_answer", 9)), None, false),
            // placed again after it was taken back
            (false, Some(("accepted", 1)), Some(("accepted", 2)), true),
            (false, Some(("accepted", 3)), Some(("accepted", 2)), false),
            // nothing to take back
            (true, None, None, false),
            (true, Some(("refused", 1)), None, false),
            (true, Some(("accepted", 1)), None, true),
            // it may have it
            (true, Some(("sending", 1)), None, true),
            (true, Some(("no_answer", 9)), None, true),
            (true, Some(("accepted", 1)), Some(("refused", 2)), false),
            (true, Some(("accepted", 1)), Some(("no_answer", 2)), true),
            (true, Some(("accepted", 3)), Some(("accepted", 2)), true),
        ] {
            let test = PendingTest {
                number: "S1".into(),
                order_id: Uuid::nil(),
                subject_key: Uuid::nil(),
                cancelled,
                code: "GLU".into(),
                code_system: None,
                code_text: None,
                priority: None,
                placer_number: None,
                filler_number: None,
                ordered_at: None,
                kind: None,
                collected_at: None,
                performed: performed.map(|(answer, _): (&str, i64)| answer.to_owned()),
                performed_at: performed.map(|(_, minute)| at(minute)),
                taken_back: taken_back.map(|(answer, _): (&str, i64)| answer.to_owned()),
                taken_back_at: taken_back.map(|(_, minute)| at(minute)),
            };
            assert_eq!(
                test.is_untold(at(5)),
                untold,
                "{cancelled} {performed:?} {taken_back:?}"
            );
        }
    }
}
