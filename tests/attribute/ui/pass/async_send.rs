//! The future is `Send` whenever the unannotated one is, also where a parameter is not `Sync`.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::cell::Cell;
use std::sync::mpsc::{Receiver, channel};

#[bottleneck]
async fn take(queue: Receiver<u8>, cell: Cell<u8>) -> u8 {
    std::future::ready(()).await;
    queue.recv().unwrap_or(0) + cell.get()
}

struct Server(Vec<u8>);

impl Server {
    #[bottleneck(key = class, flops = 2 * self.0.len())]
    async fn serve(&mut self, class: &str, name: String) -> usize {
        std::future::ready(()).await;
        self.0.push(1);
        self.0.len() + class.len() + name.len()
    }
}

#[bottleneck]
fn later(n: usize) -> impl Future<Output = usize> {
    async move { n }
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

fn main() {
    let (sender, receiver) = channel();
    sender.send(1).unwrap();
    assert_eq!(block_on(is_send(take(receiver, Cell::new(2)))), 3);
    let mut server = Server(Vec::new());
    assert_eq!(block_on(is_send(server.serve("a", "b".into()))), 3);
    assert_eq!(std::thread::spawn(|| block_on(later(4))).join().unwrap(), 4);
}
