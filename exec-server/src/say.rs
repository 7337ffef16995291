//! Words of the program for the person who started it, on standard error.

/// Says why the program failed.
pub(crate) fn report(error: &anyhow::Error) {
    say(&told(error));
}

/// Says what is probably not as the person wants it.
pub(crate) fn warn(text: &str) {
    say(&format!("warning: {text}"));
}

/// Says something, by the name that the user knows the program by.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the program speaks to the person who started it"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{}: {text}", shell_engine::user_command_name());
}

/// An error and what caused it, each once: many errors have the words of their cause in their own.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(cause.trim_end()) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("permission denied").context("cannot read x: permission denied");
        assert_eq!(told(&error), "cannot read x: permission denied");
        assert_eq!(
            told(&error.context("no configuration")),
            "no configuration: cannot read x: permission denied"
        );
    }
}
