//! Patient data stays inside (design.md §4.8): log lines name routes, not what was asked for.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::json;

use super::house::House;
use super::samples::coded;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static LINES: Lines = Lines::default();
}

/// One subscriber for all threads, each with lines of its own. With one of this thread's alone, a log statement that another test
/// comes to first is remembered as one that nobody listens to.
static LISTENING: LazyLock<()> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(|| LINES.try_with(Clone::clone).unwrap_or_default())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
});

#[tokio::test]
async fn a_log_line_names_the_route_the_status_and_the_actor_and_no_patient() {
    let house = House::new().await;
    house.report("77001122", 1, vec![coded("GLU", "104")]).await;
    LazyLock::force(&LISTENING);
    let found = house
        .get("/api/v1/patients?name=sharma&identifier=77001122")
        .await;
    let id = found.items()[0]["id"].as_str().unwrap().to_owned();
    house.get(&format!("/api/v1/patients/{id}")).await.ok();
    house
        .get("/api/v1/results?patient_identifier=77001122")
        .await
        .ok();
    house.get("/api/v1/nowhere/77001122").await.problem(404);
    house
        .get("/api/v1/patients?name=sharma&limit=x")
        .await
        .problem(400);
    let merge = json!({ "retired": id, "reason": "Asha Sharma came twice" });
    house
        .post(&format!("/api/v1/patients/{id}/merge"), &merge)
        .await
        .problem(422);
    let lines = LINES.with(|lines| lines.0.lock().unwrap().clone());
    let text = String::from_utf8(lines).unwrap().to_lowercase();
    for present in [
        "/api/v1/patients/{id}",
        "status=200",
        "status=422",
        "actor=\"admin\"",
        "unmatched",
        "trace_id",
    ] {
        assert!(text.contains(present), "{present} is missing in\n{text}");
    }
    for absent in ["77001122", "sharma", "asha", "name=", id.as_str()] {
        assert!(!text.contains(absent), "{absent} stands in\n{text}");
    }
}
