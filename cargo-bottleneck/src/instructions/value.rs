//! What a register holds during one iteration of a loop: a sum of what registers held at its start, or something else.

/// The most registers in a sum.
const MOST_TERMS: usize = 6;

/// What is known of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Sum(Sum),
    /// It comes from memory.
    Loaded,
    /// It comes from arithmetic that is no sum.
    Computed,
    Unknown,
}

/// What held a number at the start of the iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A general register, by its number.
    Register(u8),
    /// A place on the stack or at a fixed address: the number of the register or [`FIXED`], and the displacement.
    Place(u8, i64),
}

/// Stands for no register in [`Source::Place`].
pub(super) const FIXED: u8 = u8::MAX;

/// Sources with their factors, by rising source, and a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) terms: Vec<(Source, i64)>,
    pub(super) constant: i64,
}

impl Value {
    pub(super) fn of(source: Source) -> Self {
        Self::Sum(Sum { terms: vec![(source, 1)], constant: 0 })
    }

    pub(super) fn constant(constant: i64) -> Self {
        Self::Sum(Sum { terms: Vec::new(), constant })
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let (Self::Sum(a), Self::Sum(b)) = (self, other) else { return self.joined(other) };
        let mut terms = a.terms.clone();
        for &(source, factor) in &b.terms {
            match terms.binary_search_by_key(&source, |term| term.0) {
                Ok(at) => terms[at].1 = terms[at].1.wrapping_add(factor),
                Err(at) => terms.insert(at, (source, factor)),
            }
        }
        terms.retain(|term| term.1 != 0);
        if terms.len() > MOST_TERMS {
            return Self::Unknown;
        }
        Self::Sum(Sum { terms, constant: a.constant.wrapping_add(b.constant) })
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.times(-1))
    }

    pub(super) fn times(&self, factor: i64) -> Self {
        let Self::Sum(sum) = self else { return self.clone() };
        let terms = sum.terms.iter().map(|&(source, by)| (source, by.wrapping_mul(factor)));
        Self::Sum(Sum {
            terms: terms.filter(|term| term.1 != 0).collect(),
            constant: sum.constant.wrapping_mul(factor),
        })
    }

    /// What comes of both by adding or choosing: the one that says more about where it comes from.
    pub(super) fn joined(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Computed, _) | (_, Self::Computed) => Self::Computed,
            (Self::Loaded, _) | (_, Self::Loaded) => Self::Loaded,
            (Self::Sum(a), Self::Sum(b)) if a == b => self.clone(),
            (Self::Unknown | Self::Sum(_), Self::Unknown | Self::Sum(_)) => Self::Unknown,
        }
    }

    /// What comes of it by arithmetic that is no sum.
    pub(super) fn spread(&self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Sum(_) | Self::Loaded | Self::Computed => Self::Computed,
        }
    }
}
