//! The words of a tag or output to expressions: a recursive descent over them.

use super::expression::{
    Comparison, Condition, Expression, ExpressionKind, FilterCall, Filtered, Logic, Operator, Path,
    Root, Step,
};
use super::tokens::{Token, tokenize};
use super::{EXPRESSION_NESTING, FILTERS, Fault, Span};
use crate::template::filters::{self, Filter};

/// The words of a tag or output, read from left to right.
pub struct Words {
    tokens: std::vec::IntoIter<(Token, Span)>,
    peeked: Option<(Token, Span)>,
    /// Where the last word ended.
    last_end: usize,
    /// What to mark when words are missing.
    end: Span,
    depth: usize,
}

impl Words {
    /// The words in the part `span` of `text`; `whole` is marked when one is missing.
    pub fn new(text: &str, span: Span, whole: Span) -> Result<Self, Fault> {
        let mut tokens = tokenize(text, span)?.into_iter();
        let peeked = tokens.next();
        Ok(Self {
            tokens,
            peeked,
            last_end: span.start,
            end: whole,
            depth: 0,
        })
    }

    /// The word that comes next.
    pub fn peek(&self) -> Option<&Token> {
        self.peeked.as_ref().map(|(token, _)| token)
    }

    /// Where the next word starts.
    pub fn position(&self) -> usize {
        self.peeked
            .as_ref()
            .map_or(self.last_end, |(_, span)| span.start)
    }

    /// The part from `start` to the last word that was taken.
    pub fn since(&self, start: usize) -> Span {
        Span::new(start, self.last_end.max(start))
    }

    /// Takes the next word.
    pub fn take(&mut self) -> Option<(Token, Span)> {
        let taken = std::mem::replace(&mut self.peeked, self.tokens.next());
        if let Some((_, span)) = &taken {
            self.last_end = span.end;
        }
        taken
    }

    /// Takes the next word if it is this sign.
    pub fn take_sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        if is {
            self.take();
        }
        is
    }

    /// Takes the next word if it is this name.
    pub fn take_name(&mut self, name: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Name(n)) if n == name);
        if is {
            self.take();
        }
        is
    }

    /// Whether the word after the next is this sign.
    pub fn second_is_sign(&self, sign: &str) -> bool {
        matches!(self.tokens.as_slice().first(), Some((Token::Sign(s), _)) if *s == sign)
    }

    /// A fault at the next word: `expected` is what should stand there.
    pub fn expected(&self, expected: &str) -> Fault {
        match &self.peeked {
            Some((token, span)) => Fault::new(
                *span,
                format!("expected {expected}, found {}", token.describe()),
            ),
            None => Fault::new(self.end, format!("expected {expected}, found the end")),
        }
    }

    /// Takes this sign.
    pub fn expect_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{sign}`")))
        }
    }

    /// Takes a name.
    pub fn expect_name(&mut self, what: &str) -> Result<(String, Span), Fault> {
        match self.peek() {
            Some(Token::Name(_)) => match self.take() {
                Some((Token::Name(name), span)) => Ok((name, span)),
                _ => Err(self.expected(what)),
            },
            Some(Token::Str(_)) => Err(self.expected(what).help("write it without quotes")),
            _ => Err(self.expected(what)),
        }
    }

    /// Makes sure that no word is left.
    pub fn finish(&self) -> Result<(), Fault> {
        let Some((token, span)) = &self.peeked else {
            return Ok(());
        };
        let fault = Fault::new(*span, format!("{} is not expected here", token.describe()));
        Err(match token {
            Token::Name(_) => fault.help("filters follow a `|`, what a filter takes follows a `:`"),
            Token::Compare(_) | Token::Sign("=") => {
                fault.help("comparisons stand in `if`, `unless` and `elsif`")
            }
            _ => fault,
        })
    }

    /// Makes sure that no word is left after a condition.
    pub fn finish_condition(&self) -> Result<(), Fault> {
        let Some((token, span)) = &self.peeked else {
            return Ok(());
        };
        let fault = Fault::new(*span, format!("{} is not expected here", token.describe()));
        let next = self.tokens.as_slice().first().map(|(token, _)| token);
        Err(match (token, next) {
            (Token::Sign("="), Some(Token::Compare(">"))) => fault.help("write `>=`"),
            (Token::Sign("="), Some(Token::Compare("<"))) => fault.help("write `<=`"),
            (Token::Sign("="), _) => fault.help("to compare, write `==`"),
            (Token::Sign("|"), Some(Token::Sign("|"))) => fault.help("write `or`"),
            (Token::Sign("|"), _) => {
                fault.help("a condition takes no filters: `assign` what they give, then compare it")
            }
            (Token::Sign("("), _) => fault
                .help("there are no brackets in conditions: `a and b or c` is `a and (b or c)`"),
            (Token::Name(name), _) => unknown_operator(fault, name),
            _ => fault,
        })
    }

    /// Reads an expression with filters.
    pub fn filtered(&mut self) -> Result<Filtered, Fault> {
        let start = self.position();
        let mut input = self.expression()?;
        if matches!(self.peek(), Some(Token::Sign("|"))) {
            input = input.plain();
        }
        let mut filters = Vec::new();
        while self.take_sign("|") {
            filters.push(self.filter()?);
            if filters.len() > FILTERS {
                return Err(Fault::new(
                    self.since(start),
                    format!("this has more than {FILTERS} filters"),
                ));
            }
        }
        Ok(Filtered {
            span: self.since(start),
            input,
            filters,
        })
    }

    fn filter(&mut self) -> Result<FilterCall, Fault> {
        let (name, name_span) = self.expect_name("the name of a filter")?;
        let Some(filter) = filters::find(&name) else {
            return Err(
                Fault::new(name_span, format!("there is no filter `{name}`"))
                    .suggest(&name, filters::names()),
            );
        };
        let mut positional = Vec::new();
        let mut named: Vec<(String, Expression)> = Vec::new();
        if !matches!(self.peek(), None | Some(Token::Sign(_))) {
            let fault = self.expected(&format!("`:` after the filter `{name}`"));
            return Err(fault.help(format!("write `{name}: …`")));
        }
        if self.take_sign(":") {
            loop {
                let (key, value) = self.filter_argument(filter)?;
                match key {
                    Some(key) => named.push((key, value)),
                    None => positional.push(value),
                }
                let comma = self.take_sign(",");
                if !comma || matches!(self.peek(), None | Some(Token::Sign("|"))) {
                    break;
                }
            }
        }
        let span = self.since(name_span.start);
        let (fewest, most) = filter.arguments;
        if positional.len() < fewest || positional.len() > most {
            return Err(Fault::new(
                span,
                format!(
                    "the filter `{name}` takes {}, not {}",
                    count(fewest, most),
                    positional.len()
                ),
            ));
        }
        Ok(FilterCall {
            span,
            filter,
            positional,
            named,
        })
    }

    fn filter_argument(&mut self, filter: &Filter) -> Result<(Option<String>, Expression), Fault> {
        let is_key = matches!(self.peek(), Some(Token::Name(_))) && self.second_is_sign(":");
        if !is_key {
            return Ok((None, self.expression()?.plain()));
        }
        let (key, span) = self.expect_name("a name")?;
        if !filter.named.contains(&key.as_str()) {
            let fault = format!("the filter `{}` has no argument `{key}`", filter.name);
            let mut fault = Fault::new(span, fault);
            if filter.named.is_empty() {
                fault = fault.help(format!("write only the value: `{}: …`", filter.name));
            }
            return Err(fault.suggest(&key, filter.named.iter().copied()));
        }
        self.expect_sign(":")?;
        Ok((Some(key), self.expression()?.plain()))
    }

    /// Reads comparisons joined by `and` and `or`.
    pub fn condition(&mut self) -> Result<Condition, Fault> {
        let first = self.comparison()?;
        let mut rest = Vec::new();
        loop {
            let logic = if self.take_name("and") {
                Logic::And
            } else if self.take_name("or") {
                Logic::Or
            } else {
                return Ok(Condition { first, rest });
            };
            rest.push((logic, self.comparison()?));
        }
    }

    fn comparison(&mut self) -> Result<Comparison, Fault> {
        let left = self.expression()?;
        let operator = match self.peek() {
            Some(Token::Compare(sign)) => match *sign {
                "==" => Operator::Equal,
                "!=" | "<>" => Operator::NotEqual,
                "<" => Operator::Less,
                "<=" => Operator::LessEqual,
                ">" => Operator::Greater,
                _ => Operator::GreaterEqual,
            },
            Some(Token::Name(name)) if name == "contains" => Operator::Contains,
            _ => return Ok(Comparison { left, right: None }),
        };
        self.take();
        let right = Some((operator, self.expression()?));
        Ok(Comparison { left, right })
    }

    /// Reads a literal, a range or a path.
    pub fn expression(&mut self) -> Result<Expression, Fault> {
        if self.depth >= EXPRESSION_NESTING {
            return Err(self
                .expected("less")
                .help(format!("brackets may nest {EXPRESSION_NESTING} deep")));
        }
        self.depth += 1;
        let expression = self.bare_expression();
        self.depth -= 1;
        expression
    }

    fn bare_expression(&mut self) -> Result<Expression, Fault> {
        let start = self.position();
        let Some(token) = self.peek() else {
            return Err(self.expected("a value"));
        };
        let kind = match token {
            Token::Number(text) => {
                let kind = number(text);
                self.take();
                kind
            }
            Token::Str(text) => {
                let kind = ExpressionKind::Str(text.clone());
                self.take();
                kind
            }
            Token::Sign("(") => {
                self.take();
                let first = self.expression()?;
                if !self.take_sign("..") {
                    return Err(self.expected("`..` of a range").help(
                        "brackets make a range `(1..5)`; conditions are not grouped by brackets",
                    ));
                }
                let last = self.expression()?;
                self.expect_sign(")")?;
                ExpressionKind::Range(Box::new(bounds(first, last)?))
            }
            Token::Sign("[") => {
                self.take();
                let root = Root::Computed(Box::new(self.expression()?.plain()));
                self.expect_sign("]")?;
                ExpressionKind::Path(self.steps(root)?)
            }
            Token::Name(name) => {
                let name = name.clone();
                self.take();
                self.named(name)?
            }
            Token::Sign("=") => {
                return Err(self.expected("a value").help("to compare, write `==`"));
            }
            Token::Sign(_) | Token::Compare(_) => return Err(self.expected("a value")),
        };
        Ok(Expression {
            span: self.since(start),
            kind,
        })
    }

    fn named(&mut self, name: String) -> Result<ExpressionKind, Fault> {
        let into = matches!(self.peek(), Some(Token::Sign("." | "[")));
        Ok(match name.as_str() {
            "nil" | "null" if !into => ExpressionKind::Nil,
            "true" if !into => ExpressionKind::Bool(true),
            "false" if !into => ExpressionKind::Bool(false),
            "empty" if !into => ExpressionKind::Empty,
            "blank" if !into => ExpressionKind::Blank,
            _ => ExpressionKind::Path(self.steps(Root::Name(name))?),
        })
    }

    fn steps(&mut self, root: Root) -> Result<Path, Fault> {
        let mut steps = Vec::new();
        loop {
            if self.take_sign(".") {
                let (name, _) = self.expect_name("a name after the `.`")?;
                steps.push(Step::Name(name));
            } else if self.take_sign("[") {
                steps.push(Step::Index(self.expression()?.plain()));
                self.expect_sign("]")?;
            } else {
                return Ok(Path { root, steps });
            }
        }
    }
}

/// What was likely meant by a name where an operator is due.
fn unknown_operator(fault: Fault, name: &str) -> Fault {
    const KNOWN: [&str; 3] = ["and", "or", "contains"];
    let fault = fault.help("known here: ==, !=, <, >, <=, >=, contains, and, or");
    match name.to_ascii_lowercase().as_str() {
        "eq" | "is" | "equals" => fault.help("write `==`"),
        "ne" | "isnt" | "not" => fault.help("write `!=`"),
        "gt" => fault.help("write `>`"),
        "gte" | "ge" => fault.help("write `>=`"),
        "lt" => fault.help("write `<`"),
        "lte" | "le" => fault.help("write `<=`"),
        "in" => fault.help("write it the other way round: `list contains item`"),
        "has" | "includes" | "include" => fault.help("write `contains`"),
        _ => fault.suggest(name, KNOWN),
    }
}

/// The bounds of a range. Fractions are dropped where both are numbers in the template, as in Liquid.
fn bounds(first: Expression, last: Expression) -> Result<(Expression, Expression), Fault> {
    for bound in [&first, &last] {
        if let ExpressionKind::Bool(bool) = bound.kind {
            let fault = format!("a range cannot begin or end with `{bool}`");
            return Err(Fault::new(bound.span, fault));
        }
    }
    let literal =
        |kind: &ExpressionKind| matches!(kind, ExpressionKind::Int(_) | ExpressionKind::Number(_));
    let both = literal(&first.kind) && literal(&last.kind);
    let cut = |mut bound: Expression| {
        if let ExpressionKind::Number(text) = &bound.kind
            && both
            && let Some(whole) = text.split('.').next()
        {
            bound.kind = number(whole);
        }
        bound
    };
    Ok((cut(first), cut(last)))
}

/// A number of a template: whole if it fits, else by a text that JSON takes too.
fn number(text: &str) -> ExpressionKind {
    if let Ok(int) = text.parse() {
        return ExpressionKind::Int(int);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let short = digits.trim_start_matches('0');
    let zero = if short.is_empty() || short.starts_with('.') {
        "0"
    } else {
        ""
    };
    ExpressionKind::Number(format!("{sign}{zero}{short}"))
}

fn count(fewest: usize, most: usize) -> String {
    match (fewest, most) {
        (_, 0) => "no arguments".to_owned(),
        (1, 1) => "one argument".to_owned(),
        (fewest, usize::MAX) => format!("{fewest} or more arguments"),
        (fewest, most) if fewest == most => format!("{fewest} arguments"),
        (fewest, most) => format!("{fewest} to {most} arguments"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        let span = Span::new(0, text.len());
        Words::new(text, span, span).unwrap()
    }

    #[test]
    fn numbers_keep_their_text() {
        let rows = [
            ("9223372036854775807", None),
            ("9223372036854775808", Some("9223372036854775808")),
            ("0.10", Some("0.10")),
            ("-007.50", Some("-7.50")),
            ("00.5", Some("0.5")),
        ];
        for (text, expected) in rows {
            match (words(text).expression().unwrap().kind, expected) {
                (ExpressionKind::Int(int), None) => assert_eq!(int.to_string(), text),
                (ExpressionKind::Number(number), Some(expected)) => {
                    assert_eq!(number, expected, "{text}");
                }
                (kind, _) => panic!("{text}: {kind:?}"),
            }
        }
    }

    #[test]
    fn deep_brackets_are_refused() {
        for open in ["a[", "(", "["] {
            assert!(words(&open.repeat(5_000)).expression().is_err(), "{open}");
        }
        let deep = format!("{}1{}", "a[".repeat(10), "]".repeat(10));
        assert!(words(&deep).expression().is_ok());
        let long = format!("a{}", ".b".repeat(4_000));
        assert!(words(&long).expression().is_ok());
    }

    #[test]
    fn what_is_left_over_is_refused() {
        for text in ["a b", "a = b", "a endswith b", "not a", "a and (b or c)"] {
            let mut words = words(text);
            let read = words.condition().and_then(|_| words.finish_condition());
            assert!(read.is_err(), "{text} was taken");
        }
    }
}
