//! What `/proc` says about processes. A process is ours by what it runs on (its arguments, its working folder), never by
//! its name alone.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a condition is looked at again.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) fn all() -> Vec<Pid> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

fn file(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

pub(crate) fn arguments(pid: Pid) -> Vec<String> {
    std::fs::read(file(pid, "cmdline"))
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|argument| !argument.is_empty())
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect()
}

/// True when `pid` runs a program of this file name (its real executable, not what it calls itself).
pub(crate) fn runs(pid: Pid, program: &str) -> bool {
    std::fs::read_link(file(pid, "exe")).is_ok_and(|exe| {
        exe.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.trim_end_matches(" (deleted)") == program)
    })
}

pub(crate) fn works_in(pid: Pid, folder: &Path) -> bool {
    std::fs::read_link(file(pid, "cwd")).is_ok_and(|cwd| cwd == folder)
}

/// The state letter and the parent, from `/proc/<pid>/stat`; the name between them may hold blanks and brackets.
fn state_and_parent(pid: Pid) -> Option<(char, Pid)> {
    let stat = std::fs::read_to_string(file(pid, "stat")).ok()?;
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?.chars().next()?;
    Some((state, Pid::from_raw(rest.next()?.parse().ok()?)))
}

/// A process that has ended but was not yet collected by its parent is gone.
pub(crate) fn alive(pid: Pid) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    all()
        .into_iter()
        .filter(|pid| state_and_parent(*pid).is_some_and(|(_, its)| its == parent))
        .collect()
}

/// Sends a signal; a process that is already gone is what was wanted.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// True when every thread of `pid` stands still. The kernel takes a SIGSTOP at once but stops each thread only where
/// it next looks; until then it goes on answering.
fn stands_still(pid: Pid) -> bool {
    let tasks: Vec<_> = std::fs::read_dir(file(pid, "task"))
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    tasks.iter().all(|task| {
        std::fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| {
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 't']))
        })
    })
}

/// Waits until every thread stands still after a SIGSTOP; false when one still runs by the deadline.
pub(crate) fn wait_still(pid: Pid, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while alive(pid) && !stands_still(pid) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Waits until all are gone; false when some are not by the deadline.
pub(crate) fn wait_gone(pids: &[Pid], within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while pids.iter().any(|pid| alive(*pid)) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// Ends left-over processes of ours: first politely, then not.
pub(crate) fn end(pids: &[Pid], politely: Signal, patience: Duration) -> bool {
    for pid in pids {
        signal(*pid, politely);
        signal(*pid, Signal::SIGCONT);
    }
    wait_gone(pids, patience) || {
        for pid in pids {
            signal(*pid, Signal::SIGKILL);
        }
        wait_gone(pids, Duration::from_secs(2))
    }
}

/// The last lines of a log file, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
