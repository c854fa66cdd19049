//! The client of a service's own protocol, run in the terminal.

use std::process::Command;

use super::Ended;
use super::remote::ClientError;

/// Runs the client that fits the service's address. The password goes through its environment, where no list of processes shows it.
pub async fn run(variables: &[(String, String)], arguments: &[String]) -> Result<Ended, ClientError> {
    let value = |key: &str| variables.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value.as_str());
    let url = variables.iter().map(|(_, value)| value.as_str()).find(|value| value.contains("://")).unwrap_or_default();
    let mut command = match url.split("://").next() {
        Some("postgresql") => {
            let mut command = Command::new("psql");
            command.envs(variables.iter().filter(|(key, _)| key.starts_with("PG")).map(|(key, value)| (key, value)));
            command
        }
        Some("redis") => {
            let mut command = Command::new("redis-cli");
            command.args(["-h", value("REDIS_HOST"), "-p", value("REDIS_PORT")]);
            command.env("REDISCLI_AUTH", value("REDIS_PASSWORD"));
            command
        }
        _ => return Err(ClientError::Usage("no client is known for services of this kind".to_owned())),
    };
    command.args(arguments);
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = tokio::task::spawn_blocking(move || command.status()).await.map_err(std::io::Error::other)?;
    match ended {
        Ok(status) if status.success() => Ok(Ended::Well),
        Ok(status) => Ok(Ended::With(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ClientError::Usage(format!("{program} is not installed")))
        }
        Err(error) => Err(error.into()),
    }
}
