//! What workers log: it stands in the log of the front, each line with whose it is, and no more of it than others leave room for.
//! The log itself is root's, and no worker has it.

use serde_json::{Map, Value};
use shell_engine::visible::visible;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::{Duration, Instant};

/// Bytes of a line; what is longer is cut.
const LINE: u64 = 8 << 10;

/// Lines in a minute; more are dropped.
const MOST: u32 = 1200;
const MINUTE: Duration = Duration::from_secs(60);

/// Passes on what a worker says, until it is gone.
pub(super) async fn pass_on(said: impl AsyncRead + Unpin, whose: String) {
    let mut said = BufReader::new(said);
    let (mut begun, mut lines) = (Instant::now(), 0);
    loop {
        let mut line = Vec::new();
        match (&mut said).take(LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        if begun.elapsed() > MINUTE {
            (begun, lines) = (Instant::now(), 0);
        }
        lines += 1;
        if lines <= MOST {
            // As the log itself, which may be on a full disk.
            let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), named(&line, &whose).as_bytes());
        }
    }
}

/// A line with whose it is; one of JSON stays one.
fn named(line: &[u8], whose: &str) -> String {
    match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(mut fields) => {
            fields.insert("worker".to_owned(), whose.into());
            format!("{}\n", Value::from(fields))
        }
        Err(_) => {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            format!("[{}] {}\n", visible(whose.as_bytes()), visible(line))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_whose_it_is() {
        assert_eq!(named(b"said\n", "ann"), "[ann] said\n");
        assert_eq!(named(b"\x1b[2J[bob] said", "ann"), "[ann] \\u{1b}[2J[bob] said\n");
        assert_eq!(
            named(br#"{"level":"WARN","worker":"bob"}"#, "ann"),
            "{\"level\":\"WARN\",\"worker\":\"ann\"}\n"
        );
    }
}
