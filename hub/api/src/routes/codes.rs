//! Code systems: what is imported, and codes to choose from. Releases are imported with `hub codes import`, never over REST.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use worker_clinical::queries::{self, CodeSearch};
use worker_clinical::terminology::CodeSystem;

use crate::auth::permission::{CanSomewhere, CodesRead};
use crate::extract::Params;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::views::codes::{CodeRelease, SystemCode};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(releases))
        .routes(routes!(list))
}

/// Nobody types more into a search, and no code is longer.
const TEXT_BYTES: usize = 200;

/// List code systems
///
/// Every release that was imported, those in force first. Their notices are to be shown where their codes are.
#[utoipa::path(get, path = "/code-systems", tag = "codes", security(("bearer" = ["codes:read"])),
    responses((status = 200, description = "all of them, on one page", body = Page<CodeRelease>)))]
async fn releases(
    can: CanSomewhere<CodesRead>,
    State(state): State<ApiState>,
) -> Result<Json<Page<CodeRelease>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::code_releases(tx.conn()).await?;
    Ok(Json(Page::whole(
        rows.into_iter().filter_map(CodeRelease::of).collect(),
    )))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `I10` (ICD-10), `I10C` (ICD-10-CM) or `LN` (LOINC); also by its FHIR URI.
    system: String,
    /// The beginning of a code, with or without its point, or words, each from its beginning, in any order: `diab type 2`.
    q: Option<String>,
    /// Exactly this code, also when it is not in force any more.
    code: Option<String>,
    /// What stands right under this code.
    parent: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

fn short(field: &'static str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.trim().is_empty() => Err(Problem::invalid(field, "must not be empty")),
        Some(text) if text.len() > TEXT_BYTES => Err(Problem::invalid(
            field,
            format!("has more than {TEXT_BYTES} bytes"),
        )),
        // no code and no word has one, and Postgres takes none
        Some(text) if text.contains('\0') => {
            Err(Problem::invalid(field, "has a character that no text has"))
        }
        text => Ok(text),
    }
}

/// Find codes
///
/// In the release in force, in the order of the codes. Codes that were recorded earlier are found with `code` also when a later
/// release has them no more (`in_force` is then false).
#[utoipa::path(get, path = "/codes", tag = "codes", params(Search), security(("bearer" = ["codes:read"])),
    responses(
        (status = 200, description = "by code", body = Page<SystemCode>),
        (status = 404, description = "no release of this system is imported (`codes.not_imported`)")))]
async fn list(
    can: CanSomewhere<CodesRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<SystemCode>>, Problem> {
    let system = CodeSystem::parse(&search.system).ok_or_else(|| {
        let symbols: Vec<&str> = CodeSystem::ALL
            .iter()
            .map(|system| system.symbol())
            .collect();
        Problem::invalid("system", format!("must be one of: {}", symbols.join(", ")))
    })?;
    let after = short("cursor", Cursor::key::<String>(search.cursor.as_ref())?)
        .map_err(|_| Cursor::refused())?;
    let wanted = CodeSearch {
        text: short("q", search.q)?,
        code: short("code", search.code)?,
        parent: short("parent", search.parent)?,
        after,
        limit: search.limit.rows(),
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let Some(rows) = queries::codes(tx.conn(), system, &wanted).await? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "codes.not_imported",
            format!(
                "no release of {} is imported: who runs the hub does it with `hub codes import {} <file>`",
                system.name(),
                system.symbol()
            ),
        ));
    };
    let next = rows
        .last()
        .filter(|_| search.limit.is_full(rows.len()))
        .map(|row| row.code.clone());
    Ok(Json(Page::of(rows, next, SystemCode::of)))
}
