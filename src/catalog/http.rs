//! Logs in to servers that speak HTTP, by what images have where they have no client.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::deployment::{Change, TOLD, shell};

/// For a script that has read a request: sends it to the port $1, and says the first line of the answer.
pub(super) const ASK: &str = r#"
ask() { printf '%s\n\r\n' "$request" | timeout -k 1 5 nc 127.0.0.1 "$1" | head -n 1; }
"#;

const LOGIN: &str = r#"
request=$(lines)
case $(ask "$1") in
  *' 200 '*) exit 0 ;;
  *' 401 '* | *' 403 '*) exit 3 ;;
  *) exit 1 ;;
esac"#;

/// A request of `head` as [`ASK`] sends it.
pub(super) fn request(head: &str) -> Zeroizing<String> {
    Zeroizing::new([head.trim_end(), "\r\n"].concat())
}

/// Whether the request with `head` is answered or refused. The image has a shell and netcat; what is asked is in no process list.
pub(super) fn login(port: u16, head: &str, user: &'static str) -> Change {
    let mut command = shell(&[TOLD, ASK, LOGIN].concat());
    command.extend(["login".to_owned(), port.to_string()]);
    let input = Zeroizing::new([request(head).as_str(), ".\n"].concat());
    Change { command, user, input: SecretString::from(input.as_str()) }
}
