//! `[telemetry]`: where spans go, and how many. Read with the rest of the configuration and checked by `hub check`.

use std::collections::BTreeMap;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::config::Secret;

/// `[telemetry]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// Where an OTLP collector takes OTLP/HTTP: `http://host:4318`; `/v1/traces` is added. Left out: nothing is exported.
    pub otlp_endpoint: Option<Spanned<String>>,
    /// Part of the traces that is exported, 0.0 to 1.0.
    pub otlp_sample: Option<Spanned<f64>>,
    /// Spans that may wait for the collector; more are dropped and counted.
    pub otlp_queue: Option<Spanned<usize>>,
    /// Further headers of each request; values are secrets.
    pub otlp_headers: BTreeMap<String, Secret>,
}

/// Every trace: a hospital's messages are few, and the one that is looked for should be there.
const SAMPLE: f64 = 1.0;
/// Spans of about a thousand messages: a few seconds of a busy hub, some 4 MB.
const QUEUE: usize = 8192;

/// Where spans go, checked.
#[derive(Clone)]
pub struct Target {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) sample: f64,
    pub(super) queue: usize,
    pub(super) service: String,
}

/// What is wrong: the byte of the file, if it stands there, and a sentence.
pub type Fault = (Option<usize>, String);

impl TelemetrySettings {
    /// Where spans go by the file and by the standard variables `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (as it is),
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` (`/v1/traces` is added), `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_SERVICE_NAME`, which come
    /// before the file. `None`: nowhere.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn target(&self) -> Result<Option<Target>, Vec<Fault>> {
        self.target_with(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn target_with(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Target>, Vec<Fault>> {
        let mut faults = Vec::new();
        let endpoint = self.endpoint(&variable, &mut faults);
        let sample = self.otlp_sample.as_ref().map_or(SAMPLE, |s| *s.get_ref());
        if !(0.0..=1.0).contains(&sample) {
            faults.push((
                self.otlp_sample.as_ref().map(|s| s.span().start),
                format!("otlp_sample is {sample}: a part of all traces, 0.0 to 1.0"),
            ));
        }
        let queue = self.otlp_queue.as_ref().map_or(QUEUE, |q| *q.get_ref());
        if !(16..=1_000_000).contains(&queue) {
            faults.push((
                self.otlp_queue.as_ref().map(|q| q.span().start),
                format!("otlp_queue is {queue}: 16 to 1000000 spans"),
            ));
        }
        let headers = self.headers(&variable, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(endpoint.map(|url| Target {
            url,
            headers,
            sample,
            queue,
            service: variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "sangam-hub".to_owned()),
        }))
    }

    fn endpoint(
        &self,
        variable: &impl Fn(&str) -> Option<String>,
        faults: &mut Vec<Fault>,
    ) -> Option<Url> {
        const WHOLE: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let (text, name, at, whole) = if let Some(text) = variable(WHOLE) {
            (text, WHOLE, None, true)
        } else if let Some(text) = variable(BASE) {
            (text, BASE, None, false)
        } else {
            let given = self.otlp_endpoint.as_ref()?;
            let at = given.span().start;
            (given.get_ref().clone(), "otlp_endpoint", Some(at), false)
        };
        let url = match read_url(&text, whole) {
            Ok(url) => Some(url),
            Err(what) => {
                faults.push((at, format!("{name} {what}")));
                None
            }
        };
        let protocol = [
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ]
        .iter()
        .find_map(|name| variable(name));
        // a variable that is meant for other programs counts only where theirs is the endpoint, too
        if at.is_none()
            && let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf")
        {
            faults.push((
                None,
                format!(
                    "the environment asks for OTLP by `{protocol}`: the hub speaks http/protobuf (port 4318 of most collectors)"
                ),
            ));
        }
        url
    }

    fn headers(
        &self,
        variable: &impl Fn(&str) -> Option<String>,
        faults: &mut Vec<Fault>,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: Result<String, String>| {
            let added = value.and_then(|value| {
                let key = HeaderName::try_from(name).map_err(|_| "is no name of a header")?;
                let mut value = HeaderValue::try_from(value)
                    .map_err(|_| "has a value that no header may have")?;
                value.set_sensitive(true);
                headers.insert(key, value);
                Ok(())
            });
            if let Err(what) = added {
                faults.push((None, format!("[telemetry.otlp_headers] {name}: {what}")));
            }
        };
        for (name, value) in &self.otlp_headers {
            add(name, value.resolve());
        }
        let given = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"))
            .unwrap_or_default();
        // "key1=value1,key2=value2" (OpenTelemetry, exporter.md)
        for pair in given.split(',').filter(|pair| !pair.trim().is_empty()) {
            match pair.split_once('=') {
                Some((name, value)) => add(name.trim(), Ok(value.trim().to_owned())),
                None => add(pair.trim(), Err("has no value".to_owned())),
            }
        }
        headers
    }
}

fn read_url(text: &str, whole: bool) -> Result<Url, String> {
    let mut url = Url::parse(text)
        .map_err(|error| format!("`{text}` is no URL ({error}): use http://host:4318"))?;
    if url.scheme() == "https" {
        return Err(
            "is https: the hub speaks plain HTTP to a collector beside it, which carries spans on over TLS".to_owned(),
        );
    }
    if url.scheme() != "http" || url.host().is_none() {
        return Err(format!("`{text}` is not http://host:port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "holds a user or a password: put them into [telemetry.otlp_headers]".to_owned(),
        );
    }
    if !whole && !url.path().ends_with("/v1/traces") {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Option<Target>, Vec<Fault>> {
        let settings: TelemetrySettings = toml::from_str(text).unwrap();
        settings.target_with(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn url(text: &str, variables: &[(&str, &str)]) -> String {
        read(text, variables)
            .unwrap_or_else(|faults| panic!("{faults:?}"))
            .map_or_else(String::new, |target| target.url.to_string())
    }

    #[test]
    fn the_path_of_traces_is_added_once_and_the_environment_comes_first() {
        let file = "otlp_endpoint = \"http://otel:4318\"";
        assert_eq!(url("", &[]), "");
        assert_eq!(url(file, &[]), "http://otel:4318/v1/traces");
        assert_eq!(
            url("otlp_endpoint = \"http://otel:4318/in/\"", &[]),
            "http://otel:4318/in/v1/traces"
        );
        assert_eq!(
            url("otlp_endpoint = \"http://otel:4318/v1/traces\"", &[]),
            "http://otel:4318/v1/traces"
        );
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(url(file, &[base]), "http://127.0.0.1:4318/v1/traces");
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://one:1/own");
        assert_eq!(url(file, &[base, whole]), "http://one:1/own");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("otlp_endpoint = \"otel:4318\"", "is not http://host:port"),
            ("otlp_endpoint = \"nonsense\"", "is no URL"),
            ("otlp_endpoint = \"https://otel\"", "over TLS"),
            ("otlp_endpoint = \"http://u:secret@otel\"", "otlp_headers"),
            ("otlp_sample = 1.5", "0.0 to 1.0"),
            ("otlp_sample = nan", "0.0 to 1.0"),
            ("otlp_queue = 1", "16 to"),
            ("otlp_headers = { \"a b\" = \"c\" }", "no name of a header"),
            ("otlp_headers = { a = \"c\\n\" }", "no header may have"),
            (
                "otlp_headers = { a = \"env:HUB_TEST_NO_SUCH\" }",
                "HUB_TEST_NO_SUCH",
            ),
        ] {
            let faults = read(text, &[]).err().unwrap_or_default();
            assert!(
                faults.iter().any(|(_, fault)| fault.contains(words)),
                "{text}: {faults:?}"
            );
            assert!(!format!("{faults:?}").contains("secret"), "{faults:?}");
        }
        let grpc = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        assert!(read("", &grpc).is_err());
        assert!(
            read("otlp_endpoint = \"http://otel:4318\"", &grpc[1..]).is_ok(),
            "the file's endpoint is meant for us"
        );
    }

    #[test]
    fn headers_of_the_file_and_of_the_environment_go_with_each_request() {
        let target = read(
            "otlp_endpoint = \"http://otel:4318\"\notlp_headers = { authorization = \"Bearer a\", \"x-tenant\" = \"file\" }",
            &[("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=env, x-more = 1")],
        )
        .ok()
        .flatten()
        .unwrap();
        assert_eq!(target.headers["authorization"], "Bearer a");
        assert_eq!(target.headers["x-tenant"], "env");
        assert_eq!(target.headers["x-more"], "1");
        assert!(!format!("{:?}", target.headers).contains("Bearer"));
    }
}
