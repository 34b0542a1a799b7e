//! What a file would become, for people.

use super::play::{Line, Message, Report, Tried};

pub(super) fn show(tried: &Tried) {
    println!("{}  with {}", tried.file, tried.with);
    for note in &tried.notes {
        println!("  note: {note}");
    }
    let line: Vec<String> = tried
        .line
        .iter()
        .map(|said| {
            if said.times == 1 {
                said.what.clone()
            } else {
                format!("{} × {}", said.what, said.times)
            }
        })
        .collect();
    if !line.is_empty() {
        println!("  written to it: {}", line.join(", "));
    }
    for (n, one) in tried.messages.iter().enumerate() {
        message(n + 1, one);
    }
    let held: Vec<String> = tried
        .held
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    println!(
        "  = {} messages, {} results, {} with LOINC{}; {} refused\n",
        tried.messages.len(),
        tried.results,
        tried.coded,
        if held.is_empty() {
            String::new()
        } else {
            format!(", held: {}", held.join(", "))
        },
        tried.refused
    );
}

fn message(n: usize, one: &Message) {
    println!(
        "  message {n} ({}{} bytes): {}{}",
        one.kind
            .as_deref()
            .map(|kind| format!("{kind}, "))
            .unwrap_or_default(),
        one.bytes,
        match one.outcome {
            "translated" => "filed",
            "kept" => "stored, nothing to file",
            "broken" => "BROKEN, kept as a dead letter",
            _ => "REFUSED, kept as a dead letter",
        },
        one.reason
            .as_deref()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default(),
    );
    if let (true, Some(specimen)) = (one.reports.is_empty(), &one.specimen) {
        println!("    specimen {specimen}");
    }
    for event in &one.events {
        println!("    event {event}");
    }
    for one in &one.reports {
        report(one);
    }
    for note in &one.notes {
        println!("    note: {note}");
    }
    if !one.not_read.is_empty() {
        println!("    not read: {}", one.not_read.join(" "));
    }
}

fn report(one: &Report) {
    let specimen = one.specimen.as_deref().map_or_else(
        || "no specimen number".to_owned(),
        |number| format!("specimen {number}"),
    );
    let whose = match (one.apart, &one.patient, &one.specimen) {
        (Some("control"), ..) => "CONTROL, apart from patients".to_owned(),
        (Some(other), ..) => format!("{other}, apart from patients"),
        (None, Some(patient), _) => format!("patient {patient}"),
        (None, None, Some(_)) => {
            "no patient named: goes by the order on this tube, else to the unmatched worklist"
                .to_owned()
        }
        (None, None, None) => "nobody's: to the unmatched worklist".to_owned(),
    };
    println!("    {specimen}; {whose}");
    let code = one
        .results
        .iter()
        .map(|line| line.code.chars().count())
        .max()
        .unwrap_or(0);
    let value = one
        .results
        .iter()
        .map(|line| said(line).chars().count())
        .max()
        .unwrap_or(0)
        .min(40);
    for line in &one.results {
        println!(
            "      {:code$}  {:value$}  {}{}",
            line.code,
            said(line),
            meaning(line),
            remarks(line)
        );
    }
    for note in &one.notes {
        println!("      note: {note}");
    }
}

fn said(line: &Line) -> String {
    match &line.unit {
        Some(unit) => format!("{} {unit}", line.value),
        None => line.value.clone(),
    }
}

fn meaning(line: &Line) -> String {
    match (&line.loinc, line.held) {
        (Some(loinc), _) => {
            let unit = match (&line.ucum, &line.factor) {
                (Some(ucum), Some(factor)) => format!(" in {ucum} (× {factor})"),
                (Some(ucum), None) => format!(" in {ucum}"),
                _ => String::new(),
            };
            format!("→ {loinc}{unit}")
        }
        (None, Some("unknown_unit")) => "HELD: the code is known, its unit is not".to_owned(),
        (None, Some(reason)) => format!("HELD: {reason}"),
        (None, None) => "no code needed".to_owned(),
    }
}

fn remarks(line: &Line) -> String {
    let mut all = Vec::new();
    // N says nothing that matters; a flag that the pack explains is said in its words
    let words = |flag: &&String| {
        line.flag_words
            .iter()
            .any(|w| w.starts_with(&format!("{flag}: ")))
    };
    let plain: Vec<&str> = line
        .flags
        .iter()
        .filter(|flag| *flag != "N" && !words(flag))
        .map(String::as_str)
        .collect();
    if !plain.is_empty() {
        all.push(format!("flags {}", plain.join(" ")));
    }
    all.extend(
        line.flag_words
            .iter()
            .filter(|words| !words.starts_with("N: "))
            .cloned(),
    );
    if let Some(status) = line.status.as_deref().filter(|status| *status != "F") {
        all.push(format!("status {status}"));
    }
    if all.is_empty() {
        String::new()
    } else {
        format!("  [{}]", all.join("; "))
    }
}
