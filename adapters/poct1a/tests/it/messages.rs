//! Messages of a device, as short as they may be.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/poct1a")
}

/// Every fixture, by name.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    all()
        .into_iter()
        .find_map(|(found, bytes)| found.starts_with(name).then_some(bytes))
        .unwrap_or_else(|| panic!("no fixture {name}"))
}

pub(crate) fn message(kind: &str, id: &str, body: &str) -> String {
    format!(
        "<{kind}><HDR><HDR.control_id V=\"{id}\"/><HDR.version_id V=\"POCT1\"/>\
         <HDR.creation_dttm V=\"2026-01-15T12:00:00+05:30\"/></HDR>{body}</{kind}>"
    )
}

pub(crate) fn hello(id: &str, directives: &[&str]) -> String {
    let directives: String = directives
        .iter()
        .map(|d| format!("<DSC.directives_supported_cd V=\"{d}\"/>"))
        .collect();
    message(
        "HEL.R01",
        id,
        &format!(
            "<DEV><DEV.vendor_id V=\"EXAMPLE\"/><DEV.model_id V=\"GP\"/><DEV.serial_id V=\"7\"/><DSC>{directives}</DSC></DEV>"
        ),
    )
}

pub(crate) fn status(id: &str, results: &str, events: &str) -> String {
    message(
        "DST.R01",
        id,
        &format!(
            "<DST><DST.new_observations_qty V=\"{results}\"/><DST.new_events_qty V=\"{events}\"/></DST>"
        ),
    )
}

pub(crate) fn observation(id: &str) -> String {
    message(
        "OBS.R01",
        id,
        "<SVC><PT><PT.patient_id V=\"SGM1\"/><OBS><OBS.observation_id V=\"2339-0\" SN=\"LN\"/>\
         <OBS.value V=\"98\" U=\"mg/dL\"/></OBS></PT></SVC>",
    )
}

pub(crate) fn end_of_topic(id: &str) -> String {
    message("EOT.R01", id, "<EOT><EOT.topic_cd V=\"OBS\"/></EOT>")
}

pub(crate) fn ack(id: &str, of: &str) -> String {
    message(
        "ACK.R01",
        id,
        &format!("<ACK><ACK.type_cd V=\"AA\"/><ACK.ack_control_id V=\"{of}\"/></ACK>"),
    )
}

pub(crate) fn escape(id: &str, of: &str) -> String {
    message(
        "ESC.R01",
        id,
        &format!("<ESC><ESC.esc_control_id V=\"{of}\"/><ESC.detail_cd V=\"OTH\"/></ESC>"),
    )
}
