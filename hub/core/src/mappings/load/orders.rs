//! Checks order rows and builds their index.

use std::collections::HashSet;

use serde_spanned::Spanned;

use super::super::file::OrderEntry;
use super::super::index::Tables;
use super::super::orders::{OrderRow, OrderRows, canonical};
use super::super::problem::MappingProblem;
use super::super::rows::Systems;
use super::{Origin, Source, channels, overlap, twice};

pub(super) fn orders(sources: &[Source], tables: &mut Tables, problems: &mut Vec<MappingProblem>) {
    let entries = || {
        sources.iter().flat_map(|source| {
            let origin = source.origin();
            source
                .parsed
                .order
                .iter()
                .map(move |entry| (origin, entry.get_ref()))
        })
    };
    let ids_of = |site: bool| -> HashSet<&str> {
        entries()
            .filter(|(origin, _)| origin.site == site)
            .map(|(_, entry)| entry.id.get_ref().as_str())
            .collect()
    };
    let (table_ids, site_ids) = (ids_of(false), ids_of(true));
    let mut seen = HashSet::new();
    let mut rows: Vec<OrderRow> = Vec::new();
    for (origin, entry) in entries() {
        let id = entry.id.get_ref().as_str();
        if !seen.insert((origin.site, id)) {
            problems.push(twice(origin, &entry.id));
        }
        if entry.remove && !(origin.site && table_ids.contains(id)) {
            problems.push(origin.problem(
                &entry.id,
                format!("there is no order row `{id}` to remove"),
                "`remove = true` belongs into site/, with the id of a row of tables/",
            ));
        }
        if entry.remove || (!origin.site && site_ids.contains(id)) {
            continue;
        }
        for row in rows_of(origin, entry, problems) {
            if origin.is_idle() {
                continue;
            }
            if let Some(other) = rows.iter().find(|other| ambiguous(&row, other)) {
                problems.push(origin.problem(
                    &entry.id,
                    format!("order row `{}` and order row `{}` both say what `{}` is on an instrument", row.id, other.id, row.code),
                    "Keep one, give both the same id (a site row replaces the row with its id), or limit them by `channels` or `system`",
                ));
            }
            rows.push(row);
        }
    }
    tables.orders = OrderRows::new(rows);
}

fn ambiguous(one: &OrderRow, two: &OrderRow) -> bool {
    one.code == two.code
        && one.rank() == two.rank()
        && one.systems.overlap(&two.systems)
        && overlap(&one.channels, &two.channels)
}

fn rows_of(
    origin: Origin<'_>,
    entry: &OrderEntry,
    problems: &mut Vec<MappingProblem>,
) -> Vec<OrderRow> {
    let id = &entry.id;
    let mut missing = |codes: &[String], what: &str, advice: &str, at: &Spanned<String>| {
        if codes.is_empty() || codes.iter().any(|code| code.trim().is_empty()) {
            problems.push(origin.problem(
                at,
                format!(
                    "order row `{}` has no {what}, or an empty one",
                    at.get_ref()
                ),
                advice,
            ));
        }
    };
    missing(
        &entry.code.0,
        "code",
        "Add `code = \"…\"` as it is ordered",
        id,
    );
    missing(
        &entry.instrument.0,
        "instrument code",
        "Add `instrument = [\"…\"]`, what the instrument calls the test or the tests of the panel",
        id,
    );
    let limit = channels(origin, &entry.channels, problems);
    let systems = match &entry.system {
        None => Systems::Local,
        Some(names) => Systems::Named(
            names
                .0
                .iter()
                .map(|name| canonical(name).to_owned())
                .collect(),
        ),
    };
    let mut instrument = Vec::new();
    for code in &entry.instrument.0 {
        if !instrument.contains(code) {
            instrument.push(code.clone());
        }
    }
    entry
        .code
        .0
        .iter()
        .map(|code| OrderRow {
            id: id.get_ref().clone(),
            channels: limit.clone(),
            systems: systems.clone(),
            code: code.clone(),
            instrument: instrument.clone(),
            site: origin.site,
        })
        .collect()
}
