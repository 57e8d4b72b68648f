//! Makes templates and payloads out of choices, for the property test and for the fuzz targets.
//!
//! Three manners: `soup` puts anything beside anything, `natural` and `lists` write what authors write, `mutate` spoils what is
//! there: the shipped templates, the guide's samples, those of the proof's own test. `disturb` then steps between what
//! belongs together. Templates made *calm* take no structure out of the text of a string.

mod choices;
mod disturb;
mod lists;
mod mutate;
mod natural;
mod payload;
mod soup;

use std::sync::Arc;

use ingate::template::{PartialText, Partials};

pub use choices::Choices;
pub use mutate::seeds;
pub use payload::{Vocabulary, swapped};

/// A template with its partials.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The text.
    pub text: String,
    /// Name and text.
    pub partials: Vec<(String, String)>,
    /// A payload that belongs to it, if it is one of the guide's.
    pub payload: Option<serde_json::Value>,
}

impl Partials for Sample {
    fn find(&self, name: &str) -> Option<PartialText> {
        let (path, text) = self.partials.iter().find(|(known, _)| known == name)?;
        Some(PartialText {
            path: path.clone(),
            text: Arc::from(text.as_str()),
        })
    }

    fn names(&self) -> Vec<String> {
        self.partials.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// Makes templates and payloads.
pub struct Maker<'c, 'b> {
    choices: &'c mut Choices<'b>,
    /// Whether structure may not come out of the text of a payload's strings.
    calm: bool,
}

/// Partials that every template made here can call. They print values, items with and without commas, and one sets what
/// its caller asks about.
const PARTIALS: [(&str, &str); 11] = [
    ("one", "{{ item }}"),
    (
        "list",
        "{{ item }}{% unless forloop.last %},{% endunless %}",
    ),
    (
        "led",
        "{% unless forloop.first %},{% endunless %}{\"i\": {{ item.v }}, \"n\": {{ forloop.index }}}",
    ),
    (
        "sets",
        "{% assign s = true %}{% if payload.a %}1{% else %}0{% endif %}",
    ),
    (
        "quiet",
        "{% assign s = item %}{% assign n = 0 %}{% assign xs = payload.m %}",
    ),
    (
        "outer",
        "[{% render 'list' for item as item %}{% for item in item %},{% render 'one', item: item %}{% endfor %}]",
    ),
    ("asks", "{% if payload.a %}{{ item }}{% endif %}"),
    (
        "nests",
        "{% for y in (1..2) %}{% unless forloop.first and forloop.parentloop.first %},{% endunless %}{{ y }}{% endfor %}",
    ),
    (
        "flagged",
        "{% if s %},{% endif %}{{ item }}{% assign s = true %}",
    ),
    (
        "stops",
        "{{ item }}{% if payload.a %}{% break %}{% endif %},",
    ),
    (
        "self",
        "[{% if payload.a and n != 2 %}{% assign n = n | plus: 1 %}{% include 'self' %}{% endif %}]",
    ),
];

impl<'c, 'b> Maker<'c, 'b> {
    /// Makes anything.
    pub fn new(choices: &'c mut Choices<'b>) -> Self {
        Self {
            choices,
            calm: false,
        }
    }

    /// Makes calm templates only.
    pub fn calm(choices: &'c mut Choices<'b>) -> Self {
        Self {
            choices,
            calm: true,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.choices.below(n)
    }

    fn rarely(&mut self, n: usize) -> bool {
        self.choices.rarely(n)
    }

    fn of<'s>(&mut self, of: &[&'s str]) -> &'s str {
        self.choices.of(of)
    }

    fn made(&mut self, text: String) -> Sample {
        let mut sample = whole(text);
        if sample.text.contains("'made'") {
            let made = self.part();
            sample.partials.push(("made".to_owned(), made));
        }
        sample
    }

    /// A template with the partials that it can call.
    pub fn sample(&mut self) -> Sample {
        let mut sample = match self.below(if self.calm { 1 } else { 12 }) {
            0..=6 => {
                let text = self.document();
                self.made(text)
            }
            7..=9 => {
                let text = self.value(4);
                self.made(text)
            }
            _ => {
                let seeds = seeds();
                let at = self.below(seeds.len());
                seeds[at].clone()
            }
        };
        if self.calm {
            return sample;
        }
        if self.rarely(3) {
            for _ in 0..=self.below(2) {
                sample.text = self.disturbed(&sample.text);
            }
        }
        if self.rarely(4) || sample.payload.is_some() {
            for _ in 0..=self.below(3) {
                sample.text = self.mutated(&sample.text);
            }
        }
        sample
    }
}

/// The text with the partials that it can call.
pub fn whole(text: String) -> Sample {
    let partials = PARTIALS.iter();
    Sample {
        text,
        partials: partials
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
        payload: None,
    }
}
