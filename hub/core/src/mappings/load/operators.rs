//! Operators of bedside devices. A person stands once for a device and a day, or two levels would contradict each other.

use schemas::rosters::RosterOperator;
use serde_spanned::Spanned;
use time::Date;
use time::macros::format_description;

use super::super::file::OperatorEntry;
use super::super::index::Tables;
use super::super::operators::Certified;
use super::super::problem::MappingProblem;
use super::{Origin, Source, channels, overlap};

/// Longest id and name: a device shows some twenty characters, and none takes more than this.
const LONGEST: usize = 100;

pub(super) fn operators(
    sources: &[Source],
    tables: &mut Tables,
    problems: &mut Vec<MappingProblem>,
) {
    for source in sources {
        let origin = source.origin();
        for entry in &source.parsed.operator {
            let id = &entry.get_ref().id;
            if !origin.site {
                problems.push(origin.problem(
                    id,
                    "operators are people of one hospital".to_owned(),
                    "Move the row into a file of site/",
                ));
                continue;
            }
            let Some(row) = read(origin, entry.get_ref(), problems) else {
                continue;
            };
            let twice = tables.operators.iter().any(|other| {
                other.operator.id == row.operator.id
                    && overlap(&other.channels, &row.channels)
                    && other.meets(&row)
            });
            if twice {
                problems.push(origin.problem(
                    id,
                    format!(
                        "operator `{}` is certified twice for one device and day",
                        id.get_ref()
                    ),
                    "Keep one of the rows, or limit them by `channels`, `from` and `until`",
                ));
            }
            tables.operators.push(row);
        }
    }
}

fn read(
    origin: Origin<'_>,
    entry: &OperatorEntry,
    problems: &mut Vec<MappingProblem>,
) -> Option<Certified> {
    let before = problems.len();
    let id = entry.id.get_ref().trim();
    if !is_text(id) {
        problems.push(origin.problem(
            &entry.id,
            format!("`{id}` is no id of an operator"),
            "Write what stands on the badge: 1 to 100 characters",
        ));
    }
    let level = entry.level.as_ref().map(|level| level.get_ref().trim());
    if let (Some(said), Some(at)) = (level, &entry.level)
        && !is_text(said)
    {
        problems.push(origin.problem(
            at,
            "`level` is empty".to_owned(),
            "Write what the device calls it, often 1 for a user and 4 for a supervisor",
        ));
    }
    let from = day(origin, entry.from.as_ref(), problems);
    let until = day(origin, entry.until.as_ref(), problems);
    if let (Some(first), Some(last), Some(at)) = (&from, &until, &entry.until)
        && last < first
    {
        problems.push(origin.problem(
            at,
            format!("the certification ends on {last}, before it begins on {first}"),
            "Correct one of the days",
        ));
    }
    let limit = channels(origin, &entry.channels, problems);
    let methods: Vec<String> = match entry.methods.0.as_slice() {
        [] => vec!["ALL".to_owned()],
        some => some.iter().map(|method| method.trim().to_owned()).collect(),
    };
    if methods.iter().any(|method| !is_text(method)) {
        problems.push(origin.problem(
            &entry.id,
            format!("operator `{id}` has an empty method"),
            "Write what the device calls the test, or leave `methods` out for all",
        ));
    }
    let name = entry
        .name
        .as_deref()
        .map(str::trim)
        .filter(|name| is_text(name));
    (problems.len() == before).then(|| Certified {
        operator: RosterOperator {
            id: id.to_owned(),
            name: name.map(str::to_owned),
            level: level.unwrap_or("1").to_owned(),
            methods,
            until,
        },
        channels: limit,
        from,
    })
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control)
}

fn day(
    origin: Origin<'_>,
    said: Option<&Spanned<String>>,
    problems: &mut Vec<MappingProblem>,
) -> Option<String> {
    let said = said?;
    let text = said.get_ref().trim();
    if Date::parse(text, format_description!("[year]-[month]-[day]")).is_err() {
        problems.push(origin.problem(
            said,
            format!("`{text}` is no day"),
            "Write it as \"2027-03-31\"",
        ));
        return None;
    }
    Some(text.to_owned())
}
