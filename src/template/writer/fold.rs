//! What the proof needs of the automaton: the writer itself, fed as in a render, but with its output forgotten after each
//! piece. Both drive the same transitions; what differs is only what is kept.

use std::collections::{BTreeSet, HashSet};

use super::{Container, MENDS, Mended, Role, State, Writer};
use crate::template::sink::{Origin, Printed};
use crate::template::syntax::Fault;
use crate::template::value::Value;

/// Stands in a key for text of the payload. Keys are kept escaped, so a raw control character is in no real one.
const FROM_DATA: char = '\u{1}';

/// The output is forgotten when it has so many bytes, and so many more for each key that is taken.
const FORGET_AT: usize = 1 << 10;
const FORGET_AT_KEY: usize = 64;

/// All that decides what the automaton does next, but for the keys that are taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    state: State,
    /// What is open; true: an array.
    open: Vec<bool>,
    /// The key that is being written, as far as it is.
    key: String,
}

impl Writer {
    /// Where the automaton stands; after [`Writer::settle`].
    pub fn shape(&self) -> Shape {
        Shape {
            state: self.state,
            open: self.stack.iter().map(Container::is_array).collect(),
            key: self.unfinished().unwrap_or_default().to_owned(),
        }
    }

    /// Takes a value of which nothing is known. `Ok(true)`: it is part of a key.
    pub fn unknown(&mut self, origin: Origin) -> Result<bool, Fault> {
        match self.state {
            State::Key { .. } => {
                self.origin = origin;
                self.start_key()?;
                self.out.push(FROM_DATA);
                self.push("\"")?;
                self.end_string(Role::Key)?;
                Ok(true)
            }
            State::Text(Role::Key) => {
                self.origin = origin;
                self.out.push(FROM_DATA);
                Ok(true)
            }
            State::Text(Role::Value) | State::Value(_) => {
                self.write_value(&Value::Nil, Printed::Plain, origin)?;
                Ok(false)
            }
            _ => {
                self.origin = origin;
                Err(self.misplaced("a value"))
            }
        }
    }

    /// Whether a key was refused since its object has it already, by the words of the error.
    pub fn is_twice(message: &str) -> bool {
        message.ends_with(super::TWICE)
    }

    /// Whether a key was refused.
    pub fn is_of_key(message: &str) -> bool {
        Self::is_twice(message) || message.starts_with(super::NO_KEY)
    }

    /// Whether a value that is printed here becomes a whole key.
    pub fn key_is_due(&self) -> bool {
        matches!(self.state, State::Key { .. })
    }

    /// Takes the repairs away, and forgets the output, but for the keys of what is open, before it gets long.
    pub fn settle(&mut self) -> Vec<Mended> {
        let long = self.out.len() > FORGET_AT + FORGET_AT_KEY * self.keys.len();
        // A key from data is not known, so that no other is the same.
        if long || self.out.contains(FROM_DATA) {
            let keys = self.taken();
            self.rebuild(keys);
        }
        self.mends = MENDS;
        std::mem::take(&mut self.repairs)
    }

    /// About how many bytes it holds.
    pub fn weight(&self) -> usize {
        self.out.len() + size_of::<(usize, usize)>() * self.keys.len() + self.stack.len()
    }

    /// Whether the same keys are taken.
    pub fn same_keys(&self, other: &Self) -> bool {
        // Mostly they are, in the same objects and in the same order.
        self.keys.len() == other.keys.len()
            && self.first_keys().eq(other.first_keys())
            && self.key_texts().eq(other.key_texts())
            || self.taken() == other.taken()
    }

    /// Which key is the first of each open object: the same keys can be shared out differently.
    fn first_keys(&self) -> impl Iterator<Item = usize> {
        self.stack.iter().filter_map(|open| match open {
            Container::Object { first_key, .. } => Some(*first_key),
            Container::Array => None,
        })
    }

    fn key_texts(&self) -> impl Iterator<Item = Option<&str>> {
        let keys = self.keys.iter();
        keys.map(|(start, end)| self.out.get(*start..*end))
    }

    /// Takes over the keys of another of the same shape; true if there were new ones.
    pub fn absorb(&mut self, other: &Self) -> bool {
        let mut keys = self.taken();
        let mut grew = false;
        for (mine, theirs) in keys.iter_mut().zip(other.taken()) {
            for key in theirs {
                grew |= mine.insert(key);
            }
        }
        if grew {
            self.rebuild(keys);
        }
        grew
    }

    /// The keys of each open object; those from data are left out: they are not known.
    fn taken(&self) -> Vec<BTreeSet<String>> {
        let mut ends: Vec<usize> = Vec::new();
        let mut starts: Vec<usize> = Vec::new();
        for open in &self.stack {
            if let Container::Object { first_key, .. } = open {
                if !starts.is_empty() {
                    ends.push(*first_key);
                }
                starts.push(*first_key);
            }
        }
        ends.push(self.keys.len());
        let text = |(start, end): &(usize, usize)| self.out.get(*start..*end).unwrap_or("");
        starts
            .into_iter()
            .zip(ends)
            .map(|(start, end)| {
                let marks = self.keys.get(start..end).unwrap_or(&[]);
                marks
                    .iter()
                    .map(text)
                    .filter(|key| !key.contains(FROM_DATA))
                    .map(str::to_owned)
                    .collect()
            })
            .collect()
    }

    /// The key that is being written. Data in it makes all of it unknown: how often it comes does not matter, but an
    /// escape that is open does.
    fn unfinished(&self) -> Option<&str> {
        let key = self.unfinished_text()?;
        match key.rfind(FROM_DATA) {
            Some(at) if self.state == State::Text(Role::Key) => key.get(at..at + 1),
            _ => Some(key),
        }
    }

    fn unfinished_text(&self) -> Option<&str> {
        let key = self.state.is_in_key();
        key.then(|| self.out.get(self.key_start..))?
    }

    fn rebuild(&mut self, taken: Vec<BTreeSet<String>>) {
        let unfinished = self.unfinished().map(str::to_owned);
        self.out.clear();
        self.keys.clear();
        let mut taken = taken.into_iter();
        for open in &mut self.stack {
            if let Container::Object { first_key, many } = open {
                *first_key = self.keys.len();
                *many = HashSet::new();
                for key in taken.next().unwrap_or_default() {
                    let start = self.out.len();
                    self.out.push_str(&key);
                    self.keys.push((start, self.out.len()));
                }
            }
        }
        if let Some(key) = unfinished {
            self.out.push('"');
            self.key_start = self.out.len();
            self.out.push_str(&key);
        }
    }
}
