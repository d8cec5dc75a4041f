//! One annotated place of the source, with its strings copied in.

use super::{u32_at, u64_at};

/// What the file says of a site. Encoded as:
///
/// ```text
/// 0   u64  id       stable hash of the strings below and the line
/// 8   u32  index    what nodes name it by, from 1
/// 12  u32  line
/// 16  u32  column
/// 20  u8   flags    1 request, 2 asynchronous
/// 21  u8   asserted 0 none, 1 memory, 2 compute, 3 I/O, 4 scheduling
/// 22  u8   dtype    0 f32, 1 f16, 2 bf16, 3 i8
/// 23  u8   0
/// 24  u32 x 4  lengths of name, module, owner, file
/// 40  the four strings, one behind the other
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteRecord<'a> {
    /// Stable from run to run of the same source.
    pub id: u64,
    /// What nodes name it by, from 1.
    pub index: u32,
    /// Line in `file`, from 1.
    pub line: u32,
    /// Column in `line`, from 1.
    pub column: u32,
    /// Marks what a user waits for.
    pub is_request: bool,
    /// The site is an asynchronous function.
    pub is_async: bool,
    /// The author's assertion: 0 none, 1 memory, 2 compute, 3 I/O, 4 scheduling.
    pub asserted: u8,
    /// Type of the declared operations: 0 f32, 1 f16, 2 bf16, 3 i8.
    pub dtype: u8,
    /// The function's name, or the one given.
    pub name: &'a str,
    /// Module path.
    pub module: &'a str,
    /// Type of the `impl` block, or empty.
    pub owner: &'a str,
    /// Source file as the compiler names it.
    pub file: &'a str,
}

const STRINGS_AT: usize = 40;

impl<'a> SiteRecord<'a> {
    /// Bytes that [`SiteRecord::encode`] writes.
    pub fn encoded_bytes(&self) -> usize {
        STRINGS_AT + self.name.len() + self.module.len() + self.owner.len() + self.file.len()
    }

    /// Hands the encoded bytes to `put`, piece by piece.
    pub fn encode(&self, mut put: impl FnMut(&[u8])) {
        put(&self.id.to_ne_bytes());
        put(&self.index.to_ne_bytes());
        put(&self.line.to_ne_bytes());
        put(&self.column.to_ne_bytes());
        put(&[
            u8::from(self.is_request) | u8::from(self.is_async) << 1,
            self.asserted,
            self.dtype,
            0,
        ]);
        let strings = [self.name, self.module, self.owner, self.file];
        for text in strings {
            put(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_ne_bytes());
        }
        for text in strings {
            put(text.as_bytes());
        }
    }

    /// Reads a record; `None` if it is cut or its strings are not UTF-8.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut at = STRINGS_AT;
        let mut text = |length_at: usize| -> Option<&'a str> {
            let end = at.checked_add(u32_at(bytes, length_at)? as usize)?;
            let text = core::str::from_utf8(bytes.get(at..end)?).ok()?;
            at = end;
            Some(text)
        };
        let (name, module, owner, file) = (text(24)?, text(28)?, text(32)?, text(36)?);
        let flags = *bytes.get(20)?;
        Some(Self {
            id: u64_at(bytes, 0)?,
            index: u32_at(bytes, 8)?,
            line: u32_at(bytes, 12)?,
            column: u32_at(bytes, 16)?,
            is_request: flags & 1 != 0,
            is_async: flags & 2 != 0,
            asserted: *bytes.get(21)?,
            dtype: *bytes.get(22)?,
            name,
            module,
            owner,
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_every_cut_is_refused() {
        let record = SiteRecord {
            id: 7,
            index: 3,
            line: 141,
            column: 5,
            is_request: true,
            is_async: true,
            asserted: 3,
            dtype: 2,
            name: "forward",
            module: "llama::model",
            owner: "Linear",
            file: "src/model.rs",
        };
        let mut bytes = Vec::new();
        record.encode(|part| bytes.extend_from_slice(part));
        assert_eq!(bytes.len(), record.encoded_bytes());
        assert_eq!(SiteRecord::decode(&bytes), Some(record));
        for cut in 0..bytes.len() {
            assert_eq!(SiteRecord::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
