//! One ELF file: the functions and lines at offsets in it.
//!
//! Sections are read when they are needed. A damaged or unusual part is as if it were not there.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;

use addr2line::gimli::{self, EndianSlice, RunTimeEndian};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _};
use object::{ReadCache, SymbolKind};

use super::paths::Paths;
use super::{Frame, Place};

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Elf<'a> = object::File<'a, &'a ReadCache<File>>;

/// Why a file names nothing.
#[derive(Debug)]
pub(super) enum Missing {
    /// It cannot be read.
    File(String),
    /// It has neither symbols nor line tables.
    Symbols,
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::File(error.to_string())
    }
}

impl From<object::Error> for Missing {
    fn from(error: object::Error) -> Self {
        Self::File(error.to_string())
    }
}

/// An open file.
pub(super) struct Binary<'a> {
    elf: &'a Elf<'a>,
    lines: Option<addr2line::Context<Slice<'a>>>,
    symbols: Vec<Symbol<'a>>,
    paths: Paths,
    path: String,
}

/// A function of the symbol table.
struct Symbol<'a> {
    address: u64,
    end: u64,
    name: &'a [u8],
}

impl Binary<'_> {
    /// The places of the addresses that have one, each given with its offset in the file.
    pub(super) fn places(
        path: &Path,
        addresses: impl Iterator<Item = (u64, u64)>,
    ) -> Result<Vec<(u64, Place)>, Missing> {
        let cache = ReadCache::new(File::open(path)?);
        let elf = Elf::parse(&cache)?;
        let binary = Binary {
            lines: lines(&elf),
            symbols: symbols(&elf),
            paths: Paths::of_this_process(),
            path: path.to_string_lossy().into_owned(),
            elf: &elf,
        };
        if binary.symbols.is_empty() {
            return Err(Missing::Symbols);
        }
        let place = |(sampled, offset)| Some((sampled, binary.place(offset)?));
        Ok(addresses.filter_map(place).collect())
    }

    /// The place of what was done when the thread went on at this offset.
    fn place(&self, offset: u64) -> Option<Place> {
        let address = self.address(offset)?;
        // Where a function begins, the instruction before is of another one, which did not lead here.
        let probe = if self.begins(address) { address } else { address.checked_sub(1)? };
        let mut inlined = self.frames(probe);
        let outermost = inlined.pop();
        let symbol = self.symbol(probe).map(|symbol| demangle(&String::from_utf8_lossy(symbol)));
        let outermost = match (outermost, symbol) {
            (Some(frame), _) if !frame.function.is_empty() => frame,
            (frame, Some(function)) => {
                let (file, line) = frame.map_or((None, None), |frame| (frame.file, frame.line));
                Frame { function, file, line }
            }
            _ => return None,
        };
        inlined.retain(|frame| !frame.function.is_empty());
        let innermost = inlined.first().unwrap_or(&outermost);
        Some(Place {
            file: innermost.file.clone(),
            line: innermost.line,
            function: outermost.function,
            inlined,
            object: self.path.clone(),
        })
    }

    /// The address that the file gives to the byte at this offset.
    fn address(&self, offset: u64) -> Option<u64> {
        self.elf.segments().find_map(|segment| {
            let (start, bytes) = segment.file_range();
            let within = offset.checked_sub(start).filter(|&within| within < bytes)?;
            segment.address().checked_add(within)
        })
    }

    fn begins(&self, address: u64) -> bool {
        self.symbols.binary_search_by_key(&address, |symbol| symbol.address).is_ok()
    }

    fn symbol(&self, address: u64) -> Option<&[u8]> {
        let behind = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = &self.symbols[behind.checked_sub(1)?];
        (address < symbol.end).then_some(symbol.name)
    }

    /// The functions at an address by the line tables, the innermost first; names may be empty.
    fn frames(&self, address: u64) -> Vec<Frame> {
        let mut res = Vec::new();
        let Some(lines) = &self.lines else { return res };
        let Ok(mut frames) = lines.find_frames(address).skip_all_loads() else { return res };
        let directory = self.directory(address);
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            let file = location.and_then(|location| location.file);
            res.push(Frame {
                function: name.map(|name| demangle(&name)).unwrap_or_default(),
                file: file.map(|file| self.paths.shown(file, directory.as_deref())),
                line: location.and_then(|location| location.line).filter(|&line| line > 0),
            });
        }
        res
    }

    /// The folder that the compiler ran in.
    fn directory(&self, address: u64) -> Option<String> {
        let lines = self.lines.as_ref()?;
        let unit = lines.find_dwarf_and_unit(address).skip_all_loads()?;
        unit.comp_dir.map(|directory| directory.to_string_lossy().into_owned())
    }
}

fn lines<'a>(elf: &Elf<'a>) -> Option<addr2line::Context<Slice<'a>>> {
    let endian = if elf.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let load = |id: gimli::SectionId| -> Result<Slice<'a>, gimli::Error> {
        let section = elf.section_by_name(id.name());
        let data = section.and_then(|section| match section.uncompressed_data().ok()? {
            Cow::Borrowed(data) => Some(data),
            Cow::Owned(_) => None,
        });
        Ok(EndianSlice::new(data.unwrap_or_default(), endian))
    };
    addr2line::Context::from_dwarf(gimli::Dwarf::load(load).ok()?).ok()
}

/// The functions of the symbol table by address; of the exported ones where there is no other.
fn symbols<'a>(elf: &Elf<'a>) -> Vec<Symbol<'a>> {
    let mut res: Vec<Symbol<'a>> = elf
        .symbols()
        .chain(elf.dynamic_symbols())
        .filter(|symbol| symbol.kind() == SymbolKind::Text && !symbol.is_undefined())
        .filter_map(|symbol| {
            let address = symbol.address();
            Some(Symbol {
                address,
                end: address.saturating_add(symbol.size()),
                name: symbol.name_bytes().ok().filter(|name| !name.is_empty())?,
            })
        })
        .collect();
    res.sort_unstable_by_key(|symbol| (symbol.address, std::cmp::Reverse(symbol.end), symbol.name));
    res.dedup_by_key(|symbol| symbol.address);
    // Hand-written assembly may not say how long it is.
    for at in 1..res.len() {
        let next = res[at].address;
        let symbol = &mut res[at - 1];
        if symbol.end == symbol.address {
            symbol.end = next;
        }
    }
    res
}

/// The name in the source, without the hash that tells builds apart; `memcpy@GLIBC_2.14` is `memcpy`.
fn demangle(name: &str) -> String {
    let name = name.split('@').next().filter(|bare| !bare.is_empty()).unwrap_or(name);
    format!("{:#}", rustc_demangle::demangle(name))
}
