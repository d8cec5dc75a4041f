//! Type parameters, bounds and `where` clauses.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::ops::Add;

#[bottleneck]
fn add<T: Add<Output = T> + Copy>(left: T, right: T) -> T {
    left + right
}

struct Matrix<T>(Vec<T>);

#[bottleneck]
impl<T> Matrix<T>
where
    T: Copy + Default + Add<Output = T>,
{
    fn new(values: &[T]) -> Self {
        Self(values.to_vec())
    }

    #[bottleneck(flops = self.0.len())]
    fn sum(&self) -> T {
        self.0.iter().fold(T::default(), |sum, it| sum + *it)
    }

    async fn later<F>(&self, then: F) -> T
    where
        F: AsyncFnOnce(T) -> T,
    {
        then(self.sum()).await
    }
}

#[bottleneck]
fn iterate<'a, I: IntoIterator<Item = &'a u8>>(all: I) -> impl Iterator<Item = u8> {
    all.into_iter().copied().collect::<Vec<_>>().into_iter()
}

#[bottleneck]
async fn iterate_later(n: u8) -> Result<impl Iterator<Item = u8>, std::num::ParseIntError> {
    let parsed: u8 = "1".parse()?;
    Ok(parsed..n)
}

fn main() {
    assert_eq!(add(1, 2), 3);
    assert_eq!(add(1.5, 2.0), 3.5);
    assert_eq!(Matrix::new(&[1, 2]).sum(), 3);
    assert_eq!(block_on(Matrix::new(&[1.0]).later(async |it| it + 1.0)), 2.0);
    assert_eq!(iterate(&[1, 2]).sum::<u8>(), 3);
    assert_eq!(block_on(iterate_later(3)).map(|it| it.sum::<u8>()), Ok(3));
}
