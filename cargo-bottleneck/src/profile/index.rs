//! Columns and the indices that name their rows: an index of one column cannot be used on another.

use std::fmt;
use std::marker::PhantomData;
use std::ops;

/// What names a row of a [`Column`].
pub trait RowIdx: Copy {
    /// The index of the row at `position`; saturates.
    fn from_position(position: usize) -> Self;
    /// The row's position.
    fn position(self) -> usize;
}

macro_rules! row_idx {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl RowIdx for $name {
            fn from_position(position: usize) -> Self {
                Self(u32::try_from(position).unwrap_or(u32::MAX))
            }

            fn position(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

row_idx! {
    /// A path of spans within one thread's tree.
    SpanIdx
}
row_idx! {
    /// An annotated place of the source.
    SiteIdx
}
row_idx! {
    /// A thread's tree.
    ThreadIdx
}
row_idx! {
    /// A thread as snapshots name it, with spans or without.
    TaskIdx
}

/// One value for each row.
#[derive(Clone, PartialEq)]
pub struct Column<I, T> {
    values: Vec<T>,
    index: PhantomData<I>,
}

impl<I: RowIdx, T> Column<I, T> {
    /// A column without rows.
    pub fn new() -> Self {
        Self { values: Vec::new(), index: PhantomData }
    }

    /// A column with `value` in each of `rows` rows.
    pub fn filled(rows: usize, value: T) -> Self
    where
        T: Clone,
    {
        Self { values: vec![value; rows], index: PhantomData }
    }

    /// Adds a row.
    pub fn push(&mut self, value: T) -> I {
        self.values.push(value);
        I::from_position(self.values.len() - 1)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Every row with its index, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.values.iter().enumerate().map(|(position, value)| (I::from_position(position), value))
    }

    /// Every index, in order.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + use<I, T> {
        (0..self.values.len()).map(I::from_position)
    }

    /// The values, in order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The value of a row, or `None` where there is no such row.
    pub fn get(&self, index: I) -> Option<&T> {
        self.values.get(index.position())
    }
}

impl<I: RowIdx, T> Default for Column<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: RowIdx, T> FromIterator<T> for Column<I, T> {
    fn from_iter<A: IntoIterator<Item = T>>(values: A) -> Self {
        Self { values: values.into_iter().collect(), index: PhantomData }
    }
}

impl<I: RowIdx, T> ops::Index<I> for Column<I, T> {
    type Output = T;

    fn index(&self, index: I) -> &T {
        &self.values[index.position()]
    }
}

impl<I: RowIdx, T> ops::IndexMut<I> for Column<I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        &mut self.values[index.position()]
    }
}

impl<I, T: fmt::Debug> fmt::Debug for Column<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.values).finish()
    }
}
