//! Keys and their values, by a user that can only read.
//!
//! What is asked goes to the server in its own protocol, on connections of bash in the container, so that any byte comes
//! through as it is and nothing has to be quoted. The commands are all ours; of whoever asks there are only words in them.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::access::{Access, digest};
use super::super::inquiry::{Answer, Inquiry, KeyBrowser, MAX_BYTES, MAX_ITEMS, Refusal};
use super::FULL;
use super::resp::{Reply, Script, Word, replies};
use crate::domain::console::{Key, KeyEntry, KeyName, KeyNames, KeyScan, KeyValue, readable};

pub const BROWSER: KeyBrowser = KeyBrowser { scan, read_names, describe, read_keys, value, read_value };

/// A server answers these at once, or hangs.
const LIMIT: Duration = Duration::from_secs(6);
/// How much a script lets through, and a bit more.
const KEPT: usize = (4 << 20) + (64 << 10);

const USER: &[u8] = b"project-services-reader";
/// What the user may do (Redis manual, "ACL"): it reads, a part at a time.
const RULES: [&str; 21] = [
    "~*",
    "resetchannels",
    "-@all",
    "+scan",
    "+dbsize",
    "+type",
    "+pttl",
    "+memory|usage",
    "+strlen",
    "+getrange",
    "+llen",
    "+lrange",
    "+hlen",
    "+hscan",
    "+scard",
    "+sscan",
    "+zcard",
    "+zrange",
    "+xlen",
    "+xrange",
    "on",
];

/// Has the administrator make the user, as the first line of standard input says, and then goes on as that user on a
/// connection of its own, with the second line. What the server says to the latter is the output.
const LOGIN: &str = r#"set -eu
trap '' PIPE
connect() { exec 3<>/dev/tcp/127.0.0.1/6379; }
send() { printf "$1" >&3 || :; }
hear() { IFS= read -r "$1" <&3; printf '%s\n' "${!1}"; }
rest() { send "$quit"; head -c 4194304 <&3; }
bulk() { printf -v bulk '$%d\r\n%s\r\n' ${#1} "$1"; }
IFS= read -r administer
IFS= read -r login
IFS= read -r quit
connect
send "$administer$quit"
cat <&3 >&2 || :
exec 3>&-
connect
send "$login"
hear reply
case $reply in +*) ;; *) exit 1 ;; esac
"#;

/// Scans until there are keys, for a while: of a pattern that few keys have there is none in most places.
const SCAN: &str = r#"IFS= read -r size
IFS= read -r scan
IFS= read -r cursor
send "$size"
hear total
tries=0
while :; do
  bulk "$cursor"
  send "${scan//@/"$bulk"}"
  IFS= read -r reply <&3
  case $reply in -*) printf '%s\n' "$reply"; exit 1 ;; esac
  IFS= read -r length <&3
  IFS= read -r next <&3
  IFS= read -r count <&3
  tries=$((tries + 1))
  [ "$count" = $'*0\r' ] && [ "$next" != $'0\r' ] && [ $tries -lt 1000 ] && [ $SECONDS -lt 2 ] || break
  cursor=${next%?}
done
printf '%s\n' "$reply" "$length" "$next" "$count"
rest"#;

const ASK: &str = r#"IFS= read -r ask
send "$ask"
rest"#;

/// Reads a value as its type has it. Of one that is large so many items are asked for as are a mebibyte on average: what the
/// server sends, it has in its memory once more.
const VALUE: &str = r#"IFS= read -r look
send "$look"
hear kind
hear ttl
hear memory
memory=${memory//[!0-9]/}
while read -r name length part; do
  [ "$name" != . ] || exit 0
  [ "+$name"$'\r' != "$kind" ] || break
done
send "$length"
hear count
case $count in :*) ;; *) exit 0 ;; esac
count=${count//[!0-9]/}
items=200
if [ "$memory" -gt 4194304 ] && [ "$count" -gt 0 ]; then
  items=$((1048576 * count / memory))
  [ $items -ge 1 ] || items=1
  [ $items -le 200 ] || items=200
fi
bulk $items
send "${part//@/"$bulk"}"
rest"#;

/// `lines` is what the script reads after the log-in.
fn inquiry(access: &Access, script: &str, lines: &[&str]) -> Inquiry {
    let password = access.password_for("reading keys");
    let digest = Zeroizing::new(["#", &digest(password.expose_secret())].concat());
    let mut administer = Script::new();
    // While the password is being changed the server takes either, or both.
    for password in access.passwords() {
        administer = administer.command(&[b"AUTH", password.as_bytes()]);
    }
    let mut set_user = vec![&b"ACL"[..], b"SETUSER", USER, b"reset", digest.as_bytes()];
    set_user.extend(RULES.iter().map(|rule| rule.as_bytes()));
    let administer = administer.command(&set_user);
    let login = Script::new().command(&[b"AUTH", USER, password.expose_secret().as_bytes()]);
    let quit = Script::new().command(&[b"QUIT"]);
    let lines = [&[administer.text(), login.text(), quit.text()], lines].concat();
    let input = Zeroizing::new([lines.join("\n"), "\n".to_owned()].concat());
    let command = ["bash", "-c", &[LOGIN, script].concat()].map(str::to_owned).to_vec();
    Inquiry { command, user: "redis", input: SecretString::from(input.as_str()), limit: LIMIT, kept: KEPT }
}

fn scan(access: &Access, scan: &KeyScan) -> Inquiry {
    let (pattern, count) = (scan.pattern.as_bytes(), scan.count.to_string());
    let words = [Some(&b"SCAN"[..]), None, Some(b"MATCH"), Some(pattern), Some(b"COUNT"), Some(count.as_bytes())];
    let size = Script::new().command(&[b"DBSIZE"]);
    let cursor = scan.cursor.to_string();
    inquiry(access, SCAN, &[size.text(), Script::new().command_with_gap(&words).text(), &cursor])
}

fn read_names(answer: &Answer) -> Result<KeyNames, Refusal> {
    let (mut said, is_whole) = said(answer)?;
    let total = said.next().and_then(|reply| reply.integer()).ok_or_else(unreadable)?;
    let mut page = said.next().and_then(Reply::array).ok_or_else(unreadable)?.into_iter();
    let next = page.next().and_then(Reply::bytes).and_then(|cursor| str::from_utf8(&cursor).ok()?.parse().ok());
    let names = page.next().and_then(Reply::array);
    let (Some(next), Some(names)) = (next, names) else { return Err(unreadable()) };
    if !is_whole {
        return Err(Refusal::Question("The names of so many of these keys are too long; ask for fewer.".to_owned()));
    }
    Ok(KeyNames {
        names: names.into_iter().filter_map(Reply::bytes).collect(),
        next: Some(next).filter(|next| *next != 0),
        total: total.try_into().unwrap_or_default(),
    })
}

/// What tells type, time to live and memory of a key.
fn look(script: Script, name: &[u8]) -> Script {
    script.command(&[b"TYPE", name]).command(&[b"PTTL", name]).command(&[b"MEMORY", b"USAGE", name])
}

fn describe(access: &Access, names: &[KeyName]) -> Inquiry {
    let script = names.iter().fold(Script::new(), |script, name| look(script, name));
    inquiry(access, ASK, &[script.text()])
}

fn read_keys(answer: &Answer, names: Vec<KeyName>) -> Result<Vec<Key>, Refusal> {
    let (mut said, _) = said(answer)?;
    let mut keys = Vec::with_capacity(names.len());
    for name in names {
        keys.extend(key(&mut said, name)?);
    }
    Ok(keys)
}

/// None of one that is gone.
fn key(said: &mut impl Iterator<Item = Reply>, name: Vec<u8>) -> Result<Option<Key>, Refusal> {
    let (kind, ttl, memory) = (said.next(), said.next(), said.next());
    let (Some(Reply::Status(kind)), Some(Reply::Integer(ttl)), Some(memory)) = (kind, ttl, memory) else {
        return Err(unreadable());
    };
    let memory_bytes = memory.integer().and_then(|bytes| bytes.try_into().ok());
    Ok((kind != "none").then(|| Key { name, kind, ttl_millis: ttl.try_into().ok(), memory_bytes }))
}

fn value(access: &Access, name: &[u8]) -> Inquiry {
    let last = (MAX_BYTES - 1).to_string();
    let (name, zero, last) = (Some(name), Some(&b"0"[..]), Some(last.as_bytes()));
    // LRANGE and ZRANGE give one more than asked for, HSCAN and SSCAN all that a small value has.
    let parts: [(&str, &[u8], &[Word<'_>]); 6] = [
        ("string", b"STRLEN", &[Some(b"GETRANGE"), name, zero, last]),
        ("list", b"LLEN", &[Some(b"LRANGE"), name, zero, None]),
        ("hash", b"HLEN", &[Some(b"HSCAN"), name, zero, Some(b"COUNT"), None]),
        ("set", b"SCARD", &[Some(b"SSCAN"), name, zero, Some(b"COUNT"), None]),
        ("zset", b"ZCARD", &[Some(b"ZRANGE"), name, zero, None, Some(b"WITHSCORES")]),
        ("stream", b"XLEN", &[Some(b"XRANGE"), name, Some(b"-"), Some(b"+"), Some(b"COUNT"), None]),
    ];
    let name = name.unwrap_or_default();
    let look = look(Script::new(), name);
    let parts = parts.map(|(kind, length, part)| {
        let (length, part) = (Script::new().command(&[length, name]), Script::new().command_with_gap(part));
        [kind, length.text(), part.text()].join(" ")
    });
    let lines: Vec<&str> = [look.text()].into_iter().chain(parts.iter().map(String::as_str)).chain(["."]).collect();
    inquiry(access, VALUE, &lines)
}

fn read_value(answer: &Answer, name: &[u8]) -> Result<Option<KeyValue>, Refusal> {
    let (mut said, is_whole) = said(answer)?;
    let Some(key) = key(&mut said, name.to_vec())? else { return Ok(None) };
    let length = said.next().and_then(|length| length.integer()).and_then(|length| u64::try_from(length).ok());
    // Of a type that is none of Redis' own there is nothing more.
    let Some(length) = length else {
        return Ok(Some(KeyValue { key, length: 0, entries: Vec::new(), is_truncated: false }));
    };
    let found = said.next().map(|found| items(&key.kind, found)).unwrap_or_default();
    let counted = match found.as_slice() {
        [(_, string, _)] if key.kind == "string" => string.len(),
        items => items.len().min(MAX_ITEMS),
    };
    let (mut entries, mut left) = (Vec::new(), MAX_BYTES);
    let mut is_truncated = !is_whole || u64::try_from(counted).unwrap_or(u64::MAX) < length;
    for (field, value, score) in found.into_iter().take(MAX_ITEMS) {
        let field = field.map(|field| readable(&field[..field.len().min(left)]));
        left -= field.as_ref().map_or(0, |field| field.len().min(left));
        is_truncated |= value.len() > left;
        let value = &value[..value.len().min(left)];
        left -= value.len();
        entries.push(KeyEntry { field, value: readable(value), score });
        if left == 0 {
            is_truncated |= entries.len() < counted && key.kind != "string";
            break;
        }
    }
    Ok(Some(KeyValue { key, length, entries, is_truncated }))
}

type Item = (Option<Vec<u8>>, Vec<u8>, Option<f64>);

/// The items of a value as `kind` has them; as many as can be read.
fn items(kind: &str, found: Reply) -> Vec<Item> {
    let value = |value| (None, value, None);
    if kind == "string" {
        return found.bytes().map(value).into_iter().collect();
    }
    let mut found = found.array().unwrap_or_default();
    if matches!(kind, "hash" | "set") {
        // A cursor comes before them.
        found = found.into_iter().nth(1).and_then(Reply::array).unwrap_or_default();
    }
    match kind {
        "stream" => found.into_iter().filter_map(stream_entry).collect(),
        "hash" => pairs(found).map(|(field, value)| (Some(field), value, None)).collect(),
        "zset" => {
            let score = |score: Vec<u8>| str::from_utf8(&score).ok()?.parse().ok();
            pairs(found).map(|(member, number)| (None, member, score(number))).collect()
        }
        "list" => {
            let numbered = found.into_iter().filter_map(Reply::bytes).enumerate();
            numbered.map(|(index, value)| (Some(index.to_string().into_bytes()), value, None)).collect()
        }
        _ => found.into_iter().filter_map(Reply::bytes).map(value).collect(),
    }
}

fn pairs(found: Vec<Reply>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut words = found.into_iter().filter_map(Reply::bytes);
    std::iter::from_fn(move || words.next().zip(words.next()))
}

/// The fields as JSON in the order that they have, in which one may come twice.
fn stream_entry(entry: Reply) -> Option<Item> {
    let mut entry = entry.array()?.into_iter();
    let (id, fields) = (entry.next()?.bytes()?, entry.next()?.array()?);
    let text = |bytes: Vec<u8>| serde_json::Value::from(readable(&bytes)).to_string();
    let fields: Vec<_> = pairs(fields).map(|(field, value)| [text(field), text(value)].join(":")).collect();
    Some((Some(id), format!("{{{}}}", fields.join(",")).into_bytes(), None))
}

fn unreadable() -> Refusal {
    Refusal::Server("its answer can't be understood".to_owned())
}

/// What the server said after the log-in, and whether all of it is there.
fn said(answer: &Answer) -> Result<(impl Iterator<Item = Reply> + use<>, bool), Refusal> {
    let (said, is_whole) = replies(&answer.stdout);
    let refusal = said.iter().find_map(|reply| match reply {
        Reply::Error(text) => Some(text.as_str()),
        _ => None,
    });
    let complaint = String::from_utf8_lossy(&answer.stderr);
    if complaint.contains(FULL) || refusal.is_some_and(|text| text.contains(FULL)) {
        return Err(Refusal::Server("its clients have taken all connections".to_owned()));
    }
    if let Some(refusal) = refusal {
        // The administrator's own is the reason why the user is not let in.
        let first = complaint.lines().rev().find_map(|line| line.trim_end().strip_prefix('-'));
        return Err(Refusal::Server(format!("it says \"{}\"", first.unwrap_or(refusal))));
    }
    match answer.exit_code {
        Some(0) => {}
        // timeout(1) ended it: 124, or 128 and the number of the signal.
        Some(124..) => return Err(Refusal::Server("it did not answer in time".to_owned())),
        _ => return Err(Refusal::Server("it does not take a connection".to_owned())),
    }
    let mut said = said.into_iter();
    // To the log-in.
    said.next();
    Ok((said, is_whole))
}

#[cfg(test)]
mod tests {
    use super::super::super::access::Seed;
    use super::*;

    fn answer(stdout: &[u8]) -> Answer {
        Answer { exit_code: Some(0), stdout: [b"+OK\r\n", stdout].concat(), stderr: Vec::new() }
    }

    fn access() -> Access {
        Access::with_password(&Seed([9; 40])).with_next(&Seed([8; 40]))
    }

    #[test]
    fn of_what_is_asked_nothing_stands_in_the_command_and_no_byte_of_it_means_anything() {
        let access = access();
        let odd = "x\r\nFLUSHALL\n$(id)`id`\"'\\%s@.\0";
        let page = KeyScan { pattern: odd.to_owned(), cursor: 7, count: 100 };
        for (inquiry, lines) in [
            (scan(&access, &page), 6),
            (describe(&access, &[odd.into(), vec![0xff, b'\n']]), 4),
            (value(&access, odd.as_bytes()), 11),
        ] {
            let input = inquiry.input.expose_secret();
            assert_eq!(input.lines().count(), lines, "{input}");
            for text in ["FLUSHALL\n", "$", "`", "%", "\"", "\r", "\0"] {
                assert!(!input.contains(text), "{text:?}: {input}");
            }
            let command = inquiry.command.concat();
            assert!(!command.contains("FLUSHALL"));
            for password in access.passwords().chain([access.password_for("reading keys").expose_secret()]) {
                assert!(input.contains(password) && !command.contains(password));
            }
        }
    }

    #[test]
    fn a_user_s_password_outlives_a_rotation_and_is_none_of_the_others() {
        let before = Access::with_password(&Seed([9; 40]));
        let after = before.clone().with_next(&Seed([8; 40])).promoted().unwrap();
        let password = |access: &Access| access.password_for("reading keys").expose_secret().to_owned();
        assert_eq!(password(&before), password(&after));
        assert_ne!(password(&before), before.probe.expose_secret());
        assert_ne!(password(&before), password(&Access::with_password(&Seed([8; 40]))));
    }

    #[test]
    fn a_page_says_where_it_goes_on() {
        let page = answer(b":9\r\n*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$0\r\n\r\n$2\r\n\xff\n\r\n+OK\r\n");
        let expected = KeyNames { names: vec![vec![], vec![0xff, b'\n']], next: Some(u64::MAX), total: 9 };
        assert_eq!(read_names(&page), Ok(expected));
        let last = answer(b":0\r\n*2\r\n$1\r\n0\r\n*0\r\n+OK\r\n");
        assert_eq!(read_names(&last), Ok(KeyNames { names: vec![], next: None, total: 0 }));
        let cut = answer(b":9\r\n*2\r\n$1\r\n7\r\n*2\r\n$1\r\na\r\n$9\r\nb");
        assert!(matches!(read_names(&cut), Err(Refusal::Question(_))), "keys must not be left out");
        assert!(matches!(read_names(&answer(b":9\r\n")), Err(Refusal::Server(_))));
    }

    #[test]
    fn keys_that_are_gone_are_left_out() {
        let said = answer(b"+none\r\n:-2\r\n$-1\r\n+list\r\n:1500\r\n:72\r\n+set\r\n:-1\r\n$-1\r\n+OK\r\n");
        let keys = read_keys(&said, vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]).unwrap();
        let found: Vec<_> =
            keys.iter().map(|key| (&key.name[..], &key.kind[..], key.ttl_millis, key.memory_bytes)).collect();
        assert_eq!(found, [(&b"b"[..], "list", Some(1500), Some(72)), (b"c", "set", None, None)]);
    }

    #[test]
    fn values_are_read_by_their_type_and_as_far_as_they_came() {
        let read = |said: &[u8]| read_value(&answer(said), b"k").unwrap().unwrap();
        let found = |value: &KeyValue| -> Vec<_> {
            value.entries.iter().map(|entry| (entry.field.clone(), entry.value.clone())).collect()
        };
        let entry = |field: Option<&str>, value: &str| (field.map(str::to_owned), value.to_owned());

        let hash = read(b"+hash\r\n:-1\r\n:80\r\n:1\r\n*2\r\n$1\r\n0\r\n*2\r\n$1\r\nf\r\n$2\r\n\xffv\r\n+OK\r\n");
        assert_eq!((found(&hash), hash.is_truncated), (vec![entry(Some("f"), "\\xffv")], false));
        let stream = b"+stream\r\n:-1\r\n:80\r\n:1\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*4\r\n$1\r\n\"\r\n$1\r\n\n\r\n$1\r\n\"\r\n$0\r\n\r\n+OK\r\n";
        assert_eq!(found(&read(stream)), [entry(Some("1-1"), r#"{"\"":"\n","\"":""}"#)]);
        let cut = read(b"+list\r\n:-1\r\n:80\r\n:2\r\n*2\r\n$1\r\na\r\n$5\r\nbc");
        assert_eq!((found(&cut), cut.is_truncated), (vec![entry(Some("0"), "a"), entry(Some("1"), "bc")], true));
        let string = read(b"+string\r\n:-1\r\n:80\r\n:9\r\n$2\r\nab\r\n+OK\r\n");
        assert_eq!((found(&string), string.is_truncated), (vec![entry(None, "ab")], true));
        let module = read(b"+ReJSON-RL\r\n:-1\r\n:80\r\n");
        assert_eq!((&module.key.kind[..], module.length, module.entries), ("ReJSON-RL", 0, vec![]));
    }

    #[test]
    fn why_a_server_does_not_answer_is_told() {
        let said = |exit_code, stdout: &str, stderr: &str| {
            let answer = Answer { exit_code, stdout: stdout.into(), stderr: stderr.into() };
            read_names(&answer).unwrap_err()
        };
        let full = "-ERR max number of clients reached\r\n";
        for (refusal, why) in [
            (said(Some(1), "", full), "its clients have taken all connections"),
            (said(Some(1), full, ""), "its clients have taken all connections"),
            (said(Some(143), "", ""), "it did not answer in time"),
            (said(Some(1), "", "bash: connect: Connection refused\n"), "it does not take a connection"),
            (said(None, "", ""), "it does not take a connection"),
            (
                said(Some(1), "-WRONGPASS invalid\r\n", "-LOADING Redis is loading\r\n+OK\r\n"),
                "it says \"LOADING Redis is loading\"",
            ),
            (said(Some(1), "+OK\r\n:1\r\n-BUSY a script runs\r\n", "+OK\r\n"), "it says \"BUSY a script runs\""),
        ] {
            assert_eq!(refusal, Refusal::Server(why.to_owned()));
        }
    }
}
