//! Words of notes and documents in Postgres, encrypted: no dump of it has them, and whoever may read them does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Rest, Servers, eventually, unique};

use super::audit::hub;
use super::encryption::holders;

const SOON: Duration = Duration::from_secs(20);
/// Stands in every word of this test, and nowhere else.
const WORD: &str = "QQXTWORDS";

fn settings(servers: &Servers) -> HubSettings {
    let file = servers.folder().join("master.key");
    std::fs::write(&file, "0f".repeat(32)).unwrap();
    let mut settings = HubSettings::new(servers);
    settings.more = format!(
        "\n[encryption]\nbodies = true\ncolumns = true\nmaster_key = {:?}\n",
        format!("file:{}", file.display())
    );
    settings
}

/// Tables of the database that hold the word, as text or as bytes, whoever's rows they are.
async fn tables_with(servers: &Servers, word: &str) -> Vec<String> {
    let tables = servers
        .sql(
            "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not like 'pg\\_%'
               and n.nspname <> 'information_schema' order by 1",
        )
        .await;
    assert!(tables.len() > 50, "{tables:?}");
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let looks: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "select '{table}' from {table} t where t::text like '%{word}%' or t::text like '%{hex}%'"
            )
        })
        .collect();
    servers.sql(&looks.join(" union ")).await
}

async fn made(rest: &Rest, path: &str, body: &Value) -> String {
    let (status, made) = rest.post(path, body).await;
    assert_eq!(status, 201, "{path}: {made}");
    made["answer"]["id"].as_str().unwrap_or_default().to_owned()
}

async fn patient(rest: &Rest) -> String {
    let number = unique("MRN");
    let body = json!({
        "identifiers": [{ "value": number }],
        "demographics": { "name": { "family": number, "given": ["Asha"] }, "birth_date": "1980-05-17", "sex": "female" } });
    made(rest, "/api/v1/patients", &body).await
}

fn note(text: &str) -> Value {
    json!({ "note_kind": "progress", "title": format!("Round {WORD}"), "text": format!("{text} {WORD}") })
}

async fn text_of(rest: &Rest, note: &str) -> Value {
    rest.get(&format!("/api/v1/notes/{note}")).await["content"]["text"].clone()
}

#[tokio::test]
async fn words_of_notes_are_in_no_table_and_are_read_after_rotation_and_loss_of_nats() {
    let servers = Servers::start().await;
    let mut process = HubProcess::start(&servers, &settings(&servers)).await;
    let rest = process.sign_in().await;
    let person = patient(&rest).await;
    let notes = format!("/api/v1/patients/{person}/notes");
    let first = made(&rest, &notes, &note("first")).await;
    let path = format!("/api/v1/notes/{first}");
    rest.command(&format!("{path}/sign"), &json!({})).await;
    made(
        &rest,
        &format!("{path}/addenda"),
        &json!({ "text": format!("addendum {WORD}") }),
    )
    .await;
    let leaflet = json!({ "title": format!("Letter {WORD}"), "document_kind": "other", "media_type": "application/pdf",
                          "content_base64": "JVBERi0xLjcK" });
    let documents = format!("/api/v1/patients/{person}/documents");
    let document = made(&rest, &documents, &leaflet).await;

    // nobody finds them: not in a table, not in what NATS stores, not in the log
    assert_eq!(tables_with(&servers, WORD).await, Vec::<String>::new());
    let nats = servers.folder().join("nats");
    assert_eq!(holders(&nats, WORD.as_bytes()), Vec::<String>::new());
    assert!(!process.log().contains(WORD));

    // who may reads them, one, listed, over FHIR and as all of a person
    assert_eq!(text_of(&rest, &first).await, format!("first {WORD}"));
    let listed = rest.items(&notes).await;
    assert_eq!(
        listed[0]["content"]["addenda"][0]["text"],
        format!("addendum {WORD}")
    );
    let read = rest.get(&format!("/api/v1/documents/{document}")).await;
    assert_eq!(read["content"]["title"], format!("Letter {WORD}"));
    read_over_fhir(&rest, &person, &first).await;

    // a new key while it runs: the next note has it, and both are read
    let rotated = hub(process.config(), &["keys", "rotate-data"]);
    assert!(rotated.status.success(), "{rotated:?}");
    let second = made(&rest, &notes, &note("second")).await;
    for (number, rows) in [(1, 2), (2, 1)] {
        let query = format!(
            "select count(*) from clinical.chart_entries where body::text like '\"sealed:v1:{number}:%'"
        );
        assert_eq!(servers.count(&query).await, rows, "key {number}");
    }
    for (id, text) in [(&first, "first"), (&second, "second")] {
        assert_eq!(text_of(&rest, id).await, format!("{text} {WORD}"));
    }
    let listed = hub(process.config(), &["keys", "data", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.matches("\"of\":\"columns\"").count(), 2, "{listed}");
    assert!(!listed.contains("\"opens\":false"), "{listed}");
    let doctor = hub(process.config(), &["doctor", "--json"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("on, 2 keys open"), "{said}");
    exported(&servers, &process);

    // keys of columns lie with what they seal: the loss of those that lie in NATS costs no word
    process.terminate().await;
    let client = async_nats::connect(servers.nats.url()).await.unwrap();
    async_nats::jetstream::new(client)
        .delete_stream("KV_hub_data_keys")
        .await
        .unwrap();
    process.restart().await;
    let rest = process.sign_in().await;
    for (id, text) in [(&first, "first"), (&second, "second")] {
        assert_eq!(text_of(&rest, id).await, format!("{text} {WORD}"));
    }

    // behind the program's back one is put in the place of another: it is not shown as that one's
    let moved = format!(
        "update clinical.chart_entries set body = (select body from clinical.chart_entries where id = '{first}') where id = '{second}'"
    );
    servers.sql(&moved).await;
    let (status, problem) = rest.try_get(&format!("/api/v1/notes/{second}")).await;
    assert_eq!(status, 500, "{problem}");
    eventually("it is said which", SOON, || async {
        let log = process.log();
        (log.contains("a sealed column does not open") && log.contains(&second)).then_some(())
    })
    .await;
    assert_eq!(text_of(&rest, &first).await, format!("first {WORD}"));
    // the list marks it and shows the others, and the export names it
    let listed = rest.items(&notes).await;
    for one in &listed {
        let is_moved = one["id"] == second.as_str();
        assert_eq!(one["unreadable"] == true, is_moved, "{one}");
        assert_eq!(one["content"].is_null(), is_moved, "{one}");
    }
    assert_eq!(listed.len(), 2);
    let folder = servers.folder().join("export-damaged");
    let to = folder.to_str().unwrap();
    let output = hub(process.config(), &["tenant", "export", "demo", "--to", to]);
    assert!(output.status.success(), "{output:?}");
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let unreadable = &manifest["unreadable"];
    assert_eq!(unreadable["count"], 1, "{unreadable}");
    let row = &unreadable["rows"][0];
    assert_eq!(
        (&row["tenant"], &row["table"], &row["id"]["id"]),
        (
            &json!("demo"),
            &json!("clinical.chart_entries"),
            &json!(second)
        )
    );
}

/// A tenant's key that nobody can give: what needs it is refused, and the lane goes on.
#[tokio::test]
async fn a_lost_key_refuses_the_notes_that_need_it_and_holds_nothing_else() {
    let servers = Servers::start().await;
    let process = HubProcess::start(&servers, &settings(&servers)).await;
    let rest = process.sign_in().await;
    let person = patient(&rest).await;
    let notes = format!("/api/v1/patients/{person}/notes");
    made(&rest, &notes, &note("first")).await;
    servers
        .sql("update integration.data_keys set wrapped = wrapped || '\\x00'::bytea")
        .await;
    let (status, problem) = rest.post(&notes, &note("second")).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (422, Some("worker.key_lost")),
        "{problem}"
    );
    // of the same patient, so of the same lane
    let condition = json!({ "content": { "text": "Asthma" } });
    made(
        &rest,
        &format!("/api/v1/patients/{person}/conditions"),
        &condition,
    )
    .await;
    // the key is back: who sends it anew has it written
    servers
        .sql("update integration.data_keys set wrapped = substring(wrapped from 1 for length(wrapped) - 1)")
        .await;
    let again = made(&rest, &notes, &note("again")).await;
    assert_eq!(text_of(&rest, &again).await, format!("again {WORD}"));
}

async fn read_over_fhir(rest: &Rest, person: &str, note: &str) {
    let one = rest.get(&format!("/fhir/DocumentReference/{note}")).await;
    assert_eq!(one["description"], format!("Round {WORD}"));
    let data = one["content"][0]["attachment"]["data"].as_str().unwrap();
    let text = String::from_utf8(STANDARD.decode(data).unwrap()).unwrap();
    assert_eq!(text, format!("first {WORD}"));
    for path in [
        format!("/fhir/DocumentReference?patient={person}&category=note"),
        format!("/fhir/DocumentReference/{note}/_history"),
        format!("/fhir/Patient/{person}/$everything?_type=DocumentReference"),
    ] {
        let found = rest.get(&path).await.to_string();
        assert!(found.contains(&format!("Round {WORD}")), "{path}: {found}");
    }
}

/// Who takes his data with him has no master key: what is sealed here is open there, and its keys stay.
fn exported(servers: &Servers, process: &HubProcess) {
    let folder = servers.folder().join("export-demo");
    let to = folder.to_str().unwrap();
    let output = hub(process.config(), &["tenant", "export", "demo", "--to", to]);
    assert!(output.status.success(), "{output:?}");
    for table in ["clinical.chart_entries", "clinical.chart_history"] {
        let text = std::fs::read_to_string(folder.join(format!("tables/{table}.ndjson"))).unwrap();
        assert!(text.contains(&format!("first {WORD}")), "{table}: {text}");
        assert!(!text.contains("sealed:v1"), "{table}: {text}");
    }
    assert!(!folder.join("tables/integration.data_keys.ndjson").exists());
    let list = std::fs::read_to_string(folder.join("attachments.ndjson")).unwrap();
    assert_eq!(list.lines().count(), 1, "the document's bytes: {list}");
}
