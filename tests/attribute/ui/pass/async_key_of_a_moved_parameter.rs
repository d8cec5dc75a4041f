//! A key borrows a parameter that the future then takes with it.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck(key = name.as_str(), flops = name.len())]
async fn by_value(name: String) -> String {
    name
}

struct Model {
    name: String,
    n_calls: usize,
}

impl Model {
    #[bottleneck(key = &self.name)]
    async fn by_field(&mut self) -> usize {
        self.n_calls += 1;
        self.n_calls
    }

    #[bottleneck(key = &name)]
    fn returned(&self, name: String) -> impl Future<Output = String> + use<> {
        if name.is_empty() {
            return std::future::ready(self.name.clone());
        }
        std::future::ready(name)
    }
}

fn main() {
    assert_eq!(block_on(by_value(String::from("a"))), "a");
    let mut model = Model { name: String::from("b"), n_calls: 0 };
    assert_eq!(block_on(model.by_field()), 1);
    assert_eq!(block_on(model.returned(String::new())), "b");
    assert_eq!(block_on(model.returned(String::from("c"))), "c");
}
