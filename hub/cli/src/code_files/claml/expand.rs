//! Classes and modifiers of a ClaML document to codes. Pure.
//!
//! A modifier is named for its place: `…_4` is a fourth character, `…_5` a fifth. How the two meet, as the WHO prints it:
//!
//! | category | characters | codes |
//! |---|---|---|
//! | `E11`, nothing below it | `.0` to `.9` | `E11.0` to `E11.9` |
//! | `I70`, with `I70.0` … below it | `0`, `1` | `I70.00`, `I70.01` … |
//! | `M45`, nothing below it, a fifth character | `0` to `9` | `M45.X0` to `M45.X9` |
//! | `T14.2` | `0`, `1` | `T14.20`, `T14.21` |
//! | `W19` (place of occurrence, chapter XX) | `0` to `9` | `W19.0` to `W19.9` |

use std::collections::{HashMap, HashSet};

use worker_clinical::terminology::{CodeKind, Standing, Term};

use super::super::{Fault, Row, is_icd10};
use super::{Class, Document, modifiers};

/// Where it happened: for all of W00 to Y34 that have no finer codes, but not for Y06 and Y07. The file says so in words only.
const PLACE: &str = "S20W00_4";
/// What somebody did when it happened: recorded apart, no part of the code.
const ACTIVITY: &str = "S20V01T_5";

/// A code that others are made of.
struct Base {
    line: u64,
    code: String,
    words: String,
}

/// Every code, in the order of the document; what is made of a category follows it.
pub(super) fn rows(document: Document) -> Result<Vec<Row>, Fault> {
    let characters = modifiers(document.characters)?;
    let words: HashMap<&str, String> = document
        .classes
        .iter()
        .filter_map(|class| words_of(class).map(|words| (class.code.as_str(), words)))
        .collect();
    let standing: HashSet<&str> = document
        .classes
        .iter()
        .map(|class| class.code.as_str())
        .collect();
    let mut made: HashSet<String> = HashSet::new();
    let mut rows = Vec::with_capacity(document.classes.len());
    // a code of the document that finer ones were made of is no leaf, wherever it stands
    let mut coarse: HashSet<String> = HashSet::new();
    for class in &document.classes {
        let Some(display) = words.get(class.code.as_str()) else {
            return Err(Fault::new(
                class.line,
                format!("{} has no words", class.code),
            ));
        };
        let kind = match class.kind.as_str() {
            "chapter" => CodeKind::Chapter,
            "block" => CodeKind::Block,
            "category" if !is_icd10(&class.code) => {
                return Err(Fault::new(
                    class.line,
                    format!("`{}` is no code of ICD-10", class.code),
                ));
            }
            "category" if class.below.is_empty() => CodeKind::Code,
            "category" => CodeKind::Category,
            other => {
                return Err(Fault::new(
                    class.line,
                    format!("{} is a `{other}`, which ICD-10 has not", class.code),
                ));
            }
        };
        rows.push(Row {
            line: class.line,
            term: Term {
                code: class.code.clone(),
                display: display.clone(),
                kind,
                parent: class.parent.clone(),
                leaf: kind == CodeKind::Code,
                standing: Standing::Active,
                notice: None,
            },
        });
        if matches!(kind, CodeKind::Category | CodeKind::Code) {
            for (base, finer) in finer(class, &characters, &words)? {
                coarse.insert(base);
                if !standing.contains(finer.term.code.as_str())
                    && made.insert(finer.term.code.clone())
                {
                    rows.push(finer);
                }
            }
        }
    }
    for row in &mut rows {
        if coarse.contains(&row.term.code) {
            row.term.kind = CodeKind::Category;
            row.term.leaf = false;
        }
    }
    Ok(rows)
}

/// The long form where there is one: `Open wound` alone says little.
fn words_of(class: &Class) -> Option<String> {
    class
        .preferred_long
        .as_ref()
        .or(class.preferred.as_ref())
        .cloned()
}

/// What is made of a category, each with the code that it stands under.
fn finer(
    class: &Class,
    characters: &HashMap<String, Vec<(String, String)>>,
    words: &HashMap<&str, String>,
) -> Result<Vec<(String, Row)>, Fault> {
    let mut names: Vec<&str> = class
        .modified_by
        .iter()
        .map(|modifier| modifier.name.as_str())
        .filter(|name| ![PLACE, ACTIVITY].contains(name))
        .collect();
    if names.is_empty() {
        let linked = class.linked.iter().map(String::as_str);
        names
            .extend(linked.filter(|name| {
                characters.contains_key(*name) && ![PLACE, ACTIVITY].contains(name)
            }));
    }
    if names.is_empty() && has_place(class) && characters.contains_key(PLACE) {
        names.push(PLACE);
    }
    // fourth characters before fifth ones, which stand behind them
    names.sort_by_key(|name| name.ends_with("_5"));
    names.dedup();
    let own = |code: &str| Base {
        line: class.line,
        code: code.to_owned(),
        words: words.get(code).cloned().unwrap_or_default(),
    };
    let mut bases: Vec<Base> = match class.below.as_slice() {
        [] => vec![own(&class.code)],
        below => below.iter().map(|code| own(code)).collect(),
    };
    let mut all = Vec::new();
    for name in names {
        let Some(meanings) = characters.get(name) else {
            return Err(Fault::new(
                class.line,
                format!("{} is modified by {name}, which is nowhere", class.code),
            ));
        };
        // with a point they are fourth characters of the category itself, whatever stands below it
        if meanings
            .iter()
            .all(|(character, _)| character.starts_with('.'))
        {
            bases = vec![own(&class.code)];
        }
        let only = class
            .modified_by
            .iter()
            .find(|modifier| modifier.name == name)
            .map_or(&[][..], |modifier| &modifier.only[..]);
        let mut next = Vec::new();
        for base in &bases {
            for (character, meaning) in meanings {
                if !only.is_empty() && !only.contains(character) {
                    continue;
                }
                let Some(code) = joined(&base.code, character, name.ends_with("_5")) else {
                    return Err(Fault::new(
                        class.line,
                        format!("{} and `{character}` of {name} make no code", base.code),
                    ));
                };
                let made = Base {
                    line: class.line,
                    code,
                    words: format!("{}: {meaning}", base.words),
                };
                all.push((base.code.clone(), row(&base.code, &made)));
                next.push(made);
            }
        }
        bases = next;
    }
    Ok(all)
}

fn has_place(class: &Class) -> bool {
    class.below.is_empty()
        && class.code.len() == 3
        && ("W00"..="Y34").contains(&class.code.as_str())
        && !["Y06", "Y07"].contains(&class.code.as_str())
}

fn row(parent: &str, made: &Base) -> Row {
    Row {
        line: made.line,
        term: Term {
            code: made.code.clone(),
            display: made.words.clone(),
            kind: CodeKind::Code,
            parent: Some(parent.to_owned()),
            leaf: true,
            standing: Standing::Active,
            notice: None,
        },
    }
}

fn joined(base: &str, character: &str, is_fifth: bool) -> Option<String> {
    let code = match (base.contains('.'), character.strip_prefix('.')) {
        (true, None) => format!("{base}{character}"),
        (true, Some(_)) => return None,
        (false, Some(_)) => format!("{base}{character}"),
        // the place of the fourth character is held by an X
        (false, None) if is_fifth => format!("{base}.X{character}"),
        (false, None) => format!("{base}.{character}"),
    };
    is_icd10(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use worker_clinical::terminology::CodeSystem;

    use super::*;
    use crate::code_files::tests::all;

    #[test]
    fn a_fixture_has_the_codes_that_the_who_prints() {
        use CodeKind::{Block, Category, Chapter, Code};
        let (rows, _) = all(CodeSystem::Icd10, "icd10.claml.xml");
        let read: Vec<(&str, &str, Option<&str>, CodeKind)> = rows
            .iter()
            .map(|row| {
                let term = &row.term;
                (
                    term.code.as_str(),
                    term.display.as_str(),
                    term.parent.as_deref(),
                    term.kind,
                )
            })
            .collect();
        assert_eq!(
            read,
            [
                ("IV", "Glands and food", None, Chapter),
                ("E10-E14", "Sugar diseases", Some("IV"), Block),
                ("E10", "First sugar disease", Some("E10-E14"), Category),
                (
                    "E10.0",
                    "First sugar disease: With sleep",
                    Some("E10"),
                    Code
                ),
                (
                    "E10.9",
                    "First sugar disease: Without more",
                    Some("E10"),
                    Code
                ),
                ("E11", "Second sugar disease", Some("E10-E14"), Category),
                (
                    "E11.0",
                    "Second sugar disease: With sleep",
                    Some("E11"),
                    Code
                ),
                (
                    "E11.9",
                    "Second sugar disease: Without more",
                    Some("E11"),
                    Code
                ),
                ("I10", "High pressure & strain", None, Code),
                ("I70", "Hard vessels", None, Category),
                (
                    "I70.00",
                    "Hard vessels: The great one: Dry",
                    Some("I70.0"),
                    Code
                ),
                (
                    "I70.01",
                    "Hard vessels: The great one: Wet",
                    Some("I70.0"),
                    Code
                ),
                (
                    "I70.0",
                    "Hard vessels: The great one",
                    Some("I70"),
                    Category
                ),
                ("M13", "Other joints", None, Category),
                ("M13.X0", "Other joints: Many", Some("M13"), Code),
                ("M13.X1", "Other joints: Shoulder", Some("M13"), Code),
                ("M45", "Stiff back", None, Category),
                ("M45.X0", "Stiff back: Many", Some("M45"), Code),
                ("T14.2", "Broken bone", None, Category),
                ("T14.20", "Broken bone: Closed", Some("T14.2"), Code),
                ("T14.21", "Broken bone: Open", Some("T14.2"), Code),
                ("W19", "A fall", None, Category),
                ("W19.0", "A fall: At home", Some("W19"), Code),
                ("W19.9", "A fall: Nobody knows where", Some("W19"), Code),
                ("W26", "A sharp thing", None, Category),
                ("W26.0", "A knife", Some("W26"), Code),
                ("Y06", "Left alone", None, Code),
            ]
        );
        for row in &rows {
            assert_eq!(row.term.leaf, row.term.kind == Code, "{}", row.term.code);
        }
    }
}
