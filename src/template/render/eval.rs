//! Expressions, conditions and filters.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Renderer;
use super::fuel::{self, Fuel};
use crate::template::filters::Arguments;
use crate::template::limits;
use crate::template::number::Number;
use crate::template::sink::TextSink;
use crate::template::syntax::expression::{
    Comparison, Condition, Expression, ExpressionKind, FilterCall, Filtered, Logic, Operator, Path,
    Root, Step,
};
use crate::template::syntax::{Fault, Span};
use crate::template::value::{Array, Object, Value, range_len};

/// What the innermost loop is called.
const FORLOOP: &str = "forloop";
/// How many members `forloop` has as an object.
const FORLOOP_MEMBERS: u64 = 9;

impl<'a> Renderer<'a> {
    /// The value of an expression with its filters.
    pub(super) fn filtered(&mut self, filtered: &'a Filtered) -> Result<Value<'a>, Fault> {
        self.through(&filtered.input, &filtered.filters)
    }

    /// The value of an expression after these filters.
    pub(super) fn through(
        &mut self,
        input: &'a Expression,
        filters: &'a [FilterCall],
    ) -> Result<Value<'a>, Fault> {
        let mut value = self.value(input)?;
        for call in filters {
            value = self.apply(value, call)?;
        }
        Ok(value)
    }

    fn apply(&mut self, input: Value<'a>, call: &'a FilterCall) -> Result<Value<'a>, Fault> {
        self.fuel.step(fuel::items(&input).max(1), call.span)?;
        self.fuel.bytes(fuel::read_cost(&input), call.span)?;
        let mut arguments = Arguments::default();
        for argument in &call.positional {
            let value = self.value(argument)?;
            self.fuel.bytes(fuel::read_cost(&value), call.span)?;
            arguments.positional.push(value);
        }
        for (name, argument) in &call.named {
            arguments.named.push((name.as_str(), self.value(argument)?));
        }
        self.context.work.set(self.fuel.bytes_left());
        let result = call
            .filter
            .apply(input, &arguments, &self.context)
            .map_err(|error| Fault::new(call.span, format!("{}: {error}", call.filter.name)))?;
        self.fuel.set_bytes_left(self.context.work.get());
        let made = fuel::made_cost(&result).saturating_add(self.context.made.take());
        self.fuel.make(made, call.span)?;
        if let Value::Str(text) = &result
            && text.len() > limits::VALUE_BYTES
        {
            let fault = format!("the text is larger than {} bytes", limits::VALUE_BYTES);
            return Err(Fault::new(call.span, fault));
        }
        Ok(result)
    }

    /// The value of an expression.
    pub(super) fn value(&mut self, expression: &'a Expression) -> Result<Value<'a>, Fault> {
        if let Some(value) = expression.literal() {
            return Ok(value);
        }
        Ok(match &expression.kind {
            ExpressionKind::Range(bounds) => {
                let first = self.bound(&bounds.0)?;
                let last = self.bound(&bounds.1)?;
                let length = range_len(first, last);
                if length > limits::RANGE {
                    return Err(Fault::new(
                        expression.span,
                        format!(
                            "the range {first}..{last} has more than {} numbers",
                            limits::RANGE
                        ),
                    ));
                }
                Value::Range(first, last)
            }
            ExpressionKind::Path(path) => self.path(path, expression.span)?,
            // The literals.
            _ => Value::Nil,
        })
    }

    /// A bound of a range: nil and text that is no number count as 0, as in Liquid.
    fn bound(&mut self, expression: &'a Expression) -> Result<i64, Fault> {
        let value = self.value(expression)?;
        self.fuel
            .bytes(fuel::digits_cost(&value), expression.span)?;
        let out_of_range = || Fault::new(expression.span, "this number is too large for a range");
        match &value {
            Value::Number(number) if is_whole(number) => number.to_i64().ok_or_else(out_of_range),
            Value::Number(number) => Err(Fault::new(
                expression.span,
                format!("a range cannot begin or end with {number}"),
            )
            .help("make it a whole number first, with `floor`, `ceil` or `round`")),
            Value::Str(text) => {
                let text = text.trim();
                let digits = text
                    .char_indices()
                    .find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && *c == '-')))
                    .map_or(text.len(), |(at, _)| at);
                let number = text.get(..digits).unwrap_or("");
                if number.is_empty() || number == "-" {
                    return Ok(0);
                }
                number.parse().map_err(|_| out_of_range())
            }
            Value::Bool(_) | Value::Array(_) | Value::Object(_) | Value::Range(..) => {
                Err(Fault::new(
                    expression.span,
                    format!("a range cannot begin or end with {}", value.kind()),
                ))
            }
            Value::Nil | Value::Empty | Value::Blank => Ok(0),
        }
    }

    fn path(&mut self, path: &'a Path, span: Span) -> Result<Value<'a>, Fault> {
        let look_up = self.scope.framed_names() / limits::NAMES_A_STEP;
        self.fuel.step(1 + look_up, span)?;
        let mut steps = path.steps.as_slice();
        let mut value = match &path.root {
            Root::Name(name) => {
                // As an object, `forloop` holds the loops around it.
                if name == FORLOOP
                    && !matches!(steps.first(), Some(Step::Name(member)) if member != "parentloop")
                {
                    self.forloop_cost(span)?;
                }
                let member = match (name.as_str(), steps.split_first()) {
                    (FORLOOP, Some((Step::Name(member), rest))) => {
                        self.scope.loop_member(member).map(|value| (value, rest))
                    }
                    _ => None,
                };
                match member {
                    Some((value, rest)) => {
                        steps = rest;
                        value
                    }
                    None => self.scope.get(name),
                }
            }
            Root::Computed(expression) => match self.value(expression)? {
                Value::Nil => Value::Nil,
                name => {
                    let name = self.text(&name, expression.span)?;
                    if &*name == FORLOOP {
                        self.forloop_cost(span)?;
                    }
                    self.scope.get(&name)
                }
            },
        };
        for step in steps {
            self.fuel.step(1, span)?;
            value = match step {
                Step::Name(name) => {
                    if name == "size" {
                        self.fuel.bytes(fuel::read_cost(&value), span)?;
                    }
                    self.search_cost(&value, name, span)?;
                    value.dot(name)
                }
                Step::Index(key) => {
                    let key = self.value(key)?;
                    self.fuel.bytes(key.own_bytes(), span)?;
                    self.search_cost(&value, "", span)?;
                    value.member(&key)
                }
            };
        }
        self.fuel.bytes(fuel::look_cost(&value), span)?;
        Ok(value)
    }

    /// As an object, `forloop` is made with all loops around it.
    fn forloop_cost(&mut self, span: Span) -> Result<(), Fault> {
        let loops = limits::MEMBER_BYTES.saturating_mul(self.depth as u64);
        self.fuel.make(FORLOOP_MEMBERS * loops, span)
    }

    fn search_cost(&mut self, value: &Value<'a>, key: &str, span: Span) -> Result<(), Fault> {
        match value {
            Value::Object(members) => self.fuel.bytes(members.search_bytes(key), span),
            _ => Ok(()),
        }
    }

    /// The text of a value, bounded and counted where it has to be put together.
    pub(super) fn text<'v>(
        &mut self,
        value: &'v Value<'a>,
        span: Span,
    ) -> Result<Cow<'v, str>, Fault> {
        if !matches!(value, Value::Array(_) | Value::Object(_)) {
            self.fuel.bytes(value.own_bytes(), span)?;
            return Ok(value.to_text());
        }
        let mut sink = TextSink::new(limits::VALUE_BYTES);
        let written = value.write_text(&mut sink);
        self.fuel.bytes(sink.used(), span)?;
        match written {
            Ok(()) => Ok(Cow::Owned(sink.into_text())),
            Err(_) => Err(Fault::new(
                span,
                format!("the text is larger than {} bytes", limits::VALUE_BYTES),
            )),
        }
    }

    /// Whether a condition holds. `and` and `or` group from the right, so the first value that decides ends it.
    pub(super) fn holds(&mut self, condition: &'a Condition) -> Result<bool, Fault> {
        let mut holds = self.comparison(&condition.first)?;
        for (logic, next) in &condition.rest {
            match (logic, holds) {
                (Logic::And, false) => return Ok(false),
                (Logic::Or, true) => return Ok(true),
                _ => holds = self.comparison(next)?,
            }
        }
        Ok(holds)
    }

    fn comparison(&mut self, comparison: &'a Comparison) -> Result<bool, Fault> {
        self.fuel.step(1, comparison.left.span)?;
        let left = self.value(&comparison.left)?;
        let Some((operator, right)) = &comparison.right else {
            return Ok(left.truthy());
        };
        let span = comparison.left.span.to(right.span);
        if comparison.left.describes() && right.describes() {
            // As in Liquid, these words describe values and are none: they do not even equal themselves.
            return Ok(*operator == Operator::NotEqual);
        }
        let right = self.value(right)?;
        if matches!((&left, &right), (Value::Str(_), Value::Str(_))) {
            let read = left.own_bytes().min(right.own_bytes());
            self.fuel.bytes(read, span)?;
        }
        if matches!((&left, &right), (Value::Number(_), Value::Number(_))) {
            self.fuel
                .bytes(left.own_bytes().saturating_add(right.own_bytes()), span)?;
        }
        let order = |wanted: fn(Ordering) -> bool| match left.liquid_cmp(&right) {
            Some(order) => Ok(wanted(order)),
            None if matches!(
                (&left, &right),
                (Value::Str(_), Value::Number(_)) | (Value::Number(_), Value::Str(_))
            ) =>
            {
                Err(Fault::new(
                    span,
                    format!("{} cannot be compared with {}", left.kind(), right.kind()),
                )
                .help("turn text into a number first: `assign n = text | plus: 0`"))
            }
            None => Ok(false),
        };
        match operator {
            Operator::Equal => self.equal(&left, &right, span),
            Operator::NotEqual => Ok(!self.equal(&left, &right, span)?),
            Operator::Less => order(Ordering::is_lt),
            Operator::LessEqual => order(Ordering::is_le),
            Operator::Greater => order(Ordering::is_gt),
            Operator::GreaterEqual => order(Ordering::is_ge),
            Operator::Contains => self.contains(&left, &right, span),
        }
    }

    /// Liquid's `==`; what it looks at is counted.
    pub(super) fn equal(
        &mut self,
        left: &Value<'a>,
        right: &Value<'a>,
        span: Span,
    ) -> Result<bool, Fault> {
        let fuel = &mut self.fuel;
        fuel.step(1, span)?;
        left.equal(right, &mut |bytes| {
            fuel.step(1, span)?;
            fuel.bytes(bytes, span)
        })
    }

    fn contains(&mut self, left: &Value<'a>, right: &Value<'a>, span: Span) -> Result<bool, Fault> {
        match left {
            Value::Array(items) if !right.is_nil() => {
                for item in items.iter() {
                    if self.equal(&item, right, span)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            // No text and no name holds an array or object.
            Value::Str(_) | Value::Object(_)
                if matches!(right, Value::Array(_) | Value::Object(_)) =>
            {
                Ok(false)
            }
            Value::Str(_) | Value::Object(_) if !right.is_nil() => {
                self.fuel.bytes(left.own_bytes(), span)?;
                let needle = Value::text(self.text(right, span)?.into_owned());
                self.search_cost(left, "", span)?;
                Ok(left.liquid_contains(&needle))
            }
            _ => Ok(left.liquid_contains(right)),
        }
    }

    /// A whole number that `for` takes (`limit:` and the like); nil is none.
    pub(super) fn whole(&mut self, expression: &'a Expression) -> Result<Option<i64>, Fault> {
        let value = self.value(expression)?;
        self.fuel
            .bytes(fuel::digits_cost(&value), expression.span)?;
        let number = match &value {
            Value::Nil => return Ok(None),
            Value::Number(number) if is_whole(number) => number.to_i64(),
            Value::Str(text) => text.trim().parse().ok(),
            _ => None,
        };
        let found = match &value {
            Value::Number(number) => number.to_string(),
            _ => value.kind().to_owned(),
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::new(
                expression.span,
                format!("expected a whole number, found {found}"),
            )),
        }
    }

    /// A number that `tablerow` takes: its whole part; nil and text that is no number count as 0.
    pub(super) fn lenient(&mut self, expression: &'a Expression) -> Result<i64, Fault> {
        let value = self.value(expression)?;
        let number = match &value {
            Value::Nil => Some(0),
            Value::Number(number) => number.to_i64(),
            Value::Str(text) => Number::from_text(text).to_i64(),
            _ => None,
        };
        number.ok_or_else(|| {
            let fault = format!("expected a number, found {}", value.kind());
            Fault::new(expression.span, fault)
        })
    }

    /// Refuses to keep values that nest too deep, since loops could make them ever deeper.
    pub(super) fn check_depth(&mut self, value: &Value<'a>, from: &Filtered) -> Result<(), Fault> {
        if from.filters.is_empty()
            || within_depth(value, limits::VALUE_DEPTH, &mut self.fuel, from.span)?
        {
            return Ok(());
        }
        Err(Fault::new(
            from.span,
            format!("the value nests more than {} deep", limits::VALUE_DEPTH),
        ))
    }
}

/// Whether nothing is lost when the number is taken for a whole one.
fn is_whole(number: &Number<'_>) -> bool {
    number
        .to_i64()
        .is_none_or(|whole| Number::Int(whole) == *number)
}

/// Whether what was made of a value nests at most `left` deep. What comes from JSON was bounded when it was parsed.
fn within_depth(
    value: &Value<'_>,
    left: usize,
    fuel: &mut Fuel,
    span: Span,
) -> Result<bool, Fault> {
    let Some(left) = left.checked_sub(1) else {
        return Ok(false);
    };
    // The same array may stand in another one many times.
    fuel.bytes(limits::READ_ITEM_BYTES, span)?;
    match value {
        Value::Array(Array::Made(items)) => {
            for item in items.iter() {
                if !within_depth(item, left, fuel, span)? {
                    return Ok(false);
                }
            }
        }
        Value::Object(Object::Made(members)) => {
            for (_, member) in members.iter() {
                if !within_depth(member, left, fuel, span)? {
                    return Ok(false);
                }
            }
        }
        _ => {}
    }
    Ok(true)
}
