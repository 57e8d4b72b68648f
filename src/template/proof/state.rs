//! A way through the template as far as the proof follows it, and sets of such ways.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::template::sink::Origin;
use crate::template::syntax::expression::Operator;
use crate::template::writer::{Shape, Writer};

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Known {
    Nothing,
    /// Neither nil nor false.
    Truthy,
    /// Text or a number.
    Scalar,
    /// An array that a filter made; one of the payload could be an object with a member `size`.
    Array,
    /// A whole number, this or greater.
    AtLeast(i64),
    Nil,
    Bool(bool),
    Int(i64),
    Str(String),
}

impl Known {
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Nothing => None,
            Self::Nil | Self::Bool(false) => Some(false),
            Self::Truthy
            | Self::Scalar
            | Self::Array
            | Self::AtLeast(_)
            | Self::Bool(true)
            | Self::Int(_)
            | Self::Str(_) => Some(true),
        }
    }

    /// Whether two values are equal, as far as that can be told.
    pub fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => None,
            (Self::AtLeast(least), Self::Int(int)) | (Self::Int(int), Self::AtLeast(least))
                if int < least =>
            {
                Some(false)
            }
            (a, b) if a.is_vague() || b.is_vague() => match (a.truth(), b.truth()) {
                (Some(a), Some(b)) if a != b => Some(false),
                _ => None,
            },
            _ => Some(self == other),
        }
    }

    /// Whether it stands for several values.
    fn is_vague(&self) -> bool {
        matches!(
            self,
            Self::Truthy | Self::Scalar | Self::Array | Self::AtLeast(_)
        )
    }

    /// Whether `<` and the like hold, as far as that can be told: what is known of the order to `other`.
    pub fn compare(&self, other: &Self) -> Option<Order> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(Order::Exactly(a.cmp(b))),
            (Self::AtLeast(a), Self::Int(b)) if a > b => Some(Order::Exactly(Ordering::Greater)),
            (Self::AtLeast(a), Self::Int(b)) if a == b => Some(Order::NotLess),
            _ => None,
        }
    }

    /// This number plus `add`. Counting stops at [`COUNTED`], so that loops over counters come to an end.
    pub fn plus(&self, add: i64) -> Self {
        /// Counters are asked whether they are 0, or beyond 1.
        const COUNTED: i64 = 2;
        let sum = match self {
            Self::Nil => Some(add),
            Self::Int(int) | Self::AtLeast(int) => int.checked_add(add),
            _ => None,
        };
        match (sum, self) {
            (Some(sum), Self::Nil | Self::Int(_)) if (-COUNTED..=COUNTED).contains(&sum) => {
                Self::Int(sum)
            }
            (Some(sum), _) if sum > COUNTED => Self::AtLeast(COUNTED + 1),
            _ => Self::Scalar,
        }
    }
}

/// What is known of the order of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Exactly(Ordering),
    NotLess,
}

impl Order {
    /// Whether the operator holds; `None` if that is open or it is none of order.
    pub fn decides(self, operator: Operator) -> Option<bool> {
        match (operator, self) {
            (Operator::Less, Self::NotLess) => Some(false),
            (Operator::GreaterEqual, Self::NotLess) => Some(true),
            (Operator::Less, Self::Exactly(order)) => Some(order.is_lt()),
            (Operator::LessEqual, Self::Exactly(order)) => Some(order.is_le()),
            (Operator::Greater, Self::Exactly(order)) => Some(order.is_gt()),
            (Operator::GreaterEqual, Self::Exactly(order)) => Some(order.is_ge()),
            _ => None,
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

/// What a name stands for.
#[derive(Debug, Clone)]
pub struct Held {
    pub known: Known,
    /// Where it comes from; of use to find counter-examples only, so that it makes no two ways different.
    pub source: Option<Source>,
}

impl Held {
    /// Something that does not come from the payload as it is.
    pub fn made(known: Known) -> Self {
        Self {
            known,
            source: None,
        }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.known.hash(state);
    }
}

/// What names stand for.
pub type Names = BTreeMap<String, Held>;

/// Which round of a loop it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Round {
    pub first: bool,
    pub last: bool,
    /// Whether loops within see this one as their `parentloop`.
    pub parent: bool,
}

/// Names of a loop or partial.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Frame {
    pub names: Names,
    /// The round, if it is a loop.
    pub round: Option<Round>,
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

impl Drop for Step {
    /// One after the other: a way can be as long as the template, the stack is not.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut step) = next.and_then(|step| Rc::try_unwrap(step).ok()) {
            next = step.before.take();
        }
    }
}

/// A way through the template up to here.
#[derive(Debug, Clone)]
pub struct Way {
    pub outs: Vec<Out>,
    pub variables: Names,
    pub frames: Vec<Frame>,
    pub facts: Vec<Rc<Fact>>,
    pub route: Route,
    /// Whether keys are taken for it that are taken on some of the ways only that became this one.
    pub joined: bool,
}

/// Bytes of keys that weigh as much as an entry of a map.
const UNIT: usize = 64;
/// Most characters of a condition that a decision quotes.
const QUOTED: usize = 80;

impl Way {
    /// Whether two ways are the same from here on, but for the keys that are taken.
    fn goes_on_as(&self, other: &Self) -> bool {
        self.shapes().eq(other.shapes())
            && self.variables == other.variables
            && self.frames == other.frames
            && self.facts == other.facts
    }

    /// The same for ways that go on alike.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.shapes().for_each(|shape| shape.hash(&mut hasher));
        (&self.variables, &self.frames, &self.facts).hash(&mut hasher);
        hasher.finish()
    }

    fn shapes(&self) -> impl Iterator<Item = Option<Shape>> {
        self.outs.iter().map(|out| match out {
            Out::Json(writer) => Some(writer.shape()),
            Out::Text => None,
        })
    }

    /// What it takes to keep and to copy this way, in units of [`UNIT`] bytes or one small entry of a map.
    pub fn weight(&self) -> usize {
        let frames = self.frames.iter().map(|frame| 1 + 4 * frame.names.len());
        let outs = self.outs.iter().map(|out| match out {
            Out::Json(writer) => 1 + writer.weight() / UNIT,
            Out::Text => 1,
        });
        1 + 4 * self.variables.len() + self.facts.len() + frames.chain(outs).sum::<usize>()
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
            self.facts.insert(at, Rc::new(fact));
        }
    }

    pub fn decide(&mut self, origin: Origin, mut what: String, hint: Option<Hint>) {
        if let Some((end, _)) = what.char_indices().nth(QUOTED) {
            what.truncate(end);
            what.push('…');
        }
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
    /// Where those of a digest stand.
    index: HashMap<u64, Vec<usize>>,
    /// What it took to make ways one, as [`Way::weight`] counts.
    pub work: usize,
}

impl Ways {
    pub fn one(way: Way) -> Self {
        let mut ways = Self::default();
        ways.add(way);
        ways
    }

    /// True if it is new, or brings keys that are.
    pub fn add(&mut self, way: Way) -> bool {
        let digest = way.digest();
        let known = self.find(digest, &way);
        let Some(mine) = known.and_then(|at| self.list.get_mut(at)) else {
            self.index.entry(digest).or_default().push(self.list.len());
            self.list.push(way);
            return true;
        };
        let mut grew = false;
        mine.joined |= way.joined;
        for (out, other) in mine.outs.iter_mut().zip(&way.outs) {
            if let (Out::Json(out), Out::Json(other)) = (out, other)
                && !out.same_keys(other)
            {
                self.work += out.weight() + other.weight();
                mine.joined = true;
                grew |= out.absorb(other);
            }
        }
        grew
    }

    pub fn extend(&mut self, other: Self) {
        self.work += other.work;
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

    pub fn iter(&self) -> impl Iterator<Item = &Way> {
        self.list.iter()
    }

    pub fn into_list(self) -> Vec<Way> {
        self.list
    }

    /// The way as it now is that this one became part of.
    pub fn current(&self, way: &Way) -> Option<&Way> {
        self.list.get(self.find(way.digest(), way)?)
    }

    fn find(&self, digest: u64, way: &Way) -> Option<usize> {
        let of_digest = self.index.get(&digest)?;
        of_digest.iter().copied().find(|at| {
            let known = self.list.get(*at);
            known.is_some_and(|known| known.goes_on_as(way))
        })
    }

    /// Fewer ways that know less.
    pub fn widen(&mut self, variables: bool) {
        for mut way in std::mem::take(self).list {
            way.facts.clear();
            if variables {
                way.variables
                    .values_mut()
                    .for_each(|held| held.known = Known::Nothing);
            }
            self.add(way);
        }
    }
}
