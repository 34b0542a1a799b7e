//! Checks code rows and builds their index.

use std::collections::HashSet;

use serde_spanned::Spanned;

use super::super::file::CodeEntry;
use super::super::index::Tables;
use super::super::loinc::{check_digit, is_loinc};
use super::super::problem::MappingProblem;
use super::super::rows::{MappingRow, Systems, UnitRule};
use super::super::specimen;
use super::{Origin, Source, channels, code_entries, overlap};

pub(super) fn codes(sources: &[Source], tables: &mut Tables, problems: &mut Vec<MappingProblem>) {
    let mut rows: Vec<(Origin<'_>, &Spanned<String>, MappingRow)> = Vec::new();
    for (origin, entry) in code_entries(sources, problems) {
        for row in rows_of(origin, entry, tables, problems) {
            if !origin.is_idle() {
                add(&mut rows, origin, &entry.id, row, problems);
            }
        }
    }
    short_rows(sources, &mut rows, problems);
    rows.sort_by_key(|(_, _, row)| std::cmp::Reverse(row.rank()));
    for (_, _, row) in rows {
        let place = tables.rows.len();
        tables
            .by_code
            .entry(row.code.as_str().into())
            .or_default()
            .push(place);
        tables
            .by_loinc
            .entry(row.loinc.as_str().into())
            .or_default()
            .push(place);
        tables.rows.push(row);
    }
}

fn add<'s>(
    rows: &mut Vec<(Origin<'s>, &'s Spanned<String>, MappingRow)>,
    origin: Origin<'s>,
    at: &'s Spanned<String>,
    row: MappingRow,
    problems: &mut Vec<MappingProblem>,
) {
    if let Some((_, _, other)) = rows.iter().find(|(_, _, other)| ambiguous(&row, other)) {
        problems.push(origin.problem(
            at,
            format!("row `{}` and row `{}` both say what `{}` is", row.id, other.id, row.code),
            "Keep one, give both the same id (a site row replaces the row with its id), or limit them by `channels`, `system` or `specimen`",
        ));
    }
    rows.push((origin, at, row));
}

/// `[codes]` of packs: a code that means what a row of the tables says, as that row is in force here.
fn short_rows<'s>(
    sources: &'s [Source],
    rows: &mut Vec<(Origin<'s>, &'s Spanned<String>, MappingRow)>,
    problems: &mut Vec<MappingProblem>,
) {
    let ids_of = |site: Option<bool>| -> HashSet<&str> {
        sources
            .iter()
            .filter(|source| site.is_none_or(|site| source.site == site))
            .flat_map(|source| &source.parsed.code)
            .map(|entry| entry.get_ref().id.get_ref().as_str())
            .collect()
    };
    let (known, site) = (ids_of(None), ids_of(Some(true)));
    for source in sources {
        let Some(pack) = &source.pack else { continue };
        let origin = source.origin();
        for (code, meaning) in &pack.short {
            let id = meaning.get_ref().as_str();
            if !known.contains(id) {
                problems.push(origin.problem(
                    meaning,
                    format!("`{id}` is the id of no row of the code tables"),
                    "Use an id of tables/codes-*.toml, or write a [[code]] row with its LOINC code",
                ));
                continue;
            }
            let own = format!("{}{id}", pack.prefix);
            if origin.is_idle() || site.contains(own.as_str()) {
                continue;
            }
            // switched off by the site: then so is this
            let Some(meant) = rows.iter().find(|(_, _, row)| row.id == id) else {
                continue;
            };
            let row = MappingRow {
                id: own,
                channels: pack.channels.clone(),
                // a blood gas row is for codes with M or C where the system stands, which records have no place for
                systems: pack
                    .systems
                    .clone()
                    .unwrap_or_else(|| meant.2.systems.clone()),
                code: code.get_ref().clone(),
                site: false,
                file: origin.name.to_owned(),
                ..meant.2.clone()
            };
            add(rows, origin, code, row, problems);
        }
    }
}

/// Two rows of one rank that could both answer the same question.
fn ambiguous(one: &MappingRow, two: &MappingRow) -> bool {
    one.code == two.code
        && one.rank() == two.rank()
        && one.systems.overlap(&two.systems)
        && specimen::overlap(&one.specimens, &two.specimens)
        && overlap(&one.channels, &two.channels)
}

fn rows_of(
    origin: Origin<'_>,
    entry: &CodeEntry,
    tables: &Tables,
    problems: &mut Vec<MappingProblem>,
) -> Vec<MappingRow> {
    let id = entry.id.get_ref();
    if entry.code.0.iter().all(|c| c.trim().is_empty()) {
        problems.push(origin.problem(
            &entry.id,
            format!("row `{id}` has no code"),
            "Add `code = \"…\"` as the device sends it",
        ));
    }
    let Some(loinc) = &entry.loinc else {
        problems.push(origin.problem(
            &entry.id,
            format!("row `{id}` has no LOINC code"),
            "Add `loinc = \"…\"`",
        ));
        return Vec::new();
    };
    check_loinc(origin, loinc, problems);
    for unit in entry
        .ucum
        .iter()
        .chain(&entry.fixed_unit)
        .chain(entry.units.iter().map(|u| &u.from))
    {
        check_unit(origin, unit, tables, problems);
    }
    for rule in &entry.units {
        if !is_factor(rule.factor.get_ref()) {
            problems.push(origin.problem(
                &rule.factor,
                format!("`{}` is no factor", rule.factor.get_ref()),
                "Write a decimal number above 0 in quotes, with `.` as the mark: \"0.1\"",
            ));
        }
    }
    if entry.ucum.is_none() && (entry.fixed_unit.is_some() || !entry.units.is_empty()) {
        problems.push(origin.problem(
            &entry.id,
            format!("row `{id}` converts units but has none of its own"),
            "Add `ucum = \"…\"`, the unit that results are kept in",
        ));
    }
    let limit = channels(origin, &entry.channels, problems);
    let systems = match &entry.system {
        None => Systems::Local,
        Some(names) => Systems::Named(names.0.iter().map(|n| n.trim().to_owned()).collect()),
    };
    if let Some(said) = &entry.specimen
        && (said.0.is_empty() || said.0.iter().any(|one| one.trim().is_empty()))
    {
        problems.push(origin.problem(
            &entry.id,
            format!("row `{id}` names no type of specimen"),
            "Write it as the device does, `specimen = \"UR\"`, or `*` for any; left out it is for blood, serum and plasma",
        ));
    }
    let specimens = entry
        .specimen
        .as_ref()
        .map(|said| specimen::of_row(&said.0))
        .unwrap_or_default();
    entry
        .code
        .0
        .iter()
        .map(|code| MappingRow {
            id: id.clone(),
            channels: limit.clone(),
            systems: systems.clone(),
            specimens: specimens.clone(),
            code: code.trim().to_owned(),
            loinc: loinc.get_ref().clone(),
            display: entry.display.clone(),
            ucum: entry.ucum.as_ref().map(|u| u.get_ref().clone()),
            units: entry
                .units
                .iter()
                .map(|u| UnitRule {
                    from: u.from.get_ref().clone(),
                    factor: Some(u.factor.get_ref().clone()).filter(|f| f != "1"),
                })
                .collect(),
            fixed_unit: entry.fixed_unit.as_ref().map(|u| u.get_ref().clone()),
            site: origin.site,
            file: origin.name.to_owned(),
        })
        .collect()
}

fn check_loinc(origin: Origin<'_>, loinc: &Spanned<String>, problems: &mut Vec<MappingProblem>) {
    let code = loinc.get_ref();
    if is_loinc(code) {
        return;
    }
    let expected = code
        .split_once('-')
        .map(|(number, _)| number)
        .filter(|n| (1..=7).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
        .map(|number| {
            format!(
                " (the check digit of {number} would be {})",
                check_digit(number)
            )
        })
        .unwrap_or_default();
    problems.push(origin.problem(
        loinc,
        format!("`{code}` is no LOINC code{expected}"),
        "Copy the code from https://loinc.org",
    ));
}

fn check_unit(
    origin: Origin<'_>,
    unit: &Spanned<String>,
    tables: &Tables,
    problems: &mut Vec<MappingProblem>,
) {
    let name = unit.get_ref();
    if !tables.units.contains_key(name.as_str()) {
        problems.push(origin.problem(
            unit,
            format!("the unit `{name}` is in no unit table"),
            "Correct it, or add a [[unit]] row for it",
        ));
    }
}

/// A decimal number above zero, without sign or exponent.
fn is_factor(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.len() <= 18 && t.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(part) && text.bytes().any(|b| (b'1'..=b'9').contains(&b))
}
