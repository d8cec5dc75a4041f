//! Whole `impl` blocks, traits and nested modules, with members left out.

#![deny(warnings)]

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

struct Model {
    width: usize,
}

#[bottleneck]
impl Model {
    const WIDTH: usize = 4;

    const fn new() -> Self {
        Self { width: Self::WIDTH }
    }

    pub fn forward(&self) -> usize {
        self.width
    }

    #[bottleneck(name = "step", request, flops = 2 * self.width)]
    pub async fn step(&mut self) -> usize {
        self.width += 1;
        self.width
    }

    #[bottleneck(skip)]
    fn tiny(&self) -> usize {
        1
    }
}

#[bottleneck(kind = "io")]
trait Source {
    const NAME: &'static str;
    type Item;

    fn next(&mut self) -> Option<Self::Item>;

    fn count(&mut self) -> usize {
        let mut n = 0;
        while self.next().is_some() {
            n += 1;
        }
        n
    }
}

impl Source for Model {
    const NAME: &'static str = "model";
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.width = self.width.checked_sub(1)?;
        Some(self.width)
    }
}

#[bottleneck]
mod outer {
    #![expect(non_upper_case_globals, reason = "an inner attribute of the module")]

    use super::Model;

    pub const first: usize = 1;

    const fn constant() -> usize {
        1
    }

    pub fn run(model: &Model) -> usize {
        model.forward() + first + constant()
    }

    pub mod inner {
        pub struct Layer;

        impl Layer {
            pub fn forward(&self) -> usize {
                10
            }
        }

        #[bottleneck(skip)]
        pub mod skipped {
            pub fn f() -> usize {
                20
            }
        }
    }

    #[bottleneck(skip)]
    pub struct NotAFunction;

    macro_rules! two {
        () => {
            2
        };
    }

    pub async fn later() -> usize {
        two!()
    }
}

fn main() {
    let mut model = Model::new();
    assert_eq!(outer::run(&model), 6);
    assert_eq!(block_on(model.step()) + model.tiny(), 6);
    assert_eq!(model.count(), 5);
    assert_eq!(outer::inner::Layer.forward() + outer::inner::skipped::f(), 30);
    assert_eq!(block_on(outer::later()), 2);
    let _ = outer::NotAFunction;
    assert_eq!(Model::NAME, "model");
}
