//! Program 20: tokens for each of which a peer is asked, over loopback TCP, that takes 3 ms for an answer.
//!
//! Truth: I/O / network. The peer is a process of its own, as it would be on another machine: what it does meanwhile cannot
//! be seen from here.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// What the peer takes for an answer, of however many tokens.
const ANSWERING: Duration = Duration::from_millis(3);
/// What a token takes here.
const TOKEN: Duration = Duration::from_micros(300);
/// Tokens of a pass.
const TOKENS: usize = 32;
/// After: so many tokens are asked for at once.
const TOGETHER: usize = 4;

/// Program 20.
pub const PROGRAMS: &[Program] = &[Program::known(
    "20",
    "remote_tokens",
    "io",
    &["network"],
    "for every token a peer is asked that answers after 3 ms",
    run,
)
.with_after()];

/// The other process, and the connection to it. The peer ends when the connection does.
struct Peer {
    process: Child,
    connection: Option<TcpStream>,
}

impl Peer {
    fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let process = Command::new(std::env::current_exe()?).args(["--peer", &address]).spawn()?;
        let (connection, _) = listener.accept()?;
        connection.set_nodelay(true)?;
        Ok(Self { process, connection: Some(connection) })
    }

    #[inline(never)]
    fn ask(&mut self) {
        let mut message = [0; 64];
        let connection = self.connection.as_mut().expect("it is there until the drop");
        connection.write_all(&message).expect("the peer lives");
        connection.read_exact(&mut message).expect("the peer answers");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connection = None;
        // It has nothing else to do than to end.
        let _ = self.process.wait();
    }
}

/// The peer's side: answers until the client has gone.
///
/// # Errors
/// If nobody listens there.
pub fn answer(address: &str) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let mut message = [0; 64];
    while client.read_exact(&mut message).is_ok() {
        thread::sleep(ANSWERING);
        client.write_all(&message)?;
    }
    Ok(())
}

fn run(trial: &Trial) -> Result<(), Denied> {
    let mut model = Compute::taking(TOKEN);
    let mut peer = Peer::start().map_err(|why| Denied(format!("there is no peer: {why}")))?;
    removal::run(trial, 0.5, |Pass { after, seen }| {
        let together = if after { TOGETHER } else { 1 };
        for token in 1..=TOKENS {
            let _span = seen.then(|| span!("token"));
            {
                let _span = seen.then(|| span!("first_layers"));
                model.run();
            }
            if token.is_multiple_of(together) {
                let _span = seen.then(|| span!("ask_peer"));
                peer.ask();
            }
        }
        TOKENS as u64
    })
}
