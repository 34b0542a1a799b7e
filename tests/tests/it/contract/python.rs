//! A client that others wrote: `mllp_send` of python-hl7 sends every valid file of the corpus.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{HubProcess, HubSettings, Mllp, Servers, corpus, eventually, parse_answers};

use super::SOON;

/// `mllp_send --loose`, file after file in one interpreter: its own main function, called with its own arguments.
const DRIVER: &str = r#"
import json, socket, sys
import hl7.client as client
socket.setdefaulttimeout(10)
port = sys.argv[1]
for name in sys.stdin.read().splitlines():
    answers, error = [], None
    client.stdout = lambda answer: answers.append(answer.decode("latin-1"))
    sys.argv = ["mllp_send", "--loose", "-p", port, "-f", name, "127.0.0.1"]
    try:
        client.mllp_send()
    except Exception as problem:
        error = repr(problem)
    print(json.dumps([name, answers, error]), flush=True)
"#;

#[tokio::test]
async fn mllp_send_of_python_hl7_gets_an_acceptance_for_every_valid_file_of_the_corpus() {
    let Some(corpus) = corpus::folder() else {
        return;
    };
    let corpus = corpus.canonicalize().unwrap();
    let folder = Servers::folder_for_tests();
    let Some(python) = python_hl7(folder.path()) else {
        eprintln!("skipped: pip can't install `hl7` into a venv here");
        return;
    };
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let mut files: Vec<PathBuf> = ["hl7v2", "lab"]
        .into_iter()
        .flat_map(|part| corpus::files(&corpus.join(part)))
        .filter(|path| is_message(path))
        .collect();
    files.sort();
    assert!(files.len() > 400, "{} files", files.len());

    // python waits for an answer to each message; where none is due (or to an acknowledgement) it would wait for ever
    let (silent, answered): (Vec<_>, Vec<_>) = files.iter().partition(|file| {
        messages_of(file)
            .iter()
            .any(|message| !wants_answer(message))
    });
    let names: String = answered
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    let port = hub.mllp("lab").port().to_string();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(python)
            .args(["-c", DRIVER, &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), names.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();

    let mut wrong = Vec::new();
    let mut messages = 0;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, answers, error): (String, Vec<String>, Option<String>) =
            serde_json::from_str(line).unwrap();
        let name = name
            .strip_prefix(&format!("{}/", corpus.display()))
            .unwrap()
            .to_owned();
        messages += answers.len();
        let codes: Vec<String> = answers
            .iter()
            .map(|answer| {
                parse_answers(answer.as_bytes())
                    .0
                    .first()
                    .map(|answer| answer.code.clone())
                    .unwrap_or_default()
            })
            .collect();
        let accepted = error.is_none() && codes.iter().all(|code| code == "AA" || code == "CA");
        if !accepted {
            wrong.push(format!("{name}: {codes:?} {}", error.unwrap_or_default()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} files:\n{}",
        wrong.len(),
        files.len(),
        wrong.join("\n")
    );

    // these are kept all the same, and answered where an answer is due
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    for message in silent.iter().flat_map(|file| messages_of(file)) {
        messages += 1;
        if wants_answer(&message) {
            assert!(["AA", "CA"].contains(&peer.send(&message).await.code.as_str()));
        } else {
            peer.write(&tests::frame(&message)).await.unwrap();
        }
    }

    // each has its row, and what is dead says why
    let rest = hub.sign_in().await;
    eventually("every message is in the ledger", SOON, || async {
        (servers
            .count("select count(*) from integration.messages")
            .await
            >= i64::try_from(messages).unwrap())
        .then_some(())
    })
    .await;
    let dead = rest.all_items("/api/v1/dead-letters?limit=500").await;
    let mut reasons: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for letter in &dead {
        *reasons
            .entry(format!("{} {}", letter["stage"], letter["reason"]))
            .or_default() += 1;
    }
    eprintln!(
        "{messages} messages of {} files accepted; dead: {reasons:?}",
        files.len()
    );
    assert!(
        dead.iter().all(|letter| letter["stage"] == "translate"),
        "{reasons:?}"
    );
}

/// Installs PyPI `hl7` into a venv below `folder`; its interpreter.
fn python_hl7(folder: &Path) -> Option<PathBuf> {
    let venv = folder.join("venv");
    let quiet = |command: &mut Command| {
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let installed = made
        && quiet(Command::new(venv.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "hl7==0.4.5",
        ]));
    installed.then(|| venv.join("bin/python"))
}

/// The messages that `--loose` makes of a file.
fn messages_of(file: &Path) -> Vec<Vec<u8>> {
    let text: Vec<u8> = std::fs::read(file)
        .unwrap()
        .into_iter()
        .filter(|byte| ![0x0b, 0x0c, 0x1c].contains(byte))
        .collect();
    let starts: Vec<usize> = text
        .windows(9)
        .enumerate()
        .filter(|(_, window)| *window == b"MSH|^~\\&|")
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| text[*start..end].trim_ascii_end().to_vec())
        .collect()
}

/// HL7 v2.5.1 §2.9.2: an answer is due unless MSH-15 and MSH-16 say otherwise; an acknowledgement has none.
fn wants_answer(message: &[u8]) -> bool {
    let header = message
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let fields: Vec<String> = header
        .split(|byte| *byte == b'|')
        .map(|field| String::from_utf8_lossy(field).into_owned())
        .collect();
    // MSH-1 is the separator
    let field = |number: usize| fields.get(number - 1).map_or("", String::as_str);
    let codes = [field(15), field(16)];
    let enhanced = codes
        .iter()
        .any(|code| ["AL", "NE", "ER", "SU"].contains(code));
    !field(9).starts_with("ACK")
        && (!enhanced || codes.iter().any(|code| ["AL", "SU"].contains(code)))
}

fn is_message(file: &Path) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.trim_ascii_start().starts_with(b"MSH"))
}
