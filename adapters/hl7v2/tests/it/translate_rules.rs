//! What holds for every message: what is listed, kept and refused.

use adapter_hl7v2::translate::TranslatorSettings;
use schemas::integration::TranslationOutcome;

use crate::translating::{MSH, bodies, message, translate, translate_with};

#[test]
fn what_no_event_carries_is_listed() {
    let text = message(
        "ORU^R01",
        "PID|||1||||||||||||||||SSN\nNTE|1||x\nOBX|1|NM|EARLY||1\nOBR|1|||CBC|||||||||||||||||||HM\nOBX|1|NM|WBC||1|K/uL|||||||||TECH\nZPD|1|x\nZZ1",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    assert_eq!(
        done.unmapped,
        ["PID-19", "NTE", "OBX", "OBR-23", "OBX-15", "ZPD"]
    );
    assert!(
        done.notes
            .iter()
            .any(|n| n.contains("1 OBX stand before the first OBR"))
    );
}

#[test]
fn times_that_cannot_be_are_listed_and_not_used() {
    let text = message(
        "ADT^A08",
        "EVN|A08|99991231\nPID|||1||||18001332\nPV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||00000000|20260230",
    );
    let done = translate(text.replace('\n', "\r").as_bytes()).unwrap();
    let all = bodies(&done);
    assert_eq!(
        all[0].1["occurred_at"], "2026-01-12T10:00:00+05:30",
        "MSH-7 instead"
    );
    assert_eq!(all[0].1.get("birth_date"), None);
    assert_eq!(all[1].1.get("admitted_at"), None, "a placeholder");
    assert_eq!(all[1].1.get("discharged_at"), None);
    assert_eq!(done.unmapped, ["EVN-2", "PID-7", "PV1-45"]);
}

#[test]
fn other_types_are_kept_with_their_keys() {
    let done = translate(
        message("SIU^S12", "SCH|1\nPID|||12")
            .replace('\n', "\r")
            .as_bytes(),
    )
    .unwrap();
    assert_eq!(done.outcome, TranslationOutcome::NotTranslated);
    assert!(done.events.is_empty());
    assert_eq!(done.keys.message_type.as_deref(), Some("SIU^S12"));
    assert_eq!(done.keys.patient_number.as_deref(), Some("12"));
    assert_eq!(done.keys.control_id.as_deref(), Some("7"));
}

#[test]
fn one_bad_message_does_not_disturb_the_batch() {
    let good = message("ADT^A28", "PID|||1");
    let text =
        format!("BHS|^~\\&\n{good}\nMSH|^^\\&|bad|\nPID|||2\n{good}\nBTS|3").replace('\n', "\r");
    let done = translate(text.as_bytes()).unwrap();
    assert_eq!(done.events.len(), 2);
    assert!(
        done.notes
            .iter()
            .any(|n| n.starts_with("message 2 of 3 refused: hl7.separators")),
        "{:?}",
        done.notes
    );
    let none = translate(b"BHS|^~\\&\rMSH|^^\\&|bad|\rBTS|1\r").unwrap_err();
    assert_eq!(none.refusal.code, "hl7.separators");
}

#[test]
fn a_version_is_refused_only_where_the_channel_says_so() {
    let text = format!("{MSH}ADT^A28|7|P|3.9\rPID|||1");
    assert!(translate(text.as_bytes()).is_ok());
    let strict = TranslatorSettings {
        accept_any_version: false,
        ..TranslatorSettings::default()
    };
    let refused = translate_with(strict, text.as_bytes()).unwrap_err();
    assert_eq!(refused.refusal.code, "hl7.version");
    assert_eq!(refused.keys.control_id.as_deref(), Some("7"));
}
