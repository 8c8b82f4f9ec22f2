//! What Debian's libseccomp.a asks of the C library that it was made for, where the program has musl.
//!
//! It is one function, which is called only to print a filter as text: we never do.

/// Prints nothing, and says that it failed.
// SAFETY: no other object has this name with musl, and a C caller may pass arguments that nobody reads.
#[unsafe(no_mangle)]
extern "C" fn __fprintf_chk() -> libc::c_int {
    -1
}
