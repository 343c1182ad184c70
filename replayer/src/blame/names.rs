//! Which functions are the program's own.

use crate::export::names::file_name;

/// Libraries whose functions are nobody's own, by the beginnings of their files' names: the C library and
/// what is of it, those of C++, and what was loaded for us.
const LIBRARIES: [&str; 9] = [
    "libc.so",
    "libc-2.",
    "ld-linux",
    "ld-2.",
    "libpthread",
    "libstdc++.so",
    "libc++.so",
    "libgcc_s.so",
    "libmalloscope",
];

/// Functions that hand on requests for memory: of C, of C++, of glib, of CPython, of SQLite, of Rust, and
/// those that many programs call theirs; and where every program begins.
const WRAPPERS: [&str; 49] = [
    "_start",
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "free",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "strdup",
    "strndup",
    "operator new",
    "operator delete",
    "g_malloc",
    "g_malloc0",
    "g_malloc_n",
    "g_malloc0_n",
    "g_realloc",
    "g_realloc_n",
    "g_try_malloc",
    "g_strdup",
    "g_strndup",
    "g_slice_alloc",
    "g_slice_alloc0",
    "g_memdup2",
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xzalloc",
    "xstrdup",
    "xmemdup",
    "_PyMem_RawMalloc",
    "PyMem_RawMalloc",
    "PyMem_Malloc",
    "PyMem_Calloc",
    "PyMem_Realloc",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "_PyObject_Malloc",
    "sqlite3MemMalloc",
    "sqlite3MemRealloc",
    "sqlite3Malloc",
    "sqlite3Realloc",
    "__rust_alloc",
    "__rust_realloc",
    "__rust_alloc_zeroed",
];

/// Where the standard libraries of C++ and of Rust keep what is compiled into every program.
const NAMESPACES: [&str; 12] = [
    "std::",
    "__gnu_cxx::",
    "alloc::",
    "core::",
    "<alloc::",
    "<core::",
    "<std::",
    "__rustc::",
    "__rdl_",
    "__rg_",
    "__rust_",
    "hashbrown::",
];

/// Whether a function in this module is the program's own, or a library's that it chose to use, rather
/// than a wrapper of malloc's or a part of its language.
pub(crate) fn is_own(module: Option<&str>, name: &str) -> bool {
    let module = module.map_or("", file_name);
    // Arguments are no part of a name: `operator new(unsigned long)`, `operator new[](unsigned long)`.
    let function = name.split(['(', '[']).next().unwrap_or(name);
    !LIBRARIES.iter().any(|library| module.starts_with(library))
        && !WRAPPERS.contains(&function)
        && !NAMESPACES.iter().any(|namespace| name.starts_with(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_and_languages_are_nobody_s_own() {
        for (module, name, own) in [
            ("/usr/bin/app", "main", true),
            ("/usr/bin/app", "my_malloc_hook(int)", true),
            ("/usr/bin/app", "xmalloc", false),
            ("/lib/x86_64-linux-gnu/libc.so.6", "qsort_r", false),
            ("/usr/lib/libcups.so.2", "httpConnect", true),
            ("/usr/lib/libstdc++.so.6", "operator new(unsigned long)", false),
            ("/usr/bin/app", "operator new[](unsigned long)", false),
            ("/usr/bin/app", "std::vector<int>::_M_realloc_insert", false),
            ("/usr/bin/app", "<alloc::vec::Vec<T> as core::clone::Clone>::clone", false),
        ] {
            assert_eq!(is_own(Some(module), name), own, "{name}");
        }
        assert!(is_own(None, "0x1234"));
    }
}
