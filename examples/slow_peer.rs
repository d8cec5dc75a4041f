//! Generates tokens with a part of the model behind a socket: a peer that takes its time.
//!
//! Verdict: io / network
//! Start at: `Peer::ask`
//!
//! Why that holds by construction: for every token the client computes for 0.3 ms, then asks the peer and does nothing
//! until the answer comes, 3 ms later. The peer is a process of its own, as it would be on another machine: what it does
//! meanwhile cannot be seen from here, and here it is a wait for the network.
//!
//! What helps: ask for several tokens at once, ask while there is something else to compute, or a faster peer.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::{Stopwatch, Times};
use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Share};
use bottleneck_runtime::bottleneck;

/// What the peer takes for an answer.
const ANSWERING: Duration = Duration::from_millis(3);
/// What the client computes for a token.
const COMPUTING: Duration = Duration::from_micros(300);
/// Bytes of a question and of an answer.
const MESSAGE: usize = 64;

/// The other process, and the connection to it.
struct Peer {
    process: Child,
    connection: TcpStream,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        // Started by `Peer::start`.
        (Some("--peer"), Some(address)) => match answer(&address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => trial::try_run(3.0, generate),
    }
}

/// The peer: answers until the client has gone. No span, for it stands for a program that nobody can change.
fn answer(address: &str) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let mut message = [0; MESSAGE];
    while client.read_exact(&mut message).is_ok() {
        thread::sleep(ANSWERING);
        client.write_all(&message)?;
    }
    Ok(())
}

fn generate(time: Duration) -> io::Result<()> {
    let mut peer = Peer::start()?;
    let mut layer = Products::new();
    let portion = Portion::taking(COMPUTING);

    let start = Instant::now();
    let mut times = Times::default();
    let mut tokens = 0u32;
    while tokens == 0 || start.elapsed() < time {
        let watch = Stopwatch::start();
        token(&mut layer, portion, &mut peer)?;
        times += watch.stop();
        tokens += 1;
    }
    peer.stop()?;
    println!(
        "{tokens} tokens: {:.2} ms each, {:.2} ms of them on a CPU",
        (times.wall / tokens).as_secs_f64() * 1e3,
        (times.on_cpu / tokens).as_secs_f64() * 1e3
    );
    let share = times.blocked_share();
    println!("{}", Share { what: "blocked on the peer", share, least: 0.75 });
    Ok(())
}

/// One token: a request.
#[bottleneck(request)]
fn token(layer: &mut Products, portion: Portion, peer: &mut Peer) -> io::Result<()> {
    first_layers(layer, portion);
    peer.ask()
}

/// The part of the model that is here.
#[bottleneck(flops = portion.flops(), bytes = Portion::BYTES, dtype = f32)]
fn first_layers(layer: &mut Products, portion: Portion) {
    layer.compute(portion);
}

impl Peer {
    /// Starts this program once more, as the peer, which connects to us.
    fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let process = Command::new(std::env::current_exe()?)
            .arg("--peer")
            .arg(listener.local_addr()?.to_string())
            .spawn()?;
        let (connection, _) = listener.accept()?;
        connection.set_nodelay(true)?;
        Ok(Self { process, connection })
    }

    /// The part of the model that is elsewhere. The mistake: one question for every token, and nothing to do meanwhile.
    #[bottleneck]
    fn ask(&mut self) -> io::Result<()> {
        let mut message = [0; MESSAGE];
        self.connection.write_all(&message)?;
        self.connection.read_exact(&mut message)
    }

    /// Hangs up, which ends the peer.
    fn stop(self) -> io::Result<()> {
        let Self { mut process, connection } = self;
        drop(connection);
        process.wait().map(drop)
    }
}
