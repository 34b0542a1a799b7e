//! What a document of the device is answered, and what we say next. Nothing is answered AA before it is on disk.

use std::time::Instant;

use super::{
    Ack, Conversation, Ending, MOST_OWED, Message, Note, OWED_PAUSE, Output, Phase, Say, Step,
    Storing, plan,
};
use crate::document::Document;
use crate::settings::{Framing, Unknown};

impl Conversation {
    pub(super) fn settled(&mut self, now: Instant, storing: Storing, stored: bool) {
        if !stored && !matches!(storing, Storing::Kept(_)) {
            self.note(Note::NotStored);
        }
        match storing {
            Storing::Kept(_) if stored => {}
            Storing::Kept(unit) => {
                if self.owed.len() >= MOST_OWED {
                    self.note(Note::Gone);
                } else {
                    self.owed.push_back(unit);
                }
                self.owed_at = now + OWED_PAUSE;
            }
            // it may keep its data and show an alarm; repeating the same does not help
            Storing::Unreadable(id) => self.escape(id, "this document can't be read"),
            Storing::TooLong => {
                self.escape(None, "this document is too long");
                self.close(Ending::TooLong);
            }
            Storing::Document(document) => self.answer(now, &document, stored),
        }
    }

    /// A document is on disk, or could not be brought there.
    fn answer(&mut self, now: Instant, document: &Document, stored: bool) {
        let id = document.control_id();
        let ack = if stored { Ack::Accept } else { Ack::Error };
        if self.phase == Phase::Hello && document.kind() != "HEL.R01" {
            self.note(Note::NoHello);
        }
        match document.kind() {
            "HEL.R01" => {
                self.ack(id, ack);
                if stored {
                    if !matches!(self.phase, Phase::Hello | Phase::Closed) {
                        self.note(Note::Restarted);
                    }
                    self.plan.clear();
                    self.lists.begin();
                    self.turn_to(now, Phase::Status);
                }
            }
            "DST.R01" => {
                self.ack(id, ack);
                if stored && matches!(self.phase, Phase::Hello | Phase::Status) {
                    let lists = self.lists_of(now, &document.root);
                    self.plan = plan::after_status(
                        &self.settings.conversation,
                        &self.device,
                        &document.root,
                        lists,
                    );
                    self.next_step(now);
                }
            }
            "OBS.R01" | "OBS.R02" | "EVS.R01" => {
                self.ack(id, ack);
                // it does not wait to be asked
                if stored && matches!(self.phase, Phase::Hello | Phase::Status) {
                    self.turn_to(now, Phase::Continuous);
                }
            }
            "EOT.R01" => {
                if self.settings.conversation.acknowledge_eot {
                    self.ack(id, ack);
                }
                // it says nothing that could be lost: the next request is its answer
                if matches!(self.phase, Phase::Topic(_)) {
                    self.next_step(now);
                }
            }
            "END.R01" => {
                self.ack(id, ack);
                self.close(Ending::Ended);
            }
            "ESC.R01" => {
                if self.settings.conversation.acknowledge_escape {
                    self.ack(id, ack);
                }
                self.escaped(now);
            }
            "REQ.R01" => self.asked(id, &document.root, stored),
            _ => {
                self.note(Note::Unknown);
                match self.settings.conversation.unknown {
                    _ if !stored => self.ack(id, Ack::Error),
                    Unknown::Accept => self.ack(id, Ack::Accept),
                    Unknown::Error => self.ack(id, Ack::Error),
                    Unknown::Escape => self.escape(id, "this message is not known here"),
                }
            }
        }
    }

    /// ACK.R01: of what we told it, or of nothing.
    pub(super) fn acknowledged(&mut self, now: Instant, document: &Document) {
        let body = document.root.child("ACK");
        // a vendor's spellings: ACK.type_id; ACK.control_id
        let said = |names: [&str; 2]| {
            let body = body?;
            names.into_iter().find_map(|name| body.said(name))
        };
        let of = said(["ACK.ack_control_id", "ACK.control_id"]);
        let accepted = said(["ACK.type_cd", "ACK.type_id"])
            .is_none_or(|kind| kind.trim().eq_ignore_ascii_case("AA"));
        if self.lists.heard(of.as_deref()) {
            return;
        }
        match self.phase {
            Phase::Told { step, control_id } if names(of.as_deref(), control_id) => {
                if accepted {
                    self.done(now, step);
                } else {
                    self.refused(now, step);
                }
            }
            Phase::Ending => self.close(Ending::Ended),
            _ => self.note(Note::LateAnswer),
        }
    }

    /// ESC.R01: the device breaks off whatever was going on.
    fn escaped(&mut self, now: Instant) {
        match self.phase {
            Phase::Told { step, .. } | Phase::Topic(step) => self.refused(now, step),
            Phase::Ending => self.close(Ending::Ended),
            Phase::Hello | Phase::Status | Phase::Asking(_) | Phase::Continuous | Phase::Closed => {
            }
        }
    }

    fn done(&mut self, now: Instant, step: Step) {
        match step {
            Step::Continuous | Step::KeepAlive | Step::Resume => {
                self.turn_to(now, Phase::Continuous);
            }
            Step::List(list) => self.next_of_list(now, list),
            Step::EndOfList(list) => self.list_given(now, list),
            Step::Observations | Step::Events | Step::SetTime | Step::End => self.next_step(now),
        }
    }

    fn refused(&mut self, now: Instant, step: Step) {
        self.note(Note::Refused(step));
        match step {
            // whoever answers is alive
            Step::KeepAlive | Step::Resume => self.turn_to(now, Phase::Continuous),
            Step::Continuous => self.tell(now, Step::End),
            Step::List(list) | Step::EndOfList(list) => {
                self.list_refused(now, list);
                self.next_step(now);
            }
            Step::Observations | Step::Events | Step::SetTime | Step::End => self.next_step(now),
        }
    }

    pub(super) fn next_step(&mut self, now: Instant) {
        let step = self.plan.pop_front().unwrap_or(Step::End);
        self.tell(now, step);
    }

    pub(super) fn tell(&mut self, now: Instant, step: Step) {
        let message = match step {
            Step::Observations => Message::Request("ROBS"),
            Step::Events => Message::Request("RDEV"),
            Step::SetTime => Message::SetTime,
            Step::Continuous => Message::StartContinuous,
            Step::KeepAlive => Message::KeepAlive,
            Step::End => Message::End,
            Step::List(list) => return self.look_up(now, list),
            Step::EndOfList(list) => return self.end_list(now, list),
            Step::Resume => return self.resume(now),
        };
        let control_id = self.say(message);
        self.turn_to(
            now,
            match step {
                Step::Observations | Step::Events => Phase::Topic(step),
                Step::End => Phase::Ending,
                _ => Phase::Told { step, control_id },
            },
        );
    }

    pub(super) fn turn_to(&mut self, now: Instant, phase: Phase) {
        if self.phase != Phase::Closed {
            self.phase = phase;
        }
        self.since = now;
    }

    pub(super) fn ack(&mut self, of: Option<String>, ack: Ack) {
        self.say(Message::Ack {
            of: of.unwrap_or_default(),
            ack,
        });
    }

    pub(super) fn escape(&mut self, of: Option<String>, note: &'static str) {
        self.say(Message::Escape {
            of: of.unwrap_or_default(),
            note,
        });
    }

    pub(super) fn say(&mut self, message: Message) -> u32 {
        self.lists.quiet = None;
        self.said = self.said % 999_999 + 1;
        let wrapped = match self.settings.link.framing {
            Framing::Auto => self.wrapped,
            Framing::Plain => false,
            Framing::Mllp => true,
        };
        let say = Say {
            control_id: self.said,
            message,
        };
        self.outputs.push_back(Output::Say { say, wrapped });
        self.said
    }

    pub(super) fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    pub(super) fn close(&mut self, ending: Ending) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.outputs.push_back(Output::Close(ending));
        }
    }
}

/// Whether an acknowledgement means what we said: by its number, with or without leading zeros; one without a number means
/// the last.
fn names(of: Option<&str>, control_id: u32) -> bool {
    of.is_none_or(|of| of.parse() == Ok(control_id))
}
