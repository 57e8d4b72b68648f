//! Tables: columns as wide as what stands in them, and on a terminal as a line of it allows. Ids are never cut.

use super::{Look, Tone, clean, cut};

/// What stands between two columns.
const GAP: &str = "  ";

/// Below this width no column is cut.
const NARROWEST: usize = 8;

/// A column, by how it is laid out.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Column {
    /// As wide as it must be.
    Left(&'static str),
    /// The same, with numbers in it.
    Right(&'static str),
    /// May be cut where a line has no room.
    Cut(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Left(title) | Self::Right(title) | Self::Cut(title) => title,
        }
    }
}

/// What stands in a row and a column.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(in crate::cli) fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self {
            text: clean(text.as_ref()).into_owned(),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// Rows under a line of titles.
#[derive(Debug)]
pub(in crate::cli) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub(in crate::cli) fn new(columns: [Column; N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(in crate::cli) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The first rows alone.
    pub(in crate::cli) fn first(mut self, most: usize) -> Self {
        self.rows.truncate(most);
        self
    }

    /// One line for the titles, and one for each row.
    pub(in crate::cli) fn text(&self, look: &Look) -> String {
        let widths = self.widths(look.size.map(|(width, _)| width));
        let titles = self.columns.map(|column| Cell {
            text: column.title().to_owned(),
            tone: Tone::Faint,
        });
        let lines = std::iter::once(&titles).chain(&self.rows);
        let lines = lines.map(|cells| self.line(cells, &widths, look));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn line(&self, cells: &[Cell; N], widths: &[usize; N], look: &Look) -> String {
        let mut line = String::new();
        let mut room = 0;
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(widths) {
            let text = match column {
                Column::Cut(_) => cut(&cell.text, *width),
                _ => cell.text.as_str().into(),
            };
            let free = width.saturating_sub(text.chars().count());
            let (before, after) = match column {
                Column::Right(_) => (free, 0),
                _ => (0, free),
            };
            // only before a text, so that no line ends with blanks
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', room + before));
                line.push_str(&look.paint(cell.tone, &text));
                room = after + GAP.len();
            } else {
                room += width + GAP.len();
            }
        }
        line
    }

    /// How wide each column is; the widest that may be cut are, as far as that helps.
    fn widths(&self, line: Option<usize>) -> [usize; N] {
        let mut widths = self.columns.map(|column| column.title().chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let Some(line) = line else {
            return widths;
        };
        let gaps = GAP.len() * N.saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > line {
            let widest = self.columns.iter().zip(&mut widths);
            let widest = widest
                .filter(|(column, width)| matches!(column, Column::Cut(_)) && **width > NARROWEST)
                .map(|(_, width)| width)
                .max_by_key(|width| **width);
            match widest {
                Some(width) => *width -= 1,
                None => break,
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new([
            Column::Left("ID"),
            Column::Cut("TYPE"),
            Column::Right("SIZE"),
        ]);
        let id = "019b8d99-6900-7000-8000-000000000000";
        table.row([id.into(), "vendor.compliance.updated".into(), "12".into()]);
        table.row([id.into(), "".into(), "1234567".into()]);
        table
    }

    fn at(width: usize) -> Look {
        Look {
            size: Some((width, 24)),
            ..Look::PLAIN
        }
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let wanted = "\
ID                                    TYPE                          SIZE
019b8d99-6900-7000-8000-000000000000  vendor.compliance.updated       12
019b8d99-6900-7000-8000-000000000000                             1234567";
        assert_eq!(table().text(&Look::PLAIN), wanted);
        assert_eq!(table().text(&at(72)), wanted);
    }

    #[test]
    fn on_a_narrow_terminal_texts_are_cut_and_ids_are_not() {
        let wanted = "\
ID                                    TYPE             SIZE
019b8d99-6900-7000-8000-000000000000  vendor.comp…       12
019b8d99-6900-7000-8000-000000000000                1234567";
        assert_eq!(table().text(&at(59)), wanted);
        let narrow = table().text(&at(20));
        assert!(
            narrow.contains("019b8d99-6900-7000-8000-000000000000  vendor.…"),
            "{narrow}"
        );
    }

    #[test]
    fn widths_are_those_of_the_text_and_not_of_its_colour() {
        let mut table = Table::new([Column::Left("A"), Column::Left("B")]);
        table.row([Cell::new(Tone::Good, "ok"), "x".into()]);
        table.row(["\x1b[2J".into(), "y".into()]);
        let look = Look {
            colour: true,
            ..Look::PLAIN
        };
        let wanted =
            "\x1b[2mA\x1b[0m          \x1b[2mB\x1b[0m\n\x1b[32mok\x1b[0m         x\n\\u{1b}[2J  y";
        assert_eq!(table.text(&look), wanted);
    }
}
