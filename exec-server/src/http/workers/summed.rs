//! What several processes have counted, as one: Prometheus' text, of which only what one writer writes is understood.

/// What only the front counts: workers see its requests, not clients'.
const OF_FRONT: [&str; 3] =
    ["shell_tool_http_requests_total", "shell_tool_http_connections", "shell_tool_principals"];

/// Names, values of one, and bytes of a line that are read: a worker may say what it likes.
const MOST: usize = 64;
const LINE: usize = 512;

/// The end of the text.
const END: &str = "# EOF";

/// Sums by families, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Summed(Vec<Family>);

/// What has one name: its lines of help and type, and values by name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
struct Family {
    name: String,
    head: String,
    samples: Vec<(String, f64)>,
}

impl Summed {
    /// What the front has counted.
    pub(super) fn of_front(text: &str) -> Summed {
        let mut sum = Summed::default();
        sum.add_all(text, |_| true);
        sum
    }

    /// Adds what a worker has counted.
    pub(super) fn add(&mut self, text: &str) {
        self.add_all(text, |name| !OF_FRONT.contains(&name));
    }

    /// Adds the same of several.
    pub(super) fn add_sum(&mut self, other: &Summed) {
        self.add(&other.text());
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for family in &self.0 {
            text.push_str(&family.head);
            for (name, value) in &family.samples {
                text.push_str(&format!("{name} {value}\n"));
            }
        }
        text + END + "\n"
    }

    fn add_all(&mut self, text: &str, counts: impl Fn(&str) -> bool) {
        let mut name = "";
        for line in text.lines().take(MOST * MOST).filter(|line| *line != END && line.len() <= LINE) {
            if let Some(about) = line.strip_prefix("# ") {
                name = about.split(' ').nth(1).unwrap_or_default();
                let is_new = !self.0.iter().any(|family| family.name == name);
                if is_new && self.0.len() < MOST && counts(name) {
                    self.0.push(Family { name: name.to_owned(), ..Family::default() });
                }
            }
            let Some(family) = self.0.iter_mut().find(|family| family.name == name && counts(name)) else {
                continue;
            };
            match sample(line) {
                Some((name, value)) => match family.samples.iter().position(|(there, _)| there == name) {
                    Some(at) => family.samples.iter_mut().skip(at).take(1).for_each(|(_, sum)| *sum += value),
                    None if family.samples.len() < MOST => family.samples.push((name.to_owned(), value)),
                    None => {}
                },
                None if family.head.len() < LINE && !family.head.contains(line) => {
                    family.head.push_str(&format!("{line}\n"))
                }
                None => {}
            }
        }
    }
}

/// A line's name with its labels, and its value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let (name, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((name, value.parse().ok().filter(|value: &f64| value.is_finite())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_have_counted_is_summed() {
        let front = "# HELP shell_tool_principals P.\n# TYPE shell_tool_principals gauge\nshell_tool_principals 2\n\
                     # HELP shell_tool_x X.\n# TYPE shell_tool_x counter\nshell_tool_x_total{a=\"1\"} 1\n# EOF\n";
        let worker = "# HELP shell_tool_principals P.\n# TYPE shell_tool_principals gauge\nshell_tool_principals 1\n\
                      # HELP shell_tool_x X.\n# TYPE shell_tool_x counter\nshell_tool_x_total{a=\"1\"} 2\n\
                      shell_tool_x_total{a=\"2\"} 3\n\
                      # HELP shell_tool_y Y.\n# TYPE shell_tool_y histogram\nshell_tool_y_sum 0.5\n# EOF\n";
        let mut ended = Summed::default();
        ended.add(worker);
        let mut sum = Summed::of_front(front);
        sum.add(worker);
        sum.add_sum(&ended);
        let expected = "# HELP shell_tool_principals P.\n# TYPE shell_tool_principals gauge\nshell_tool_principals 2\n\
                        # HELP shell_tool_x X.\n# TYPE shell_tool_x counter\nshell_tool_x_total{a=\"1\"} 5\n\
                        shell_tool_x_total{a=\"2\"} 6\n\
                        # HELP shell_tool_y Y.\n# TYPE shell_tool_y histogram\nshell_tool_y_sum 1\n# EOF\n";
        assert_eq!(sum.text(), expected);
    }

    #[test]
    fn who_says_too_much_is_not_listened_to_any_more() {
        let mut sum = Summed::default();
        let family = |number| format!("# TYPE f{number} counter\n");
        sum.add(&(0..100_000).map(family).collect::<String>());
        sum.add(
            &(0..100_000)
                .map(|number| format!("# TYPE f0 counter\nf0{{a=\"{number}\"}} 1\n"))
                .collect::<String>(),
        );
        assert!(sum.0.len() <= MOST && sum.0[0].samples.len() <= MOST);
        sum.add(&format!("# TYPE f0 {}\n", "x".repeat(1 << 20)));
        assert!(sum.text().len() < MOST * MOST * LINE);
    }
}
