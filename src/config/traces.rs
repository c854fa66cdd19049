//! Whether and how traces are exported: OpenTelemetry's own variables (its specification, "Environment Variable
//! Specification" and "OpenTelemetry Protocol Exporter").
//!
//! Those that say where to export and what to take of it are read by OpenTelemetry's SDK. What it would misunderstand in
//! silence is refused here.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{ConfigError, variable};
use crate::telemetry::traces::TraceSettings;

/// What the specification has for one batch.
const PATIENCE: Duration = Duration::from_secs(10);

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// How traces are exported; None when they are not.
pub fn traces() -> Result<Option<TraceSettings>, ConfigError> {
    settings(|name| Ok(variable(name)?.map(|value| value.expose_secret().to_owned())))
}

fn settings(
    read: impl Fn(&'static str) -> Result<Option<String>, ConfigError>,
) -> Result<Option<TraceSettings>, ConfigError> {
    let wrong = |name: &str, must: &str| Err(ConfigError(format!("{name} must be {must}.")));
    // That of traces goes before that of all signals.
    let either = |one: &'static str, all: &'static str| match read(one)? {
        Some(value) => Ok(Some((one, value))),
        None => Ok(read(all)?.map(|value| (all, value))),
    };
    let disabled = read("OTEL_SDK_DISABLED")?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exporter = read("OTEL_TRACES_EXPORTER")?;
    let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")?;
    if disabled || exporter.as_deref() == Some("none") || endpoint.is_none() {
        return Ok(None);
    }
    if exporter.is_some_and(|exporter| exporter != "otlp") {
        return wrong("OTEL_TRACES_EXPORTER", "otlp or none");
    }
    if let Some((name, protocol)) = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")?
        && protocol != "http/protobuf"
    {
        return wrong(name, "http/protobuf: a collector takes that on port 4318");
    }
    let patience = match either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")? {
        None => PATIENCE,
        Some((name, value)) => match value.parse() {
            Ok(milliseconds @ 1..=600_000) => Duration::from_millis(milliseconds),
            _ => return wrong(name, "a number of milliseconds from 1 to 600000"),
        },
    };
    if read("OTEL_TRACES_SAMPLER")?.is_some_and(|sampler| !SAMPLERS.contains(&sampler.as_str())) {
        return wrong("OTEL_TRACES_SAMPLER", &format!("one of {}", SAMPLERS.join(", ")));
    }
    if read("OTEL_TRACES_SAMPLER_ARG")?.is_some_and(|part| !part.parse().is_ok_and(|part| (0.0..=1.0).contains(&part)))
    {
        return wrong("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1");
    }
    Ok(Some(TraceSettings { service_name: read("OTEL_SERVICE_NAME")?, patience }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

    fn given(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        settings(|name| Ok(find(name))).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_endpoint_or_where_switched_off_there_are_no_traces() {
        for variables in [
            &[("OTEL_SERVICE_NAME", "ours")][..],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        ] {
            assert!(given(variables).unwrap().is_none(), "{variables:?}");
        }
        let settings =
            given(&[ENDPOINT, ("OTEL_SDK_DISABLED", "no"), ("OTEL_TRACES_EXPORTER", "otlp")]).unwrap().unwrap();
        assert_eq!((settings.service_name, settings.patience), (None, PATIENCE));
    }

    #[test]
    fn what_is_said_of_traces_goes_before_what_is_said_of_all_signals() {
        let settings = given(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
        ]);
        assert_eq!(settings.unwrap().unwrap().patience, Duration::from_secs(2));
    }

    #[test]
    fn what_would_be_misunderstood_is_refused() {
        for (name, value) in [
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            let refused = given(&[ENDPOINT, (name, value)]).unwrap_err();
            assert!(refused.starts_with(&format!("{name} must be ")), "{refused}");
        }
    }
}
