//! `key = expr`: a small class of call, such as prefill or decode, that gets a node of its own.

pub(crate) const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, continued from `hash`.
#[inline]
pub(crate) const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// A key: its hash tells nodes apart, its text goes into the profile at first sight.
#[derive(Clone, Debug)]
pub struct Key<'a> {
    hash: u64,
    text: KeyText<'a>,
}

#[derive(Clone, Debug)]
enum KeyText<'a> {
    Borrowed(&'a str),
    Owned(String),
    Number(i128),
}

/// What `key = expr` accepts: strings, integers, `bool` and `char`.
pub trait AsKey<'a> {
    #[expect(
        clippy::wrong_self_convention,
        reason = "a borrowed key lives as long as what `self` borrows, not as `&self`"
    )]
    /// The key of this value. Costs a hash of its bytes; strings are best short.
    fn as_key(self) -> Key<'a>;
}

/// The key of a value.
#[inline]
pub fn key<'a, K: AsKey<'a>>(value: K) -> Key<'a> {
    value.as_key()
}

impl Key<'_> {
    /// What nodes are told apart by; never 0.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Hands the text to `put`, without allocating.
    pub(crate) fn with_text<R>(&self, put: impl FnOnce(&str) -> R) -> R {
        match &self.text {
            KeyText::Borrowed(text) => put(text),
            KeyText::Owned(text) => put(text),
            KeyText::Number(number) => put(Decimal::new(*number).as_str()),
        }
    }
}

#[inline]
fn text_hash(text: &str) -> u64 {
    fnv(FNV_BASIS, text.as_bytes()).max(1)
}

impl<'a> AsKey<'a> for &'a str {
    #[inline]
    fn as_key(self) -> Key<'a> {
        Key { hash: text_hash(self), text: KeyText::Borrowed(self) }
    }
}

impl<'a> AsKey<'a> for &'a String {
    #[inline]
    fn as_key(self) -> Key<'a> {
        self.as_str().as_key()
    }
}

impl<'a> AsKey<'a> for String {
    fn as_key(self) -> Key<'a> {
        Key { hash: text_hash(&self), text: KeyText::Owned(self) }
    }
}

impl<'a> AsKey<'a> for bool {
    #[inline]
    fn as_key(self) -> Key<'a> {
        if self { "true".as_key() } else { "false".as_key() }
    }
}

impl<'a> AsKey<'a> for char {
    fn as_key(self) -> Key<'a> {
        self.to_string().as_key()
    }
}

macro_rules! integer_keys {
    ($($integer:ty),*) => {$(
        impl<'a> AsKey<'a> for $integer {
            #[inline]
            fn as_key(self) -> Key<'a> {
                let number = self as i128;
                // Bijective for what fits 64 bits: small integers never collide.
                let hash = (self as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5bd1_e995;
                Key { hash: hash.max(1), text: KeyText::Number(number) }
            }
        }
    )*};
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    clippy::cast_possible_wrap,
    reason = "one body for every integer: `u128` beyond `i128` shows as negative, hashes may be cut"
)]
mod integers {
    use super::{AsKey, Key, KeyText};
    integer_keys!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
}

/// An integer in decimal, on the stack.
struct Decimal {
    digits: [u8; 40],
    start: usize,
}

impl Decimal {
    fn new(number: i128) -> Self {
        let mut decimal = Self { digits: [b'0'; 40], start: 40 };
        let mut rest = number.unsigned_abs();
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'-';
        }
        decimal
    }

    fn as_str(&self) -> &str {
        // Only ASCII digits and a sign were written.
        core::str::from_utf8(&self.digits[self.start..]).unwrap_or("?")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_text() {
        let text = |key: Key<'_>| key.with_text(str::to_owned);
        assert_eq!(text(key("decode")), "decode");
        let owned = "batch".to_owned();
        assert_eq!(text(key(&owned)), "batch");
        assert_eq!(text(key(-128_i8)), "-128");
        assert_eq!(text(key(i128::MIN)), i128::MIN.to_string());
        assert_eq!(text(key(true)), "true");
        assert_eq!(text(key('é')), "é");
    }

    #[test]
    fn equal_values_have_equal_hashes_and_small_integers_never_collide() {
        let owned = "a".to_owned();
        assert_eq!(key("a").hash(), key(&owned).hash());
        let mut hashes: Vec<u64> = (0..10_000_u32).map(|number| key(number).hash()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 10_000);
        assert_ne!(key("").hash(), 0);
    }
}
