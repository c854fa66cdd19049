//! Who may import whom, as the code map in lib.rs has it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name of this crate. A module that is not here, or names another one, fails the test.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("causes", &[]),
    ("clock", &[]),
    ("tls", &[]),
    ("domain", &[]),
    ("catalog", &["domain"]),
    ("crypto", &["domain"]),
    ("auth", &["domain", "causes", "tls"]),
    ("audit", &["domain"]),
    ("hints", &["domain"]),
    ("files", &[]),
    ("store", &["domain", "crypto", "clock", "files", "telemetry", "tls"]),
    ("engine", &["domain", "catalog", "telemetry"]),
    ("repository", &["domain", "crypto", "tls"]),
    ("reconciler", &["domain", "catalog", "clock", "crypto", "store", "engine", "repository", "hints", "telemetry"]),
    ("recovery", &["domain", "catalog", "clock", "crypto", "store", "engine", "repository"]),
    ("app", &["domain", "catalog", "clock", "crypto", "store", "engine", "repository", "hints", "audit", "telemetry"]),
    ("api", &["domain", "catalog", "app", "audit", "causes", "clock", "telemetry"]),
    ("http", &["api", "auth", "audit", "telemetry"]),
    ("cli", &["config", "tls"]),
];

/// These put everything together.
const MAY_IMPORT_ALL: &[&str] = &["lib", "main", "server", "config", "telemetry"];

/// A crate, or a part of one, and the only places that may name it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("bollard", &["src/engine/docker.rs", "src/engine/docker/"]),
    ("diesel", &["src/store.rs", "src/store/"]),
    ("diesel_async", &["src/store.rs", "src/store/"]),
    ("tokio_postgres", &["src/store.rs", "src/store/"]),
    ("async_graphql", &["src/api.rs", "src/api/", "src/http.rs", "src/http/"]),
    ("axum", &["src/http.rs", "src/http/", "src/server.rs", "src/telemetry.rs"]),
    ("jsonwebtoken", &["src/auth.rs", "src/auth/", "src/main.rs", "src/config/"]),
    (
        "hyper_util",
        &[
            "src/auth/jwks.rs",
            "src/cli/remote.rs",
            "src/http/serve.rs",
            "src/repository/connect.rs",
            "src/telemetry/traces/",
            "src/tls.rs",
        ],
    ),
    ("object_store", &["src/repository.rs", "src/repository/"]),
    ("rustls_native_certs", &["src/tls.rs"]),
    ("opentelemetry", &["src/telemetry/traces.rs", "src/telemetry/traces/"]),
    ("clap", &["src/config.rs", "src/config/", "src/main.rs"]),
];

/// Reading the environment and the command line is config's.
const ENVIRONMENT: &[&str] = &["std::env::", "env::var", "env::args", "std::env;"];

#[test]
fn modules_import_only_what_they_may() {
    let mut seen = BTreeSet::new();
    for (path, text) in sources() {
        let module = top_module(&path);
        if MAY_IMPORT_ALL.contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            panic!("{path} is in a module that has no rule here")
        };
        seen.insert(module.clone());
        for imported in crate_paths(&text) {
            assert!(
                imported == module || allowed.contains(&imported.as_str()),
                "{path} must not name crate::{imported}"
            );
        }
    }
    assert!(seen.contains("domain") && seen.contains("api") && seen.contains("http"), "only {seen:?} were read");
}

#[test]
fn each_crate_is_named_only_where_it_belongs() {
    for (path, text) in sources() {
        for (name, places) in ONLY_IN {
            if places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place))) {
                continue;
            }
            let named = code_lines(&text).any(|line| names(line, name));
            assert!(!named, "{path} must not name {name}");
        }
    }
}

/// What a kind is stands in its file of the catalog; elsewhere one is only named to pass it on.
#[test]
fn only_the_catalog_tells_kinds_apart() {
    for (path, text) in sources().iter().filter(|(path, _)| !path.starts_with("src/catalog")) {
        for line in code_lines(text) {
            let mut named = line.split("ServiceKind::").skip(1).map(identifier);
            assert!(named.all(|item| item == "ALL"), "{path} must not tell one kind from another: {line}");
        }
    }
}

#[test]
fn only_config_reads_the_environment() {
    for (path, text) in sources() {
        if top_module(&path) == "config" {
            continue;
        }
        for reading in ENVIRONMENT {
            assert!(!code_lines(&text).any(|line| line.contains(reading)), "{path} must not read the environment");
        }
    }
}

#[test]
fn the_readers_of_the_code_see_what_is_there() {
    let nested =
        "use crate::{\n    app::App,\n    domain::{id::ProjectId, name},\n    store::Store,\n};\nuse crate::auth;";
    let expected = ["app", "auth", "domain", "store"].map(str::to_owned);
    assert_eq!(crate_paths(nested), BTreeSet::from(expected));
    assert_eq!(
        crate_paths("// crate::store\nfn f() -> crate::api::Schema { todo }"),
        BTreeSet::from(["api".to_owned()])
    );
    assert!(names("use diesel::prelude::*;", "diesel") && !names("use diesel_async::X;", "diesel"));
}

/// Every source file, by its path from the package's root, with its text up to its unit tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let tested = text.find("#[cfg(test)]").unwrap_or(text.len());
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.push((name, text[..tested].to_owned()));
            }
        }
    }
    assert!(files.len() > 30, "only {} files were read", files.len());
    files
}

fn top_module(path: &str) -> String {
    let inner = path.strip_prefix("src/").unwrap();
    inner.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.find("//").map_or(line, |comment| &line[..comment]))
}

/// The top-level modules that follow `crate::`, also within braces.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let code: String = code_lines(text).collect::<Vec<_>>().join("\n");
    let mut modules = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` in a macro is this crate as well.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            modules.insert(identifier(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                character if start && !character.is_whitespace() => {
                    modules.insert(identifier(&group[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    // Items at the crate's root, such as macros, are no modules.
    modules.retain(|module| !module.is_empty());
    modules
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether a line of code has a path that begins with `name`.
fn names(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
        || line.trim_start().starts_with(&format!("use {name};"))
}
