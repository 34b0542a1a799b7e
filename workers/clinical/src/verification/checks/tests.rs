use serde::Deserialize;
use time::macros::datetime;

use super::*;
use crate::verification::pack::{Approval, Standing};

const AT: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// A pack with one analyte and one relation, approved.
fn pack(more: &str) -> Autoverify {
    let text = format!(
        "version = \"t\"\nfirst = 2\nqc_hours = 24\n{more}\n\
         [[flag]]\ntext = [\"N\"]\naction = \"none\"\n[[flag]]\ntext = [\"C\"]\naction = \"block\"\n\
         [[flag]]\ntext = [\"C\"]\naction = \"none\"\nchannels = [\"mild\"]\n\
         [[channel]]\nid = \"quiet\"\nautoverify = false\n\
         [[analyte]]\nloinc = \"2823-3\"\nucum = \"mmol/L\"\namr = {{ low = \"1\", high = \"10\" }}\n\
         range = {{ low = \"3.2\", high = \"5.6\" }}\ndelta = [{{ days = 3, absolute = \"1\", percent = \"20\" }}]\n\
         [[sibling]]\nname = \"twice sodium\"\nplus = [{{ loinc = \"2823-3\", ucum = \"mmol/L\" }}]\n\
         over = [{{ loinc = \"2951-2\", ucum = \"mmol/L\" }}]\nfactor = \"100\"\nlow = \"2\"\nhigh = \"4\"\n"
    );
    approve(Autoverify::parse(&text).unwrap())
}

fn approve(pack: Autoverify) -> Autoverify {
    let approval = Approval {
        version: pack.version().to_owned(),
        sha256: pack.digest().to_owned(),
        by: "chief".to_owned(),
        at: "2026-02-01".to_owned(),
        off: false,
        channels_off: Vec::new(),
    };
    let pack = pack.approved(&approval);
    assert!(matches!(pack.standing(), Standing::Approved { .. }));
    pack
}

/// A potassium that passes everything.
fn good() -> Facts<'static> {
    Facts {
        channel: "analyzer",
        status: Some("F"),
        patient: true,
        ordered: true,
        held: None,
        kind: "quantity",
        loinc: Some("2823-3"),
        ucum: Some("mmol/L"),
        comparator: None,
        number: Some(4.2),
        flags: vec!["N"],
        critical: false,
        corrects_released: false,
        rejected: None,
    }
}

fn hours(count: i64) -> OffsetDateTime {
    AT + Duration::hours(count)
}

fn control(hour: i64, good: bool) -> Option<Measured> {
    Some(Measured {
        at: hours(hour),
        good,
    })
}

fn level(before: Option<Measured>, after: Option<Measured>) -> Level {
    Level {
        level: "1".to_owned(),
        before,
        after,
    }
}

fn calm() -> Around {
    Around {
        at: AT,
        previous: None,
        controls: vec![level(control(-3, true), None)],
        siblings: HashMap::new(),
        seen: 2,
    }
}

fn failed(facts: &Facts<'_>, around_it: &Around, pack: &Autoverify) -> &'static str {
    match by_itself(facts, pack).and_then(|()| around(facts, around_it, pack)) {
        Ok(()) => "pass",
        Err(failure) => {
            assert!(!failure.reason.is_empty());
            failure.check.as_str()
        }
    }
}

#[test]
fn what_passes_every_check_is_good() {
    assert_eq!(failed(&good(), &calm(), &pack("")), "pass");
}

#[test]
fn each_check_of_the_result_by_itself_is_named_when_it_fails() {
    let pack = pack("");
    let table: Vec<(&str, Facts<'_>)> = vec![
        (
            "final",
            Facts {
                status: Some("P"),
                ..good()
            },
        ),
        (
            "final",
            Facts {
                status: Some("R"),
                ..good()
            },
        ),
        (
            "pass",
            Facts {
                status: None,
                ..good()
            },
        ),
        (
            "patient",
            Facts {
                patient: false,
                ..good()
            },
        ),
        (
            "order",
            Facts {
                ordered: false,
                ..good()
            },
        ),
        (
            "meaning",
            Facts {
                held: Some("unknown_unit"),
                ..good()
            },
        ),
        (
            "meaning",
            Facts {
                loinc: None,
                ..good()
            },
        ),
        (
            "meaning",
            Facts {
                ucum: None,
                ..good()
            },
        ),
        // dashes in place of a value
        (
            "number",
            Facts {
                ucum: None,
                number: None,
                ..good()
            },
        ),
        (
            "flags",
            Facts {
                flags: vec!["N", "XYZ"],
                ..good()
            },
        ),
        (
            "flags",
            Facts {
                flags: vec!["C"],
                ..good()
            },
        ),
        (
            "pass",
            Facts {
                flags: vec!["C"],
                channel: "mild",
                ..good()
            },
        ),
        (
            "pass",
            Facts {
                flags: vec![""],
                ..good()
            },
        ),
        (
            "rules",
            Facts {
                ucum: Some("mg/dL"),
                ..good()
            },
        ),
        (
            "number",
            Facts {
                comparator: Some("<"),
                ..good()
            },
        ),
        (
            "number",
            Facts {
                number: None,
                kind: "text",
                ..good()
            },
        ),
        (
            "measurable",
            Facts {
                number: Some(10.1),
                ..good()
            },
        ),
        (
            "range",
            Facts {
                number: Some(5.7),
                ..good()
            },
        ),
        (
            "range",
            Facts {
                number: Some(3.1),
                ..good()
            },
        ),
        (
            "pass",
            Facts {
                number: Some(5.6),
                ..good()
            },
        ),
        (
            "critical",
            Facts {
                critical: true,
                ..good()
            },
        ),
        (
            "correction",
            Facts {
                corrects_released: true,
                ..good()
            },
        ),
        // a picture goes with its numbers, and is no way round a correction
        (
            "pass",
            Facts {
                kind: "attachment",
                loinc: None,
                ordered: false,
                ..good()
            },
        ),
        (
            "correction",
            Facts {
                kind: "attachment",
                corrects_released: true,
                ..good()
            },
        ),
        // the first in order, not the worst
        (
            "patient",
            Facts {
                patient: false,
                ordered: false,
                held: Some("no_patient"),
                ..good()
            },
        ),
        (
            "range",
            Facts {
                number: Some(6.0),
                critical: true,
                corrects_released: true,
                ..good()
            },
        ),
    ];
    for (expected, facts) in table {
        assert_eq!(failed(&facts, &calm(), &pack), expected, "{facts:?}");
    }
    let blocked = by_itself(
        &Facts {
            flags: vec!["C"],
            ..good()
        },
        &pack,
    )
    .unwrap_err();
    assert!(blocked.blocked);
    let looked_at = by_itself(
        &Facts {
            flags: vec!["?"],
            ..good()
        },
        &pack,
    )
    .unwrap_err();
    assert!(!looked_at.blocked);
}

#[test]
fn an_order_is_asked_for_only_where_the_pack_says_so() {
    let facts = Facts {
        ordered: false,
        ..good()
    };
    assert_eq!(
        failed(&facts, &calm(), &pack("needs_order = false")),
        "pass"
    );
}

#[test]
fn controls_of_every_level_are_good_and_in_date() {
    let pack = pack("");
    for (expected, controls) in [
        ("control", vec![]),
        ("control", vec![level(None, None)]),
        ("control", vec![level(control(-3, false), None)]),
        ("control", vec![level(control(-25, true), None)]),
        ("pass", vec![level(control(-24, true), None)]),
        // between a good control and a bad one
        ("control", vec![level(control(-3, true), control(1, false))]),
        // between a bad one and a good one
        ("control", vec![level(control(-3, false), control(1, true))]),
        ("pass", vec![level(control(-3, true), control(1, true))]),
        // one level of two
        (
            "control",
            vec![level(control(-3, true), None), level(None, None)],
        ),
    ] {
        let around = Around {
            controls: controls.clone(),
            ..calm()
        };
        assert_eq!(failed(&good(), &around, &pack), expected, "{controls:?}");
    }
}

#[test]
fn a_change_beyond_every_limit_of_a_rule_fails() {
    for (expected, rule, number, hour) in [
        // absolute 1 and 20 %
        ("pass", "", 3.5, -24),
        ("delta", "", 5.3, -24),
        ("pass", "", 5.2, -24),
        ("pass", "", 5.3, -73),
        ("delta", "", 5.3, -72),
        // on the limit of a binary fraction: 4.2 - 3.9 is 0.3
        ("pass", "[{ days = 3, absolute = \"0.3\" }]", 3.9, -24),
        ("delta", "[{ days = 3, absolute = \"0.29\" }]", 3.9, -24),
        // 1.2 in two days is 0.6 a day
        ("pass", "[{ days = 3, per_day = \"0.6\" }]", 3.0, -48),
        ("delta", "[{ days = 3, per_day = \"0.5\" }]", 3.0, -48),
        // an hour is no rate of a day
        ("pass", "[{ days = 3, per_day = \"1.2\" }]", 3.0, -1),
        ("delta", "[{ days = 3, percent = \"20\" }]", 0.0, -1),
        // every rule of several
        (
            "delta",
            "[{ days = 1, absolute = \"9\" }, { days = 3, absolute = \"0.1\" }]",
            3.0,
            -24,
        ),
    ] {
        let text = if rule.is_empty() {
            "[{ days = 3, absolute = \"1\", percent = \"20\" }]"
        } else {
            rule
        };
        let pack = approve(
            Autoverify::parse(&format!(
                "version = \"t\"\nfirst = 0\nqc_hours = 24\n[[flag]]\ntext = [\"N\"]\naction = \"none\"\n\
                 [[analyte]]\nloinc = \"2823-3\"\nucum = \"mmol/L\"\nrange = {{ low = \"0\" }}\ndelta = {text}\n"
            ))
            .unwrap(),
        );
        let previous = Some(Previous {
            number,
            at: hours(hour),
        });
        let around = Around { previous, ..calm() };
        assert_eq!(
            failed(&good(), &around, &pack),
            expected,
            "{text} {number} {hour}"
        );
    }
}

#[test]
fn a_relation_is_looked_at_when_all_of_it_is_there() {
    let pack = pack("");
    let term = |loinc: &str| (loinc.to_owned(), "mmol/L".to_owned());
    for (expected, sodium) in [
        ("pass", None),
        ("pass", Some(140.0)),
        ("siblings", Some(80.0)),
        ("siblings", Some(0.0)),
    ] {
        let mut siblings = HashMap::from([(term("2823-3"), 4.2)]);
        siblings.extend(sodium.map(|sodium| (term("2951-2"), sodium)));
        let around = Around { siblings, ..calm() };
        assert_eq!(failed(&good(), &around, &pack), expected, "{sodium:?}");
    }
}

#[test]
fn the_first_of_a_configuration_are_verified_by_people() {
    let around = Around { seen: 1, ..calm() };
    assert_eq!(failed(&good(), &around, &pack("")), "first");
}

#[test]
fn what_is_not_approved_or_switched_off_verifies_nothing() {
    let approved = pack("");
    let draft = Autoverify::parse("version = \"t\"\nfirst = 0\nqc_hours = 1\n").unwrap();
    let changed = Autoverify::default().approved(&Approval {
        version: Autoverify::default().version().to_owned(),
        sha256: "00".to_owned(),
        by: "chief".to_owned(),
        at: "2026-02-01".to_owned(),
        off: false,
        channels_off: Vec::new(),
    });
    assert_eq!(draft.standing(), &Standing::Draft);
    assert_eq!(changed.standing(), &Standing::Changed);
    let approval = |off, channels_off: &[&str]| Approval {
        version: approved.version().to_owned(),
        sha256: approved.digest().to_owned(),
        by: "chief".to_owned(),
        at: "2026-02-01".to_owned(),
        off,
        channels_off: channels_off
            .iter()
            .map(|id| schemas::ChannelId::new(*id).unwrap())
            .collect(),
    };
    let stopped = pack("").approved(&approval(true, &[]));
    let one_stopped = pack("").approved(&approval(false, &["analyzer"]));
    for (expected, channel, pack) in [
        (
            Some("autoverification is switched off"),
            "analyzer",
            &stopped,
        ),
        (
            Some("autoverification of this channel is switched off"),
            "analyzer",
            &one_stopped,
        ),
        (None, "other", &one_stopped),
        (None, "analyzer", &approved),
        (
            Some("autoverification of this channel is switched off"),
            "quiet",
            &approved,
        ),
        (
            Some("autoverification is switched off"),
            "analyzer",
            &pack("autoverify = false"),
        ),
        (
            Some("the rule pack is a draft: nobody approved it"),
            "analyzer",
            &draft,
        ),
        (
            Some("the rule pack was changed after its approval"),
            "analyzer",
            &changed,
        ),
    ] {
        assert_eq!(pack.off(channel), expected);
        // the last check: what a draft would have done is seen
        let facts = Facts {
            channel,
            kind: "attachment",
            ..good()
        };
        let long_known = Around { seen: 99, ..calm() };
        let made = around(&facts, &long_known, pack).err();
        assert_eq!(made.map(|failure| failure.reason).as_deref(), expected);
    }
}

#[derive(Deserialize)]
struct Golden {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    loinc: String,
    ucum: String,
    value: String,
    #[serde(default)]
    flags: Vec<String>,
    before: Option<String>,
    #[serde(default)]
    days: i64,
    #[serde(default)]
    siblings: Vec<(String, String, String)>,
    #[serde(default)]
    no_control: bool,
    failed: String,
}

#[test]
fn the_pack_that_comes_with_the_program_judges_as_its_golden_cases_say() {
    let draft = Autoverify::default();
    assert_eq!(
        draft.standing(),
        &Standing::Draft,
        "it is shipped as a draft"
    );
    let pack = approve(draft);
    let limits = crate::CriticalLimits::default();
    let golden: Golden =
        toml::from_str(include_str!("../../../tests/golden/autoverify.toml")).unwrap();
    for case in &golden.case {
        let number = case.value.parse().unwrap();
        let facts = Facts {
            loinc: Some(&case.loinc),
            ucum: Some(&case.ucum),
            number: Some(number),
            flags: case.flags.iter().map(String::as_str).collect(),
            critical: limits.may_be_critical(&case.loinc, &case.ucum, &case.value),
            ..good()
        };
        let mut siblings: HashMap<Term, f64> = case
            .siblings
            .iter()
            .map(|(loinc, ucum, value)| ((loinc.clone(), ucum.clone()), value.parse().unwrap()))
            .collect();
        siblings.insert((case.loinc.clone(), case.ucum.clone()), number);
        let around = Around {
            previous: case.before.as_ref().map(|before| Previous {
                number: before.parse().unwrap(),
                at: AT - Duration::days(case.days),
            }),
            controls: if case.no_control {
                vec![]
            } else {
                calm().controls
            },
            siblings,
            seen: 20,
            ..calm()
        };
        assert_eq!(failed(&facts, &around, &pack), case.failed, "{}", case.name);
    }
}
