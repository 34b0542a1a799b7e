//! The fuzz bodies for a moment each, on bytes that look a little like a line. `cargo fuzz` does it for hours
//! (tests/fuzz); the translator on the same bytes.

use adapter_astm::settings::{Dialect, FieldPath, Mode};

use crate::translating::translate_with;

#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/astm.rs"]
mod bodies;
#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/smoke.rs"]
mod fuzzing;

/// Pieces that make random bytes reach the interesting places.
const PIECES: &[&[u8]] = &[
    b"\x05",
    b"\x05\x021H|\\^&|||XN\r\x0395\r\n",
    b"\x04",
    b"\x02",
    b"\x03",
    b"\x17",
    b"\x06",
    b"\x15",
    b"\x01",
    b"\x1c",
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b"1",
    b"2",
    b"8",
    b"H|\\^&\r",
    b"H|\\^&|C1||XN^1|||||||P|1|20240731120334\r",
    b"H@!~\\@\r",
    b"P|1|MRN|||Rao^Sita||19800517|F\r",
    b"O|1|S1^2||^^^WBC\\^^^RBC|R||20240731||||Q||||BLD^x\r",
    b"R|1|^^^WBC^1^^^^P|> 7,4^|10*3/uL|4.0-10|H\\A||W||a^b|1|99999999\r",
    b"R|",
    b"C|1|I|a^b|G\r",
    b"M|1|x\r",
    b"Q|1|^S1||ALL||||||||O\r",
    b"Q|1|A^B^C|1|u|2\r",
    b"L|1|N\r",
    b"L|1\r",
    b"D 000601 0013                     U1449    E0     097   146.23r       ",
    b"R 000601 0013",
    b"DE",
    b"R\x1c0\x1cX\x1cS1\x1c1\x1c\x1c0\x1c000012010124\x1c1\x1c1\x1c1\x1cGLU\x1c98\x1cmg/dL\x1c\x1cE0",
    b"P\x1c1\x1c",
    b"&X0A&",
    b"&F&",
    b"&&",
    b"\"\"",
    b"---.-",
    b"\xE9\x81",
    "राम".as_bytes(),
];

/// Any byte first: the bodies take their options from it.
fn begin(random: &mut fuzzing::Random) -> Vec<u8> {
    vec![random.next(256) as u8]
}

fn run(name: &str, body: fn(&[u8])) {
    fuzzing::run(name, PIECES, begin, body);
}

#[test]
fn any_stream_of_bytes_is_stored_the_same_whatever_its_pieces() {
    run("line", bodies::line);
}

#[test]
fn any_bytes_can_be_read_as_records() {
    run("records", bodies::records);
}

#[test]
fn any_bytes_can_be_translated_or_refused_and_twice_the_same() {
    run("translate", |bytes| {
        let path = |text: &str| FieldPath::try_from(text.to_owned()).unwrap();
        let dialect = Dialect {
            line_kind: Some(path("R.3.8")),
            side_kinds: vec!["P".to_owned()],
            decimal_comma: true,
            patient: vec![path("P.3"), path("O.4.1")],
            ..Dialect::default()
        };
        for mode in [Mode::E1381, Mode::Bare, Mode::Au, Mode::Dimension] {
            let one = translate_with(mode, dialect.clone(), bytes);
            let two = translate_with(mode, dialect.clone(), bytes);
            match (one, two) {
                (Ok(one), Ok(two)) => assert_eq!(one.events, two.events),
                (Err(one), Err(two)) => assert_eq!(one.refusal, two.refusal),
                _ => panic!("once translated, once refused"),
            }
        }
    });
}
