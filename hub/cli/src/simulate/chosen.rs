//! Which part of a pack's sample answers an order: of its results those that were ordered, with what belongs to them. What is left
//! is written as the instrument writes it; `None` when nothing is.

use adapter_astm::settings::AuColumns;

use super::wanted::{Wanted, before_tests};

const FS: &str = "\u{1c}";
/// Fields of a Dimension's `R` before its tests; the last is their number.
const DIMENSION_BEFORE_TESTS: usize = 11;
/// Code, value, unit, error.
const DIMENSION_PER_TEST: usize = 4;

/// ASTM records; `code_of` finds the code of an R record.
pub(super) fn records(
    lines: &[String],
    wanted: &Wanted,
    code_of: impl Fn(&str) -> Option<String>,
) -> Option<Vec<String>> {
    let mut keep = true;
    let mut any = false;
    let chosen = lines.iter().filter(|line| {
        match id(line) {
            "R" => {
                keep = code_of(line).is_some_and(|code| wanted.has(&code));
                any |= keep;
            }
            // what follows a result belongs to it
            "C" | "M" => {}
            _ => keep = true,
        }
        keep
    });
    let chosen = chosen.cloned().collect();
    any.then_some(chosen)
}

/// HL7 segments: an OBR and its ORC without a result left go as well, and OBR-2 takes the number of the step.
pub(super) fn segments(lines: &[String], wanted: &Wanted) -> Option<Vec<String>> {
    let mut chosen = Vec::new();
    // ORC and OBR until a result of theirs is kept
    let mut heads: Vec<String> = Vec::new();
    let mut in_results = false;
    let mut keep = true;
    let mut any = false;
    for line in lines {
        match id(line) {
            "OBX" => {
                in_results = true;
                keep = wanted.has(component(line, 3));
                if keep {
                    any = true;
                    chosen.append(&mut heads);
                    chosen.push(line.clone());
                }
            }
            "ORC" | "OBR" => {
                if in_results {
                    heads.clear();
                    in_results = false;
                }
                heads.push(with_step(line, wanted));
            }
            // notes, reagents, dilutions: of what stands before them
            "NTE" | "TCD" | "INV" | "SID" | "TQ1" if in_results => {
                if keep {
                    chosen.push(line.clone());
                }
            }
            "NTE" | "TCD" | "INV" | "SID" | "TQ1" if !heads.is_empty() => heads.push(line.clone()),
            _ => {
                heads.clear();
                in_results = false;
                chosen.push(line.clone());
            }
        }
    }
    any.then_some(chosen)
}

/// The line of an AU.
pub(super) fn au(lines: &[String], wanted: &Wanted, columns: &AuColumns) -> Option<Vec<String>> {
    let width = columns.test + columns.value + columns.flags + columns.pad;
    if width == 0 {
        return None;
    }
    let chosen: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let letters: Vec<char> = line.chars().collect();
            let (head, tests) = letters.split_at_checked(before_tests(columns))?;
            let tests: Vec<&[char]> = tests
                .chunks(width)
                .filter(|test| {
                    let code: String = test.iter().take(columns.test).collect();
                    wanted.has(code.trim())
                })
                .collect();
            let whole = || head.iter().chain(tests.concat().iter()).collect();
            (!tests.is_empty()).then(whole)
        })
        .collect();
    (!chosen.is_empty()).then_some(chosen)
}

/// The block of a Dimension.
pub(super) fn dimension(lines: &[String], wanted: &Wanted) -> Option<Vec<String>> {
    let chosen: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            // every field ends with FS
            let fields: Vec<&str> = line.strip_suffix(FS).unwrap_or(line).split(FS).collect();
            let (head, tests) = fields.split_at_checked(DIMENSION_BEFORE_TESTS)?;
            let tests: Vec<&[&str]> = tests
                .chunks(DIMENSION_PER_TEST)
                .filter(|test| test.first().is_some_and(|code| wanted.has(code)))
                .collect();
            let count = tests.len().to_string();
            let mut fields: Vec<&str> = head.to_vec();
            *fields.last_mut()? = &count;
            fields.extend(tests.concat());
            (!tests.is_empty()).then(|| format!("{}{FS}", fields.join(FS)))
        })
        .collect();
    (!chosen.is_empty()).then_some(chosen)
}

/// The letter of a record, the name of a segment.
fn id(line: &str) -> &str {
    line.split('|').next().unwrap_or_default()
}

/// The first component of a field that says anything: `^pO2^M` too.
fn component(line: &str, field: usize) -> &str {
    let field = line.split('|').nth(field).unwrap_or_default();
    field
        .split('^')
        .find(|part| !part.is_empty())
        .unwrap_or_default()
}

/// An OBR of the sample that names no order gets the number under which its test was ordered.
fn with_step(line: &str, wanted: &Wanted) -> String {
    let mut fields: Vec<&str> = line.split('|').collect();
    let unnumbered = matches!(fields.get(2), Some(&"" | &"\"\""));
    if id(line) == "OBR"
        && unnumbered
        && let Some(step) = wanted.step(component(line, 4))
        && let Some(number) = fields.get_mut(2)
    {
        *number = step;
    }
    fields.join("|")
}

#[cfg(test)]
mod tests {
    use super::super::wanted::Test;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn wanted(codes: &[&str]) -> Wanted {
        Wanted::codes(codes.iter().map(|code| (*code).to_owned()))
    }

    #[test]
    fn of_records_what_belongs_to_a_result_goes_with_it() {
        let sample = lines("H\nO|1\nR|1|A\nC|1|of A\nR|2|B\nC|1|of B\nL|1");
        let code = |line: &str| line.split('|').nth(2).map(str::to_owned);
        let chosen = records(&sample, &wanted(&["B"]), code).unwrap();
        assert_eq!(chosen, ["H", "O|1", "R|2|B", "C|1|of B", "L|1"]);
        assert_eq!(records(&sample, &wanted(&["X"]), code), None);
        assert_eq!(records(&sample, &wanted(&[]), code), None);
    }

    #[test]
    fn of_segments_an_order_without_a_result_goes_too() {
        let sample = lines(
            "MSH|^~\\&\nSPM|1|T1\nOBR|1|\"\"||GLU^GLU\nORC|OK\nOBX|1|NM|GLU^GLU||98\nTCD|GLU\n\
             OBR|2|\"\"||TSH\nORC|OK\nOBX|2|NM|TSH||2\nNTE|1\nOBX|3|NM|^FT4^M||1",
        );
        let mut glucose = wanted(&[]);
        glucose.tests.push(Test {
            code: "GLU".to_owned(),
            step: "7/GLU".to_owned(),
        });
        assert_eq!(
            segments(&sample, &glucose).unwrap(),
            lines(
                "MSH|^~\\&\nSPM|1|T1\nOBR|1|7/GLU||GLU^GLU\nORC|OK\nOBX|1|NM|GLU^GLU||98\nTCD|GLU"
            )
        );
        assert_eq!(
            segments(&sample, &wanted(&["FT4"])).unwrap(),
            lines("MSH|^~\\&\nSPM|1|T1\nOBR|2|\"\"||TSH\nORC|OK\nOBX|3|NM|^FT4^M||1")
        );
        let all = Wanted {
            all: true,
            ..Wanted::default()
        };
        assert_eq!(segments(&sample, &all).unwrap(), sample);
        assert_eq!(segments(&sample, &wanted(&["X"])), None);
    }

    #[test]
    fn of_blocks_the_tests_are_cut_out_and_counted_anew() {
        let head = format!("D 000801 0006{:>26}    E0     ", "T1");
        let block = format!("{head}013     1.22        097   136.29        ");
        assert_eq!(
            au(&lines(&block), &wanted(&["097"]), &AuColumns::default()).unwrap(),
            [format!("{head}097   136.29        ")]
        );
        assert_eq!(
            au(&lines(&block), &wanted(&["099"]), &AuColumns::default()),
            None
        );
        let fields = |text: &str| text.replace(',', FS);
        let block = fields("R,0,X,T1,1,,0,time,1,1,2,GLUC,98,mg/dL,,BUN,14,mg/dL,,");
        assert_eq!(
            dimension(std::slice::from_ref(&block), &wanted(&["BUN"])).unwrap(),
            [fields("R,0,X,T1,1,,0,time,1,1,1,BUN,14,mg/dL,,")]
        );
        assert_eq!(dimension(&[block], &wanted(&["NA"])), None);
    }
}
