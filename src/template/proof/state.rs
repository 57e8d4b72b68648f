//! A way through the template as far as the proof follows it, and sets of such ways.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::template::sink::Origin;
use crate::template::writer::{Shape, Writer};

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Known {
    Nothing,
    /// Nothing, and it may be the literal `empty` or `blank`, which equal several things.
    Odd,
    /// Neither nil nor false.
    Truthy,
    Nil,
    Bool(bool),
    Int(i64),
    Str(String),
}

impl Known {
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Nothing | Self::Odd => None,
            Self::Nil | Self::Bool(false) => Some(false),
            Self::Truthy | Self::Bool(true) | Self::Int(_) | Self::Str(_) => Some(true),
        }
    }

    /// Whether two values are equal, as far as that can be told.
    pub fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Nothing | Self::Odd, _) | (_, Self::Nothing | Self::Odd) => None,
            (Self::Truthy, _) | (_, Self::Truthy) => match (self.truth(), other.truth()) {
                (Some(a), Some(b)) if a != b => Some(false),
                _ => None,
            },
            _ => Some(self == other),
        }
    }
}

/// What a condition asks, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// Whether the subject is neither nil nor false.
    Truthy,
    /// Whether the subject equals a literal.
    Equals(Known),
    /// Whether a loop over the subject has a round.
    Rounds,
    /// Anything else, by its text.
    Other(String),
}

/// A condition that was decided on the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fact {
    pub subject: String,
    pub question: Question,
    pub holds: bool,
    /// The variables that it is about; a new value of one of them ends it.
    pub roots: Vec<String>,
}

/// Where a name or a collection comes from: the steps from `payload`; `None` stands for each item.
pub type Source = Vec<Option<String>>;

/// Names of a loop or partial.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Frame {
    pub names: BTreeMap<String, (Known, Option<Source>)>,
    /// First and last, if it is a loop; and whether loops within see it as their parent.
    pub round: Option<(bool, bool)>,
}

/// Where printing goes.
#[derive(Debug, Clone)]
pub enum Out {
    Json(Box<Writer>),
    Text,
}

/// What a decision means for a payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Hint {
    Set(Source, bool),
    Is(Source, Known),
    Rounds(Source, usize),
}

/// A decision on the way.
#[derive(Debug)]
pub struct Step {
    pub origin: Origin,
    pub what: String,
    pub hint: Option<Hint>,
    pub before: Route,
}

pub type Route = Option<Rc<Step>>;

/// A way through the template up to here.
#[derive(Debug, Clone)]
pub struct Way {
    pub outs: Vec<Out>,
    pub variables: BTreeMap<String, Known>,
    pub frames: Vec<Frame>,
    pub facts: Vec<Fact>,
    pub route: Route,
}

/// What makes two ways the same from here on, but for the keys that are taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    outs: Vec<Option<Shape>>,
    variables: BTreeMap<String, Known>,
    frames: Vec<Frame>,
    facts: Vec<Fact>,
}

impl Way {
    fn identity(&self) -> Identity {
        let shape = |out: &Out| match out {
            Out::Json(writer) => Some(writer.shape()),
            Out::Text => None,
        };
        Identity {
            outs: self.outs.iter().map(shape).collect(),
            variables: self.variables.clone(),
            frames: self.frames.clone(),
            facts: self.facts.clone(),
        }
    }

    /// Ends what was known about a variable.
    pub fn forget(&mut self, name: &str) {
        self.facts
            .retain(|fact| !fact.roots.iter().any(|root| root == name));
    }

    pub fn learn(&mut self, fact: Fact) {
        if let Err(at) = self.facts.binary_search_by(|known| {
            (&known.subject, format!("{:?}", known.question))
                .cmp(&(&fact.subject, format!("{:?}", fact.question)))
        }) {
            self.facts.insert(at, fact);
        }
    }

    pub fn decide(&mut self, origin: Origin, what: String, hint: Option<Hint>) {
        self.route = Some(Rc::new(Step {
            origin,
            what,
            hint,
            before: self.route.take(),
        }));
    }
}

/// Ways that stand at the same place. Those that go on alike are one.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    list: Vec<Way>,
    index: HashMap<Identity, usize>,
    /// Whether ways with different keys became one: what fails then for its keys need not fail.
    pub joined: bool,
}

impl Ways {
    pub fn one(way: Way) -> Self {
        let mut ways = Self::default();
        ways.add(way);
        ways
    }

    /// True if it is new, or brings keys that are.
    pub fn add(&mut self, way: Way) -> bool {
        let identity = way.identity();
        let Some(at) = self.index.get(&identity) else {
            self.index.insert(identity, self.list.len());
            self.list.push(way);
            return true;
        };
        let Some(mine) = self.list.get_mut(*at) else {
            return false;
        };
        let mut grew = false;
        for (out, other) in mine.outs.iter_mut().zip(&way.outs) {
            if let (Out::Json(out), Out::Json(other)) = (out, other)
                && !out.same_keys(other)
            {
                self.joined = true;
                grew |= out.absorb(other);
            }
        }
        grew
    }

    pub fn extend(&mut self, other: Self) {
        self.joined |= other.joined;
        for way in other.list {
            self.add(way);
        }
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn into_list(self) -> Vec<Way> {
        self.list
    }

    /// The way as it now is that this one became part of.
    pub fn current(&self, way: &Way) -> Option<&Way> {
        self.list.get(*self.index.get(&way.identity())?)
    }

    /// Fewer ways that know less.
    pub fn widen(&mut self, variables: bool) {
        for mut way in std::mem::take(self).list {
            way.facts.clear();
            if variables {
                way.variables
                    .values_mut()
                    .for_each(|known| *known = Known::Odd);
            }
            self.add(way);
        }
        self.joined = true;
    }
}
