//! The lists of a device: when one is looked up, what of it is sent, and what is known of what the device has.
//!
//! A list that can't be made is not sent, and never an empty one instead: the device keeps the one that it has. A complete list
//! (R01) takes the place of the device's; changes (R02) are sent only where it is known to have what they are counted from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::rosters::RosterAnswer;
use time::OffsetDateTime;

use super::entries::{self, Entries};
use super::given::{Given, Last};
use super::say::Message;
use super::{Conversation, Note, Output, Phase, Step};
use crate::document::Element;
use crate::settings::{Give, ListSettings};
use crate::translate::instant;

/// A device that refuses a list (a test is running, a list too long) is offered it again after this.
const REFUSED_PAUSE: Duration = Duration::from_secs(600);
/// Answers to questions of the device that it has not acknowledged yet.
const MOST_UNHEARD: usize = 8;
/// Questions of a device that wait.
const MOST_ASKED: usize = 8;

/// A list that a device is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    Operators,
    Patients,
}

/// What is asked of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Operators,
    Patients {
        ward: String,
        facility: Option<String>,
    },
    /// The patient behind a number.
    Person {
        number: String,
    },
}

impl List {
    /// In the order in which devices are given them.
    pub const ALL: [Self; 2] = [Self::Operators, Self::Patients];

    /// For people and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operators => "operator list",
            Self::Patients => "patient list",
        }
    }

    /// Codes by which a hello lists the topic: complete, changes, and the message's name.
    pub(super) fn topics(self) -> [&'static str; 3] {
        match self {
            Self::Operators => ["OP_LST", "OP_LST_I", "OPL"],
            Self::Patients => ["PT_LST", "PT_LST_I", "PTL"],
        }
    }

    pub(super) fn give(self, settings: &ListSettings) -> Give {
        match self {
            Self::Operators => settings.operators,
            Self::Patients => settings.patients,
        }
    }

    pub(super) fn complete(self) -> &'static str {
        match self {
            Self::Operators => "OPL.R01",
            Self::Patients => "PTL.R01",
        }
    }

    pub(super) fn changes(self) -> &'static str {
        match self {
            Self::Operators => "OPL.R02",
            Self::Patients => "PTL.R02",
        }
    }

    /// In a status: EOT.update_dttm of the list that the device has.
    fn updated(self) -> &'static str {
        match self {
            Self::Operators => "DST.operators_update_dttm",
            Self::Patients => "DST.patients_update_dttm",
        }
    }
}

/// A question that the hub has, or that waits.
#[derive(Debug)]
enum Asked {
    List(List),
    /// REQ.R01 RPAT of the device, by its control id.
    Person {
        of: Option<String>,
        number: String,
    },
}

/// What goes to the device now.
#[derive(Debug)]
struct Giving {
    list: List,
    messages: VecDeque<Message>,
    last: Last,
}

/// All of it for one connection.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) given: Arc<Given>,
    /// The device is known to have what `given` says.
    has: BTreeSet<List>,
    refused: BTreeMap<List, Instant>,
    giving: Option<Giving>,
    asked: VecDeque<Asked>,
    /// The first of `asked` is with the hub.
    ticket: Option<u64>,
    unheard: VecDeque<u32>,
    look_at: Instant,
    /// A look during which nothing was said is no sign of life: since when it is quiet.
    pub(super) quiet: Option<Instant>,
}

impl Lists {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            given: Arc::default(),
            has: BTreeSet::new(),
            refused: BTreeMap::new(),
            giving: None,
            asked: VecDeque::new(),
            ticket: None,
            unheard: VecDeque::new(),
            look_at: now,
            quiet: None,
        }
    }

    /// The device has started anew.
    pub(super) fn begin(&mut self) {
        self.has.clear();
        self.refused.clear();
        self.giving = None;
        self.asked.clear();
        self.ticket = None;
        self.unheard.clear();
    }

    /// Whether an acknowledgement is of an answer that we gave to a question of the device.
    pub(super) fn heard(&mut self, of: Option<&str>) -> bool {
        let Some(id) = of.and_then(|of| of.parse::<u32>().ok()) else {
            return false;
        };
        let place = self.unheard.iter().position(|said| *said == id);
        place.is_some_and(|place| self.unheard.remove(place).is_some())
    }
}

impl Conversation {
    /// The lists that this device is given, by its hello; what it has of them, by its status.
    pub(super) fn lists_of(&mut self, now: Instant, status: &Element) -> Vec<List> {
        if let Some(pause) = self.settings.lists.refresh() {
            self.lists.look_at = now + pause;
        }
        let mut lists = Vec::new();
        for list in List::ALL {
            match self.device.takes(list, &self.settings.lists) {
                Ok(false) => continue,
                Ok(true) => lists.push(list),
                Err(reason) => self.without(list, reason),
            }
            let dialect = &self.settings.dialect;
            let says = status
                .at(&["DST", list.updated()])
                .and_then(Element::value)
                .and_then(|said| instant(&said, dialect));
            let last = self.device.name.as_deref();
            let last = last.and_then(|device| self.lists.given.last(device, list));
            if says.is_some() && says == last.map(|last| last.at) {
                self.lists.has.insert(list);
            }
        }
        lists
    }

    /// When the lists of a device in continuous mode are looked at again.
    pub(super) fn look_due(&self) -> Option<Instant> {
        let looks = self.phase == Phase::Continuous && self.stopping.is_none();
        (looks && self.settings.lists.refresh().is_some() && self.device.name.is_some())
            .then_some(self.lists.look_at)
    }

    pub(super) fn look_again(&mut self, now: Instant) {
        if let Some(pause) = self.settings.lists.refresh() {
            self.lists.look_at = now + pause;
        }
        self.lists.quiet = Some(self.since);
        self.plan = List::ALL
            .into_iter()
            .filter(|list| self.device.takes(*list, &self.settings.lists) == Ok(true))
            .filter(|list| self.lists.refused.get(list).is_none_or(|at| now >= *at))
            .map(Step::List)
            .chain([Step::Resume])
            .collect();
        self.next_step(now);
    }

    /// Back in continuous mode.
    pub(super) fn resume(&mut self, now: Instant) {
        self.turn_to(now, Phase::Continuous);
        if let Some(since) = self.lists.quiet.take() {
            self.since = since;
        }
    }

    /// Asks for a list.
    pub(super) fn look_up(&mut self, now: Instant, list: List) {
        self.lists.giving = None;
        self.turn_to(now, Phase::Asking(list));
        self.lists.asked.push_back(Asked::List(list));
        self.ask(now);
    }

    /// One question at a time.
    fn ask(&mut self, now: Instant) {
        if self.lists.ticket.is_some() {
            return;
        }
        let wanted = match self.lists.asked.front() {
            None => return,
            Some(Asked::List(List::Operators)) => Wanted::Operators,
            Some(Asked::List(List::Patients)) => match self.device.stands(&self.settings.lists) {
                Some((facility, ward)) => Wanted::Patients { ward, facility },
                None => {
                    self.lists.asked.pop_front();
                    let why = "nobody says in which ward it stands; add it to [[channel.settings.lists.device]]";
                    self.not_given(now, List::Patients, why.to_owned());
                    return self.ask(now);
                }
            },
            Some(Asked::Person { number, .. }) => Wanted::Person {
                number: number.clone(),
            },
        };
        let ticket = self.ticket();
        self.lists.ticket = Some(ticket);
        self.outputs.push_back(Output::Ask { ticket, wanted });
    }

    /// What the hub says to an [`Output::Ask`], as of `at`.
    pub fn roster(
        &mut self,
        now: Instant,
        ticket: u64,
        at: OffsetDateTime,
        answer: Result<RosterAnswer, String>,
    ) {
        // of before the device said hello again
        if self.lists.ticket != Some(ticket) {
            return;
        }
        self.lists.ticket = None;
        match self.lists.asked.pop_front() {
            Some(Asked::List(list)) if self.phase == Phase::Asking(list) => {
                match self.entries(list, answer) {
                    Ok(entries) => self.give(now, list, entries, at),
                    Err(reason) => self.not_given(now, list, reason),
                }
            }
            Some(Asked::Person { of, .. }) => self.person(of, answer),
            Some(Asked::List(_)) | None => {}
        }
        self.ask(now);
        self.proceed(now);
    }

    fn entries(&self, list: List, answer: Result<RosterAnswer, String>) -> Result<Entries, String> {
        match (list, answer?) {
            (List::Operators, RosterAnswer::Operators { operators }) if operators.is_empty() => {
                Err("nobody is certified for this channel by the [[operator]] rows of the mappings, and an empty list would let nobody measure".to_owned())
            }
            (List::Operators, RosterAnswer::Operators { operators }) => {
                Ok(entries::of_operators(&operators, &self.settings.lists))
            }
            (List::Patients, RosterAnswer::Patients { patients }) => {
                Ok(entries::of_patients(&patients))
            }
            (List::Patients, RosterAnswer::TooMany { limit }) => Err(format!(
                "there are more than {limit} patients in its ward; raise most_patients or name another ward"
            )),
            (_, _) => Err("the hub answered something else".to_owned()),
        }
    }

    fn give(&mut self, now: Instant, list: List, entries: Entries, at: OffsetDateTime) {
        let device = self.device.name.clone().unwrap_or_default();
        let known = self.lists.has.contains(&list);
        let before = self
            .lists
            .given
            .last(&device, list)
            .filter(|_| known)
            .map(|last| last.entries);
        let (settings, most) = (&self.settings.lists, self.device.most_bytes);
        let messages = match &before {
            Some(before) if *before == entries => {
                self.with(list);
                return self.next_step(now);
            }
            Some(before) if settings.incremental && self.device.takes_changes(list) => {
                entries::changes(list, before, &entries, settings, most)
            }
            _ => entries::complete(list, &entries, settings, most),
        };
        // until the end of the topic nobody knows what it has
        self.lists.has.remove(&list);
        self.lists.given.forget(&device, list);
        let at = at.replace_nanosecond(0).unwrap_or(at);
        self.lists.giving = Some(Giving {
            list,
            messages: messages.into(),
            last: Last { entries, at },
        });
        self.next_of_list(now, list);
    }

    /// The next message of the list, or the end of the topic.
    pub(super) fn next_of_list(&mut self, now: Instant, list: List) {
        let giving = self.lists.giving.as_mut().filter(|one| one.list == list);
        let Some(giving) = giving else {
            return self.next_step(now);
        };
        match giving.messages.pop_front() {
            Some(message) => {
                let control_id = self.say(message);
                let step = Step::List(list);
                self.turn_to(now, Phase::Told { step, control_id });
            }
            None => self.tell(now, Step::EndOfList(list)),
        }
    }

    pub(super) fn end_list(&mut self, now: Instant, list: List) {
        let Some(giving) = &self.lists.giving else {
            return self.next_step(now);
        };
        let settings = &self.settings.lists;
        let topic = match list {
            List::Operators => settings.operator_topic.clone(),
            List::Patients => settings.patient_topic.clone(),
        };
        let at = giving.last.at;
        let control_id = self.say(Message::EndOfTopic { topic, at });
        let step = Step::EndOfList(list);
        self.turn_to(now, Phase::Told { step, control_id });
    }

    /// The device has the list.
    pub(super) fn list_given(&mut self, now: Instant, list: List) {
        if let Some(giving) = self.lists.giving.take() {
            let count = giving.last.entries.len();
            if let Some(device) = &self.device.name {
                self.lists.given.keep(device, list, giving.last);
                self.lists.has.insert(list);
            }
            self.note(Note::Given(list, count));
            self.with(list);
        }
        self.next_step(now);
    }

    pub(super) fn list_refused(&mut self, now: Instant, list: List) {
        self.lists.giving = None;
        self.lists.refused.insert(list, now + REFUSED_PAUSE);
        self.without(list, "it did not take it".to_owned());
    }

    fn not_given(&mut self, now: Instant, list: List, reason: String) {
        self.without(list, reason);
        self.next_step(now);
    }

    fn without(&mut self, list: List, reason: String) {
        self.outputs.push_back(Output::Without {
            list,
            reason: Some(reason),
        });
    }

    fn with(&mut self, list: List) {
        self.lists.refused.remove(&list);
        self.outputs
            .push_back(Output::Without { list, reason: None });
    }

    /// REQ.R01 of a device: who is behind a number (RPAT). Anything else is not known here: never "there is none".
    pub(super) fn asked(&mut self, of: Option<String>, root: &Element, stored: bool) {
        let code = root.at(&["REQ", "REQ.request_cd"]).and_then(Element::value);
        let number = root.find("PT.patient_id").and_then(Element::value);
        let may = self.settings.lists.patients != Give::Never;
        match (code.as_deref(), number) {
            (Some("RPAT"), Some(number)) if may && stored => {
                if self.lists.asked.len() >= MOST_ASKED {
                    return self.escape(of, "too many requests wait for their answers");
                }
                self.lists.asked.push_back(Asked::Person { of, number });
                self.ask(self.since);
            }
            (Some("RPAT"), Some(_)) if may => self.escape(of, "not stored, ask again"),
            _ => self.escape(of, "requests of this kind are not answered here"),
        }
    }

    /// The one patient, or a list without any: the number is known or not. Who can't be looked up is not told to be unknown.
    fn person(&mut self, of: Option<String>, answer: Result<RosterAnswer, String>) {
        let Ok(RosterAnswer::Patients { patients }) = answer else {
            return self.escape(of, "patients can't be looked up now");
        };
        let body = entries::of_patients(&patients).into_values().collect();
        let said = self.say(Message::List {
            kind: List::Patients.complete(),
            body,
        });
        if self.lists.unheard.len() >= MOST_UNHEARD {
            self.lists.unheard.pop_front();
        }
        self.lists.unheard.push_back(said);
    }
}
