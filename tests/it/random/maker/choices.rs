//! Where choices come from: random numbers, or the bytes of a fuzzer, so that it varies what is made by varying them.

/// A source of choices.
pub enum Choices<'b> {
    /// Without end.
    Random(fastrand::Rng),
    /// A byte a choice, two where it is among more than 256; after the last byte always the first of what there is.
    #[allow(dead_code)]
    Bytes(&'b [u8]),
}

impl Choices<'_> {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n.max(1);
        match self {
            Self::Random(random) => random.usize(..n),
            Self::Bytes(bytes) => {
                let mut chosen = 0;
                for _ in 0..if n > 256 { 2 } else { 1 } {
                    if let Some((first, rest)) = bytes.split_first() {
                        chosen = chosen * 256 + usize::from(*first);
                        *bytes = rest;
                    }
                }
                chosen % n
            }
        }
    }

    /// One time of `n`; never after the last byte.
    pub fn rarely(&mut self, n: usize) -> bool {
        self.below(n) + 1 == n
    }

    /// One of these.
    pub fn of<'s, T: ?Sized>(&mut self, of: &[&'s T]) -> &'s T {
        of[self.below(of.len())]
    }
}
