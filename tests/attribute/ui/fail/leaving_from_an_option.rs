use bottleneck_runtime::bottleneck;

#[bottleneck(flops = text.parse::<u64>()?)]
fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

#[bottleneck(dtype = f32)]
fn no_flops() {}

fn main() {
    assert!(parse("1").is_ok());
    no_flops();
}
