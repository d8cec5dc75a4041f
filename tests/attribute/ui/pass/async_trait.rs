//! The attribute inside and around `#[async_trait]`, whichever runs first.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use async_trait::async_trait;

#[async_trait]
trait Model: Send + Sync {
    async fn forward(&mut self, input: &[u8]) -> Option<u8>;

    #[bottleneck]
    async fn twice(&mut self, input: &[u8]) -> Option<u8> {
        self.forward(input).await?;
        self.forward(input).await
    }

    async fn name() -> String
    where
        Self: Sized;
}

struct Sum(u8);

#[async_trait]
impl Model for Sum {
    #[bottleneck]
    async fn forward(&mut self, input: &[u8]) -> Option<u8> {
        if input.is_empty() {
            return None;
        }
        self.0 += input.iter().sum::<u8>();
        Some(self.0)
    }

    #[bottleneck]
    async fn name() -> String {
        String::from("sum")
    }
}

struct Max;

#[bottleneck]
#[async_trait]
impl Model for Max {
    async fn forward(&mut self, input: &[u8]) -> Option<u8> {
        let largest = input.iter().max()?;
        Some(*largest)
    }

    async fn name() -> String {
        String::from("max")
    }
}

fn main() {
    let mut models: Vec<Box<dyn Model>> = vec![Box::new(Sum(0)), Box::new(Max)];
    assert_eq!(block_on(models[0].twice(&[1, 2])), Some(6));
    assert_eq!(block_on(models[1].twice(&[1, 2])), Some(2));
    assert_eq!(block_on(models[1].twice(&[])), None);
    assert_eq!(block_on(Sum::name()) + &block_on(Max::name()), "summax");
}
