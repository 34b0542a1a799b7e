//! The worklist of critical values.

use schemas::care::{Mapped, Observation};
use serde_json::json;

use super::house::House;
use super::samples::coded;

pub(crate) fn potassium(value: &str) -> Observation {
    Observation {
        mapped: Some(Mapped {
            loinc: "2823-3".to_owned(),
            display: Some("Potassium".to_owned()),
            ucum: Some("mmol/L".to_owned()),
            factor: None,
        }),
        ..coded("K", value)
    }
}

#[tokio::test]
async fn a_critical_value_is_listed_until_somebody_was_called_and_read_it_back() {
    let house = House::new().await;
    house
        .report("12345", 1, vec![potassium("6.8"), coded("GLU", "104")])
        .await;
    house.report("12345", 2, vec![potassium("4.1")]).await;
    let list = house.get("/api/v1/worklists/criticals").await;
    assert_eq!(list.items().len(), 1);
    let item = &list.items()[0];
    assert_eq!(
        (&item["value"], &item["side"], &item["limit"]),
        (&json!("6.8"), &json!("high"), &json!("6.2"))
    );
    assert!(item["patient_id"].is_string());
    assert!(item.get("overdue_at").is_none());
    assert!(
        house
            .get("/api/v1/worklists/criticals?overdue=true")
            .await
            .items()
            .is_empty()
    );

    let path = format!("/api/v1/worklists/criticals/{}/acknowledge", item["id"]);
    let nobody = json!({ "told": "", "read_back": "6.8" });
    assert_eq!(
        house.post(&path, &nobody).await.problem(400),
        "request.invalid"
    );
    let call = json!({ "told": "Sr. Mary, ICU", "read_back": "potassium 6.8" });
    assert_eq!(
        house.post(&path, &call).await.ok()["answer"]["state"],
        "acknowledged"
    );
    assert_eq!(
        house.post(&path, &call).await.problem(409),
        "clinical.critical_closed"
    );
    assert!(
        house
            .get("/api/v1/worklists/criticals")
            .await
            .items()
            .is_empty()
    );
    let done = house
        .get("/api/v1/worklists/criticals?state=acknowledged")
        .await;
    assert_eq!(done.items()[0]["acknowledged_by"], "admin");
    assert_eq!(done.items()[0]["told"], "Sr. Mary, ICU");
    let unknown = "/api/v1/worklists/criticals/999/acknowledge";
    assert_eq!(
        house.post(unknown, &call).await.problem(404),
        "clinical.critical_unknown"
    );
}
