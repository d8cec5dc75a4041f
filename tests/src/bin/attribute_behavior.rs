//! Calls one function of each form of `#[bottleneck]`, for `tests/behavior.rs`, which reads what was recorded.
//!
//! Prints how long the calls took that wait, and the file and line of `located` as the compiler sees them.

use std::io::Write as _;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bottleneck_attribute::executor::block_on;
use bottleneck_runtime::bottleneck;

/// Long enough to stand out from the noise of a loaded machine.
const NAP: Duration = Duration::from_millis(50);

/// Ready once a thread of its own has slept: the future that waits for it is off the CPU in between.
#[derive(Default)]
struct Timer {
    shared: Arc<Mutex<(bool, Option<Waker>)>>,
    is_started: bool,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.0 {
            return Poll::Ready(());
        }
        shared.1 = Some(context.waker().clone());
        drop(shared);
        if !self.is_started {
            self.is_started = true;
            let shared = Arc::clone(&self.shared);
            std::thread::spawn(move || {
                std::thread::sleep(NAP);
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.0 = true;
                if let Some(waker) = shared.1.take() {
                    waker.wake();
                }
            });
        }
        Poll::Pending
    }
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[bottleneck]
async fn async_fn_waits() {
    Timer::default().await;
}

#[bottleneck]
fn impl_future_waits(early: bool) -> impl Future<Output = ()> {
    if early {
        return Timer::default();
    }
    Timer::default()
}

#[bottleneck]
fn boxed_future_waits(early: bool) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    if early {
        return Box::pin(async { Timer::default().await });
    }
    let future = Box::pin(Timer::default());
    future
}

#[async_trait]
trait Model {
    async fn async_trait_waits(&self);
}

struct Layer(u64);

#[async_trait]
impl Model for Layer {
    #[bottleneck]
    async fn async_trait_waits(&self) {
        Timer::default().await;
    }
}

#[bottleneck]
async fn busy_and_waiting() {
    spin(NAP);
    Timer::default().await;
}

#[bottleneck]
async fn cancelled() {
    std::future::pending::<()>().await;
}

#[bottleneck]
async fn panics() {
    std::future::ready(()).await;
    std::panic::resume_unwind(Box::new("on purpose"));
}

#[bottleneck(name = "a name of its own", request, kind = "io", dtype = i8, flops = 2 * n * width, bytes = n / 4)]
fn described(n: u32, width: u8) -> bool {
    n > u32::from(width)
}

#[bottleneck(key = phase)]
fn keyed(phase: &str) -> usize {
    phase.len()
}

#[bottleneck(key = phase, flops = 3 * n)]
async fn keyed_later(phase: &str, n: u64) -> u64 {
    n + phase.len() as u64
}

impl Layer {
    #[bottleneck]
    fn method(&self) -> u64 {
        self.0
    }

    #[bottleneck]
    fn associated() -> Self {
        Self(1)
    }
}

struct Matrix<T>(T);

#[bottleneck]
impl<T: Copy> Matrix<T> {
    fn in_a_block(&self) -> T {
        self.0
    }
}

#[bottleneck]
impl std::fmt::Display for Matrix<u8> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}", self.0)
    }
}

#[bottleneck]
fn left_early(text: &str) -> Result<u8, std::num::ParseIntError> {
    let number = text.parse::<u8>()?;
    if number == 0 {
        return Ok(100);
    }
    Ok(number)
}

#[bottleneck]
fn unwinds() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

#[bottleneck]
fn located() -> u32 {
    line!() - 1
}

fn main() {
    timed("async_fn_waits", || block_on(async_fn_waits()));
    timed("impl_future_waits", || {
        block_on(impl_future_waits(true));
        block_on(impl_future_waits(false));
    });
    timed("boxed_future_waits", || {
        block_on(boxed_future_waits(true));
        block_on(boxed_future_waits(false));
    });
    timed("async_trait_waits", || block_on(Layer(1).async_trait_waits()));
    block_on(busy_and_waiting());
    {
        let future = pin!(cancelled());
        assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(std::panic::catch_unwind(|| block_on(panics())).is_err());
    assert!(described(1 << 31, 255));
    assert_eq!(keyed("prefill") + keyed("decode") + keyed("decode"), 19);
    assert_eq!(block_on(keyed_later("decode", 7)), 13);
    assert_eq!(Layer::associated().method(), 1);
    assert_eq!(Matrix(1_u8).in_a_block().to_string(), Matrix(1_u8).to_string());
    assert!(left_early("1").is_ok() && left_early("0").is_ok() && left_early("x").is_err());
    assert!(std::panic::catch_unwind(|| unwinds()).is_err());
    say(&format!("located {} {}", file!(), located()));
}

/// Prints how long the call took, in ns: no span inside it can have lasted longer.
fn timed(name: &str, call: impl FnOnce()) {
    let start = Instant::now();
    call();
    say(&format!("{name} {}", start.elapsed().as_nanos()));
}

/// The reader of these lines is the test: a closed pipe is its business.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
