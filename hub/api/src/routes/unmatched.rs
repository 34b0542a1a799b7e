//! Reports that are on nobody's chart: whose they are, or that they are nobody's.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::Tx;
use schemas::commands::{ClaimReport, DiscardReport, SecondIdentifier};
use schemas::patients::{HumanName, Identifier};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::UnmatchedFilter;
use worker_patient::queries::PersonOfKey;

use crate::auth::chart::Sight;
use crate::auth::permission::{Can, Permission as _, UnmatchedClaim, WorklistsRead};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::{patients, worklists as reads};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::worklists::Unmatched;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(claim))
        .routes(routes!(discard))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `matched`, `claimed`, `discarded` or `all`.
    state: Option<String>,
    /// `no_specimen`, `unknown_specimen`, `no_open_order` or `patient_mismatch`.
    reason: Option<String>,
    channel: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List unmatched reports
///
/// An order for the specimen that comes later puts them on its patient's chart; else somebody claims them. Those that name, or came to,
/// a patient whose chart is restricted are left out for who does not care for him; whoever works on specimens (`specimens:all`) sees all.
#[utoipa::path(get, path = "/worklists/unmatched", tag = "worklists", params(Search), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "oldest first: what waits longest is seen first", body = Page<Unmatched>)))]
async fn list(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Unmatched>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let filter = UnmatchedFilter {
        state: super::state_or_open(search.state, &["open", "matched", "claimed", "discarded"])?,
        reason: search.reason,
        channel: search.channel,
        ..UnmatchedFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    reads::unmatched(
        &mut tx,
        &sight,
        filter,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// Whose it is: an identifier, and the date of birth or the name, as they stand on the request form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "patient_identifier": "12345", "birth_date": "1980-05-17" }))]
pub(super) struct Claim {
    /// PID-3 in any of its forms. Must lead to one person.
    pub(super) patient_identifier: String,
    /// ISO 8601, the whole date.
    #[serde(default)]
    pub(super) birth_date: Option<String>,
    /// All words of the name, in any order.
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// Claim an unmatched report
///
/// Puts it on the chart of the patient, also one that was discarded. The second identifier must agree with the patient's record; both, if both are given.
#[utoipa::path(post, path = "/worklists/unmatched/{id}/claim", tag = "worklists", params(("id" = Uuid, Path, description = "the report")),
    request_body = Claim, security(("bearer" = ["unmatched:claim"])),
    responses(
        (status = 200, description = "it is on the patient's chart", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no unmatched report has this id (`unmatched.unknown`)"),
        (status = 409, description = "it was matched before (`clinical.unmatched_not_open`), or the identifier is that of several \
            people (`unmatched.ambiguous_patient`)"),
        (status = 422, description = "nobody has the identifier (`unmatched.no_patient`), the second identifier does not agree with the \
            record or the record has none (`unmatched.disagrees`)")))]
async fn claim(
    can: Can<UnmatchedClaim>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(claim): Body<Claim>,
) -> Result<Response, Problem> {
    let (subject, second) = {
        let mut tx = state.read(&can.who.tenant).await?;
        reads::unmatched_report(&mut tx, id)
            .await?
            .ok_or_else(unknown)?;
        checked(&mut tx, &claim).await?
    };
    let aggregate = subject.key.0.to_string();
    let command = ClaimReport {
        report_id: id,
        subject,
        second,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Why nobody's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "a control whose barcode was not read" }))]
struct UnmatchedDiscard {
    reason: String,
}

/// Discard an unmatched report
///
/// It is nobody's: a control without its mark, an instrument's own test. It stays on file, on nobody's chart, and a claim takes it back.
#[utoipa::path(post, path = "/worklists/unmatched/{id}/discard", tag = "worklists", params(("id" = Uuid, Path, description = "the report")),
    request_body = UnmatchedDiscard, security(("bearer" = ["unmatched:claim"])),
    responses(
        (status = 200, description = "it is off the list", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no unmatched report has this id (`unmatched.unknown`)"),
        (status = 409, description = "it was matched, claimed or discarded before (`clinical.unmatched_not_open`)")))]
async fn discard(
    can: Can<UnmatchedClaim>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(discard): Body<UnmatchedDiscard>,
) -> Result<Response, Problem> {
    let reason = super::reason(discard.reason)?;
    {
        let mut tx = state.read(&can.who.tenant).await?;
        reads::unmatched_report(&mut tx, id)
            .await?
            .ok_or_else(unknown)?;
    }
    let command = DiscardReport {
        report_id: id,
        reason,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(id.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

fn unknown() -> Problem {
    Problem::unknown("unmatched.unknown", "no unmatched report has this id")
}

/// Two identifiers of one person, or a refusal. What a record does not hold was not checked, and does not agree.
pub(super) async fn checked(
    tx: &mut Tx<'_>,
    claim: &Claim,
) -> Result<(Identifier, SecondIdentifier), Problem> {
    let second = match (&claim.birth_date, &claim.name) {
        (Some(_), _) => SecondIdentifier::BirthDate,
        (None, Some(_)) => SecondIdentifier::Name,
        (None, None) => {
            return Err(Problem::invalid("birth_date", "give birth_date or name"));
        }
    };
    let unprocessable = |code: &'static str, detail: &'static str| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    };
    let nobody = || unprocessable("unmatched.no_patient", "nobody has this identifier");
    let subject = match patients::named(tx, &claim.patient_identifier).await? {
        patients::Named::One(subject) => subject,
        patients::Named::Several => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "unmatched.ambiguous_patient",
                "several people have this identifier; name its system: `system|value`",
            ));
        }
        patients::Named::Nobody => return Err(nobody()),
    };
    let person = patients::person_of(tx, subject.key)
        .await?
        .ok_or_else(nobody)?;
    if agrees(claim, &person) {
        Ok((subject, second))
    } else {
        Err(unprocessable(
            "unmatched.disagrees",
            "the second identifier does not agree with the patient's record, or the record has none",
        ))
    }
}

fn agrees(claim: &Claim, person: &PersonOfKey) -> bool {
    let birth = claim.birth_date.as_ref().is_none_or(|given| {
        // `1980` in a record is not a date of birth that could agree
        given.len() == 10 && person.birth_date.as_ref() == Some(given)
    });
    let name = claim.name.as_ref().is_none_or(|given| {
        let recorded = person
            .name
            .clone()
            .and_then(|name| serde_json::from_value::<HumanName>(name).ok())
            .map(|name| {
                let words: Vec<String> = name.given.into_iter().chain(name.family).collect();
                words.join(" ")
            })
            .unwrap_or_default();
        !words(given).is_empty() && words(given) == words(&recorded)
    });
    birth && name
}

fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_identifier_agrees_word_by_word_and_day_by_day() {
        let person = |name: Option<serde_json::Value>, birth: Option<&str>| PersonOfKey {
            key: Uuid::nil(),
            system: "mrn".into(),
            value: "1".into(),
            kind: None,
            patient_id: Uuid::nil(),
            name,
            birth_date: birth.map(str::to_owned),
            sex: None,
        };
        let asha = Some(serde_json::json!({ "family": "Sharma", "given": ["Asha", "K."] }));
        let claim = |birth: Option<&str>, name: Option<&str>| Claim {
            patient_identifier: "1".into(),
            birth_date: birth.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        for (birth, name, recorded, expected) in [
            (Some("1980-05-17"), None, Some("1980-05-17"), true),
            (Some("1980-05-17"), None, Some("1980-05-18"), false),
            (Some("1980"), None, Some("1980"), false),
            (Some("1980-05-17"), None, None, false),
            (None, Some("SHARMA, asha k"), None, true),
            (None, Some("Sharma"), None, false),
            (None, Some(" "), None, false),
            (
                Some("1980-05-17"),
                Some("Asha K Verma"),
                Some("1980-05-17"),
                false,
            ),
        ] {
            assert_eq!(
                agrees(&claim(birth, name), &person(asha.clone(), recorded)),
                expected,
                "{birth:?} {name:?} {recorded:?}"
            );
        }
        assert!(!agrees(&claim(None, Some("")), &person(None, None)));
    }
}
