//! A program whose spans, keys, and threads have names to harm whoever reads its report.
#![expect(clippy::unwrap_used, reason = "a probe that fails fails its test")]

use std::hint::black_box;

use bottleneck_runtime::bottleneck;
use bottleneck_tests::hostile::NAMES;

macro_rules! functions {
    ($($function:ident => $name:literal,)*) => {
        $(
            #[bottleneck(name = $name, key = $name)]
            fn $function() {
                busy();
            }
        )*

        #[bottleneck]
        fn every_name() {
            $( $function(); )*
        }
    };
}

bottleneck_tests::with_hostile_names!(functions);

#[bottleneck(key = key)]
fn keyed(key: &str) {
    busy();
    black_box(key);
}

fn busy() {
    for i in 0..200_000_u64 {
        black_box(i);
    }
}

fn main() {
    every_name();
    // The attribute refuses a name of nothing; a key is known only when the program runs.
    for key in ["", "   ", &"x".repeat(10_000)] {
        keyed(key);
    }
    for name in NAMES {
        // The kernel knows no name with a zero in it, and of longer ones the beginning.
        let name = name.replace('\0', "");
        let thread = std::thread::Builder::new().name(name.clone());
        thread.spawn(move || keyed(&name)).unwrap().join().unwrap();
    }
}
