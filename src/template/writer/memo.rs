//! What the template's own text does, remembered: from one state of the automaton the same text prints the same and leads to
//! the same state, whatever the data, so it is gone through character by character once and not at each render.
//!
//! Promise: what is followed here is what [`Writer::write_literal`] does, errors and their places included. Whatever does not
//! depend on the state and the innermost brackets alone goes that way: text within a key, what has to be mended, what comes
//! upon a limit.

use std::sync::OnceLock;

use super::{Container, DEPTH, State, Writer};
use crate::template::sink::Origin;
use crate::template::syntax::{Fault, Span};

/// A memo for each piece of text in the files of a template.
#[derive(Debug, Default)]
pub struct Memos(Vec<Vec<(usize, Memo)>>);

/// What a piece of text did when it was first written; nothing if that cannot be followed.
#[derive(Debug, Default)]
struct Memo(OnceLock<Option<Box<Course>>>);

/// What a piece of text does.
#[derive(Debug)]
struct Course {
    /// From which state.
    begin: State,
    /// Within which of the innermost brackets that are open, the innermost first; true: an array.
    within: Box<[bool]>,
    /// Whether no others may be open.
    outermost: bool,
    /// How many more are open at most on the way.
    rise: usize,
    /// What it prints.
    printed: Box<str>,
    steps: Box<[Step]>,
    end: State,
    /// Where in what is printed a key begins that does not end here.
    key_start: Option<usize>,
}

/// What text does besides printing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Opens an array or an object.
    Open { array: bool },
    /// Closes one.
    Close,
    /// Has a comma wait for something to follow it; where in the text it stands.
    Comma(usize),
    /// Ends a key, which stands there in the output; where in the text its closing quote stands.
    Key { mark: (usize, usize), quote: usize },
}

impl Memos {
    /// For files with pieces of text that start there, in ascending order.
    pub fn new(files: impl Iterator<Item = Vec<usize>>) -> Self {
        let memos = |starts: Vec<usize>| starts.into_iter().map(|at| (at, Memo::default()));
        Self(files.map(|starts| memos(starts).collect()).collect())
    }

    fn of(&self, origin: Origin) -> Option<&Memo> {
        let file = self.0.get(origin.file)?;
        let at = file.binary_search_by_key(&origin.span.start, |(start, _)| *start);
        file.get(at.ok()?).map(|(_, memo)| memo)
    }
}

impl Writer {
    /// Writes text of the template, the way it went before if there is a memo of it.
    pub(super) fn write_known(&mut self, text: &str, origin: Origin) -> Result<(), Fault> {
        let memos = self.memos.take();
        let written = match memos.as_deref().and_then(|memos| memos.of(origin)) {
            Some(memo) => self.write_by(memo, text, origin),
            None => self.write_literal(text, origin),
        };
        self.memos = memos;
        written
    }

    fn write_by(&mut self, memo: &Memo, text: &str, origin: Origin) -> Result<(), Fault> {
        match memo.0.get() {
            Some(Some(course)) if self.can_follow(course) => self.follow(course, origin),
            Some(_) => self.write_literal(text, origin),
            None => {
                let course = self.explore(text, origin)?;
                // another render may have been first
                let _ = memo.0.set(course.map(Box::new));
                Ok(())
            }
        }
    }

    fn can_follow(&self, course: &Course) -> bool {
        let within = self.stack.iter().rev().map(Container::is_array);
        self.state == course.begin
            && self.out.len() + course.printed.len() <= self.limit
            && self.stack.len() + course.rise <= DEPTH
            && within
                .take(course.within.len())
                .eq(course.within.iter().copied())
            && (!course.outermost || self.stack.len() == course.within.len())
    }

    fn follow(&mut self, course: &Course, origin: Origin) -> Result<(), Fault> {
        let at = |offset: usize| Origin {
            file: origin.file,
            span: Span::new(origin.span.start + offset, origin.span.start + offset + 1),
        };
        let before = self.out.len();
        self.out.push_str(&course.printed);
        for step in &course.steps {
            match *step {
                Step::Open { array } => self.stack.push(Container::new(array, self.keys.len())),
                Step::Close => self.leave(),
                Step::Comma(offset) => self.comma = at(offset),
                Step::Key { mark, quote } => {
                    self.origin = at(quote);
                    self.take_key((before + mark.0, before + mark.1))?;
                }
            }
        }
        self.state = course.end;
        if let Some(start) = course.key_start {
            self.key_start = before + start;
        }
        Ok(())
    }

    /// Writes text character by character, and gives back what it did if that can be followed.
    fn explore(&mut self, text: &str, origin: Origin) -> Result<Option<Course>, Fault> {
        let (begin, before, mends) = (self.state, self.out.len(), self.mends);
        let open: Vec<bool> = self.stack.iter().rev().map(Container::is_array).collect();
        self.steps = Some(Vec::new());
        let written = self.write_literal(text, origin);
        let mut steps = self.steps.take().unwrap_or_default();
        written?;
        if begin.is_in_key() || self.mends != mends {
            return Ok(None);
        }
        let (mut depth, mut rise, mut closed) = (0_usize, 0, 0);
        for step in &mut steps {
            match step {
                Step::Open { .. } => {
                    depth += 1;
                    rise = rise.max(depth);
                }
                Step::Close if depth == 0 => closed += 1,
                Step::Close => depth -= 1,
                Step::Comma(offset) => *offset -= origin.span.start,
                Step::Key { mark, quote } => {
                    *mark = (mark.0 - before, mark.1 - before);
                    *quote -= origin.span.start;
                }
            }
        }
        // The one around what was closed decides, too: whether a comma is followed by a key, and whether this is the end.
        let within: Box<[bool]> = open.iter().copied().take(closed + 1).collect();
        let key_start = self.key_start.checked_sub(before);
        Ok(Some(Course {
            begin,
            outermost: within.len() == closed,
            within,
            rise,
            printed: Box::from(self.out.get(before..).unwrap_or("")),
            steps: steps.into_boxed_slice(),
            end: self.state,
            key_start: key_start.filter(|_| self.state.is_in_key()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::template::sink::Printed;
    use crate::template::value::Value;

    /// Pieces of text as templates have them, and such as break off anywhere.
    const TEXTS: [&str; 26] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ", ",
        " \n ",
        ":",
        "\"",
        "{\"a\": ",
        ", \"a\": ",
        "\",\n  \"b\": \"",
        "\"}, \"c\": {\"a\": [",
        "]}}, {\"d\": \"",
        "\"a\\u0062\": 1,",
        "\"k\": [1, {\"k\": [[",
        "\\",
        "u00",
        "\\ud83d",
        "tr",
        "ue",
        "-1.",
        "5e3",
        "x\u{1}y",
        "[,",
        "\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4, \"e\": 5, \"f\": 6, \"g\": 7, \"h\": 8, \"i\": 9,",
    ];

    /// So many bytes apart the texts stand in their file.
    const APART: usize = 1000;

    #[derive(Debug, Clone, Copy)]
    enum Piece {
        Text(usize),
        Value(&'static str),
        Number(i64),
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let piece = prop_oneof![
            8 => (0..TEXTS.len()).prop_map(Piece::Text),
            2 => prop::sample::select(vec!["", "a", "q\"", "zz"]).prop_map(Piece::Value),
            1 => any::<i64>().prop_map(Piece::Number),
        ];
        prop::collection::vec(piece, 0..40)
    }

    /// Writes pieces up to the first fault, and says after each where the writer is.
    fn course(mut writer: Writer, pieces: &[Piece], stops: bool) -> Vec<String> {
        let mut course = Vec::new();
        for piece in pieces {
            let before = writer.clone();
            let (start, text) = match piece {
                Piece::Text(which) => (APART * which, TEXTS[*which]),
                _ => (APART * TEXTS.len(), "v"),
            };
            let origin = Origin {
                file: 0,
                span: Span::new(start, start + text.len()),
            };
            let value = match piece {
                Piece::Text(_) => None,
                Piece::Value(text) => Some(Value::from(*text)),
                Piece::Number(number) => Some(Value::int(*number)),
            };
            let written = match value {
                None => writer.write_known(text, origin),
                Some(value) => writer.write_value(&value, Printed::Plain, origin),
            };
            if let Err(fault) = written {
                course.push(format!("{fault:?}"));
                if stops {
                    return course;
                }
                // as if the piece were not there
                writer = before;
            }
            let keys: Vec<_> = writer
                .keys
                .iter()
                .map(|(a, b)| &writer.out[*a..*b])
                .collect();
            course.push(format!(
                "{:?} {} {:?} {keys:?} {:?} {:?} {:?}",
                writer.state,
                writer.out,
                writer
                    .stack
                    .iter()
                    .map(Container::is_array)
                    .collect::<Vec<_>>(),
                writer.state.is_in_key().then_some(writer.key_start),
                writer.state.has_comma().then_some(writer.comma),
                writer.repairs,
            ));
        }
        course
    }

    fn memos() -> Arc<Memos> {
        let starts = (0..TEXTS.len()).map(|which| APART * which).collect();
        Arc::new(Memos::new(std::iter::once(starts)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_remembered_does_what_the_text_does(
            renders in prop::collection::vec((pieces(), any::<bool>(), 20_usize..600), 1..6),
        ) {
            let memos = memos();
            for (pieces, stops, limit) in renders {
                let plain = course(Writer::new(limit), &pieces, stops);
                let known = course(Writer::new(limit).with_memos(&memos), &pieces, stops);
                prop_assert_eq!(plain, known);
            }
        }
    }

    #[test]
    fn a_template_is_gone_through_once() {
        let memos = memos();
        let pieces = [
            Piece::Text(9),
            Piece::Value("x"),
            Piece::Text(10),
            Piece::Number(1),
            Piece::Text(1),
        ];
        // the key `a` comes twice: the place of the error is that of its closing quote, remembered or not
        let first = course(Writer::new(100).with_memos(&memos), &pieces, true);
        let second = course(Writer::new(100).with_memos(&memos), &pieces, true);
        assert_eq!(first, second);
        assert!(
            first.last().is_some_and(|fault| fault.contains("twice")),
            "{first:?}"
        );
        let remembered = |which: usize| {
            let origin = Origin {
                file: 0,
                span: Span::new(APART * which, APART * which + 1),
            };
            memos
                .of(origin)
                .and_then(|memo| memo.0.get()?.as_deref())
                .is_some()
        };
        assert!(remembered(9));
        assert!(!remembered(10), "what has failed is not remembered");
        assert!(!remembered(1), "it was never reached");
    }

    #[test]
    fn brackets_around_decide() {
        let (open, close, close_and_go_on) = (2, 3, 13);
        let rows: [[&[usize]; 2]; 3] = [
            [&[open, close], &[open, open, close]],
            [&[open, open, close], &[open, close]],
            [
                &[12, close_and_go_on],
                &[open, 9, open, 9, open, close_and_go_on],
            ],
        ];
        for ways in rows {
            let memos = memos();
            for way in ways.repeat(2) {
                let pieces: Vec<Piece> = way.iter().copied().map(Piece::Text).collect();
                let plain = course(Writer::new(500), &pieces, true);
                let known = course(Writer::new(500).with_memos(&memos), &pieces, true);
                assert_eq!(plain, known, "{way:?}");
            }
        }
    }
}
