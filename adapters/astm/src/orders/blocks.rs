//! Answers as blocks: Beckman AU `S`, Siemens Dimension `D`.

use schemas::worklist::{
    SpecimenStanding, TestAction, WorklistAnswer, WorklistSpecimen, WorklistTest,
};

use super::{Occasion, encode};
use crate::link::FS;
use crate::settings::AstmSettings;

/// The answer to a query: rack, cup and id as asked, then the test numbers. `SE`: nothing to do.
pub(super) fn au(
    settings: &AstmSettings,
    occasion: Occasion<'_>,
    worklist: &WorklistAnswer,
) -> Vec<Vec<Vec<u8>>> {
    let nothing = vec![vec![b"SE".to_vec()]];
    let Occasion::Query(question) = occasion else {
        return nothing;
    };
    let columns = &settings.dialect.au;
    let codes: Vec<&str> = pending(worklist)
        .filter(|specimen| question.specimens.contains(&specimen.number))
        .flat_map(|s| of_action(s, TestAction::Perform))
        .flat_map(|t| t.instrument_codes.iter())
        .map(String::as_str)
        .collect();
    if codes.is_empty() {
        return nothing;
    }
    let mut block = vec![b'S'];
    let whole = 1 + columns.rack + columns.cup + columns.kind + columns.sample + columns.id;
    block.extend(
        question
            .echo
            .iter()
            .copied()
            .chain(std::iter::repeat(b' '))
            .take(whole),
    );
    block.extend(std::iter::repeat_n(b' ', columns.dummy));
    block.push(b'E');
    block.extend(std::iter::repeat_n(b' ', columns.person));
    for code in codes {
        block.extend_from_slice(format!("{code:0>width$}", width = columns.test).as_bytes());
    }
    vec![vec![block]]
}

/// One `D` for each specimen and action; for an answer without work an empty message, which the line sends as `N`.
pub(super) fn dimension(
    settings: &AstmSettings,
    occasion: Occasion<'_>,
    worklist: &WorklistAnswer,
) -> Vec<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    for specimen in pending(worklist) {
        for (action, letter) in [(TestAction::Perform, "A"), (TestAction::Cancel, "D")] {
            let tests: Vec<&WorklistTest> = of_action(specimen, action).collect();
            let codes: Vec<&str> = tests
                .iter()
                .flat_map(|t| t.instrument_codes.iter().map(String::as_str))
                .collect();
            if codes.is_empty() {
                continue;
            }
            let stat = tests.iter().any(|t| t.priority.as_deref() == Some("stat"));
            messages.push(vec![request(settings, specimen, letter, stat, &codes)]);
        }
    }
    if messages.is_empty() && occasion != Occasion::Download {
        messages.push(vec![Vec::new()]);
    }
    messages
}

fn request(
    settings: &AstmSettings,
    specimen: &WorklistSpecimen,
    action: &str,
    stat: bool,
    codes: &[&str],
) -> Vec<u8> {
    let orders = &settings.orders;
    let name = specimen
        .patient
        .as_ref()
        .filter(|_| orders.names)
        .and_then(|p| p.name.as_ref())
        .map(schemas::patients::HumanName::display)
        .unwrap_or_default();
    let kind = specimen
        .kind
        .as_ref()
        .and_then(|k| orders.specimen_kinds.get(&k.code))
        .map_or("1", String::as_str);
    let count = codes.len().to_string();
    // carrier, load list, action, patient, sample, type, location, priority, cups, cup positions, dilution, tests
    let fields = [
        "D",
        "0",
        "0",
        action,
        &name,
        &specimen.number,
        kind,
        "",
        if stat { "1" } else { "0" },
        "1",
        "**",
        "1",
        &count,
    ];
    let mut block = Vec::new();
    for field in fields.iter().chain(codes) {
        let text: String = field.chars().filter(|c| !c.is_control()).collect();
        block.extend_from_slice(&encode(settings, &text));
        block.push(FS);
    }
    block
}

fn pending(worklist: &WorklistAnswer) -> impl Iterator<Item = &WorklistSpecimen> {
    worklist
        .specimens
        .iter()
        .filter(|s| s.standing == SpecimenStanding::Pending)
}

fn of_action(
    specimen: &WorklistSpecimen,
    action: TestAction,
) -> impl Iterator<Item = &WorklistTest> {
    specimen.tests.iter().filter(move |t| t.action == action)
}
