use schemas::{CATALOGUE, MessageKind};

use super::*;
use crate::auth::permission::PERMISSIONS;

/// Facts that are consumed by nobody and told to nobody.
const NOT_TOLD: &[&str] = &[
    // for who sends reminders, not for boards
    "scheduling.reminder.due",
    // a round has no id of its own: its score is told
    "clinical.vitals.recorded",
    // of customers, not of a hospital: who runs the installation asks
    "platform.tenant.provisioned",
    "platform.tenant.state_changed",
];

#[test]
fn every_fact_is_told_or_said_not_to_be() {
    let untold: Vec<&str> = CATALOGUE
        .iter()
        .filter(|entry| entry.kind == MessageKind::Event && entry.owner.is_none())
        .map(|entry| entry.name)
        .filter(|name| topics::of(name).is_none() && !NOT_TOLD.contains(name))
        .collect();
    assert!(
        untold.is_empty(),
        "a row in feed/topics.rs, or a line in NOT_TOLD: {untold:?}"
    );
}

#[test]
fn every_topic_names_an_event_a_permission_and_members_that_are_ids() {
    for topic in TOPICS {
        let entry = schemas::CatalogueEntry::find(topic.event)
            .unwrap_or_else(|| panic!("{} is not in the catalogue", topic.event));
        assert_eq!(entry.kind, MessageKind::Event);
        assert!(PERMISSIONS.contains(&topic.permission), "{}", topic.event);
        let schema = serde_json::to_value(entry.schema()).unwrap();
        let required = schema["required"].as_array().unwrap();
        assert!(required.contains(&topic.id.into()), "{}", topic.event);
        for name in std::iter::once(&topic.id).chain(topic.also) {
            let member = &schema["properties"][name];
            let is_name = member["$ref"] == "#/$defs/ChannelId";
            let is_id = member["format"] == "uuid" || member["type"] == "integer";
            assert!(is_id || is_name, "{}: {name} {member}", topic.event);
        }
        if let Some(place) = topic.place {
            let member = &schema["properties"][place.member()];
            assert_eq!(member["format"], "uuid", "{}: {place:?}", topic.event);
            assert!(required.contains(&place.member().into()), "{}", topic.event);
        }
        // who may follow a topic may follow all of it
        for other in TOPICS.iter().filter(|other| other.name == topic.name) {
            assert_eq!(other.permission, topic.permission, "{}", topic.name);
        }
        if let Some(version) = topic.version {
            let member = &schema["properties"][version];
            assert_eq!(member["type"], "integer", "{}: {version}", topic.event);
        }
    }
}

#[test]
fn a_change_has_ids_and_nothing_else_of_the_fact() {
    let fact = |name: &str, body: &[u8]| Fact {
        position: Position { seq: 7, index: 2 },
        name: name.to_owned(),
        at: "2026-01-31T08:30:00Z".to_owned(),
        body: body.to_vec().into(),
    };
    let merged = fact(
        "patients.patient.merged",
        br#"{"survivor":"a","retired":"b","reason":"Asha Sharma came twice"}"#,
    );
    let change = Change::of(&merged).unwrap();
    assert_eq!(change.related, ["b"]);
    assert_eq!(change.resource.as_deref(), Some("/api/v1/patients/a"));
    assert_eq!(read(&change.position), Some(merged.position));
    let text = serde_json::to_string(&change).unwrap();
    assert!(!text.contains("Asha"), "{text}");
    for (name, body) in [
        ("patients.patient.reported", &b"{}"[..]),
        ("clinical.order.changed", b"{"),
        ("clinical.order.changed", b"{}"),
    ] {
        assert_eq!(Change::of(&fact(name, body)), None);
    }
}
