//! The paths of what a message says and no event carries.

use super::scope::{Seg, is_valued};

/// Most paths a message lists.
pub(super) const MOST: usize = 64;

/// Adds a path once, up to [`MOST`].
pub(super) fn push(paths: &mut Vec<String>, path: String) {
    if paths.len() < MOST && !paths.contains(&path) {
        paths.push(path);
    }
}

/// Lists every valued field that was not read; a segment that nobody entered by its id alone.
pub(super) fn list(segments: &[Seg<'_>], paths: &mut Vec<String>) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for segment in segments {
        // An id is three letters; a longer one is a line of something else.
        let id = segment.id().get(..8).unwrap_or(segment.id());
        // Set ids say nothing that the order of segments does not.
        let first = if has_set_id(id) { 2 } else { 1 };
        for n in first..=segment.len() {
            if segment.was_read(n) || !is_valued(segment.peek(n)) {
                continue;
            }
            let what = (id, if segment.entered() { n } else { 0 });
            if !seen.contains(&what) {
                if seen.len() + paths.len() >= MOST {
                    break;
                }
                seen.push(what);
            }
            if what.1 == 0 {
                break;
            }
        }
    }
    for (id, n) in seen {
        let path = if n == 0 {
            id.to_owned()
        } else {
            format!("{id}-{n}")
        };
        push(paths, path);
    }
}

fn has_set_id(id: &str) -> bool {
    matches!(id, "PID" | "PV1" | "OBR" | "OBX" | "NTE" | "SPM" | "TQ1")
}
