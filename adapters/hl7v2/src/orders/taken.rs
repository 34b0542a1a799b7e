//! How an instrument took a message of ours: ORL^O34 order by order, or an acknowledgement of the whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::sending::{SendingAnswer, SentOrder};
use schemas::worklist::TestAction;
use uuid::Uuid;

use super::OrderLine;
use crate::ack::{AckCode, ReceivedAck};
use crate::charset;
use crate::message::{Hl7Parser, Limits, Message};

/// What an acknowledgement says of the orders in `lines`; none when it only says that the bytes arrived (CA).
#[must_use]
pub fn read(ack: &ReceivedAck, content: &Bytes, lines: &[OrderLine]) -> Option<Vec<SentOrder>> {
    match ack.code {
        AckCode::CA => return None,
        AckCode::AA => {}
        AckCode::AE | AckCode::AR | AckCode::CE | AckCode::CR => {
            let mut reason = ack.code.as_str().to_owned();
            if let Some(words) = words(ack) {
                reason = format!("{reason}: {words}");
            }
            return Some(whole(lines, SendingAnswer::Refused, Some(&reason)));
        }
    }
    let said = controls(content);
    let numbered = said.iter().any(|one| !one.number.is_empty());
    let steps = steps(lines);
    let by_place = !numbered && said.len() == steps.len();
    let mut by_order: BTreeMap<(Uuid, bool), SentOrder> = BTreeMap::new();
    for line in lines {
        let place = steps
            .iter()
            .position(|step| *step == (line.number.as_str(), line.cancel));
        let about = if by_place {
            place.and_then(|place| said.get(place))
        } else {
            said.iter()
                .find(|one| !one.number.is_empty() && one.number == line.number)
        };
        let refusal = about.and_then(|one| one.refusal(line, ack));
        let entry = by_order
            .entry((line.order, line.cancel))
            .or_insert_with(|| sent(line, SendingAnswer::Accepted, None));
        if let Some(refusal) = refusal {
            entry.answer = SendingAnswer::Refused;
            entry.reason = Some(match entry.reason.take() {
                Some(before) => format!("{before}; {refusal}"),
                None => refusal,
            });
        }
    }
    Some(by_order.into_values().collect())
}

/// All orders of a message, taken alike.
#[must_use]
pub fn whole(lines: &[OrderLine], answer: SendingAnswer, reason: Option<&str>) -> Vec<SentOrder> {
    let by_order: BTreeMap<(Uuid, bool), SentOrder> = lines
        .iter()
        .map(|line| ((line.order, line.cancel), sent(line, answer, reason)))
        .collect();
    by_order.into_values().collect()
}

fn sent(line: &OrderLine, answer: SendingAnswer, reason: Option<&str>) -> SentOrder {
    SentOrder {
        order: line.order,
        action: if line.cancel {
            TestAction::Cancel
        } else {
            TestAction::Perform
        },
        answer,
        reason: reason.map(str::to_owned),
    }
}

/// The steps in the order in which they stand in the message, each once.
fn steps(lines: &[OrderLine]) -> Vec<(&str, bool)> {
    let mut steps: Vec<(&str, bool)> = Vec::new();
    for line in lines {
        let step = (line.number.as_str(), line.cancel);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

/// One ORC of an ORL.
struct Control {
    /// ORC-1.
    code: String,
    /// ORC-2, or OBR-2 of the OBR that follows.
    number: String,
    /// ORC-16.
    why: String,
}

impl Control {
    /// Table 0119: what an analyzer answers to NW and CA.
    fn refusal(&self, line: &OrderLine, ack: &ReceivedAck) -> Option<String> {
        let words = match self.code.as_str() {
            "UA" => "unable to accept the order",
            "UC" => "unable to cancel",
            "DE" => "data errors",
            "UD" | "UX" | "UN" | "UR" | "UH" | "UM" => "unable",
            "CR" | "OC" | "DC" if !line.cancel => "cancelled by the instrument",
            _ => return None,
        };
        let mut text = format!("{}: {words} ({})", self.code, line.code);
        let why = if self.why.is_empty() {
            self::words(ack)
        } else {
            Some(self.why.clone())
        };
        if let Some(why) = why {
            text = format!("{text}: {why}");
        }
        Some(text)
    }
}

fn controls(content: &Bytes) -> Vec<Control> {
    let decoded = charset::decode(content, None);
    let Ok(message) = Message::parse_with(decoded.text.as_ref(), &Limits::default(), &Hl7Parser)
    else {
        return Vec::new();
    };
    let mut found: Vec<Control> = Vec::new();
    for segment in message.segments() {
        match segment.id() {
            "ORC" => {
                let why = segment.field(16);
                let text = why.component(2).text();
                found.push(Control {
                    code: segment
                        .field(1)
                        .component(1)
                        .raw()
                        .trim()
                        .to_ascii_uppercase(),
                    number: segment.field(2).component(1).text().trim().to_owned(),
                    why: if text.is_empty() {
                        why.component(1).text().into_owned()
                    } else {
                        text.into_owned()
                    },
                });
            }
            "OBR" => {
                if let Some(last) = found.last_mut().filter(|last| last.number.is_empty()) {
                    segment
                        .field(2)
                        .component(1)
                        .text()
                        .trim()
                        .clone_into(&mut last.number);
                }
            }
            _ => {}
        }
    }
    found
}

/// MSA-3 and what ERR says.
fn words(ack: &ReceivedAck) -> Option<String> {
    let words: Vec<&str> = ack
        .text
        .iter()
        .chain(ack.errors.iter().filter_map(|error| error.text.as_ref()))
        .map(String::as_str)
        .filter(|text| !text.trim().is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}
