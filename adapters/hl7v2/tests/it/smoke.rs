//! The fuzz bodies for a moment each, on bytes that look a little like HL7. `cargo fuzz` does it for hours
//! (tests/fuzz).

use std::time::{Duration, Instant};

#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/hl7v2.rs"]
mod bodies;

/// Long enough to find what is plainly wrong, short enough for every test run; `SANGAM_SMOKE_SECONDS` makes it longer.
fn moment() -> Duration {
    std::env::var("SANGAM_SMOKE_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map_or(Duration::from_millis(800), Duration::from_secs)
}

/// Pieces that make random bytes reach the interesting places.
const PIECES: &[&[u8]] = &[
    b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5||||||UNICODE UTF-8\r",
    b"MSH|^~\\&|",
    b"MSH$%!?#$",
    b"MSH|",
    b"MSH",
    b"FHS|^~\\&|",
    b"BHS|^~\\&|",
    b"BTS|2\r",
    b"FTS|1\r",
    b"\x0b",
    b"\x1c",
    b"\x1c\r",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\r",
    b"\x00",
    b" ",
    b"\x06",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"PID|1||",
    b"OBX|",
    b"PV1",
    b"Z1|",
    b"|",
    b"^",
    b"~",
    b"&",
    b"\\",
    b"\\F\\",
    b"\\.br\\",
    b"\\X0D\\",
    b"\"\"",
    b"8859/1",
    b"GB 18030-2000",
    b"ASCII~ISO IR87",
    b"|||||||||||||||||",
    b"\x1b$B",
    b"\x1b(B",
    "राम".as_bytes(),
    b"\x81\x7c",
    b"\xE9",
    b"2026",
    b"+0530",
    b"1",
    b"text",
    b"MSH|^~\\&|A||B||1||QBP^Q11^QBP_Q11|7|P|2.5.1\rQPD|WOS^x|t|",
    b"MSH|^~\\&|A||B||1||QRY^Q02|7|P|2.3.1\rQRD|1|R|D|2|||RD|",
    b"MSH|^~\\&|A||B||1||ORM^O01|7|P|2.3.1\rORC|RF||",
    b"MSH|^~\\&|A||B||1||ORL^O34|7|P|2.5.1\rMSA|AA|1\rORC|UA|",
    b"\x0bD23\rMSH|^~\\&|LAB\r00018013\x1c\r",
    b"\x0bD21\rMSH|^~\\&|LAB\r00018999\x1c\r",
    b"\x0bN23\rC00006010\x1c\r",
    b"\x0bD23\r",
    b"N21\r",
    b"00005067",
];

/// xorshift64*: no dependency and the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.next(2) == 0 {
            bytes.extend_from_slice(PIECES[0]);
        }
        for _ in 0..self.next(24) {
            if self.next(8) == 0 {
                bytes.push(self.next(256) as u8);
            } else {
                bytes.extend_from_slice(PIECES[self.next(PIECES.len())]);
            }
        }
        bytes
    }
}

fn run(name: &str, body: fn(&[u8])) {
    let mut random = Random(0x5EED);
    let started = Instant::now();
    let moment = moment();
    let mut runs = 0_u32;
    while started.elapsed() < moment {
        let bytes = random.bytes();
        let panicked = std::panic::catch_unwind(|| body(&bytes)).is_err();
        assert!(!panicked, "{name} broke on b\"{}\"", bytes.escape_ascii());
        runs += 1;
    }
    println!("{name}: {runs} inputs");
}

#[test]
fn any_stream_of_bytes_can_be_framed() {
    run("frame", bodies::frame);
}

#[test]
fn any_stream_of_bytes_can_be_read_as_hybrid_blocks() {
    run("hybrid", bodies::hybrid);
}

#[test]
fn any_message_can_be_looked_at_for_a_query_or_an_answer() {
    run("orders", bodies::orders);
}

#[test]
fn any_text_can_be_parsed_or_refused() {
    run("parse", bodies::parse);
}

#[test]
fn any_text_can_be_escaped_and_unescaped() {
    run("escape", bodies::escape);
}

#[test]
fn any_bytes_can_be_decoded() {
    run("charset", bodies::charset);
}

#[test]
fn any_bytes_can_be_split_into_messages() {
    run("batch", bodies::batch);
}
