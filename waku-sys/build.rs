//! With the feature `bindgen`: generates the bindings into `OUT_DIR`, from `vendor/libwaku.h`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "bindgen")]
    generate();
}

#[cfg(feature = "bindgen")]
fn generate() {
    const HEADER: &str = "../vendor/libwaku.h";
    println!("cargo:rerun-if-changed={HEADER}");
    let bindings = bindgen::Builder::default()
        .header(HEADER)
        .allowlist_function("waku_.*")
        .allowlist_var("RET_.*")
        .allowlist_type("WakuCallBack")
        .default_macro_constant_type(bindgen::MacroTypeVariation::Signed)
        .use_core()
        .rust_target(bindgen::RustTarget::stable(91, 0).expect("a version that bindgen knows"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        // The same text wherever it is generated.
        .disable_header_comment()
        .generate_comments(false)
        .merge_extern_blocks(true)
        .layout_tests(false)
        .formatter(bindgen::Formatter::Prettyplease)
        .generate()
        .expect("the header is one that clang takes");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    let path = std::path::Path::new(&out).join("bindings.rs");
    bindings.write_to_file(path).expect("the build directory is writable");
}
