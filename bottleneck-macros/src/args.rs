//! The options between the parentheses of `#[bottleneck(...)]`.
//!
//! Every mistake is reported at its own token, all of them at once, and each message says what to write instead.
//! Nothing here looks at the annotated item: whether an option fits it is for `validate`.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, LitStr, Path, Result, Token};

/// What the user asked for. A field is `None` or `false` where the option was left out.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// `name = "..."`: shown instead of the name of the function.
    pub(crate) name: Option<LitStr>,
    /// `key = expr`: a small class of call, which gets its own node.
    pub(crate) key: Option<Expr>,
    /// `request`: a user waits for this span.
    pub(crate) request: Option<Ident>,
    /// `flops = expr`: declared floating point operations of one call.
    pub(crate) flops: Option<Expr>,
    /// `bytes = expr`: declared compulsory traffic of one call.
    pub(crate) bytes: Option<Expr>,
    /// `dtype = f32`: the variant of the runtime's `Dtype`.
    pub(crate) dtype: Option<Ident>,
    /// `kind = "io"`: the variant of the runtime's `Asserted`.
    pub(crate) kind: Option<Ident>,
    /// `cuda_stream = expr`: the stream that the call gives its work to.
    pub(crate) cuda_stream: Option<Expr>,
    /// `crate = path`: where the runtime is found.
    pub(crate) runtime: Option<Path>,
    /// `skip`: leave this member out.
    pub(crate) skip: Option<Ident>,
}

/// Option names in the order in which messages list them.
const NAMES: [&str; 10] =
    ["name", "key", "request", "flops", "bytes", "dtype", "kind", "cuda_stream", "crate", "skip"];
/// How `dtype` is written, and the variant that it means.
const DTYPES: [(&str, &str); 4] = [("f32", "F32"), ("f16", "F16"), ("bf16", "Bf16"), ("i8", "I8")];
/// How `kind` is written, and the variant that it means.
const KINDS: [(&str, &str); 4] =
    [("memory", "Memory"), ("compute", "Compute"), ("io", "Io"), ("scheduling", "Scheduling")];

impl Options {
    /// Reads the tokens between the parentheses.
    ///
    /// # Errors
    /// One error that combines every unknown, repeated or malformed option, each at its token.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        if tokens.is_empty() {
            return Ok(Self::default());
        }
        (|input: ParseStream<'_>| Self::parse_list(input)).parse2(tokens)
    }

    /// True where a call has to say something about itself: its class or its work.
    pub(crate) fn describes_calls(&self) -> bool {
        self.key.is_some() || self.flops.is_some() || self.bytes.is_some()
    }

    fn parse_list(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        let mut errors: Option<Error> = None;
        while !input.is_empty() {
            if let Err(error) = options.parse_one(input, &mut seen) {
                skip_to_comma(input);
                match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        errors.map_or(Ok(options), Err)
    }

    fn parse_one(&mut self, input: ParseStream<'_>, seen: &mut Vec<String>) -> Result<()> {
        let Ok(option) = input.call(Ident::parse_any) else {
            let text = "expected an option such as `name = \"...\"`, `key = ...` or `flops = ...`";
            return Err(input.error(text));
        };
        let name = option.to_string();
        if !NAMES.contains(&name.as_str()) {
            return Err(unknown(&option, &name));
        }
        if seen.contains(&name) {
            let text = format!("option `{name}` is given twice; remove one");
            return Err(Error::new(option.span(), text));
        }
        seen.push(name);
        match seen.last().map_or("", String::as_str) {
            "name" => self.name = Some(name_value(value(input, &option, "\"decode step\"")?)?),
            "key" => self.key = Some(expression(input, &option, "phase")?),
            "flops" => self.flops = Some(expression(input, &option, "2 * m * n * k")?),
            "bytes" => self.bytes = Some(expression(input, &option, "4 * m * n")?),
            "dtype" => self.dtype = Some(dtype(input, &option)?),
            "cuda_stream" => self.cuda_stream = Some(expression(input, &option, "self.stream")?),
            "kind" => self.kind = Some(kind(value(input, &option, "\"io\"")?)?),
            "crate" => self.runtime = Some(runtime(input, &option)?),
            "request" => self.request = Some(flag(input, option)?),
            _ => self.skip = Some(flag(input, option)?),
        }
        Ok(())
    }
}

fn unknown(option: &Ident, name: &str) -> Error {
    let list = NAMES.map(|it| format!("`{it}`")).join(", ");
    let closest = NAMES.iter().map(|it| (distance(name, it), it)).min();
    let text = match closest {
        Some((0..=2, close)) => {
            format!("unknown option `{name}`; did you mean `{close}`? The options are {list}")
        }
        _ => format!("unknown option `{name}`; the options are {list}"),
    };
    Error::new(option.span(), text)
}

/// Moves past what is left of a broken option, so that the next one is still checked.
fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<proc_macro2::TokenTree>().is_err() {
            return;
        }
    }
}

fn equals(input: ParseStream<'_>, option: &Ident, example: &str) -> Result<()> {
    let text = format!("option `{option}` needs a value: `{option} = {example}`");
    if !input.peek(Token![=]) {
        return Err(Error::new(option.span(), text));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new(option.span(), text));
    }
    Ok(())
}

fn expression(input: ParseStream<'_>, option: &Ident, example: &str) -> Result<Expr> {
    equals(input, option, example)?;
    input.parse()
}

fn value(input: ParseStream<'_>, option: &Ident, example: &str) -> Result<LitStr> {
    equals(input, option, example)?;
    input.parse().map_err(|error: Error| {
        Error::new(error.span(), format!("`{option}` takes a string: `{option} = {example}`"))
    })
}

fn name_value(name: LitStr) -> Result<LitStr> {
    if name.value().trim().is_empty() {
        let text = "a span needs a name; leave `name` out to use the name of the function";
        return Err(Error::new(name.span(), text));
    }
    Ok(name)
}

fn flag(input: ParseStream<'_>, option: Ident) -> Result<Ident> {
    if input.peek(Token![=]) {
        let text = format!("`{option}` takes no value; write `{option}` alone");
        return Err(input.error(text));
    }
    Ok(option)
}

fn runtime(input: ParseStream<'_>, option: &Ident) -> Result<Path> {
    equals(input, option, "::my_name_of_the_runtime")?;
    if input.peek(LitStr) {
        return Err(input.error("`crate` takes a path, not a string; remove the quotes"));
    }
    input.call(Path::parse_mod_style)
}

fn dtype(input: ParseStream<'_>, option: &Ident) -> Result<Ident> {
    equals(input, option, "f32")?;
    let text = "`dtype` is one of f32, f16, bf16, i8, without quotes: `dtype = f32`";
    let word: Ident = input.parse().map_err(|error| Error::new(error.span(), text))?;
    let found = DTYPES.iter().find(|(written, _)| word == written);
    let (_, variant) = found.ok_or_else(|| Error::new(word.span(), text))?;
    Ok(Ident::new(variant, word.span()))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the value of the option, used up here")]
fn kind(word: LitStr) -> Result<Ident> {
    let written = word.value();
    let found = KINDS.iter().find(|(known, _)| *known == written);
    let (_, variant) = found.ok_or_else(|| {
        let list = KINDS.map(|(known, _)| format!("\"{known}\"")).join(", ");
        Error::new(word.span(), format!("unknown kind \"{written}\"; the kinds are {list}"))
    })?;
    Ok(Ident::new(variant, word.span()))
}

/// The number of letters to add, drop, change or swap between two short words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let changed = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn errors(text: &str) -> Vec<String> {
        let error = Options::parse(text.parse().unwrap()).err().expect("the options are wrong");
        error.into_iter().map(|it| it.to_string()).collect()
    }

    #[test]
    fn every_option_is_read() {
        let text = "name = \"step\", key = phase, request, flops = 2 * n, bytes = 4 * n, \
                    dtype = bf16, kind = \"io\", crate = ::renamed::runtime,";
        let options = Options::parse(text.parse().unwrap()).unwrap();
        assert_eq!(options.name.unwrap().value(), "step");
        assert_eq!(options.dtype.unwrap(), "Bf16");
        assert_eq!(options.kind.unwrap(), "Io");
        assert_eq!(options.runtime.unwrap().segments.len(), 2);
        assert!(options.key.is_some() && options.flops.is_some() && options.bytes.is_some());
        assert!(options.request.is_some() && options.skip.is_none());
    }

    #[test]
    fn no_options_are_the_default() {
        let options = Options::parse(TokenStream::new()).unwrap();
        assert!(!options.describes_calls() && options.name.is_none());
    }

    #[test]
    fn an_unknown_option_is_answered_with_the_closest_and_the_list() {
        let found = errors("flop = 1");
        assert_eq!(
            found,
            [
                "unknown option `flop`; did you mean `flops`? The options are `name`, `key`, `request`, \
              `flops`, `bytes`, `dtype`, `kind`, `cuda_stream`, `crate`, `skip`"
            ]
        );
        let found = errors("color = \"red\"");
        assert!(
            found[0].starts_with("unknown option `color`; the options are `name`"),
            "{found:?}"
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let found = errors("nmae = \"x\", kind = \"gpu\", dtype = f64, request = true, key");
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[1].contains("unknown kind \"gpu\"; the kinds are \"memory\""));
        assert!(found[2].contains("one of f32, f16, bf16, i8"));
        assert_eq!(found[3], "`request` takes no value; write `request` alone");
        assert_eq!(found[4], "option `key` needs a value: `key = phase`");
    }

    #[test]
    fn values_of_the_wrong_shape_are_refused() {
        assert_eq!(errors("name = decode"), ["`name` takes a string: `name = \"decode step\"`"]);
        assert!(errors("name = \" \"")[0].contains("needs a name"));
        assert!(errors("crate = \"x\"")[0].contains("remove the quotes"));
        assert_eq!(errors("key = a, key = b"), ["option `key` is given twice; remove one"]);
        assert!(errors("\"decode\"")[0].starts_with("expected an option such as"));
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("flop", "flops"), 1);
        assert_eq!(distance("nmae", "name"), 2);
        assert_eq!(distance("", "key"), 3);
    }
}
