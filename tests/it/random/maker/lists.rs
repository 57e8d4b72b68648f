//! Lists out of loops and partials, with all manners of commas.

use super::Maker;
use super::natural::LISTS;

/// What is asked for a comma behind an item, and in front of it; the last ones are nearly right.
const LAST: [&str; 12] = [
    "unless forloop.last",
    "unless forloop.last",
    "unless forloop.last",
    "if forloop.last == false",
    "unless forloop.rindex == 1",
    "if forloop.index < forloop.length",
    "if forloop.rindex0 > 0",
    "if forloop.index != forloop.length",
    "unless forloop.rindex0 == 0",
    "if forloop.rindex > 1",
    "unless forloop.index == forloop.length",
    "if forloop.index < 2",
];
const FIRST: [&str; 11] = [
    "unless forloop.first",
    "unless forloop.first",
    "if forloop.index > 1",
    "if forloop.index0 > 0",
    "if forloop.first == false",
    "unless forloop.index == 1",
    "if forloop.index0 != 0",
    "unless forloop.index0 < 1",
    "if forloop.index >= 2",
    "if forloop.first != true",
    "if forloop.index",
];

impl Maker<'_, '_> {
    pub(super) fn list(&mut self, depth: usize) -> String {
        let list = self.of(&LISTS).to_owned();
        if self.below(3) > 0 {
            return format!("[{}]", self.looped(&list, depth));
        }
        let (a, b) = (self.looped(&list, depth), self.of(&LISTS).to_owned());
        let rest = self.looped(&b, depth);
        match self.below(6) {
            0 => format!("[0,{a}]"),
            1 => {
                let (x, y) = (self.some(&list), self.some(&b));
                format!("[{a}{{% if {x} and {y} %}},{{% endif %}}{rest}]")
            }
            2 => format!("[{a}{{% if {} %}},{{% endif %}}{rest}]", self.some(&b)),
            3 => format!(
                "[{{% for x in {list} %}}{},{{% endfor %}}{rest}]",
                self.given(0)
            ),
            4 => format!("[{a}{{% for x in {b} %}},{}{{% endfor %}}]", self.given(0)),
            _ => {
                let (x, y) = (self.none(&list), self.none(&b));
                format!("[{a}{{% unless {x} or {y} %}},{{% endunless %}}{rest}]")
            }
        }
    }

    /// The items of a loop with their commas.
    pub(super) fn looped(&mut self, list: &str, depth: usize) -> String {
        let inner = depth.saturating_sub(1);
        let var = self.of(&[
            "x", "x", "x", "x", "y", "item", "xs", "n", "payload", "forloop",
        ]);
        let part = self.of(&[
            "",
            "",
            "",
            "",
            "",
            " reversed",
            " limit: 2",
            " offset: 1",
            " limit: n",
            " offset: continue",
            " limit: 1 offset: 1",
        ]);
        let part = if self.calm && part.contains(": n") {
            ""
        } else {
            part
        };
        let head = format!("{{%- for {var} in {list}{part} -%}}");
        let v = self.given(inner);
        let (last, first) = (self.of(&LAST), self.of(&FIRST));
        let end = |ask: &str| {
            if ask.starts_with("if") {
                "endif"
            } else {
                "endunless"
            }
        };
        let (last_end, first_end) = (end(last), end(first));
        match self.below(16) {
            0..=3 => format!("{head}{v}{{% {last} %}},{{% {last_end} %}}{{% endfor %}}"),
            4 | 5 => format!("{head}{{% {first} %}},{{% {first_end} %}}{v}{{% endfor %}}"),
            6 | 7 => self.counted(&head, &v),
            8 | 9 => self.flagged(&head, &v),
            10 => {
                let inner_list = self.of(&["x", "x.v", "payload.m", "xs", "(1..2)"]);
                let w = self.given(0);
                let ask = self.of(&[
                    "unless forloop.last and forloop.parentloop.last",
                    "unless forloop.parentloop.last and forloop.last",
                    "unless forloop.first and forloop.parentloop.first",
                    "if forloop.parentloop.index > 1 or forloop.index > 1",
                    "unless forloop.parentloop.first",
                    "unless forloop.last",
                    "if forloop.parentloop.length > 1",
                ]);
                let end = end(ask);
                if ask.contains("last") {
                    format!(
                        "{head}{{% for y in {inner_list} %}}{w}{{% {ask} %}},{{% {end} %}}{{% endfor %}}{{% endfor %}}"
                    )
                } else {
                    format!(
                        "{head}{{% for y in {inner_list} %}}{{% {ask} %}},{{% {end} %}}{w}{{% endfor %}}{{% endfor %}}"
                    )
                }
            }
            11 if self.rarely(2) => {
                let condition = self.condition();
                format!(
                    "{head}{v}{{% {last} %}},{{% {last_end} %}}{{% if {condition} %}}{{% break %}}{{% endif %}}{{% endfor %}}"
                )
            }
            11 => {
                let (stop, condition) = (self.of(&["break", "continue"]), self.condition());
                format!(
                    "{head}{{% if {condition} %}}{{% {stop} %}}{{% endif %}}{{% {first} %}},{{% {first_end} %}}{v}{{% endfor %}}"
                )
            }
            12 => format!(
                "{head}{v}{{% {last} %}},{{% {last_end} %}}{{% else %}}{}{{% endfor %}}",
                self.given(0)
            ),
            13 => {
                let condition = self.condition();
                format!(
                    "{head}{{% if {condition} %}}{v}{{% {last} %}},{{% {last_end} %}}{{% endif %}}{{% endfor %}}"
                )
            }
            14 => format!(
                "{head}{{% if forloop.last %}}{v}{{% else %}}{},{{% endif %}}{{% endfor %}}",
                self.printed()
            ),
            _ if self.calm => format!("{head}[{v}]{{% {last} %}},{{% {last_end} %}}{{% endfor %}}"),
            _ => format!(
                "{head}{{% ifchanged %}}{{% {first} %}},{{% {first_end} %}}{v}{{% endifchanged %}}{{% endfor %}}"
            ),
        }
    }

    /// A counter says whether a comma is due.
    fn counted(&mut self, head: &str, v: &str) -> String {
        let start = self.of(&["0", "0", "0", "1", "nil", "payload.n", "payload.n", "-1"]);
        let start = if self.calm && start == "payload.n" {
            "0"
        } else {
            start
        };
        let ask = self.of(&[
            "if n > 0",
            "if n > 0",
            "unless n == 0",
            "if n != 0",
            "if n >= 1",
            "if n > 1",
            "if n",
            "if n < 1",
        ]);
        let end = if ask.starts_with("if") {
            "endif"
        } else {
            "endunless"
        };
        let step = self.of(&[
            "plus: 1",
            "plus: 1",
            "plus: 1",
            "plus: 2",
            "minus: 1",
            "plus: x.v",
            "times: 2",
        ]);
        let step = if self.calm { "plus: 1" } else { step };
        let (condition, reset) = (self.condition(), self.rarely(8));
        let reset = if reset { "{% assign n = 0 %}" } else { "" };
        let item = format!("{{% {ask} %}},{{% {end} %}}{v}{{% assign n = n | {step} %}}");
        match self.below(3) {
            0 => format!("{{% assign n = {start} %}}{head}{item}{reset}{{% endfor %}}"),
            1 => format!(
                "{{% assign n = {start} %}}{head}{{% if {condition} %}}{item}{{% endif %}}{reset}{{% endfor %}}"
            ),
            _ => format!(
                "{{% assign n = {start} %}}{head}{{% unless {condition} %}}{{% continue %}}{{% endunless %}}{item}{{% endfor %}}{reset}{{% for y in payload.m %}}{{% {ask} %}},{{% {end} %}}1{{% assign n = n | {step} %}}{{% endfor %}}"
            ),
        }
    }

    /// A flag or a text says whether a comma is due.
    fn flagged(&mut self, head: &str, v: &str) -> String {
        let condition = self.condition();
        let (set, ask, mark) = match self.below(7) {
            0 => (
                "{% assign sep = false %}",
                "if sep",
                "{% assign sep = true %}",
            ),
            1 => (
                "{% assign first = true %}",
                "unless first",
                "{% assign first = false %}",
            ),
            2 => (
                "{% assign sep = '' %}",
                "if sep == ','",
                "{% assign sep = ',' %}",
            ),
            3 => (
                "{% capture sep %}{% endcapture %}",
                "if sep != ''",
                "{% capture sep %},{% endcapture %}",
            ),
            4 => (
                "{% assign sep = nil %}",
                "if sep != nil",
                "{% assign sep = 1 %}",
            ),
            5 => (
                "{% assign sep = '' %}",
                "if sep.size > 0",
                "{% assign sep = ',' %}",
            ),
            _ => ("", "if sep", "{% assign sep = true %}"),
        };
        let end = if ask.starts_with("if") {
            "endif"
        } else {
            "endunless"
        };
        let item = format!("{{% {ask} %}},{{% {end} %}}{v}{mark}");
        match self.below(4) {
            0 => format!("{set}{head}{item}{{% endfor %}}"),
            1 => format!("{set}{head}{{% if {condition} %}}{item}{{% endif %}}{{% endfor %}}"),
            2 => format!(
                "{set}{head}{{% {ask} %}},{{% {end} %}}{v}{{% if {condition} %}}{mark}{{% endif %}}{{% endfor %}}"
            ),
            _ => format!(
                "{set}{head}{item}{{% endfor %}}{{% if {condition} %}}{{% {ask} %}},{{% {end} %}}{v}{{% endif %}}"
            ),
        }
    }

    /// A list out of partials, or objects by pairs.
    pub(super) fn listed(&mut self, depth: usize) -> String {
        let list = self.of(&LISTS);
        let inner = depth.saturating_sub(1);
        match self.below(10) {
            0 => format!("[{{% render 'list' for {list} as item %}}]"),
            1 => format!("[{{% render 'led' for {list} as item %}}]"),
            2 => format!(
                "[{{% for x in {list} %}}{{% render 'one', item: x %}}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}]"
            ),
            3 => format!("[{{% for item in {list} %}}{{% include 'flagged' %}}{{% endfor %}}]"),
            4 => format!("[{{% for item in {list} %}}{{% include 'list' %}}{{% endfor %}}]"),
            5 => format!("[{{% include 'stops' for {list} as item %}}0]"),
            6 => "[{% for pair in payload.o %}{\"n\": {{ pair[0] }}, \"v\": {{ pair[1] }}}{% unless forloop.last %},{% endunless %}{% endfor %}]".to_owned(),
            7 => format!("[{{% render 'nests' for {list} as item %}}]"),
            8 => format!("[{{% for item in {list} %}}{{% include 'nests' %}}{{% endfor %}}]"),
            _ if self.calm => format!("[{}]", self.looped(list, inner)),
            _ => format!(
                "{{{{% for pair in payload.o %}}{{{{ pair[0] }}}}: {}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}}}",
                self.given(inner)
            ),
        }
    }
}
