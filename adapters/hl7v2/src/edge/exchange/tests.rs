//! Time is made up; what the instrument says is written by hand.

use schemas::worklist::{SpecimenStanding, WorklistSpecimen};
use uuid::Uuid;

use super::*;
use crate::orders::OrderLine;
use crate::settings::OrderDialect;

fn at(seconds: u64) -> Instant {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_secs(seconds)
}

fn message(control_id: &str, tube: &str, occasion: SendingOccasion) -> Outgoing {
    let line = OrderLine {
        number: format!("{control_id}/GLU"),
        order: Uuid::from_u128(control_id.len() as u128),
        cancel: false,
        code: "GLU".into(),
    };
    let specimen = WorklistSpecimen {
        number: tube.into(),
        standing: SpecimenStanding::Pending,
        patient: None,
        kind: None,
        collected_at: None,
        tests: Vec::new(),
    };
    let message = OrderMessage {
        content: Bytes::from(control_id.to_owned()),
        control_id: control_id.into(),
        specimen: Some(specimen),
        lines: vec![line],
    };
    Outgoing::new(message, occasion, 1, control_id, at(0))
}

fn exchange() -> Exchange {
    Exchange::new(Some(&OrderSettings::of(OrderDialect::Law)))
}

fn says(code: &str, id: &str) -> (ReceivedAck, Bytes) {
    let content = Bytes::from(format!(
        "MSH|^~\\&|A||H||1||ACK^O33|9|P|2.5.1\rMSA|{code}|{id}|text\r"
    ));
    (ReceivedAck::read(&content).unwrap(), content)
}

fn hear(exchange: &mut Exchange, second: u64, code: &str, id: &str) -> Heard {
    let (ack, content) = says(code, id);
    exchange.heard(at(second), &ack, &content)
}

fn finished(heard: Heard) -> Finished {
    match heard {
        Heard::Finished(finished) => *finished,
        other => panic!("{other:?}"),
    }
}

fn sent(exchange: &mut Exchange, second: u64) -> Option<String> {
    exchange
        .next(at(second))
        .map(|(content, _)| String::from_utf8(content.to_vec()).unwrap())
}

use SendingOccasion::{Download, Query};

#[test]
fn one_is_in_flight_and_the_next_goes_when_it_is_answered() {
    let mut exchange = exchange();
    exchange.push(vec![message("A", "S1", Query), message("B", "S2", Query)]);
    assert_eq!(sent(&mut exchange, 0).as_deref(), Some("A"));
    assert_eq!(sent(&mut exchange, 0), None);
    assert_eq!(exchange.deadline(), Some(at(10)));
    let done = finished(hear(&mut exchange, 2, "AA", "A"));
    assert_eq!(done.answer, SendingAnswer::Accepted);
    assert_eq!(done.took, Some(Duration::from_secs(2)));
    assert_eq!(sent(&mut exchange, 2).as_deref(), Some("B"));
    let refused = finished(hear(&mut exchange, 3, "AR", "B"));
    assert_eq!(refused.orders[0].answer, SendingAnswer::Refused);
    assert_eq!(refused.orders[0].reason.as_deref(), Some("AR: text"));
    assert_eq!(exchange.deadline(), None);
}

#[test]
fn the_same_bytes_go_again_at_their_times_and_others_do_not_wait_for_them() {
    let mut exchange = exchange();
    exchange.push(vec![message("A", "S1", Query)]);
    sent(&mut exchange, 0);
    assert!(exchange.tick(at(9)).is_none());
    assert!(exchange.tick(at(10)).is_none());
    // 10 s after the first sending
    assert_eq!(sent(&mut exchange, 10).as_deref(), Some("A"));
    assert!(exchange.tick(at(20)).is_none());
    // the next is due 30 s after the second: meanwhile another has its turn
    assert_eq!(sent(&mut exchange, 20), None);
    assert_eq!(exchange.deadline(), Some(at(40)));
    exchange.push(vec![message("B", "S2", Query)]);
    assert_eq!(sent(&mut exchange, 21).as_deref(), Some("B"));
    finished(hear(&mut exchange, 22, "AA", "B"));
    assert_eq!(sent(&mut exchange, 40).as_deref(), Some("A"));
    assert!(exchange.tick(at(50)).is_none());
    assert_eq!(sent(&mut exchange, 99), None);
    assert_eq!(sent(&mut exchange, 100).as_deref(), Some("A"));
    let lost = exchange.tick(at(110)).unwrap();
    assert_eq!(lost.answer, SendingAnswer::NoAnswer);
    assert_eq!(
        lost.orders[0].reason.as_deref(),
        Some("no answer to 4 sendings")
    );
    assert_eq!(exchange.deadline(), None);
}

#[test]
fn a_late_answer_counts_for_its_own_message_and_for_no_other() {
    let mut exchange = exchange();
    exchange.push(vec![message("A", "S1", Query), message("B", "S2", Query)]);
    sent(&mut exchange, 0);
    exchange.tick(at(10));
    // B is ready, A waits for its second sending
    assert_eq!(sent(&mut exchange, 10).as_deref(), Some("B"));
    let done = finished(hear(&mut exchange, 11, "AA", "A"));
    assert_eq!(done.outgoing.message.control_id, "A");
    assert!(matches!(hear(&mut exchange, 12, "AA", "A"), Heard::Stray));
    assert!(matches!(
        hear(&mut exchange, 12, "AA", "other"),
        Heard::Stray
    ));
    let done = finished(hear(&mut exchange, 13, "AA", "B"));
    assert_eq!(done.outgoing.message.control_id, "B");
    assert!(matches!(hear(&mut exchange, 14, "AA", "B"), Heard::Stray));
}

#[test]
fn an_answer_that_names_no_message_belongs_to_the_one_in_flight() {
    let mut exchange = exchange();
    assert!(matches!(hear(&mut exchange, 0, "AA", ""), Heard::Stray));
    exchange.push(vec![message("A", "S1", Query)]);
    assert!(
        matches!(hear(&mut exchange, 0, "AA", ""), Heard::Stray),
        "not sent yet"
    );
    sent(&mut exchange, 0);
    finished(hear(&mut exchange, 1, "AA", ""));
}

#[test]
fn arrived_alone_is_waited_on_and_then_counts_as_delivered() {
    let mut exchange = exchange();
    exchange.push(vec![message("A", "S1", Query)]);
    sent(&mut exchange, 0);
    assert!(matches!(
        hear(&mut exchange, 1, "CA", "A"),
        Heard::Committed
    ));
    let done = exchange.tick(at(10)).unwrap();
    assert_eq!(done.answer, SendingAnswer::Delivered);
    // and with the application's answer it is that
    exchange.push(vec![message("B", "S2", Query)]);
    sent(&mut exchange, 20);
    hear(&mut exchange, 21, "CA", "B");
    let done = finished(hear(&mut exchange, 22, "AE", "B"));
    assert_eq!(done.answer, SendingAnswer::Refused);
}

#[test]
fn answers_go_before_what_nobody_asked_for_and_a_new_question_replaces_an_old_answer() {
    let mut exchange = exchange();
    exchange.push(vec![
        message("D1", "S8", Download),
        message("D2", "S9", Download),
    ]);
    exchange.push(vec![message("Q1", "S1", Query)]);
    exchange.push(vec![message("Q2", "S2", Query)]);
    assert_eq!(sent(&mut exchange, 0).as_deref(), Some("Q1"));
    exchange.tick(at(10));
    assert_eq!(sent(&mut exchange, 10).as_deref(), Some("Q2"));
    let replaced = exchange.push(vec![message("Q3", "S1", Query)]);
    assert_eq!(replaced.len(), 1);
    assert_eq!(replaced[0].outgoing.message.control_id, "Q1");
    finished(hear(&mut exchange, 11, "AA", "Q2"));
    assert_eq!(sent(&mut exchange, 11).as_deref(), Some("Q3"));
    finished(hear(&mut exchange, 12, "AA", "Q3"));
    assert_eq!(sent(&mut exchange, 12).as_deref(), Some("D1"));
}

#[test]
fn a_query_that_is_taken_back_takes_with_it_what_waits_and_not_what_was_sent() {
    let mut exchange = exchange();
    exchange.push(vec![message("A", "S1", Query), message("B", "S2", Query)]);
    exchange.push(vec![message("D", "S3", Download)]);
    sent(&mut exchange, 0);
    assert!(exchange.withdraw("A").is_empty(), "it is on the wire");
    assert_eq!(exchange.withdraw("B").len(), 1);
    finished(hear(&mut exchange, 1, "AA", "A"));
    assert_eq!(sent(&mut exchange, 1).as_deref(), Some("D"));
}

#[test]
fn the_end_of_a_connection_says_of_each_message_that_it_was_not_answered() {
    let mut exchange = exchange();
    exchange.push(vec![message("A", "S1", Query), message("B", "S2", Query)]);
    sent(&mut exchange, 0);
    let open = exchange.close();
    assert_eq!(open.len(), 2);
    assert!(open.iter().all(|one| one.answer == SendingAnswer::NoAnswer));
    assert_eq!(exchange.deadline(), None);
}

#[test]
fn without_a_wait_for_answers_what_is_written_is_delivered() {
    let mut settings = OrderSettings::of(OrderDialect::Law);
    settings.answer_s = 0;
    let mut exchange = Exchange::new(Some(&settings));
    exchange.push(vec![message("A", "S1", Query)]);
    let (_, done) = exchange.next(at(0)).unwrap();
    assert_eq!(done.unwrap().answer, SendingAnswer::Delivered);
}

#[test]
fn more_than_can_wait_push_out_the_oldest_and_that_is_said() {
    let mut exchange = exchange();
    let many = (0..=MOST_WAITING)
        .map(|n| message(&n.to_string(), "S", Download))
        .collect();
    let given_up = exchange.push(many);
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].outgoing.message.control_id, "0");
}
