//! Anything beside anything: values, items and members put together without sense, so that every kind of failure and
//! every relation between conditions turns up.

use super::Maker;

pub(super) const PATHS: [&str; 14] = [
    "payload.a",
    "payload.b",
    "payload.l",
    "payload.l[0]",
    "x",
    "x.a",
    "s",
    "payload",
    "nil",
    "item",
    "event.type",
    "payload.a.b",
    "payload.l.size",
    "forloop.index",
];
const FILTERS: [&str; 17] = [
    "",
    "",
    "",
    "",
    " | upcase",
    " | default: 'd'",
    " | json",
    " | size",
    " | first",
    " | default: blank",
    " | plus: 1",
    " | split: ','",
    " | compact",
    " | map: 'a'",
    " | where: 'a'",
    " | concat: payload.l",
    " | reverse",
];
pub(super) const CONDITIONS: [&str; 48] = [
    "payload.a",
    "payload.b",
    "payload.l",
    "x",
    "s",
    "forloop.last",
    "forloop.first",
    "forloop.index > 1",
    "payload.a == 'a'",
    "payload.a == 'b'",
    "payload.a == nil",
    "payload.a != 'a'",
    "payload.a and payload.b",
    "payload.a or payload.b",
    "payload.a == blank",
    "payload.a == empty",
    "s == true",
    "s == ''",
    "s == nil",
    "s == false",
    "x == 1",
    "payload.a == 1",
    "payload.l.size > 0",
    "forloop.length == 1",
    "forloop.rindex0 == 0",
    "x.a",
    "payload.a == payload.b",
    "payload.a == false",
    "payload.b and s or payload.a",
    "forloop.index == forloop.length",
    "item",
    "forloop.rindex < 2",
    "forloop.parentloop.last",
    "forloop.last and forloop.parentloop.last",
    "forloop.parentloop.first == false",
    "s > 0",
    "s == 0",
    "s.size > 0",
    "s == empty",
    "s != empty",
    "x == empty",
    "payload.l == empty",
    "payload.l.size == 0",
    "payload.l.first",
    "x == nil",
    "x == ''",
    "x == blank",
    "x == false",
];

impl Maker<'_, '_> {
    pub(super) fn output(&mut self) -> String {
        format!("{{{{ {}{} }}}}", self.of(&PATHS), self.of(&FILTERS))
    }

    pub(super) fn value(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.below(6) {
                0 => "1".into(),
                1 => "null".into(),
                2 => "\"t\"".into(),
                _ => self.output(),
            };
        }
        let d = depth - 1;
        match self.below(16) {
            0..=2 => self.output(),
            3 => format!("\"a{}b{}\"", self.output(), self.noise(d)),
            4..=5 => format!("[{}]", self.items(d)),
            6..=7 => format!("{{{}}}", self.members(d)),
            8..=9 => format!(
                "{{% if {} %}}{}{{% else %}}{}{{% endif %}}",
                self.of(&CONDITIONS),
                self.value(d),
                self.value(d)
            ),
            10 => format!(
                "{{% case {} %}}{{% when 'a' %}}{}{}{{% when {} %}}{}{{% else %}}{}{{% endcase %}}",
                self.of(&PATHS),
                self.noise(d),
                self.value(d),
                self.of(&["'b'", "'a', 'b'", "nil", "blank", "1", "false", "''"]),
                self.value(d),
                self.value(d)
            ),
            11 => format!(
                "{{% capture s %}}{}{{% endcapture %}}{}",
                self.value(d),
                self.value(d)
            ),
            12 => format!(
                "{{% json s %}}{}{{% endjson %}}{}",
                self.value(d),
                self.value(d)
            ),
            13 => format!(
                "{{% for x in {} %}}{}{{% break %}}{{% else %}}{}{{% endfor %}}",
                self.of(&PATHS),
                self.value(d),
                self.value(d)
            ),
            14 => format!("{}{}", self.noise(d), self.value(d)),
            _ => self
                .of(&[
                    "{% include 'sets' %}",
                    "{% render 'one', item: payload.a %}",
                    "{% render 'one' with payload.l as item %}",
                    "{% include 'one' with payload.a as item %}",
                    "{% liquid echo payload.a %}",
                    "{% render 'outer', item: payload.l %}",
                    "{% include 'self' %}",
                    "{% render 'made', item: payload.l %}",
                    "{% include 'made' %}",
                    "{% cycle 'a', payload.a %}",
                    "{% cycle s: 'a', s %}",
                    "{% raw %}{}{% endraw %}",
                ])
                .into(),
        }
    }

    pub(super) fn noise(&mut self, depth: usize) -> String {
        match self.below(12) {
            0 => format!(
                "{{% assign s = {}{} %}}",
                self.of(&PATHS),
                self.of(&FILTERS)
            ),
            1 => format!(
                "{{% assign s = {} %}}",
                self.of(&[
                    "true",
                    "false",
                    "nil",
                    "blank",
                    "empty",
                    "'a'",
                    "''",
                    "1",
                    "0",
                    "s | plus: 1",
                    "payload.l | compact",
                    "x | where: 'a'"
                ])
            ),
            2 => "{% assign payload = s %}".into(),
            3 => format!(
                "{{% if {} %}}{}{{% endif %}}",
                self.of(&CONDITIONS),
                self.noise(depth.saturating_sub(1))
            ),
            4 => "{% increment s %}".into(),
            5 => "{% break %}".into(),
            6 => "{% continue %}".into(),
            7 => " ".into(),
            8 if depth > 0 => format!(
                "{{% for x in payload.l %}}{}{{% endfor %}}",
                self.noise(depth - 1)
            ),
            _ => String::new(),
        }
    }

    pub(super) fn items(&mut self, depth: usize) -> String {
        let v = self.value(depth);
        let over = self.of(&[
            "payload.l",
            "payload.a",
            "x",
            "s",
            "(1..2)",
            "(1..payload.b)",
            "payload.l limit: 1",
            "payload.l reversed",
            "payload.l offset: 1",
        ]);
        let n = self.noise(depth);
        match self.below(14) {
            0..=1 => format!(
                "{{% for x in {over} %}}{v}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}"
            ),
            2 => format!(
                "{{% for x in {over} %}}{{% unless forloop.first %}},{{% endunless %}}{v}{n}{{% endfor %}}"
            ),
            3 => format!(
                "{{% for x in {over} %}}{{% if s %}},{{% endif %}}{n}{v}{{% assign s = true %}}{{% endfor %}}"
            ),
            4 => format!("0{{% for x in {over} %}},{v}{n}{{% endfor %}}"),
            5 => format!("{{% for x in {over} %}}{v},{{% endfor %}}1"),
            6 => format!("{{% for x in {over} %}}{v}{{% endfor %}}"),
            7 => {
                let c = self.of(&CONDITIONS);
                format!("{{% if {c} %}}1{{% endif %}}{n}{{% if {c} %}},{v}{{% endif %}}")
            }
            8 => {
                let c = self.of(&CONDITIONS);
                format!("{{% unless {c} %}}1{{% endunless %}}{{% if {c} %}}{v}{{% endif %}}")
            }
            9 => format!(
                "{{% for x in {over} %}}{{% if {} %}},{{% endif %}}{v}{{% endfor %}}",
                self.of(&CONDITIONS)
            ),
            10 => format!("{v},{n}{}", self.items(depth.saturating_sub(1))),
            11 => self
                .of(&[
                    "{% render 'list' for payload.l as item %}",
                    "{% include 'list' for payload.l as item %}",
                    "{% include 'one' with payload.l as item %}",
                    "{% render 'led' for payload.l as item %}",
                    "{% include 'stops' for payload.l as item %}",
                    "{% include 'flagged' for payload.l as item %}",
                    "{% for item in payload.l %}{% include 'flagged' %}{% endfor %}",
                ])
                .into(),
            12 => format!("{{% ifchanged %}}{v}{{% endifchanged %}}"),
            _ => v,
        }
    }

    fn members(&mut self, depth: usize) -> String {
        let v = self.value(depth);
        let key = self.of(&[
            "\"a\"",
            "\"b\"",
            "\"\\u0061\"",
            "\"{{ x }}\"",
            "\"a{{ payload.a }}\"",
            "{{ payload.b }}",
            "\"c\"",
            "\"d\"",
        ]);
        match self.below(6) {
            0 => format!("{key}:{v},\"e\":{}", self.value(depth)),
            1 => format!(
                "\"f\":1{{% if {} %}},{key}:{v}{{% endif %}}",
                self.of(&CONDITIONS)
            ),
            2 => format!(
                "{{% if {} %}}{key}:{v},{{% endif %}}\"a\":1",
                self.of(&CONDITIONS)
            ),
            3 => format!(
                "{{% for x in payload.l %}}{key}:{v}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}"
            ),
            4 => format!("\"a\":1,{}", self.members(depth.saturating_sub(1))),
            _ => format!("{key}:{v}"),
        }
    }
}
