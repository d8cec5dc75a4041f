//! What one path's time on the CPU is made of: often one kind, sometimes several.

use crate::kind::Kind;

use super::subkind::Subkind;

/// Most ingredients of a mixture; more are added to the largest of their kind.
const MOST: usize = 6;

/// A part of a path's time on the CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ingredient {
    /// Its kind.
    pub kind: Kind,
    /// What of its kind.
    pub subkind: Option<Subkind>,
    /// The part, above 0 and at most 1.
    pub part: f64,
}

/// Fills the places behind the last ingredient.
const UNUSED: Ingredient = Ingredient { kind: Kind::Other, subkind: None, part: 0.0 };

/// Parts that sum to 1, the largest first; never empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    ingredients: [Ingredient; MOST],
    len: usize,
}

impl Mixture {
    /// All of one kind.
    pub fn pure(kind: Kind, subkind: Option<Subkind>) -> Self {
        let mut ingredients = [UNUSED; MOST];
        ingredients[0] = Ingredient { kind, subkind, part: 1.0 };
        Self { ingredients, len: 1 }
    }

    /// Weights of kinds and sub-kinds in any order; parts below 1 % are left out. Unexplained if there are none.
    pub fn of(weights: impl IntoIterator<Item = (Kind, Option<Subkind>, f64)>) -> Self {
        let mut sums: Vec<Ingredient> = Vec::new();
        for (kind, subkind, weight) in weights {
            if !(weight > 0.0 && weight.is_finite()) {
                continue;
            }
            match sums.iter_mut().find(|it| (it.kind, it.subkind) == (kind, subkind)) {
                Some(sum) => sum.part += weight,
                None => sums.push(Ingredient { kind, subkind, part: weight }),
            }
        }
        let whole: f64 = sums.iter().map(|it| it.part).sum();
        sums.retain(|it| it.part >= 0.01 * whole);
        sums.sort_by(|a, b| b.part.total_cmp(&a.part));
        sums.truncate(MOST);
        let kept: f64 = sums.iter().map(|it| it.part).sum();
        let mut res = Self::pure(Kind::Other, None);
        if kept <= 0.0 {
            return res;
        }
        res.len = sums.len();
        for (ingredient, sum) in res.ingredients.iter_mut().zip(sums) {
            *ingredient = Ingredient { part: sum.part / kept, ..sum };
        }
        res
    }

    /// The parts, the largest first.
    pub fn ingredients(&self) -> &[Ingredient] {
        self.ingredients.get(..self.len).unwrap_or_default()
    }

    /// The part of one kind, 0 to 1.
    pub fn part(&self, kind: Kind) -> f64 {
        self.ingredients().iter().filter(|it| it.kind == kind).map(|it| it.part).sum()
    }

    /// The kind with the largest part, and the largest of its sub-kinds.
    pub fn main(&self) -> (Kind, Option<Subkind>) {
        let kind = Kind::ALL
            .into_iter()
            .max_by(|&a, &b| self.part(a).total_cmp(&self.part(b)))
            .unwrap_or(Kind::Other);
        let largest = self.ingredients().iter().find(|it| it.kind == kind);
        (kind, largest.and_then(|it| it.subkind))
    }

    /// Divides `ns` among the parts; they sum to it exactly.
    pub fn divide(&self, ns: u64) -> impl Iterator<Item = (Ingredient, u64)> + '_ {
        let (mut seen, mut given) = (0.0, 0);
        self.ingredients().iter().enumerate().map(move |(at, ingredient)| {
            seen += ingredient.part;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a part of a time"
            )]
            let until = if at + 1 == self.len {
                ns
            } else {
                ((ns as f64 * seen).round() as u64).clamp(given, ns)
            };
            let own = until - given;
            given = until;
            (*ingredient, own)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: (Kind, Option<Subkind>) = (Kind::Memory, Some(Subkind::Bandwidth));
    const CACHE: (Kind, Option<Subkind>) = (Kind::Memory, Some(Subkind::Cache));
    const VECTOR: (Kind, Option<Subkind>) = (Kind::Compute, Some(Subkind::Vector));

    fn mixture(weights: &[((Kind, Option<Subkind>), f64)]) -> Mixture {
        Mixture::of(weights.iter().map(|&((kind, subkind), weight)| (kind, subkind, weight)))
    }

    #[test]
    fn the_main_kind_is_the_sum_of_its_subkinds() {
        let mixed = mixture(&[(VECTOR, 4.0), (CACHE, 3.0), (MEMORY, 2.0), (CACHE, 1.0)]);
        assert_eq!(mixed.main(), CACHE);
        assert!((mixed.part(Kind::Memory) - 0.6).abs() < 1e-9);
        assert_eq!(mixed.ingredients().len(), 3);
    }

    #[test]
    fn every_nanosecond_is_given_once() {
        let mixed = mixture(&[(VECTOR, 1.0), (CACHE, 1.0), (MEMORY, 1.0)]);
        for ns in [0, 1, 2, 100, 1_000_003] {
            assert_eq!(mixed.divide(ns).map(|(_, part)| part).sum::<u64>(), ns);
        }
    }

    #[test]
    fn nothing_is_unexplained_and_little_is_left_out() {
        assert_eq!(mixture(&[]).main(), (Kind::Other, None));
        assert_eq!(mixture(&[(VECTOR, f64::NAN), (CACHE, -1.0)]).main(), (Kind::Other, None));
        assert_eq!(mixture(&[(VECTOR, 999.0), (CACHE, 1.0)]), Mixture::pure(VECTOR.0, VECTOR.1));
    }
}
