//! The protocol that Redis speaks, as far as it is needed (Redis manual, "RESP protocol spec", version 2).

use zeroize::Zeroizing;

/// What Redis says to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    /// None is "nothing".
    Bulk(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

impl Reply {
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bulk(bytes) => bytes,
            _ => None,
        }
    }

    pub fn array(self) -> Option<Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// Replies, and whether all of the last one is there. Of one that is cut off there is what can be read.
pub fn replies(mut rest: &[u8]) -> (Vec<Reply>, bool) {
    let mut replies = Vec::new();
    while !rest.is_empty() {
        let (reply, is_whole) = reply(&mut rest, 0);
        replies.extend(reply);
        if !is_whole {
            return (replies, false);
        }
    }
    (replies, true)
}

/// Arrays within arrays that are read; Redis has three of them at most in what is asked for here.
const DEPTH: usize = 8;

fn reply(rest: &mut &[u8], depth: usize) -> (Option<Reply>, bool) {
    let Some((kind, line)) = line(rest).and_then(|line| Some((*line.first()?, &line[1..]))) else {
        return (None, false);
    };
    let text = || String::from_utf8_lossy(line).into_owned();
    let number = || str::from_utf8(line).ok()?.parse::<i64>().ok();
    match (kind, number()) {
        (b'+', _) => (Some(Reply::Status(text())), true),
        (b'-', _) => (Some(Reply::Error(text())), true),
        (b':', Some(number)) => (Some(Reply::Integer(number)), true),
        (b'$' | b'*', Some(-1)) => (Some(Reply::Bulk(None)), true),
        (b'$', Some(length)) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let bytes = rest[..rest.len().min(length)].to_vec();
            let is_whole = rest.len() >= length.saturating_add(2);
            *rest = if is_whole { &rest[length + 2..] } else { &[] };
            (Some(Reply::Bulk(Some(bytes))), is_whole)
        }
        (b'*', Some(length)) if depth < DEPTH => {
            let mut items = Vec::new();
            for _ in 0..length {
                let (item, is_whole) = reply(rest, depth + 1);
                items.extend(item);
                if !is_whole {
                    return (Some(Reply::Array(items)), false);
                }
            }
            (Some(Reply::Array(items)), true)
        }
        _ => (None, false),
    }
}

/// The next line, without its end.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

/// Commands as a format of the shell's printf: all bytes but letters and digits in hexadecimal digits, so that it is one
/// line, and nothing in it means anything to the shell or to printf.
pub struct Script(Zeroizing<String>);

/// A word of a command, or None for a gap.
pub type Word<'a> = Option<&'a [u8]>;

impl Script {
    /// Makes room at once, for text that grows leaves copies behind.
    pub fn new() -> Self {
        Self(Zeroizing::new(String::with_capacity(4096)))
    }

    pub fn command(self, words: &[&[u8]]) -> Self {
        let words: Vec<_> = words.iter().copied().map(Some).collect();
        self.command_with_gap(&words)
    }

    /// The same with `@` for the gap: whoever sends it puts a word there, with its length before it.
    pub fn command_with_gap(mut self, words: &[Word<'_>]) -> Self {
        self.escape(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            match word {
                Some(word) => self.word(word),
                None => self.0.push('@'),
            }
        }
        self
    }

    fn word(&mut self, word: &[u8]) {
        self.escape(format!("${}\r\n", word.len()).as_bytes());
        self.escape(word);
        self.escape(b"\r\n");
    }

    fn escape(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            if byte.is_ascii_alphanumeric() {
                self.0.push(char::from(*byte));
            } else {
                self.0.push_str("\\x");
                self.0.push(char::from(DIGITS[usize::from(byte >> 4)]));
                self.0.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(Some(text.into()))
    }

    #[test]
    fn replies_are_read_byte_by_byte() {
        let said = b"+OK\r\n-WRONGTYPE no\r\n:-2\r\n$-1\r\n$0\r\n\r\n$5\r\na\r\nb\0\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\n\xff\r\n*0\r\n";
        let array = Reply::Array(vec![bulk("0"), Reply::Array(vec![Reply::Bulk(Some(vec![0xff]))])]);
        let expected = [
            Reply::Status("OK".to_owned()),
            Reply::Error("WRONGTYPE no".to_owned()),
            Reply::Integer(-2),
            Reply::Bulk(None),
            bulk(""),
            bulk("a\r\nb\0"),
            array,
            Reply::Array(vec![]),
        ];
        assert_eq!(replies(said), (expected.to_vec(), true));
    }

    #[test]
    fn of_a_reply_that_is_cut_off_there_is_what_can_be_read() {
        let said = b"*3\r\n$2\r\nab\r\n$2\r\ncd\r\n$2\r\nef\r\n";
        for cut in 0..said.len() {
            let (found, is_whole) = replies(&said[..cut]);
            assert_eq!(is_whole, cut == 0, "{cut}");
            let items = found.into_iter().next().and_then(Reply::array).unwrap_or_default();
            assert!(items.len() <= 3);
        }
        assert_eq!(replies(&said[..18]), (vec![Reply::Array(vec![bulk("ab"), bulk("cd")])], false));
        for odd in [
            "$x\r\n",
            "what\r\n",
            "$99999999999999999999\r\n",
            "*9223372036854775807\r\n",
            "\r\n",
            &"*1\r\n".repeat(99),
        ] {
            assert!(!replies(odd.as_bytes()).1, "{odd}");
        }
    }

    #[test]
    fn printf_writes_the_bytes_that_were_put_in() {
        let every: Vec<u8> = (0..=255).collect();
        let words: [&[u8]; 4] = [b"GET", &every, b"%s%d\\n@", b"'\"$(id)`id`"];
        let script = Script::new().command(&words);
        assert!(script.text().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'\\'));
        let output = Command::new("bash").args(["-c", "printf \"$1\"", "x", script.text()]).output().unwrap().stdout;
        let asked = words.map(|word| Reply::Bulk(Some(word.to_vec())));
        assert_eq!(replies(&output), (vec![Reply::Array(asked.to_vec())], true));
    }
}
