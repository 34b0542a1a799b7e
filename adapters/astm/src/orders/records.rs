//! Answers as records: H, then P and O for each specimen, then L (LIS02-A2 §6.6.3, §13.3).

use schemas::worklist::{
    SpecimenStanding, TestAction, WorklistAnswer, WorklistPatient, WorklistSpecimen,
};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Occasion, encode};
use crate::records::{Delimiters, RecordWriter};
use crate::settings::{AstmSettings, UnknownAnswer};

pub(super) fn answer(
    settings: &AstmSettings,
    occasion: Occasion<'_>,
    worklist: &WorklistAnswer,
    now: OffsetDateTime,
) -> Vec<Vec<Vec<u8>>> {
    let orders = &settings.orders;
    let delimiters = Delimiters::of_text(&orders.delimiters).unwrap_or_default();
    let writer = Writer {
        settings,
        delimiters,
        report: match occasion {
            Occasion::Download => &orders.report_download,
            _ => &orders.report_query,
        },
        processing: match occasion {
            Occasion::Download => &orders.processing_download,
            _ => &orders.processing_query,
        },
    };
    let most = usize::try_from(orders.most).unwrap_or(usize::MAX).max(1);
    let message = |specimens: &[WorklistSpecimen]| {
        let mut records = vec![writer.header(now)];
        let mut patients = 0;
        let mut found = false;
        for specimen in specimens {
            found |= writer.specimen(specimen, &mut patients, &mut records);
        }
        let end = match occasion {
            // error in query: the instrument asks again, or lets the operator decide
            Occasion::Failed(_) => "Q",
            _ if found => &orders.end_found,
            Occasion::Query(_) => "I",
            Occasion::Download => "N",
        };
        records.push(writer.record('L').field(2, "1").field(3, end));
        let texts = records
            .iter()
            .map(|record| encode(settings, &record.text()))
            .collect::<Vec<_>>();
        (texts, found)
    };
    match occasion {
        Occasion::Download => worklist
            .specimens
            .chunks(most)
            .map(message)
            .filter(|(_, found)| *found)
            .map(|(records, _)| records)
            .collect(),
        _ => vec![message(&worklist.specimens).0],
    }
}

struct Writer<'s> {
    settings: &'s AstmSettings,
    delimiters: Delimiters,
    report: &'s str,
    /// H.12.
    processing: &'s str,
}

impl Writer<'_> {
    fn record(&self, letter: char) -> RecordWriter {
        RecordWriter::new(letter, self.delimiters)
    }

    fn header(&self, now: OffsetDateTime) -> RecordWriter {
        let orders = &self.settings.orders;
        self.record('H')
            .field(5, &orders.sender)
            .field(10, &orders.receiver)
            .field(12, self.processing)
            .field(13, &orders.version)
            .field(14, &self.stamp(now))
    }

    fn stamp(&self, at: OffsetDateTime) -> String {
        let minutes = i32::from(self.settings.dialect.default_zone_minutes);
        let zone =
            time::UtcOffset::from_whole_seconds(minutes * 60).unwrap_or(time::UtcOffset::UTC);
        at.checked_to_offset(zone)
            .and_then(|at| {
                at.format(format_description!(
                    "[year][month][day][hour][minute][second]"
                ))
                .ok()
            })
            .unwrap_or_default()
    }

    /// RFC 3339 to the instrument's form; nothing for a time that can't be said in it. An instrument waits for the order, not for
    /// its hour.
    fn moment(&self, said: Option<&String>) -> String {
        said.and_then(|text| schemas::moment::plausible(text))
            .map(|at| self.stamp(at))
            .unwrap_or_default()
    }

    /// P and O records of one specimen; whether there is anything to do.
    fn specimen(
        &self,
        specimen: &WorklistSpecimen,
        patients: &mut u32,
        records: &mut Vec<RecordWriter>,
    ) -> bool {
        let groups = groups(specimen);
        if specimen.standing != SpecimenStanding::Pending || groups.is_empty() {
            if self.settings.orders.unknown == UnknownAnswer::Order {
                *patients += 1;
                records.push(self.record('P').field(2, &patients.to_string()));
                records.push(
                    self.place(self.record('O').field(2, "1"), &specimen.number)
                        .field(26, "Y"),
                );
            }
            return false;
        }
        *patients += 1;
        records.push(self.patient(*patients, specimen.patient.as_ref()));
        for (n, group) in groups.iter().enumerate() {
            records.push(self.order(n + 1, specimen, group));
        }
        true
    }

    fn patient(&self, number: u32, patient: Option<&WorklistPatient>) -> RecordWriter {
        let record = self.record('P').field(2, &number.to_string());
        let Some(patient) = patient.filter(|_| self.settings.orders.names) else {
            return record;
        };
        let name = patient.name.clone().unwrap_or_default();
        let given = |n: usize| name.given.get(n).map_or("", String::as_str);
        let birth: String = patient
            .birth_date
            .as_deref()
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        record
            .field(3, patient.identifier.as_ref().map_or("", |i| &i.value))
            .components(
                6,
                &[
                    name.family.as_deref().unwrap_or_default(),
                    given(0),
                    given(1),
                ],
            )
            .field(8, &birth)
            .field(9, sex(patient.sex.as_deref()))
    }

    fn place(&self, mut record: RecordWriter, number: &str) -> RecordWriter {
        for path in &self.settings.orders.specimen_fields {
            let mut parts = vec![""; path.component.unwrap_or(1)];
            if let Some(last) = parts.last_mut() {
                *last = number;
            }
            record = record.components(path.field, &parts);
        }
        record
    }

    fn order(&self, number: usize, specimen: &WorklistSpecimen, group: &Group<'_>) -> RecordWriter {
        let orders = &self.settings.orders;
        let tests: Vec<Vec<String>> = group
            .codes
            .iter()
            .map(|code| {
                let mut parts = vec![String::new(); orders.code_component];
                if let Some(last) = parts.last_mut() {
                    *last = format!("{code}{}", orders.code_ending);
                }
                parts
            })
            .collect();
        let kind = specimen.kind.as_ref().map_or("", |k| {
            orders.specimen_kinds.get(&k.code).unwrap_or(&k.code)
        });
        let action = match group.action {
            TestAction::Perform => &orders.action_new,
            TestAction::Cancel => &orders.action_cancel,
        };
        self.place(
            self.record('O').field(2, &number.to_string()),
            &specimen.number,
        )
        .repeats(5, &tests)
        .field(6, group.priority)
        .field(7, &self.moment(group.ordered_at))
        .field(8, &self.moment(specimen.collected_at.as_ref()))
        .field(12, action)
        .field(16, kind)
        .field(26, self.report)
    }
}

/// The tests of one O record.
struct Group<'w> {
    action: TestAction,
    priority: &'static str,
    ordered_at: Option<&'w String>,
    codes: Vec<&'w str>,
}

/// One group an action and priority; a test whose name the tables do not know is left out.
fn groups(specimen: &WorklistSpecimen) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for test in specimen
        .tests
        .iter()
        .filter(|t| !t.instrument_codes.is_empty())
    {
        let priority = priority(test.priority.as_deref());
        let known = groups
            .iter()
            .position(|g| g.action == test.action && g.priority == priority);
        let at = known.unwrap_or_else(|| {
            groups.push(Group {
                action: test.action,
                priority,
                ordered_at: test.ordered_at.as_ref(),
                codes: Vec::new(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at) {
            for code in &test.instrument_codes {
                if !group.codes.contains(&code.as_str()) {
                    group.codes.push(code);
                }
            }
        }
    }
    groups
}

/// O.6 (LIS02-A2 §8.4.6).
fn priority(said: Option<&str>) -> &'static str {
    match said {
        Some("stat") => "S",
        Some("asap" | "urgent") => "A",
        _ => "R",
    }
}

fn sex(said: Option<&str>) -> &'static str {
    match said.map(str::to_ascii_lowercase).as_deref() {
        Some("m" | "male") => "M",
        Some("f" | "female") => "F",
        Some(_) => "U",
        None => "",
    }
}
