//! Conditional functions, parameters, statements and attributes.

use bottleneck_runtime::bottleneck;

#[cfg(any())]
#[bottleneck]
fn absent() -> Missing {}

#[bottleneck]
#[cfg(all())]
fn present(#[cfg(any())] absent: Missing, n: u8) -> u8 {
    #[cfg(any())]
    use missing::Missing;
    #[cfg(any())]
    return absent;
    n
}

#[cfg_attr(all(), bottleneck(name = "conditional"))]
fn conditional(n: u8) -> u8 {
    n
}

struct Model;

#[bottleneck]
impl Model {
    #[cfg(any())]
    fn forward(&self) -> Missing {}

    #[cfg(all())]
    fn forward(&self) -> u8 {
        1
    }
}

fn main() {
    assert_eq!(present(1) + conditional(1) + Model.forward(), 3);
}
