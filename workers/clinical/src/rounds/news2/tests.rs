use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    edge: Vec<Edge>,
    whole: Vec<Whole>,
}

/// One part: value by value its points.
#[derive(Deserialize)]
struct Edge {
    part: String,
    #[serde(default = "first")]
    scale: i16,
    #[serde(default)]
    oxygen: bool,
    loinc: String,
    #[serde(default)]
    ucum: Option<String>,
    /// `[value, points]`
    cases: Vec<(String, i16)>,
}

fn first() -> i16 {
    1
}

/// A whole round: what comes out.
#[derive(Deserialize)]
struct Whole {
    name: String,
    #[serde(default = "first")]
    scale: i16,
    values: Vec<(String, String, String)>,
    total: Option<i16>,
    response: Option<String>,
    #[serde(default)]
    missing: Vec<String>,
}

fn measured(loinc: &str, value: &str, ucum: Option<&str>) -> Measured {
    Measured {
        loinc: loinc.to_owned(),
        value: value.to_owned(),
        ucum: ucum.filter(|unit| !unit.is_empty()).map(str::to_owned),
    }
}

fn golden() -> Golden {
    toml::from_str(include_str!("../../../tests/golden/news2.toml")).unwrap()
}

/// EM1
#[test]
fn every_edge_of_every_band_has_its_points() {
    let pack = News2::default();
    for edge in golden().edge {
        for (value, points) in &edge.cases {
            let flow = measured("3151-8", if edge.oxygen { "2" } else { "0" }, Some("L/min"));
            let mut values = vec![measured(&edge.loinc, value, edge.ucum.as_deref())];
            if edge.part != "oxygen" {
                values.push(flow);
            }
            let score = pack.score(&values, edge.scale);
            let scored = score.parts.iter().find(|one| one.part == edge.part);
            assert_eq!(
                scored.map(|one| one.points),
                Some(*points),
                "{} {value} on scale {} {}: {score:?}",
                edge.part,
                edge.scale,
                if edge.oxygen { "on oxygen" } else { "on air" }
            );
        }
    }
}

/// No band without an edge in the goldens: a row that is added or moved must be looked at.
#[test]
fn the_goldens_hit_every_row_of_the_pack() {
    let pack = News2::default();
    let golden = golden();
    for part in &pack.parts {
        let tables = [(1, false, Some(&part.bands))].into_iter().chain(
            part.scale_2
                .iter()
                .flat_map(|[air, oxygen]| [(2, false, Some(air)), (2, true, Some(oxygen))]),
        );
        for (scale, oxygen, bands) in tables {
            let hit: std::collections::BTreeSet<String> = golden
                .edge
                .iter()
                .filter(|edge| {
                    edge.part == part.name
                        && edge.scale == scale
                        && (scale == 1 || edge.oxygen == oxygen)
                })
                .flat_map(|edge| &edge.cases)
                .filter_map(|(value, _)| {
                    let value = Fixed::parse(value)?.rounded(part.decimals);
                    bands?
                        .iter()
                        .find(|band| band.to.is_none_or(|to| value <= to))
                        .map(|band| band.shown.clone())
                })
                .collect();
            for band in bands.into_iter().flatten() {
                assert!(
                    hit.contains(&band.shown),
                    "{} scale {scale} oxygen {oxygen}: no case {}",
                    part.name,
                    band.shown
                );
            }
        }
    }
}

/// EM3, EM4 and the responses between them.
#[test]
fn whole_rounds_have_the_total_and_the_response_that_the_goldens_say() {
    let pack = News2::default();
    for whole in golden().whole {
        let values: Vec<Measured> = whole
            .values
            .iter()
            .map(|(loinc, value, ucum)| measured(loinc, value, Some(ucum)))
            .collect();
        let score = pack.score(&values, whole.scale);
        let response = score
            .response
            .and_then(|place| pack.response(place))
            .map(|row| row.name.clone());
        assert_eq!(
            (score.total, response, score.missing),
            (whole.total, whole.response, whole.missing),
            "{}",
            whole.name
        );
    }
}

#[test]
fn a_value_in_another_unit_is_not_scored_and_one_that_can_not_be_is_a_fault() {
    let pack = News2::default();
    let fahrenheit = measured("8310-5", "98.6", Some("[degF]"));
    let score = pack.score(std::slice::from_ref(&fahrenheit), 1);
    assert!(score.parts.is_empty());
    for (loinc, value, ucum, wrong) in [
        ("8310-5", "98.6", "[degF]", true),
        ("8310-5", "37", "Cel", false),
        ("8310-5", "370", "Cel", true),
        ("59408-5", "101", "%", true),
        ("59408-5", "100", "%", false),
        ("8867-4", "fast", "/min", true),
        ("80288-4", "A", "", false),
        ("80288-4", "X", "", true),
        ("3151-8", "-1", "L/min", true),
        // a term that the pack does not know is not its affair
        ("29463-7", "7000", "kg", false),
    ] {
        let fault = pack.fault(&measured(loinc, value, Some(ucum)));
        assert_eq!(fault.is_some(), wrong, "{loinc} {value} {ucum}: {fault:?}");
    }
}

#[test]
fn a_pack_that_can_not_be_used_is_refused_with_the_reason() {
    let good = include_str!("../../../../../mappings/rules/news2.toml");
    for (from, to, expected) in [
        ("version = \"2026.1\"", "version = \" \"", "needs a version"),
        ("id = \"news2\"", "id = \"other\"", "`news2`"),
        (
            "{ to = \"8\", points = 3 }",
            "{ points = 3 }",
            "all bands but the last",
        ),
        (
            "{ to = \"11\", points = 1 }",
            "{ to = \"7\", points = 1 }",
            "bands rise",
        ),
        (
            "{ to = \"35.0\", points = 3 }",
            "{ to = \"35.05\", points = 3 }",
            "with 1 decimals",
        ),
        (
            "loinc = [\"8310-5\"]",
            "loinc = [\"9279-1\"]",
            "shares a code",
        ),
        (
            "single = 3",
            "single = 3\ntotal = 4",
            "either total or single",
        ),
        ("total = 0", "total = 20", "total = 0"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let error = News2::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{from}: {error}");
    }
}
