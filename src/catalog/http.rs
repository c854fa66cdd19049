//! Logs in to servers that speak HTTP, by what images have where they have no client.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::deployment::{Change, shell};
use super::script::TOLD;

/// For a script that has read a request: sends it to the port $1, and says the first line of the answer. Where there is no netcat
/// there is bash. Who says no more before the answer is there may be taken for gone, and is not answered then.
pub(super) const ASK: &str = r#"
ask() {
  if command -v nc >/dev/null; then
    mkfifo -m 600 "/tmp/ask.$$"
    exec 9<>"/tmp/ask.$$"
    rm -f "/tmp/ask.$$"
    { printf '%s\n\r\n' "$request"; read -r _ <&9; } | timeout -k 1 5 nc 127.0.0.1 "$1" |
      { read -r line || :; printf '%s\n' "${line:-}"; echo >&9; }
    exec 9>&-
  else
    printf '%s\n\r\n' "$request" |
      timeout -k 1 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && cat >&3 && read -r line <&3 && echo "$line"' ask "$1"
  fi
}
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

/// Whether `request` is answered or refused. What is asked is in no process list.
pub(super) fn login(port: u16, request: &str, user: &'static str) -> Change {
    let mut command = shell(&[TOLD, ASK, LOGIN].concat());
    command.extend(["login".to_owned(), port.to_string()]);
    let input = Zeroizing::new([request, ".\n"].concat());
    Change { command, user, input: SecretString::from(input.as_str()) }
}

/// What asks for `path` without saying who it is, as a simple command of the shell, by bash: the answer's first line is what it says.
pub(super) fn client(port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\\r\\nHost: 127.0.0.1\\r\\n\\r\\n");
    let script =
        format!("exec 3<>/dev/tcp/127.0.0.1/{port} && printf \"{request}\" >&3 && read -r line <&3 && echo \"$line\"");
    format!("bash -c '{script}'")
}
