//! Numbers of JSON, character by character.

/// How far a number has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digits {
    /// After `-`.
    Minus,
    /// After a leading `0`.
    Zero,
    /// In the whole part.
    Whole,
    /// After the point.
    Point,
    /// In the fraction.
    Fraction,
    /// After `e`.
    Exponent,
    /// After the sign of the exponent.
    ExponentSign,
    /// In the exponent.
    Power,
}

impl Digits {
    /// The start of a number.
    pub fn start(c: char) -> Option<Self> {
        match c {
            '-' => Some(Self::Minus),
            '0' => Some(Self::Zero),
            '1'..='9' => Some(Self::Whole),
            _ => None,
        }
    }

    /// The number with one more character; `None` if that is not part of it.
    pub fn next(self, c: char) -> Option<Self> {
        match (self, c) {
            (Self::Minus, '0') => Some(Self::Zero),
            (Self::Minus, '1'..='9') | (Self::Whole, '0'..='9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, '.') => Some(Self::Point),
            (Self::Point | Self::Fraction, '0'..='9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, 'e' | 'E') => Some(Self::Exponent),
            (Self::Exponent, '+' | '-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::Power, '0'..='9') => Some(Self::Power),
            _ => None,
        }
    }

    /// Whether it may end here.
    pub fn complete(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Whole | Self::Fraction | Self::Power
        )
    }
}

/// Whether all of `text` is one number of JSON.
pub fn is_json_number(text: &str) -> bool {
    let mut characters = text.chars();
    let start = characters.next().and_then(Digits::start);
    let end = start.and_then(|start| characters.try_fold(start, Digits::next));
    end.is_some_and(Digits::complete)
}
