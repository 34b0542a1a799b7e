//! Beds that a device names otherwise than the hospital system.

use std::collections::HashSet;

use super::super::beds;
use super::super::file::BedEntry;
use super::super::index::{Limited, Tables};
use super::super::problem::MappingProblem;
use super::{Source, add, channels, twice};

pub(super) fn beds(sources: &[Source], tables: &mut Tables, problems: &mut Vec<MappingProblem>) {
    let site_ids: HashSet<&str> = sources
        .iter()
        .filter(|source| source.site)
        .flat_map(|source| &source.parsed.bed)
        .map(|entry| entry.get_ref().id.get_ref().as_str())
        .collect();
    let mut seen = HashSet::new();
    for source in sources {
        let origin = source.origin();
        for entry in &source.parsed.bed {
            let BedEntry {
                id,
                sent,
                is,
                channels: limit,
                remove,
            } = entry.get_ref();
            if !seen.insert((origin.site, id.get_ref().as_str())) {
                problems.push(twice(origin, id));
            }
            if *remove || (!origin.site && site_ids.contains(id.get_ref().as_str())) {
                continue;
            }
            let place = is
                .as_ref()
                .map(|is| beds::parse(is.get_ref()))
                .filter(|place| schemas::devices::Bed::of(place).is_some());
            let (Some(place), false) = (place, sent.0.is_empty()) else {
                problems.push(origin.problem(
                    id,
                    format!("bed `{}` lacks one of its names", id.get_ref()),
                    "Give `sent` as the monitor writes PV1-3 and `is` as ADT messages do: \"ICU^^5\"",
                ));
                continue;
            };
            let limit = channels(origin, limit, problems);
            for spelling in &sent.0 {
                let said = Limited {
                    to: beds::text(&place).into(),
                    channels: limit.clone(),
                    site: origin.site,
                };
                let key = beds::key(&beds::parse(spelling));
                if let Some(other) = add(&mut tables.beds, &key, said) {
                    problems.push(origin.problem(
                        id,
                        format!("`{spelling}` is `{other}` in another row"),
                        "Keep one of the two, or limit them by `channels`",
                    ));
                }
            }
        }
    }
}
