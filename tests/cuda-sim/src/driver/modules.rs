//! Modules and their kernels.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

use super::call::{Function, call, put};
use super::handles::Handle;
use crate::error::Error;
use crate::model::{Cost, costs, costs_in_module};
use crate::ptx;
use crate::settings::MODEL;

const MODULES: Handle = 0x4D00_0000_0000;
const KERNELS: Handle = 0x4600_0000_0000;
/// How the text of a compiled module begins: an ELF file, or a bundle of several.
const BINARY: [&[u8]; 2] = [b"\x7FELF", &[0x50, 0xED, 0x55, 0xBA]];

/// A kernel of a module.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name, which stays as long as the process: records point to it.
    pub name: &'static CStr,
    /// Bytes of each parameter.
    pub parameters: Vec<usize>,
    /// What a launch costs.
    pub cost: Cost,
}

/// Everything that was loaded.
#[derive(Debug, Default)]
pub struct Modules {
    /// Of each module the first kernel behind its last one.
    loaded: Vec<std::ops::Range<usize>>,
    kernels: Vec<Kernel>,
    /// From the file that the environment names.
    costs: HashMap<String, Cost>,
}

impl Modules {
    /// No modules; costs as the environment says.
    ///
    /// # Errors
    /// A sentence on the file with the costs.
    pub fn new() -> Result<Self, String> {
        let Some(path) = std::env::var_os(MODEL) else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(&path)
            .map_err(|why| format!("{MODEL}: {} cannot be read ({why})", path.display()))?;
        let costs = costs(&text).map_err(|why| format!("{MODEL}: {why}"))?;
        Ok(Self { costs, ..Self::default() })
    }

    fn load(&mut self, text: &str) -> Result<Handle, Error> {
        if !ptx::is_ptx(text) {
            return Err(Error::InvalidPtx);
        }
        let own = costs_in_module(text).map_err(|_| Error::InvalidPtx)?;
        let first = self.kernels.len();
        for signature in ptx::signatures(text) {
            let cost = self.costs.get(&signature.name).or_else(|| own.get(&signature.name));
            let name = CString::new(signature.name.clone()).map_err(|_| Error::InvalidPtx)?;
            self.kernels.push(Kernel {
                name: Box::leak(name.into_boxed_c_str()),
                parameters: signature.parameters,
                cost: cost.copied().unwrap_or_default(),
            });
        }
        self.loaded.push(first..self.kernels.len());
        Ok(MODULES + self.loaded.len() * 64)
    }

    fn find(&self, module: Handle, name: &CStr) -> Result<Handle, Error> {
        let at = module.checked_sub(MODULES).and_then(|at| (at / 64).checked_sub(1));
        let kernels = at.and_then(|at| self.loaded.get(at)).ok_or(Error::InvalidHandle)?;
        let mut kernels = kernels.clone();
        let found = kernels.find(|&at| self.kernels.get(at).is_some_and(|it| it.name == name));
        found.map(|at| KERNELS + at * 64).ok_or(Error::NotFound)
    }

    /// The kernel of a handle.
    ///
    /// # Errors
    /// There is none.
    pub fn kernel(&self, handle: Handle) -> Result<&Kernel, Error> {
        let at = handle.checked_sub(KERNELS).ok_or(Error::InvalidHandle)?;
        self.kernels.get(at / 64).ok_or(Error::InvalidHandle)
    }
}

/// Loads a module: PTX, with a zero at its end.
///
/// # Safety
/// `image` is such a text, or an ELF file.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(to: *mut Handle, image: *const c_void) -> c_int {
    call(Function::new(19, c"cuModuleLoadData"), |call| {
        if image.is_null() {
            return Err(Error::InvalidValue);
        }
        // SAFETY: both sorts have at least four bytes.
        let start = unsafe { std::slice::from_raw_parts(image.cast::<u8>(), 4) };
        if BINARY.contains(&start) {
            // What it holds cannot be read here.
            return Err(Error::NotSupported);
        }
        // SAFETY: what is no ELF file is a text with a zero at its end.
        let text = unsafe { CStr::from_ptr(image.cast()) };
        let text = text.to_str().map_err(|_| Error::InvalidPtx)?;
        let module = call.sim.machine().modules.load(text)?;
        put(to, module)
    })
}

/// The same; options make no difference here.
///
/// # Safety
/// As [`cuModuleLoadData`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    to: *mut Handle,
    image: *const c_void,
    _count: c_uint,
    _options: *mut c_uint,
    _values: *mut *mut c_void,
) -> c_int {
    // SAFETY: the same is asked of the caller.
    unsafe { cuModuleLoadData(to, image) }
}

/// Loads a module from a file.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoad(to: *mut Handle, path: *const c_char) -> c_int {
    call(Function::new(0, c"cuModuleLoad"), |call| {
        if path.is_null() {
            return Err(Error::InvalidValue);
        }
        // SAFETY: says the caller.
        let path = unsafe { CStr::from_ptr(path) }.to_str().map_err(|_| Error::FileNotFound)?;
        let text = std::fs::read_to_string(path).map_err(|_| Error::FileNotFound)?;
        let module = call.sim.machine().modules.load(&text)?;
        put(to, module)
    })
}

/// A kernel of a module.
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(
    to: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> c_int {
    call(Function::new(0, c"cuModuleGetFunction"), |call| {
        if name.is_null() {
            return Err(Error::InvalidValue);
        }
        // SAFETY: says the caller.
        let name = unsafe { CStr::from_ptr(name) };
        put(to, call.sim.machine().modules.find(module, name)?)
    })
}

/// Modules stay as long as the process: their names are in records.
#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(_module: Handle) -> c_int {
    call(Function::new(0, c"cuModuleUnload"), |_| Ok(()))
}

/// A property of a kernel.
#[unsafe(no_mangle)]
extern "C" fn cuFuncGetAttribute(to: *mut c_int, attribute: c_int, kernel: Handle) -> c_int {
    call(Function::new(0, c"cuFuncGetAttribute"), |call| {
        call.sim.machine().modules.kernel(kernel)?;
        // Threads of a block, and registers of a thread.
        put(
            to,
            match attribute {
                0 => 1024,
                4 => 32,
                _ => 0,
            },
        )
    })
}

/// Attributes make no difference here.
#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(kernel: Handle, _attribute: c_int, _value: c_int) -> c_int {
    call(Function::new(0, c"cuFuncSetAttribute"), |call| {
        call.sim.machine().modules.kernel(kernel).map(|_| ())
    })
}
