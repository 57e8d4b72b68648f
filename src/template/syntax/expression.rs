//! Expressions: literals, paths, ranges, filters, conditions. How they are read stands in `words`.

use std::fmt;

use super::Span;
use crate::template::filters::Filter;
use crate::template::number::Number;
use crate::template::value::Value;

/// A value as it is written.
#[derive(Debug, Clone)]
pub struct Expression {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: ExpressionKind,
}

/// What an expression is.
#[derive(Debug, Clone)]
pub enum ExpressionKind {
    /// `nil`, `null`.
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, by its text, which is one of JSON.
    Number(String),
    /// A string.
    Str(String),
    /// `empty`
    Empty,
    /// `blank`
    Blank,
    /// `(first..last)`
    Range(Box<(Expression, Expression)>),
    /// A variable and the way into it.
    Path(Path),
}

impl Expression {
    /// The expression where it is not compared: `empty` and `blank` are an empty string there.
    #[must_use]
    pub fn plain(mut self) -> Self {
        if self.describes() {
            self.kind = ExpressionKind::Str(String::new());
        }
        self
    }

    /// The value, if it is written down.
    #[must_use]
    pub fn literal(&self) -> Option<Value<'_>> {
        Some(match &self.kind {
            ExpressionKind::Nil => Value::Nil,
            ExpressionKind::Bool(b) => Value::Bool(*b),
            ExpressionKind::Int(int) => Value::int(*int),
            ExpressionKind::Number(text) => Value::Number(Number::Text(text)),
            ExpressionKind::Str(text) => Value::from(text.as_str()),
            ExpressionKind::Empty => Value::Empty,
            ExpressionKind::Blank => Value::Blank,
            ExpressionKind::Range(_) | ExpressionKind::Path(_) => return None,
        })
    }

    /// Whether it is the word `empty` or `blank`.
    #[must_use]
    pub fn describes(&self) -> bool {
        matches!(self.kind, ExpressionKind::Empty | ExpressionKind::Blank)
    }
}

/// A variable and the way into it.
#[derive(Debug, Clone)]
pub struct Path {
    /// The variable.
    pub root: Root,
    /// The steps from there.
    pub steps: Vec<Step>,
}

/// What a path starts from.
#[derive(Debug, Clone)]
pub enum Root {
    /// `name`
    Name(String),
    /// `[expression]`: the variable of that name.
    Computed(Box<Expression>),
}

/// A step of a path.
#[derive(Debug, Clone)]
pub enum Step {
    /// `.name`
    Name(String),
    /// `[expression]`
    Index(Expression),
}

/// An expression with its filters.
#[derive(Debug, Clone)]
pub struct Filtered {
    /// All of it.
    pub span: Span,
    /// The value.
    pub input: Expression,
    /// The filters in order.
    pub filters: Vec<FilterCall>,
}

/// One use of a filter.
#[derive(Clone)]
pub struct FilterCall {
    /// The name with its arguments.
    pub span: Span,
    /// The filter.
    pub filter: &'static Filter,
    /// Arguments by position.
    pub positional: Vec<Expression>,
    /// Arguments by name.
    pub named: Vec<(String, Expression)>,
}

impl fmt::Debug for FilterCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterCall")
            .field("filter", &self.filter.name)
            .field("positional", &self.positional)
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}

/// Comparisons joined by `and` and `or`, which group from the right: `a and b or c` is `a and (b or c)`.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The first.
    pub first: Comparison,
    /// What follows it.
    pub rest: Vec<(Logic, Comparison)>,
}

/// What joins two comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    /// `and`
    And,
    /// `or`
    Or,
}

/// A value, or two values compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The left value.
    pub left: Expression,
    /// The operator and the right value; without them the left value's truth counts.
    pub right: Option<(Operator, Expression)>,
}

/// A comparison's operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `contains`
    Contains,
}
