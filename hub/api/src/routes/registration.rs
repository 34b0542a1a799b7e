//! Registration at a desk: patients, their identifiers, restriction of charts, what a merge would do, numbers of facilities.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::patients::{Address, HumanName, Identifier, Sex, Telecom};
use schemas::registration::{
    AddIdentifier, ChangePatient, DefineSeries, EndIdentifier, RegisterPatient, RestrictPatient,
    Stated,
};
use schemas::{IdentifierKey, Patch, TenantId};
use serde::Deserialize;
use time::{Date, Month, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use worker_patient::queries::{self, WARNING};

use super::patients::no_patient;
use crate::auth::permission::{
    Can, NumberSeriesDefine, PatientsMerge, PatientsRead, PatientsRestrict, PatientsWrite,
};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, Seen, tagged};
use crate::page::Page;
use crate::problem::{Lookalike, Problem};
use crate::reads::{patients as reads, registration as previews};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::canonical;
use crate::views::integration::Applied;
use crate::views::registration::{MergePreview, NumberSeries};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(register))
        .routes(routes!(change))
        .routes(routes!(restrict))
        .routes(routes!(add_identifier))
        .routes(routes!(end_identifier))
        .routes(routes!(preview))
        .routes(routes!(series))
        .routes(routes!(one_series))
        .routes(routes!(define_series))
}

/// An identifier.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "system": "HOSP", "value": "12345", "kind": "MR" }))]
struct GivenIdentifier {
    /// Assigning authority; absent: `mrn`.
    #[serde(default)]
    system: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    value: String,
    /// HL7 table 0203: `MR`, `ABHA`, `SS` …
    #[serde(default)]
    kind: Option<String>,
}

impl GivenIdentifier {
    fn canonical(self, tenant: &TenantId) -> Result<Identifier, Problem> {
        let trimmed = |field: &'static str, text: String| {
            let text = text.trim().to_owned();
            if text.is_empty() || text.len() > 100 || text.chars().any(char::is_control) {
                Err(Problem::invalid(
                    field,
                    "must have 1 to 100 bytes and no control character",
                ))
            } else {
                Ok(text)
            }
        };
        let system = match self.system {
            Some(system) => trimmed("identifiers.system", system)?,
            None => "mrn".to_owned(),
        };
        let value = trimmed("identifiers.value", self.value)?;
        Ok(Identifier {
            key: IdentifierKey::of(tenant, &system, &value),
            system,
            value,
            kind: self.kind,
        })
    }
}

/// What is said of a patient. Absent: nothing is said of it; null: it is deleted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": { "family": "Sharma", "given": ["Asha"] }, "birth_date": "1980-05-17", "sex": "female", "mobile": "+91 98450 12345" }))]
struct Demographics {
    #[serde(default)]
    #[schema(schema_with = canonical::human_name)]
    name: Patch<HumanName>,
    /// The name in another script, aliases.
    #[serde(default)]
    #[schema(schema_with = canonical::human_names)]
    other_names: Patch<Vec<HumanName>>,
    /// ISO 8601, as exact as it is known: `1980`, `1980-05`, `1980-05-17`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    birth_date: Patch<String>,
    /// Years, where nothing better is known: kept as the year of birth.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 130)]
    age: Option<u8>,
    /// `male`, `female`, `other` or `unknown`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    sex: Patch<Sex>,
    /// A mobile number; with `telecoms` give it there.
    #[serde(default)]
    mobile: Option<String>,
    #[serde(default)]
    #[schema(schema_with = canonical::telecoms)]
    telecoms: Patch<Vec<Telecom>>,
    #[serde(default)]
    #[schema(schema_with = canonical::addresses)]
    addresses: Patch<Vec<Address>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mother_maiden_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    marital_status: Patch<String>,
    /// RFC 3339 time of death; the empty text when only the fact is known; null: alive.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    deceased: Patch<String>,
}

impl Demographics {
    fn canonical(self) -> Result<Stated, Problem> {
        let today = OffsetDateTime::now_utc().date();
        let birth_date = match (self.birth_date, self.age) {
            (Patch::Keep, Some(age)) if age <= 130 => {
                Patch::Set((today.year() - i32::from(age)).to_string())
            }
            (_, Some(_)) => {
                return Err(Problem::invalid(
                    "age",
                    "is 0 to 130, and stands instead of birth_date",
                ));
            }
            (Patch::Set(text), None) => {
                if !is_birth_date(&text, today) {
                    return Err(Problem::invalid(
                        "birth_date",
                        "is a date that has been: 1980, 1980-05 or 1980-05-17",
                    ));
                }
                Patch::Set(text)
            }
            (birth_date, None) => birth_date,
        };
        if let Patch::Set(name) = &self.name
            && name.display().trim().is_empty()
        {
            return Err(Problem::invalid("name", "has no word"));
        }
        if let Patch::Set(text) = &self.deceased
            && !text.is_empty()
            && schemas::moment::plausible(text).is_none()
        {
            return Err(Problem::invalid(
                "deceased",
                "is a time as in RFC 3339 of the years 1800 to 2200, or empty",
            ));
        }
        let telecoms = match (self.telecoms, self.mobile) {
            (telecoms, None) => telecoms,
            (Patch::Keep, Some(value)) => Patch::Set(vec![Telecom {
                value,
                system: "mobile".to_owned(),
                use_code: None,
            }]),
            (_, Some(_)) => {
                return Err(Problem::invalid("mobile", "give either mobile or telecoms"));
            }
        };
        Ok(Stated {
            name: self.name,
            other_names: self.other_names,
            birth_date,
            sex: self.sex,
            telecoms,
            addresses: self.addresses,
            mother_maiden_name: self.mother_maiden_name,
            marital_status: self.marital_status,
            deceased: self.deceased,
        })
    }
}

/// ISO 8601, possibly partial, not before 1850 and not after today.
pub(crate) fn is_birth_date(text: &str, today: Date) -> bool {
    let digits = |part: &str, length: usize| {
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let mut parts = text.split('-');
    let year = parts.next().and_then(|part| digits(part, 4));
    let month = parts.next().map(|part| digits(part, 2));
    let day = parts.next().map(|part| digits(part, 2));
    let (Some(year), None) = (year, parts.next()) else {
        return false;
    };
    let number = |part: Option<Option<u16>>| match part {
        None => Some(1),
        Some(number) => number.and_then(|number| u8::try_from(number).ok()),
    };
    let (Some(month), Some(day)) = (number(month), number(day)) else {
        return false;
    };
    Month::try_from(month)
        .and_then(|month| Date::from_calendar_date(i32::from(year), month, day))
        .is_ok_and(|first| first.year() >= 1850 && first <= today)
}

/// A new patient.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "facility": "SGM", "demographics": { "name": { "family": "Sharma", "given": ["Asha"] }, "age": 45, "sex": "female",
    "mobile": "+91 98450 12345" } }))]
struct NewPatient {
    /// The first is the primary one. None: the facility's series gives the number.
    #[serde(default)]
    identifiers: Vec<GivenIdentifier>,
    /// Whose series gives the number, and the authority of it.
    #[serde(default)]
    facility: Option<String>,
    #[schema(inline)]
    demographics: Demographics,
    /// Why it is registered although somebody on file looks like it.
    #[serde(default)]
    force: Option<String>,
}

/// Register a patient
///
/// Refused when a patient on file looks like it (the same ABHA number, the same name and date of birth, or the same mobile and
/// given name); the problem names them. With `force` it is registered all the same, and the pair is suggested as duplicates.
#[utoipa::path(post, path = "/patients", tag = "patients", request_body = NewPatient, security(("bearer" = ["patients:write"])),
    responses(
        (status = 201, description = "registered; Location is the patient", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 409, description = "somebody on file looks like it, `lookalikes` names them (`patients.likely_duplicate`), or an identifier \
            is somebody's (`patients.identifier_exists`)"),
        (status = 422, description = "there is neither an identifier nor a facility (`patients.no_identifier`), or no name (`patients.no_name`)")))]
async fn register(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewPatient>,
) -> Result<Response, Problem> {
    let identifiers = new
        .identifiers
        .into_iter()
        .map(|one| one.canonical(&can.who.tenant))
        .collect::<Result<Vec<_>, _>>()?;
    let facility = new
        .facility
        .map(|facility| super::text("facility", facility.trim().to_owned()))
        .transpose()?;
    let aggregate = match (identifiers.first(), &facility) {
        // the lane of what sources say of the same identifier
        (Some(first), _) => first.key.0.to_string(),
        (None, Some(facility)) => format!("series {facility}"),
        (None, None) => "series".to_owned(),
    };
    let command = RegisterPatient {
        identifiers,
        facility,
        stated: new.demographics.canonical()?,
        force: new
            .force
            .map(|words| super::text("force", words))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let sent = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await;
    let written = match sent {
        Ok(written) => written,
        Err(problem) => {
            return Err(naming_lookalikes(&state, &can.who.tenant, &command, problem).await);
        }
    };
    Ok(written.respond_placed(|answer| {
        let id = answer
            .as_ref()
            .and_then(|answer| answer["id"].as_str())
            .unwrap_or_default();
        Placed {
            location: format!("/api/v1/patients/{id}"),
            created: true,
            view: Applied::with(answer.clone()),
        }
    }))
}

/// A refusal of a registration; when it was for likeness, with those who look like the new patient.
pub(crate) async fn naming_lookalikes(
    state: &ApiState,
    tenant: &TenantId,
    command: &RegisterPatient,
    problem: Problem,
) -> Problem {
    if problem.code != "patients.likely_duplicate" {
        return problem;
    }
    match lookalikes(state, tenant, command).await {
        Ok(like) => problem.alike(like),
        Err(away) => away,
    }
}

async fn lookalikes(
    state: &ApiState,
    tenant: &TenantId,
    command: &RegisterPatient,
) -> Result<Vec<Lookalike>, Problem> {
    let mut tx = state.read(tenant).await?;
    let like = queries::alike(tx.conn(), &command.stated, &command.identifiers).await?;
    Ok(like
        .into_iter()
        .filter(|one| one.score >= WARNING)
        .map(|one| Lookalike {
            patient_id: one.patient_id,
            score: one.score,
            reasons: one.reasons.into_iter().map(str::to_owned).collect(),
        })
        .collect())
}

/// What changes, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "demographics": { "birth_date": "1980-05-17", "marital_status": null }, "reason": "passport shown" }))]
struct PatientChange {
    #[schema(inline)]
    demographics: Demographics,
    #[serde(default)]
    reason: Option<String>,
}

/// Correct or complete a patient
///
/// With `If-Match` only when nobody changed it meanwhile. A member that is absent stays, null deletes it.
#[utoipa::path(patch, path = "/patients/{id}", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), ("If-Match" = Option<String>, Header, description = "version of what was read")),
    request_body = PatientChange, security(("bearer" = ["patients:write"])),
    responses(
        (status = 200, description = "changed; the answer names the fields", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "it was merged into another (`patients.merged_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`patients.stale`)")))]
async fn change(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(change): Body<PatientChange>,
) -> Result<Response, Problem> {
    let command = ChangePatient {
        patient_id: id,
        seen,
        stated: change.demographics.canonical()?,
        reason: change
            .reason
            .map(|words| super::text("reason", words))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// The lane of a patient's first identifier: what sources say of him is there too.
async fn aggregate(state: &ApiState, tenant: &TenantId, id: Uuid) -> Result<String, Problem> {
    let mut tx = state.read(tenant).await?;
    let record = queries::record(tx.conn(), id)
        .await?
        .ok_or_else(no_patient)?;
    Ok(record
        .identifiers
        .first()
        .map_or(id, |first| first.key)
        .to_string())
}

/// Whether, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "restricted": true, "reason": "member of staff" }))]
struct Restriction {
    restricted: bool,
    reason: String,
}

/// Restrict a patient's chart, or lift that
///
/// A restricted chart opens to who cares for the patient, to who broke the glass, and to who has `patients:restrict`; permission
/// for the whole hospital alone does not open it.
#[utoipa::path(post, path = "/patients/{id}/restriction", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), ("If-Match" = Option<String>, Header, description = "version of what was read")),
    request_body = Restriction, security(("bearer" = ["patients:restrict"])),
    responses(
        (status = 200, description = "done", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "it was merged into another (`patients.merged_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`patients.stale`)")))]
async fn restrict(
    can: Can<PatientsRestrict>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(restriction): Body<Restriction>,
) -> Result<Response, Problem> {
    let command = RestrictPatient {
        patient_id: id,
        seen,
        restricted: restriction.restricted,
        reason: super::reason(restriction.reason)?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Add an identifier to a patient
///
/// One that was ended is taken into use again.
#[utoipa::path(post, path = "/patients/{id}/identifiers", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    request_body = GivenIdentifier, security(("bearer" = ["patients:write"])),
    responses(
        (status = 200, description = "added", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "the identifier is somebody's already (`patients.identifier_exists`)")))]
async fn add_identifier(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(identifier): Body<GivenIdentifier>,
) -> Result<Response, Problem> {
    let command = AddIdentifier {
        patient_id: id,
        identifier: identifier.canonical(&can.who.tenant)?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Which identifier, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "identifier": { "system": "HOSP", "value": "12345" }, "reason": "number of a lost card" }))]
struct Ending {
    #[schema(inline)]
    identifier: GivenIdentifier,
    reason: String,
}

/// End the use of an identifier
///
/// It still leads to the patient, and never to anybody else.
#[utoipa::path(post, path = "/patients/{id}/identifiers/end", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    request_body = Ending, security(("bearer" = ["patients:write"])),
    responses(
        (status = 200, description = "ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`), or the record has no such identifier (`patients.identifier_unknown`)"),
        (status = 409, description = "it is ended (`patients.identifier_closed`), or the last one in use (`patients.identifier_last_conflict`)")))]
async fn end_identifier(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(ending): Body<Ending>,
) -> Result<Response, Problem> {
    let command = EndIdentifier {
        patient_id: id,
        identifier: ending.identifier.canonical(&can.who.tenant)?,
        reason: super::reason(ending.reason)?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Retiring {
    /// The record that would lead to this one.
    retired: Uuid,
}

/// See what a merge would do
///
/// Changes nothing. What differs is shown side by side: a merge copies nothing, so readers see the record that stays. Both keep
/// their identifiers, and everything on either chart is on the chart of the one person.
#[utoipa::path(get, path = "/patients/{id}/merge-preview", tag = "patients",
    params(("id" = Uuid, Path, description = "the record that would stay"), Retiring), security(("bearer" = ["patients:merge"])),
    responses(
        (status = 200, description = "what would be", body = MergePreview),
        (status = 404, description = "one of the records is unknown (`patients.unknown`)")))]
async fn preview(
    can: Can<PatientsMerge>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
    Params(retiring): Params<Retiring>,
) -> Result<Json<MergePreview>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let survivor = reads::one(&mut tx, id).await?.ok_or_else(no_patient)?;
    let retired = reads::one(&mut tx, retiring.retired)
        .await?
        .ok_or_else(no_patient)?;
    previews::merge(&mut tx, survivor, retired).await.map(Json)
}

/// List number series
#[utoipa::path(get, path = "/number-series", tag = "patients", security(("bearer" = ["patients:read"])),
    responses((status = 200, description = "by facility; the list is whole", body = Page<NumberSeries>)))]
async fn series(
    can: Can<PatientsRead>,
    State(state): State<ApiState>,
) -> Result<Json<Page<NumberSeries>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::number_series(tx.conn()).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(NumberSeries::of).collect(),
    )))
}

/// Read a facility's number series
#[utoipa::path(get, path = "/number-series/{id}", tag = "patients", params(("id" = String, Path, description = "the facility")),
    security(("bearer" = ["patients:read"])),
    responses(
        (status = 200, description = "the series; ETag is the version of its definition", body = NumberSeries),
        (status = 404, description = "nothing is defined of this facility, and it has given no number (`patients.series_unknown`)")))]
async fn one_series(
    can: Can<PatientsRead>,
    State(state): State<ApiState>,
    Segment(facility): Segment<String>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::one_number_series(tx.conn(), &facility)
        .await?
        .ok_or_else(|| {
            Problem::unknown(
                "patients.series_unknown",
                "no facility with this code has a series",
            )
        })?;
    let version = row.version;
    Ok(tagged(&NumberSeries::of(row), version))
}

/// How a facility numbers its patients.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "prefix": "SGM", "width": 6, "next": 1 }))]
struct SeriesRule {
    #[schema(max_length = 12)]
    prefix: String,
    /// Digits, with leading zeros.
    #[schema(minimum = 1, maximum = 12)]
    width: i16,
    /// The next number; with the same prefix never below what was given.
    #[schema(minimum = 1)]
    next: i64,
}

/// Define a facility's number series
///
/// Changing wants `If-Match`, making has none. A facility of which nothing is defined has its own letters as prefix and six digits.
#[utoipa::path(put, path = "/number-series/{id}", tag = "patients", params(("id" = String, Path, description = "the facility"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that was seen; absent when it is made")),
    request_body = SeriesRule, security(("bearer" = ["number_series:define"])),
    responses(
        (status = 200, description = "defined", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 409, description = "numbers beyond this one were given (`patients.series_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`patients.series_stale`)"),
        (status = 422, description = "prefix, width or next is not possible (`patients.series`)")))]
async fn define_series(
    can: Can<NumberSeriesDefine>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(facility): Segment<String>,
    seen: Seen,
    Body(rule): Body<SeriesRule>,
) -> Result<Response, Problem> {
    let facility = super::text("facility", facility.trim().to_owned())?;
    let is_there = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::one_number_series(tx.conn(), &facility)
            .await?
            .is_some()
    };
    let command = DefineSeries {
        version: seen.of_definition(is_there, "patients.series_stale")?,
        prefix: rule.prefix,
        width: rule.width,
        next: rule.next,
        actor: can.who.username.clone(),
        facility,
    };
    let aggregate = format!("series {}", command.facility);
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_birth_date_is_as_exact_as_it_is_known_and_has_been() {
        let today = date!(2026 - 03 - 01);
        for (text, good) in [
            ("1980", true),
            ("1980-05", true),
            ("1980-05-17", true),
            ("2026-03-01", true),
            ("2026-03-02", false),
            ("2027", false),
            ("1849", false),
            ("1980-13", false),
            ("1981-02-29", false),
            ("80", false),
            ("1980-5", false),
            ("1980-05-17-01", false),
            ("", false),
        ] {
            assert_eq!(is_birth_date(text, today), good, "{text}");
        }
    }
}
