//! What each resource looks like, and that it is one.

use std::path::PathBuf;

use hub_fhir::{
    Bundle, BundleKind, Capability, Entry, Issue, Kind, Mode, Outcome, Served, ServedParam,
    to_bytes,
};
use serde_json::Value;

use super::samples::{AT, all};

fn golden(name: &str, sent: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.json"));
    // through the bytes as they are sent; keys sorted and numbers as texts, so that digits count
    let text = String::from_utf8(to_bytes(sent)).unwrap();
    let pretty = pretty(&text);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &pretty).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(pretty, expected, "{name}: UPDATE_GOLDEN=1 writes it");
}

/// One member a line, digits untouched.
fn pretty(json: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match c {
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

#[test]
fn every_resource_is_written_as_its_golden_says_and_fhir_sdk_takes_it() {
    let mut kinds = Vec::new();
    for (name, resource) in all() {
        assert_eq!(resource.check(), Ok(()), "{name}");
        golden(name, resource.json());
        kinds.push(resource.kind);
    }
    for kind in Kind::ALL {
        assert!(kinds.contains(kind), "{kind} has no sample");
    }
}

#[test]
fn bundles_outcomes_and_the_capability_statement_are_fhir() {
    let (_, patient) = all().remove(0);
    let outcome = Outcome::of(
        Issue {
            hub_code: Some("fhir.too_costly".to_owned()),
            diagnostics: Some("trace 0".to_owned()),
            ..Issue::warning("too-costly", "narrow it down")
        }
        .at("date"),
    );
    hub_fhir::check(&outcome.json()).unwrap();
    golden("operation-outcome", &outcome.json());
    let bundle = Bundle {
        kind: BundleKind::Searchset,
        at: AT,
        total: Some(1),
        links: vec![("self", "https://hub.example/fhir/Patient".to_owned())],
        entries: vec![
            Entry {
                full_url: Some(format!("https://hub.example/fhir/{}", patient.reference())),
                resource: Some(patient.json().clone()),
                mode: Some(Mode::Match),
                ..Entry::default()
            },
            Entry {
                resource: Some(outcome.json()),
                mode: Some(Mode::Outcome),
                ..Entry::default()
            },
        ],
    };
    let bundle = bundle.json();
    hub_fhir::check(&bundle).unwrap();
    golden("bundle-searchset", &bundle);
    let history = Bundle {
        kind: BundleKind::History,
        at: AT,
        total: Some(1),
        links: Vec::new(),
        entries: vec![Entry {
            resource: Some(patient.json().clone()),
            request: Some(("PUT", patient.reference())),
            status: Some("200 OK".to_owned()),
            etag: Some("W/\"3\"".to_owned()),
            modified: Some(AT),
            ..Entry::default()
        }],
    };
    let history = history.json();
    hub_fhir::check(&history).unwrap();
    golden("bundle-history", &history);
    let param = |name, kind| ServedParam {
        name,
        kind,
        words: "what it looks at",
    };
    let statement = Capability {
        base: "https://hub.example/fhir".to_owned(),
        software: "0.1.0",
        date: "2026-11-22",
        served: vec![Served {
            kind: Kind::Patient,
            interactions: vec!["read", "search-type"],
            keeps_versions: false,
            dated: true,
            params: vec![param("identifier", "token")],
            includes: vec!["Observation:specimen".to_owned()],
            revincludes: vec!["Provenance:target".to_owned()],
            operations: vec![(
                "everything",
                "http://hl7.org/fhir/OperationDefinition/Patient-everything",
            )],
            words: "A person.",
        }],
        common: vec![param("_id", "token")],
    };
    hub_fhir::check(&statement.json()).unwrap();
    golden("capability-statement", &statement.json());
}

#[test]
fn elements_are_left_out_on_request_and_it_is_said() {
    let (_, patient) = all().remove(0);
    let only = patient.only(&["birthDate".to_owned()], &["active"]);
    let names: Vec<&String> = only.json().as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "_birthDate",
            "active",
            "birthDate",
            "id",
            "meta",
            "resourceType"
        ]
    );
    assert_eq!(only.json()["meta"]["tag"][1]["code"], "SUBSETTED");
    assert_eq!(only.check(), Ok(()));
}

#[test]
fn a_version_is_another_one_when_what_is_told_is_another() {
    let one = super::samples::patient();
    let same = one.resource();
    assert_eq!(one.resource().meta.version, same.meta.version);
    let mut other = one;
    other.merged.clear();
    assert_ne!(other.resource().meta.version, same.meta.version);
    assert!(other.resource().meta.version.starts_with("3-"));
}
