//! Which engines there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr as _;

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, docker_host};
use crate::domain::node::{Capacity, NodeName};
use crate::domain::placement::PlacementRules;

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Several engines, joined to one Docker Swarm, each with a name that stays its own: `a=unix:///…`, `b=https://…`, separated by
    /// commas. One called `local` is that which DOCKER_HOST names when this is left out.
    #[arg(long, env = "NODES", value_delimiter = ',', value_parser = entry)]
    pub nodes: Vec<NodeSpec>,
    /// The same as a JSON file, which can say more of each: a list of objects with `name`, `endpoint`, and if need be `labels`,
    /// `capacity` (`memoryMib`, `cpuMillis`, `storageMib`) and `tls` (the files `ca`, `certificate`, `key`).
    #[arg(long, env = "NODES_FILE", conflicts_with = "nodes")]
    pub nodes_file: Option<PathBuf>,
    /// Whether what goes from one node to another is encrypted by the swarm's networks, for which the hosts need ESP.
    #[arg(long, env = "ENCRYPT_NETWORKS", default_value_t = false, action = clap::ArgAction::Set)]
    pub encrypt_networks: bool,
    /// Where new services go: `together` has a project's on one node where there is room, `spread` on different ones; `KIND:LABEL=VALUE`,
    /// or `*:LABEL=VALUE`, on nodes with that label only. Separated by commas.
    #[arg(long, env = "PLACEMENT", default_value = "together", value_parser = PlacementRules::from_str)]
    pub placement: PlacementRules,
}

/// What an operator says of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    #[serde(deserialize_with = "name")]
    pub name: NodeName,
    /// As in DOCKER_HOST.
    pub endpoint: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub capacity: Capacity,
    /// How an engine behind https is known, and the server to it.
    pub tls: Option<TlsFiles>,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl NodeSpec {
    fn plain(name: NodeName, endpoint: String) -> Self {
        Self { name, endpoint, labels: BTreeMap::new(), capacity: Capacity::default(), tls: None }
    }
}

impl NodeArgs {
    /// The nodes, in the order in which they are named; the one behind `docker_host` where none is named.
    pub fn specs(&self, docker_host: &str) -> Result<Vec<NodeSpec>, ConfigError> {
        let (setting, specs) = match &self.nodes_file {
            Some(path) => ("NODES_FILE", read(path)?),
            None if self.nodes.is_empty() => {
                return Ok(vec![NodeSpec::plain(NodeName::default(), docker_host.to_owned())]);
            }
            None => ("NODES", self.nodes.clone()),
        };
        if specs.is_empty() {
            return Err(ConfigError(format!("{setting} names no node.")));
        }
        for (at, spec) in specs.iter().enumerate() {
            if let Some(twin) = specs[..at].iter().find(|twin| twin.name == spec.name || twin.endpoint == spec.endpoint)
            {
                let what = if twin.name == spec.name { spec.name.as_str() } else { spec.endpoint.as_str() };
                return Err(ConfigError(format!("{setting} has {what} twice.")));
            }
        }
        Ok(specs)
    }
}

fn entry(text: &str) -> Result<NodeSpec, String> {
    let form = || "entries are NAME=ADDRESS, such as a=https://10.0.0.2:2376".to_owned();
    let (name, endpoint) = text.split_once('=').ok_or_else(form)?;
    let name = name.parse().map_err(|error| format!("{name} can't be used: {error}"))?;
    Ok(NodeSpec::plain(name, docker_host(endpoint)?))
}

fn read(path: &PathBuf) -> Result<Vec<NodeSpec>, ConfigError> {
    let wrong = |why: String| ConfigError(format!("NODES_FILE {} can't be used: {why}.", path.display()));
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut specs: Vec<NodeSpec> = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    for spec in &mut specs {
        spec.endpoint = docker_host(&spec.endpoint).map_err(|why| wrong(format!("{}: {why}", spec.name)))?;
        if spec.tls.is_some() && !spec.endpoint.starts_with("https://") {
            return Err(wrong(format!("{} has tls, but its endpoint is not https://", spec.name)));
        }
    }
    Ok(specs)
}

fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NodeName, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format!("{text}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(nodes: &str) -> Result<NodeArgs, String> {
        let nodes = nodes.split(',').filter(|entry| !entry.is_empty()).map(entry).collect::<Result<_, _>>()?;
        Ok(NodeArgs { nodes, nodes_file: None, encrypt_networks: false, placement: PlacementRules::default() })
    }

    fn in_file(text: &str) -> Result<Vec<NodeSpec>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let args = NodeArgs { nodes: Vec::new(), nodes_file: Some(file.path().to_owned()), ..args("").unwrap() };
        args.specs("unix:///docker.sock").map_err(|error| error.to_string())
    }

    #[test]
    fn without_any_there_is_the_one_engine() {
        let specs = args("").unwrap().specs("unix:///docker.sock").unwrap();
        assert_eq!(specs, [NodeSpec::plain(NodeName::default(), "unix:///docker.sock".to_owned())]);
    }

    #[test]
    fn nodes_are_named_each_once() {
        let specs = args("a=unix:///a.sock,b=https://b:2376").unwrap().specs("").unwrap();
        assert_eq!(specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for (twice, what) in [("a=unix:///a,a=unix:///b", "a"), ("a=unix:///a,b=unix:///a", "unix:///a")] {
            let error = args(twice).unwrap().specs("").unwrap_err().to_string();
            assert_eq!(error, format!("NODES has {what} twice."));
        }
        for bad in ["a", "A=unix:///a", "a=ssh://b", "=unix:///a"] {
            assert!(args(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_says_more_of_them() {
        let specs = in_file(
            r#"[{"name": "a", "endpoint": "https://a:2376", "labels": {"disk": "ssd"}, "capacity": {"memoryMib": 1024},
                "tls": {"ca": "/ca.pem", "certificate": "/cert.pem", "key": "/key.pem"}}]"#,
        );
        let spec = &specs.unwrap()[0];
        assert_eq!((spec.labels["disk"].as_str(), spec.capacity.memory_mib), ("ssd", Some(1024)));
        assert_eq!(spec.tls.as_ref().unwrap().key, PathBuf::from("/key.pem"));
        for (bad, why) in [
            ("[]", "names no node"),
            (r#"[{"name": "A", "endpoint": "unix:///a"}]"#, "A: a node's name is"),
            (r#"[{"name": "a", "endpoint": "unix:///a", "lables": {}}]"#, "unknown field `lables`"),
            (r#"[{"name": "a", "endpoint": "ssh://a"}]"#, "a: an engine is not reached over ssh"),
            (
                r#"[{"name": "a", "endpoint": "unix:///a", "tls": {"ca": "/a", "certificate": "/b", "key": "/c"}}]"#,
                "not https",
            ),
        ] {
            let error = in_file(bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
