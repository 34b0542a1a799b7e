//! Who a message is about: PID to identifiers and demographics.

use schemas::patients::{Address, Assertion, HumanName, Identifier, PatientReported, Sex, Telecom};
use schemas::{IdentifierKey, Patch};

use super::scope::{Moment, Scope, Seg, string, text};
use crate::dtm::Precision;
use crate::message::Value;

/// The fields that may hold the patient's number: PID-3, then PID-2 and PID-4 of older devices (Mindray BS, ABL). The
/// later ones count only when PID-3 is empty: elsewhere they hold sequence numbers, which would join strangers.
const NUMBER_FIELDS: [(usize, &str); 3] = [(3, "PID-3"), (2, "PID-2"), (4, "PID-4")];

/// The patient's number as an operator searches it.
pub(super) fn number(pid: &Seg<'_>) -> Option<String> {
    NUMBER_FIELDS
        .into_iter()
        .find_map(|(n, _)| pid.peek(n).repetitions().find_map(|r| text(r.component(1))))
        .map(|t| t.chars().take(80).collect())
}

/// All identifiers, the primary one first; empty when the segment names none.
pub(super) fn identifiers(scope: &Scope<'_>, pid: &Seg<'_>) -> Vec<Identifier> {
    for (n, path) in NUMBER_FIELDS {
        let found = identifiers_in(scope, path, pid.peek(n));
        if !found.is_empty() {
            pid.field(n);
            return found;
        }
    }
    Vec::new()
}

/// The identifiers of a repeating CX field, each once.
pub(super) fn identifiers_in(scope: &Scope<'_>, path: &str, field: Value<'_>) -> Vec<Identifier> {
    let mut found: Vec<Identifier> = Vec::new();
    for repetition in field.repetitions() {
        if let Some(identifier) = identifier(scope, path, repetition)
            && !found.iter().any(|known| known.key == identifier.key)
        {
            found.push(identifier);
        }
    }
    found
}

/// CX: number, authority (.4), type (.5).
fn identifier(scope: &Scope<'_>, path: &str, cx: Value<'_>) -> Option<Identifier> {
    let value = scope.key(path, cx.component(1))?;
    let assigner = cx.component(4);
    let authority = text(assigner.subcomponent(1))
        .or_else(|| text(assigner.subcomponent(2)))
        .unwrap_or_default();
    let system = scope.maps.assigner(scope.channel, &authority).to_owned();
    Some(Identifier {
        key: IdentifierKey::of(scope.tenant, &system, &value),
        system,
        value,
        kind: string(cx.component(5)),
    })
}

/// What the message says of the person; `None` when it gives no identifier.
pub(super) fn patient(
    scope: &Scope<'_>,
    pid: &Seg<'_>,
    assertion: Assertion,
    occurred: Option<&Moment>,
) -> Option<PatientReported> {
    pid.enter();
    let identifiers = identifiers(scope, pid);
    if identifiers.is_empty() {
        return None;
    }
    let mut names = pid.field(5).repetitions().filter_map(name);
    let first = if pid.field(5).is_null() {
        Patch::Clear
    } else {
        names.next().into()
    };
    let mut other_names: Vec<_> = names.collect();
    other_names.extend(pid.field(9).repetitions().filter_map(name).map(|alias| {
        let use_code = alias.use_code.clone().or_else(|| Some("A".to_owned()));
        HumanName { use_code, ..alias }
    }));
    Some(PatientReported {
        assertion,
        identifiers,
        name: first,
        other_names,
        birth_date: birth_date(scope, pid),
        sex: scope.patch(pid.field(8), |v| sex(scope, v)),
        telecoms: telecoms(pid),
        addresses: scope.patch(pid.field(11), |v| {
            let all: Vec<_> = v.repetitions().filter_map(|a| address(a, pid)).collect();
            (!all.is_empty()).then_some(all)
        }),
        mother_maiden_name: scope
            .patch(pid.field(6), |v| name(v.repetition(1)).map(|n| n.display())),
        marital_status: scope.patch(pid.field(16), |v| {
            string(v.component(1)).or_else(|| string(v.component(2)))
        }),
        deceased: deceased(scope, pid),
        occurred_at: occurred.map(|m| m.text.clone()),
    })
}

/// XPN. `None` when no part of a name is there.
fn name(xpn: Value<'_>) -> Option<HumanName> {
    let mut parts: [Option<Value<'_>>; 7] = [None; 7];
    for (part, component) in parts.iter_mut().zip(xpn.components()) {
        *part = Some(component);
    }
    let [family, given, middle, suffix, prefix, _, use_code] = parts;
    let name = HumanName {
        family: family.and_then(|f| string(f.subcomponent(1))),
        given: [given, middle]
            .into_iter()
            .flatten()
            .filter_map(string)
            .collect(),
        prefix: prefix.and_then(string),
        suffix: suffix.and_then(string),
        use_code: None,
    };
    if name == HumanName::default() {
        return None;
    }
    Some(HumanName {
        use_code: use_code.and_then(string),
        ..name
    })
}

fn birth_date(scope: &Scope<'_>, pid: &Seg<'_>) -> Patch<String> {
    scope.patch(pid.field(7), |value| {
        let dtm = scope.dtm("PID-7", value)?;
        let iso = dtm.iso(scope.settings.default_zone_minutes);
        Some(iso.get(..10).map_or(iso.clone(), str::to_owned))
    })
}

/// Table 0001, and the words that analyzers write in several languages.
fn sex(scope: &Scope<'_>, value: Value<'_>) -> Option<Sex> {
    let said = text(value.component(1))?;
    let sex = match said.to_ascii_lowercase().as_str() {
        "m" | "male" | "masculin" | "masculino" | "man" => Sex::Male,
        "f" | "female" | "feminin" | "féminin" | "femenino" | "woman" => Sex::Female,
        "o" | "other" | "a" | "ambiguous" | "t" | "transgender" | "x" => Sex::Other,
        "u" | "unknown" | "n" | "not applicable" => Sex::Unknown,
        _ => {
            scope.bad("PID-8", "no sex of table 0001");
            return None;
        }
    };
    Some(sex)
}

/// PID-13, PID-14 and PID-40 together are the list; it replaces the stored one whole.
fn telecoms(pid: &Seg<'_>) -> Patch<Vec<Telecom>> {
    let fields = [(13, "PRN"), (14, "WPN"), (40, "")].map(|(n, what)| (pid.field(n), what));
    let mut all: Vec<Telecom> = Vec::new();
    for (field, default_use) in fields {
        for repetition in field.repetitions() {
            if let Some(telecom) = telecom(repetition, default_use)
                && !all.contains(&telecom)
            {
                all.push(telecom);
            }
        }
    }
    if !all.is_empty() {
        Patch::Set(all)
    } else if fields.iter().any(|(field, _)| field.is_null()) {
        Patch::Clear
    } else {
        Patch::Keep
    }
}

/// XTN: .1 (or .12, or .5 to .8) number, .2 use, .3 equipment, .4 e-mail.
fn telecom(xtn: Value<'_>, default_use: &str) -> Option<Telecom> {
    let equipment = text(xtn.component(3)).unwrap_or_default();
    let mail = text(xtn.component(4));
    let number = text(xtn.component(1)).or_else(|| text(xtn.component(12)));
    let value = match (&number, &mail) {
        (_, Some(mail)) if equipment.eq_ignore_ascii_case("internet") => mail.to_string(),
        (Some(number), _) => number.to_string(),
        (None, Some(mail)) => mail.to_string(),
        (None, None) => {
            let parts: Vec<_> = [5, 6, 7]
                .into_iter()
                .filter_map(|n| text(xtn.component(n)))
                .collect();
            parts.join(" ")
        }
    };
    if value.is_empty() {
        return None;
    }
    let system = match equipment.to_ascii_uppercase().as_str() {
        _ if value.contains('@') => "email",
        "CP" => "mobile",
        "PH" | "" => "phone",
        _ => "other",
    };
    let use_code = string(xtn.component(2))
        .or_else(|| (!default_use.is_empty()).then(|| default_use.to_owned()));
    Some(Telecom {
        value,
        system: system.to_owned(),
        use_code,
    })
}

/// XAD: .1 and .2 lines, .3 city, .4 state, .5 postal code, .6 country, .9 county (in India the district).
fn address(xad: Value<'_>, pid: &Seg<'_>) -> Option<Address> {
    let mut parts: [Option<Value<'_>>; 9] = [None; 9];
    for (part, component) in parts.iter_mut().zip(xad.components()) {
        *part = Some(component);
    }
    let [
        street,
        other,
        city,
        state,
        postal_code,
        country,
        _,
        _,
        county,
    ] = parts;
    let mut address = Address {
        lines: [street.map(|s| s.subcomponent(1)), other]
            .into_iter()
            .flatten()
            .filter_map(string)
            .collect(),
        city: city.and_then(string),
        district: county.and_then(string),
        state: state.and_then(string),
        postal_code: postal_code.and_then(string),
        country: country.and_then(string),
    };
    if address == Address::default() {
        return None;
    }
    if address.district.is_none() {
        address.district = string(pid.field(12).component(1));
    }
    Some(address)
}

/// PID-29 time of death, PID-30 whether dead.
fn deceased(scope: &Scope<'_>, pid: &Seg<'_>) -> Patch<String> {
    let time = pid.field(29);
    let dead = text(pid.field(30).component(1)).map(|t| t.to_ascii_uppercase());
    match (scope.moment("PID-29", time), dead.as_deref()) {
        (_, Some("N")) => Patch::Clear,
        (Some(moment), _) => Patch::Set(moment.text),
        (None, Some("Y")) => Patch::Set(String::new()),
        // A date that is not precise enough still says that the person died.
        (None, _) if scope_knows_year(scope, time) => Patch::Set(String::new()),
        (None, _) if time.is_null() || pid.field(30).is_null() => Patch::Clear,
        (None, _) => Patch::Keep,
    }
}

fn scope_knows_year(scope: &Scope<'_>, time: Value<'_>) -> bool {
    !time.is_null()
        && scope
            .dtm("PID-29", time)
            .is_some_and(|dtm| dtm.precision() < Precision::Day)
}
