//! One parsed JSON text as a flat document, made to be read once or twice and dropped: three allocations in all, no
//! hash, nothing copied value by value.
//!
//! Promises: what it takes and what it means is what `serde_json` takes and means (numbers keep their text, exponents
//! are written `e+5`; of members with the same name the last value counts, at the place of the first), but for one
//! thing: an object whose first name is the one by which `serde_json` hands numbers over is an object like any other.
//! An item of an array is found at once, a member of an object in the logarithm of its size, and no text makes
//! parsing cost more than its length by that logarithm. Nesting ends at [`MAX_DEPTH`].
//!
//! How it lies: the items of an array stand side by side in `nodes`, so do the members of an object (name, value,
//! name, value); the node of the array or object says where they start and how many there are. Texts are ranges of
//! `text`. Not here: changing a value (see [`Ref::to_value`]), comparing numbers (see `decimal`).

mod parse;
mod print;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

pub use parse::JsonError;
pub use print::{write_escaped, write_string};

/// Most arrays and objects within each other; `serde_json` takes as many.
pub const MAX_DEPTH: usize = 127;

/// Up to so many members, names are compared one by one; beyond, the members are also sorted by name.
const FEW_MEMBERS: usize = 16;

/// A parsed JSON text.
pub struct Document {
    /// What strings, names and numbers say, one behind the other.
    text: String,
    /// What lies within arrays and objects, those within each other first.
    nodes: Vec<Node>,
    /// For each object of more than [`FEW_MEMBERS`], the positions of its members, sorted by [`by_name`].
    sorted: Vec<u32>,
    root: Node,
}

/// A value, a name, or what belongs to an object.
#[derive(Debug, Clone, Copy)]
struct Node {
    tag: Tag,
    /// Where its text, its items, its members or its positions start.
    start: u32,
    /// How many bytes, items or members they are.
    len: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
    /// Stands behind the members of an object that has more than [`FEW_MEMBERS`]: where in `sorted` their positions are.
    Sorted,
}

/// A value within a document.
#[derive(Clone, Copy)]
pub struct Ref<'a> {
    document: &'a Document,
    node: &'a Node,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// The text of a number, as `serde_json` writes it.
    Number(&'a str),
    /// A string, without escapes.
    String(&'a str),
    /// An array.
    Array(Items<'a>),
    /// An object.
    Object(Members<'a>),
}

/// The items of an array.
#[derive(Clone, Copy)]
pub struct Items<'a>(Ref<'a>);

/// The members of an object. No two have the same name.
#[derive(Clone, Copy)]
pub struct Members<'a>(Ref<'a>);

impl Document {
    /// Parses one JSON text, white space around it allowed.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn parse(json: &[u8]) -> Result<Self, JsonError> {
        parse::parse(json)
    }

    /// The value of the text.
    #[must_use]
    pub fn root(&self) -> Ref<'_> {
        Ref {
            document: self,
            node: &self.root,
        }
    }

    fn text(&self, node: &Node) -> &str {
        node.of(&self.text)
    }
}

impl Node {
    /// Its text, which is a range of the document's.
    fn of<'t>(&self, text: &'t str) -> &'t str {
        let start = self.start as usize;
        let range = start..start + self.len as usize;
        text.get(range).unwrap_or_default()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

impl<'a> Ref<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind<'a> {
        match self.node.tag {
            Tag::Null | Tag::Sorted => Kind::Null,
            Tag::False => Kind::Bool(false),
            Tag::True => Kind::Bool(true),
            Tag::Number => Kind::Number(self.document.text(self.node)),
            Tag::String => Kind::String(self.document.text(self.node)),
            Tag::Array => Kind::Array(Items(self)),
            Tag::Object => Kind::Object(Members(self)),
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.node.tag == Tag::Null
    }

    /// Its text, if it is a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self.kind() {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member of this name, if it is an object that has one.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Ref<'a>> {
        match self.kind() {
            Kind::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The value at a JSON pointer (RFC 6901): `/data/items/0`.
    #[must_use]
    pub fn pointer(self, pointer: &str) -> Option<Ref<'a>> {
        let mut steps = pointer.split('/');
        // before the first `/` stands nothing
        if !steps.next()?.is_empty() {
            return None;
        }
        steps.try_fold(self, |value, step| {
            let name = match step.contains('~') {
                true => Cow::Owned(step.replace("~1", "/").replace("~0", "~")),
                false => Cow::Borrowed(step),
            };
            match value.kind() {
                Kind::Object(members) => members.get(&name),
                Kind::Array(items) => items.get(position(&name)?),
                _ => None,
            }
        })
    }

    /// The same value to change or to hand to `serde`.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self.kind() {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(b),
            // A number of a document always is one.
            Kind::Number(text) => text.parse().map_or(Value::Null, Value::Number),
            Kind::String(text) => Value::String(text.to_owned()),
            Kind::Array(items) => Value::Array(items.iter().map(Ref::to_value).collect()),
            Kind::Object(members) => {
                let members = members.iter();
                let members = members.map(|(name, value)| (name.to_owned(), value.to_value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// The nodes within it: of `count`, those that are there.
    fn within(self, count: usize) -> &'a [Node] {
        let nodes = self.document.nodes.get(self.node.start as usize..);
        let nodes = nodes.unwrap_or_default();
        nodes.get(..count).unwrap_or_default()
    }

    fn len(self) -> usize {
        self.node.len as usize
    }
}

/// A position as a pointer writes it: digits, no zeros before others.
fn position(text: &str) -> Option<usize> {
    if text.starts_with('+') || (text.starts_with('0') && text.len() != 1) {
        return None;
    }
    text.parse().ok()
}

impl<'a> Items<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, from 0.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Ref<'a>> {
        let node = self.0.within(self.len()).get(index)?;
        Some(Ref { node, ..self.0 })
    }

    /// All of them in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Ref<'a>> + ExactSizeIterator + use<'a> {
        let nodes = self.0.within(self.len()).iter();
        nodes.map(move |node| Ref { node, ..self.0 })
    }
}

impl<'a> Members<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of the member of this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Ref<'a>> {
        let document = self.0.document;
        let pairs = self.pairs();
        let found = if pairs.len() <= FEW_MEMBERS {
            pairs
                .iter()
                .find(|[known, _]| known.len as usize == name.len() && document.text(known) == name)
        } else {
            let sorted = self.sorted();
            let compare = |at: &u32| match pairs.get(*at as usize) {
                Some([known, _]) => by_name(document.text(known), name),
                None => Ordering::Less,
            };
            let at = sorted.binary_search_by(compare).ok()?;
            pairs.get(*sorted.get(at)? as usize)
        };
        let [_, node] = found?;
        Some(Ref { document, node })
    }

    /// All of them, names and values, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'a str, Ref<'a>)> + use<'a> {
        let document = self.0.document;
        let pairs = self.pairs().iter();
        pairs.map(move |[name, node]| (document.text(name), Ref { document, node }))
    }

    fn pairs(self) -> &'a [[Node; 2]] {
        self.0.within(2 * self.len()).as_chunks().0
    }

    /// The positions of its members, sorted by name; nothing if they are few.
    fn sorted(self) -> &'a [u32] {
        let all = self.0.within(2 * self.len() + 1);
        let start = match all.last() {
            Some(node) if node.tag == Tag::Sorted => node.start as usize,
            _ => return &[],
        };
        let sorted = self.0.document.sorted.get(start..).unwrap_or_default();
        sorted.get(..self.len()).unwrap_or_default()
    }
}

/// The order in which names are sorted: the shorter first, which tells most of them apart without a look at them.
fn by_name(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
impl From<&Value> for Document {
    /// The document of a value that a test made.
    fn from(value: &Value) -> Self {
        Self::parse(value.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[cfg(test)]
mod tests;
