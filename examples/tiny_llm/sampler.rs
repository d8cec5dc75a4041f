//! Chooses the next token from the logits.

use bottleneck_examples::kernels::softmax;
use bottleneck_examples::random::Random;
use bottleneck_runtime::bottleneck;

/// Greedy at temperature zero, else a draw among the most likely tokens.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    top_k: usize,
    random: Random,
    candidates: Vec<(f32, usize)>,
    probabilities: Vec<f32>,
}

impl Sampler {
    /// A sampler whose draws follow from `seed`; `top_k` of zero counts as one.
    pub(crate) fn new(temperature: f32, top_k: usize, seed: u64) -> Self {
        let random = Random::new(seed);
        Self {
            temperature,
            top_k: top_k.max(1),
            random,
            candidates: Vec::new(),
            probabilities: Vec::new(),
        }
    }

    /// The token to go on with; of equal logits the first.
    ///
    /// # Panics
    /// If there are no logits.
    #[bottleneck]
    pub(crate) fn sample(&mut self, logits: &[f32]) -> usize {
        self.candidates.clear();
        self.candidates.extend(logits.iter().copied().zip(0..));
        self.candidates.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        if self.temperature <= 0.0 {
            return self.candidates[0].1;
        }
        self.candidates.truncate(self.top_k);
        self.probabilities.clear();
        self.probabilities
            .extend(self.candidates.iter().map(|(logit, _)| logit / self.temperature));
        softmax(&mut self.probabilities);
        let mut left = self.random.next_unit();
        for (probability, (_, token)) in self.probabilities.iter().zip(&self.candidates) {
            left -= probability;
            if left < 0.0 {
                return *token;
            }
        }
        // Rounding left a rest: it belongs to the most likely token.
        self.candidates[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_zero_takes_the_first_of_the_largest() {
        assert_eq!(Sampler::new(0.0, 40, 1).sample(&[0.5, 2.0, -1.0, 2.0]), 1);
    }

    #[test]
    fn draws_follow_the_probabilities_of_the_top_tokens() {
        let logits = [0.0, 1.0, 2.0, -5.0];
        let mut sampler = Sampler::new(1.0, 2, 7);
        let mut counts = [0u32; 4];
        for _ in 0..20_000 {
            counts[sampler.sample(&logits)] += 1;
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        let share = f64::from(counts[2]) / 20_000.0;
        assert!((share - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 0.02, "{share}");
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed| {
            let mut sampler = Sampler::new(0.8, 40, seed);
            (0..20).map(|_| sampler.sample(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
