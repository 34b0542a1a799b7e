//! Both Mindray forms on a socket.

use super::*;

#[tokio::test]
async fn mindray_chemistry_gets_qck_then_dsr_and_acknowledges_it() {
    let site = Site::new(OrderDialect::MindrayChemistry, |_| {}).await;
    let mut analyzer = site.connect().await;
    site.knows_one("0019", 1);
    analyzer.says(CHEMISTRY_QUERY).await;
    let qck = analyzer.hears().await;
    assert!(qck[0].contains("||QCK^Q02|4|"), "{qck:?}");
    assert_eq!(qck[3], "QAK|SR|OK|");
    let dsr = analyzer.hears().await;
    assert!(dsr.contains(&"DSP|21||0019|||".to_owned()), "{dsr:?}");
    let id = dsr[0].split('|').nth(9).unwrap();
    analyzer
        .says(&format!("MSH|^~\\&|Mindray|BS-400|||2||ACK^Q03|4|P|2.3.1\rMSA|AA|{id}|Message accepted|||0|\rERR|0|\r"))
        .await;
    assert_eq!(site.told(1).await, [(1, SendingAnswer::Accepted, None)]);
    site.knows(Ok(worklist(vec![specimen("0019", Vec::new())])));
    analyzer.says(CHEMISTRY_QUERY).await;
    assert_eq!(analyzer.hears().await[3], "QAK|SR|NF|");
    analyzer.silent_for(50).await;
}

#[tokio::test]
async fn mindray_haematology_has_its_orders_in_the_answer_and_says_nothing_more() {
    let site = Site::new(OrderDialect::MindrayHaematology, |_| {}).await;
    let mut analyzer = site.connect().await;
    site.knows_one("raisya", 1);
    analyzer.says(HAEMATOLOGY_QUERY).await;
    let orr = analyzer.hears().await;
    assert!(orr.contains(&"ORC|AF|raisya||".to_owned()), "{orr:?}");
    assert_eq!(site.told(1).await, [(1, SendingAnswer::Delivered, None)]);
    site.knows(Ok(worklist(vec![specimen("raisya", Vec::new())])));
    analyzer.says(HAEMATOLOGY_QUERY).await;
    assert_eq!(analyzer.hears().await[1..], ["MSA|AR|389"]);
}
