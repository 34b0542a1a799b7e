//! How long one result message takes in each step: `cargo run --release -p adapter-hl7v2 --example speed`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use adapter_hl7v2::ack::{self, Ack, AckCode, Outcome};
use adapter_hl7v2::frame::{self, FrameReader, FrameSettings};
use adapter_hl7v2::message::{FlatTokeniser, Hl7Parser, Limits};
use adapter_hl7v2::{Header, Message, Value, batch, charset};

/// An ORU^R01 with 12 OBX, 1.5 kB: a blood count.
fn sample() -> String {
    let mut text = String::from(
        "MSH|^~\\&|LAB|MAIN|HUB|HOSP|20260215093045+0530||ORU^R01^ORU_R01|MSG00001|P|2.5.1||||||UNICODE UTF-8\r\
         PID|1||MRN0012345^^^HOSP^MR~91-1111-2222-3333^^^ABDM^ABHA||Kumari^Sita^Devi||19800215|F|||12 Main Road^^Pune^MH^411001^IND\r\
         PV1|1|O|OPD^^^HOSP\r\
         OBR|1|ORD1001|SPEC2002|58410-2^CBC panel^LN|||20260215090000+0530|||||||||1234^Rao^Anil\r",
    );
    for n in 1..=12 {
        let _ = write!(
            text,
            "OBX|{n}|NM|{}-2^White cells count {n}^LN^WBC{n}^WBC^99LAB||{}.{n}|10*3/uL^^UCUM|4.0-11.0|N|||F|||20260215091500+0530||||XN-350\r",
            6690 + n,
            5 + n
        );
    }
    text
}

fn time(name: &str, mut step: impl FnMut()) {
    for _ in 0..2_000 {
        step();
    }
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        for _ in 0..500 {
            step();
        }
        best = best.min(started.elapsed() / 500);
    }
    println!("{name:<44} {:>9.2} µs", best.as_secs_f64() * 1e6);
}

fn main() {
    let text = sample();
    let bytes = text.as_bytes();
    let framed = frame::encode(bytes);
    println!("message of {} bytes", bytes.len());
    let now = Instant::now();
    let mut reader = FrameReader::new(FrameSettings::default());
    time("read one frame", || {
        reader.push(&framed);
        black_box(reader.next(now));
    });
    let at = time::OffsetDateTime::from_unix_timestamp(1_771_127_445).expect("a time");
    time("look at MSH, decide, write the ACK", || {
        let header = Header::read(black_box(bytes)).ok();
        black_box(ack::decide(header.as_ref(), Outcome::Stored));
        black_box(Ack::new(AckCode::AA, "H0000001", at).frame(header.as_ref()));
    });
    time("is it a batch?", || {
        black_box(batch::is_batch(black_box(bytes)));
    });
    time("decode", || {
        black_box(charset::decode(black_box(bytes), None));
    });
    time("parse with hl7-parser", || {
        black_box(Message::parse_with(
            text.as_str(),
            &Limits::default(),
            &Hl7Parser,
        ))
        .ok();
    });
    time("parse with our own tokeniser", || {
        black_box(Message::parse_with(
            text.as_str(),
            &Limits::default(),
            &FlatTokeniser,
        ))
        .ok();
    });
    let crlf = text.replace('\r', "\r\n");
    time("parse with hl7-parser, CR LF", || {
        black_box(Message::parse_with(
            crlf.as_str(),
            &Limits::default(),
            &Hl7Parser,
        ))
        .ok();
    });
    let message = Message::parse(text.as_str()).expect("the sample");
    time("read every leaf", || {
        for segment in message.segments() {
            for leaf in segment
                .fields()
                .flat_map(Value::repetitions)
                .flat_map(Value::components)
                .flat_map(Value::subcomponents)
            {
                black_box(leaf.text());
            }
        }
    });
    time("find OBX[12]-5 by path", || {
        black_box(message.path(black_box("OBX[12]-5")));
    });
}
