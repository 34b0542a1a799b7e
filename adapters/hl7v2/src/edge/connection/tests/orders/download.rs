//! Instruments that are told without asking, and those that take orders on a connection of their own.

use super::*;

#[tokio::test]
async fn an_instrument_that_does_not_ask_is_told_once_and_told_of_cancellations() {
    use SendingAnswer::{Accepted, Sending};
    let site = Site::new(OrderDialect::Law, |settings| {
        let orders = settings.orders.as_mut().unwrap();
        orders.mode = OrderMode::Download;
        orders.every_s = 1;
    })
    .await;
    site.knows_one("S1", 1);
    // the state has not heard of it yet: the book knows
    site.knows_one("S1", 1);
    let cancel = vec![test(1, &["GLU"], TestAction::Cancel)];
    site.knows(Ok(worklist(vec![specimen("S1", cancel)])));
    let mut analyzer = site.connect().await;
    let oml = analyzer.hears().await;
    assert!(oml[0].starts_with("MSH|^~\\&|HUB|"), "{oml:?}");
    assert!(oml.iter().any(|line| line.starts_with("ORC|NW|")));
    // before a byte of it was on the wire
    assert_eq!(site.told(1).await, [(1, Sending, None)]);
    let id = oml[0].split('|').nth(9).unwrap();
    analyzer.acknowledges(id, "ORC|OK|P1/GLU\r").await;
    let oml = analyzer.hears().await;
    assert!(
        oml.iter().any(|line| line.starts_with("ORC|CA|")),
        "{oml:?}"
    );
    let id = oml[0].split('|').nth(9).unwrap();
    analyzer.acknowledges(id, "ORC|CR|P1/GLU\r").await;
    let answers: Vec<SendingAnswer> = site.told(4).await.iter().map(|one| one.1).collect();
    assert_eq!(answers, [Sending, Accepted, Sending, Accepted]);
    let questions = site.store.questions.lock().unwrap();
    let again = |n: usize| questions[n].untold.map(|untold| untold.again_after_s);
    assert_eq!((again(0), again(1)), (Some(0), Some(600)));
}

#[tokio::test]
async fn two_connections_of_a_channel_do_not_send_one_order_twice() {
    let site = Site::new(OrderDialect::Law, |settings| {
        let orders = settings.orders.as_mut().unwrap();
        orders.mode = OrderMode::Download;
        orders.every_s = 60;
    })
    .await;
    site.knows_one("S1", 1);
    site.knows_one("S1", 1);
    let mut one = site.connect().await;
    one.takes_oml().await;
    let mut two = site.connect().await;
    soon(async {
        while site.store.questions.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    two.silent_for(100).await;
    // the first never answers and leaves: the next look of another sends it
    one.hang_up().await;
    site.knows_one("S1", 1);
    let mut three = site.connect().await;
    three.takes_oml().await;
}

#[tokio::test]
async fn orders_go_over_the_connection_that_the_analyzer_has_for_them() {
    let mut site = Site::new(OrderDialect::Law, |_| {}).await;
    site.outlet = Some(Arc::default());
    let mut results = site.connect().await;
    site.knows_one("S1", 1);
    results.says(&law("S1")).await;
    assert!(results.hears().await[0].contains("|RSP^K11^RSP_K11|"));
    // it waits for the connection
    let mut orders = site.connect_as(true).await;
    let id = orders.takes_oml().await;
    // and the other is free meanwhile
    results.says(ORU).await;
    assert_eq!(results.hears().await[1], "MSA|AA|77");
    orders.acknowledges(&id, "").await;
    assert_eq!(site.told(1).await, [(1, SendingAnswer::Accepted, None)]);
    // a connection that stands is woken
    site.knows_one("S2", 2);
    results.says(&law("S2")).await;
    results.hears().await;
    let id = orders.takes_oml().await;
    orders.acknowledges(&id, "").await;
    assert_eq!(site.told(2).await[1].0, 2);
    results.silent_for(50).await;
}
