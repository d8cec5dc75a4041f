//! Test kit: machine code from a few lines, and the addresses of its instructions.

use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Decoder, DecoderOptions, IcedError, Instruction};

use super::{Decoded, decode};
use crate::profile::sampling::{Block, Code};

/// Where the code lies; not at the start of a page.
pub(super) const AT: u64 = 0x5555_0000_1237;

/// Code that was put together.
pub(super) struct Assembled {
    pub(super) code: Code,
    pub(super) instructions: Vec<Instruction>,
}

/// Puts code together. Something else runs before it, as in a real program.
pub(super) fn assembled(
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Assembled {
    let mut assembler = CodeAssembler::new(64).unwrap();
    write(&mut assembler).unwrap();
    let bytes = assembler.assemble(AT).unwrap();
    let decoder = Decoder::with_ip(64, &bytes, AT, DecoderOptions::NONE);
    let instructions = decoder.into_iter().collect();
    let mut before = b"\x48\x83\xec\x18\x48\x89\x7c\x24\x08\x31\xc0\x48\x85\xf6".repeat(4);
    let start = AT - before.len() as u64;
    before.extend(bytes);
    // And something behind it: a return and filling.
    before.extend([0xC3, 0xCC, 0xCC, 0xCC]);
    Assembled {
        code: Code { blocks: vec![Block { start, bytes: before }], ..Code::default() },
        instructions,
    }
}

impl Assembled {
    /// What a sample says that waited for the instruction at this position.
    #[track_caller]
    pub(super) fn behind(&self, position: usize) -> Decoded {
        let instruction = &self.instructions[position];
        let decoded = decode(&self.code, instruction.next_ip()).expect("the code was kept");
        assert_eq!(decoded.at, instruction.ip(), "another instruction: {decoded:?}");
        decoded
    }

    /// What a sample says whose address is that of the instruction at this position.
    #[track_caller]
    pub(super) fn at(&self, position: usize) -> Decoded {
        decode(&self.code, self.instructions[position].ip()).expect("the code was kept")
    }
}
