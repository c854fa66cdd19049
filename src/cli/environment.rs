//! Credentials as environment variables.

use serde_json::Value;

use super::remote::ClientError;

/// The same, with the address that is published on the engine's host in place of the one on the project's network.
pub fn outside(service: &Value, variables: Vec<(String, String)>) -> Result<Vec<(String, String)>, ClientError> {
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (host, port) = (text("hostname"), service["port"].to_string());
    let Some(external) = service["externalPort"].as_u64() else {
        let name = text("name");
        return Err(ClientError::Usage(format!("{name} is not published outside of its project's network")));
    };
    let (inside, outside) = (format!("{host}:{port}"), format!("{}:{external}", text("externalHost")));
    let translated = |(key, value): (String, String)| {
        let value = match value.as_str() {
            whole if whole == host => text("externalHost").to_owned(),
            whole if whole == port => external.to_string(),
            _ => value.replace(&inside, &outside),
        };
        (key, value)
    };
    Ok(variables.into_iter().map(translated).collect())
}

/// A line of a .env file, which a shell reads as well.
pub fn line(key: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@%+=,?&".contains(c);
    // A shell would take `&` and `?` for its own.
    if value.chars().all(|c| plain(c) && c != '&' && c != '?') {
        return format!("{key}={value}");
    }
    format!("{key}='{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn outside_the_network_the_published_address_stands_in_each_place() {
        let service =
            json!({"name": "db", "hostname": "db-1", "port": 5432, "externalHost": "127.0.0.1", "externalPort": 20001});
        let inside =
            pairs(&[("URL", "postgresql://u:p@db-1:5432/db-1"), ("HOST", "db-1"), ("PORT", "5432"), ("USER", "u")]);
        let expected = pairs(&[
            ("URL", "postgresql://u:p@127.0.0.1:20001/db-1"),
            ("HOST", "127.0.0.1"),
            ("PORT", "20001"),
            ("USER", "u"),
        ]);
        assert_eq!(outside(&service, inside.clone()).unwrap(), expected);
        let unpublished = json!({"name": "db", "hostname": "db-1", "port": 5432, "externalPort": null});
        assert!(outside(&unpublished, inside).is_err());
    }

    #[test]
    fn a_line_is_quoted_where_a_shell_would_read_it_otherwise() {
        assert_eq!(line("A", "redis://u:p@h:6379"), "A=redis://u:p@h:6379");
        assert_eq!(line("A", "a b"), "A='a b'");
        assert_eq!(line("A", "it's&"), r"A='it'\''s&'");
    }
}
