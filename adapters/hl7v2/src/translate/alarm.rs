//! Alarms of bedside devices: ORU^R40 (IHE PCD-04). One event an alarm message; heartbeats are none.
//!
//! The facets of an alarm are rows, found by name or code: its event, phase, state, priority, and the value beyond its limits.
//! These are for secondary notification only: the bedside is the alarm of record.

use hub_core::failure::Refusal;
use hub_core::translator::Event;
use schemas::care::Code;
use schemas::devices::{AlarmPhase, AlarmReported, AlarmValue};
use schemas::ids::care_key;

use super::codes::coded;
use super::groups::{Form as Groups, Group, Line, groups};
use super::monitor::{self, Containment};
use super::result::flags;
use super::scope::{Moment, Scope, string, text};
use super::{Output, adt};
use crate::message::Value;

/// What a row of an alarm tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Facet {
    Event,
    Source,
    Phase,
    State,
    Inactivation,
    Priority,
    Kind,
    Text,
    /// How soon the next heartbeat is due.
    Timeout,
    Other,
}

impl Facet {
    /// By name first: gateways have used several numbers for one attribute.
    fn of(code: &Code) -> Self {
        let name = [code.text.as_deref(), Some(code.code.as_str())]
            .into_iter()
            .flatten()
            .find(|name| name.starts_with("MDC"))
            .unwrap_or_default();
        let says = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if says(&["EVENT_PHASE", "EVT_PHASE"]) {
            Self::Phase
        } else if says(&["INACTIVATION_STATE"]) {
            Self::Inactivation
        } else if says(&["ALARM_STATE", "ALERT_STATE"]) {
            Self::State
        } else if says(&["ALARM_PRIORITY", "ALERT_PRIORITY"]) {
            Self::Priority
        } else if says(&["ALERT_TYPE", "ALARM_TYPE"]) {
            Self::Kind
        } else if says(&["ALERT_TEXT", "ALARM_TEXT"]) {
            Self::Text
        } else if says(&["ALERT_SOURCE", "ALARM_SOURCE"]) {
            Self::Source
        } else if says(&["CONFIRM_TIMEOUT"]) {
            Self::Timeout
        } else if monitor::is_event(code) {
            Self::Event
        } else {
            match code.code.as_str() {
                "68480" | "68164" => Self::Source,
                "68481" | "68165" => Self::Phase,
                "68482" | "68166" => Self::State,
                "68483" | "68167" => Self::Inactivation,
                "68484" | "68168" => Self::Priority,
                "68485" | "68169" => Self::Kind,
                "68546" => Self::Text,
                "67860" => Self::Timeout,
                _ => Self::Other,
            }
        }
    }
}

pub(super) fn translate(scope: &Scope<'_>, output: &mut Output) -> Result<(), Refusal> {
    if let Some(msh) = scope.header() {
        msh.field(21);
    }
    let found = groups(scope, Groups::Result);
    if found.groups.is_empty() || found.no_obr {
        return Err(Refusal::new(
            "hl7.incomplete",
            "an alarm message without OBR names no alarm; correct the sender",
        ));
    }
    let occurred = adt::occurred(scope);
    let mut heartbeats = 0;
    for group in &found.groups {
        let about = monitor::about(scope, group, &found.patients);
        let (parts, rows) = Containment::of(scope, &group.lines);
        let rows: Vec<Row<'_>> = rows.iter().map(|line| Row::of(scope, line)).collect();
        let Some(event) = rows.iter().find(|row| row.facet == Facet::Event) else {
            return Err(Refusal::new(
                "hl7.alarm_without_event",
                "an alarm message names its event in an OBX (MDC_EVT_…); correct the sender",
            ));
        };
        let (code, words) = event.event(scope);
        if is_heartbeat(&code) {
            heartbeats += 1;
            for row in &rows {
                row.read_all();
            }
            if let Some(obr) = group.obr {
                for n in [2, 3, 4, 7, 29] {
                    obr.field(n);
                }
            }
            continue;
        }
        let alarm = alarm(
            scope,
            group,
            about,
            &parts,
            &rows,
            event,
            code,
            words,
            occurred.as_ref(),
        )?;
        // One channel's alarms keep their order, whatever each message says of bed and patient.
        let aggregate = care_key(scope.tenant, "alarms", &[scope.channel.as_str()]);
        output.events.push(Event::new(
            aggregate.to_string(),
            occurred.as_ref().map(|m| m.at),
            &alarm,
        ));
    }
    if heartbeats > 0 {
        scope.note(format!("alarms: {heartbeats} heartbeats, no alarm"));
    }
    Ok(())
}

/// MDC_EVT_ACTIVE: the source is alive.
fn is_heartbeat(code: &Code) -> bool {
    matches!(code.code.as_str(), "196614" | "258047" | "MDC_EVT_ACTIVE")
        || code.text.as_deref() == Some("MDC_EVT_ACTIVE")
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one message, each read once"
)]
fn alarm(
    scope: &Scope<'_>,
    group: &Group<'_, '_>,
    about: monitor::About,
    parts: &Containment,
    rows: &[Row<'_>],
    event: &Row<'_>,
    code: Code,
    words: Option<String>,
    occurred: Option<&Moment>,
) -> Result<AlarmReported, Refusal> {
    let obr = group.obr.ok_or_else(|| {
        Refusal::new(
            "hl7.incomplete",
            "an alarm message without OBR names no alarm; correct the sender",
        )
    })?;
    obr.field(2);
    obr.field(4);
    let event_name = entity(obr.field(3)).ok_or_else(|| {
        Refusal::new(
            "hl7.alarm_without_id",
            "OBR-3 is empty: which alarm the message is about can't be known; correct the sender",
        )
    })?;
    let of = |facet| {
        rows.iter()
            .find(|row| row.facet == facet)
            .and_then(Row::text)
    };
    // OBX-8 of every row: abnormality, priority, kind
    let marks = flags(event.line.obx.field(8));
    let mark = |known: &[&str]| {
        marks
            .iter()
            .find(|mark| known.contains(&mark.as_str()))
            .cloned()
    };
    let said_phase = of(Facet::Phase);
    let phase = said_phase
        .as_deref()
        .map_or(Some(AlarmPhase::Update), phase);
    if phase.is_none() {
        scope.bad("OBX-5", "no phase of an alarm; read as an update");
    }
    let path = string(event.line.obx.field(4));
    let (_, within) = parts.around(path.as_deref().unwrap_or_default());
    let reported = scope.moment("OBR-7", obr.field(7));
    let at = scope
        .moment("OBX-14", event.line.obx.field(14))
        .or(reported);
    let measured = rows
        .iter()
        .find(|row| row.facet == Facet::Other)
        .map(Row::measured);
    for row in rows {
        row.read_all();
    }
    Ok(AlarmReported {
        channel: scope.channel.clone(),
        event_name,
        parent_name: parent(obr.field(29)),
        subject: about.subject,
        location: about.location,
        device: monitor::device_id(event.line.obx.field(18))
            .or_else(|| within.map(str::to_owned))
            .or_else(|| parts.device().map(str::to_owned))
            .or_else(|| monitor::sender(scope)),
        text: of(Facet::Text).or(words),
        code,
        path,
        source: of(Facet::Source),
        measured,
        phase: phase.unwrap_or(AlarmPhase::Update),
        state: of(Facet::State).map(|state| state.to_ascii_lowercase()),
        inactivation: rows
            .iter()
            .filter(|row| row.facet == Facet::Inactivation)
            .flat_map(|row| row.line.obx.field(5).repetitions().filter_map(string))
            .map(|state| state.to_ascii_lowercase())
            .collect(),
        priority: of(Facet::Priority).or_else(|| mark(&["PN", "PL", "PM", "PH"])),
        kind: of(Facet::Kind).or_else(|| mark(&["SP", "ST", "SA"])),
        abnormality: mark(&["L", "H"]),
        at: at.or_else(|| occurred.cloned()).map(|m| m.text),
        occurred_at: occurred.map(|m| m.text.clone()),
    })
}

/// MDC_ATTR_EVENT_PHASE as it is written.
fn phase(said: &str) -> Option<AlarmPhase> {
    Some(match said.trim().to_ascii_lowercase().as_str() {
        "start" => AlarmPhase::Start,
        "continue" | "present" => AlarmPhase::Continue,
        "update" | "escalate" | "de-escalate" => AlarmPhase::Update,
        "end" | "stop" | "reset" => AlarmPhase::End,
        "tpoint" | "start_only" => AlarmPhase::Point,
        _ => return None,
    })
}

struct Row<'l> {
    line: &'l Line<'l, 'l>,
    code: Code,
    facet: Facet,
}

impl<'l> Row<'l> {
    fn of<'m>(scope: &Scope<'m>, line: &'l Line<'l, 'm>) -> Self {
        let (code, _) = coded(scope, "OBX-3", line.obx.field(3));
        Self {
            facet: Facet::of(&code),
            line,
            code,
        }
    }

    fn text(&self) -> Option<String> {
        string(self.line.obx.field(5).repetition(1).component(1))
    }

    /// The event is what OBX-3 says, or, under MDC_EVT_ALARM, what OBX-5 says.
    fn event(&self, scope: &Scope<'_>) -> (Code, Option<String>) {
        let field = self.line.obx.field(5);
        let coded_value = !field.component(1).is_empty() && !field.component(2).is_empty();
        let general =
            self.code.code == "196616" || self.code.text.as_deref() == Some("MDC_EVT_ALARM");
        if general && coded_value {
            let (code, _) = coded(scope, "OBX-5", field);
            return (code, None);
        }
        (self.code.clone(), string(field))
    }

    fn measured(&self) -> AlarmValue {
        let obx = self.line.obx;
        AlarmValue {
            code: self.code.clone(),
            value: string(obx.field(5)),
            unit: string(obx.field(6).component(1)).or_else(|| string(obx.field(6).component(2))),
            limits: string(obx.field(7)),
        }
    }

    /// What every row repeats (its type, marks, status, time, device) was looked at in the row of the event.
    fn read_all(&self) {
        for n in [2, 4, 5, 6, 7, 8, 11, 14, 18] {
            self.line.obx.field(n);
        }
    }
}

/// EI as one text: entity, namespace, universal id and type joined by `^`, without empty ends.
fn entity(field: Value<'_>) -> Option<String> {
    joined(field.components())
}

/// OBR-29: the filler's number of the parent, else the placer's; each an EI written with subcomponents.
fn parent(field: Value<'_>) -> Option<String> {
    [2, 1]
        .into_iter()
        .find_map(|n| joined(field.component(n).subcomponents()))
}

fn joined<'v>(parts: impl Iterator<Item = Value<'v>>) -> Option<String> {
    let parts: Vec<String> = parts
        .take(4)
        .map(|part| text(part).unwrap_or_default().into_owned())
        .collect();
    let name = parts.join("^").trim_end_matches('^').to_owned();
    (!name.trim_matches('^').is_empty()).then(|| name.chars().take(LONGEST_NAME).collect())
}

/// An index row of Postgres holds 2,700 bytes; identities are UUIDs and EUIs.
const LONGEST_NAME: usize = 250;
