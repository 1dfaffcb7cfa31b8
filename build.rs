//! Gives the shared library the name that programs look for.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android") => {
            // The number changes with every change that breaks a program linked before.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwaku_chat.so.0");
            // Threads of libwaku and of its binding outlive the last client, so this code has to stay.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        Ok("macos" | "ios") => {
            let name = "@rpath/libwaku_chat.0.dylib";
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,{name}");
        }
        _ => {}
    }
}
