//! What tells control material from a patient's: asked before anything is matched (specs/lab-devices.md §5).

use serde::{Deserialize, Serialize};

use super::groups::Group;
use super::scope::{Scope, Seg, text};
use super::specimen;
use crate::message::Path;

/// HL7 table 0369: control specimen.
pub(super) const CONTROL: &str = "Q";
/// MSH-11 of controls: Mindray BC says Q, others of its kind QR.
const CONTROL_MODES: [&str; 2] = [CONTROL, "QR"];

/// A value that marks control material.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlMark {
    /// Where it stands, in MSH, ORC, OBR, SPM, SAC or any OBX: `OBR-4`, `OBR-3.2`. Without a component the first.
    pub path: String,
    /// The words that count, letter case aside.
    #[serde(default)]
    pub is: Vec<String>,
    /// The beginnings that count.
    #[serde(default)]
    pub begins: Vec<String>,
}

impl ControlMark {
    /// Whether it looks somewhere for something.
    pub(super) fn is_usable(&self) -> bool {
        let place = Path::parse(&self.path)
            .is_ok_and(|path| ["MSH", "ORC", "OBR", "SPM", "SAC", "OBX"].contains(&path.segment()));
        let mut words = self.is.iter().chain(&self.begins).peekable();
        place && words.peek().is_some() && words.all(|word| !word.trim().is_empty())
    }

    fn bears(&self, said: &str) -> bool {
        let begins = |start: &String| {
            said.get(..start.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        self.is.iter().any(|word| said.eq_ignore_ascii_case(word)) || self.begins.iter().any(begins)
    }

    fn marks(&self, scope: &Scope<'_>, group: &Group<'_, '_>) -> bool {
        let Ok(path) = Path::parse(&self.path) else {
            return false;
        };
        let bears = |segment: &Seg<'_>| {
            let field = segment.peek(path.field());
            text(field.component(path.component().unwrap_or(1)))
                .is_some_and(|said| self.bears(&said))
        };
        let tube = group.tubes.last();
        match path.segment() {
            "MSH" => scope.header().is_some_and(bears),
            "ORC" => group.orc.is_some_and(bears),
            "OBR" => group.obr.is_some_and(bears),
            "SPM" => tube.and_then(|tube| tube.spm).is_some_and(bears),
            "SAC" => tube.and_then(|tube| tube.sac).is_some_and(bears),
            "OBX" => group.lines.iter().any(|line| bears(line.obx)),
            _ => false,
        }
    }
}

/// Control material by SPM-11, by MSH-11, or by what the channel says.
pub(super) fn is_control(scope: &Scope<'_>, group: &Group<'_, '_>) -> bool {
    let role = group
        .tubes
        .last()
        .and_then(|tube| tube.spm)
        .and_then(|spm| text(spm.peek(11).component(1)));
    let processing = scope
        .header()
        .and_then(|msh| text(msh.peek(11).component(1)));
    role.is_some_and(|role| role == CONTROL)
        || processing.is_some_and(|mode| CONTROL_MODES.contains(&&*mode))
        || begins_as_control(scope, group)
        || scope
            .settings
            .control
            .iter()
            .any(|mark| mark.marks(scope, group))
}

/// Control material by how its number begins, where the channel says so.
fn begins_as_control(scope: &Scope<'_>, group: &Group<'_, '_>) -> bool {
    let begins = &scope.settings.control_begins;
    !begins.is_empty()
        && specimen::specimen(scope, group.tubes.last().copied(), group.obr)
            .and_then(|specimen| specimen.number)
            .is_some_and(|number| {
                begins
                    .iter()
                    .any(|start| number.starts_with(start.as_str()))
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(path: &str, is: &[&str], begins: &[&str]) -> ControlMark {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        ControlMark {
            path: path.to_owned(),
            is: list(is),
            begins: list(begins),
        }
    }

    #[test]
    fn a_mark_names_a_place_and_words_or_it_is_none() {
        assert!(mark("OBR-4", &["00003"], &[]).is_usable());
        assert!(mark("OBR-3.2", &[], &["QC"]).is_usable());
        for wrong in [
            mark("OBR", &["Q"], &[]),
            mark("PID-3", &["Q"], &[]),
            mark("OBR-4", &[], &[]),
            mark("OBR-4", &["Q"], &[" "]),
        ] {
            assert!(!wrong.is_usable(), "{wrong:?}");
        }
    }
}
