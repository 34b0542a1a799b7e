//! What a person at a desk asks for, looked at against what is on file before the index is changed: who looks like the new
//! patient, which number is next. The index itself is changed as for any source.

use hub_core::{Envelope, Refusal, Tx, Verdict};
use schemas::IdentifierKey;
use schemas::patients::Identifier;
use schemas::registration::{DefineSeries, RegisterPatient};
use serde_json::json;
use sqlx::types::Json;

use crate::message::Message;
use crate::queries::{WARNING, alike};

/// Digits of a number whose facility has said nothing of its series.
const WIDTH: i16 = 6;
/// Numbers of a series that are somebody's already (sent by a source system) are passed over, so many at once.
const PASSED_OVER: usize = 1_000;

/// Whether the index is to be changed.
pub(crate) enum Ready {
    Go,
    Done(Verdict),
}

fn refused(code: &'static str, detail: impl Into<String>) -> Ready {
    Ready::Done(Verdict::Refused(Refusal::new(code, detail)))
}

pub(crate) async fn prepare(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    message: &mut Message,
) -> Result<Ready, sqlx::Error> {
    match message {
        Message::Register(command) => register(tx, command).await,
        Message::DefineSeries(command) => define(tx, envelope, command).await,
        _ => Ok(Ready::Go),
    }
}

async fn register(tx: &mut Tx<'_>, command: &mut RegisterPatient) -> Result<Ready, sqlx::Error> {
    if command
        .force
        .as_deref()
        .is_none_or(|reason| reason.trim().is_empty())
    {
        let like = alike(tx.conn(), &command.stated, &command.identifiers).await?;
        let warned = like.iter().filter(|one| one.score >= WARNING).count();
        if warned > 0 {
            return Ok(refused(
                "patients.likely_duplicate",
                format!(
                    "{warned} on file may be this person: take one of them, or say in `force` why it is another"
                ),
            ));
        }
    }
    if !command.identifiers.is_empty() {
        return Ok(Ready::Go);
    }
    let Some(facility) = command
        .facility
        .as_deref()
        .map(str::trim)
        .filter(|facility| !facility.is_empty())
    else {
        return Ok(refused(
            "patients.no_identifier",
            "give an identifier, or the facility whose series gives the number",
        ));
    };
    let facility = facility.to_owned();
    match next_number(tx, &facility).await? {
        Some(identifier) => {
            command.identifiers.push(identifier);
            Ok(Ready::Go)
        }
        None => Ok(refused(
            "patients.series_exhausted",
            format!(
                "{PASSED_OVER} numbers of the series of {facility} in a row are in use: set its next number"
            ),
        )),
    }
}

/// The next number of a facility that is nobody's. The row of the series is the lock: two desks never get one number.
async fn next_number(tx: &mut Tx<'_>, facility: &str) -> Result<Option<Identifier>, sqlx::Error> {
    let tenant = tx.tenant().clone();
    for _ in 0..PASSED_OVER {
        let (prefix, width, number): (String, i16, i64) = sqlx::query_as(
            "insert into patients.number_series as series (tenant_id, facility, prefix, width, next)
             values ($1, $2, $3, $4, 2)
             on conflict (tenant_id, facility) do update set next = series.next + 1
             returning prefix, width, next - 1",
        )
        .bind(tenant.as_str())
        .bind(facility)
        .bind(default_prefix(facility))
        .bind(WIDTH)
        .fetch_one(tx.conn())
        .await?;
        let width = usize::try_from(width).unwrap_or_default();
        let value = format!("{prefix}{number:0width$}");
        let key = IdentifierKey::of(&tenant, facility, &value);
        let taken: bool =
            sqlx::query_scalar("select exists (select from patients.identifiers where key = $1)")
                .bind(key.0)
                .fetch_one(tx.conn())
                .await?;
        if !taken {
            return Ok(Some(Identifier {
                key,
                system: facility.to_owned(),
                value,
                kind: Some("MR".to_owned()),
            }));
        }
    }
    Ok(None)
}

/// Letters and digits of the facility's code, so that a number tells where it was given.
fn default_prefix(facility: &str) -> String {
    facility
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(6)
        .collect::<String>()
        .to_ascii_uppercase()
}

async fn define(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    command: &DefineSeries,
) -> Result<Ready, sqlx::Error> {
    let fits = !command.facility.trim().is_empty()
        && (1..=12).contains(&command.width)
        && command.next > 0
        && command.prefix.len() <= 12;
    if !fits {
        return Ok(refused(
            "patients.series",
            "a series has a facility, a prefix of at most 12, 1 to 12 digits, and a next number above 0",
        ));
    }
    let tenant = tx.tenant().clone();
    let there: Option<i32> = sqlx::query_scalar(
        "select version from patients.number_series where facility = $1 for update",
    )
    .bind(command.facility.trim())
    .fetch_optional(tx.conn())
    .await?;
    // somebody who makes it at the same moment is met by the insert below
    if command
        .version
        .is_some_and(|seen| seen != there.unwrap_or(0))
    {
        return Ok(refused(
            "patients.series_stale",
            "somebody changed the series meanwhile, or it is not there: read it again",
        ));
    }
    // numbers of the same prefix never go back: they may stand on wristbands
    let done: Option<i32> = sqlx::query_scalar(
        "insert into patients.number_series as series (tenant_id, facility, prefix, width, next)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, facility) do update
             set prefix = excluded.prefix, width = excluded.width, next = excluded.next, changed_at = now(),
                 version = series.version + 1
             where (series.prefix <> excluded.prefix or series.next <= excluded.next)
                 and ($6::integer is null or series.version = $6)
         returning version",
    )
    .bind(tenant.as_str())
    .bind(command.facility.trim())
    .bind(&command.prefix)
    .bind(command.width)
    .bind(command.next)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    let Some(version) = done else {
        return Ok(refused(
            "patients.series_conflict",
            "numbers beyond this one were given already",
        ));
    };
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, causes, detail)
         values ($1, $2, 'patients.series.define', $3, $4, $5)",
    )
    .bind(tenant.as_str())
    .bind(&command.actor)
    .bind(format!("series {}", command.facility.trim()))
    .bind(vec![envelope.id])
    .bind(Json(json!({
        "prefix": command.prefix, "width": command.width, "next": command.next,
    })))
    .execute(tx.conn())
    .await?;
    Ok(Ready::Done(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(
            json!({ "facility": command.facility.trim(), "next": command.next, "version": version }),
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_of_the_facilitys_own_letters() {
        for (facility, prefix) in [
            ("sgm", "SGM"),
            ("St. Mary's", "STMARY"),
            ("north-campus-2", "NORTHC"),
            ("अ", ""),
        ] {
            assert_eq!(default_prefix(facility), prefix, "{facility}");
        }
    }
}
