//! Names the shared library as programs look for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android") => {
            // The number changes with what would break a program that was linked before.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwaku_chat.so.0");
            // Threads of libwaku and of its binding outlive the last chat, so this code has to stay.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        Ok("macos" | "ios") => {
            let name = "@rpath/libwaku_chat.0.dylib";
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,{name}");
        }
        _ => {}
    }
}
