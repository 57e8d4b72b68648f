//! Names during a render: the scene at the root, over it counters and assigned variables, over these the frames of
//! loops and partials. Lax: a name or member that is missing is nil. All state of a render lives here.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::Value as Json;

use super::value::{Text, Value};
use super::{Payload, Scene, limits};
use crate::cloudevents;

/// What a template finds at the root.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// `payload`, `event`, `headers`, `route`, `target`, `vars`.
    Scene(&'a Scene<'a>),
    /// The members of an object: plain Liquid.
    Globals(&'a Json),
}

/// All names and the state that tags keep between each other.
#[derive(Debug)]
pub struct Scope<'a> {
    roots: Roots<'a>,
    event: OnceCell<Value<'a>>,
    headers: OnceCell<Value<'a>>,
    frames: Vec<Frame<'a>>,
    /// The first frame that is visible: those below belong to callers of `render`.
    base: usize,
    /// How many names all frames have.
    names: usize,
    locals: Locals<'a>,
}

/// What a template or an isolated partial has for itself.
#[derive(Debug, Default)]
struct Locals<'a> {
    variables: HashMap<&'a str, Value<'a>>,
    counters: HashMap<&'a str, i64>,
    cycles: HashMap<String, usize>,
    offsets: HashMap<&'a str, i64>,
    changed: Option<String>,
}

/// Names of a loop or a partial.
#[derive(Debug, Default)]
pub struct Frame<'a> {
    /// The names.
    pub names: Vec<(&'a str, Value<'a>)>,
    /// The loop, if the frame is one.
    pub forloop: Option<ForLoop<'a>>,
}

/// What `forloop` tells.
#[derive(Debug, Clone, Copy)]
pub struct ForLoop<'a> {
    /// `VARIABLE-COLLECTION`
    pub name: &'a str,
    /// How many rounds there are.
    pub length: usize,
    /// Which round it is, from 0.
    pub index: usize,
    /// Whether loops within see it as their `parentloop`.
    pub parent: bool,
}

/// What an isolated partial hides from its caller and the other way round.
#[derive(Debug)]
pub struct Hidden<'a> {
    base: usize,
    locals: Locals<'a>,
}

impl<'a> Scope<'a> {
    /// The names at the root, nothing else.
    #[must_use]
    pub fn new(roots: Roots<'a>) -> Self {
        Self {
            roots,
            event: OnceCell::new(),
            headers: OnceCell::new(),
            frames: Vec::new(),
            base: 0,
            names: 0,
            locals: Locals::default(),
        }
    }

    /// What a name stands for; nil if it is not known.
    #[must_use]
    pub fn get(&self, name: &str) -> Value<'a> {
        let frames = self.frames.get(self.base..).unwrap_or(&[]);
        for (index, frame) in frames.iter().enumerate().rev() {
            if let Some((_, value)) = frame.names.iter().find(|(known, _)| *known == name) {
                return value.clone();
            }
            if name == "forloop" && frame.forloop.is_some() {
                return self.loop_object(self.base + index);
            }
        }
        if let Some(value) = self.locals.variables.get(name) {
            return value.clone();
        }
        if let Some(count) = self.locals.counters.get(name) {
            return Value::int(*count);
        }
        self.root(name)
    }

    /// The members of the innermost `forloop` without making an object of it: `None` if there is no loop, or the name
    /// is taken by something else.
    #[must_use]
    pub fn loop_member(&self, member: &str) -> Option<Value<'a>> {
        let frames = self.frames.get(self.base..).unwrap_or(&[]);
        for (index, frame) in frames.iter().enumerate().rev() {
            if let Some(forloop) = frame.forloop {
                if member == "parentloop" {
                    return Some(self.parent_object(self.base + index));
                }
                return Some(forloop.member(member));
            }
            if frame.names.iter().any(|(known, _)| *known == "forloop") {
                return None;
            }
        }
        None
    }

    fn root(&self, name: &str) -> Value<'a> {
        let scene = match self.roots {
            Roots::Globals(Json::Object(members)) => {
                return members.get(name).map_or(Value::Nil, Value::from);
            }
            Roots::Globals(_) => return Value::Nil,
            Roots::Scene(scene) => scene,
        };
        match name {
            "payload" => match scene.payload {
                Payload::Parsed(payload) => Value::from(payload),
                Payload::Made(payload) => Value::from(payload),
            },
            "event" => self.event.get_or_init(|| event(scene)).clone(),
            "headers" => self.headers.get_or_init(|| headers(scene)).clone(),
            "route" => Value::from(scene.route),
            "target" => Value::from(scene.target),
            "vars" => Value::Object(super::value::Object::Json(scene.vars)),
            _ => Value::Nil,
        }
    }

    fn loop_object(&self, frame: usize) -> Value<'a> {
        let Some(forloop) = self.frames.get(frame).and_then(|frame| frame.forloop) else {
            return Value::Nil;
        };
        let fields = [
            "name", "length", "index", "index0", "rindex", "rindex0", "first", "last",
        ];
        let mut members: Vec<(Text<'a>, Value<'a>)> = fields
            .into_iter()
            .map(|field| (Text::Borrowed(field), forloop.member(field)))
            .collect();
        members.push((Text::Borrowed("parentloop"), self.parent_object(frame)));
        Value::object(members)
    }

    /// The loop around the one of this frame.
    fn parent_object(&self, frame: usize) -> Value<'a> {
        let outer = self.frames.get(self.base..frame).unwrap_or(&[]);
        let parent = outer.iter().rposition(|frame| frame.forloop.is_some());
        match parent {
            Some(index)
                if outer
                    .get(index)
                    .and_then(|frame| frame.forloop)
                    .is_some_and(|forloop| forloop.parent) =>
            {
                self.loop_object(self.base + index)
            }
            _ => Value::Nil,
        }
    }

    /// How many names a look-up goes through, at most, before it comes to variables.
    #[must_use]
    pub fn framed_names(&self) -> u64 {
        self.names as u64
    }

    /// Sets a variable of the template.
    pub fn assign(&mut self, name: &'a str, value: Value<'a>) {
        self.locals.variables.insert(name, value);
    }

    /// A new innermost frame.
    pub fn push(&mut self, frame: Frame<'a>) {
        self.names += frame.names.len();
        self.frames.push(frame);
    }

    /// Ends the innermost frame.
    pub fn pop(&mut self) {
        let popped = self.frames.pop();
        self.names -= popped.map_or(0, |frame| frame.names.len());
    }

    /// The innermost frame.
    pub fn frame(&mut self) -> Option<&mut Frame<'a>> {
        self.frames.last_mut()
    }

    /// Hides all frames and variables, for an isolated partial.
    #[must_use]
    pub fn hide(&mut self) -> Hidden<'a> {
        Hidden {
            base: std::mem::replace(&mut self.base, self.frames.len()),
            locals: std::mem::take(&mut self.locals),
        }
    }

    /// Brings back what was hidden.
    pub fn unhide(&mut self, hidden: Hidden<'a>) {
        self.base = hidden.base;
        self.locals = hidden.locals;
    }

    /// The counter's value before it is changed by `by`, for `increment`; after it, for `decrement`. In plain Liquid it
    /// starts from the global of its name, if that is a whole number.
    pub fn count(&mut self, name: &'a str, by: i64) -> i64 {
        let global = match self.roots {
            Roots::Globals(globals) => globals.get(name).and_then(Json::as_i64),
            Roots::Scene(_) => None,
        };
        let counter = self.locals.counters.entry(name);
        let counter = counter.or_insert(global.unwrap_or(0));
        let before = *counter;
        *counter = counter.saturating_add(by);
        if by > 0 { before } else { *counter }
    }

    /// Which of `length` values a group of `cycle` is at; the next time it is the next one. `None` if there are too
    /// many groups.
    pub fn cycle(&mut self, group: String, length: usize) -> Option<usize> {
        let cycles = &mut self.locals.cycles;
        if cycles.len() >= limits::CYCLES && !cycles.contains_key(&group) {
            return None;
        }
        let at = cycles.entry(group).or_insert(0);
        let current = *at;
        *at = if current + 1 >= length {
            0
        } else {
            current + 1
        };
        Some(current)
    }

    /// Where the last loop of this name ended.
    #[must_use]
    pub fn offset(&self, name: &str) -> i64 {
        self.locals.offsets.get(name).copied().unwrap_or(0)
    }

    /// Remembers where a loop of this name ends.
    pub fn set_offset(&mut self, name: &'a str, end: i64) {
        self.locals.offsets.insert(name, end);
    }

    /// Whether this differs from what `ifchanged` saw last; at first it saw nothing.
    pub fn changed(&mut self, text: String) -> bool {
        let changed = self.locals.changed.as_deref().unwrap_or("") != text;
        self.locals.changed = Some(text);
        changed
    }
}

impl<'a> ForLoop<'a> {
    fn member(&self, name: &str) -> Value<'a> {
        let count = |n: usize| Value::int(i64::try_from(n).unwrap_or(i64::MAX));
        let left = self.length.saturating_sub(self.index);
        match name {
            "name" => Value::from(self.name),
            "length" => count(self.length),
            "index" => count(self.index.saturating_add(1)),
            "index0" => count(self.index),
            "rindex" => count(left),
            "rindex0" => count(left.saturating_sub(1)),
            "first" => Value::Bool(self.index == 0),
            "last" => Value::Bool(left == 1),
            _ => Value::Nil,
        }
    }
}

fn event<'a>(scene: &Scene<'a>) -> Value<'a> {
    let event = scene.event;
    let members = [
        ("id", Value::from(event.id)),
        (
            "message_id",
            event.message_id.map_or(Value::Nil, Value::from),
        ),
        ("source", Value::from(event.source)),
        ("type", Value::from(event.event_type)),
        ("received_at", Value::text(event.received_at.to_string())),
        ("cloudevent", cloudevent(scene)),
    ];
    Value::object(
        members
            .into_iter()
            .map(|(name, value)| (Text::Borrowed(name), value))
            .collect(),
    )
}

/// The attributes of the CloudEvent that the headers carry, in their order; nil if they carry none.
fn cloudevent<'a>(scene: &Scene<'a>) -> Value<'a> {
    let headers = scene.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let Some(attributes) = cloudevents::attributes(headers) else {
        return Value::Nil;
    };
    let members = attributes.into_iter().map(|(name, value)| {
        let value = match value {
            Cow::Borrowed(text) => Value::from(text),
            Cow::Owned(text) => Value::text(text),
        };
        (Text::Borrowed(name), value)
    });
    Value::object(members.collect())
}

/// The headers in their order; the values of one that comes several times are joined by commas, as HTTP reads them.
fn headers<'a>(scene: &Scene<'a>) -> Value<'a> {
    let mut members: Vec<(&'a str, Cow<'a, str>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (name, value) in scene.headers {
        let at = *known.entry(name).or_insert(members.len());
        match members.get_mut(at) {
            Some((_, text)) => {
                let text = text.to_mut();
                text.push_str(", ");
                text.push_str(value);
            }
            None => members.push((name, Cow::Borrowed(value))),
        }
    }
    let text = |value| match value {
        Cow::Borrowed(text) => Value::from(text),
        Cow::Owned(text) => Value::text(text),
    };
    Value::object(
        members
            .into_iter()
            .map(|(name, value)| (Text::Borrowed(name), text(value)))
            .collect(),
    )
}
