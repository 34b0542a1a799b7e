//! The message of the measurements: an ORU^R01 of about 1.5 KB with twelve OBX (a blood count), coded with
//! local analyzer codes that mappings/ knows, about one of many patients.

use std::io::Write as _;

/// (code, text, value, unit, range) as an analyzer sends them.
pub(super) const RESULTS: [(&str, &str, &str, &str, &str); 12] = [
    ("WBC", "Leukocytes", "7.2", "10*3/uL", "4.0-11.0"),
    ("RBC", "Erythrocytes", "4.61", "10*6/uL", "4.0-5.5"),
    ("HGB", "Haemoglobin", "13.4", "g/dL", "12.0-16.0"),
    ("HCT", "Haematocrit", "40.1", "%", "36-46"),
    ("MCV", "Mean cell volume", "87.0", "fL", "80-100"),
    ("MCH", "Mean cell haemoglobin", "29.1", "pg", "27-33"),
    (
        "MCHC",
        "Mean cell Hb concentration",
        "33.4",
        "g/dL",
        "32-36",
    ),
    ("PLT", "Platelets", "251", "10*3/uL", "150-400"),
    ("NEU%", "Neutrophils", "58.2", "%", "40-75"),
    ("LYM%", "Lymphocytes", "31.0", "%", "20-45"),
    ("MON%", "Monocytes", "7.1", "%", "2-10"),
    ("EOS%", "Eosinophils", "3.0", "%", "1-6"),
];

/// Writes message `n` of connection `connection` into `out` (cleared first), ready to be framed.
pub(super) fn write(out: &mut Vec<u8>, run: &str, connection: usize, n: u64, patient: u64) {
    out.clear();
    let id = format!("{run}-{connection}-{n}");
    // writing to a Vec does not fail
    let _ = write!(
        out,
        "MSH|^~\\&|XN-1000|LAB|HUB|HOSPITAL|20261121101500+0530||ORU^R01^ORU_R01|{id}|P|2.5.1|||AL|NE||UNICODE UTF-8\r\
         PID|1||P{patient:07}^^^HOSP^MR||Kumar{patient}^Asha^^^Mrs||19800517|F|||12 MG Road^^Pune^MH^411001^IN||9822{patient:06}\r\
         PV1|1|O|OPD^^^HOSP||||1234^Rao^Vijay|||||||||||V{patient:07}\r\
         ORC|RE|PL{id}|{id}\r\
         OBR|1|PL{id}|{id}|CBC^Complete blood count^L|R||20261121100500+0530|||||||||1234^Rao^Vijay||||||20261121101400+0530||HM|F\r"
    );
    for (index, (code, text, value, unit, range)) in RESULTS.iter().enumerate() {
        let _ = write!(
            out,
            "OBX|{}|NM|{code}^{text}^L||{value}|{unit}|{range}|N|||F|||20261121101300+0530||TECH01^Patil|||\r",
            index + 1
        );
    }
}

/// Filler number of a message, by which its report is found.
pub(super) fn filler(run: &str, connection: usize, n: u64) -> String {
    format!("{run}-{connection}-{n}")
}

/// Patient number of a patient.
pub(super) fn patient_number(patient: u64) -> String {
    format!("P{patient:07}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_message_has_the_size_and_shape_that_the_figures_are_about() {
        let mut out = Vec::new();
        super::write(&mut out, "ABC", 1, 2, 3);
        assert!((1300..1800).contains(&out.len()), "{}", out.len());
        assert_eq!(
            out.split(|b| *b == b'\r')
                .filter(|line| line.starts_with(b"OBX"))
                .count(),
            12
        );
    }
}
