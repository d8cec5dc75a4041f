//! Functions, types and work expressions that come out of `macro_rules!`.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

macro_rules! make {
    ($name:ident, $ty:ty, $work:expr, $body:block) => {
        #[bottleneck(key = stringify!($name), flops = 2 * $work)]
        fn $name(n: $ty) -> $ty {
            let _ = n;
            $body
        }
    };
}

macro_rules! make_async {
    ($($name:ident => $value:expr;)*) => {
        $(
            #[bottleneck]
            async fn $name() -> Option<u8> {
                let value: Option<u8> = $value;
                Some(value?)
            }
        )*
    };
}

macro_rules! make_boxed {
    ($ty:ty, $value:expr) => {
        #[bottleneck]
        fn boxed() -> $ty {
            $value
        }
    };
}

make!(one, u8, 1 + 2, { 1 });
make!(two, u64, 3, { 2 });
make_async!(three => Some(3); none => None;);
make_boxed!(std::pin::Pin<Box<dyn Future<Output = u8>>>, Box::pin(async { 4 }));

fn main() {
    assert_eq!((one(0), two(0)), (1, 2));
    assert_eq!((block_on(three()), block_on(none())), (Some(3), None));
    assert_eq!(block_on(boxed()), 4);
}
