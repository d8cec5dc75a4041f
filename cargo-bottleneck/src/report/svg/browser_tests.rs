//! The picture in a real browser: what its script does, and pictures of it to look at.

#[test]
fn write() {
    let roots = super::fixture::server();
    let svg = super::render(&super::fixture::summary(&roots), &roots).unwrap();
    std::fs::write("/tmp/svgw/flame.svg", svg).unwrap();
}
