//! What a container says and takes.

use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{DockerEngine, QUICK, exec, failure, gauge, probe, within};
use crate::catalog::deployment::Check;
use crate::catalog::inquiry::{Answer, Inquiry};
use crate::domain::id::InstanceId;
use crate::domain::live::{Holdings, LogLine, LogStream, Reading, Usage};
use crate::engine::{Command, Ended, EngineError, Flow, Gauge, Instruments, Probe, Result};

/// How long counting what is on a volume may take.
const COUNTING: Duration = Duration::from_secs(30);
/// How much is read of the size and of the kernel's tables, in bytes; a connection takes a line of 150.
const TABLES: usize = 4 << 20;

#[async_trait]
impl Instruments for DockerEngine {
    async fn follow_logs(
        &self,
        instance: InstanceId,
        tail: u32,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let client = self.client().await?.clone();
        let tail = tail.to_string();
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).follow(true);
        // The engine takes whole seconds.
        let seconds = since.and_then(|since| i32::try_from(since.as_second()).ok()).unwrap_or(0);
        let options = options.tail(&tail).since(seconds).build();
        Ok(Box::pin(try_stream! {
            let mut output = std::pin::pin!(client.logs(&instance.to_string(), Some(options)));
            while let Some(chunk) = output.next().await {
                for line in lines(chunk.map_err(failure)?) {
                    if since.is_none_or(|since| line.occurred_at >= since) {
                        yield line;
                    }
                }
            }
        }))
    }

    async fn usage(&self, instance: InstanceId) -> Result<BoxStream<'static, Result<Usage>>> {
        let client = self.client().await?.clone();
        Ok(Box::pin(try_stream! {
            let options = query::StatsOptionsBuilder::default().stream(true).build();
            let mut stats = std::pin::pin!(client.stats(&instance.to_string(), Some(options)));
            let mut before = None;
            while let Some(now) = stats.next().await {
                let now = reading(&now.map_err(failure)?);
                if let Some(usage) = before.zip(now).and_then(|(before, now): (Reading, Reading)| now.since(before)) {
                    yield usage;
                }
                before = now;
            }
        }))
    }

    async fn read(&self, instance: InstanceId) -> Result<Reading> {
        let client = self.client().await?;
        let options = query::StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let name = instance.to_string();
        let mut stats = std::pin::pin!(client.stats(&name, Some(options)));
        let stats = within(QUICK, async { stats.next().await.transpose() }).await.map_err(failure)?;
        let none = || EngineError::Unknown("the engine counts nothing of it".into());
        stats.as_ref().and_then(reading).ok_or_else(none)
    }

    async fn holdings(&self, instance: InstanceId, path: &str, port: u16) -> Result<Holdings> {
        let client = self.client().await?;
        // Of what comes and goes while it is counted `du` complains, and counts the rest.
        let script = format!("du -skH {path} 2>/dev/null; cat /proc/net/tcp /proc/net/tcp6 2>/dev/null");
        let words = ["sh".to_owned(), "-c".to_owned(), script];
        let command = Command { words: words.to_vec(), kept: TABLES, limit: Some(COUNTING), ..Command::default() };
        let ended = exec::run(client, instance, &command).await.map_err(failure)?;
        counted(&ended.output, port).ok_or_else(|| EngineError::Unknown("du told no size".into()))
    }

    async fn gauge(&self, instance: InstanceId, path: &str) -> Result<Box<dyn Gauge>> {
        let own = self.own_space(instance).await?;
        let gauge = gauge::open(self.client().await?, instance, path, own).await.map_err(failure)?;
        Ok(Box::new(gauge))
    }

    async fn probe(&self, instance: InstanceId, check: &Check) -> Result<Box<dyn Probe>> {
        let probe = probe::open(self.client().await?, instance, check).await.map_err(failure)?;
        Ok(Box::new(probe))
    }

    async fn ask(&self, instance: InstanceId, inquiry: Inquiry) -> Result<Answer> {
        let Inquiry { command: words, user, input, limit, kept } = inquiry;
        let command = Command { words, user: Some(user), input: Some(input), kept, limit: Some(limit) };
        let said = exec::said(self.client().await?, instance, &command).await.map_err(failure)?;
        Ok(Answer { exit_code: said.exit_code, stdout: said.stdout, stderr: said.stderr })
    }

    async fn listen(&self, instance: InstanceId, inquiry: Inquiry, output: mpsc::Sender<Bytes>) -> Result<Ended> {
        let Inquiry { command: words, user, input, limit, kept } = inquiry;
        let command = Command { words, user: Some(user), input: Some(input), kept, limit: Some(limit) };
        let flow = Flow { output: Some(output), ..Flow::default() };
        exec::pump(self.client().await?, instance, &command, flow).await.map_err(failure)
    }
}

/// The lines of a chunk of output, each of which begins with its time.
fn lines(chunk: LogOutput) -> Vec<LogLine> {
    let stream = match chunk {
        LogOutput::StdErr { .. } => LogStream::Stderr,
        _ => LogStream::Stdout,
    };
    let line = |line: &str| {
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        Some(LogLine { occurred_at: time.parse().ok()?, stream, text: text.trim_end_matches('\r').to_owned() })
    };
    String::from_utf8_lossy(&chunk.into_bytes()).lines().filter_map(line).collect()
}

/// None once the container has stopped: the engine then counts nothing.
fn reading(stats: &ContainerStatsResponse) -> Option<Reading> {
    let memory = stats.memory_stats.as_ref()?;
    let cache = memory.stats.as_ref().and_then(|stats| {
        // The name in version 2 of control groups, then that in version 1.
        stats.get("inactive_file").or_else(|| stats.get("total_inactive_file")).copied()
    });
    Some(Reading {
        at: stats.read.as_ref()?.parse().ok()?,
        cpu_nanos: stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?,
        memory_bytes: memory.usage?.saturating_sub(cache.unwrap_or(0)),
    })
}

/// Reads the size that `du` gives in KiB, and counts the established connections to `port` in the kernel's tables
/// (proc(5), /proc/net/tcp: the local address and port in hexadecimal, then the state; 01 is ESTABLISHED). None without a
/// size.
fn counted(output: &str, port: u16) -> Option<Holdings> {
    let size: u64 = output.lines().next()?.split_whitespace().next()?.parse().ok()?;
    let local = format!(":{port:04X}");
    let is_client = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let (address, peer, state) = (fields.next(), fields.next(), fields.next());
        // 127.0.0.1, also as an IPv6 address, and ::1: health checks.
        let from_inside = peer.and_then(|peer| peer.rsplit_once(':')).is_some_and(|(address, _)| {
            address.ends_with("0100007F") || address.strip_suffix("01000000").is_some_and(|rest| rest.len() == 24)
        });
        address.is_some_and(|address| address.ends_with(&local)) && state == Some("01") && !from_inside
    };
    Some(Holdings {
        storage_bytes: size.saturating_mul(1024),
        connections: u32::try_from(output.lines().filter(is_client).count()).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn established_connections_from_outside_are_counted() {
        let table = "1234\t/data\n  sl  local_address rem_address   st tx_queue\n\
            0: 00000000:1538 00000000:0000 0A 00000000:00000000\n\
            1: 020013AC:1538 030013AC:A0F2 01 00000000:00000000\n\
            2: 0100007F:1538 0100007F:A0F4 01 00000000:00000000\n\
            3: 020013AC:A0F2 030013AC:1538 01 00000000:00000000\n\
            4: 020013AC:1538 030013AC:A0F6 06 00000000:00000000\n";
        assert_eq!(counted(table, 0x1538), Some(Holdings { storage_bytes: 1234 * 1024, connections: 1 }));
        assert_eq!(counted("  sl  local_address rem_address   st tx_queue\n", 0x1538), None);
    }

    #[test]
    fn usage_is_what_was_taken_between_two_moments_of_the_engine_s_clock() {
        // Of a container that is busy within a limit of half a core, shortened; both are read here at the same moment.
        let sample = |read: &str, cpu: u64, usage: u64| {
            let stats = serde_json::json!({
                "read": read, "preread": "0001-01-01T00:00:00Z", "num_procs": 0, "storage_stats": {},
                "cpu_stats": {
                    "cpu_usage": {"total_usage": cpu, "percpu_usage": [2_007_578, cpu - 2_007_578],
                        "usage_in_kernelmode": 20_000_000, "usage_in_usermode": 590_000_000},
                    "system_cpu_usage": 5_263_580_000_000_u64, "online_cpus": 2,
                    "throttling_data": {"periods": 25, "throttled_periods": 0, "throttled_time": 0}},
                "memory_stats": {"usage": usage, "max_usage": 4_358_144,
                    "stats": {"inactive_file": 4096, "total_inactive_file": 4096}, "limit": 25_276_063_744_u64},
                "name": "/x", "id": "50fb6e69c8af"
            });
            reading(&serde_json::from_value(stats).unwrap()).unwrap()
        };
        let before = sample("2026-11-25T18:28:48.974651597Z", 354_132_778, 978_944);
        let now = sample("2026-11-25T18:28:50.00007111Z", 615_509_567, 847_872);
        let measured_at = "2026-11-25T18:28:50.00007111Z".parse().unwrap();
        assert_eq!(now.since(before), Some(Usage { measured_at, cpu_millis: 254, memory_bytes: 843_776 }));
        assert_eq!(now.since(now), None);
        assert_eq!(before.since(now), None);
        assert!(reading(&serde_json::from_str(STOPPED).unwrap()).is_none());
        // It was started anew in between.
        let anew = sample("2026-11-25T18:28:50.974651597Z", 100_000_000, 978_944);
        assert_eq!(anew.since(before).map(|usage| usage.cpu_millis), Some(50));
    }

    /// What the engine tells last of a container that stops.
    const STOPPED: &str = r#"{"read":"0001-01-01T00:00:00Z","preread":"2026-11-25T18:28:50.00007111Z",
        "cpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0}},"memory_stats":{}}"#;
}
