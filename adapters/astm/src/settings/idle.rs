//! Settings that say something and do nothing in the mode of their channel. Who writes one believes that it is in force: a control that
//! is not told apart by it goes to the patients. So it is a fault, and not silence.

use adapter_link::{Faults, SerialSettings};

use super::{AstmSettings, Dialect, Mark, Mode};

pub(super) fn add(settings: &AstmSettings, faults: &mut Faults) {
    let mut fault = |path: &str, message: &str| faults.add(path, message);
    let (mode, dialect, usual) = (settings.link.mode, &settings.dialect, Dialect::default());
    if let Some(serial) = &settings.serial
        && serial.inter_character_ms != SerialSettings::plain("").inter_character_ms
    {
        fault(
            "serial.inter_character_ms",
            "has no effect on an ASTM line: link.receive_timeout_ms (in mode \"bare\" link.quiet_end_ms) says how long a silence is borne; leave it out",
        );
    }
    let by_blocks = matches!(mode, Mode::Au | Mode::Dimension);
    for (name, marks, known) in [
        ("dialect.control", &dialect.control, &usual.control),
        (
            "dialect.calibration",
            &dialect.calibration,
            &usual.calibration,
        ),
    ] {
        let idle = |mark: &&Mark| !known.contains(mark) && !has_place(mode, mark);
        if let Some(mark) = marks.iter().find(idle) {
            let place = mark.path;
            let message = match mode {
                Mode::Au => format!(
                    "`{place}` is no place of an AU block: O.3 is the number on the tube, O.16 the sample type"
                ),
                Mode::Dimension => format!(
                    "`{place}` is no place of a Dimension block: O.3 is the number on the tube, O.16 the sample type, R.n field n"
                ),
                Mode::E1381 | Mode::Bare => format!(
                    "`{place}`: controls are known before their results are read, so marks are in H, P and O"
                ),
            };
            fault(name, &message);
        }
    }
    let of_records = [
        ("specimen", dialect.specimen != usual.specimen),
        (
            "specimen_type",
            dialect.specimen_type != usual.specimen_type,
        ),
        (
            "query_specimen",
            dialect.query_specimen != usual.query_specimen,
        ),
        ("patient", dialect.patient != usual.patient),
        ("test_code", dialect.test_code != usual.test_code),
        ("test_name", dialect.test_name != usual.test_name),
        ("code_endings", dialect.code_endings != usual.code_endings),
        ("line_kind", dialect.line_kind != usual.line_kind),
        ("side_kinds", dialect.side_kinds != usual.side_kinds),
        ("side_codes", dialect.side_codes != usual.side_codes),
        (
            "silent_comments",
            dialect.silent_comments != usual.silent_comments,
        ),
    ];
    for (name, _) in of_records
        .iter()
        .filter(|(_, changed)| by_blocks && *changed)
    {
        fault(
            &format!("dialect.{name}"),
            "is of records and has no effect on the blocks of this mode, whose places are fixed; leave it out",
        );
    }
}

/// Whether a mark can be met in this mode.
fn has_place(mode: Mode, mark: &Mark) -> bool {
    match (mode, mark.path.record) {
        (Mode::Au | Mode::Dimension, 'O') => matches!(mark.path.field, 3 | 16),
        (Mode::Dimension, 'R') => true,
        (Mode::Au | Mode::Dimension, _) => false,
        (Mode::E1381 | Mode::Bare, record) => record != 'R',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let settings: AstmSettings = toml::from_str(text).unwrap();
        let faults = settings.validate().into_iter();
        faults.map(|fault| fault.path).collect()
    }

    #[test]
    fn a_setting_that_does_nothing_is_a_fault() {
        let none: [&str; 0] = [];
        let server = "server = { listen = '127.0.0.1:1' }\n";
        let of = |mode: &str, dialect: &str| {
            paths(&format!(
                "{server}link = {{ mode = '{mode}' }}\n[dialect]\n{dialect}\n"
            ))
        };
        let serial = "serial = { port = '/dev/ttyS0', inter_character_ms = 500 }";
        assert_eq!(paths(serial), ["serial.inter_character_ms"]);
        assert_eq!(paths("serial = { port = '/dev/ttyS0' }"), none);

        let control = |path: &str| format!("control = [{{ path = '{path}', begins = ['QC'] }}]");
        for (mode, path, good) in [
            ("au", "O.3", true),
            ("au", "O.16", true),
            ("au", "O.12", false),
            ("au", "R.5", false),
            ("dimension", "R.5", true),
            ("dimension", "H.12", false),
            ("e1381", "O.3.1", true),
            ("e1381", "R.5", false),
        ] {
            let found = of(mode, &control(path));
            assert_eq!(found.is_empty(), good, "{mode} {path}: {found:?}");
        }
        assert_eq!(of("au", "specimen = ['O.4']"), ["dialect.specimen"]);
        assert_eq!(
            of("dimension", "side_codes = ['X*']"),
            ["dialect.side_codes"]
        );
        assert_eq!(
            of("au", "specimen_endings = ['/F']\n[dialect.au]\nid = 20"),
            none
        );
    }
}
