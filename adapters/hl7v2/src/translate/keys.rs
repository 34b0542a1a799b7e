//! What an operator finds a message by.

use schemas::integration::SearchKeys;

use super::person;
use super::scope::{Scope, text};
use crate::Header;
use crate::message::Value;

/// MSH-9.1 and the trigger; where MSH-9.2 is empty, the trigger that MSH-9.3 or (for ADT) EVN-1 names.
pub(super) fn message_type<'c>(scope: &Scope<'c>) -> (&'c str, &'c str) {
    let Some(msh) = scope.header() else {
        return ("", "");
    };
    let kind = msh.field(9);
    let code = kind.component(1).raw().trim();
    let trigger = kind.component(2).raw().trim();
    if !trigger.is_empty() {
        return (code, trigger);
    }
    // `ORU_R01` in MSH-9.1 or MSH-9.3
    if let Some((code, trigger)) = code.split_once('_') {
        return (code, trigger);
    }
    if let Some((_, trigger)) = kind.component(3).raw().trim().split_once('_') {
        return (code, trigger);
    }
    let event = match scope.first("EVN") {
        Some(evn) if code == "ADT" => evn.field(1).component(1).raw().trim(),
        _ => "",
    };
    (code, event)
}

/// Whether MSH-12 is a version that the standard knows.
pub(super) fn is_version_2(version: &str) -> bool {
    version
        .trim()
        .strip_prefix("2.")
        .and_then(|rest| rest.bytes().next())
        .is_some_and(|b| (b'1'..=b'9').contains(&b))
}

/// Keys that need no knowledge of the message's type.
pub(super) fn of_message(scope: &Scope<'_>) -> SearchKeys {
    let (code, trigger) = message_type(scope);
    let mut keys = SearchKeys {
        patient_number: scope.first("PID").and_then(person::number),
        accession: scope
            .first("SPM")
            .and_then(|spm| short(spm.peek(2).component(1).subcomponent(1))),
        visit_number: visit_number(scope),
        bill_number: None,
        control_id: scope.header().and_then(|msh| short(msh.field(10))),
        message_type: match (code, trigger) {
            ("", _) => None,
            (code, "") => Some(clip(code)),
            (code, trigger) => Some(clip(&format!("{code}^{trigger}"))),
        },
        ..SearchKeys::default()
    };
    about_orders(scope, &mut keys);
    keys
}

/// Every order by its number: the placer's, or where there is none the filler's. An ORC and the OBR after it are one order.
fn about_orders(scope: &Scope<'_>, keys: &mut SearchKeys) {
    let mut placer = None;
    let mut filler = None;
    let mut after_orc = false;
    for segment in scope.segments() {
        let orc = match segment.id() {
            "ORC" => true,
            "OBR" => false,
            _ => continue,
        };
        if orc || !after_orc {
            about_order(keys, placer.take(), filler.take());
        }
        after_orc = orc;
        placer = placer.or_else(|| short(segment.peek(2).component(1)));
        filler = filler.or_else(|| short(segment.peek(3).component(1)));
    }
    about_order(keys, placer, filler);
}

fn about_order(keys: &mut SearchKeys, placer: Option<String>, filler: Option<String>) {
    if let Some(number) = placer.or(filler) {
        keys.about_order(&number);
    }
}

fn visit_number(scope: &Scope<'_>) -> Option<String> {
    let pv1 = scope
        .first("PV1")
        .and_then(|s| short(s.peek(19).component(1)));
    pv1.or_else(|| {
        scope
            .first("PID")
            .and_then(|s| short(s.peek(18).component(1)))
    })
}

/// What can be said of a message whose MSH alone is readable.
pub(super) fn of_header(header: Option<&Header<'_>>) -> SearchKeys {
    let Some(header) = header else {
        return SearchKeys::default();
    };
    let ascii = |raw: &[u8]| {
        let text = std::str::from_utf8(raw).ok()?.trim();
        (!text.is_empty() && !text.contains('\0')).then(|| clip(text))
    };
    let kind = match (ascii(header.code()), ascii(header.trigger())) {
        (Some(code), Some(trigger)) => Some(format!("{code}^{trigger}")),
        (code, _) => code,
    };
    SearchKeys {
        control_id: ascii(header.control_id()),
        message_type: kind,
        ..SearchKeys::default()
    }
}

fn short(value: Value<'_>) -> Option<String> {
    text(value).map(|t| clip(&t))
}

/// A broken header may put a whole message here; a key is short.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
