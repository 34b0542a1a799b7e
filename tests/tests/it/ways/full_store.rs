//! No space is left for what is to be acknowledged: by the limit of the store, and by the disk itself.

use std::process::{Command, Stdio};

use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, eventually, oru, unique};

use super::SOON;

#[tokio::test]
async fn a_full_store_is_a_repeatable_refusal_and_is_over_when_there_is_space_again() {
    let servers =
        Servers::start_with(|options| options.max_file_bytes = Some(16 * 1024 * 1024)).await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    // somebody else takes most of the space
    let context =
        async_nats::jetstream::new(async_nats::connect(servers.nats.url()).await.unwrap());
    let filler = async_nats::jetstream::stream::Config {
        name: "FILLER".to_owned(),
        subjects: vec!["filler".to_owned()],
        ..Default::default()
    };
    context.create_stream(filler).await.unwrap();
    while context
        .publish("filler", vec![b'x'; 500_000].into())
        .await
        .unwrap()
        .await
        .is_ok()
    {}

    let patient = unique("FULL");
    let refused = refused_message(&hub, &patient).await;
    assert_eq!(Rest::new(hub.api()).try_get("/healthz").await.0, 200);
    context.delete_stream("FILLER").await.unwrap();
    accepted_again(&hub, &patient, &refused).await;
}

#[tokio::test]
async fn a_full_disk_is_a_repeatable_refusal_and_is_over_when_there_is_space_again() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a tmpfs can't be mounted here (needs root)");
        return;
    };
    let folder = disk.folder.path().to_owned();
    let servers = Servers::start_with(|options| {
        options.store_dir = Some(folder.clone());
        // what local-servers does on a real disk keeps JetStream from this; here it must not
        options.max_file_bytes = Some(1024 * 1024 * 1024);
    })
    .await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let filler = folder.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 65536]).is_ok() {}

    let patient = unique("DISK");
    let refused = refused_message(&hub, &patient).await;
    std::fs::remove_file(&filler).unwrap();
    drop(file);
    // nats-server remembers the failed write until it starts anew; its keeper sees to that
    accepted_again(&hub, &patient, &refused).await;
    drop(hub);
    drop(servers);
}

/// A tmpfs of 24 MiB, unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = Servers::folder_for_tests();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

/// Sends until the store takes no more; the message that was refused. What was acknowledged before is there.
async fn refused_message(hub: &HubProcess, patient: &str) -> String {
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let mut stored = 0;
    let refused = loop {
        let message = oru(
            &unique("FC"),
            patient,
            &format!("{patient}S{stored}"),
            &[("GLU", "5", "mg/dL")],
        ) + &format!("OBX|2|TX|N^N^L||{}||||||F\r", "x".repeat(50_000));
        let answer = peer.send(&message).await;
        match answer.code.as_str() {
            "AA" => stored += 1,
            "AE" => break message,
            other => panic!("{other}: {}", answer.text),
        }
        assert!(stored < 500, "the limit does nothing");
    };
    assert_eq!(peer.send(&refused).await.code, "AE", "still so");
    refused
}

async fn accepted_again(hub: &HubProcess, patient: &str, refused: &str) {
    eventually("it is acknowledged again", SOON, || async {
        let code = Mllp::connect(hub.mllp("lab"))
            .await
            .try_send(refused)
            .await?
            .code;
        (code == "AA").then_some(())
    })
    .await;
    let rest = hub.sign_in().await;
    rest.message(refused.split('|').nth(9).unwrap()).await;
    let last = refused
        .split('|')
        .find(|field| field.starts_with("PL"))
        .unwrap()
        .trim_start_matches("PL");
    let results = eventually("all of it took effect", SOON, || async {
        let results = rest
            .all_items(&format!(
                "/api/v1/results?patient_identifier={patient}&limit=500"
            ))
            .await;
        results
            .iter()
            .any(|result| {
                result["placer_number"]
                    .as_str()
                    .is_some_and(|number| number.ends_with(last))
            })
            .then_some(results)
    })
    .await;
    let mut numbers: Vec<&str> = results
        .iter()
        .map(|result| result["placer_number"].as_str().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        results.len(),
        numbers.len() * 2,
        "each message has one effect"
    );
}
