//! What is needed of a module's text: the names of its kernels, and how many bytes each parameter has.

/// A kernel as its signature tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Bytes of each parameter.
    pub parameters: Vec<usize>,
}

/// Whether a text could be PTX: it says for which version it is.
pub fn is_ptx(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with(".version"))
}

/// The kernels of a text, in its order.
pub fn signatures(text: &str) -> Vec<Signature> {
    let text: String = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    text.split(".entry").skip(1).map(signature).collect()
}

fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Of the text behind `.entry`.
fn signature(text: &str) -> Signature {
    let text = text.trim_start();
    let is_of_name = |it: char| it.is_alphanumeric() || matches!(it, '_' | '$' | '%');
    let end = text.find(|it| !is_of_name(it)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let list = rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let parameters = list.map_or("", |(list, _)| list).split(',');
    Signature {
        name: name.to_owned(),
        parameters: parameters.filter(|it| it.contains(".param")).map(bytes_of).collect(),
    }
}

/// `.param .align 8 .b8 name[16]` has 16 bytes, `.param .u32 name` has 4.
fn bytes_of(parameter: &str) -> usize {
    let element = parameter.split_whitespace().find_map(|word| {
        let bits: usize = word.strip_prefix(['.'])?.get(1..)?.parse().ok()?;
        let is_type =
            word.starts_with(['.']) && matches!(word.as_bytes()[1], b'u' | b's' | b'b' | b'f');
        is_type.then_some(bits / 8)
    });
    let count = parameter
        .split_once('[')
        .and_then(|(_, rest)| rest.split(']').next()?.trim().parse::<usize>().ok());
    element.unwrap_or(8) * count.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        .version 8.0
        .target sm_80
        .address_size 64
        // .entry of_a_comment()
        .visible .entry vec_add(
            .param .u64 vec_add_param_0,
            .param .u64 vec_add_param_1, // the second
            .param .u32 n
        )
        { ret; }
        .visible .entry nothing()
        { ret; }
        .entry packed(.param .align 8 .b8 packed_param_0[24], .param .f32 scale) { ret; }
    ";

    #[test]
    fn kernels_and_the_bytes_of_their_parameters() {
        let found = signatures(TEXT);
        let expected: [(&str, &[usize]); 3] =
            [("vec_add", &[8, 8, 4]), ("nothing", &[]), ("packed", &[24, 4])];
        assert_eq!(found.len(), expected.len());
        for (found, (name, parameters)) in found.iter().zip(expected) {
            assert_eq!((found.name.as_str(), found.parameters.as_slice()), (name, parameters));
        }
    }

    #[test]
    fn other_text_is_no_module() {
        assert!(is_ptx(TEXT) && !is_ptx("extern \"C\" __global__ void f() {}"));
        assert!(signatures("nothing here").is_empty());
    }
}
