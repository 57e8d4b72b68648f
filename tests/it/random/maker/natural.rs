//! What authors write: whole objects with optional members and all manners of commas, lists out of loops, tables, captures,
//! partials. Most of it is right; now and then a condition is taken that is only nearly right.

use super::Maker;

pub(super) const LISTS: [&str; 8] = [
    "payload.l",
    "payload.l",
    "payload.m",
    "payload.o.l",
    "xs",
    "ys",
    "xs",
    "payload.s",
];
const SUBJECTS: [&str; 12] = [
    "payload.a",
    "payload.b",
    "payload.c",
    "payload.s",
    "payload.o.a",
    "payload.o",
    "payload.l",
    "xs",
    "s",
    "x.on",
    "x.v",
    "n",
];
/// What is asked to learn whether a list has items; `L` stands for it.
const SOME: [&str; 15] = [
    "L.size > 0",
    "L.size > 0",
    "L.size != 0",
    "L != empty",
    "L.size >= 1",
    "0 < L.size",
    "L.first",
    "L",
    "L != blank",
    "L.last",
    "L[0]",
    "L.size",
    "L.size > 1",
    "L != nil",
    "L.first != nil",
];
const NONE: [&str; 8] = [
    "L == empty",
    "L.size == 0",
    "L.size < 1",
    "L == blank",
    "L == nil",
    "L.first == nil",
    "0 == L.size",
    "L.size <= 0",
];
/// What makes a list, and whether it is always one, is left to see.
const CHAINS: [&str; 20] = [
    " | where: 'on'",
    " | where: 'v', 'a'",
    " | map: 'v'",
    " | compact",
    " | concat: payload.m",
    " | split: ','",
    " | sort",
    " | uniq",
    " | reverse",
    " | slice: 0, 2",
    " | reject: 'on'",
    " | default: ''",
    " | first",
    "",
    " | map: 'v' | compact",
    " | where: 'on' | map: 'v'",
    " | find: 'on'",
    " | size",
    " | default: payload.m",
    " | compact | first",
];
/// Chains that look at no text. `where` and `map` do: of a string they give the name if it holds that.
const CALM_CHAINS: [&str; 6] = [
    " | compact",
    " | concat: payload.m",
    " | reverse",
    "",
    " | compact | reverse",
    " | concat: payload.l | compact",
];

impl Maker<'_, '_> {
    /// A whole template.
    pub(super) fn document(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.below(4) {
            text += &self.prelude();
        }
        let depth = if self.rarely(4) { 2 } else { 1 };
        match self.below(6) {
            0 | 1 => text + &self.list(depth),
            2 => text + &self.listed(depth),
            _ => text + &self.object(depth),
        }
    }

    /// A partial's text: a value or some items.
    pub(super) fn part(&mut self) -> String {
        match self.below(3) {
            0 => self.looped("item", 1),
            1 => self.object(1),
            _ => self.given(1),
        }
    }

    /// Sets what is asked about later.
    fn prelude(&mut self) -> String {
        let list = self.of(&[
            "payload.l",
            "payload.m",
            "payload.l",
            "payload.s",
            "payload.o.l",
            "s",
        ]);
        let name = self.of(&["xs", "xs", "ys"]);
        let chain = if self.calm {
            self.of(&CALM_CHAINS)
        } else {
            self.of(&CHAINS)
        };
        match self.below(10) {
            0..=4 => format!("{{%- assign {name} = {list}{chain} -%}}\n"),
            5 => format!(
                "{{% assign n = {} %}}",
                self.of(&["0", "0", "1", "payload.n", "nil"])
            ),
            6 => format!(
                "{{% capture s %}}{{{{ payload.s }}}} {}{{% endcapture %}}",
                self.word()
            ),
            7 => format!(
                "{{% json o %}}{}{{% endjson %}}{{% assign s = o.k1 %}}",
                self.object(1)
            ),
            8 => format!(
                "{{% liquid\n  assign n = 0\n  assign s = payload.s | upcase\n  assign {name} = {list}{chain}\n%}}"
            ),
            _ => "{% comment %} { [ {% endcomment %}{% assign s = payload.s | default: 'none' %}"
                .to_owned(),
        }
    }

    fn word(&mut self) -> &'static str {
        [
            "seen",
            "a b",
            "",
            "\\n",
            "\\u00e9",
            "{% raw %}{{ {% endraw %}",
        ][self.below(6)]
    }

    /// A condition on anything.
    pub(super) fn condition(&mut self) -> String {
        let subject = self.of(&SUBJECTS);
        if self.calm {
            let list = self.of(&LISTS);
            return match self.below(6) {
                0 => format!("{subject} and payload.b"),
                1 => format!("{subject} or payload.c"),
                2 => self.some(list),
                3 => self
                    .of(&["forloop.last", "forloop.first", "forloop.index > 1"])
                    .to_owned(),
                _ => subject.to_owned(),
            };
        }
        match self.below(16) {
            0..=4 => subject.to_owned(),
            5 => format!("{subject} == 'a'"),
            6 => format!(
                "{subject} != {}",
                self.of(&["'a'", "nil", "blank", "''", "false", "empty"])
            ),
            7 => format!(
                "{subject} == {}",
                self.of(&["nil", "blank", "empty", "false", "true", "1", "payload.b"])
            ),
            8 => format!("{subject} and {}", self.of(&SUBJECTS)),
            9 => format!("{subject} or {}", self.of(&SUBJECTS)),
            10 => {
                let list = self.of(&LISTS);
                self.some(list)
            }
            11 => {
                let list = self.of(&LISTS);
                self.none(list)
            }
            12 => format!("{subject} contains 'a'"),
            13 => format!(
                "n {} {}",
                self.of(&[">", "==", "!=", ">=", "<"]),
                self.of(&["0", "1", "2"])
            ),
            14 => self.of(&super::soup::CONDITIONS).to_owned(),
            _ => format!(
                "{subject}.size {} {}",
                self.of(&[">", "==", "!=", ">=", "<", "<="]),
                self.of(&["0", "1"])
            ),
        }
    }

    pub(super) fn some(&mut self, list: &str) -> String {
        let kinds = if self.calm { &SOME[..8] } else { &SOME[..] };
        self.of(kinds).replace('L', list)
    }

    pub(super) fn none(&mut self, list: &str) -> String {
        let kinds = if self.calm { &NONE[..3] } else { &NONE[..] };
        self.of(kinds).replace('L', list)
    }

    /// A value as it is printed.
    pub(super) fn printed(&mut self) -> String {
        let path = self.of(&[
            "payload.a",
            "payload.s",
            "payload.o",
            "payload.l",
            "x",
            "x.v",
            "xs",
            "s",
            "y",
            "item",
            "n",
            "payload.o.a.b",
            "event.type",
            "payload",
            "xs.first.v",
            "pair[1]",
            "t",
            "forloop.index",
        ]);
        let filters = self.of(&[
            "",
            "",
            "",
            "",
            "",
            " | upcase",
            " | json",
            " | size",
            " | default: 'd'",
            " | append: '!'",
            " | first",
            " | date: '%F'",
            " | plus: 1",
            " | downcase | truncate: 9",
        ]);
        let dash = self.of(&["", "", "", "-"]);
        format!("{{{{{dash} {path}{filters} {dash}}}}}")
    }

    /// A value of an object or list.
    pub(super) fn given(&mut self, depth: usize) -> String {
        let inner = depth.saturating_sub(1);
        match self.below(if depth == 0 { 6 } else { 26 }) {
            0..=3 => self.printed(),
            4 => format!("\"{} {} b\"", self.word(), self.printed()),
            5 => self
                .of(&["1", "null", "\"t\"", "true", "[]", "{}", "-0.5e3"])
                .to_owned(),
            6 | 7 => self.object(inner),
            8..=10 => self.list(inner),
            11 => self.listed(inner),
            12 | 13 => {
                let (condition, a, b) = (self.condition(), self.given(inner), self.given(inner));
                format!("{{% if {condition} %}}{a}{{% else %}}{b}{{% endif %}}")
            }
            14 => {
                let (first, second) = (self.condition(), self.condition());
                let (a, b, c) = (self.given(inner), self.printed(), self.given(inner));
                format!(
                    "{{%- if {first} -%}}{a}{{%- elsif {second} -%}}{b}{{%- else -%}}{c}{{%- endif -%}}"
                )
            }
            15 if !self.calm => {
                let subject = self.of(&["payload.s", "s", "payload.a", "x.v", "n"]);
                let second = self.of(&[
                    "'b', 'c'",
                    "'b' or ''",
                    "nil",
                    "blank",
                    "1",
                    "false",
                    "payload.b",
                ]);
                let between = match self.rarely(4) {
                    true => self.statement(1),
                    false => String::new(),
                };
                let (a, b, c) = (self.printed(), self.given(inner), self.printed());
                let last = match self.rarely(3) {
                    true => String::new(),
                    false => format!("{{%- else -%}}{c}"),
                };
                format!(
                    "{{% case {subject} %}}\n  {{%- when 'a' %}}{between}{a}\n  {{%- when {second} -%}}{b}{last}{{%- endcase -%}}"
                )
            }
            16 => {
                // One of a list, or what stands for none.
                let list = self.of(&LISTS);
                let (some, v) = (self.some(list), self.given(inner));
                let once = self.of(&["{% break %}", "{% break %}", ""]);
                let limit = self.of(&[" limit: 1", "", " limit: 1 offset: 1"]);
                format!(
                    "{{% if {some} %}}{{% for x in {list}{limit} %}}{v}{once}{{% endfor %}}{{% else %}}null{{% endif %}}"
                )
            }
            17 => {
                let (list, v) = (self.of(&LISTS), self.given(inner));
                format!("{{% for x in {list} limit: 1 %}}{v}{{% else %}}null{{% endfor %}}")
            }
            18 => {
                let (list, none, v) = (
                    self.of(&LISTS).to_owned(),
                    self.of(&LISTS),
                    self.list(inner),
                );
                let none = if self.rarely(3) { none } else { &list };
                let none = self.none(none);
                format!("{{% if {none} %}}[]{{% else %}}{v}{{% endif %}}")
            }
            19 => format!(
                "{{% capture t %}}{}{{% endcapture %}}{{{{ t }}}}",
                self.given(inner)
            ),
            21..=24 => self.asked_twice(inner),
            20 => format!(
                "{{% json t %}}{}{{% endjson %}}{{{{ t }}}}",
                self.given(inner)
            ),
            _ => {
                let call = self.of(&[
                    "{% render 'one', item: payload.a %}",
                    "{% render 'outer', item: payload.l %}",
                    "{% include 'one', item: x %}",
                    "[{% render 'list' for xs as item %}]",
                    "[{% render 'led' for payload.l as item %}]",
                    "{% render 'made', item: payload.l %}",
                    "[{% render 'made' for payload.l as item %}]",
                    "{% include 'made', item: xs %}",
                    "{% cycle 'a', 'b' %}",
                    "{%- liquid\n  if payload.a\n    echo payload.a\n  else\n    echo 'x'\n  endif\n-%}",
                ]);
                call.to_owned()
            }
        }
    }

    /// One value, if the second question is answered like the first, whatever stands between them.
    fn asked_twice(&mut self, depth: usize) -> String {
        let (a, b) = (self.given(depth), self.given(depth));
        let between = match self.below(3) {
            0 if !self.calm => self.statement(2),
            _ => String::new(),
        };
        let list = self.of(&LISTS).to_owned();
        let (first, second) = match self.below(5) {
            0 | 1 => {
                let condition = self.condition();
                (condition.clone(), condition)
            }
            2 => (self.some(&list), self.some(&list)),
            3 => {
                let before = match self.calm {
                    true => "",
                    false => self.of(&["", "", "{% assign payload = payload.o %}"]),
                };
                let call = self.of(&["render", "include"]);
                let arguments = self.of(&["item: 1", "item: payload.l", "item: 1, payload: x"]);
                return format!(
                    "{before}{{% if payload.a %}}{between}{{% {call} 'asks', {arguments} %}}{{% else %}}{b}{{% endif %}}"
                );
            }
            _ => {
                let parts = [
                    "",
                    "",
                    " limit: 1",
                    " offset: 1",
                    " reversed",
                    " offset: continue",
                ];
                let (first, second) = (self.of(&parts), self.of(&parts));
                return format!(
                    "{{% for x in {list}{first} %}}{{% if forloop.first %}}{a}{{% endif %}}{{% endfor %}}{between}{{% for x in {list}{second} %}}{{% else %}}{b}{{% endfor %}}"
                );
            }
        };
        format!(
            "{{% if {first} %}}{a}{{% endif %}}{between}{{% unless {second} %}}{b}{{% endunless %}}"
        )
    }

    // -- objects -----------------------------------------------------------------------------------

    /// A whole object with its members, in one manner of commas.
    pub(super) fn object(&mut self, depth: usize) -> String {
        let count = match depth {
            0 => self.below(3),
            1 => 1 + self.below(5),
            _ => 5 + self.below(6),
        };
        let manner = self.below(9);
        let mut text = String::new();
        for at in 1..=count {
            let value = self.given(depth.saturating_sub(1));
            let twice = self.rarely(15);
            let key = format!("k{}", if twice { 1 + self.below(at) } else { at });
            let member = format!("\"{key}\": {value}");
            text += &self.member(manner, at, count, &member);
            text.push_str(self.of(&["\n  ", "", " "]));
        }
        let before = match manner {
            4 => "{% assign sep = false %}",
            5 => "{% assign n = 0 %}",
            6 => "{% assign sep = '' %}",
            _ => "",
        };
        format!("{before}{{{text}}}")
    }

    fn member(&mut self, manner: usize, at: usize, count: usize, member: &str) -> String {
        let comma = if at < count { "," } else { "" };
        let optional = self.below(3) > 0;
        let condition = if optional {
            self.condition()
        } else {
            "true".to_owned()
        };
        match manner {
            // Comma in front, the first is always there.
            1 if at == 1 => member.to_owned(),
            1 if optional => format!("{{%- if {condition} -%}}, {member}{{%- endif -%}}"),
            1 => format!(", {member}"),
            // Comma behind, the last is always there.
            2 if at == count || !optional => format!("{member}{comma}"),
            2 => format!("{{% if {condition} %}}{member}{comma}{{% endif %}}"),
            // Both ways, chosen by a condition.
            3 => {
                let other = self.given(0);
                format!(
                    "{{% if {condition} %}}{member}{{% else %}}\"k{at}\": {other}{{% endif %}}{comma}"
                )
            }
            // A flag, a counter, a text.
            4 => format!(
                "{{% if {condition} %}}{{% if sep %}},{{% endif %}}{member}{{% assign sep = true %}}{{% endif %}}"
            ),
            5 => {
                let ask = self.of(&[
                    "if n > 0",
                    "unless n == 0",
                    "if n >= 1",
                    "if n != 0",
                    "if n",
                ]);
                let end = match ask.starts_with("if") {
                    true => "endif",
                    false => "endunless",
                };
                format!(
                    "{{% if {condition} %}}{{% {ask} %}},{{% {end} %}}{member}{{% assign n = n | plus: 1 %}}{{% endif %}}"
                )
            }
            6 => {
                let ask = self.of(&[
                    "sep == ','",
                    "sep != ''",
                    "sep != blank",
                    "sep.size > 0",
                    "sep",
                ]);
                format!(
                    "{{% if {condition} %}}{{% if {ask} %}},{{% endif %}}{member}{{% assign sep = ',' %}}{{% endif %}}"
                )
            }
            // The same question for the member and for its comma.
            7 => {
                let (a, b) = (self.of(&SUBJECTS).to_owned(), self.of(&SUBJECTS));
                let logic = self.of(&["and", "and", "or"]);
                let second = format!("\"l{at}\": 1");
                format!(
                    "\"m{at}\": {{{{% if {a} %}}{member}{{% endif %}}{{% if {a} {logic} {b} %}},{{% endif %}}{{% if {b} %}}{second}{{% endif %}}}}{comma}"
                )
            }
            8 if optional => {
                let list = self.of(&LISTS).to_owned();
                let (some, row) = (self.some(&list), self.looped(&list, 0));
                let front = if at > 1 { "," } else { "" };
                format!("{front}{member}{{% if {some} %}},\"r{at}\":[1,{row}]{{% endif %}}")
            }
            _ => format!("{member}{comma}"),
        }
    }
}
