//! `GET metadata`: the CapabilityStatement, made from the table that the routes are made from.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hub_fhir::{Capability, Kind, Served, ServedParam};

use super::answer;
use super::call::Call;
use super::table::{COMMON, Interaction, Param, WIRED, WITH_PROVENANCE, Wired, wired};
use crate::problem::Problem;

/// Day of the release that the statement speaks of.
const DATE: &str = "2026-11-22";

/// Open to everybody: a client asks what there is before it signs in.
pub(crate) async fn read(request: Request) -> Result<Response, Problem> {
    let (call, _) = Call::begin(request).await?;
    let statement = Capability {
        base: call.base,
        software: env!("CARGO_PKG_VERSION"),
        date: DATE,
        served: WIRED.iter().map(served).collect(),
        common: COMMON.iter().map(param).collect(),
    };
    Ok(answer::json(StatusCode::OK, &statement.json()))
}

fn param(param: &Param) -> ServedParam {
    ServedParam {
        name: param.name,
        kind: param.how.code(),
        words: param.words,
    }
}

fn served(one: &'static Wired) -> Served {
    let includes = one
        .references()
        .map(|param| format!("{}:{}", one.kind, param.name))
        .collect();
    let provenance = WITH_PROVENANCE.contains(&one.kind) && wired(Kind::Provenance).is_some();
    let operations = if one.does(Interaction::Everything) {
        vec![(
            "everything",
            "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        )]
    } else {
        Vec::new()
    };
    Served {
        kind: one.kind,
        interactions: one
            .interactions
            .iter()
            .filter_map(|interaction| interaction.code())
            .collect(),
        keeps_versions: one.keeps_versions,
        dated: one.dated,
        params: one.params.iter().chain(COMMON).map(param).collect(),
        includes,
        revincludes: provenance
            .then(|| "Provenance:target".to_owned())
            .into_iter()
            .collect(),
        operations,
        words: one.words,
    }
}
