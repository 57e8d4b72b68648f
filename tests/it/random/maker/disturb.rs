//! Steps between what belongs together: puts a statement that prints nothing behind some tag of a text. What was asked
//! before it may not hold any more after it.

use super::Maker;

/// What is put in its place: names that templates made here ask about.
const NAMES: [&str; 14] = [
    "payload", "payload", "xs", "ys", "n", "s", "sep", "first", "x", "y", "item", "forloop", "t",
    "event",
];
const VALUES: [&str; 24] = [
    "true",
    "false",
    "nil",
    "blank",
    "empty",
    "''",
    "','",
    "0",
    "1",
    "2",
    "payload.l",
    "payload.m",
    "payload.o",
    "payload.a",
    "payload.l | compact",
    "payload.l | where: 'on'",
    "payload.l | first",
    "xs | concat: payload.m",
    "n | plus: 1",
    "n | minus: 1",
    "s | split: ''",
    "x",
    "xs",
    "forloop",
];

impl Maker<'_, '_> {
    /// The text with a statement put in.
    pub(super) fn disturbed(&mut self, text: &str) -> String {
        let ends: Vec<usize> = text.match_indices("%}").map(|(at, _)| at + 2).collect();
        let at = match ends.len() {
            0 => 0,
            count => match self.below(count + 1) {
                0 => 0,
                nth => ends[nth - 1],
            },
        };
        let statement = self.statement(2);
        // A name that the text holds is more likely to matter.
        let used: Vec<&str> = NAMES.into_iter().filter(|n| text.contains(n)).collect();
        let statement = match self.below(3) {
            0 if !used.is_empty() => {
                let (name, value) = (self.of(&used), self.of(&VALUES));
                match self.below(4) {
                    0 => format!("{{% capture {name} %}}{{{{ {value} }}}}{{% endcapture %}}"),
                    1 => format!("{{% for {name} in payload.l %}}{{% endfor %}}"),
                    _ => format!("{{% assign {name} = {value} %}}"),
                }
            }
            _ => statement,
        };
        format!("{}{statement}{}", &text[..at], &text[at..])
    }

    /// Prints nothing.
    pub(super) fn statement(&mut self, depth: usize) -> String {
        let name = self.of(&NAMES);
        let value = self.of(&VALUES);
        if depth == 0 {
            return format!("{{% assign {name} = {value} %}}");
        }
        match self.below(17) {
            0..=4 => format!("{{% assign {name} = {value} %}}"),
            5 => format!("{{% capture {name} %}}{{{{ {name} }}}}{{% endcapture %}}"),
            6 => format!("{{% capture t %}}{{% increment {name} %}}{{% endcapture %}}"),
            7 => {
                let condition = self.condition();
                let inner = self.statement(depth - 1);
                format!("{{% if {condition} %}}{inner}{{% endif %}}")
            }
            8 => {
                let list = self.of(&["payload.l", "payload.m", "xs", "(1..2)", "payload.s"]);
                let inner = self.statement(depth - 1);
                format!("{{% for {name} in {list} %}}{inner}{{% endfor %}}")
            }
            9 => format!("{{% json {name} %}}[{{{{ {name} }}}}]{{% endjson %}}"),
            10 => {
                let arguments =
                    self.of(&["", ", item: payload.a", ", s: false", " with xs as item"]);
                format!("{{% include 'quiet'{arguments} %}}")
            }
            11 => "{% render 'quiet', item: payload.a %}".to_owned(),
            12 => {
                let condition = self.condition();
                let stop = self.of(&["break", "continue"]);
                format!("{{% if {condition} %}}{{% {stop} %}}{{% endif %}}")
            }
            13 => self
                .of(&["{% break %}", "{% continue %}", "{% decrement n %}", " "])
                .to_owned(),
            14 => format!("{{%- liquid\n  assign {name} = {value}\n  assign s = {name}\n-%}}"),
            15 => format!(
                "{{% case payload.s %}}{{% when 'a' %}}{{% assign {name} = {value} %}}{{% endcase %}}"
            ),
            _ => format!("{{% assign {name} = {name} | plus: 1 %}}"),
        }
    }
}
