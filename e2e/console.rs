//! Examples of the README that are run as they stand: what a reader types, and what he then sees.

/// One command and what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The line after `$ `; lines that end in a backslash are joined.
    pub command: String,
    /// What follows it. `…` stands for any text, also for several lines.
    pub output: String,
}

/// The examples of the blocks that follow `marker` in a document.
pub fn examples(document: &str, marker: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for after in document.split(marker).skip(1) {
        let block = after.split("```").nth(1).unwrap_or_default();
        let mut continued = false;
        // The first line is the rest of the fence.
        for line in block.lines().skip(1) {
            match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => {
                    examples.push(Example { command: command.to_owned(), output: String::new() });
                    continued = command.ends_with('\\');
                }
                (None, Some(example)) if continued => {
                    example.command = format!("{}\n{line}", example.command);
                    continued = line.ends_with('\\');
                }
                (None, Some(example)) => example.output = format!("{}{line}\n", example.output),
                (None, None) => {}
            }
        }
    }
    examples
}

impl Example {
    /// Whether this is what the example says.
    pub fn shows(&self, text: &str) -> bool {
        let mut parts = self.output.trim_end().split('…');
        let text = text.trim_end();
        let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
        for part in between {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_what_they_print_are_read_from_marked_blocks() {
        let document = "```\n$ not this\n```\n<!-- run -->\n```console\n$ a b \\\n    c\nx\ny\n$ d\n```\n";
        let example = |command: &str, output: &str| Example { command: command.into(), output: output.into() };
        assert_eq!(examples(document, "<!-- run -->"), [example("a b \\\n    c", "x\ny\n"), example("d", "")]);
    }

    #[test]
    fn an_ellipsis_stands_for_any_text_and_nothing_else_does() {
        let shows = |output: &str, text: &str| Example { command: String::new(), output: output.into() }.shows(text);
        assert!(shows("a\n", "a\n") && shows("a…c\n", "abbc\n") && shows("a…b…\n", "a\nb\nc") && shows("…", ""));
        assert!(!shows("a\n", "ab") && !shows("a…c\n", "ab") && !shows("a…b…c", "acb") && !shows("", "a"));
    }
}
