//! Beckman AU result blocks: fixed columns whose widths come from the instrument's online menu.

use hub_core::failure::Refusal;
use hub_core::mappings::SpecimenType;
use schemas::care::{Code, Observation};

use super::message::push;
use super::scope::Scope;
use super::{Output, result, value};
use crate::link::{ENQ, EOT, ETX, STX};

pub(super) fn translate(
    scope: &Scope<'_>,
    bytes: &[u8],
    output: &mut Output,
) -> Result<(), Refusal> {
    let block = content(bytes);
    output.kind("AU block");
    let text = String::from_utf8_lossy(block);
    match block {
        // d: a repeated run; H: measured again on demand
        [b'D' | b'd', b' ' | b'H', ..] => results(scope, &text, output),
        [b'R', ..] => {
            output.keys.accession = crate::orders::question::au_specimen(block, &scope.dialect.au);
            output.asked = true;
            Ok(())
        }
        [b'D', b'Q', ..] => {
            scope.note("control results (DQ) are kept and not filed: their columns differ by instrument and are not known here".to_owned());
            Ok(())
        }
        [b'D' | b'd', _, ..] => {
            scope.note("a block of a kind that is kept and not filed".to_owned());
            Ok(())
        }
        _ => Err(Refusal::new(
            "astm.au_block",
            "the block begins with none of D, d and R; if the instrument speaks another protocol, link.mode is wrong",
        )),
    }
}

/// Without the characters around it.
pub(crate) fn content(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|b| !matches!(*b, STX | ENQ))
        .unwrap_or(bytes.len());
    let rest = bytes.get(start..).unwrap_or_default();
    let end = rest
        .iter()
        .position(|b| matches!(*b, ETX | EOT))
        .unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Fields of a line of fixed columns.
struct Columns<'t> {
    rest: &'t str,
}

impl<'t> Columns<'t> {
    /// The next characters; fewer at the end of the line, where trailing blanks may be cut.
    fn next(&mut self, width: usize) -> &'t str {
        let at = self
            .rest
            .char_indices()
            .nth(width)
            .map_or(self.rest.len(), |(at, _)| at);
        let (field, rest) = self.rest.split_at(at);
        self.rest = rest;
        field
    }
}

fn results(scope: &Scope<'_>, text: &str, output: &mut Output) -> Result<(), Refusal> {
    let widths = &scope.dialect.au;
    let misread = || {
        Refusal::new(
            "astm.au_columns",
            "the columns do not fit this block: compare dialect.au with the instrument's online menu, then resend",
        )
    };
    let mut columns = Columns { rest: text };
    columns.next(2);
    let (rack, cup) = (columns.next(widths.rack), columns.next(widths.cup));
    let kind = columns.next(widths.kind).trim();
    let sample = columns.next(widths.sample).trim();
    let id = result::without_ending(scope, columns.next(widths.id).trim());
    let dummy = columns.next(widths.dummy);
    let is_number = |t: &str| t.trim().bytes().all(|b| b.is_ascii_digit());
    // the letter behind the id tells whether the widths are right; a wrong id is worse than none
    if columns.next(1) != "E" || !dummy.trim().is_empty() || !is_number(rack) || !is_number(cup) {
        return Err(misread());
    }
    columns.next(widths.person);
    let role = result::role_of_block(scope, id, kind, |_| "")
        .or_else(|| sample.starts_with(['Q', 'q']).then_some(result::CONTROL));
    let specimen_type = result::type_of(scope, kind, &[], role);
    let mut lines = Vec::new();
    let mut again = 0;
    while !columns.rest.trim().is_empty() {
        let test = columns.next(widths.test);
        let said = columns.next(widths.value);
        let flags = columns.next(widths.flags);
        let pad = columns.next(widths.pad);
        if !is_number(test) || test.trim().is_empty() || !pad.trim().is_empty() {
            return Err(misread());
        }
        lines.push(line(scope, &specimen_type, test, said, flags, &mut again));
    }
    if again > 0 {
        scope.note(format!("{again} results are marked as sent before (r)"));
    }
    if lines.is_empty() {
        scope.note("a block without results".to_owned());
        return Ok(());
    }
    if id.is_empty() {
        scope.note("the block has no sample id".to_owned());
    }
    let number = scope.key("AU.id", scope.dialect.tube.of(id));
    output.translated = true;
    let report = result::report_of_block(scope, number, kind, role, lines);
    push(scope, &report, None, output);
    Ok(())
}

fn line(
    scope: &Scope<'_>,
    specimen_type: &SpecimenType,
    test: &str,
    said: &str,
    flags: &str,
    again: &mut usize,
) -> Observation {
    let code = Code {
        code: scope.key("AU.test", test).unwrap_or_default(),
        text: None,
        system: scope.dialect.code_system.clone(),
    };
    let code = result::of_specimen(code, specimen_type);
    let value = value::of_text(said, true, true, scope.dialect.decimal_comma);
    let (mapped, held) = scope.meaning(&code, "", &value, true);
    let flags: Vec<String> = flags
        .chars()
        .filter(|c| !c.is_whitespace())
        .filter(|c| {
            // sent again: it says nothing of the value, and must not make a new version of it
            let is_again = *c == 'r';
            *again += usize::from(is_again);
            !is_again
        })
        .map(String::from)
        .collect();
    Observation {
        code,
        alternate: None,
        sub_id: None,
        value_type: None,
        value,
        raw_value: Some(said.trim().to_owned()),
        unit: None,
        range: None,
        flags,
        status: None,
        observed_at: None,
        device: None,
        notes: Vec::new(),
        mapped,
        held,
    }
}
