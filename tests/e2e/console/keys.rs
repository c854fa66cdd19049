use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::World;
use crate::support::docker::docker;

const KEY: &str = "key { key keyBase64 type ttlSeconds memoryBytes } length entries { field value score } truncated";

impl World {
    /// What redis-cli says to one command.
    fn redis(&self, words: &[&str]) -> String {
        self.speak(&[&["redis-cli", "--no-auth-warning", "-u", &self.url], words].concat()).unwrap()
    }

    /// The same with a script of Lua, in which any byte can be written.
    fn eval(&self, script: &str) {
        let said = self.redis(&["eval", script, "0"]);
        assert!(!said.contains("ERR"), "{said}");
    }

    async fn scan(&self, input: Value) -> Value {
        let selection = "keys { key keyBase64 type ttlSeconds memoryBytes } nextCursor total";
        self.ask("scanKeys", selection, input).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every key that a pattern finds, with the number of pages.
    async fn scan_all(&self, pattern: &str, first: u32) -> (BTreeSet<String>, usize) {
        let (mut keys, mut pages, mut cursor) = (BTreeSet::new(), 0, Value::Null);
        loop {
            let page = self.scan(json!({"match": pattern, "first": first, "cursor": cursor})).await;
            pages += 1;
            keys.extend(page["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap().to_owned()));
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                return (keys, pages);
            }
        }
    }

    async fn value(&self, base64: &str) -> Value {
        let selection = format!("value {{ {KEY} }}");
        let input = json!({"keyBase64": base64});
        self.ask("readKey", &selection, input).await.unwrap_or_else(|error| panic!("{error}"))["value"].clone()
    }

    /// By its name, as it is listed.
    async fn value_of(&self, name: &str) -> Value {
        let page = self.scan(json!({"match": name, "first": 500})).await;
        let key = page["keys"].as_array().unwrap().iter().find(|key| key["key"] == name);
        let base64 = key.unwrap_or_else(|| panic!("{name}: {page}"))["keyBase64"].as_str().unwrap().to_owned();
        self.value(&base64).await
    }
}

async fn shows(version: &str) {
    let world = World::new("REDIS", version).await;
    let empty = world.scan(json!({})).await;
    assert_eq!(empty, json!({"keys": [], "nextCursor": null, "total": 0}));
    world.eval(
        r#"redis.call("set", "s", "a\r\n\"b\\\0", "EX", 1000); redis.call("rpush", "l", "x", "", "y")
           redis.call("hset", "h", "f", "1", "", "2"); redis.call("sadd", "n", 7, 9)
           redis.call("zadd", "z", 1.5, "a", "inf", "b", "-2", "c")
           redis.call("xadd", "x", "1-1", "k", "v\"", "k", "\255"); redis.call("xadd", "x", "2-1", "m", "")
           redis.call("set", "\0\255\n\r\n%s $(id)`id`", "\200\0"); redis.call("set", "", "empty")"#,
    );
    let page = world.scan(json!({"first": 500})).await;
    assert_eq!((&page["total"], &page["nextCursor"]), (&json!(8), &Value::Null));
    let names: BTreeSet<&str> =
        page["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect();
    let odd = "\0\\xff\n\r\n%s $(id)`id`";
    assert_eq!(names, BTreeSet::from(["s", "l", "h", "n", "z", "x", "", odd]));
    for key in page["keys"].as_array().unwrap() {
        assert!(key["memoryBytes"].as_i64().unwrap() > 0, "{key}");
        assert_eq!(key["ttlSeconds"].is_null(), key["key"] != "s", "{key}");
    }

    let entry = |field: Value, value: &str, score: Value| json!({"field": field, "value": value, "score": score});
    let null = Value::Null;
    for (name, kind, length, entries) in [
        ("s", "string", 7, vec![entry(null.clone(), "a\r\n\"b\\\0", null.clone())]),
        (
            "l",
            "list",
            3,
            vec![
                entry(json!("0"), "x", null.clone()),
                entry(json!("1"), "", null.clone()),
                entry(json!("2"), "y", null.clone()),
            ],
        ),
        ("h", "hash", 2, vec![entry(json!("f"), "1", null.clone()), entry(json!(""), "2", null.clone())]),
        ("n", "set", 2, vec![entry(null.clone(), "7", null.clone()), entry(null.clone(), "9", null.clone())]),
        (
            "z",
            "zset",
            3,
            vec![
                entry(null.clone(), "c", json!(-2.0)),
                entry(null.clone(), "a", json!(1.5)),
                entry(null.clone(), "b", null.clone()),
            ],
        ),
        (
            "x",
            "stream",
            2,
            vec![
                entry(json!("1-1"), r#"{"k":"v\"","k":"\\xff"}"#, null.clone()),
                entry(json!("2-1"), r#"{"m":""}"#, null.clone()),
            ],
        ),
        (odd, "string", 2, vec![entry(null.clone(), "\\xc8\0", null.clone())]),
        ("", "string", 5, vec![entry(null.clone(), "empty", null.clone())]),
    ] {
        let pattern = if name == odd { "*id*" } else { name };
        let listed = world.scan(json!({"match": pattern})).await;
        let base64 = listed["keys"][0]["keyBase64"].as_str().unwrap().to_owned();
        let value = world.value(&base64).await;
        assert_eq!(value["key"]["type"], kind, "{name:?}");
        let found = (&value["length"], &value["entries"], &value["truncated"]);
        assert_eq!(found, (&json!(length), &json!(entries), &json!(false)), "{name:?}");
    }
    assert_eq!(world.value("bm9uZQ==").await, Value::Null);
    let error = world.ask("readKey", "value { length }", json!({"keyBase64": "?"})).await.unwrap_err();
    assert_eq!(error["extensions"]["field"], "keyBase64");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_redis_7_and_their_values_are_shown() {
    shows("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_redis_6_and_their_values_are_shown() {
    shows("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_and_many_keys_come_in_parts() {
    let world = World::new("REDIS", "7").await;
    let many = r#"local function many(command, key, make) for at = 1, 1000 do local words = {}
          for n = 1, 100 do make(words, at * 100 + n) end redis.call(command, key, unpack(words)) end end "#;
    for (name, length, entries, script) in [
        (
            "list",
            1_000_000,
            200,
            r#"for _ = 1, 10 do many("rpush", "list", function(words, n) words[#words + 1] = n end) end"#,
        ),
        (
            "hash",
            100_000,
            200,
            r#"many("hset", "hash", function(words, n) words[#words + 1] = n; words[#words + 1] = "v" end)"#,
        ),
        ("set", 100_000, 200, r#"many("sadd", "set", function(words, n) words[#words + 1] = n .. "x" end)"#),
        (
            "zset",
            100_000,
            200,
            r#"many("zadd", "zset", function(words, n) words[#words + 1] = n; words[#words + 1] = n end)"#,
        ),
        ("string", 8_000_000, 1, r#"redis.call("set", "string", string.rep("x", 8000000))"#),
    ] {
        world.redis(&["flushall"]);
        world.eval(&[many, script].concat());
        let value = world.value_of(name).await;
        let found = (&value["length"], value["entries"].as_array().unwrap().len(), &value["truncated"]);
        assert_eq!(found, (&json!(length), entries, &json!(true)), "{name}");
    }
    let string = world.value_of("string").await;
    assert_eq!(string["entries"][0]["value"].as_str().unwrap().len(), 1 << 20);
    world.eval(
        r#"for n = 1, 300 do redis.call("rpush", "wide", string.rep("y", 20000)) end
           redis.call("rpush", "huge", string.rep("z", 3000000), "short")"#,
    );
    let wide = world.value_of("wide").await;
    let entries = wide["entries"].as_array().unwrap();
    assert!(wide["truncated"] == true && (40..=53).contains(&entries.len()), "{}", entries.len());
    let huge = world.value_of("huge").await;
    // Its index, "0", counts as well.
    let shown = huge["entries"][0]["value"].as_str().unwrap().len();
    assert_eq!((shown, &huge["truncated"]), ((1 << 20) - 1, &json!(true)));

    world.redis(&["flushall"]);
    world.eval(r#"for n = 1, 30000 do redis.call("set", "key:" .. n, n) end"#);
    let (keys, pages) = world.scan_all("*", 500).await;
    assert!(keys.len() == 30000 && pages >= 50, "{} in {pages}", keys.len());
    // One key among many is found at once, though most pages would be empty.
    let (keys, pages) = world.scan_all("key:1234?", 500).await;
    assert!(keys.len() == 10 && pages <= 13, "{} in {pages}", keys.len());
    let (keys, pages) = world.scan_all("nothing", 500).await;
    assert!(keys.is_empty() && pages <= 3, "{} in {pages}", keys.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_asked_changes_anything() {
    let world = World::new("REDIS", "7").await;
    world.redis(&["set", "kept", "1"]);
    for pattern in [
        "*\r\nFLUSHALL\r\n",
        "*\" COUNT 10\nFLUSHALL\n",
        "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "$(redis-cli flushall)",
        "`id`",
        "%s%n\\x0d\\x0aFLUSHALL\\x0d\\x0a",
        "@",
        "'; flushall; '",
    ] {
        let page = world.scan(json!({"match": pattern})).await;
        assert_eq!((&page["keys"], &page["total"]), (&json!([]), &json!(1)), "{pattern:?}");
        let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pattern);
        assert_eq!(world.value(&key).await, Value::Null, "{pattern:?}");
    }
    for cursor in ["0\r\nFLUSHALL", "-1", "x", "99999999999999999999999"] {
        let error = world.ask("scanKeys", "total", json!({"cursor": cursor})).await.unwrap_err();
        assert_eq!(error["extensions"]["field"], "cursor", "{error}");
    }
    assert_eq!(world.redis(&["get", "kept"]), "1");

    // The user reads, and is in no file: a restart knows nothing of it.
    let user = world.redis(&["acl", "getuser", "project-services-reader"]);
    assert!(user.contains("-@all") && !user.contains("flush") && !user.contains("+set"), "{user}");
    let files = docker(&["exec", &world.id, "sh", "-c", "cat /data/.service/*"]);
    assert!(files.contains("user default") && !files.contains("project-services-reader"));
    world.client().act("restartService", &world.id).await;
    world.client().settled(&world.id, "RUNNING").await;
    assert!(!world.redis(&["acl", "list"]).contains("project-services-reader"));
    assert_eq!(world.scan(json!({})).await["keys"][0]["key"], "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_shown_while_the_password_changes_and_a_full_server_is_said_to_be_full() {
    let world = World::new("REDIS", "7").await;
    world.redis(&["set", "kept", "1"]);
    world.client().act("rotateCredentials", &world.id).await;
    for _ in 0..5 {
        assert_eq!(world.scan(json!({})).await["total"], 1);
    }
    world.client().settled(&world.id, "RUNNING").await;
    let url = world.client().reveal(&world.id).await["REDIS_URL"].clone();
    let world = World { url, ..world };
    assert_eq!(world.scan(json!({})).await["total"], 1);
    // The one who says so is the only one whom it takes.
    world.redis(&["config", "set", "maxclients", "1"]);
    let hold = docker(&["exec", "-d", &world.id, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6379; read -t 1000 <&3"]);
    assert_eq!(hold, "");
    let full =
        crate::support::eventually("a full server", async || world.ask("scanKeys", "total", json!({})).await.err())
            .await;
    assert_eq!(full["extensions"]["code"], "UNAVAILABLE", "{full}");
    assert!(full["message"].as_str().unwrap().contains("all connections"), "{full}");
}
