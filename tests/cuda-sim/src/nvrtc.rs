//! The part of NVRTC that is simulated: a text in CUDA C becomes PTX that has its kernels with their parameters, and nothing in
//! them.
#![expect(unsafe_code, reason = "a C interface: pointers of its callers are written and read")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt::Write as _;

const SUCCESS: c_int = 0;
const INVALID_INPUT: c_int = 3;
const INVALID_PROGRAM: c_int = 4;
const COMPILATION: c_int = 6;

/// A text and what it became.
#[derive(Debug)]
pub struct Program {
    source: String,
    ptx: Option<CString>,
    log: CString,
}

/// The PTX of a text.
///
/// # Errors
/// What a compiler would say.
pub fn compile(source: &str) -> Result<String, String> {
    let mut res = ".version 8.0\n.target sm_90\n.address_size 64\n".to_owned();
    let marked = source.lines().filter(|line| line.trim_start().starts_with("// cuda-sim:"));
    for line in marked {
        _ = writeln!(res, "{}", line.trim());
    }
    let mut kernels = 0;
    for rest in source.split("__global__").skip(1) {
        let (head, rest) = rest.split_once('(').ok_or("error: expected a \"(\"")?;
        let name = head.split_whitespace().last().ok_or("error: expected an identifier")?;
        let (list, _) = rest.split_once(')').ok_or("error: expected a \")\"")?;
        let parameters =
            list.split(',').map(str::trim).filter(|it| !it.is_empty() && *it != "void");
        let parameters: Vec<String> = parameters
            .enumerate()
            .map(|(at, it)| format!(".param .b{} {name}_param_{at}", 8 * bytes_of(it)))
            .collect();
        _ = writeln!(res, ".visible .entry {name}({}) {{ ret; }}", parameters.join(", "));
        kernels += 1;
    }
    if kernels == 0 && source.contains("#error") {
        return Err("error: #error directive".to_owned());
    }
    Ok(res)
}

fn bytes_of(parameter: &str) -> usize {
    let has = |word: &str| parameter.split_whitespace().any(|it| it == word);
    if parameter.contains('*') || has("double") || has("size_t") || parameter.contains("long") {
        8
    } else if has("char") || has("bool") {
        1
    } else if has("short") || has("__half") {
        2
    } else {
        4
    }
}

/// The version of the compiler.
#[unsafe(no_mangle)]
extern "C" fn nvrtcVersion(major: *mut c_int, minor: *mut c_int) -> c_int {
    let version = crate::sim::sim().settings.version.cast_signed();
    put(major, version / 1000).max(put(minor, version % 1000 / 10))
}

/// The name of a code.
#[unsafe(no_mangle)]
extern "C" fn nvrtcGetErrorString(code: c_int) -> *const c_char {
    let text = match code {
        SUCCESS => c"NVRTC_SUCCESS",
        INVALID_INPUT => c"NVRTC_ERROR_INVALID_INPUT",
        INVALID_PROGRAM => c"NVRTC_ERROR_INVALID_PROGRAM",
        COMPILATION => c"NVRTC_ERROR_COMPILATION",
        _ => c"NVRTC_ERROR unknown",
    };
    text.as_ptr()
}

/// Takes a text. Headers are not looked at.
///
/// # Safety
/// `source` is a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcCreateProgram(
    to: *mut *mut Program,
    source: *const c_char,
    _name: *const c_char,
    _count: c_int,
    _headers: *const *const c_char,
    _names: *const *const c_char,
) -> c_int {
    if source.is_null() {
        return INVALID_INPUT;
    }
    // SAFETY: says the caller.
    let source = unsafe { CStr::from_ptr(source) }.to_string_lossy().into_owned();
    put(to, Box::into_raw(Box::new(Program { source, ptx: None, log: CString::default() })))
}

/// Forgets a program.
///
/// # Safety
/// `program` leads to one of [`nvrtcCreateProgram`], or to null.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcDestroyProgram(program: *mut *mut Program) -> c_int {
    // SAFETY: says the caller.
    let Some(place) = (unsafe { program.as_mut() }).filter(|it| !it.is_null()) else {
        return INVALID_PROGRAM;
    };
    // SAFETY: it came from a box, and is forgotten with this.
    drop(unsafe { Box::from_raw(std::mem::replace(place, std::ptr::null_mut())) });
    SUCCESS
}

/// Compiles a program.
///
/// # Safety
/// `program` is one of [`nvrtcCreateProgram`], or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcCompileProgram(
    program: *mut Program,
    _count: c_int,
    _options: *const *const c_char,
) -> c_int {
    // SAFETY: says the caller.
    let Some(program) = (unsafe { program.as_mut() }) else { return INVALID_PROGRAM };
    match compile(&program.source) {
        Ok(ptx) => {
            program.ptx = CString::new(ptx).ok();
            SUCCESS
        }
        Err(why) => {
            program.log = CString::new(why).unwrap_or_default();
            COMPILATION
        }
    }
}

/// Bytes of the PTX, with a zero at its end.
///
/// # Safety
/// As [`nvrtcCompileProgram`].
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcGetPTXSize(program: *const Program, to: *mut usize) -> c_int {
    // SAFETY: says the caller.
    match (unsafe { program.as_ref() }).and_then(|it| it.ptx.as_ref()) {
        Some(ptx) => put(to, ptx.as_bytes_with_nul().len()),
        None => INVALID_PROGRAM,
    }
}

/// The PTX.
///
/// # Safety
/// As [`nvrtcCompileProgram`]; there is room for what [`nvrtcGetPTXSize`] said.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcGetPTX(program: *const Program, to: *mut c_char) -> c_int {
    // SAFETY: says the caller.
    match (unsafe { program.as_ref() }).and_then(|it| it.ptx.as_ref()) {
        // SAFETY: says the caller.
        Some(ptx) => unsafe { write(ptx, to) },
        None => INVALID_PROGRAM,
    }
}

/// Bytes of what the compiler said, with a zero at its end.
///
/// # Safety
/// As [`nvrtcCompileProgram`].
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcGetProgramLogSize(program: *const Program, to: *mut usize) -> c_int {
    // SAFETY: says the caller.
    match unsafe { program.as_ref() } {
        Some(program) => put(to, program.log.as_bytes_with_nul().len()),
        None => INVALID_PROGRAM,
    }
}

/// What the compiler said.
///
/// # Safety
/// As [`nvrtcGetPTX`], for [`nvrtcGetProgramLogSize`].
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcGetProgramLog(program: *const Program, to: *mut c_char) -> c_int {
    // SAFETY: says the caller.
    match unsafe { program.as_ref() } {
        // SAFETY: says the caller.
        Some(program) => unsafe { write(&program.log, to) },
        None => INVALID_PROGRAM,
    }
}

/// # Safety
/// There is room for the text and its zero.
unsafe fn write(text: &CStr, to: *mut c_char) -> c_int {
    if to.is_null() {
        return INVALID_INPUT;
    }
    let bytes = text.to_bytes_with_nul();
    // SAFETY: says the caller.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len()) };
    SUCCESS
}

fn put<T>(to: *mut T, value: T) -> c_int {
    if to.is_null() {
        return INVALID_INPUT;
    }
    // SAFETY: by the C interface a pointer to a result is null, which was looked at, or leads to room for it.
    unsafe { to.write(value) };
    SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptx::signatures;

    #[test]
    fn kernels_keep_their_names_and_parameters() {
        let ptx = compile(
            "// cuda-sim: rms us=3\nextern \"C\" __global__ void rms(float* x, const float *w, int n, double e) { }\n\
             extern \"C\" __global__ void nothing(void) {}",
        );
        let found = signatures(&ptx.unwrap());
        assert_eq!((found[0].name.as_str(), &found[0].parameters[..]), ("rms", &[8, 8, 4, 8][..]));
        assert_eq!((found[1].name.as_str(), found[1].parameters.len()), ("nothing", 0));
        assert!(compile("#error \"no\"").is_err());
    }
}
