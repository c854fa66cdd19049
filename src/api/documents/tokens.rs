//! How long and how nested a document is, before it is parsed. The parser's time and memory grow with its tokens, and
//! with its brackets the stack of everything that walks through it, so neither may be found out by parsing.

/// How deep brackets of any kind may be nested: what the parser takes for selections, here for values and types as well.
const MAX_NESTING: usize = 64;

/// Why a document is not parsed.
#[derive(Debug, PartialEq, Eq)]
pub enum Excess {
    Tokens,
    /// With how deep it may be.
    Nesting(usize),
}

/// Counts the lexical tokens (GraphQL specification, section 2.1.6) up to `most`. What is no token counts as one for each
/// byte.
pub fn check(document: &str, most: usize) -> Result<(), Excess> {
    let (mut rest, mut tokens, mut nesting) = (document.as_bytes(), 0, 0_usize);
    while let Some(first) = rest.first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                rest = &rest[run(rest, |byte| !matches!(byte, b'\r' | b'\n'))..];
                continue;
            }
            b'"' => string(rest),
            b'.' if rest.starts_with(b"...") => 3,
            b'-' | b'0'..=b'9' => {
                run(rest, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-'))
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                1
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                1
            }
            _ => 1,
        };
        tokens += 1;
        if tokens > most {
            return Err(Excess::Tokens);
        }
        if nesting > MAX_NESTING {
            return Err(Excess::Nesting(MAX_NESTING));
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// How many bytes at the beginning are `wanted`.
fn run(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len())
}

/// The length of the string at the beginning, or of all where it does not end.
fn string(bytes: &[u8]) -> usize {
    const BLOCK: &[u8] = b"\"\"\"";
    let is_block = bytes.starts_with(BLOCK);
    let (escape, end): (&[u8], &[u8]) = if is_block { (b"\\\"\"\"", BLOCK) } else { (b"\\", b"\"") };
    let mut at = end.len();
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(end) {
            return at + end.len();
        }
        at += match rest.starts_with(escape) {
            // What is escaped is the end in a block, and any one character elsewhere.
            true if is_block => escape.len(),
            true => 2,
            false if !is_block && matches!(rest[0], b'\r' | b'\n') => return at,
            false => 1,
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fewest tokens under which a document passes.
    fn tokens(document: &str) -> usize {
        (0..).find(|most| check(document, *most).is_ok()).unwrap()
    }

    #[test]
    fn tokens_are_counted_as_the_specification_has_them() {
        for (document, expected) in [
            ("", 0),
            (" ,\t\r\n\u{feff}", 3),
            ("# { a b c }\n{a}", 3),
            ("{ a(b: -1.5e+3) ...c @d }", 12),
            (r#"{ a(b: "c \" d", e: "") }"#, 11),
            (r#"{ a(b: """c " "" \""" d""") }"#, 8),
            ("\"open", 1),
            ("\"\"\"open\" \"\"", 1),
            ("\"open\n{a}", 4),
            ("\"\\", 1),
            ("\"\\\u{fc}\"", 1),
            ("..", 2),
        ] {
            assert_eq!(tokens(document), expected, "{document}");
        }
    }

    #[test]
    fn brackets_of_any_kind_nest_to_a_bound_and_those_in_strings_are_none() {
        for (open, close) in [("{", "}"), ("[", "]"), ("(", ")")] {
            let nested = |depth: usize| open.repeat(depth) + &close.repeat(depth);
            assert_eq!(check(&nested(MAX_NESTING), 1000), Ok(()));
            assert_eq!(check(&nested(MAX_NESTING + 1), 1000), Err(Excess::Nesting(MAX_NESTING)));
            assert_eq!(check(&nested(100_000), usize::MAX), Err(Excess::Nesting(MAX_NESTING)));
        }
        assert_eq!(check("{}[]()".repeat(100).as_str(), 1000), Ok(()));
        assert_eq!(check(&format!("\"{}\"", "[".repeat(1000)), 1000), Ok(()));
    }
}
